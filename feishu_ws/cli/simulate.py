"""`feishu-ws simulate`: a Feishu on this machine that misbehaves on request."""

import argparse
import asyncio
import dataclasses
import json
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from feishu_ws.cli.parser import HintedError
from feishu_ws.cli.render import Paint
from feishu_ws.cli.scenarios import LIST, SCENARIOS, scenario_table
from feishu_ws.faults import Exit, Fault, FeishuWsError
from feishu_ws.happenings import Happening
from feishu_ws.simulator.happenings import (
    MishapBegan,
    MishapEnded,
    SimulatedLinkClosed,
    SimulatedLinkOpened,
)
from feishu_ws.simulator.play import play
from feishu_ws.simulator.scenario import Scenario, load_scenario, scenario_text
from feishu_ws.simulator.server import Simulator
from feishu_ws.simulator.settings import SimulatorSettings

STATS_EVERY_S: Final = 5.0
LAST_CONFIRMS_S: Final = 3.0  # as long as Feishu waits for one
SHOWN: Final = ("pushed", "confirmed", "unconfirmed", "given_up")
"""Counts that a line for people always has; --json has all."""
SHOWN_IF_ANY: Final = (
    "offline", "refused", "late", "acks_lost", "strays_refused", "links_refused", "links_mute",
)  # fmt: skip
BROKEN: Final = ("hostile_answers", "bad_ack_flaws", "bad_frames")
"""Counts by what it was."""

HINTS: Final = {
    Fault.PORT_IN_USE: "name another address with --listen",
    Fault.CONFIG_INVALID: "feishu-ws simulate --scenario list; --scenario tour --show explains every key",
}

Say = Callable[[str, dict[str, Any]], None]
"""Tells what happened: a word for programs, fields for both."""


def run(args: argparse.Namespace) -> int:
    """Play a scenario until a signal, or until --events were sent; or tell about scenarios.

    Raises:
        FeishuWsError: The scenario cannot be read, or the port is taken.
    """
    try:
        if args.scenario == LIST:
            print(json.dumps(SCENARIOS, ensure_ascii=False) if args.json else scenario_table())
        elif args.show:
            print(scenario_text(args.scenario), end="")
        else:
            _run(args)
    except FeishuWsError as exc:
        hint = HINTS.get(exc.fault, exc.spec.hint)
        raise HintedError(exc.fault, exc.detail, hint) from exc
    return Exit.OK


def _run(args: argparse.Namespace) -> None:
    say = _say_json if args.json else _say_text(Paint(sys.stdout))
    try:
        asyncio.run(_simulate(args, load_scenario(args.scenario), say))
    except ExceptionGroup as group:  # from one of the tasks of a scenario
        raise _first(group) from group


def _first(group: ExceptionGroup[Exception]) -> Exception:
    found = group.exceptions[0]
    return _first(found) if isinstance(found, ExceptionGroup) else found


async def _simulate(args: argparse.Namespace, scenario: Scenario, say: Say) -> None:
    settings = scenario.tune(_settings(args))
    observe = _observer(say)
    async with Simulator(settings, observe=observe) as feishu:
        work = asyncio.create_task(_play(args, feishu, scenario, observe), name="scenario")
        news = asyncio.create_task(_report(feishu, say), name="stats")
        _stop_on_signal(work)
        say("listening", _where(args, feishu, scenario))
        with suppress(asyncio.CancelledError):
            await work
        news.cancel()
        if args.events and feishu.links:
            with suppress(TimeoutError):
                await feishu.wait_until_quiet(LAST_CONFIRMS_S)
    say("summary", feishu.stats.as_dict())  # after the last of its links


def _settings(args: argparse.Namespace) -> SimulatorSettings:
    host, _, port = args.listen.rpartition(":")
    settings = SimulatorSettings(host=host.strip("[]"), port=int(port))
    wanted = {"app_id": args.app_id, "app_secret": args.secret}
    return dataclasses.replace(settings, **{k: v for k, v in wanted.items() if v is not None})


def _where(args: argparse.Namespace, feishu: Simulator, scenario: Scenario) -> dict[str, Any]:
    """Return how a daemon gets here; a secret that was given is known to who gave it."""
    default = SimulatorSettings().app_secret
    return {
        "scenario": scenario.name,
        "summary": scenario.summary,
        "domain": feishu.domain,
        "app_id": feishu.settings.app_id,
        "secret": "…" if args.secret else default,
        "daemon": scenario.daemon,
    }


async def _play(
    args: argparse.Namespace,
    feishu: Simulator,
    scenario: Scenario,
    observe: Callable[[Happening], None],
) -> None:
    if args.links:
        await feishu.wait_for_links(args.links, timeout_s=float("inf"))
    count = args.events or float("inf")
    await play(feishu, scenario, rate=args.rate, count=count, observe=observe)


async def _report(feishu: Simulator, say: Say) -> None:
    while True:
        await asyncio.sleep(STATS_EVERY_S)
        say("stats", feishu.stats.as_dict() | {"links": len(feishu.links)})


def _stop_on_signal(work: asyncio.Task[None]) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, work.cancel)


def _observer(say: Say) -> Callable[[Happening], None]:
    words: dict[type[Happening], str] = {
        SimulatedLinkOpened: "link_opened",
        SimulatedLinkClosed: "link_closed",
        MishapBegan: "mishap_began",
        MishapEnded: "mishap_ended",
    }

    def observe(happening: Happening) -> None:
        word = words.get(type(happening))
        if word:
            say(word, dataclasses.asdict(happening))

    return observe


# -- saying it ------------------------------------------------------------------------------


def _say_json(word: str, fields: dict[str, Any]) -> None:
    print(json.dumps({"event": word} | fields, ensure_ascii=False), flush=True)


def _say_text(paint: Paint) -> Say:
    began_s = time.monotonic()
    told: set[str] = set()

    def say(word: str, fields: dict[str, Any]) -> None:
        if word == "mishap_began" and 0 < fields["every_s"] < STATS_EVERY_S:
            if fields["kind"] in told:
                return
            told.add(fields["kind"])
        text = _TEXTS[word](fields, paint)
        when = "" if word in WHOLE else f"{time.monotonic() - began_s:7.1f} s  "
        print(f"{when}{text}", flush=True)

    return say


def _listening(fields: dict[str, Any], paint: Paint) -> str:
    env = (
        f"FEISHU_WS_APP__DOMAIN={fields['domain']}",
        f"FEISHU_WS_APP__ID={fields['app_id']}",
        f"FEISHU_WS_APP__SECRET={fields['secret']}",
        *(f"FEISHU_WS_{_in_capitals(key)}={value}" for key, value in fields["daemon"].items()),
    )
    lines = [
        paint(f"simulated Feishu on {fields['domain']}", "bold"),
        f"scenario {fields['scenario']}: {fields['summary']}",
        "point a daemon at it:",
        *(f"  {line} \\" for line in env),
        "  feishu-ws run",
    ]
    return "\n".join(lines)


def _in_capitals(key: str) -> str:
    """Return how a setting such as `upstream.settled_s` is called in the environment."""
    return key.replace(".", "__").upper()


def _counts(fields: dict[str, Any], _: Paint) -> str:
    links = f"links {fields['links']}  " if "links" in fields else "in all: "
    counted = [(name, fields[name]) for name in SHOWN]
    counted += [(name, fields[name]) for name in SHOWN_IF_ANY if fields[name]]
    text = links + "  ".join(f"{name} {count}" for name, count in counted)
    for name in BROKEN:
        if fields[name]:
            found = ", ".join(f"{what} {count}" for what, count in fields[name].items())
            text += f"  {name} ({found})"
    return text


def _mishap(fields: dict[str, Any], paint: Paint) -> str:
    lasts = f"for {fields['for_s']:g} s" if fields["for_s"] else ""
    again = f"every {fields['every_s']:g} s" if 0 < fields["every_s"] < STATS_EVERY_S else ""
    told = " ".join(filter(None, (fields["kind"], fields["detail"], lasts, again)))
    return paint(f"mishap: {told}", "bad")


WHOLE: Final = frozenset({"listening", "summary"})
"""What is told without saying when."""

_TEXTS: Final[dict[str, Callable[[dict[str, Any], Paint], str]]] = {
    "listening": _listening,
    "stats": _counts,
    "summary": _counts,
    "link_opened": lambda f, p: p(f"link {f['link']} opened, {f['links']} open", "good"),
    "link_closed": lambda f, p: p(f"link {f['link']} closed, {f['links']} open", "warn"),
    "mishap_began": _mishap,
    "mishap_ended": lambda f, p: p(f"mishap over: {f['kind']}", "good"),
}
