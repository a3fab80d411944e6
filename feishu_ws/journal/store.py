"""The SQL. One connection that writes, one that reads; each used by one thread.

Methods that write do so inside a transaction their caller began. Errors are
`sqlite3.Error`; `file.explain` turns one into a fault.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from feishu_ws.journal.ledger import ConsumerState
from feishu_ws.journal.lives import LifeTable
from feishu_ws.journal.sends import SendTable
from feishu_ws.model import Attempt, DeadLetter, Envelope, Event, Filter, Form, Span

_ROWS_AT_ONCE: Final = (32, 8, 1)  # one statement, one release of the interpreter lock
_KEYS_AT_ONCE: Final = 256
_KEYS_STEP: Final = 32  # each length is a statement kept prepared: 0.8 MB for all of them
_EVENT_COLUMNS: Final = (
    "position, received_ms, type, event_id, schema, tenant, app_id, created_ms,"
    " subject, chat_id, flags, payload"
)
_INSERT_EVENT: Final = f"INSERT INTO event ({_EVENT_COLUMNS}) VALUES "  # noqa: S608 constant
_HEAD_COLUMNS: Final = "position, received_ms, type, chat_id, flags"
_CALLBACK: Final = 4
_FROM_APP: Final = 8


# -- rows ---------------------------------------------------------------------------------


def _row(position: int, event: Event) -> tuple[Any, ...]:
    e = event.envelope
    flags = e.form | (_CALLBACK if e.is_callback else 0) | (_FROM_APP if e.from_app else 0)
    return (
        position, event.received_ms, e.type, e.event_id, e.schema, e.tenant, e.app_id,
        e.created_ms, e.subject, e.chat_id, flags, event.payload,
    )  # fmt: skip


def _event(row: Sequence[Any]) -> Event:
    flags = row[10]
    envelope = Envelope(
        type=row[2],
        event_id=row[3],
        schema=row[4],
        tenant=row[5],
        app_id=row[6],
        created_ms=row[7],
        subject=row[8],
        chat_id=row[9],
        from_app=bool(flags & _FROM_APP),
        is_callback=bool(flags & _CALLBACK),
        form=Form(flags & 3),
    )
    return Event(envelope, row[11], row[1], position=row[0])


class Head(msgspec.Struct, frozen=True, gc=False):
    """A row without its payload: what filters and ages are decided on."""

    position: int
    received_ms: int
    envelope: Envelope
    is_dead: bool = False
    size: int = 0


def _head(row: Sequence[Any]) -> Head:
    envelope = Envelope(type=row[2], chat_id=row[3], from_app=bool(row[4] & _FROM_APP))
    extra = row[5:] or (False, 0)
    return Head(row[0], row[1], envelope, bool(extra[0]), extra[1])


_LETTER_COLUMNS: Final = (
    "dead.consumer, position, dead.reason, dead.note, dead.attempts, dead.died_ms,"
    " received_ms, type, event_id, chat_id, flags, length(payload)"
)
_LETTERS: Final = f"SELECT {_LETTER_COLUMNS} FROM dead JOIN event USING (position) WHERE "  # noqa: S608 constant


def _letter(row: Sequence[Any]) -> DeadLetter:
    envelope = Envelope(
        type=row[7],
        event_id=row[8],
        chat_id=row[9],
        from_app=bool(row[10] & _FROM_APP),
        is_callback=bool(row[10] & _CALLBACK),
    )
    consumer, position, reason, note, attempts, died_ms, received_ms = row[:7]
    return DeadLetter(
        consumer, position, reason, note, attempts, died_ms, received_ms, envelope, row[11]
    )


class Store:
    """What the journal asks of the file."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection
        self.lives = LifeTable(connection)
        self.sends = SendTable(connection)

    def close(self) -> None:
        """Close the connection."""
        self._db.close()

    # -- transactions ---------------------------------------------------------------------

    def begin(self) -> None:
        """Begin to write."""
        self._db.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        """Make it durable: returns after the fsync of the WAL."""
        self._db.execute("COMMIT")

    def rollback(self) -> None:
        """Give up what was written since `begin`, if anything was begun."""
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")

    def checkpoint(self) -> int:
        """Move the WAL into the file as far as readers allow; return its pages left."""
        _, in_wal, moved = self._db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        return max(in_wal - moved, 0) if in_wal >= 0 else 0

    # -- events and keys ------------------------------------------------------------------

    def last_position(self) -> int:
        """Return the highest position ever given out."""
        row = self._db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'event'").fetchone()
        return row[0] if row else 0

    def known_keys(self, keys: Sequence[bytes]) -> set[bytes]:
        """Return those of `keys` that were seen."""
        known: set[bytes] = set()
        for at in range(0, len(keys), _KEYS_AT_ONCE):
            part = list(keys[at : at + _KEYS_AT_ONCE])
            part += part[-1:] * (-len(part) % _KEYS_STEP)  # asking twice costs next to nothing
            marks = ",".join("?" * len(part))
            query = f"SELECT key FROM seen WHERE key IN ({marks})"  # noqa: S608 question marks only
            known.update(row[0] for row in self._db.execute(query, part))
        return known

    def add_keys(self, keys: Iterable[bytes], seen_ms: int) -> None:
        """Remember keys as seen."""
        self._insert(
            "INSERT OR IGNORE INTO seen (key, seen_ms) VALUES ", [(k, seen_ms) for k in keys]
        )

    def add_events(self, first: int, events: Sequence[Event]) -> None:
        """Insert events at positions that ascend from `first`."""
        self._insert(_INSERT_EVENT, [_row(p, e) for p, e in enumerate(events, start=first)])

    def _insert(self, head: str, rows: Sequence[tuple[Any, ...]]) -> None:
        at = 0
        for size in _ROWS_AT_ONCE:
            while len(rows) - at >= size:
                marks = "(" + ",".join("?" * len(rows[at])) + ")"
                values = [value for row in rows[at : at + size] for value in row]
                self._db.execute(head + ",".join([marks] * size), values)
                at += size

    def events_after(self, position: int, max_events: int, max_bytes: int) -> list[Event]:
        """Return events above `position`: at least one if there is one, then up to the bounds."""
        found: list[Event] = []
        size = 0
        query = f"SELECT {_EVENT_COLUMNS} FROM event WHERE position > ? ORDER BY position LIMIT ?"  # noqa: S608 constant
        cursor = self._db.execute(query, (position, max_events))
        for row in cursor:
            size += len(row[11])
            if found and size > max_bytes:
                break
            found.append(_event(row))
        cursor.close()  # ends the read transaction at once
        return found

    def heads_after(self, position: int, limit: int) -> list[Head]:
        """Return up to `limit` rows above `position`, without payloads."""
        query = f"SELECT {_HEAD_COLUMNS} FROM event WHERE position > ? ORDER BY position LIMIT ?"  # noqa: S608 constant
        return [_head(row) for row in self._db.execute(query, (position, limit))]

    def prunable_after(self, position: int, limit: int) -> list[Head]:
        """Like `heads_after`, with sizes and whether a dead letter names the row."""
        query = (
            f"SELECT {_HEAD_COLUMNS}, EXISTS (SELECT 1 FROM dead WHERE dead.position = event.position),"  # noqa: S608 constant
            " length(payload) FROM event WHERE position > ? ORDER BY position LIMIT ?"
        )
        return [_head(row) for row in self._db.execute(query, (position, limit))]

    def first_since(self, received_ms: int) -> int:
        """Return the first position received at or after `received_ms`, 0 if there is none.

        Positions ascend with time, so this halves its way to it without an index.
        """
        low = self.first_position()
        (high,) = self._db.execute("SELECT coalesce(max(position), -1) FROM event").fetchone()
        found = 0
        while low <= high:
            middle = (low + high) // 2
            row = self._db.execute(
                "SELECT position, received_ms FROM event WHERE position >= ? ORDER BY position LIMIT 1",
                (middle,),
            ).fetchone()
            if row is None or row[1] >= received_ms:
                found = row[0] if row else found
                high = middle - 1
            else:
                low = row[0] + 1
        return found

    def remove_events(self, positions: Sequence[int]) -> None:
        """Remove rows; their positions are never used again."""
        self._db.executemany("DELETE FROM event WHERE position = ?", [(p,) for p in positions])

    def remove_dead(self, positions: Sequence[int]) -> None:
        """Remove the dead letters of positions."""
        self._db.executemany("DELETE FROM dead WHERE position = ?", [(p,) for p in positions])

    def keys_after(self, key_id: int, limit: int) -> list[tuple[int, int]]:
        """Return ids and times of up to `limit` keys above `key_id`, oldest first."""
        query = "SELECT id, seen_ms FROM seen WHERE id > ? ORDER BY id LIMIT ?"
        return self._db.execute(query, (key_id, limit)).fetchall()

    def remove_keys(self, first: int, last: int, before_ms: int) -> int:
        """Remove the keys from id `first` to `last` seen before `before_ms`; return how many."""
        query = "DELETE FROM seen WHERE id BETWEEN ? AND ? AND seen_ms < ?"
        return self._db.execute(query, (first, last, before_ms)).rowcount

    # -- sizes ----------------------------------------------------------------------------

    def pages(self) -> tuple[int, int, int]:
        """Return pages of the file, free pages in it, and bytes per page."""
        (pages,) = self._db.execute("PRAGMA page_count").fetchone()
        (free,) = self._db.execute("PRAGMA freelist_count").fetchone()
        (size,) = self._db.execute("PRAGMA page_size").fetchone()
        return pages, free, size

    def compact(self, pages: int) -> None:
        """Give up to `pages` free pages back to the file system."""
        # Not `execute`: it takes one step of a statement without columns, and one step is one page.
        self._db.executescript(f"PRAGMA incremental_vacuum({pages})")

    def first_position(self) -> int:
        """Return the first position that exists, 0 if there is none."""
        (first,) = self._db.execute("SELECT coalesce(min(position), 0) FROM event").fetchone()
        return int(first)

    def has_dead(self) -> bool:
        """Whether there is a dead letter."""
        return self._db.execute("SELECT 1 FROM dead LIMIT 1").fetchone() is not None

    def count_dead(self) -> int:
        """Return the number of dead letters."""
        (dead,) = self._db.execute("SELECT count(*) FROM dead").fetchone()
        return int(dead)

    def is_dead(self, consumer: str, position: int) -> bool:
        """Whether there is such a dead letter."""
        query = "SELECT 1 FROM dead WHERE position = ? AND consumer = ?"
        return self._db.execute(query, (position, consumer)).fetchone() is not None

    def dead_after(self, position: int, limit: int, consumer: str | None) -> list[DeadLetter]:
        """Return dead letters above `position` in its order: `limit`, and the rest of the last."""
        whose, who = _whose(consumer)
        query = f"{_LETTERS} position > ? {whose} ORDER BY position, dead.consumer LIMIT ?"
        rows = self._db.execute(query, (position, *who, limit)).fetchall()
        if len(rows) == limit and consumer is None:
            query = f"{_LETTERS} position = ? AND dead.consumer > ? ORDER BY dead.consumer"
            rows += self._db.execute(query, (rows[-1][1], rows[-1][0])).fetchall()
        return [_letter(row) for row in rows]

    def dead_at(self, positions: Iterable[int], consumer: str | None) -> list[DeadLetter]:
        """Return the dead letters of some positions."""
        whose, who = _whose(consumer)
        query = f"{_LETTERS} position = ? {whose} ORDER BY dead.consumer"
        return [_letter(row) for p in positions for row in self._db.execute(query, (p, *who))]

    def dead_counts(self) -> dict[str, int]:
        """Return the number of dead letters of each consumer that has some."""
        query = "SELECT consumer, count(*) FROM dead GROUP BY consumer"
        return dict(self._db.execute(query).fetchall())

    def newest_ms(self) -> int:
        """Return when the newest event was received, 0 if there is none."""
        query = "SELECT received_ms FROM event ORDER BY position DESC LIMIT 1"
        row = self._db.execute(query).fetchone()
        return row[0] if row else 0

    # -- consumers ------------------------------------------------------------------------

    def load_consumers(self) -> list[ConsumerState]:
        """Return every consumer as it was last made durable."""
        states = []
        query = "SELECT name, filter, cursor, declared, last_seen_ms FROM consumer"
        for name, wanted, cursor, declared, seen_ms in self._db.execute(query).fetchall():
            state = ConsumerState(
                name, msgspec.json.decode(wanted, type=Filter), cursor, self._load_ahead(name)
            )
            state.declared, state.last_seen_ms = bool(declared), seen_ms
            state.attempts = self._load_attempts(name)
            states.append(state)
        return states

    def _load_ahead(self, name: str) -> tuple[Span, ...]:
        query = "SELECT first, last FROM ahead WHERE consumer = ? ORDER BY first"
        return tuple(self._db.execute(query, (name,)).fetchall())

    def _load_attempts(self, name: str) -> dict[int, Attempt]:
        query = "SELECT position, count, not_before_ms, reason FROM attempt WHERE consumer = ?"
        return {row[0]: Attempt(*row[1:]) for row in self._db.execute(query, (name,))}

    def save_consumer(self, state: ConsumerState) -> None:
        """Write a consumer's own row."""
        self._db.execute(
            "INSERT OR REPLACE INTO consumer VALUES (?, ?, ?, ?, ?)",
            (
                state.name, msgspec.json.encode(state.wanted.filter), state.settled.cursor,
                int(state.declared), state.last_seen_ms,
            ),
        )  # fmt: skip

    def save_ahead(self, name: str, gone: Iterable[Span], new: Iterable[Span]) -> None:
        """Replace some of a consumer's spans."""
        self._db.executemany(
            "DELETE FROM ahead WHERE consumer = ? AND first = ?", [(name, f) for f, _ in gone]
        )
        self._db.executemany(
            "INSERT OR REPLACE INTO ahead VALUES (?, ?, ?)", [(name, *span) for span in new]
        )

    def save_attempts(self, name: str, gone: Iterable[int], new: dict[int, Attempt]) -> None:
        """Replace some of a consumer's attempts."""
        self._db.executemany(
            "DELETE FROM attempt WHERE consumer = ? AND position = ?", [(name, p) for p in gone]
        )
        self._db.executemany(
            "INSERT OR REPLACE INTO attempt VALUES (?, ?, ?, ?, ?)",
            [(name, p, a.count, a.not_before_ms, a.reason) for p, a in new.items()],
        )

    def remove_consumer(self, name: str) -> None:
        """Remove a consumer; its dead letters stay."""
        for table, column in (("consumer", "name"), ("ahead", "consumer"), ("attempt", "consumer")):
            self._db.execute(f"DELETE FROM {table} WHERE {column} = ?", (name,))  # noqa: S608 constants

    def add_dead(
        self, consumer: str, position: int, reason: str, attempt: Attempt, died_ms: int
    ) -> None:
        """Write a dead letter in place of an earlier one."""
        self._db.execute(
            "INSERT OR REPLACE INTO dead (consumer, position, reason, note, attempts, died_ms)"
            " SELECT ?, position, ?, ?, ?, ? FROM event WHERE position = ?",
            (consumer, reason, attempt.reason, attempt.count, died_ms, position),
        )

    def remove_letters(self, letters: Iterable[tuple[str, int]]) -> None:
        """Remove dead letters, each of a consumer and a position."""
        self._db.executemany("DELETE FROM dead WHERE consumer = ? AND position = ?", letters)

    # -- facts ----------------------------------------------------------------------------

    def load_facts(self) -> dict[str, str]:
        """Return all facts."""
        return dict(self._db.execute("SELECT key, value FROM fact").fetchall())

    def save_fact(self, key: str, value: str | None) -> None:
        """Write a fact, or remove it (None)."""
        if value is None:
            self._db.execute("DELETE FROM fact WHERE key = ?", (key,))
        else:
            self._db.execute("INSERT OR REPLACE INTO fact VALUES (?, ?)", (key, value))


def _whose(consumer: str | None) -> tuple[str, tuple[str, ...]]:
    """Return the condition that picks a consumer's dead letters, and its values."""
    return ("", ()) if consumer is None else ("AND dead.consumer = ?", (consumer,))
