"""SQLite's pages, read without SQLite: cells, records, chains of overflow pages. Pure.

For damaged files, where SQLite stops at the first page it does not like. Every function
takes any bytes and either returns what they say or raises `PageError`; none trusts a
number it read before comparing it with what can be.

Source: "Database File Format", https://www.sqlite.org/fileformat2.html.
"""

from collections.abc import Callable
from enum import IntEnum
from typing import Final, NamedTuple

from feishu_ws.model import MAX_PAYLOAD_BYTES

Value = None | int | float | str | bytes
Fetch = Callable[[int], bytes | None]
"""Gives the page of a number, None where there is none to read."""

MAGIC: Final = b"SQLite format 3\0"
FILE_HEADER: Final = 100  # bytes in front of the first page's own header
PAGE_SIZES: Final = tuple(1 << n for n in range(9, 17))
MAX_RECORD: Final = MAX_PAYLOAD_BYTES + 65_536  # the longest row of ours, with room to spare
MAX_VARINT: Final = 9  # bytes
_LONG_VARINT: Final = 0x80  # a byte from here on is not the last of its number
_LEAF_HEADER: Final = 8
_INTERIOR_HEADER: Final = 12
_POINTER: Final = 2  # bytes in the array of where the cells are
_CHILD: Final = 4  # bytes of a page number
_INT_BYTES: Final = (0, 1, 2, 3, 4, 6, 8)  # by serial type
_FLOAT: Final = 7
_ZERO: Final = 8
_ONE: Final = 9
_FIRST_BLOB: Final = 12
LOCK_BYTE: Final = 1 << 30  # the page around this byte of the file is never used
_PTRMAP_ENTRY: Final = 5  # bytes: what the page is, and its parent


class PageError(ValueError):
    """The bytes are no such page, cell or record."""


class Kind(IntEnum):
    """What a page of a b-tree is: its first byte."""

    INDEX_INTERIOR = 2
    TABLE_INTERIOR = 5
    INDEX_LEAF = 10
    TABLE_LEAF = 13

    @property
    def is_leaf(self) -> bool:
        """Whether it has no children."""
        return self in _LEAVES

    @property
    def is_table(self) -> bool:
        """Whether its cells have a rowid."""
        return self in _TABLES


_LEAVES: Final = frozenset({Kind.INDEX_LEAF, Kind.TABLE_LEAF})
_TABLES: Final = frozenset({Kind.TABLE_INTERIOR, Kind.TABLE_LEAF})


class Use(IntEnum):
    """What a page is for, as the pointer map of an auto-vacuum file says."""

    ROOT = 1
    FREE = 2
    OVERFLOW_FIRST = 3
    OVERFLOW = 4
    BRANCH = 5


class Page(NamedTuple):
    """A page of a b-tree: where its cells begin, and the last child of an interior one."""

    kind: Kind
    cells: tuple[int, ...]
    right: int


class Cell(NamedTuple):
    """One cell.

    Attributes:
        child: Page on its left; 0 in a leaf.
        rowid: Of a table's row, or the key of a table's branch; 0 in an index.
        size: Bytes of the whole record; 0 in a table's branch.
        local: What of the record is on this page.
        overflow: Page on which it goes on, 0 if it does not.
    """

    child: int
    rowid: int
    size: int
    local: bytes
    overflow: int


def parse_varint(data: bytes, at: int) -> tuple[int, int]:
    """Return an unsigned number of 1 to 9 bytes, and where it ends."""
    value = 0
    try:
        for end in range(at, at + MAX_VARINT - 1):
            byte = data[end]
            value = value << 7 | byte & 0x7F
            if byte < _LONG_VARINT:
                return value, end + 1
        return value << 8 | data[at + MAX_VARINT - 1], at + MAX_VARINT
    except IndexError:
        raise PageError("a number goes on behind the end") from None


def parse_page(data: bytes, number: int, usable: int) -> Page:
    """Return where the cells of page `number` are.

    Args:
        data: The whole page.
        number: From 1; the first has the file's header in front.
        usable: Bytes of it that SQLite uses.

    Raises:
        PageError: It is no page of a b-tree.
    """
    start = FILE_HEADER if number == 1 else 0
    try:
        kind = Kind(data[start])
    except (IndexError, ValueError):
        raise PageError("no page of a b-tree") from None
    count = int.from_bytes(data[start + 3 : start + 5], "big")
    array = start + (_LEAF_HEADER if kind.is_leaf else _INTERIOR_HEADER)
    content = array + _POINTER * count
    if content > usable or len(data) < usable:
        raise PageError(f"{count} cells do not fit on a page")
    cells = tuple(
        int.from_bytes(data[at : at + _POINTER], "big") for at in range(array, content, _POINTER)
    )
    right = 0 if kind.is_leaf else int.from_bytes(data[array - _CHILD : array], "big")
    if any(not content <= cell < usable for cell in cells):
        raise PageError("a cell lies outside of its page")
    return Page(kind, cells, right)


def local_size(size: int, usable: int, *, is_table: bool) -> int:
    """Return how many bytes of a record of `size` are on the cell's own page."""
    most = usable - 35 if is_table else (usable - 12) * 64 // 255 - 23
    if size <= most:
        return size
    least = (usable - 12) * 32 // 255 - 23
    fitting = least + (size - least) % (usable - _CHILD)
    return fitting if fitting <= most else least


def parse_cell(data: bytes, at: int, kind: Kind, usable: int) -> Cell:
    """Return the cell that begins at `at`.

    Raises:
        PageError: It does not fit on its page, or says what cannot be.
    """
    child = rowid = 0
    if not kind.is_leaf:
        child = int.from_bytes(data[at : at + _CHILD], "big")
        at += _CHILD
    if kind is Kind.TABLE_INTERIOR:
        rowid, at = parse_varint(data, at)
        return Cell(child, _signed(rowid), 0, b"", 0)
    size, at = parse_varint(data, at)
    if kind is Kind.TABLE_LEAF:
        rowid, at = parse_varint(data, at)
    if not 0 < size <= MAX_RECORD:
        raise PageError(f"a record of {size} bytes")
    local = local_size(size, usable, is_table=kind is Kind.TABLE_LEAF)
    end = at + local + (_CHILD if local < size else 0)
    if end > usable:
        raise PageError("a cell goes on behind the end of its page")
    overflow = int.from_bytes(data[at + local : end], "big")
    return Cell(child, _signed(rowid), size, data[at : at + local], overflow)


def _signed(rowid: int) -> int:
    return rowid - (1 << 64) if rowid >= 1 << 63 else rowid


def assemble(cell: Cell, usable: int, fetch: Fetch) -> bytes:
    """Return the whole record of a cell, from its page and the chain behind it.

    Raises:
        PageError: A page of the chain is missing, or the chain is too long or too short.
    """
    if not cell.overflow:
        if len(cell.local) < cell.size:
            raise PageError("a record ends on its page and should go on")
        return cell.local
    parts, left, number = [cell.local], cell.size - len(cell.local), cell.overflow
    while left > 0:
        data = fetch(number) if number else None
        if data is None:
            raise PageError(f"page {number} of a chain is missing")
        parts.append(data[_CHILD : _CHILD + min(left, usable - _CHILD)])
        left -= len(parts[-1])
        number = int.from_bytes(data[:_CHILD], "big")
    if number:  # SQLite ends every chain with 0
        raise PageError("a chain goes on behind its end")
    return b"".join(parts)


def parse_record(record: bytes) -> list[Value]:
    """Return the columns of a record.

    Raises:
        PageError: Header and body do not agree, or a text is not UTF-8.
    """
    head, at = parse_varint(record, 0)
    if not at <= head <= len(record):
        raise PageError(f"a record's header of {head} bytes")
    values: list[Value] = []
    body = head
    while at < head:
        serial = record[at]
        if serial < _LONG_VARINT:  # nearly all are; a call for each would double the time
            at += 1
        else:
            serial, at = parse_varint(record, at)
        value, body = _parse_value(record, body, serial)
        values.append(value)
    if at != head or body != len(record):
        raise PageError("a record does not end where it should")
    return values


def _parse_value(record: bytes, at: int, serial: int) -> tuple[Value, int]:
    if serial >= _FIRST_BLOB:
        end = at + (serial - _FIRST_BLOB) // 2
        if end > len(record):
            raise PageError("a column goes on behind its record")
        content = record[at:end]
        return (_text(content) if serial & 1 else content), end
    if serial < _FLOAT:
        end = at + _INT_BYTES[serial]
        return (int.from_bytes(record[at:end], "big", signed=True) if serial else None), end
    if serial in {_ZERO, _ONE}:
        return serial - _ZERO, at
    raise PageError(f"a column of type {serial}, which no table of ours has")


def _text(content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise PageError("a text is not UTF-8") from None


# -- what is free, and what a page is for -------------------------------------------------


def parse_trunk(data: bytes, usable: int) -> tuple[int, tuple[int, ...]]:
    """Return the next trunk of the list of free pages, and the pages this one names.

    Raises:
        PageError: It names more than fit on it.
    """
    count = int.from_bytes(data[4:8], "big")
    if count > usable // 4 - 2:
        raise PageError(f"a trunk that names {count} free pages")
    ends = range(12, 12 + 4 * count, 4)
    return int.from_bytes(data[:4], "big"), tuple(
        int.from_bytes(data[end - 4 : end], "big") for end in ends
    )


def ptrmap_page(number: int, page_size: int, usable: int) -> int:
    """Return the page of the pointer map that says what page `number` (from 2) is for."""
    span = usable // _PTRMAP_ENTRY + 1
    found = (number - 2) // span * span + 2
    return found + (found == LOCK_BYTE // page_size + 1)


def parse_uses(data: bytes, usable: int) -> bytes:
    """Return what the pages after a page of the pointer map are for, one byte (a `Use`) each."""
    return data[: usable // _PTRMAP_ENTRY * _PTRMAP_ENTRY : _PTRMAP_ENTRY]
