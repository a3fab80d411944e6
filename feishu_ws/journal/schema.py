"""The tables on disk, and how an older file becomes a current one.

`PRAGMA user_version` is the schema version. Migrations only go forward, each in one
transaction; a file from a newer version is refused and not touched.

    event     one row per position; `flags` = form (bits 0-1), callback (2), from app (3)
    seen      dedupe keys, oldest first by id
    consumer  one row per consumer; `ahead` its settled spans above the cursor
    attempt   deliveries with counted attempts
    dead      dead letters; the event row stays while one names it
    fact      small facts: the journal's id, whether the credentials ever worked
"""

import sqlite3
from typing import Final

from feishu_ws.faults import Fault, FeishuWsError

_VERSION_1: Final = """
CREATE TABLE event (
  position INTEGER PRIMARY KEY AUTOINCREMENT, -- plain rowids are used again once a table is empty
  received_ms INTEGER NOT NULL,
  type TEXT NOT NULL,
  event_id TEXT NOT NULL,
  schema TEXT NOT NULL,
  tenant TEXT NOT NULL,
  app_id TEXT NOT NULL,
  created_ms INTEGER,
  subject TEXT NOT NULL,
  chat_id TEXT NOT NULL,
  flags INTEGER NOT NULL,
  payload BLOB NOT NULL
);
CREATE TABLE seen (
  id INTEGER PRIMARY KEY,
  key BLOB NOT NULL UNIQUE,
  seen_ms INTEGER NOT NULL
);
CREATE TABLE consumer (
  name TEXT PRIMARY KEY,
  filter BLOB NOT NULL,
  cursor INTEGER NOT NULL,
  declared INTEGER NOT NULL,
  last_seen_ms INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE ahead (
  consumer TEXT NOT NULL,
  first INTEGER NOT NULL,
  last INTEGER NOT NULL,
  PRIMARY KEY (consumer, first)
) WITHOUT ROWID;
CREATE TABLE attempt (
  consumer TEXT NOT NULL,
  position INTEGER NOT NULL,
  count INTEGER NOT NULL,
  not_before_ms INTEGER NOT NULL,
  reason TEXT NOT NULL,
  PRIMARY KEY (consumer, position)
) WITHOUT ROWID;
CREATE TABLE dead (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  consumer TEXT NOT NULL,
  position INTEGER NOT NULL,
  reason TEXT NOT NULL,
  note TEXT NOT NULL,
  attempts INTEGER NOT NULL,
  died_ms INTEGER NOT NULL
);
CREATE UNIQUE INDEX dead_by_position ON dead (position, consumer);
CREATE TABLE fact (
  key TEXT PRIMARY KEY,
  value TEXT NOT NULL
) WITHOUT ROWID;
"""

MIGRATIONS: Final[tuple[str, ...]] = (_VERSION_1,)
"""`MIGRATIONS[n]` turns version n into version n + 1."""

VERSION: Final = len(MIGRATIONS)


def check_version(connection: sqlite3.Connection) -> int:
    """Return the file's version, 0 for a new one.

    Raises:
        FeishuWsError: `journal_version`, the file is newer than this program.
        sqlite3.Error: As the disk answers.
    """
    (found,) = connection.execute("PRAGMA user_version").fetchone()
    if found > VERSION:
        raise FeishuWsError(
            Fault.JOURNAL_VERSION,
            f"journal has schema version {found}, this feishu-ws knows up to {VERSION}",
        )
    return int(found)


def migrate(connection: sqlite3.Connection) -> int:
    """Bring the file to the current version, and return that.

    Raises:
        FeishuWsError: `journal_version`, the file is newer than this program.
        sqlite3.Error: As the disk answers.
    """
    for number in range(check_version(connection), VERSION):
        script = MIGRATIONS[number]
        connection.executescript(f"BEGIN;{script};PRAGMA user_version = {number + 1};COMMIT;")
    return VERSION
