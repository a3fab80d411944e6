"""Lives of links on disk: across restarts, faults, older files and a salvage."""

import shutil
import sqlite3
from contextlib import closing

from journal.contract import append, make_event
from support import eventually
from tools import golden

from feishu_ws.clock import ManualClock
from feishu_ws.faults import Fault
from feishu_ws.happenings import JournalSalvaged
from feishu_ws.journal.contract import MOST_LIVES
from feishu_ws.journal.schema import VERSION
from feishu_ws.model import LinkLife


def life(n, **more):
    """Return the nth life of link 0."""
    return LinkLife(0, n, Fault.CONNECTION_LOST, 5.0, **more)


def on_disk(path):
    """Return how many lives a reader of the file sees."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        return db.execute("SELECT count(*) FROM life").fetchone()[0]


async def test_a_life_survives_a_restart(open_journal):
    """What was recorded is written without anybody waiting, and read at the next start."""
    opened = open_journal()
    opened.journal.record_life(life(1))
    await eventually(lambda: on_disk(opened.path) == 1)
    opened.journal.record_life(life(2, back_ms=7))
    await opened.journal.close(5)

    assert await open_journal().journal.lives() == [life(1), life(2, back_ms=7)]


async def test_a_disk_that_takes_nothing(open_journal):
    """Lives are seen meanwhile, no more of them than are kept, and written when it is well."""
    opened = open_journal()
    opened.disk.fail("commit")
    for n in range(MOST_LIVES + 50):
        opened.journal.record_life(life(n))
    await eventually(lambda: opened.journal.facts().fault is not None)
    owed = len(opened.journal._writer._owed.lives)
    seen = await opened.journal.lives()
    before = on_disk(opened.path)
    opened.disk.mend()
    await eventually(lambda: on_disk(opened.path) == MOST_LIVES)

    assert (owed, before) == (MOST_LIVES, 0)
    assert [each.ended_ms for each in seen] == list(range(50, MOST_LIVES + 50))
    assert opened.journal._writer._owed.lives.values() == []


async def test_a_journal_of_schema_1(open_journal, tmp_path):
    """An older file gets the table, and has no lives yet."""
    path = tmp_path / "older.db"
    shutil.copy(golden.TARGET, path)
    opened = open_journal(path=path, clock=ManualClock(golden.NOW_MS + 1000))
    before = await opened.journal.lives()
    opened.journal.record_life(life(1))
    await eventually(lambda: on_disk(path) == 1)

    assert before == []
    assert opened.told(JournalSalvaged) == []
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (VERSION,)


async def test_a_salvage_carries_them_over(open_journal):
    """Lives are in the new file as they were in the damaged one."""
    opened = open_journal()
    for n in range(300):
        opened.journal.record_life(life(n, detail="x" * 200))
    await append(opened.journal, make_event("a"))
    await opened.journal.close(5)
    with closing(sqlite3.connect(opened.path)) as db:
        (root,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'seen'").fetchone()
        (size,) = db.execute("PRAGMA page_size").fetchone()
    data = bytearray(opened.path.read_bytes())
    data[(root - 1) * size : root * size] = b"\xff" * size
    opened.path.write_bytes(data)
    again = open_journal()

    assert len(again.told(JournalSalvaged)) == 1
    assert [each.ended_ms for each in await again.journal.lives()] == list(range(300))


async def test_a_damaged_table_costs_only_what_was_in_it(open_journal):
    """Where lives cannot be read the rest of the journal is there all the same."""
    opened = open_journal()
    opened.journal.record_life(life(1))
    await append(opened.journal, make_event("a"))
    await opened.journal.close(5)
    with closing(sqlite3.connect(opened.path)) as db:
        (root,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'life'").fetchone()
        (size,) = db.execute("PRAGMA page_size").fetchone()
    data = bytearray(opened.path.read_bytes())
    data[(root - 1) * size : root * size] = b"\xff" * size
    opened.path.write_bytes(data)
    again = open_journal()

    assert len(again.told(JournalSalvaged)) == 1
    assert await again.journal.lives() == []
    assert [e.position for e in (await again.journal.read(0)).events] == [1]
