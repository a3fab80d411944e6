"""The dead sends, as `feishu-ws dead` shows them: what was not sent, as far as is known."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, TextIO

import msgspec

from feishu_ws.cli.render import Cell, Paint, ago, local_time_ms, size, table, tame_json
from feishu_ws.events.summary import printable
from feishu_ws.model import SendKind

Send = Mapping[str, Any]

HEAD: Final = ("uuid", "kind", "tries", "made", "died", "to")
LONGEST: Final = 1024  # characters of one fact
MEANINGS: Final = {
    SendKind.EXPIRED: "it could not be tried for an hour",
    SendKind.OUTCOME_UNKNOWN: "it was tried, and Feishu never said what became of it",
    SendKind.DAMAGED: "the disk lost what was to be sent",
}
HOW: Final = (
    "Feishu may have them, so none is tried again: look with `feishu-ws dead show --send UUID`,"
    " then `feishu-ws send` with a new --uuid"
)


def describe_sends(sends: Sequence[Send], total: int, now_ms: int, stream: TextIO) -> list[str]:
    """Return dead sends as lines for people, and what can be done about them."""
    paint = Paint(stream)
    head = [Cell(name, "dim") for name in HEAD]
    rows = [head, *(_row(send, now_ms) for send in sends)]
    counted = f"{len(sends)} of {total}" if len(sends) < total else str(total)
    what = "dead send" if total == 1 else "dead sends"
    return [*table(rows, paint, indent=0), f"{counted} {what}", paint(HOW, "dim")]


def _row(send: Send, now_ms: int) -> list[Cell]:
    return [
        Cell(printable(str(send["uuid"])), "name"),
        Cell(printable(str(send.get("kind", ""))), "bad"),
        Cell(str(send.get("tries", ""))),
        Cell(ago(send.get("made_ms"), now_ms)),
        Cell(ago(send.get("died_ms"), now_ms)),
        Cell(printable(str(send.get("to", "")))),
    ]


class _Shown(msgspec.Struct):
    """A dead send; the request stays as it was made."""

    uuid: str
    kind: str = ""
    tries: int = 0
    made_ms: int = 0
    first_tried_ms: int | None = None
    died_ms: int | None = None
    to: str = ""
    size: int = 0
    said: dict[str, Any] = {}
    request: msgspec.Raw = msgspec.Raw()


def describe_send(answer: bytes, now_ms: int, stream: TextIO) -> str:
    """Return a dead send for people: what is known of it, then its request, indented."""
    send = msgspec.json.decode(answer, type=_Shown)
    meaning = MEANINGS.get(send.kind)
    rows = [
        ("uuid", send.uuid),
        ("kind", f"{send.kind}: {meaning}" if meaning else send.kind),
        ("to", send.to),
        ("made", _when(send.made_ms, now_ms)),
        ("tried", _when(send.first_tried_ms, now_ms)),
        ("tries", str(send.tries)),
        ("died", _when(send.died_ms, now_ms)),
        ("said", str(send.said.get("msg", ""))),
        ("size", size(send.size)),
    ]
    cells = [[Cell(name, "dim"), Cell(printable(value, LONGEST))] for name, value in rows if value]
    lines = table(cells, Paint(stream), indent=0)
    if request := bytes(send.request):  # none where the disk lost it
        lines.append(tame_json(msgspec.json.format(request, indent=2).decode()))
    return "\n".join(lines)


def _when(wall_ms: int | None, now_ms: int) -> str:
    return f"{local_time_ms(wall_ms)}, {ago(wall_ms, now_ms)}" if wall_ms else ""


def describe_dropped(count: int) -> str:
    """Return how many were given up."""
    if not count:
        return "no dead sends"
    return "1 send is given up for good" if count == 1 else f"{count} sends are given up for good"
