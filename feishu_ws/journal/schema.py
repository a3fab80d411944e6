"""The tables on disk, and how an older file becomes a current one.

`PRAGMA user_version` is the schema version. Migrations only go forward, each in one
transaction; a file from a newer version is refused and not touched.

    event     one row per position; `flags` = form (bits 0-1), callback (2), from app (3)
    seen      dedupe keys, oldest first by id
    consumer  one row per consumer; `ahead` its settled spans above the cursor
    attempt   deliveries with counted attempts
    dead      dead letters; the event row stays while one names it
    fact      small facts: the journal's id, whether the credentials ever worked
    life      lives of links, oldest first by id; `record` is JSON (since version 2)
    send      outgoing sends in the order made; without `closed_ms` one has no outcome yet,
              and `kind` and `outcome` are empty (since version 3)
"""

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from enum import Enum
from pathlib import Path
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

_VERSION_2: Final = """
CREATE TABLE life (
  id INTEGER PRIMARY KEY,
  link INTEGER NOT NULL,
  ended_ms INTEGER NOT NULL,
  record BLOB NOT NULL,
  UNIQUE (link, ended_ms)
);
"""

_VERSION_3: Final = """
CREATE TABLE send (
  id INTEGER PRIMARY KEY AUTOINCREMENT, -- so that no two images of a row are of different sends
  uuid TEXT NOT NULL UNIQUE,
  queue TEXT NOT NULL,
  request BLOB NOT NULL,
  digest BLOB NOT NULL,
  made_ms INTEGER NOT NULL,
  attempts INTEGER NOT NULL,
  first_attempt_ms INTEGER,
  closed_ms INTEGER,
  dead INTEGER NOT NULL,
  kind TEXT NOT NULL,
  outcome BLOB NOT NULL
);
CREATE INDEX send_by_close ON send (dead, closed_ms);
"""

MIGRATIONS: Final[tuple[str, ...]] = (_VERSION_1, _VERSION_2, _VERSION_3)
"""`MIGRATIONS[n]` turns version n into version n + 1."""

VERSION: Final = len(MIGRATIONS)
APPLICATION_ID: Final = int.from_bytes(b"FsWs", "big")
"""`PRAGMA application_id` of new files; that of older ones is 0."""

_NAMES: Final = frozenset(
    {"event", "seen", "consumer", "ahead", "attempt", "dead", "fact", "life", "send"}
)  # of all versions
_ENOUGH_NAMES: Final = 4  # others may have a table of such a name too, but not of so many
_SQLITES_OWN: Final = "sqlite_"
_SHOWN_NAMES: Final = 5
_MOST_VERSIONS: Final = 1000  # a version beyond is none: the header is damaged


class Origin(Enum):
    """Whose file it is, as far as the names of its tables tell."""

    OURS = "ours"
    FOREIGN = "foreign"
    UNKNOWN = "unknown"


def origin_of(tables: Iterable[str]) -> Origin:
    """Return whose file has these tables."""
    names = {name for name in tables if not name.startswith(_SQLITES_OWN)}
    if len(names & _NAMES) >= _ENOUGH_NAMES:
        return Origin.OURS
    return Origin.FOREIGN if names - _NAMES else Origin.UNKNOWN


class NoJournalError(FeishuWsError):
    """The file has nothing of a journal. It is not touched: it may be somebody's."""

    hint = "set journal.path to another file, or move this one away to start a new journal"

    def __init__(self, path: Path, seen: str) -> None:
        super().__init__(Fault.JOURNAL_CORRUPT, f"{path} is no journal of feishu-ws: {seen}")


def check_version(connection: sqlite3.Connection) -> int:
    """Return the file's version, 0 for a new one.

    Raises:
        FeishuWsError: `journal_version`, the file is newer than this program.
        sqlite3.Error: As the disk answers.
    """
    (found,) = connection.execute("PRAGMA user_version").fetchone()
    if not 0 <= found <= _MOST_VERSIONS:
        raise FeishuWsError(Fault.JOURNAL_CORRUPT, f"journal has schema version {found}")
    if found > VERSION:
        raise FeishuWsError(
            Fault.JOURNAL_VERSION,
            f"journal has schema version {found}, this feishu-ws knows up to {VERSION}",
        )
    return int(found)


def check_tables(connection: sqlite3.Connection, path: Path) -> None:
    """See that the file has the tables its version says, none where it is new.

    Raises:
        NoJournalError: It is another program's.
        FeishuWsError: `journal_corrupt`.
        sqlite3.Error: As the disk answers.
    """
    tables, found = _read_schema(connection)
    if origin_of(tables) is Origin.FOREIGN:
        raise another_programs(path, tables)
    version = check_version(connection)
    expected = _schema_of(version)
    wrong = {name for name, sql in expected.items() if found.get(name) != sql}
    wrong |= tables & _NAMES - expected.keys()
    (mark,) = connection.execute("PRAGMA application_id").fetchone()
    if mark not in ({0, APPLICATION_ID} if version else {0}):
        wrong.add(f"application id {mark}")
    if wrong:
        told = ", ".join(sorted(wrong))
        detail = f"the schema of {path} is not that of version {version}: {told}"
        raise FeishuWsError(Fault.JOURNAL_CORRUPT, detail)


def another_programs(path: Path, tables: Iterable[str]) -> NoJournalError:
    """Return the refusal of a file with such tables."""
    shown = ", ".join(sorted(set(tables) - _NAMES)[:_SHOWN_NAMES])
    return NoJournalError(path, f"it has tables of another program ({shown})")


def _read_schema(connection: sqlite3.Connection) -> tuple[set[str], dict[str, str]]:
    """Return the names of all tables, and how tables and indexes are made."""
    rows = connection.execute("SELECT type, name, sql FROM sqlite_master").fetchall()
    tables = {name for kind, name, _ in rows if kind == "table"}
    return tables, {name: sql for _, name, sql in rows if sql}


def _schema_of(version: int) -> dict[str, str]:
    """Return how tables and indexes of a version are made."""
    with closing(sqlite3.connect(":memory:")) as db:
        for script in MIGRATIONS[:version]:
            db.executescript(script)
        _, made = _read_schema(db)
    return made


def migrate(connection: sqlite3.Connection) -> int:
    """Bring the file to the current version, and return that.

    Raises:
        FeishuWsError: `journal_version`, the file is newer than this program.
        sqlite3.Error: As the disk answers.
    """
    for number in range(check_version(connection), VERSION):
        script = MIGRATIONS[number]
        mark = f"PRAGMA application_id = {APPLICATION_ID};" if number == 0 else ""
        connection.executescript(f"BEGIN;{mark}{script};PRAGMA user_version = {number + 1};COMMIT;")
    return VERSION
