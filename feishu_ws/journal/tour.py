"""Ways through everything a journal holds, a few rows at a time.

For finding damage that SQLite does not notice by itself, or only when it comes by.
"""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NamedTuple

from feishu_ws.journal.rows import is_of_shape, is_readable, is_sendable

Key = int | bytes

STEP_BYTES: Final = 512 * 1024  # of payloads in one step


class DamageError(sqlite3.DatabaseError):
    """SQLite noticed nothing, but what it gave cannot be."""

    sqlite_errorname = "SQLITE_CORRUPT"


class Tour(NamedTuple):
    """A way through a table or an index, in the order of its key, which comes first.

    Attributes:
        query: Takes the last key seen, gives some rows above it.
        start: A key below all others.
        has_rowid: The rows are of a table with rowids.
        is_good: Whether what a row holds is still what was stored.
        weighs: The column that may be large.
        since: The version of the schema that brought the table.
    """

    query: str
    start: Key = -1
    has_rowid: bool = True
    is_good: Callable[[Sequence[Any]], bool] | None = None
    weighs: int | None = None
    since: int = 1


TOURS: Final = (
    Tour(
        "SELECT * FROM event WHERE position > ? ORDER BY position LIMIT 128",
        is_good=is_readable,
        weighs=-1,
    ),
    Tour("SELECT * FROM seen WHERE id > ? ORDER BY id LIMIT 2000"),
    Tour(
        "SELECT key, id FROM seen INDEXED BY sqlite_autoindex_seen_1"
        " WHERE key > ? ORDER BY key LIMIT 2000",
        start=b"",
        has_rowid=False,
    ),
    Tour("SELECT * FROM dead WHERE id > ? ORDER BY id LIMIT 500"),
    Tour(
        "SELECT * FROM send WHERE id > ? ORDER BY id LIMIT 500",
        is_good=is_sendable,
        weighs=3,
        since=3,
    ),
)


def step(db: sqlite3.Connection, tour: Tour, after: Key) -> Key | None:
    """Read some rows above a key; return the last one's, None at the end.

    Raises:
        sqlite3.Error: As the disk answers; `DamageError` for what cannot be.
    """
    cursor = db.execute(tour.query, (after,))
    try:
        return _last_key(cursor, tour, after)
    finally:
        cursor.close()  # ends the read transaction at once


def _last_key(rows: Iterator[tuple[Any, ...]], tour: Tour, after: Any) -> Key | None:
    size = 0
    last: Key | None = None
    for row in rows:
        if not is_of_shape(row, has_rowid=tour.has_rowid) or row[0] <= after:
            raise DamageError("a row makes no sense, or is not where it should be")
        if tour.is_good is not None and not tour.is_good(row):
            raise DamageError("an event or a send is not what it was when it was stored")
        size += 0 if tour.weighs is None else len(row[tour.weighs])
        last = after = row[0]
        if size > STEP_BYTES:
            break
    return last
