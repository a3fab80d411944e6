"""A damaged file as its pages: how long they are, which are in use, and what cannot be read."""

import asyncio
import contextlib
import errno
import os
import sqlite3

import pytest
from journal import wreck
from journal.wreck import NAME, PAGE

from feishu_ws.journal import image as image_module
from feishu_ws.journal.image import DEFAULT_PAGE_SIZE, Image, Liveness
from feishu_ws.journal.pages import Use
from feishu_ws.journal.schema import APPLICATION_ID


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A journal with free pages and a log."""
    return asyncio.run(wreck.build(tmp_path_factory.mktemp("whole")))


@pytest.fixture
def journal(whole, tmp_path):
    """A copy of it to be spoilt."""
    return wreck.copy(whole.directory, tmp_path / "copy") / NAME


def spoil(path, at, data):
    """Overwrite some bytes of a file."""
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)


def made(path, page_size, *, rows=400):
    """Make a file of some other program's, or of ours on another machine."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA page_size = {page_size}")
        db.execute("CREATE TABLE t (a)")
        db.executemany("INSERT INTO t VALUES (?)", [(f"row {n}" * 9,) for n in range(rows)])
        db.commit()
    return path


# -- how long pages are -------------------------------------------------------------------


@pytest.mark.parametrize("page_size", [512, 1024, 4096, 32_768, 65_536])
@pytest.mark.parametrize("damage", [None, (16, b"\x20\x00"), (0, os.urandom(100)), (20, b"\x40")])
def test_how_long_pages_are(tmp_path, page_size, damage):
    """The file itself says how long its pages are, whatever its header does."""
    path = made(tmp_path / "file.db", page_size)
    if damage is not None:
        spoil(path, *damage)
    with Image(path) as image:
        assert (image.page_size, image.usable) == (page_size, page_size)


def test_bytes_kept_free(tmp_path):
    """Where SQLite was told to leave some bytes of each page alone, they are left alone."""
    path = made(tmp_path / "file.db", 4096)
    data = path.read_bytes()
    spoil(path, 20, b"\x08")
    with Image(path, trusting=True) as image:
        assert (image.page_size, image.usable) == (4096, 4088)
    assert data[20] == 0


def test_a_header_that_is_trusted(tmp_path):
    """What SQLite believes is believed where it is asked for."""
    path = made(tmp_path / "file.db", 4096)
    spoil(path, 16, b"\x20\x00")
    with Image(path, trusting=True) as image:
        assert image.page_size == 8192


@pytest.mark.parametrize("content", [b"", b"x", os.urandom(30_000), b"hello\n" * 999])
def test_what_is_no_database(tmp_path, content):
    """Anything else has pages of the usual length, and nothing that makes sense."""
    (tmp_path / "file.db").write_bytes(content)
    with Image(tmp_path / "file.db") as image:
        assert image.page_size == DEFAULT_PAGE_SIZE
        assert not image.has_header
        assert image.application_id == 0
        assert image.free_list() is None
        assert image.is_empty is not content


def test_nothing_at_all(tmp_path):
    """A file that is not there is empty."""
    with Image(tmp_path / "file.db") as image:
        assert (image.is_empty, image.has_file, image.count) == (True, False, 0)
        assert (image.page(0), image.page(1), image.stray(1)) == (None, None, None)


# -- the pages ----------------------------------------------------------------------------


def test_the_log_lies_over_the_file(journal):
    """A page is as the last commit left it; the log says how many there are."""
    with Image(journal) as image, contextlib.closing(sqlite3.connect(journal)) as db:
        (count,) = db.execute("PRAGMA page_count").fetchone()
        pages = [image.page(number) for number in range(1, image.count + 1)]
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()

    data = journal.read_bytes()
    assert len(pages) == count
    assert b"".join(pages) == data


def test_whose_it_is(journal):
    """The header says that it is ours."""
    with Image(journal) as image:
        assert image.application_id == APPLICATION_ID


def test_an_end_that_was_cut_off(journal):
    """The rest of a page that was cut off reads as zeros; pages behind it are missing."""
    journal.with_name(NAME + "-wal").unlink()
    os.truncate(journal, 20 * PAGE + 100)
    with Image(journal) as image:
        assert image.count == 21
        assert image.page(21)[100:] == bytes(PAGE - 100)
        assert image.page(22) is None


def test_a_sector_that_cannot_be_read(journal, monkeypatch):
    """A page the disk refuses is missing, the others are there."""
    real = os.pread

    def pread(fd, size, at):
        if at == 9 * PAGE:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(fd, size, at)

    journal.with_name(NAME + "-wal").unlink()
    monkeypatch.setattr(image_module.os, "pread", pread)
    with Image(journal) as image:
        assert image.page(10) is None
        assert image.page(11) is not None


# -- what is free -------------------------------------------------------------------------


def free_by_sqlite(path):
    """Return how many pages SQLite calls free."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        return db.execute("PRAGMA freelist_count").fetchone()[0]


def test_free_pages(whole, journal):
    """The list of free pages is read whole, and the pointer map says the same of each."""
    with Image(journal) as image:
        free, uses = image.free_list(), image.uses()
        live = Liveness(image)

    assert len(free) == free_by_sqlite(journal) > 1
    assert {number for number, use in enumerate(uses) if use == Use.FREE} == free
    assert all(live.is_free(number) for number in free)
    assert not any(live.is_certain(number) for number in free)
    assert {at // PAGE + 1 for at in whole.roots.values()} < set(live.roots())


def trunk_of(path):
    """Return the first trunk of the list of free pages."""
    with Image(path) as image:
        return int.from_bytes(image.page(1)[32:36], "big")


@pytest.mark.parametrize(
    "damage",
    [
        (32, b"\x7f"),  # no such trunk
        (36, b"\x00\x00\x00\x01"),  # another number than there are
        (36, b"\x00\x00\x7f\x01"),
        (32, b"\x00\x00\x00\x00"),  # none
    ],
)
def test_a_list_of_free_pages_that_is_damaged(whole, tmp_path, damage):
    """A list that does not agree with itself is not believed; the pointer map still says."""
    path = checkpointed(whole, tmp_path)
    with Image(path) as image:
        free = image.free_list()
    spoil(path, *damage)
    with Image(path) as image:
        live = Liveness(image)
        assert image.free_list() is None
        assert all(live.is_free(number) for number in free)


def test_a_ring_of_trunks(whole, tmp_path):
    """A list without an end is not believed."""
    path = checkpointed(whole, tmp_path)
    trunk = trunk_of(path)
    spoil(path, (trunk - 1) * PAGE, trunk.to_bytes(4, "big"))
    with Image(path) as image:
        assert image.free_list() is None


def test_a_trunk_that_is_gone(whole, tmp_path):
    """A destroyed trunk, and no pointer map: nothing is called free."""
    path = checkpointed(whole, tmp_path)
    spoil(path, (trunk_of(path) - 1) * PAGE, b"\xff" * PAGE)
    spoil(path, PAGE, b"\xff" * PAGE)
    with Image(path) as image:
        live = Liveness(image)
        assert image.free_list() is None
        assert not any(live.is_free(n) or live.is_certain(n) for n in range(image.count + 1))


def test_the_list_alone(whole, tmp_path):
    """Without the pointer map the list of free pages is enough."""
    path = checkpointed(whole, tmp_path)
    with Image(path) as image:
        free = image.free_list()
    spoil(path, PAGE, b"\xff" * PAGE)
    with Image(path) as image:
        live = Liveness(image)
        assert {n for n in range(image.count + 1) if live.is_free(n)} == free


def test_two_that_disagree(whole, tmp_path):
    """A page the list calls free and the pointer map does not is looked at."""
    path = checkpointed(whole, tmp_path)
    with Image(path) as image:
        number = max(image.free_list())
    spoil(path, PAGE + 5 * (number - 3), bytes([Use.BRANCH]))
    with Image(path) as image:
        live = Liveness(image)
        assert (live.is_free(number), live.is_certain(number)) == (False, True)


def checkpointed(whole, directory):
    """Return a copy of a journal whose log is in the file."""
    path = wreck.copy(whole.directory, directory / "copy") / NAME
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    return path
