"""One journal, one process: an exclusive lock on a file beside the journal.

The lock is the kernel's (flock), so it ends with its process, however that ends.
The file names its owner, for the message the second process prints, and below that the
journal, so that an empty file is not taken for one that never held anything.
"""

import contextlib
import errno
import fcntl
import os
from pathlib import Path
from typing import Final

from feishu_ws.faults import Fault, FeishuWsError

_MOST_BYTES: Final = 128  # a number and a UUID
_FAULTS: Final = {errno.EROFS: Fault.JOURNAL_READ_ONLY, errno.ENOSPC: Fault.DISK_FULL}


class JournalLock:
    """Held from `acquire` to `release` or the end of the process."""

    def __init__(self, journal: Path) -> None:
        self._path = journal.with_name(journal.name + ".lock")
        self._fd: int | None = None
        self.noted = ""
        """What the last owner noted, "" if nothing."""

    def acquire(self) -> None:
        """Take the lock.

        Raises:
            FeishuWsError: `journal_locked`, saying whose it is; `journal_io`,
                `journal_read_only` or `disk_full` where the file cannot be made.
        """
        try:
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as exc:
            raise self._explain(exc) from exc
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            owner, _ = _read(fd)
            os.close(fd)
            raise FeishuWsError(
                Fault.JOURNAL_LOCKED,
                f"journal {self._path.with_suffix('')} is locked by {_name(owner)}, expected it free",
            ) from exc
        except OSError as exc:
            os.close(fd)
            raise self._explain(exc) from exc
        self._fd = fd
        _, self.noted = _read(fd)
        self.note(self.noted)

    def note(self, word: str) -> None:
        """Leave a word for the next owner, if the disk takes it; the lock must be held."""
        if self._fd is None:
            return
        with contextlib.suppress(OSError):  # a full disk: the lock holds, only the name is missing
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, f"{os.getpid()}\n{word}\n".encode(), 0)

    def _explain(self, error: OSError) -> FeishuWsError:
        fault = _FAULTS.get(error.errno or 0, Fault.JOURNAL_IO)
        return FeishuWsError(fault, f"cannot lock the journal by {self._path}: {error.strerror}")

    def release(self) -> None:
        """Give the lock back; the file stays, removing it would race with the next owner."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def _read(fd: int) -> tuple[str, str]:
    """Return the owner's number and what it noted, as far as they are there."""
    owner, _, rest = os.pread(fd, _MOST_BYTES, 0).decode("ascii", "replace").partition("\n")
    return owner, rest.partition("\n")[0]


def _name(owner: str) -> str:
    if not owner.isdigit():
        return "another process"
    try:
        command = Path(f"/proc/{owner}/comm").read_text().strip()
    except OSError:
        return f"process {owner}"
    return f"process {owner} ({command})"
