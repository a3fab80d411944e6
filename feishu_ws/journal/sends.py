"""Outgoing sends that are kept: what becomes of one, in memory and in their table on disk.

A row only ever goes forward: made, tried, closed. So of two images of the same send the
one that knows more is the newer, and an outcome that was once written is true for good.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple, Protocol

from msgspec.structs import replace

from feishu_ws.journal.contract import OUTCOME_HOURS
from feishu_ws.model import MAX_ANSWER_BYTES, OutgoingSend, SendOutcome

MAX_KIND_CHARS: Final = 64
READ_BYTES: Final = 1024 * 1024  # of requests at once, as of events


class SendStore(Protocol):
    """Where sends are kept."""

    def find(self, uuid: str) -> OutgoingSend | None:
        """Return what is known of a uuid."""
        ...

    def change(self, send: OutgoingSend) -> None:
        """Write a send in place of what was known of it."""
        ...

    def remove(self, uuid: str) -> None:
        """Forget a uuid."""
        ...


# -- what becomes of a send ---------------------------------------------------------------


def check_outcome(outcome: SendOutcome) -> None:
    """See that an outcome may be kept.

    Raises:
        ValueError: It is too large.
    """
    if len(outcome.answer) > MAX_ANSWER_BYTES:
        raise ValueError(f"answer of {len(outcome.answer)} bytes, at most {MAX_ANSWER_BYTES}")
    if not outcome.kind.isidentifier() or len(outcome.kind) > MAX_KIND_CHARS:
        raise ValueError("an outcome needs a kind, one short word")


def note_attempt(store: SendStore, uuid: str, at_ms: int) -> bool:
    """Note that a send is about to be tried; False if there is none without an outcome."""
    send = store.find(uuid)
    if send is None or send.outcome is not None:
        return False
    first_ms = at_ms if send.first_attempt_ms is None else send.first_attempt_ms
    store.change(replace(send, attempts=send.attempts + 1, first_attempt_ms=first_ms))
    return True


def close(store: SendStore, uuid: str, outcome: SendOutcome, at_ms: int) -> bool:
    """Record an outcome; False if there is no send without one."""
    send = store.find(uuid)
    if send is None or send.outcome is not None:
        return False
    request = send.request if outcome.is_dead else b""  # message content: nobody needs it now
    store.change(replace(send, request=request, outcome=outcome, closed_ms=at_ms))
    return True


def drop(store: SendStore, uuids: Iterable[str]) -> list[str]:
    """Remove dead ones; return which there were."""
    dropped = []
    for uuid in dict.fromkeys(uuids):
        send = store.find(uuid)
        if send is not None and is_dead(send):
            store.remove(uuid)
            dropped.append(uuid)
    return dropped


def is_dead(send: OutgoingSend) -> bool:
    """Whether a send is among the dead letters."""
    return send.outcome is not None and send.outcome.is_dead


def hours_kept(retention_hours: float, *, dead: bool) -> float:
    """Return how long a send is known after it has an outcome."""
    return max(OUTCOME_HOURS, retention_hours) if dead else OUTCOME_HOURS


class Sends:
    """Sends in memory, in the order made."""

    def __init__(self) -> None:
        self._kept: dict[str, OutgoingSend] = {}
        self._last = 0

    def __iter__(self) -> Iterator[OutgoingSend]:
        return iter(list(self._kept.values()))

    def find(self, uuid: str) -> OutgoingSend | None:
        """Return what is known of a uuid."""
        return self._kept.get(uuid)

    def open(self, send: OutgoingSend) -> OutgoingSend:
        """Keep a send; return what is known of its uuid."""
        known = self._kept.get(send.uuid)
        if known is not None:
            return known
        self._last += 1
        kept = self._kept[send.uuid] = replace(send, number=self._last)
        return kept

    def change(self, send: OutgoingSend) -> None:
        """Write a send in place of what was known of it."""
        self._kept[send.uuid] = send

    def remove(self, uuid: str) -> None:
        """Forget a uuid."""
        self._kept.pop(uuid, None)


# -- on disk ------------------------------------------------------------------------------

_COLUMNS: Final = (
    "id, uuid, queue, request, digest, made_ms, attempts, first_attempt_ms, closed_ms, dead,"
    " kind, outcome"
)
_SELECT: Final = f"SELECT {_COLUMNS} FROM send WHERE "  # noqa: S608 constant
_INSERT: Final = f"INSERT INTO send ({_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?,?,?)"  # noqa: S608 constant
_CHANGE: Final = (
    "UPDATE send SET request = ?, attempts = ?, first_attempt_ms = ?, closed_ms = ?, dead = ?,"
    " kind = ?, outcome = ? WHERE id = ?"
)
_OPEN: Final = "dead = 0 AND closed_ms IS NULL"
_CLOSED: Final = "SELECT id, dead, length(request) + length(outcome) FROM send WHERE "


class SendCounts(NamedTuple):
    """How many sends there are; see `JournalFacts`."""

    open: int = 0
    oldest_ms: int | None = None
    dead: int = 0


class ClosedSend(NamedTuple):
    """A send that has an outcome, to be weighed.

    Attributes:
        size: Bytes of its request and its outcome.
    """

    number: int
    is_dead: bool
    size: int


class SendTable:
    """The SQL; see `store.py`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection

    def find(self, uuid: str) -> OutgoingSend | None:
        """Return what is known of a uuid."""
        row = self._db.execute(f"{_SELECT} uuid = ?", (uuid,)).fetchone()
        return None if row is None else _send(row)

    def add(self, send: OutgoingSend) -> OutgoingSend:
        """Insert a send whose uuid is not known; return it with its number."""
        number = self._db.execute(_INSERT, row_of(send)).lastrowid
        return replace(send, number=number)

    def change(self, send: OutgoingSend) -> None:
        """Write what can change of a send."""
        values = row_of(send)
        self._db.execute(_CHANGE, (values[3], *values[6:], send.number))

    def remove(self, uuid: str) -> None:
        """Forget a uuid."""
        self._db.execute("DELETE FROM send WHERE uuid = ?", (uuid,))

    def open_after(self, number: int, limit: int) -> list[OutgoingSend]:
        """Return sends without an outcome above a number."""
        query = f"{_SELECT} {_OPEN} AND id > ? ORDER BY id LIMIT ?"
        return self._some(query, number, limit)

    def dead_after(self, number: int, limit: int) -> list[OutgoingSend]:
        """Return sends that are dead letters above a number."""
        inner = "SELECT id FROM send WHERE dead = 1 AND id > ? ORDER BY id LIMIT ?"
        return self._some(f"{_SELECT} id IN ({inner}) ORDER BY id", number, limit)

    def _some(self, query: str, number: int, limit: int) -> list[OutgoingSend]:
        found: list[OutgoingSend] = []
        size = 0
        cursor = self._db.execute(query, (number, limit))
        for row in cursor:
            size += len(row[3])
            if found and size > READ_BYTES:
                break
            found.append(_send(row))
        cursor.close()  # ends the read transaction at once
        return found

    def counts(self) -> SendCounts:
        """Return how many there are; takes time by how many are open or dead."""
        (count,) = self._db.execute(f"SELECT count(*) FROM send WHERE {_OPEN}").fetchone()  # noqa: S608 constant
        query = f"SELECT made_ms FROM send WHERE {_OPEN} ORDER BY id LIMIT 1"  # noqa: S608 constant
        oldest = self._db.execute(query).fetchone()
        (dead,) = self._db.execute("SELECT count(*) FROM send WHERE dead = 1").fetchone()
        return SendCounts(count, oldest[0] if oldest else None, dead)

    def newest_ms(self) -> int:
        """Return when the newest send was made, 0 if there is none."""
        row = self._db.execute("SELECT made_ms FROM send ORDER BY id DESC LIMIT 1").fetchone()
        return row[0] if row else 0

    def closed(self, limit: int) -> list[ClosedSend]:
        """Return sends with an outcome, dead ones last, the longest closed first."""
        found: list[ClosedSend] = []
        for dead in (0, 1):
            found += self._closed_before(dead, None, limit - len(found))
        return found

    def closed_before(self, finished_ms: int, dead_ms: int, limit: int) -> list[ClosedSend]:
        """Return sends that have had their outcome since before a moment; dead ones, another."""
        found = self._closed_before(0, finished_ms, limit)
        return found + self._closed_before(1, dead_ms, limit - len(found))

    def _closed_before(self, dead: int, before_ms: int | None, limit: int) -> list[ClosedSend]:
        until = "closed_ms IS NOT NULL" if before_ms is None else "closed_ms < ?"
        query = f"{_CLOSED} dead = ? AND {until} ORDER BY closed_ms, id LIMIT ?"
        values = (dead, limit) if before_ms is None else (dead, before_ms, limit)
        rows = self._db.execute(query, values)
        return [ClosedSend(number, bool(is_dead), size) for number, is_dead, size in rows]

    def remove_closed(self, sends: Sequence[ClosedSend]) -> None:
        """Forget sends that have an outcome."""
        numbers = [(send.number,) for send in sends]
        self._db.executemany("DELETE FROM send WHERE id = ?", numbers)


def row_of(send: OutgoingSend) -> tuple[Any, ...]:
    """Return the columns of a send; the number of a new one is left to SQLite."""
    outcome = send.outcome or SendOutcome("")
    return (
        send.number or None, send.uuid, send.queue, send.request, send.digest, send.made_ms,
        send.attempts, send.first_attempt_ms, send.closed_ms, int(outcome.is_dead),
        outcome.kind, outcome.answer,
    )  # fmt: skip


def _send(row: Sequence[Any]) -> OutgoingSend:
    number, uuid, queue, request, digest, made_ms, attempts, first_ms, closed_ms = row[:9]
    outcome = None if closed_ms is None else SendOutcome(row[10], row[11], bool(row[9]))
    return OutgoingSend(
        uuid, queue, request, digest, made_ms, attempts, first_ms, outcome, closed_ms, number
    )
