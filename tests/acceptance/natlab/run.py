"""Runs scenarios of the NAT lab, by hand too: as root, from the top of the tree.

    PYTHONPATH=tests .venv/bin/python -m acceptance.natlab.run                # all of them
    PYTHONPATH=tests .venv/bin/python -m acceptance.natlab.run flush --links 2 --keep /tmp/lab

It prints a table in Markdown, a row per trial. With `--keep` the directory of each trial
stays: the daemon's log, its journal, and what the simulated Feishu had to say.

The labs need the Debian packages iproute2, iptables and conntrack. A crash may leave
namespaces behind (`ip netns list`, names beginning with `fwl`); the next run removes them.
"""

import argparse
import asyncio
import tempfile
from pathlib import Path

from acceptance.natlab.network import check_machine, sweep
from acceptance.natlab.scenarios import SCENARIOS
from acceptance.natlab.timeline import HEAD, row
from acceptance.natlab.trial import run_trial

AT_ONCE = 24  # labs on two cores; one takes some 4 % of one
STAGGER_S = 0.5  # so that not all import at the same time


async def run_all(trials, directory):
    """Run trials, many at once.

    Args:
        trials: Pairs of scenario and number of links.
        directory: Gets a directory per trial.

    Returns:
        By scenario name and number of links: the result, or the exception it ended with.
    """
    room = asyncio.Semaphore(AT_ONCE)

    async def one(index, scenario, connections):
        await asyncio.sleep(index % AT_ONCE * STAGGER_S)
        async with room:
            where = Path(directory) / f"{scenario.name}{connections}"
            return await run_trial(scenario, connections, where)

    ordered = sorted(trials, key=lambda trial: -trial[0].lasts_s)  # the longest first
    results = await asyncio.gather(
        *(one(index, *trial) for index, trial in enumerate(ordered)), return_exceptions=True
    )
    keys = ((scenario.name, connections) for scenario, connections in ordered)
    return dict(zip(keys, results, strict=True))


def all_trials(names=SCENARIOS, links=(1, 2)):
    """Return the trials of these scenarios, in the order of the table."""
    wanted = [SCENARIOS[name] for name in names]
    return [(each, count) for each in wanted for count in each.links if count in links]


def table(trials, results):
    """Return a table in Markdown."""
    return "\n".join([HEAD, *(_row(*trial, results[trial[0].name, trial[1]]) for trial in trials)])


def _row(scenario, connections, result):
    if isinstance(result, BaseException):
        return f"| {scenario.title} | {connections} | failed: {result} |"
    return row(result, scenario.title, scenario.peers)


def main():
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scenario", nargs="*", default=list(SCENARIOS), help="all unless named")
    parser.add_argument("--links", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--keep", help="a new directory for the trials' files")
    args = parser.parse_args()
    check_machine()
    sweep()
    with tempfile.TemporaryDirectory(prefix="fwl") as passing:
        trials = all_trials(args.scenario, args.links)
        results = asyncio.run(run_all(trials, args.keep or passing))
    print(table(trials, results))


if __name__ == "__main__":
    main()
