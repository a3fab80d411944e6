"""The journal of schema 3 that is out there is opened by every version since."""

import hashlib
import shutil
import sqlite3
from contextlib import closing

from journal.sends_contract import make_send, uuids
from tools import golden, golden3

from feishu_ws.clock import ManualClock
from feishu_ws.happenings import JournalSalvaged
from feishu_ws.journal.schema import MIGRATIONS
from feishu_ws.journal.sends import row_of

SHA256 = "6f98104977f7f2a3330f583c466803d737130ff4b5f64198d6b290ad365b1791"
NAMES = [row[1] for row in golden3.SENDS]


def tables(db):
    """Return what a file says of its tables and indexes."""
    query = "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY name"
    return db.execute(query).fetchall()


def test_it_is_the_one_that_was_made():
    """The file is never made again: it stands for those that are out there."""
    assert hashlib.sha256(golden3.TARGET.read_bytes()).hexdigest() == SHA256


def test_version_3_is_never_edited():
    """Tables and indexes of the file are, letter by letter, what versions 1 to 3 make."""
    with closing(sqlite3.connect(":memory:")) as made:
        made.executescript("".join(MIGRATIONS[:3]))
        expected = tables(made)
    uri = f"file:{golden3.TARGET}?mode=ro&immutable=1"
    with closing(sqlite3.connect(uri, uri=True)) as found:
        assert tables(found) == expected
        assert found.execute("PRAGMA user_version").fetchone() == (3,)
        assert tuple(found.execute("SELECT * FROM send ORDER BY id")) == golden3.SENDS


async def test_its_sends(open_journal, tmp_path):
    """Sends are read with all that was known of them, and new ones are numbered on."""
    path = tmp_path / "journal.db"
    shutil.copy(golden3.TARGET, path)
    opened = open_journal(path=path, clock=ManualClock(golden.NOW_MS + 1000))
    journal = opened.journal
    found = [await journal.find_send(uuid) for uuid in NAMES]

    assert [row_of(send) for send in found] == list(golden3.SENDS)
    assert uuids(await journal.unfinished_sends()) == ["waits", "tried"]
    assert uuids(await journal.dead_sends()) == ["u" * 50, "late"]
    assert all(send.asks_for(send.request) for send in found if send.request)
    assert (await journal.open_send(make_send("new"))).number == golden3.LAST_NUMBER + 1
    assert journal.last == golden.LAST
    assert len(await journal.lives()) == 2
    assert opened.told(JournalSalvaged) == []
