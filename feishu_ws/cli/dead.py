"""`feishu-ws dead`: the dead letters, events and sends; list, show, retry, drop."""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final, TextIO

import msgspec

from feishu_ws.cli.channel import Ask, carry_out, decode
from feishu_ws.cli.dead_sends import describe_dropped, describe_send, describe_sends
from feishu_ws.cli.render import Cell, Paint, ago, local_time_ms, size, table, tame_json, verbatim
from feishu_ws.clock import SystemClock
from feishu_ws.events.summary import printable
from feishu_ws.model import DeadReason
from feishu_ws.wire.admin import MOST_DEAD_PER_PAGE

Letter = Mapping[str, Any]

HEAD: Final = ("position", "consumer", "died", "reason", "attempts", "type", "note")
LONGEST: Final = 1024  # characters of one fact; a note has at most 256 bytes
NONE: Final = "no dead letters"
MEANINGS: Final = {
    DeadReason.MAX_ATTEMPTS: "it failed delivery.max_attempts times",
    DeadReason.EXPIRED: "nobody took it in time",
    DeadReason.REJECTED: "its consumer rejected it for good",
}


def run(args: argparse.Namespace) -> int:
    """Do what the action says, and print.

    Raises:
        FeishuWsError: It was refused, or neither daemon nor journal can be had.
    """
    action = {"list": _list, "show": _show, "retry": _retry, "drop": _drop}[args.action]
    print(action(args))
    return 0


# -- list -----------------------------------------------------------------------------------


def _list(args: argparse.Namespace) -> str:
    listed = carry_out(args, lambda ask: _pages(ask, args.consumer, args.max))
    if args.json:
        return verbatim(json.dumps(listed, ensure_ascii=False), sys.stdout)
    return describe_list(listed, SystemClock().wall_ms(), sys.stdout)


async def _pages(ask: Ask, consumer: str | None, most: int | None) -> dict[str, Any]:
    """Return the first dead letters, all of them without `most`, and how many there are.

    Of events and of sends at most so many each.
    """
    events: list[Letter] = []
    sends: list[Letter] = []
    wanted = sys.maxsize if most is None else most
    while True:
        limit = min(wanted - min(len(events), len(sends)), MOST_DEAD_PER_PAGE)
        params = {
            "consumer": consumer,
            "after": events[-1]["position"] if events else 0,
            "limit": limit,
            "sends_after": sends[-1]["number"] if sends else 0,
        }
        page = decode(await ask("dead.list", params))
        parts = page["dead"], page.get("sends", ())  # an older daemon tells of no sends
        events += parts[0]
        sends += parts[1]
        found = len(events), len(sends)
        if all(len(p) < limit or n >= wanted for p, n in zip(parts, found, strict=True)):
            return {
                "dead": events[:most],
                "total": page["total"],
                "sends": sends[:most],
                "sends_total": page.get("sends_total", 0),
            }


def describe_list(listed: Mapping[str, Any], now_ms: int, stream: TextIO) -> str:
    """Return the list for people: events, then sends."""
    letters, sends = listed["dead"], listed.get("sends", ())
    lines = _describe_letters(letters, listed["total"], now_ms, stream) if letters else []
    if sends:
        total = max(listed.get("sends_total", 0), len(sends))
        lines += [""] if lines else []
        lines += describe_sends(sends, total, now_ms, stream)
    return "\n".join(lines) or NONE


def _describe_letters(
    letters: Sequence[Letter], total: int, now_ms: int, stream: TextIO
) -> list[str]:
    head = [Cell(name, "dim") for name in HEAD]
    rows = [head, *(_row(letter, now_ms) for letter in letters)]
    rest = f"{len(letters)} of {total}" if len(letters) < total else str(total)
    return [*table(rows, Paint(stream), indent=0), f"{rest} dead letters"]


def _row(letter: Letter, now_ms: int) -> list[Cell]:
    return [
        Cell(str(letter["position"])),
        Cell(printable(str(letter["consumer"])), "name"),
        Cell(ago(letter.get("died_ms"), now_ms)),
        Cell(printable(str(letter.get("reason", ""))), "bad"),
        Cell(str(letter.get("attempts", ""))),
        Cell(printable(str(letter.get("type", "")))),
        Cell(printable(str(letter.get("note", "")))),
    ]


# -- show -----------------------------------------------------------------------------------


def _show(args: argparse.Namespace) -> str:
    params = {"position": args.position, "consumer": args.consumer}
    if args.send is not None:
        params = {"send": args.send}
    answer = carry_out(args, lambda ask: ask("dead.show", params))
    if args.json:
        return verbatim(answer.decode(), sys.stdout)
    describe = describe_letter if args.send is None else describe_send
    return describe(answer, SystemClock().wall_ms(), sys.stdout)


class _Shown(msgspec.Struct):
    """A dead letter; the event stays as it was sent."""

    event: msgspec.Raw
    position: int = 0
    consumer: str = ""
    type: str = ""
    event_id: str = ""
    reason: str = ""
    note: str = ""
    attempts: int = 0
    died_ms: int = 0
    received_ms: int = 0
    size: int = 0


def describe_letter(answer: bytes, now_ms: int, stream: TextIO) -> str:
    """Return a dead letter for people: what is known of it, then the event's JSON, indented."""
    letter = msgspec.json.decode(answer, type=_Shown)
    meaning = MEANINGS.get(letter.reason)
    rows = [
        ("position", str(letter.position)),
        ("consumer", letter.consumer),
        ("type", letter.type),
        ("event id", letter.event_id),
        ("received", _when(letter.received_ms, now_ms)),
        ("died", _when(letter.died_ms, now_ms)),
        ("reason", f"{letter.reason}: {meaning}" if meaning else letter.reason),
        ("attempts", str(letter.attempts)),
        ("note", letter.note),
        ("size", size(letter.size)),
    ]
    cells = [[Cell(name, "dim"), Cell(printable(value, LONGEST))] for name, value in rows if value]
    event = msgspec.json.format(bytes(letter.event), indent=2).decode()
    return "\n".join([*table(cells, Paint(stream), indent=0), tame_json(event)])


def _when(wall_ms: int, now_ms: int) -> str:
    return f"{local_time_ms(wall_ms)}, {ago(wall_ms, now_ms)}"


# -- retry and drop -------------------------------------------------------------------------


def _retry(args: argparse.Namespace) -> str:
    answer = _choose(args, "dead.retry")
    if args.json:
        return answer
    done = json.loads(answer)
    left = done.get("left", 0)
    if not left:
        return _sum(done["retried"], "delivered again")
    why = "no room with their consumer, or it wants them no more"
    return f"{done['retried']} delivered again, {left} left: {why}"


def _drop(args: argparse.Namespace) -> str:
    if args.sends or args.all_sends:
        return _drop_sends(args)
    answer = _choose(args, "dead.drop")
    return answer if args.json else _sum(json.loads(answer)["dropped"], "given up for good")


def _drop_sends(args: argparse.Namespace) -> str:
    params = {"sends": args.sends, "all_sends": args.all_sends, "consumer": args.consumer}
    answer = carry_out(args, lambda ask: ask("dead.drop", params)).decode()
    return answer if args.json else describe_dropped(json.loads(answer)["sends_dropped"])


def _choose(args: argparse.Namespace, method: str) -> str:
    params = {"positions": args.positions, "all": args.all, "consumer": args.consumer}
    return carry_out(args, lambda ask: ask(method, params)).decode()


def _sum(count: int, what: str) -> str:
    events = "1 event is" if count == 1 else f"{count} events are"
    return f"{events} {what}" if count else NONE
