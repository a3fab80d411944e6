"""The file: who may open it, how it is opened, and what its errors mean."""

import errno
import os
import sqlite3

import pytest

from feishu_ws.faults import Fault, FeishuWsError
from feishu_ws.journal import file
from feishu_ws.journal.file import (
    connect_reader,
    connect_writer,
    disk_space,
    explain,
    explain_os,
    make_private,
    sync,
)


def sqlite_error(name):
    """Return an error with one of SQLite's names."""
    error = sqlite3.OperationalError("what SQLite said")
    error.sqlite_errorname = name
    return error


@pytest.fixture
def path(tmp_path):
    """A new file, open for writing."""
    path = tmp_path / "journal.db"
    make_private(path)
    connection = connect_writer(path)
    yield path
    connection.close()


def modes(path):
    """Return the modes of the journal's files by suffix."""
    return {
        found.name.removeprefix(path.name): found.stat().st_mode & 0o777
        for found in path.parent.glob(path.name + "*")
    }


def test_all_files_are_private(path):
    """Neither the file nor its WAL and index can be read by others, whatever the umask."""
    assert modes(path) == {"": 0o600, "-wal": 0o600, "-shm": 0o600}


def test_files_that_are_too_open_are_closed(tmp_path):
    """Files left by something more generous are made private."""
    path = tmp_path / "journal.db"
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).touch(0o644)
    make_private(path)

    assert set(modes(path).values()) == {0o600}


def test_a_file_is_made_where_only_a_directory_is(tmp_path):
    """A missing directory is named; it is not made."""
    with pytest.raises(FeishuWsError, match="nowhere") as failed:
        make_private(tmp_path / "nowhere" / "journal.db")

    assert failed.value.fault is Fault.JOURNAL_IO


def test_settings_the_promises_rest_on(path):
    """Every commit is synced, the WAL is ours to move, and free pages can be given back."""
    connection = connect_writer(path)
    found = {
        name: connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("synchronous", "journal_mode", "wal_autocheckpoint", "auto_vacuum")
    }
    connection.close()

    assert found == {
        "synchronous": 2,
        "journal_mode": "wal",
        "wal_autocheckpoint": 0,
        "auto_vacuum": 2,
    }


def test_what_is_cached_is_bounded(path):
    """Each connection keeps so many KiB of pages and no more; negative is SQLite's way to say KiB."""
    writer, reader = connect_writer(path), connect_reader(path)
    found = [each.execute("PRAGMA cache_size").fetchone()[0] for each in (writer, reader)]
    writer.close()
    reader.close()

    assert found == [-1024, -256]


def test_the_reader_cannot_write(path):
    """The reading connection refuses to write."""
    reader = connect_reader(path)
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader.execute("DELETE FROM event")
    reader.close()


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("SQLITE_FULL", Fault.DISK_FULL),
        ("SQLITE_READONLY", Fault.JOURNAL_READ_ONLY),
        ("SQLITE_READONLY_DBMOVED", Fault.JOURNAL_READ_ONLY),
        ("SQLITE_CORRUPT", Fault.JOURNAL_CORRUPT),
        ("SQLITE_CORRUPT_INDEX", Fault.JOURNAL_CORRUPT),
        ("SQLITE_NOTADB", Fault.JOURNAL_CORRUPT),
        ("SQLITE_IOERR_FSYNC", Fault.JOURNAL_IO),
        ("SQLITE_BUSY", Fault.JOURNAL_IO),
        (None, Fault.JOURNAL_IO),
    ],
)
def test_what_an_error_means(path, name, fault):
    """SQLite's names become faults, with the path and what was said."""
    error = sqlite_error(name) if name else sqlite3.InterfaceError("what SQLite said")
    explained = explain(error, path)

    assert explained.fault is fault
    assert str(path) in explained.detail
    assert "what SQLite said" in explained.detail


@pytest.mark.parametrize(
    ("number", "fault"),
    [
        (errno.EROFS, Fault.JOURNAL_READ_ONLY),
        (errno.ENOSPC, Fault.DISK_FULL),
        (errno.EDQUOT, Fault.DISK_FULL),
        (errno.EIO, Fault.JOURNAL_IO),
    ],
)
@pytest.mark.parametrize("call", ["open", "pwrite"])
def test_an_io_error_is_looked_into(path, monkeypatch, call, number, fault):
    """Behind an I/O error a write beside the journal tells a full or read-only disk from a broken one."""

    def refuse(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(file.os, call, refuse)

    assert explain(sqlite_error("SQLITE_IOERR_WRITE"), path).fault is fault


def test_half_a_write_is_a_full_disk(path, monkeypatch):
    """A disk that takes only part of what is written beside the journal is full."""
    monkeypatch.setattr(file.os, "pwrite", lambda fd, data, offset: len(data) // 2)

    assert explain(sqlite_error("SQLITE_IOERR_SHMSIZE"), path).fault is Fault.DISK_FULL


def test_looking_into_an_error_leaves_nothing_behind(path):
    """The write beside the journal is removed again."""
    explain(sqlite_error("SQLITE_IOERR"), path)

    assert set(modes(path)) == {"", "-wal", "-shm"}


def test_a_text_that_is_none(path):
    """A text that is not UTF-8 is damage, and what it says is told to nobody."""
    connection = connect_writer(path)
    connection.execute("INSERT INTO fact VALUES ('a', cast(x'ff414243' AS TEXT))")
    with pytest.raises(sqlite3.OperationalError) as failed:
        connection.execute("SELECT value FROM fact").fetchall()
    connection.close()
    explained = explain(failed.value, path)

    assert explained.fault is Fault.JOURNAL_CORRUPT
    assert "ABC" in str(failed.value)
    assert "ABC" not in explained.detail


@pytest.mark.parametrize(
    ("number", "fault"),
    [
        (errno.EROFS, Fault.JOURNAL_READ_ONLY),
        (errno.ENOSPC, Fault.DISK_FULL),
        (errno.EDQUOT, Fault.DISK_FULL),
        (errno.EACCES, Fault.JOURNAL_IO),
    ],
)
def test_what_an_error_of_the_system_means(number, fault):
    """Errors of the system are named like those of SQLite, with what could not be done."""
    explained = explain_os(OSError(number, os.strerror(number)), "cannot do this")

    assert explained.fault is fault
    assert explained.detail == f"cannot do this: {os.strerror(number)}"


def test_another_programs_file(tmp_path):
    """A reader refuses a file whose tables are another program's."""
    other = sqlite3.connect(tmp_path / "other.db")
    other.execute("CREATE TABLE calendar (id INTEGER)")
    other.close()
    with pytest.raises(FeishuWsError, match="calendar"):
        connect_reader(tmp_path / "other.db")


def test_what_is_synced(tmp_path):
    """Files and directories can be made durable; one that is not there is an error."""
    sync(tmp_path)
    with pytest.raises(FileNotFoundError):
        sync(tmp_path / "nothing")


def test_a_file_system_that_syncs_no_directories(tmp_path, monkeypatch):
    """Where a directory cannot be synced that is not held against it; other errors are."""
    numbers = [errno.EINVAL, errno.EIO]

    def refuse(_):
        raise OSError(numbers.pop(0), "")

    monkeypatch.setattr(file.os, "fsync", refuse)
    sync(tmp_path)
    with pytest.raises(OSError):
        sync(tmp_path)


def test_disk_space(tmp_path):
    """What is free where the journal lies is a part of what there is; 0 where it cannot be told."""
    free, there_is = disk_space(tmp_path / "journal.db")

    assert 0 < free <= there_is
    assert disk_space(tmp_path / "nowhere" / "journal.db") == (0, 0)
