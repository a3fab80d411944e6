"""One readable line per event, for `tail` and `demo`. Content is escaped for terminals.

A pipe gets everything there is; a terminal gets columns that fit it: the time, the
position, what happened, where, who, and what was said. Ids are shortened there.
"""

import re
import shutil
from typing import Final, NamedTuple, TextIO

import msgspec

from feishu_ws.cli.render import Paint, fit, local_time, pad, width
from feishu_ws.client import Delivery
from feishu_ws.events.meanings import spell_out
from feishu_ws.events.received import Message
from feishu_ws.events.summary import Summary, printable, summarize

WIDE: Final = 120
"""Columns from which on a terminal has room for the chat and the event's type."""

_NARROW_MEANING, _WIDE_MEANING = 18, 24
_ID_COLUMNS: Final = 12
_ID: Final = re.compile(r"[a-z]{2,4}_\S{10,}")
_ID_HEAD, _ID_TAIL = 7, 4  # `oc_` and eight digits tell any two chats apart that one sees
_LEAST_WORDS: Final = 8  # columns; a terminal too narrow for them wraps


class _Seen(NamedTuple):
    """What a line is made of."""

    day: str
    time: str
    position: str
    summary: Summary
    notes: str


class EventLines:
    """Makes lines for a stream, and says when a new day begins."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._paint = Paint(stream)
        self._day = ""

    def line(self, delivery: Delivery) -> str:
        """Return the line of a delivery, on a terminal with its day above if that is another."""
        seen = _look(delivery)
        if not self._stream.isatty():
            return _whole(seen, self._paint)
        line = _columns(seen, shutil.get_terminal_size().columns, self._paint)
        if seen.day in {"", self._day}:
            return line
        self._day = seen.day
        return self._paint(f"── {seen.day} ──", "dim") + "\n" + line


def _look(delivery: Delivery) -> _Seen:
    event = delivery.event
    day, _, time = printable(local_time(event.time)).partition(" ")
    summary = summarize(event.type, event.subject, event.data, _message(delivery))
    notes = "".join(f"  ({note})" for note in _notes(delivery))
    return _Seen(day, time, f"{delivery.position:>6}", summary, notes)


def _whole(seen: _Seen, paint: Paint) -> str:
    """Return everything, one blank after the other, for whoever cuts it into words."""
    one = seen.summary
    what = f"{one.type} ({one.meaning})" if one.meaning else one.type
    about = " ".join(filter(None, (what, one.where, one.who)))
    said = f"{about}: {one.words}" if one.words else about
    when = " ".join(filter(None, (seen.day, seen.time)))
    return f"{when} {paint(seen.position, 'name')}  {said}{seen.notes}"


def _columns(seen: _Seen, columns: int, paint: Paint) -> str:
    """Return what fits into so many columns, aligned with other lines."""
    one, is_wide = seen.summary, columns >= WIDE
    meaning = pad(one.meaning or spell_out(one.type), _WIDE_MEANING if is_wide else _NARROW_MEANING)
    where, who = _short(one.where), _short(one.who)
    people = f"{where}  {who}" if is_wide else (who if one.who else where)
    head = f"{pad(seen.time, 8)} {seen.position}  {meaning}  {people}  "
    room = max(columns - width(head) - width(seen.notes), _LEAST_WORDS)
    words = fit(one.words, room)
    rest = room - width(words) - width(one.type)
    kind = " " * rest + paint(one.type, "dim") if is_wide and rest > 1 else ""
    when, position = paint(pad(seen.time, 8), "dim"), paint(seen.position, "name")
    notes = paint(seen.notes, "warn") if seen.notes else ""
    told = f"{paint(meaning, 'bold')}  {people}  {words}{notes}"
    return f"{when} {position}  {told}{kind}".rstrip()


def _short(name: str) -> str:
    """Return a name or an id in a column of its own."""
    if _ID.fullmatch(name) and len(name) > _ID_COLUMNS:
        name = f"{name[:_ID_HEAD]}…{name[-_ID_TAIL:]}"
    return pad(name, _ID_COLUMNS)


def _notes(delivery: Delivery) -> list[str]:
    attempt = [f"attempt {delivery.attempt}"] if delivery.attempt > 1 else []
    return attempt + (["late"] if delivery.late else [])


def _message(delivery: Delivery) -> Message | None:
    """Return the message, None where there is none or a newer daemon's differs."""
    if delivery.message is None:
        return None
    try:
        return msgspec.convert(delivery.message, Message)
    except msgspec.ValidationError:
        return None
