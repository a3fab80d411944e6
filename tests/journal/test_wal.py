"""The write-ahead log read without SQLite: as SQLite reads it, and what it would drop."""

import contextlib
import os
import shutil
import sqlite3
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feishu_ws.journal.wal import FRAME_HEADER, HEADER, Wal, checksum, parse_wal

PAGE = 512
STEP = FRAME_HEADER + PAGE


def parse(data, page_size=PAGE):
    """Parse a log that is in memory."""
    return parse_wal(lambda at, size: data[at : at + size], len(data), page_size)


@pytest.fixture(scope="module")
def crashed(tmp_path_factory):
    """A file whose last twenty commits are in its log, as a crash leaves them."""
    directory = tmp_path_factory.mktemp("wal")
    path = directory / "file.db"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute(f"PRAGMA page_size = {PAGE}")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA wal_autocheckpoint = 0")
        db.execute("CREATE TABLE t (a)")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        for n in range(20):
            db.execute("INSERT INTO t VALUES (?)", (bytes([n]) * (100 + 90 * n),))
        shutil.copy(path, directory / "copy.db")
        shutil.copy(f"{path}-wal", directory / "copy.db-wal")
    return directory / "copy.db"


@pytest.fixture(scope="module")
def log(crashed):
    """Its log."""
    return crashed.with_name("copy.db-wal").read_bytes()


def by_sqlite(crashed, log, directory):
    """Return the file that SQLite makes of a log: page by page."""
    path = directory / "file.db"
    shutil.copy(crashed, path)
    path.with_name("file.db-wal").write_bytes(log)
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    data = path.read_bytes()
    return [data[at : at + PAGE] for at in range(0, len(data), PAGE)]


def by_us(crashed, log):
    """Return the same from what we read."""
    wal, data = parse(log), crashed.read_bytes()
    count = wal.pages or len(data) // PAGE
    pages = [data[at : at + PAGE] for at in range(0, count * PAGE, PAGE)]
    for number, at in wal.frames.items():
        if number <= count:
            pages[number - 1] = log[at : at + PAGE]
    return pages


def frames(log):
    """Return (page, pages after the commit) of every frame."""
    return [struct.unpack_from(">II", log, at) for at in range(HEADER, len(log), STEP)]


def commits(log):
    """Return the numbers of the frames that end a commit."""
    return [n for n, (_, commit) in enumerate(frames(log)) if commit]


def spoil(log, at, data=b"\x55" * 16):
    """Return a log with some bytes overwritten."""
    return log[:at] + data + log[at + len(data) :]


def frame_at(number):
    """Return where a frame begins."""
    return HEADER + number * STEP


# -- as SQLite reads it -------------------------------------------------------------------


def test_a_whole_log(crashed, log, tmp_path):
    """A log that a crash left is read as SQLite reads it, and nothing is amiss."""
    wal = parse(log)

    assert by_us(crashed, log) == by_sqlite(crashed, log, tmp_path)
    assert (wal.page_size, wal.strays, wal.is_damaged) == (PAGE, {}, False)
    assert wal.pages == frames(log)[-1][1]


@settings(max_examples=150)
@given(data=st.data())
def test_a_spoilt_log(crashed, log, tmp_path_factory, data):
    """Whatever is overwritten or cut off, the pages are those that SQLite would go by."""
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(log) - 1))
        if data.draw(st.booleans()):
            log = spoil(log, at, data.draw(st.binary(min_size=1, max_size=40)))
        else:
            log = log[: max(at, 1)]
    directory = tmp_path_factory.mktemp("spoilt")

    assert by_us(crashed, log) == by_sqlite(crashed, log, directory)


def test_no_log():
    """A log that is empty, or too short for a header, holds nothing."""
    assert parse(b"") == parse(b"\x37\x7f") == Wal()


def test_a_log_that_began_anew(tmp_path):
    """What an earlier log left behind the end of this one counts for nothing."""
    path = tmp_path / "file.db"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute(f"PRAGMA page_size = {PAGE}")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("CREATE TABLE t (a)")
        for n in range(20):
            db.execute("INSERT INTO t VALUES (?)", (n,))
        db.execute("PRAGMA wal_checkpoint(RESTART)")
        db.execute("INSERT INTO t VALUES (1)")
        wal = parse(path.with_name("file.db-wal").read_bytes())

    assert len(wal.frames) == 1
    assert (wal.strays, wal.is_damaged) == ({}, False)


def signed(log, order):
    """Return a log with its checksums made again, in one order of bytes or the other."""
    head = struct.pack(">I", 0x377F0682 | (order == ">")) + log[4:24]
    seed = checksum(head, (0, 0), order)
    out = head + struct.pack(">II", *seed)
    for at in range(HEADER, len(log), STEP):
        frame = log[at : at + STEP]
        seed = checksum(frame[:8] + frame[FRAME_HEADER:], seed, order)
        out += frame[:16] + struct.pack(">II", *seed) + frame[FRAME_HEADER:]
    return out


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_log_of_another_machine(log, order):
    """The header says in which order the checksums read bytes."""
    assert parse(signed(log, order)).frames == parse(log).frames


# -- what SQLite would drop ---------------------------------------------------------------


def test_damage_in_the_middle(log):
    """A damaged frame with several commits behind it is damage, and they are found."""
    broken = commits(log)[4]
    wal = parse(spoil(log, frame_at(broken) + 100))
    behind = frames(log)[broken + 1 :]

    assert wal.is_damaged
    assert set(wal.strays) >= {page for page, _ in behind}
    assert wal.pages == frames(log)[commits(log)[3]][1]


def test_what_a_crash_leaves(log):
    """One commit at most behind the first bad frame may be what the crash interrupted."""
    *_, before, last = commits(log)
    torn = parse(spoil(log, frame_at(before + 1) + 100))

    assert last > before + 1
    assert not torn.is_damaged
    assert not parse(log[: frame_at(last) + 9]).is_damaged


def test_a_spoilt_header(log):
    """A log without its header is no log for SQLite; its frames are found all the same."""
    for spoilt in (spoil(log, 0), bytes(HEADER) + log[HEADER:], spoil(log, 16), spoil(log, 24)):
        wal = parse(spoilt)

        assert (wal.frames, wal.pages, wal.is_damaged) == ({}, 0, True)
        assert set(wal.strays) >= {page for page, _ in frames(log)[1:]}


def test_a_spoilt_beginning(log):
    """With header and first frames gone, the rest still says how long its pages are."""
    wal = parse(bytes(frame_at(3)) + log[frame_at(3) :], page_size=4096)

    assert (wal.page_size, wal.is_damaged) == (PAGE, True)
    assert set(wal.strays) >= {page for page, _ in frames(log)[4:]}


def test_rubbish_is_no_log():
    """Random bytes and zeros hold nothing."""
    assert parse(os.urandom(20_000)).strays == {}
    assert parse(bytes(20_000)) == Wal()
