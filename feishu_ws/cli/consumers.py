"""`feishu-ws consumers`: who reads and where they stand; forget one."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final, TextIO

from feishu_ws.cli.channel import carry_out, decode
from feishu_ws.cli.render import Cell, Paint, ago, table, verbatim
from feishu_ws.events.summary import printable

HEAD: Final = ("consumer", "state", "cursor", "pending", "dead", "last seen", "wants")


def run(args: argparse.Namespace) -> int:
    """List or forget, and print.

    Raises:
        FeishuWsError: It was refused, or neither daemon nor journal can be had.
    """
    if args.action == "forget":
        answer = carry_out(args, lambda ask: ask("consumers.forget", {"consumer": args.name}))
        told = f"{printable(args.name)}: forgotten; its cursor is gone, its dead letters stay"
    else:
        answer = carry_out(args, lambda ask: ask("consumers.list", {}))
        told = describe(decode(answer), sys.stdout)
    print(verbatim(answer.decode(), sys.stdout) if args.json else told)
    return 0


def describe(listed: Mapping[str, Any], stream: TextIO) -> str:
    """Return the list for people."""
    consumers: Sequence[Mapping[str, Any]] = listed.get("consumers", ())
    last = f"the newest position is {listed.get('last', 0)}"
    if not consumers:
        return f"no consumers; {last}"
    head = [Cell(name, "dim") for name in HEAD]
    rows = [head, *(_row(consumer, listed.get("now_ms", 0)) for consumer in consumers)]
    return "\n".join([*table(rows, Paint(stream), indent=0), last])


def _row(consumer: Mapping[str, Any], now_ms: int) -> list[Cell]:
    here = bool(consumer.get("connected"))
    state = "connected" if here else "away"
    if consumer.get("declared"):
        state += ", declared"
    dead = int(consumer.get("dead_letters", 0))
    return [
        Cell(printable(str(consumer.get("consumer", ""))), "name"),
        Cell(state, "good" if here else "warn"),
        Cell(str(consumer.get("cursor", ""))),
        Cell(str(consumer.get("pending", ""))),
        Cell(str(dead), "bad" if dead else ""),
        Cell("now" if here else ago(consumer.get("last_seen_ms"), now_ms)),
        Cell(printable(_wants(consumer))),
    ]


def _wants(consumer: Mapping[str, Any]) -> str:
    """Return its filter in a few words."""
    parts = [" ".join(map(str, consumer.get("types", ())))]
    chats = consumer.get("chats")
    if chats:
        parts.append(f"in {' '.join(map(str, chats))}")
    if consumer.get("ignore_own"):
        parts.append("not from apps")
    return ", ".join(parts)
