"""One journal, one process: an exclusive lock on a file beside the journal.

The lock is the kernel's (flock), so it ends with its process, however that ends.
The file names its owner, for the message the second process prints, and below that the
journal, so that an empty file is not taken for one that never held anything.

A file can be removed, and the next process would lock another of the same name. So what
was locked has to be what lies there, and the journal's name in the kernel (`claim.py`) is
taken as well: it holds where the file is gone.
"""

import contextlib
import errno
import fcntl
import os
from pathlib import Path
from typing import Final

from feishu_ws.faults import Fault, FeishuWsError
from feishu_ws.journal.claim import ClaimedError, claim
from feishu_ws.journal.footing import Identity, identity_at

_MOST_BYTES: Final = 128  # a number and a UUID
_TRIES: Final = 3  # the file may be removed between the moments it is opened and locked
_FAULTS: Final = {errno.EROFS: Fault.JOURNAL_READ_ONLY, errno.ENOSPC: Fault.DISK_FULL}


class JournalLock:
    """Held from `acquire` to `release` or the end of the process."""

    def __init__(self, journal: Path) -> None:
        self._journal = journal
        self.path = journal.with_name(journal.name + ".lock")
        """Where the file lies."""
        self._fd: int | None = None
        self._claim: int | None = None
        self.noted = ""
        """What the last owner noted, "" if nothing."""

    @property
    def identity(self) -> Identity | None:
        """Which file is locked, None while none is."""
        return None if self._fd is None else _identity(self._fd)

    def acquire(self) -> None:
        """Take the lock.

        Raises:
            FeishuWsError: `journal_locked`, saying whose it is; `journal_io`,
                `journal_read_only` or `disk_full` where the file cannot be made.
        """
        fd = self._take()
        try:
            self._claim = claim(self._journal)
        except ClaimedError as exc:
            os.close(fd)
            whose = _name(str(exc.pid or ""))
            raise self._locked(f"in use by {whose}, whose lock file was removed") from exc
        self._fd = fd
        _, self.noted = _read(fd)
        self.note(self.noted)

    def _take(self) -> int:
        """Lock the file that lies there."""
        for _ in range(_TRIES):
            try:
                fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            except OSError as exc:
                raise self._explain(exc) from exc
            if self._is_taken(fd):
                return fd
            os.close(fd)
        seen = f"the lock {self.path} is replaced all the time, expected it to stay"
        raise FeishuWsError(Fault.JOURNAL_IO, seen)

    def _is_taken(self, fd: int) -> bool:
        """Lock a file; return whether it is still the one that lies there."""
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return _identity(fd) == identity_at(self.path)
        except BlockingIOError as exc:
            owner, _ = _read(fd)
            os.close(fd)
            raise self._locked(f"locked by {_name(owner)}") from exc
        except OSError as exc:
            os.close(fd)
            raise self._explain(exc) from exc

    def _locked(self, seen: str) -> FeishuWsError:
        return FeishuWsError(
            Fault.JOURNAL_LOCKED, f"journal {self._journal} is {seen}, expected it free"
        )

    def note(self, word: str) -> None:
        """Leave a word for the next owner, if the disk takes it; the lock must be held."""
        if self._fd is None:
            return
        with contextlib.suppress(OSError):  # a full disk: the lock holds, only the name is missing
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, f"{os.getpid()}\n{word}\n".encode(), 0)

    def _explain(self, error: OSError) -> FeishuWsError:
        fault = _FAULTS.get(error.errno or 0, Fault.JOURNAL_IO)
        return FeishuWsError(fault, f"cannot lock the journal by {self.path}: {error.strerror}")

    def release(self) -> None:
        """Give the lock back; the file stays, removing it would race with the next owner."""
        for fd in (self._claim, self._fd):
            if fd is not None:
                os.close(fd)
        self._claim = self._fd = None


def _identity(fd: int) -> Identity:
    found = os.fstat(fd)
    return found.st_dev, found.st_ino


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
