"""`make bench`: the official SDKs, a bare loop and feishu-ws under the same loads.

Events go from a Feishu in this process to the candidate in its own, and from there to a
consumer in this process again; everything on loopback, without TLS. All candidates of a
round are up at once, one of them is under load. Compare figures of one run only.
"""

import argparse
import asyncio
import json
import sys
from pathlib import Path

import pytest
import uvloop
from bench import bars, decoding, report, sending
from bench.candidates import KINDS, TITLES
from bench.rounds import run
from bench.turns import Load

LOADS = (
    Load("1 unconfirmed", 1.5, window=1),
    Load("64 unconfirmed", 3.0, window=64),
    Load("1024 unconfirmed", 3.0, window=1024),
    Load("paced 100/s", 4.0, rate=100),
    Load("paced 1000/s", 4.0, rate=1000),
)
WARM_UP = Load("warm-up", 1.0, window=64)
QUICK = 0.35  # of the seconds
EXPLAINED = """\
Last columns: how many times better feishu-ws is; **below 1 it loses**. End to end: from the \
push by Feishu to the line at a consumer in another process. The SDKs hand on from their \
handler and keep nothing; feishu-ws and `bare` have committed the event before."""
EXPLAINED_BOT = """\
Likewise, for a bot that uses the event where its handler is called. feishu-ws: CPU and \
memory of daemon and bot together. The Node SDK's handler also hands the event on."""


def main():
    """Parse the command line and run; exit 1 if a candidate failed."""
    options = parse()
    if options.decode:
        lines, holds = decoding.decoding(options.rounds, is_quick=options.quick)
        print("\n".join(lines))
        sys.exit(not holds)
    if options.sends:
        lines, holds = sending.sending(options.rounds, is_quick=options.quick)
        print("\n".join(lines))
        sys.exit(not holds)
    try:
        result = uvloop.run(run(options))
    except (AssertionError, pytest.fail.Exception) as failure:  # a candidate failed, or npm
        sys.exit(f"bench: {failure}")
    except asyncio.CancelledError:
        sys.exit("bench: interrupted")
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")
    print("\n".join(tables(result, options)))


def parse():
    """Return the options."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__.split("\n")[0])
    add = parser.add_argument
    names = ", ".join(KINDS)
    add("--only", type=lambda text: text.split(","), help=f"of {names}; separated by commas")
    add("--rounds", type=int, default=3)
    add("--quick", action="store_true", help="a third of the time, without 50,000 for memory")
    add("--scale", type=float, default=1.0, help="of the seconds that each load lasts")
    add("--loads", help="only loads whose name contains this, for example 64")
    add("--tree", type=Path, action="append", default=[], help="also another checkout's daemon")
    add("--patience", type=float, default=0.0, help="seconds to spend on waiting for others")
    add("--json", type=Path, help="write everything that was measured to this file")
    add("--brief", action="store_true", help="comparisons alone, medians alone")
    add("--profile", action="store_true", help="instead: the daemon alone under cProfile")
    add("--decode", action="store_true", help="instead: what decoding content costs")
    add("--sends", action="store_true", help="instead: messages sent a second")
    options = parser.parse_args()
    if options.profile:
        options.only, options.rounds, options.tree = [report.OURS], 1, []
    unknown = set(options.only or ()) - set(KINDS)
    if unknown:
        parser.error(f"--only: saw {', '.join(sorted(unknown))}, expected some of {names}")
    factor = options.scale * (QUICK if options.quick else 1)
    options.loads = [
        Load(x.name, x.seconds * factor, x.window, x.rate)
        for x in LOADS
        if (options.loads or "") in x.name
    ]
    options.is_filling = not options.quick
    options.warm_up = Load(WARM_UP.name, WARM_UP.seconds * factor, WARM_UP.window)
    return options


def tables(result, options):
    """Return everything that is printed."""
    told = result["about"]
    lines = [
        "",
        f"{told['when']}, commit {told['commit']}, {told['cores']} cores ({told['cpu']}), "
        f"Linux {told['kernel']}, Python {told['python']}, "
        + ", ".join(f"{name} {number}" for name, number in told["versions"].items())
        + "; node-sdk 1.74.0",
        f"load average {told['load_before']:.1f} before, {told['load_after']:.1f} after; "
        f"{told['filesystem']}, fdatasync of 1.6 kB p50 / p99 in ms at the start of each round: "
        + ", ".join(f"{p50:.2f} / {p99:.2f}" for p50, p99 in result["disk_ms"]),
        "",
    ]
    lines += [
        f"* `{name}`: {TITLES.get(name, 'the daemon of another checkout')}"
        for name in result["candidates"]
    ]
    names, spread = set(result["candidates"]), not options.brief
    if report.OURS in names and names & set(report.PEERS):
        lines += ["", "### An event to another program", "", EXPLAINED, ""]
        lines += report.comparison(result, options.loads, spread=spread)
    if report.BOT in names and names & set(report.BOT_PEERS):
        lines += ["", "### A bot and what brings it its events", "", EXPLAINED_BOT, ""]
        lines += report.comparison(
            result, options.loads, report.BOT, report.BOT_PEERS, "handled_ms", spread=spread
        )
    trees = [name for name in result["candidates"] if name.startswith(f"{report.OURS}@")]
    if report.OURS in names and trees:
        lines += ["", "### This checkout and another", ""]
        lines += report.comparison(result, options.loads, peers=trees, spread=spread)
    if report.OURS in names and result["turns"]:
        lines += ["", "### What is asked of feishu-ws", "", *bars.verdicts(result)]
    if result["turns"] and not options.brief:
        for load in options.loads:
            lines += ["", *report.detail(result, load)]
        lines += ["", report.LEGEND, "", *report.lives(result)]
    if "profile" in result:
        lines += ["", *result["profile"]]
    return lines


if __name__ == "__main__":
    main()
