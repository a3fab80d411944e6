"""A damaged journal as its last commit left it: the file, and over it the log.

Nothing is written, and SQLite is not asked. What cannot be read is missing: a sector
the disk refuses, what a truncation cut off.
"""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, Self

from feishu_ws.journal.pages import (
    FILE_HEADER,
    MAGIC,
    PAGE_SIZES,
    Kind,
    PageError,
    Use,
    parse_cell,
    parse_page,
    parse_trunk,
    parse_uses,
    ptrmap_page,
)
from feishu_ws.journal.wal import parse_wal

Progress = Callable[[int, int], None]
"""Told now and then how many pages of an image were read, and of how many."""

DEFAULT_PAGE_SIZE: Final = 4096  # what SQLite gives a new file, and so what ours have
SAMPLE_BYTES: Final = 1024 * 1024  # of the file, looked at to tell the size of its pages
LEAST_USABLE: Final = 480  # bytes of a page. Source: SQLite's file format, 1.3.4
_IN_USE: Final = frozenset({Use.ROOT, Use.BRANCH})


class Image:
    """The pages of a journal that may be damaged.

    Args:
        path: Where it lies.
        trusting: Believe what the header says of the pages, as SQLite does.

    Attributes:
        page_size: Bytes per page.
        usable: Bytes of a page that SQLite uses.
        count: Pages of the file as the last commit left it.
        wal: What the log holds.
        is_empty: There is neither a file nor a log, or nothing in them.
        has_file: There is something in the file.
    """

    def __init__(self, path: Path, *, trusting: bool = False) -> None:
        self._file = _open(path)
        self._log = _open(path.with_name(path.name + "-wal"))
        size = self._file.size
        told = _told_layout(self._file.read(0, FILE_HEADER))
        self.page_size, self.usable = told if trusting else _guess_layout(self._file, told)
        self.wal = parse_wal(self._log.read, self._log.size, self.page_size)
        if self.wal.page_size:
            reserved = self.page_size - self.usable
            self.page_size, self.usable = self.wal.page_size, self.wal.page_size - reserved
        self.count = self.wal.pages or -(-size // self.page_size)
        self.has_file = size > 0
        self.is_empty = not size and not self._log.size

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the files."""
        self._file.close()
        self._log.close()

    def page(self, number: int) -> bytes | None:
        """Return the newest committed image of a page, None where there is none to read."""
        if not 0 < number <= self.count:
            return None
        at = self.wal.frames.get(number)
        if at is not None:
            return self._whole(self._log.read(at, self.page_size))
        return self._whole(self._file.read((number - 1) * self.page_size, self.page_size))

    def stray(self, number: int) -> bytes | None:
        """Return the image of a page from behind the log's damage, None if there is none."""
        at = self.wal.strays.get(number)
        return None if at is None else self._whole(self._log.read(at, self.page_size))

    def _whole(self, data: bytes) -> bytes | None:
        """Return a page; the end of one that was cut off reads as zeros, as for SQLite."""
        return data.ljust(self.page_size, b"\0") if data else None

    # -- what is free ---------------------------------------------------------------------

    @property
    def application_id(self) -> int:
        """What the first page says of whose file it is, 0 if nothing."""
        head = self.page(1) if self.has_header else None
        return int.from_bytes(head[68:72], "big") if head else 0

    @property
    def has_header(self) -> bool:
        """Whether the first page says that it is SQLite's."""
        return (self.page(1) or b"").startswith(MAGIC)

    def free_list(self) -> frozenset[int] | None:
        """Return the pages the file lists as free, None where the list is damaged."""
        head = self.page(1)
        if head is None or not head.startswith(MAGIC):
            return None
        trunk, total = (int.from_bytes(head[at : at + 4], "big") for at in (32, 36))
        found: set[int] = set()
        try:
            for number, leaves in self._trunks(trunk):
                before = len(found)
                found.update((number, *leaves))
                if len(found) != before + 1 + len(leaves):
                    return None
        except PageError:
            return None
        is_whole = len(found) == total and all(1 < number <= self.count for number in found)
        return frozenset(found) if is_whole else None

    def _trunks(self, number: int) -> Iterator[tuple[int, tuple[int, ...]]]:
        for _ in range(self.count):  # a ring of trunks ends too
            if not number:
                return
            data = self.page(number)
            if data is None:
                raise PageError(f"trunk {number} of the free list is missing")
            following, leaves = parse_trunk(data, self.usable)
            yield number, leaves
            number = following

    def uses(self) -> bytes:
        """Return what each page is for as the pointer map says: a `Use`, or 0 if it is unclear.

        The byte of page n is at n. A page of the map is believed if all of it makes sense.
        """
        uses = bytearray(self.count + 1)
        at = ptrmap_page(2, self.page_size, self.usable)
        while at <= self.count:
            data = self.page(at)
            told = parse_uses(data, self.usable) if data is not None else b""
            told = told[: self.count - at]
            if told and min(told) >= Use.ROOT and max(told) <= Use.BRANCH:
                uses[at + 1 : at + 1 + len(told)] = told
            at = ptrmap_page(at + self.usable // 5 + 1, self.page_size, self.usable)
        return bytes(uses)


class Liveness:
    """Which pages nobody can reach are of the present, and which are left of the past."""

    def __init__(self, image: Image) -> None:
        self._free = image.free_list()
        self._uses = image.uses()

    def is_certain(self, number: int) -> bool:
        """Whether the page is in use for sure."""
        return number < len(self._uses) and self._uses[number] in _IN_USE

    def roots(self) -> list[int]:
        """Return the pages that are the root of a tree for sure."""
        return [number for number, use in enumerate(self._uses) if use == Use.ROOT]

    def is_free(self, number: int) -> bool:
        """Whether the page is free: somebody says so, and nobody says otherwise."""
        use = self._uses[number] if number < len(self._uses) else 0
        if self._free is None:
            return use == Use.FREE
        return number in self._free and use in {0, Use.FREE}


# -- reading what may be unreadable -------------------------------------------------------


class _File:
    """A file that is read wherever it can be."""

    def __init__(self, fd: int | None) -> None:
        self._fd = fd
        self.size = 0 if fd is None else os.fstat(fd).st_size

    def read(self, at: int, size: int) -> bytes:
        """Return `size` bytes, fewer or none where they cannot be read."""
        if self._fd is None:
            return b""
        try:
            return os.pread(self._fd, size, at)
        except OSError:
            return b""

    def close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def _open(path: Path) -> _File:
    with contextlib.suppress(FileNotFoundError):
        return _File(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
    return _File(None)


# -- the size of the pages ----------------------------------------------------------------


def _told_layout(header: bytes) -> tuple[int, int]:
    """Return page size and usable bytes as the header says, or else as SQLite's default is."""
    told = int.from_bytes(header[16:18], "big")
    size = 65_536 if told == 1 else told
    if not header.startswith(MAGIC) or size not in PAGE_SIZES:
        return DEFAULT_PAGE_SIZE, DEFAULT_PAGE_SIZE
    usable = size - header[20]
    return size, usable if usable >= LEAST_USABLE else size


def _guess_layout(file: _File, told: tuple[int, int]) -> tuple[int, int]:
    """Return page size and usable bytes by which most of the file makes sense.

    The header is one field among many: where it is wrong no page would be found.
    """
    reserved = told[0] - told[1]
    candidates = dict.fromkeys(
        (told, *((size, size - spare) for spare in (reserved, 0) for size in PAGE_SIZES))
    )
    middle = file.size // 2 // PAGE_SIZES[-1] * PAGE_SIZES[-1]
    samples = [(at, file.read(at, SAMPLE_BYTES)) for at in sorted({0, middle})]

    def score(layout: tuple[int, int]) -> tuple[int, bool]:
        return sum(_count_pages(data, at, *layout) for at, data in samples), layout == told

    return max(candidates, key=score)


def _count_pages(data: bytes, at: int, size: int, usable: int) -> int:
    """Return how many leaves of tables there are in a part of the file that begins at `at`."""
    starts = range(0, len(data) - size + 1, size)
    return sum(
        _is_leaf(data[start : start + size], (at + start) // size + 1, usable) for start in starts
    )


def _is_leaf(data: bytes, number: int, usable: int) -> bool:
    try:
        page = parse_page(data, number, usable)
        for cell in page.cells:
            parse_cell(data, cell, page.kind, usable)
    except PageError:
        return False
    return page.kind is Kind.TABLE_LEAF and bool(page.cells)
