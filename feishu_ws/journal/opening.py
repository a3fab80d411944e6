"""How a journal is opened that may be damaged: looked at, salvaged if need be, opened.

A damaged one is never opened for writing. What cannot be told from another program's
file is refused and not touched; everything else ends in a journal that works.
"""

import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from feishu_ws.faults import Fault, FeishuWsError
from feishu_ws.happenings import JournalSalvaged
from feishu_ws.journal.contract import JournalSettings
from feishu_ws.journal.examine import examine, find_damage
from feishu_ws.journal.file import connect_reader, explain, explain_os
from feishu_ws.journal.image import Image, Progress
from feishu_ws.journal.replace import choose, go_on, kept_at, making, replace, unmark
from feishu_ws.journal.rows import REPORT
from feishu_ws.journal.schema import NoJournalError

VERIFY_S: Final = 5.0  # a salvage has taken longer than that where this is not enough


def open_whole(
    path: Path,
    settings: JournalSettings,
    now_ms: int,
    open_file: Callable[[], None],
    progress: Progress,
    *,
    is_known: bool,
) -> None:
    """Open a journal, after a salvage if it is damaged; `take_report` says what became of it.

    Args:
        path: Where it lies.
        settings: For what depends on who is declared and how long keys are kept.
        now_ms: The wall clock.
        open_file: Opens it, leaves nothing open if it raises, and is called again
            after a salvage.
        progress: Told how far a salvage is.
        is_known: There was a journal once, whatever is there now.

    Raises:
        FeishuWsError: As `open_file` does, but for damage that could be mended.
    """
    try:
        go_on(path)
        damage = find_damage(path, is_known=is_known)
    except OSError as error:
        raise explain_os(error, f"cannot look at the journal {path}") from error
    if damage is None:
        try:
            _open(path, open_file)
        except FeishuWsError as error:
            if error.fault is not Fault.JOURNAL_CORRUPT or isinstance(error, NoJournalError):
                raise
            damage = error.detail
        else:
            with contextlib.suppress(OSError):
                unmark(path)  # of a file that was taken away
            return
    _salvage(path, damage, settings, now_ms, progress, is_known=is_known)
    _open(path, open_file)


def take_report(facts: dict[str, str]) -> JournalSalvaged | None:
    """Take out of the facts what a salvage has left to be told, None if nothing is.

    It is among them until somebody was told, so that no crash keeps it from being told.
    """
    report = facts.pop(REPORT, None)
    if report is None:
        return None
    with contextlib.suppress(msgspec.DecodeError):  # damaged in its turn
        return msgspec.json.decode(report, type=JournalSalvaged)
    return None


def _open(path: Path, open_file: Callable[[], None]) -> None:
    try:
        open_file()
    except sqlite3.Error as error:
        raise explain(error, path) from error
    except UnicodeDecodeError as error:  # Python cannot read what SQLite says of a damaged schema
        raise FeishuWsError(Fault.JOURNAL_CORRUPT, f"the schema of {path} is damaged") from error


def _salvage(
    path: Path,
    damage: str,
    settings: JournalSettings,
    now_ms: int,
    progress: Progress,
    *,
    is_known: bool,
) -> None:
    """Put a new journal with all that can be read in the place of a damaged one.

    Raises:
        FeishuWsError: `disk_full` and so on: there is no new file, and the old one is as
            it was. `journal_corrupt`: there is nothing in it that is ours. `internal`.
    """
    from feishu_ws.journal.salvage import NothingFoundError, salvage  # seldom needed

    at_s = choose(path, now_ms)
    try:
        with Image(path) as image:
            salvage(
                image,
                making(path),
                declared=settings.declared or {},
                dedupe_hours=settings.dedupe_hours,
                now_ms=now_ms,
                progress=progress,
                detail=damage,
                kept=kept_at(path, at_s),
                is_known=is_known and image.is_empty,
            )
        _verify(making(path))
        replace(path, at_s)
    except NothingFoundError as error:
        raise NoJournalError(path, damage) from error
    except sqlite3.Error as error:
        told = explain(error, making(path))
        raise FeishuWsError(
            told.fault, f"no salvage of {path} ({damage}): {told.detail}"
        ) from error
    except OSError as error:
        raise explain_os(error, f"no salvage of {path} ({damage})") from error


def _verify(made: Path) -> None:
    """See that what was made is a journal: else every start would make another, for ever.

    Raises:
        FeishuWsError: `internal`.
        sqlite3.Error: As the disk answers.
    """
    try:
        with contextlib.closing(connect_reader(made)) as db:
            examine(db, made, VERIFY_S)
    except FeishuWsError as error:
        made.unlink()
        raise FeishuWsError(Fault.INTERNAL, f"a salvage made no journal: {error.detail}") from error
