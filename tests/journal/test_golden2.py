"""The journal of schema 2 that is out there is opened by every version since."""

import hashlib
import shutil
import sqlite3
from contextlib import closing

from tools import golden, golden2

from feishu_ws.clock import ManualClock
from feishu_ws.faults import Fault
from feishu_ws.happenings import JournalSalvaged
from feishu_ws.journal.schema import MIGRATIONS
from feishu_ws.model import LinkLife, Tried

SHA256 = "673f3c3e67a79db260f955f8e52b9ca528551d4693a4e99a3c3076b10a9ec059"


def tables(db):
    """Return what a file says of its tables and indexes."""
    query = "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY name"
    return db.execute(query).fetchall()


def test_it_is_the_one_that_was_made():
    """The file is never made again: it stands for those that are out there."""
    assert hashlib.sha256(golden2.TARGET.read_bytes()).hexdigest() == SHA256


def test_version_2_is_never_edited():
    """Tables and indexes of the file are, letter by letter, what versions 1 and 2 make."""
    with closing(sqlite3.connect(":memory:")) as made:
        made.executescript("".join(MIGRATIONS[:2]))
        expected = tables(made)
    uri = f"file:{golden2.TARGET}?mode=ro&immutable=1"
    with closing(sqlite3.connect(uri, uri=True)) as found:
        assert tables(found) == expected
        assert found.execute("PRAGMA user_version").fetchone() == (2,)
        assert tuple(found.execute("SELECT * FROM life ORDER BY id")) == golden2.LIVES


async def test_its_lives(open_journal, tmp_path):
    """Lives are read with all that was known of them; a newer program's is left out."""
    path = tmp_path / "journal.db"
    shutil.copy(golden2.TARGET, path)
    opened = open_journal(path=path, clock=ManualClock(golden.NOW_MS + 1000))
    tried = Tried(Fault.DNS_FAILED, "dns", None, 7, 1_794_999_000_500, 1_794_999_030_000)

    assert await opened.journal.lives() == [
        LinkLife(
            0, 1_794_999_000_000, Fault.CONNECTION_LOST, 812.4, "reset by peer", 1006, 3, 0.25,
            {"dns": 0.01, "tcp": 0.02}, (tried,), 1_794_999_045_000,
        ),
        LinkLife(1, 1_794_999_999_000, Fault.LOCAL_STOP, 60.0),
    ]  # fmt: skip
    assert opened.journal.last == golden.LAST
    assert opened.told(JournalSalvaged) == []
