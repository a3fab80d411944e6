"""How a salvaged file takes the place of the damaged one, whatever happens on the way.

Beside `journal.db` there may lie:

    .damaged         somebody found damage while running: the next start salvages
    .salvage         a new file in the making; worth nothing
    .salvaged        a new file that is complete, on its way to its place
    .corrupt-TIME    the damaged one, with its `-wal`; nobody here ever removes it

Only renames happen between the last two, so a full disk does not matter. What is to be
done next is read from what lies there, so a crash between any two steps is mended by
doing the rest of them. The old log leaves before the new file comes: SQLite would
take it for the new file's own.
"""

import contextlib
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from feishu_ws.journal.file import FILE_MODE, sync

_MARK: Final = ".damaged"
_MAKING: Final = ".salvage"
_READY: Final = ".salvaged"
_KEPT: Final = ".corrupt-"
_SET: Final = ("", "-wal", "-shm")  # what SQLite has of one file
_MS: Final = 1000


def making(path: Path) -> Path:
    """Return where the new file is made."""
    return _beside(path, _MAKING)


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


# -- the mark -----------------------------------------------------------------------------


def mark(path: Path, detail: str) -> None:
    """Leave word of damage for the next start, if the disk takes it."""
    with contextlib.suppress(OSError):
        target = _beside(path, _MARK)
        fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, FILE_MODE)
        try:
            os.write(fd, f"{detail}\n".encode())
            os.fsync(fd)
        finally:
            os.close(fd)
        sync(path.parent)


def marked(path: Path) -> str | None:
    """Return what was left by `mark`, None if nothing was."""
    try:
        found = _beside(path, _MARK).read_text(errors="replace").strip()
    except OSError:
        return None
    return found or "it was found damaged"


def unmark(path: Path) -> None:
    """Take the mark away.

    Raises:
        OSError: As the disk answers.
    """
    _beside(path, _MARK).unlink(missing_ok=True)


# -- the exchange -------------------------------------------------------------------------


def choose(path: Path, now_ms: int) -> int:
    """Return the time, in seconds, after which a damaged file can be named now."""
    at_s = now_ms // _MS
    while kept_at(path, at_s).exists():
        at_s += 1
    return at_s


def kept_at(path: Path, at_s: float) -> Path:
    """Return where a damaged file is kept: beside its old place, with a time."""
    stamp = datetime.fromtimestamp(at_s, UTC).strftime("%Y%m%dT%H%M%SZ")
    return _beside(path, _KEPT + stamp)


def replace(path: Path, at_s: int) -> None:
    """Put the file that was made in the place of the damaged one.

    Args:
        path: Where that is.
        at_s: What the damaged one is named after, as `choose` says.

    Raises:
        OSError: As the disk answers; `go_on` does the rest at the next start.
    """
    made = making(path)
    os.utime(made, (at_s, at_s))  # where the damaged one goes is known after a crash too
    sync(made)
    made.rename(_beside(path, _READY))
    sync(path.parent)
    _exchange(path)


def go_on(path: Path) -> None:
    """Do the rest of what a crash interrupted, if it did.

    Raises:
        OSError: As the disk answers.
    """
    if _beside(path, _READY).exists():
        _exchange(path)
    for suffix in _SET:
        _beside(making(path), suffix).unlink(missing_ok=True)


def _exchange(path: Path) -> None:
    ready = _beside(path, _READY)
    kept = kept_at(path, ready.stat().st_mtime)
    for suffix in _SET:
        old = _beside(path, suffix)
        if old.exists():
            old.chmod(FILE_MODE)
            old.rename(_unused(_beside(kept, suffix)))
    unmark(path)
    sync(path.parent)
    ready.rename(path)
    sync(path.parent)


def _unused(path: Path) -> Path:
    """Return a name like this one that nothing has: what lies there is never overwritten."""
    while path.exists():
        path = _beside(path, "~")
    return path
