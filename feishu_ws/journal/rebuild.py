"""The new file that a salvage fills: made beside the old one, in its place only at the end.

Nothing else opens it meanwhile, so it needs no log and no syncs but the last one: a
crash leaves half a file under a name that nobody opens.
"""

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final, Self

from feishu_ws.journal.file import FILE_MODE, sync
from feishu_ws.journal.rows import Row, Table, keys_of
from feishu_ws.journal.schema import migrate
from feishu_ws.model import Span

BATCH_ROWS: Final = 256
BATCH_BYTES: Final = 4 * 1024 * 1024  # of payloads, on their way into the file
CACHE_KIB: Final = 32 * 1024  # the index of a million keys; in random order they need it
KEYS_AT_ONCE: Final = 1000
_PRAGMAS: Final = (
    "auto_vacuum = INCREMENTAL",
    "journal_mode = OFF",
    "synchronous = OFF",
    "locking_mode = EXCLUSIVE",
    f"cache_size = -{CACHE_KIB}",
)
_INSERT: Final = {
    Table.EVENT: "INSERT OR IGNORE INTO event VALUES (?,?,?,?,?,?,?,?,?,?,?,?)",
    Table.SEEN: "INSERT OR IGNORE INTO seen VALUES (?,?,?)",
    Table.DEAD: "INSERT OR IGNORE INTO dead VALUES (?,?,?,?,?,?,?)",
    Table.LIFE: "INSERT OR IGNORE INTO life VALUES (?,?,?,?)",
    Table.SEND: """
INSERT OR IGNORE INTO send VALUES (?,?,?,?,?,?,?,?,?,?,?,?)
ON CONFLICT (uuid) DO UPDATE SET queue = excluded.queue, request = excluded.request,
  digest = excluded.digest, made_ms = excluded.made_ms, attempts = excluded.attempts,
  first_attempt_ms = excluded.first_attempt_ms, closed_ms = excluded.closed_ms,
  dead = excluded.dead, kind = excluded.kind, outcome = excluded.outcome
WHERE excluded.kind <> 'damaged' AND (excluded.made_ms > send.made_ms
  OR excluded.made_ms = send.made_ms AND send.closed_ms IS NULL
  AND (excluded.closed_ms IS NOT NULL OR excluded.attempts > send.attempts))
""",  # the newer of two sends of a uuid, and of two images of one the one that went further
    Table.CONSUMER: "INSERT INTO consumer VALUES (?,?,?,?,?)",
    Table.AHEAD: "INSERT INTO ahead VALUES (?,?,?)",
    Table.ATTEMPT: "INSERT INTO attempt VALUES (?,?,?,?,?)",
    Table.FACT: "INSERT INTO fact VALUES (?,?)",
}
_LARGE: Final = {Table.EVENT: 11, Table.SEND: 3}  # and the column that may be
_INSERT_KEY: Final = """
INSERT OR IGNORE INTO seen
SELECT iif(EXISTS (SELECT 1 FROM seen WHERE id = ?2), NULL, ?2), ?1,
  coalesce((SELECT seen_ms FROM seen WHERE id < ?2 ORDER BY id DESC LIMIT 1), ?3)
"""


class Rebuild:
    """A journal in the making. Errors are `sqlite3.Error` and `OSError`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.unlink(missing_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE))
        self._db = sqlite3.connect(path, isolation_level=None)
        self._waiting: dict[Table, list[tuple[Any, ...]]] = {}
        self._waiting_bytes = 0

    def __enter__(self) -> Self:
        try:
            for pragma in _PRAGMAS:
                self._db.execute(f"PRAGMA {pragma}")
            migrate(self._db)
            self._db.execute("BEGIN")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    def add(self, row: Row) -> None:
        """Add a row, unless there is one in its place."""
        waiting = self._waiting.setdefault(row.table, [])
        waiting.append(row.values)
        if row.table in _LARGE:
            self._waiting_bytes += len(row.values[_LARGE[row.table]])
        if len(waiting) >= BATCH_ROWS or self._waiting_bytes >= BATCH_BYTES:
            self._flush()

    def add_all(self, rows: Iterable[Row]) -> None:
        """Add rows."""
        for row in rows:
            self.add(row)

    def _flush(self) -> None:
        for table, rows in self._waiting.items():
            self._db.executemany(_INSERT[table], rows)
        self._waiting.clear()
        self._waiting_bytes = 0

    def count(self, table: Table) -> int:
        """Return how many rows a table has."""
        self._flush()
        (count,) = self._db.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608 constant
        return int(count)

    def span(self) -> tuple[int, int]:
        """Return the first and last position there is, 0 and 0 without any."""
        self._flush()
        query = "SELECT coalesce(min(position), 0), coalesce(max(position), 0) FROM event"
        first, last = self._db.execute(query).fetchone()
        return first, last

    def received_ms(self, position: int) -> int:
        """Return when an event was received."""
        row = self._db.execute("SELECT received_ms FROM event WHERE position = ?", (position,))
        (at_ms,) = row.fetchone()
        return int(at_ms)

    def missing(self, first: int, last: int, limit: int) -> list[Span]:
        """Return up to `limit` spans from `first` to `last` in which there is no event."""
        self._flush()
        query = "SELECT position FROM event WHERE position BETWEEN ? AND ? ORDER BY position"
        found: list[Span] = []
        for (position,) in self._db.execute(query, (first, last)):
            if position > first:
                found.append((first, position - 1))
            first = position + 1
            if len(found) >= limit:
                return found
        return [*found, (first, last)] if first <= last else found

    def add_keys_of_events(self, since_ms: int, tell: Callable[[], None]) -> None:
        """Add the dedupe keys that events have lost, from the first received since then.

        `tell` is called now and then.
        """
        self._flush()
        query = (
            "SELECT max(received_ms, ?1), tenant, event_id, payload FROM event WHERE position >="
            " (SELECT min(position) FROM event WHERE received_ms >= ?1) ORDER BY position"
        )
        found: list[tuple[bytes, int]] = []
        for received_ms, *named in self._db.execute(query, (since_ms,)):
            found += ((key, received_ms) for key in keys_of(*named))
            if len(found) >= KEYS_AT_ONCE:
                self._add_keys(found)
                tell()
        self._add_keys(found)

    def add_keys_of_index(self, rows: Iterable[Row], else_ms: int) -> None:
        """Add keys that only the index has, each about as old as the one before it.

        Args:
            rows: Of the index.
            else_ms: How old those are that nothing was before.
        """
        self._flush()
        self._db.executemany(_INSERT_KEY, ((*row.values, else_ms) for row in rows))

    def _add_keys(self, keys: list[tuple[bytes, int]]) -> None:
        self._db.executemany("INSERT OR IGNORE INTO seen (key, seen_ms) VALUES (?,?)", keys)
        keys.clear()

    def drop_orphans(self) -> None:
        """Remove dead letters whose event is gone."""
        self._flush()
        self._db.execute(
            "DELETE FROM dead WHERE NOT EXISTS"
            " (SELECT 1 FROM event WHERE event.position = dead.position)"
        )

    def finish(self, last: int) -> None:
        """Let positions go on after `last`, and make everything durable."""
        self._flush()
        self._db.execute("DELETE FROM sqlite_sequence WHERE name = 'event'")
        self._db.execute("INSERT INTO sqlite_sequence VALUES ('event', ?)", (last,))
        self._db.execute("COMMIT")
        self._db.close()
        sync(self._path)

    def discard(self) -> None:
        """Remove the file."""
        self._db.close()
        with contextlib.suppress(OSError):
            self._path.unlink()
