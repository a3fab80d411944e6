"""`feishu-ws status`: what the daemon says of itself."""

import argparse
import asyncio
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from feishu_ws.cli.reach import explain_absence, refusal, socket_of
from feishu_ws.cli.render import NOTHING, Cell, Paint, age, ago, local_time_ms, size, table
from feishu_ws.client import Disconnected, RpcError, ask
from feishu_ws.events.summary import printable

Status = Mapping[str, Any]
Rows = Sequence[Sequence[Cell]]

_SEVERAL: Final = frozenset({"link", "consumer"})
"""Concerns of which there are several, so that a fault of theirs names which."""

MAX_LOSSES: Final = 8  # the newest of those the daemon tells


def run(args: argparse.Namespace) -> int:
    """Ask and print.

    Raises:
        HintedError: No daemon is there, or it hangs.
    """
    path = socket_of(args)
    try:
        status = asyncio.run(ask(path, "status"))
    except RpcError as exc:
        raise refusal(exc, path) from exc
    except Disconnected as exc:
        raise explain_absence(exc, path) from exc
    print(json.dumps(status, ensure_ascii=False) if args.json else describe(status, sys.stdout))
    return 0


def describe(status: Status, stream: Any) -> str:
    """Return the status for people; what an older or newer daemon leaves out is left out."""
    paint = Paint(stream)
    now_ms = status.get("now_ms", 0)
    sections = (
        _head(status, now_ms),
        _faults(status),
        _links(status, now_ms),
        _journal(status, now_ms),
        _consumers(status, now_ms),
        _lookalike(status),
        _losses(status),
    )
    lines: list[str] = []
    for title, rows in sections:
        if title:
            lines.append(paint(title.text, title.style))
        lines += table(rows, paint)
    return "\n".join(lines)


Section = tuple[Cell | None, Rows]


def _head(status: Status, now_ms: int) -> Section:
    up = _since(status.get("started_ms"), now_ms)
    name = f"feishu-ws {_text(status, 'version')}  app {_text(status, 'app_id')}  up {up}"
    is_ready = bool(status.get("ready"))
    state = (
        Cell("ready", "good") if is_ready else Cell(f"not ready: {_text(status, 'fault')}", "bad")
    )
    rows = [[state]]
    if not is_ready and status.get("hint") and not status.get("faults"):  # too young to be listed
        rows.append([Cell(f"try: {_text(status, 'hint')}", "dim")])
    if waiting := status.get("needs_restart"):
        changed = printable(", ".join(map(str, waiting)))
        rows.append([Cell(f"restart it: {changed} changed and not in force", "warn")])
    return Cell(name, "bold"), rows


def _faults(status: Status) -> Section:
    rows: list[list[Cell]] = []
    for concern, active in _by_fault(status.get("faults", ())):
        lasted = age(max(fault.get("lasted_s", 0) for fault in active))
        what = ", ".join([_text(active[0], "title"), *_whose(concern, active), f"for {lasted}"])
        rows.append([Cell(_text(active[0], "fault"), "bad"), Cell(what)])
        rows.append([Cell(""), Cell(f"try: {_text(active[0], 'hint')}", "dim")])
    return (Cell("faults", "bold") if rows else None), rows


def _by_fault(faults: Iterable[Status]) -> Iterable[tuple[str, list[Status]]]:
    """Return together what is the same fault of several links or consumers, in their order."""
    found: dict[tuple[str, str], list[Status]] = {}
    for fault in faults:
        key = _text(fault, "concern"), _text(fault, "fault")
        found.setdefault(key, []).append(fault)
    return ((concern, active) for (concern, _), active in found.items())


def _whose(concern: str, active: Sequence[Status]) -> Iterable[str]:
    """Return which links or consumers, as one piece of text; nothing for what there is one of."""
    if concern in _SEVERAL:
        names = ", ".join(_text(fault, "subject") for fault in active)
        yield f"{concern}{'s' if len(active) > 1 else ''} {names}"


def _links(status: Status, now_ms: int) -> Section:
    links = status.get("links", ())
    head = [
        Cell(name, "dim") for name in ("link", "state", "for", "last frame", "failures", "fault")
    ]
    rows = [head] + [_link(link, now_ms) for link in links]
    return Cell(f"links: {', '.join(_fleet(status, links))}", "bold"), rows if links else []


def _fleet(status: Status, links: Sequence[Status]) -> Iterable[str]:
    live = sum(link.get("state") == "connected" for link in links)
    wanted = status.get("links_wanted", len(links))
    yield f"{live} of {wanted} live"
    if wanted < len(links):
        yield f"{len(links)} configured"
    if status.get("storm"):
        yield "reconnect storm: they wait until they may try again"


def _link(link: Status, now_ms: int) -> list[Cell]:
    state = _text(link, "state")
    retry_ms = link.get("retry_at_ms") or 0
    fault = _text(link, "fault")
    if retry_ms > now_ms:
        fault += f", again in {age((retry_ms - now_ms) / 1000)}"
    return [
        Cell(_text(link, "link")),
        Cell(state, "good" if state == "connected" else "warn"),
        Cell(_since(link.get("since_ms"), now_ms)),
        Cell(ago(link.get("last_frame_ms"), now_ms)),
        Cell(_text(link, "failures")),
        Cell(fault),
    ]


def _journal(status: Status, now_ms: int) -> Section:
    journal = status.get("journal") or {}
    first, last = journal.get("first", 0), journal.get("last", 0)
    events = f"positions {first} to {last}" if first else f"no events, the last was {last}"
    if not last:
        events = "no events yet"
    used = f"{size(journal.get('size_bytes', 0))} of {size(journal.get('limit_bytes', 0))}"
    rows = [
        [Cell("path"), Cell(_text(journal, "path"))],
        [Cell("holds"), Cell(f"{events}, {used}, {journal.get('dead_letters', 0)} dead letters")],
        [Cell("last event"), Cell(ago(status.get("last_event_ms"), now_ms))],
    ]
    if sends := ", ".join(_sends(journal, now_ms)):
        rows.append([Cell("sends"), Cell(sends, "warn")])
    if journal.get("fault"):
        rows.append([Cell("fault"), Cell(_text(journal, "fault"), "bad")])
    return Cell("journal", "bold"), rows


def _sends(journal: Status, now_ms: int) -> Iterable[str]:
    """Return what there is to say of durable sends, nothing where there are none."""
    if waiting := journal.get("open_sends"):
        yield f"{waiting} on the way, the oldest for {_since(journal.get('oldest_send_ms'), now_ms)}"
    if dead := journal.get("dead_sends"):
        yield f"{dead} dead, see `feishu-ws dead`"


def _consumers(status: Status, now_ms: int) -> Section:
    consumers = status.get("consumers", ())
    names = ("consumer", "state", "cursor", "pending", "in flight", "oldest", "types")
    head = [Cell(name, "dim") for name in names]
    rows = [head] + [_consumer(consumer, now_ms) for consumer in consumers]
    return Cell(f"consumers: {len(consumers)}", "bold"), rows if consumers else []


def _consumer(consumer: Status, now_ms: int) -> list[Cell]:
    kind = "reading along" if consumer.get("durable") is False else ""
    kind = "declared" if consumer.get("declared") else kind
    here = consumer.get("connected")
    state = ", ".join(filter(None, ["connected" if here else "away", kind]))
    return [
        Cell(_text(consumer, "name"), "name"),
        Cell(state, "good" if here else "warn"),
        Cell(_text(consumer, "cursor")),
        Cell(_text(consumer, "pending")),
        Cell(_text(consumer, "in_flight")),
        Cell(ago(consumer.get("oldest_pending_ms"), now_ms)),
        Cell(printable(" ".join(map(str, consumer.get("types", ()))))),
    ]


def _lookalike(status: Status) -> Section:
    lookalike = status.get("lookalike")
    if not lookalike:
        return None, []
    clients = lookalike.get("clients", 0)
    many = f"{clients} client{'' if clients == 1 else 's'}"
    consumer = f"consumer {_text(lookalike, 'consumer')}"
    return Cell(f"lookalike: {_text(lookalike, 'address')}, {many} ({consumer})", "bold"), []


def _losses(status: Status) -> Section:
    losses = list(status.get("losses", ()))[:MAX_LOSSES]
    head = [Cell(name, "dim") for name in ("lost at", "link", "lived", "fault", "detail")]
    return (Cell("recent losses", "bold"), [head, *map(_loss, losses)]) if losses else (None, [])


def _loss(loss: Status) -> list[Cell]:
    lived_s = loss.get("lived_s")
    times = loss.get("times") or 1
    fault = _text(loss, "fault") + (f", {times} times" if times > 1 else "")
    return [
        Cell(local_time_ms(loss.get("at_ms", 0))),
        Cell(_text(loss, "link")),
        Cell(NOTHING if lived_s is None else age(lived_s)),
        Cell(fault),
        Cell(_text(loss, "detail")),
    ]


def _text(of: Status, key: str) -> str:
    value = of.get(key)
    return NOTHING if value is None or value == "" else printable(str(value))


def _since(wall_ms: int | None, now_ms: int) -> str:
    return age((now_ms - wall_ms) / 1000) if wall_ms else NOTHING
