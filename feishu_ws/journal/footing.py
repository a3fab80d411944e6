"""What an open journal stands on: its files, as long as they lie where they were opened.

A file that is removed goes on existing for whoever has it open, and takes commits that
nobody will ever read. So what lies at a path is compared with what was opened, by device
and inode: while a file is open nothing else can have those. A file that comes back (`mv`
and `mv` back) is the same file, and the journal stands again.
"""

import contextlib
import errno
import time
from pathlib import Path
from typing import Final

from feishu_ws.faults import Fault, FeishuWsError
from feishu_ws.journal.file import explain_os

CHECK_EVERY_S: Final = 0.05  # while commits follow one another; three looks take some 7 µs
_GONE: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ESTALE})

Identity = tuple[int, int]
"""Device and inode."""


class LostFileError(FeishuWsError):
    """A file of the journal is not where it was opened: what is written to it is lost.

    Args:
        file: Where it lay.
        is_replaced: Something else lies there now.
    """

    hint = (
        "put back the very file (mv) if it was moved; else restart feishu-ws: until then no event"
        " is taken, and Feishu sends them again"
    )

    def __init__(self, file: Path, *, is_replaced: bool) -> None:
        seen = "the file was removed or replaced while in use"
        super().__init__(Fault.JOURNAL_IO, f"{seen}, expected it to stay, {file}")
        self.file = file
        self.is_replaced = is_replaced


def identity_at(file: Path) -> Identity | None:
    """Return what lies at a path, None if nothing does.

    Raises:
        OSError: That cannot be told.
    """
    try:
        found = file.stat()
    except OSError as error:
        if error.errno in _GONE:
            return None
        raise
    return (found.st_dev, found.st_ino) if found.st_nlink else None


class Footing:
    """The files of one open journal, in the order in which their loss is told."""

    def __init__(self) -> None:
        self._stands_on: dict[Path, Identity] = {}
        self._again_s = 0.0

    def expect(self, file: Path, identity: Identity) -> None:
        """From now on this very file has to lie there."""
        self._stands_on[file] = identity

    def stand_on(self, file: Path, *, is_needed: bool = True) -> None:
        """From now on what lies there has to stay; nothing may lie there unless it is needed.

        Raises:
            LostFileError: Nothing lies there.
            FeishuWsError: It may not be looked at.
        """
        try:
            found = identity_at(file)
        except OSError as error:
            raise explain_os(error, f"cannot look at {file}") from error
        if found is not None:
            self.expect(file, found)
        elif is_needed:
            raise LostFileError(file, is_replaced=False)

    def check(self) -> None:
        """Look whether all is in place, unless it was a moment ago. As slow as the disk.

        Raises:
            LostFileError: Something is not. The next call looks again.
        """
        if time.monotonic() < self._again_s:
            return
        for file, identity in self._stands_on.items():
            with contextlib.suppress(OSError):  # it cannot be told; a commit tells what is wrong
                found = identity_at(file)
                if found != identity:
                    raise LostFileError(file, is_replaced=found is not None)
        self._again_s = time.monotonic() + CHECK_EVERY_S
