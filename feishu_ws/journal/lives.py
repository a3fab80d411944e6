"""The lives of links that are kept: the newest in memory, and their table on disk.

They are few and small, so all of them are in memory: what was recorded is there at
once, also while the disk takes nothing. The disk follows with the next commit.
"""

import sqlite3
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from feishu_ws.journal.contract import MOST_LIVES
from feishu_ws.model import LinkLife

STEP_ROWS: Final = 500  # removed in one commit at most; a salvage may bring too many

LifeKey = tuple[int, int]
"""What names a life: its link, and when it ended."""

_SAVE: Final = (
    "INSERT INTO life (link, ended_ms, record) VALUES (?, ?, ?)"
    " ON CONFLICT (link, ended_ms) DO UPDATE SET record = excluded.record"
)
_TRIM: Final = (
    "DELETE FROM life WHERE id IN (SELECT id FROM life WHERE id <="
    " (SELECT id FROM life ORDER BY id DESC LIMIT 1 OFFSET ?) ORDER BY id LIMIT ?)"
)


class Lives:
    """The newest `MOST_LIVES` lives, in the order in which they were first recorded."""

    def __init__(self, lives: Iterable[LinkLife] = ()) -> None:
        self._kept: dict[LifeKey, LinkLife] = {}
        for life in lives:
            self.record(life)

    def record(self, life: LinkLife) -> None:
        """Keep a life, in place of what was known of it."""
        self._kept[life.link, life.ended_ms] = life
        if len(self._kept) > MOST_LIVES:
            self._kept.pop(next(iter(self._kept)))

    def newest(self, since_ms: int, limit: int) -> list[LinkLife]:
        """Return those that reach past `since_ms`: the last `limit`, newest last."""
        found = [life for life in self._kept.values() if _reaches(life, since_ms)]
        return found[max(len(found) - limit, 0) :]

    def values(self) -> list[LinkLife]:
        """Return all of them, newest last."""
        return list(self._kept.values())

    def clear(self) -> None:
        """Keep none."""
        self._kept.clear()

    def __len__(self) -> int:
        return len(self._kept)


def _reaches(life: LinkLife, since_ms: int) -> bool:
    """Whether a life ended, or its link was still away, at or after `since_ms`."""
    return life.back_ms is None or max(life.ended_ms, life.back_ms) >= since_ms


class LifeTable:
    """The SQL; see `store.py`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection

    def load(self) -> list[LinkLife]:
        """Return the newest lives, newest last, without those this program cannot read."""
        query = "SELECT record FROM life ORDER BY id DESC LIMIT ?"
        rows = self._db.execute(query, (MOST_LIVES,)).fetchall()
        return [life for (record,) in reversed(rows) if (life := decode(record)) is not None]

    def save(self, lives: Iterable[LinkLife]) -> None:
        """Write lives in place of what is known of them, and remove what is too old."""
        rows = [(life.link, life.ended_ms, msgspec.json.encode(life)) for life in lives]
        if rows:
            self._db.executemany(_SAVE, rows)
            self._db.execute(_TRIM, (MOST_LIVES, max(STEP_ROWS, len(rows))))


def decode(record: Any) -> LinkLife | None:
    """Return the life that was stored, None if it is none that this program knows."""
    if not isinstance(record, bytes | str):
        return None
    try:
        return msgspec.json.decode(record, type=LinkLife)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
