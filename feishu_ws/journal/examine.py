"""Whether a journal is whole: what is looked at before anything is written to it.

SQLite writes to a damaged tree as if it were none, and drops the end of a damaged log
without a word. So both are looked at first, in the time that a start may take; what
does not fit into that is for `checkup.py`.
"""

import sqlite3
import threading
import time
from pathlib import Path
from typing import Final

from feishu_ws.faults import Fault, FeishuWsError
from feishu_ws.journal.image import Image
from feishu_ws.journal.replace import marked
from feishu_ws.journal.rows import recognise
from feishu_ws.journal.schema import Origin, another_programs, check_version, origin_of
from feishu_ws.journal.tour import TOURS, Key, step
from feishu_ws.journal.tree import Forest, read_schema

CHECK_S: Final = 0.2  # of a start; enough for some 50 MiB that the system has in memory
_SMALL: Final = ("consumer", "ahead", "attempt", "fact")  # all of it is read at a start anyway
_OK: Final = [("ok",)]


def find_damage(path: Path, *, is_known: bool) -> str | None:
    """Return what is wrong with a journal that SQLite would not notice, None if nothing is.

    Args:
        path: Where it lies.
        is_known: There was a journal once.

    Raises:
        NoJournalError: It is another program's; SQLite was not asked, and made nothing beside it.
        OSError: It may not be read.
    """
    with Image(path, trusting=True) as image:
        if image.is_empty:
            return f"{path} is empty" if is_known and path.exists() else None
        tables, is_whole = read_schema(image, Forest(image))
        if is_whole and origin_of(tables) is Origin.FOREIGN:
            raise another_programs(path, tables)
        if image.wal.is_damaged:
            return f"the log {path}-wal is damaged in the middle"
        if not image.has_file:
            return f"{path} is empty, and its log is not"
        if image.has_header and image.free_list() is None:
            return f"the list of free pages in {path} is damaged"
    return marked(path)


def examine(db: sqlite3.Connection, path: Path, budget_s: float = CHECK_S) -> bool:
    """Look for damage; return whether there was time to look at everything.

    Args:
        db: A connection that only reads.
        path: Of its file, for the message.
        budget_s: How long it may take.

    Raises:
        FeishuWsError: `journal_corrupt`.
        sqlite3.Error: As the disk answers.
    """
    until_s = time.monotonic() + budget_s
    version = check_version(db)
    if not version:
        return True
    for table in _SMALL:
        for row in db.execute(f"SELECT * FROM {table}"):  # noqa: S608 constants
            if recognise(row) is None:
                detail = f"table {table} of {path} has a row that makes no sense"
                raise FeishuWsError(Fault.JOURNAL_CORRUPT, detail)
    found = _quick_check(db, budget_s)
    if found is None:
        return False
    if found != _OK:
        told = " ".join(found[0][0].split())  # SQLite writes it in several lines
        raise FeishuWsError(Fault.JOURNAL_CORRUPT, f"{path}: {told}")
    return _read_through(db, version, until_s)


def _read_through(db: sqlite3.Connection, version: int, until_s: float) -> bool:
    """Read what SQLite's own check does not look into; return whether there was time for all."""
    for tour in (tour for tour in TOURS if tour.since <= version):
        key: Key | None = tour.start
        while key is not None:
            if time.monotonic() > until_s:
                return False
            key = step(db, tour, key)
    return True


def _quick_check(db: sqlite3.Connection, budget_s: float) -> list[tuple[str]] | None:
    """Return what SQLite's own check says, None if it did not end in time.

    Not by a progress handler: SQLite 3.40 checks all trees in one instruction.
    """
    timer = threading.Timer(budget_s, db.interrupt)
    timer.daemon = True
    timer.start()
    try:
        return db.execute("PRAGMA quick_check(1)").fetchall()
    except sqlite3.OperationalError as error:
        if getattr(error, "sqlite_errorname", None) != "SQLITE_INTERRUPT":
            raise
        return None
    finally:
        timer.cancel()
        timer.join()  # after this nothing else is interrupted
