"""Opening the journal and reading the configuration again: on threads, as either may hang.

A disk, a mount and a FIFO may give no answer for ever. The loop is free meanwhile, and
a stop leaves the thread behind.
"""

import asyncio
import threading
from collections.abc import Callable
from errno import EAGAIN
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar, cast

from feishu_ws.clock import Clock
from feishu_ws.config import ConfigError, Loaded
from feishu_ws.faults import Fault, FeishuWsError
from feishu_ws.happenings import ConfigRejected, Observer
from feishu_ws.journal.file import explain_os

T = TypeVar("T")

READ_PATIENCE_S: Final = 5.0  # a file takes milliseconds; whoever asked waits for an answer
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
    done = _aside(journal.prepare, "journal-opening")
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


class Rereading:
    """Reads the configuration again whenever it is asked to, one reading at a time.

    Args:
        read: Reads it; may block. Raises ConfigError.
        apply: Takes it over, or raises ConfigError.
        observe: Told why it is not taken over.
        done: Called when what was asked for is done, in either case.
    """

    def __init__(
        self,
        read: Callable[[], Loaded],
        *,
        apply: Callable[[Loaded], None],
        observe: Observer,
        done: Callable[[], object],
    ) -> None:
        self._read = read
        self._apply = apply
        self._observe = observe
        self._done = done
        self._asked = asyncio.Event()
        self._reading: asyncio.Future[Loaded] | None = None

    def ask(self) -> None:
        """Read it once more from now on."""
        self._asked.set()

    async def run(self) -> None:
        """Do what is asked for, for ever."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            try:
                self._apply(await self._once())
            except ConfigError as error:
                self._observe(ConfigRejected(error.errors))
            if not self._asked.is_set():  # else there is more to do
                self._done()

    async def _once(self) -> Loaded:
        """Read it on a thread; one that hangs is left behind, and has no second beside it."""
        try:
            async with asyncio.timeout(READ_PATIENCE_S):
                if self._reading is not None:
                    await asyncio.wait({self._reading})
                self._reading = _aside(self._read, "config-reading")
                await asyncio.wait({self._reading})
        except TimeoutError:
            raise _unread(f"no answer within {READ_PATIENCE_S:g} s") from None
        error = self._reading.exception()
        if error is not None and not isinstance(error, ConfigError):  # no reason to end the daemon
            words = error.strerror if isinstance(error, OSError) else ""
            raise _unread(words or type(error).__name__) from error
        return self._reading.result()


def _unread(seen: str) -> ConfigError:
    return ConfigError([f"config file: {seen}, expected a readable TOML file"])


def _aside(work: Callable[[], T], name: str) -> asyncio.Future[T]:
    """Return what work that may block for ever will have come to, on a thread of its own."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def finish(result: T | None, error: Exception | None) -> None:
        if error is None:
            done.set_result(cast("T", result))
        else:
            done.set_exception(error)
            done.exception()  # retrieved: perhaps nobody waits any more

    def run() -> None:
        result, error = None, None
        try:
            result = work()
        except Exception as exc:  # noqa: BLE001 - owner of the thread: raised where it is awaited
            error = exc
        try:
            loop.call_soon_threadsafe(finish, result, error)
        except RuntimeError:
            return  # the loop has ended meanwhile: nobody waits any more

    try:
        threading.Thread(target=run, name=name, daemon=True).start()
    except RuntimeError as exc:  # the limit of processes
        finish(None, OSError(EAGAIN, str(exc)))
    return done


def new_loop() -> asyncio.AbstractEventLoop:
    """Return uvloop's loop where it installs (Linux), asyncio's own elsewhere."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()
