"""Opening the journal when a command may still be at work on it."""

from typing import Final

from feishu_ws.clock import Clock
from feishu_ws.faults import Fault, FeishuWsError
from feishu_ws.journal.sqlite import SqliteJournal

LOCK_PATIENCE_S: Final = 2.0  # a command holds the lock of a stopped daemon's journal some 0.3 s
LOCK_POLL_S: Final = 0.1


async def open_journal(journal: SqliteJournal, clock: Clock) -> None:
    """Open the journal; wait a moment for a command that works on it to be done.

    Raises:
        FeishuWsError: As `SqliteJournal.open`; `journal_locked` after `LOCK_PATIENCE_S`.
    """
    until_s = clock.monotonic() + LOCK_PATIENCE_S
    while True:
        try:
            journal.open()
        except FeishuWsError as error:
            if error.fault is not Fault.JOURNAL_LOCKED or clock.monotonic() >= until_s:
                raise
        else:
            return
        await clock.sleep(LOCK_POLL_S)
