"""Whether a start would take a journal as it lies there. Its bytes are read; SQLite is not asked."""

from pathlib import Path
from typing import Final

from feishu_ws.faults import Fault, FeishuWsError
from feishu_ws.journal.examine import find_damage
from feishu_ws.journal.image import Image
from feishu_ws.journal.schema import NoJournalError

_PAGES: Final = slice(28, 32)
_PAGES_AS_OF: Final = slice(92, 96)
_CHANGES: Final = slice(24, 28)
"""Of a database's header: its size in pages, which is right where the other two agree.

Source: sqlite.org/fileformat2.html 1.3.7."""


def find_flaw(path: Path) -> FeishuWsError | None:
    """Return why a start would refuse a journal or make a new one of it, None if it would not.

    Raises:
        OSError: It may not be read.
    """
    try:
        damage = find_damage(path, is_known=False) or _find_cut(path)
    except NoJournalError as error:
        return error
    return None if damage is None else FeishuWsError(Fault.JOURNAL_CORRUPT, damage)


def _find_cut(path: Path) -> str | None:
    """Return how much of a file is missing at its end, None where nothing is or a log may have it."""
    with Image(path, trusting=True) as image:
        head = image.page(1) if image.has_header and not image.wal.frames else None
        page_size = image.page_size
    if head is None or head[_CHANGES] != head[_PAGES_AS_OF]:
        return None
    told, there = int.from_bytes(head[_PAGES], "big") * page_size, path.stat().st_size
    return f"{path} was cut short: {there} of {told} bytes are there" if there < told else None
