"""SQLite's pages read without SQLite: what it wrote comes back, and no bytes do harm."""

import contextlib
import sqlite3

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feishu_ws.journal.pages import (
    LOCK_BYTE,
    MAX_RECORD,
    Cell,
    Kind,
    Page,
    PageError,
    Use,
    assemble,
    local_size,
    parse_cell,
    parse_page,
    parse_record,
    parse_trunk,
    parse_uses,
    parse_varint,
    ptrmap_page,
)

PAGE_SIZES = [512, 1024, 4096, 8192, 65_536]
NUMBERS = st.integers(-(2**63), 2**63 - 1)
VALUES = st.one_of(st.none(), NUMBERS, st.text(), st.binary())


class File:
    """A file of SQLite's, as its pages."""

    def __init__(self, path, page_size):
        self.data = path.read_bytes()
        self.size = page_size

    def page(self, number):
        """Return a page, None where there is none."""
        found = self.data[(number - 1) * self.size : number * self.size]
        return found if len(found) == self.size else None

    def cells(self, number):
        """Return the kind of a page and its cells."""
        data = self.page(number)
        page = parse_page(data, number, self.size)
        return page, [parse_cell(data, at, page.kind, self.size) for at in page.cells]

    def rows(self, number):
        """Return (rowid, columns) of all rows below a page, in order."""
        page, cells = self.cells(number)
        found = []
        for cell in cells:
            if not page.kind.is_leaf:
                found += self.rows(cell.child)
            if page.kind is not Kind.TABLE_INTERIOR:
                found.append((cell.rowid, parse_record(assemble(cell, self.size, self.page))))
        return found if page.kind.is_leaf else found + self.rows(page.right)


def made(path, page_size, create, rows):
    """Make a file with one table and return it."""
    path.unlink(missing_ok=True)
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA page_size = {page_size}")
        db.execute(create)
        if rows:
            db.executemany(f"INSERT INTO t VALUES ({','.join('?' * len(rows[0]))})", rows)
        db.commit()
        (root,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 't'").fetchone()
    return File(path, page_size), root


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """A name for files."""
    return tmp_path_factory.mktemp("pages") / "file.db"


# -- what SQLite wrote --------------------------------------------------------------------


@settings(max_examples=60)
@given(page_size=st.sampled_from(PAGE_SIZES), rows=st.lists(st.tuples(VALUES, VALUES), max_size=60))
def test_a_table_comes_back(path, page_size, rows):
    """Every value of every row of a table is read as it was written, in the order of rowids."""
    file, root = made(path, page_size, "CREATE TABLE t (a, b)", rows)

    assert file.rows(root) == [(n, list(row)) for n, row in enumerate(rows, start=1)]


@settings(max_examples=40)
@given(
    page_size=st.sampled_from(PAGE_SIZES),
    rows=st.dictionaries(st.binary(max_size=700), st.text(max_size=50), max_size=80),
)
def test_a_table_without_rowids_comes_back(path, page_size, rows):
    """Rows that lie in an index, in its branches too, are read in the order of their keys."""
    create = "CREATE TABLE t (a BLOB PRIMARY KEY, b TEXT) WITHOUT ROWID"
    file, root = made(path, page_size, create, list(rows.items()))

    assert file.rows(root) == [(0, list(row)) for row in sorted(rows.items())]


@pytest.mark.parametrize("page_size", PAGE_SIZES)
def test_rows_of_every_length(path, page_size):
    """Rows around every length at which they begin to go on elsewhere come back whole."""
    local = [local_size(size, page_size, is_table=True) for size in range(8 * page_size)]
    edges = [n for n in range(1, len(local)) if local[n] - local[n - 1] not in {0, 1}]
    lengths = sorted({n + near for n in edges for near in range(-9, 3)})
    rows = [(bytes(length),) for length in lengths]
    file, root = made(path, page_size, "CREATE TABLE t (a)", rows)

    assert [tuple(row) for _, row in file.rows(root)] == rows


@pytest.mark.parametrize("page_size", PAGE_SIZES)
def test_a_payload_of_4_mib(path, page_size):
    """The longest payload there is comes back from its chain of pages."""
    payload = bytes(range(256)) * 16_384
    file, root = made(path, page_size, "CREATE TABLE t (a, b)", [("x", payload)])

    assert file.rows(root) == [(1, ["x", payload])]


def test_rowids_of_every_size(path):
    """Rowids of one to nine bytes are read, negative ones too."""
    rowids = sorted({sign * 2**n for n in range(63) for sign in (1, -1)} | {0, 2**63 - 1, -(2**63)})
    rows = [(rowid, "x") for rowid in rowids]
    file, root = made(path, 4096, "CREATE TABLE t (a INTEGER PRIMARY KEY, b)", rows)

    assert [rowid for rowid, _ in file.rows(root)] == rowids


# -- what nobody wrote --------------------------------------------------------------------


@given(data=st.binary(max_size=600), number=st.integers(1, 3), at=st.integers(0, 700))
def test_any_bytes_are_a_page_or_none(data, number, at):
    """Whatever the bytes, they are read or refused with `PageError`, and nothing else happens."""
    for read in (
        lambda: parse_page(data, number, 512),
        lambda: parse_record(data),
        lambda: parse_trunk(data, 512),
        *(lambda kind=kind: parse_cell(data, at, kind, 512) for kind in Kind),
    ):
        with contextlib.suppress(PageError):
            read()


@settings(max_examples=200)
@given(flips=st.lists(st.tuples(st.integers(0, 4095), st.integers(0, 255)), max_size=12))
def test_a_page_that_was_spoilt(whole_page, flips):
    """A leaf with some bytes changed gives rows or `PageError`, cell by cell."""
    file, number = whole_page
    data = bytearray(file.page(number))
    for at, value in flips:
        data[at] = value
    with contextlib.suppress(PageError):
        page = parse_page(bytes(data), number, 4096)
        for at in page.cells:
            with contextlib.suppress(PageError):
                parse_record(
                    assemble(parse_cell(bytes(data), at, page.kind, 4096), 4096, file.page)
                )


@pytest.fixture(scope="module")
def whole_page(tmp_path_factory):
    """A file, and a leaf in it whose rows are of all sorts."""
    path = tmp_path_factory.mktemp("leaf") / "file.db"
    rows = [(n, "x" * n, b"y" * n, None, n / 7, 1 << n) for n in range(40)]
    file, root = made(path, 4096, "CREATE TABLE t (a, b, c, d, e, f)", [*rows, (b"z" * 9000,) * 6])
    leaf = root
    while not file.cells(leaf)[0].kind.is_leaf:
        leaf = file.cells(leaf)[0].right
    return file, leaf


@pytest.mark.parametrize(
    ("record", "why"),
    [
        (b"", "behind the end"),
        (b"\x05\x01", "header of 5 bytes"),
        (b"\x00", "header of 0 bytes"),
        (b"\x02\x0a", "type 10"),
        (b"\x02\x07" + bytes(8), "type 7"),
        (b"\x02\x0f\xff", "UTF-8"),
        (b"\x02\x0e", "behind its record"),
        (b"\x02\x01", "where it should"),
        (b"\x02\x01\x05\x06", "where it should"),
    ],
)
def test_what_is_no_record(record, why):
    """A record whose parts do not agree is refused, and it is said why."""
    with pytest.raises(PageError, match=why):
        parse_record(record)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"\x00", (0, 1)),
        (b"\x7f", (127, 1)),
        (b"\x81\x00", (128, 2)),
        (b"\xff\x7f", (16_383, 2)),
        (b"\xff" * 9, (2**64 - 1, 9)),
        (b"\x80" * 8 + b"\x05", (5, 9)),
    ],
)
def test_varints(data, expected):
    """Numbers of one to nine bytes are read, and where they end."""
    assert parse_varint(data, 0) == expected


def test_a_chain_that_breaks():
    """A record is refused if its chain has a hole, ends early, or goes on behind its end."""
    page = (0).to_bytes(4, "big") + bytes(508)
    on = (9).to_bytes(4, "big") + bytes(508)
    cell = Cell(0, 1, 600, bytes(92), 5)

    assert assemble(cell, 512, {5: page}.get) == bytes(600)
    for pages in ({}, {5: on}, {5: on, 9: page}):
        with pytest.raises(PageError):
            assemble(cell, 512, pages.get)
    with pytest.raises(PageError, match="is missing"):
        assemble(cell._replace(size=1200), 512, {5: page}.get)
    with pytest.raises(PageError, match="should go on"):
        assemble(cell._replace(overflow=0), 512, {5: page}.get)


def test_a_chain_that_bites_its_tail():
    """A ring of pages ends with the length of the record."""
    ring = (5).to_bytes(4, "big") + bytes(508)
    with pytest.raises(PageError, match="behind its end"):
        assemble(Cell(0, 1, 100_000, b"", 5), 512, {5: ring}.get)


def test_a_record_of_no_possible_length():
    """A length that no row of ours has is not believed: nobody reads a gigabyte for it."""
    data = b"\x8f\xff\xff\xff\x7f\x01" + bytes(506)
    with pytest.raises(PageError, match="a record of"):
        parse_cell(data, 0, Kind.TABLE_LEAF, 512)

    assert MAX_RECORD < 2**23


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (bytes(512), "no page"),
        (b"", "no page"),
        (b"\x0d\0\0\xff\xff\0\0\0" + bytes(504), "do not fit"),
        (b"\x0d\0\0\0\x01\0\0\0\x02\x01" + bytes(502), "outside"),
        (b"\x0d\0\0\0\x01\0\0\0\0\x02" + bytes(502), "outside"),
        (b"\x0d\0\0\0\0\0\0\0", "do not fit"),
    ],
)
def test_what_is_no_page(data, why):
    """A page whose cells cannot be where it says is refused."""
    with pytest.raises(PageError, match=why):
        parse_page(data, 2, 512)


def test_a_branch():
    """A branch of a table gives its children, their keys, and the child on the right."""
    cell = (7).to_bytes(4, "big") + b"\x2a"
    data = b"\x05\0\0\0\x01\0\0\0\0\0\0\x08" + (500).to_bytes(2, "big")
    data = data.ljust(500, b"\0") + cell.ljust(12, b"\0")
    page = parse_page(data, 2, 512)

    assert page == Page(Kind.TABLE_INTERIOR, (500,), 8)
    assert parse_cell(data, 500, page.kind, 512) == Cell(7, 42, 0, b"", 0)


# -- free pages, and what pages are for ---------------------------------------------------


def test_a_trunk():
    """A trunk names the next one and some free pages; more than fit are refused."""
    data = b"".join(n.to_bytes(4, "big") for n in (9, 2, 5, 6)) + bytes(496)
    too_many = b"".join(n.to_bytes(4, "big") for n in (9, 127)) + bytes(504)

    assert parse_trunk(data, 512) == (9, (5, 6))
    with pytest.raises(PageError, match="127"):
        parse_trunk(too_many, 512)


def test_the_pointer_map(path):
    """The map says of every page of an auto-vacuum file what it is for."""
    path.unlink(missing_ok=True)
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA page_size = 512")
        db.execute("PRAGMA auto_vacuum = INCREMENTAL")
        db.execute("CREATE TABLE t (a)")
        db.execute("CREATE TABLE u (a)")
        db.execute("INSERT INTO t VALUES (zeroblob(1400))")
        db.execute("DROP TABLE u")
        db.commit()
    file = File(path, 512)
    uses = parse_uses(file.page(2), 512)

    assert ptrmap_page(3, 512, 512) == 2
    assert list(uses[:4]) == [Use.ROOT, Use.FREE, Use.OVERFLOW_FIRST, Use.OVERFLOW]


def test_where_the_pointer_map_lies():
    """The map's pages repeat at their distance, and leave out the page that locks use."""
    span = 512 // 5 + 1
    locked = LOCK_BYTE // 512 + 1

    assert [ptrmap_page(n, 512, 512) for n in (2, 3, 1 + span, 2 + span)] == [2, 2, 2, 2 + span]
    assert all(ptrmap_page(n, 512, 512) != locked for n in range(locked - span, locked + span))
