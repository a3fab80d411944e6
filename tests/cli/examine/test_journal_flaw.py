"""What a start would not take as a journal, told from its bytes."""

import os
import shutil
import sqlite3
from contextlib import closing

import pytest

from feishu_ws.cli.examine.journal_flaw import find_flaw
from feishu_ws.faults import Fault
from feishu_ws.journal.replace import mark
from feishu_ws.journal.schema import NoJournalError, migrate


@pytest.fixture
def path(tmp_path):
    """A journal as a stopped daemon leaves it, of some pages."""
    path = tmp_path / "journal.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        migrate(db)
        db.executemany("INSERT INTO fact VALUES (?, ?)", ((f"{n}", "x" * 900) for n in range(99)))
        db.commit()
    return path


def files(path):
    return {each.name: each.read_bytes() for each in path.parent.iterdir()}


def test_a_good_one(path):
    """Nothing is wrong with it, and it is left as it is."""
    before = files(path)
    assert find_flaw(path) is None
    assert files(path) == before


def test_none_yet(tmp_path):
    """A start would make it."""
    assert find_flaw(tmp_path / "journal.db") is None
    (tmp_path / "journal.db").touch()
    assert find_flaw(tmp_path / "journal.db") is None


def test_what_is_still_in_the_log_is_not_missing(path, tmp_path):
    """A daemon that was killed leaves a file that is shorter than its log says, and may say."""
    crashed = tmp_path / "crashed"
    crashed.mkdir()
    with closing(sqlite3.connect(path)) as db:
        db.executemany("INSERT INTO fact VALUES (?, ?)", ((f"+{n}", "x" * 900) for n in range(99)))
        db.commit()
        for suffix in ("", "-wal"):
            shutil.copy(f"{path}{suffix}", crashed / f"journal.db{suffix}")
    killed = crashed / "journal.db"
    assert find_flaw(killed) is None
    os.truncate(killed, killed.stat().st_size - 1)
    assert find_flaw(killed) is None


@pytest.mark.parametrize("missing", [1, 4096, 0.5])
def test_one_that_was_cut_short(path, missing):
    """Whatever is missing of its end, down to a byte, is told."""
    whole = path.stat().st_size
    left = whole // 2 if missing == 0.5 else whole - missing
    os.truncate(path, left)
    flaw = find_flaw(path)
    assert flaw.fault is Fault.JOURNAL_CORRUPT
    assert f"cut short: {left} of {whole} bytes" in flaw.detail


def test_another_programs(tmp_path):
    """It is told as a start tells it."""
    with closing(sqlite3.connect(tmp_path / "x.db")) as db:
        db.execute("CREATE TABLE theirs (x)")
    flaw = find_flaw(tmp_path / "x.db")
    assert isinstance(flaw, NoJournalError)
    assert "tables of another program (theirs)" in flaw.detail


def test_one_that_was_found_damaged_before(path):
    """What a daemon found while it ran holds for the next start."""
    mark(path, "a page that makes no sense")
    assert find_flaw(path).detail == "a page that makes no sense"
