"""Opening the journal: where it shall lie, patiently, and so that a stop is heard meanwhile."""

import asyncio
import threading
from pathlib import Path
from typing import Any, Final, Protocol

from feishu_ws.clock import Clock
from feishu_ws.faults import Fault, FeishuWsError
from feishu_ws.journal.file import explain_os

LOCK_PATIENCE_S: Final = 2.0  # a command holds the lock of a stopped daemon's journal some 0.3 s
LOCK_POLL_S: Final = 0.1


class Opening(Protocol):
    """What is opened; `SqliteJournal` is one."""

    def prepare(self) -> None:
        """Do what may take long, on a thread; the process may end in the middle of it."""
        ...

    def begin(self) -> None:
        """Do the rest, on the event loop's thread."""
        ...


def make_place(path: Path) -> None:
    """Make the directory that a journal is to lie in, for its owner alone.

    Raises:
        FeishuWsError: `journal_io`, `journal_read_only` or `disk_full`, saying which it is.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        where = error.filename or path.parent
        seen = f"cannot make {where}, expected a directory for the journal {path}"
        raise explain_os(error, seen) from error


async def open_journal(journal: Opening, clock: Clock, stop: asyncio.Event) -> bool:
    """Open the journal; return False if `stop` was set before that was done.

    A disk that hangs and a salvage of minutes leave the loop free. Waits a moment for a
    command that works on the journal to be done.

    Raises:
        FeishuWsError: As `SqliteJournal.prepare`; `journal_locked` after `LOCK_PATIENCE_S`.
    """
    until_s = clock.monotonic() + LOCK_PATIENCE_S
    while True:
        try:
            if not await _prepare(journal, stop):
                return False
        except FeishuWsError as error:
            if error.fault is not Fault.JOURNAL_LOCKED or clock.monotonic() >= until_s:
                raise
        else:
            journal.begin()
            return True
        await clock.sleep(LOCK_POLL_S)


async def _prepare(journal: Opening, stop: asyncio.Event) -> bool:
    """Prepare on a thread that is left behind if `stop` comes first."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def finish(error: Exception | None) -> None:
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)

    def work() -> None:
        error: Exception | None = None
        try:
            journal.prepare()
        except Exception as exc:  # noqa: BLE001 - owner of the thread: raised where it is awaited
            error = exc
        try:
            loop.call_soon_threadsafe(finish, error)
        except RuntimeError:
            return  # the loop has ended meanwhile: nobody waits any more

    threading.Thread(target=work, name="journal-opening", daemon=True).start()
    stopping = asyncio.create_task(stop.wait(), name="journal-opening-stop")
    try:
        both: set[asyncio.Future[Any]] = {done, stopping}
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
    if not done.done():
        return False
    done.result()
    return True


def new_loop() -> asyncio.AbstractEventLoop:
    """Return uvloop's loop where it installs (Linux), asyncio's own elsewhere."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()
