"""SQLite's write-ahead log, read without SQLite. Pure: the bytes come from a function.

SQLite believes a log up to the first frame whose checksum is wrong, and drops the rest
without a word: it takes that for what a crash left of the last transaction. Here the
rest is looked at. Every frame names the checksum it continues from, so frames behind a
damaged one can be verified all the same.

Invariant: `frames` and `pages` are exactly what SQLite would go by.

Source: "WAL-mode File Format", https://www.sqlite.org/walformat.html.
"""

import struct
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

from feishu_ws.journal.pages import PAGE_SIZES

Read = Callable[[int, int], bytes]
"""Gives `size` bytes from an offset, fewer where there are no more."""

HEADER: Final = 32
FRAME_HEADER: Final = 24
_MAGIC: Final = 0x377F0682  # its last bit says in which order the checksum reads bytes
_VERSION: Final = 3007000
_NO_SALTS: Final = bytes(8)  # what unused bytes look like
_WORD: Final = 0xFFFFFFFF
_MOST_TORN: Final = 1  # transactions a crash can leave half written: the next waits for the fsync

Sum = tuple[int, int]
Order = Literal["<", ">"]
_ORDERS: Final[tuple[Order, ...]] = ("<", ">")


@dataclass(slots=True)
class Wal:
    """What a log holds.

    Attributes:
        page_size: 0 where there is no log.
        frames: Offset of the newest committed image, by page.
        pages: Pages of the file after the last commit, 0 without one.
        strays: The same as `frames` for images behind the first frame that is damaged.
            Whole, but of a state of the file that is not whole.
        is_damaged: More is missing than a crash can have left unwritten.
    """

    page_size: int = 0
    frames: dict[int, int] = field(default_factory=dict)
    pages: int = 0
    strays: dict[int, int] = field(default_factory=dict)
    is_damaged: bool = False


class _Header(NamedTuple):
    page_size: int
    salts: bytes
    checksum: Sum
    order: Order
    is_whole: bool


class _Frame(NamedTuple):
    page: int
    commit: int
    image: int
    is_whole: bool


def checksum(data: bytes, seed: Sum, order: Order) -> Sum:
    """Continue SQLite's checksum over `data`, whose length is a multiple of 8."""
    words = iter(struct.unpack(f"{order}{len(data) // 4}I", data))
    s0, s1 = seed
    for x0, x1 in zip(words, words, strict=True):
        s0 = (s0 + x0 + s1) & _WORD
        s1 = (s1 + x1 + s0) & _WORD
    return s0, s1


def parse_wal(read: Read, size: int, page_size: int) -> Wal:
    """Return what a log of `size` bytes holds.

    Args:
        read: Reads the log.
        size: Its length.
        page_size: What the file says, in case the log does not; 0 if it does not either.
    """
    header = _parse_header(read(0, HEADER)) or _guess_header(read, size, page_size)
    if header is None:
        return Wal()
    wal = Wal(header.page_size)
    pending: dict[int, int] = {}
    is_broken = not header.is_whole
    commits_behind = 0
    for frame in _frames(read, size, header):
        is_broken = is_broken or not frame.is_whole
        if not frame.is_whole:
            continue
        pending[frame.page] = frame.image
        if not frame.commit:
            continue
        if is_broken:
            wal.strays |= pending
            commits_behind += 1
        else:
            wal.frames |= pending
            wal.pages = frame.commit
        pending = {}
    wal.is_damaged = commits_behind > (_MOST_TORN if header.is_whole else 0)
    return wal


def _parse_header(data: bytes) -> _Header | None:
    if len(data) < HEADER:
        return None
    magic, version, page_size = struct.unpack(">III", data[:12])
    order: Order = ">" if magic & 1 else "<"
    told: Sum = struct.unpack(">II", data[24:32])
    if magic & ~1 != _MAGIC or version != _VERSION or page_size not in PAGE_SIZES:
        return None
    if checksum(data[:24], (0, 0), order) != told:
        return None
    return _Header(page_size, data[16:24], told, order, is_whole=True)


def _guess_header(read: Read, size: int, page_size: int) -> _Header | None:
    """Return what the frames say where the header is damaged, None if they say nothing."""
    told = read(HEADER - 8, 8)
    seed: Sum = struct.unpack(">II", told) if len(told) == 8 else (0, 0)
    likely = _most_alike(read, size, page_size)
    if likely is None:
        return None
    candidates = (_Header(*likely, seed, order, is_whole=False) for order in _ORDERS)
    return next((h for h in candidates if any(f.is_whole for f in _frames(read, size, h))), None)


def _most_alike(read: Read, size: int, page_size: int) -> tuple[int, bytes] | None:
    """Return the page size by which most frames have the same salts, and these."""
    best = 0.0
    found: tuple[int, bytes] | None = None
    for candidate in dict.fromkeys((page_size, *PAGE_SIZES)):
        step = FRAME_HEADER + candidate
        starts = range(HEADER, size - step + 1, step) if candidate else ()
        salts = Counter(read(at + 8, 8) for at in starts)
        del salts[_NO_SALTS]
        for common, count in salts.most_common(1):
            if count / len(starts) > best:
                best, found = count / len(starts), (candidate, common)
    return found


def _frames(read: Read, size: int, header: _Header) -> Iterator[_Frame]:
    """Return every frame of this log's own; what an earlier log left behind it is not."""
    seed = header.checksum
    step = FRAME_HEADER + header.page_size
    for at in range(HEADER, size - step + 1, step):
        data = read(at, step)
        if len(data) < step:
            return
        page, commit = struct.unpack(">II", data[:8])
        told: Sum = struct.unpack(">II", data[16:24])
        is_whole = (
            data[8:16] == header.salts
            and page > 0
            and checksum(data[:8] + data[FRAME_HEADER:], seed, header.order) == told
        )
        yield _Frame(page, commit, at + FRAME_HEADER, is_whole)
        seed = told
