"""What is looked at before anything is written to a journal."""

import asyncio
import contextlib
import sqlite3
import time

import pytest
from journal import wreck
from journal.wreck import NAME, PAGE

from feishu_ws.faults import Fault, FeishuWsError
from feishu_ws.journal import examine as module
from feishu_ws.journal.examine import examine, find_damage
from feishu_ws.journal.file import connect_reader, explain
from feishu_ws.journal.image import Image
from feishu_ws.journal.pages import Kind
from feishu_ws.journal.replace import mark
from feishu_ws.journal.schema import NoJournalError


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A journal with free pages and a log."""
    return asyncio.run(wreck.build(tmp_path_factory.mktemp("whole")))


@pytest.fixture
def path(whole, tmp_path):
    """A copy of it to be spoilt."""
    return wreck.copy(whole.directory, tmp_path / "copy") / NAME


def spoil(path, at, data):
    """Overwrite some bytes of a file."""
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)


def log(path):
    """Return the log of a journal."""
    return path.with_name(NAME + "-wal")


# -- what SQLite would not notice ---------------------------------------------------------


def test_a_sound_journal(path):
    """Nothing is found where nothing is wrong."""
    assert find_damage(path, is_known=True) is None


def test_a_damaged_log(path):
    """Damage in the middle of the log, or of its header, is found."""
    spoil(log(path), 60_000, b"\xff" * 100)
    in_the_middle = find_damage(path, is_known=False)
    spoil(log(path), 0, bytes(32))

    assert "middle" in in_the_middle
    assert "middle" in find_damage(path, is_known=False)


def test_a_log_whose_file_is_empty_or_gone(path):
    """A log alone is what SQLite would throw away."""
    path.write_bytes(b"")
    empty = find_damage(path, is_known=False)
    path.unlink()

    assert "its log is not" in empty
    assert find_damage(path, is_known=False) == empty


def test_a_damaged_list_of_free_pages(path):
    """A list of free pages that names pages in use would let SQLite write over them."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    trunk = int.from_bytes(path.read_bytes()[32:36], "big")
    spoil(path, (trunk - 1) * PAGE + 8, (3).to_bytes(4, "big") * 2)

    assert "free pages" in find_damage(path, is_known=False)


@pytest.mark.parametrize(
    ("is_known", "there", "found"),
    [(True, True, True), (True, False, False), (False, True, False), (False, False, False)],
)
def test_an_empty_file(tmp_path, is_known, there, found):
    """An empty file is damage where there was a journal once, and new otherwise."""
    path = tmp_path / NAME
    if there:
        path.touch()

    assert (find_damage(path, is_known=is_known) is not None) is found


def test_another_programs_file(tmp_path):
    """A file of another program is refused before SQLite could make anything beside it."""
    path = tmp_path / NAME
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("CREATE TABLE calendar (id INTEGER)")
    before = path.read_bytes()
    with pytest.raises(NoJournalError, match="calendar"):
        find_damage(path, is_known=True)

    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == [NAME]


def test_the_mark(path):
    """What was found while running is known at the start."""
    mark(path, "page 7")

    assert find_damage(path, is_known=False) == "page 7"


# -- what SQLite says ---------------------------------------------------------------------


def looked_at(path, budget_s=10.0):
    """Return whether all was looked at; errors are explained as an opening does it."""
    with contextlib.closing(connect_reader(path)) as db:
        try:
            return examine(db, path, budget_s)
        except sqlite3.Error as error:
            raise explain(error, path) from error


def test_all_of_a_sound_journal(path):
    """A small journal is looked at as a whole."""
    assert looked_at(path)


def test_a_new_file(tmp_path):
    """A file without tables is whole."""
    path = tmp_path / NAME
    path.touch()

    assert looked_at(path)


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE consumer SET filter = x'00' WHERE name = 'bot'",
        "UPDATE consumer SET cursor = 'x' WHERE name = 'bot'",
        "UPDATE ahead SET last = 0",
        "INSERT INTO attempt VALUES ('bot', 1, -1, 0, '')",
        "UPDATE fact SET value = x'00'",
        "UPDATE event SET payload = x'7b7b' WHERE position = 151",
        "DROP TABLE attempt",
        "PRAGMA user_version = 2000",
        "PRAGMA user_version = 0",
        "PRAGMA application_id = 5",
    ],
)
def test_what_makes_no_sense(path, damage):
    """Rows that cannot be loaded or handed on, and tables that are missing, are damage."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute(damage)
    with pytest.raises(FeishuWsError) as refused:
        looked_at(path)

    assert refused.value.fault is Fault.JOURNAL_CORRUPT


def test_a_page_that_makes_no_sense(path):
    """A leaf that is rubbish is found by SQLite's own check."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    data = path.read_bytes()
    with Image(path) as image:
        free = image.free_list()
    pages = (n for n in range(1, image.count) if data[n * PAGE] == Kind.TABLE_LEAF)
    leaf = PAGE * max(n for n in pages if n + 1 not in free)
    spoil(path, leaf, b"\xff" * PAGE)
    with pytest.raises(FeishuWsError, match="database main") as refused:
        looked_at(path)

    assert refused.value.fault is Fault.JOURNAL_CORRUPT


@pytest.mark.parametrize("after_check", [True, False])
def test_no_time(path, monkeypatch, after_check):
    """What does not fit into the time is left, and that is said."""
    if after_check:
        monkeypatch.setattr(module, "_quick_check", lambda *_: [("ok",)])

    assert not looked_at(path, budget_s=0)


def test_a_check_that_takes_too_long(tmp_path):
    """SQLite's own check is interrupted when its time is over, and the connection still works."""
    with contextlib.closing(sqlite3.connect(tmp_path / "large.db", check_same_thread=False)) as db:
        db.execute("CREATE TABLE t (a)")
        numbers = "WITH RECURSIVE n(x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM n LIMIT 40000)"
        db.execute(f"{numbers} INSERT INTO t SELECT zeroblob(2000) FROM n")
        began_s = time.monotonic()
        whole = module._quick_check(db, 60.0)
        took_s = time.monotonic() - began_s
        interrupted = module._quick_check(db, took_s / 20)

        assert (whole, interrupted) == ([("ok",)], None)
        assert db.execute("SELECT count(*) FROM t").fetchone() == (40_000,)
