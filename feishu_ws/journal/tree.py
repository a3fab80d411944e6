"""B-trees of a damaged journal: walked from their roots as far as they lead.

A walk visits every page at most once, so it ends whatever the pages say, and it takes
nothing on trust: a child has to be of its parent's sort and hold what lies between the
keys beside it. What it does not reach is for `salvage.py` to look for.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

from feishu_ws.journal.image import Image
from feishu_ws.journal.pages import (
    Fetch,
    Kind,
    Page,
    PageError,
    assemble,
    parse_cell,
    parse_page,
    parse_record,
)
from feishu_ws.journal.rows import Row, Table, recognise

LOWEST: Final = 0  # rowids of ours begin at 1
HIGHEST: Final = 2**63
_SCHEMA_ROOT: Final = 1


class Visit(NamedTuple):
    """A page that holds rows.

    Attributes:
        low: The rows of a table lie above this rowid,
        high: and up to this one.
    """

    number: int
    data: bytes
    page: Page
    low: int = LOWEST
    high: int = HIGHEST


class Gap(NamedTuple):
    """What a walk could not reach: rowids above `low`, up to `high`."""

    low: int
    high: int


class Forest:
    """All trees of a file; remembers which pages were visited."""

    def __init__(self, image: Image) -> None:
        self._image = image
        self._visited = bytearray(image.count + 1)

    def is_visited(self, number: int) -> bool:
        """Whether a walk has come by this page."""
        return bool(self._visited[number])

    def walk(self, root: int) -> Iterator[Visit | Gap]:
        """Return the pages below `root` that hold rows, and the gaps, in the order of the keys."""
        is_table: bool | None = None
        ahead = [(root, LOWEST, HIGHEST)]
        while ahead:
            number, low, high = ahead.pop()
            visit = self._enter(number, low, high)
            if visit is None or is_table not in {None, visit.page.kind.is_table}:
                yield Gap(low, high)
                continue
            try:
                below = [] if visit.page.kind.is_leaf else self._children(visit)
            except PageError:
                yield Gap(low, high)
                continue
            is_table = visit.page.kind.is_table
            self._visited[number] = 1
            ahead += reversed(below)
            if visit.page.kind is not Kind.TABLE_INTERIOR:
                yield visit

    def _enter(self, number: int, low: int, high: int) -> Visit | None:
        if not 0 < number <= self._image.count or self._visited[number]:
            return None
        return open_page(self._image.page(number), number, self._image.usable, low, high)

    def _children(self, visit: Visit) -> list[tuple[int, int, int]]:
        """Return the children of a branch, each with the keys beside it.

        Raises:
            PageError: Its keys do not ascend between its own bounds.
        """
        page, found, low = visit.page, [], visit.low
        for at in page.cells:
            cell = parse_cell(visit.data, at, page.kind, self._image.usable)
            if page.kind is Kind.INDEX_INTERIOR:
                found.append((cell.child, LOWEST, HIGHEST))
                continue
            if not low <= cell.rowid <= visit.high:
                raise PageError("the keys of a branch do not ascend")
            found.append((cell.child, low, cell.rowid))
            low = cell.rowid
        return [*found, (page.right, low, visit.high)]


def open_page(
    data: bytes | None, number: int, usable: int, low: int = LOWEST, high: int = HIGHEST
) -> Visit | None:
    """Return a page of a tree, None if it is missing or is none."""
    if data is None:
        return None
    try:
        return Visit(number, data, parse_page(data, number, usable), low, high)
    except PageError:
        return None


def highest_key(visit: Visit, usable: int) -> int:
    """Return the highest key of a table's branch, 0 if it makes no sense."""
    try:
        keys = [
            parse_cell(visit.data, at, visit.page.kind, usable).rowid for at in visit.page.cells
        ]
    except PageError:
        return 0
    return keys[-1] if keys and sorted(keys) == keys else 0


def first_row(visit: Visit, usable: int, fetch: Fetch) -> Row | None:
    """Return the first row on a page without a rowid, None if there is none or it is damaged."""
    if visit.page.kind.is_table or not visit.page.cells:
        return None
    try:
        cell = parse_cell(visit.data, visit.page.cells[0], visit.page.kind, usable)
        return recognise(parse_record(assemble(cell, usable, fetch)))
    except PageError:
        return None


class Content(NamedTuple):
    """What a page holds.

    Attributes:
        rows: What is possible by itself.
        lost: Rowids whose rows are not.
        is_sound: Nothing on the page is out of place.
    """

    rows: list[Row]
    lost: list[int]
    is_sound: bool


def content_of(visit: Visit, usable: int, fetch: Fetch) -> Content:
    """Return what a page holds; pages that a row goes on to come from `fetch`."""
    rows: list[Row] = []
    lost: list[int] = []
    last, is_sound, is_table = visit.low, True, visit.page.kind.is_table
    for at in visit.page.cells:
        rowid = None
        row = None
        try:
            cell = parse_cell(visit.data, at, visit.page.kind, usable)
            rowid = cell.rowid if is_table else None
            row = recognise(parse_record(assemble(cell, usable, fetch)), rowid)
        except PageError:
            is_sound = False
        if rowid is not None:
            is_sound = is_sound and last < rowid <= visit.high
            last = rowid
        if row is not None:
            rows.append(row)
        elif rowid is not None:
            lost.append(rowid)
    return Content(rows, lost, is_sound and len(rows) == len(visit.page.cells))


def read_schema(image: Image, forest: Forest) -> tuple[dict[str, int], bool]:
    """Return names and roots of the tables a file has, and whether that is all of them."""
    roots: dict[str, int] = {}
    is_whole = True
    for page in forest.walk(_SCHEMA_ROOT):
        if isinstance(page, Gap):
            is_whole = False
            continue
        content = content_of(page, image.usable, image.page)
        is_whole = is_whole and content.is_sound
        for row in content.rows:
            if row.table is Table.SCHEMA and row.values[0] == "table":
                roots[row.values[1]] = row.values[3]
    return roots, is_whole
