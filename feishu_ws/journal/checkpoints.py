"""When the WAL is to be moved into the file: by what was added to it, and what is free. Pure.

Until it was moved an event is on the disk twice over, so where little is free the WAL is
kept small: one that fills the disk leaves no room to move it to.
"""

from collections.abc import Iterable
from typing import Final

from feishu_ws.model import Event

BATCH_BYTES: Final = 4 * 1024 * 1024
CHECKPOINT_BYTES: Final = 4 * 1024 * 1024  # SQLite's own default, but done between commits
QUIET_CHECKPOINT_BYTES: Final = 256 * 1024  # in a quiet second, so that little is left to recover
MOST_WAL_BYTES: Final = 32 * 1024 * 1024  # large events write more than that between two steps
SCARCE_BYTES: Final = 4 * CHECKPOINT_BYTES  # with less than this free
SCARCE_BATCH_BYTES: Final = 256 * 1024
COMMIT_BYTES: Final = 16 * 1024  # what a commit adds to the WAL besides payloads and keys
KEY_BYTES: Final = 4096  # keys are random, so each lands on a page of its own
STEP_BYTES: Final = 1024 * 1024  # what a step of upkeep adds at most, as measured


class Checkpoints:
    """Keeps count of the WAL.

    Attributes:
        wal_bytes: About what was added since it was moved last.
        is_scarce: Whether little was free when that was looked at last.
    """

    def __init__(self) -> None:
        self.wal_bytes = CHECKPOINT_BYTES  # what a crash left there
        self.is_scarce = False

    @property
    def batch_bytes(self) -> int:
        """How much may go into one commit, but for its last event."""
        return SCARCE_BATCH_BYTES if self.is_scarce else BATCH_BYTES

    def look(self, free_bytes: int) -> None:
        """Take note of what is free on the disk."""
        self.is_scarce = free_bytes < SCARCE_BYTES

    def add_commit(self, stored: Iterable[Event], other_bytes: int) -> None:
        """A commit stored events, and wrote so much besides."""
        events = sum(len(e.payload) + KEY_BYTES * len(e.keys) for e in stored)
        self.wal_bytes += COMMIT_BYTES + events + other_bytes

    def add_step(self) -> None:
        """A step of upkeep was done."""
        self.wal_bytes += STEP_BYTES

    def moved(self) -> None:
        """The WAL is in the file."""
        self.wal_bytes = 0

    def is_due(self, *, is_quiet: bool) -> bool:
        """Whether it is time, if nothing is to be written just now."""
        is_early = is_quiet or self.is_scarce
        return self.wal_bytes >= (QUIET_CHECKPOINT_BYTES if is_early else CHECKPOINT_BYTES)

    @property
    def is_overdue(self) -> bool:
        """Whether what is to be written has to wait for it."""
        most = QUIET_CHECKPOINT_BYTES if self.is_scarce else MOST_WAL_BYTES
        return self.wal_bytes >= most
