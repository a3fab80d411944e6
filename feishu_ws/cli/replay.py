"""`feishu-ws replay`: move a consumer's cursor to a position or a time."""

import argparse
import sys
from collections.abc import Mapping
from datetime import datetime, time, timedelta
from typing import Any

from feishu_ws.cli.channel import carry_out, decode
from feishu_ws.cli.parser import UsageError
from feishu_ws.cli.render import verbatim
from feishu_ws.cli.when import Point, advise, to_wall_ms
from feishu_ws.clock import SystemClock
from feishu_ws.events.summary import printable
from feishu_ws.events.times import rfc3339_ms


def run(args: argparse.Namespace) -> int:
    """Move the cursor and say from where to where.

    Raises:
        UsageError: The time is still to come.
        FeishuWsError: It was refused, or neither daemon nor journal can be had.
    """
    place = _place(args.point, SystemClock().wall_ms())
    params = {"consumer": args.consumer, "from": place, "skip": args.skip}
    answer = carry_out(args, lambda ask: ask("consumers.seek", params))
    print(verbatim(answer.decode(), sys.stdout) if args.json else describe(decode(answer)))
    return 0


def _place(point: Point, now_ms: int) -> int | str:
    """Return what the protocol takes: a position, an end, or an RFC 3339 time."""
    if not isinstance(point, timedelta | time | datetime):
        return point
    try:
        return rfc3339_ms(to_wall_ms(point, now_ms))
    except ValueError as exc:
        detail = f"argument --from: {exc}, expected a time that was"
        raise UsageError(detail, f"--from {advise(point, now_ms)}") from exc


def describe(moved: Mapping[str, Any]) -> str:
    """Return one sentence: where it stands, where it stood, and what that means."""
    following, before = moved["cursor"] + 1, moved["was"] + 1
    skipped = moved.get("skipped", 0)
    what = ""
    if following < before:
        what = f"; what its filter names from {following} to {before - 1} comes again"
    elif following > before:
        what = f"; {skipped} events it had not settled are passed over"
    name = printable(str(moved["consumer"]))
    return f"{name}: next event is {following} (was {before}){what}"
