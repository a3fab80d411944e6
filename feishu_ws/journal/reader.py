"""A daemon thread for reads, so that catching up never waits behind a commit.

Not an executor: those are joined at exit, and a disk that hangs would hold it.
"""

import asyncio
import queue
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class ReaderThread(threading.Thread):
    """Runs one function after another and gives their results to the loop.

    Args:
        ending: Called in the thread as its last act.
    """

    def __init__(self, ending: Callable[[], None]) -> None:
        super().__init__(name="journal-reader", daemon=True)
        self._ending = ending
        self._queue: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()

    def run(self) -> None:
        """Work until stopped."""
        while (job := self._queue.get()) is not None:
            job()
        self._ending()

    def stop(self) -> None:
        """End after what waits."""
        self._queue.put(None)

    def submit(self, function: Callable[[], T]) -> asyncio.Future[T]:
        """Run `function` in the thread; its result or exception goes to the future."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def job() -> None:
            try:
                result = function()
            except Exception as exc:  # noqa: BLE001 handed to whoever waits
                _tell(loop, future, exc)
            else:
                _tell(loop, future, result)

        self._queue.put(job)
        return future


def _tell(
    loop: asyncio.AbstractEventLoop, future: asyncio.Future[T], outcome: T | Exception
) -> None:
    def settle() -> None:
        if future.done():  # whoever waited was cancelled
            return
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)

    try:
        loop.call_soon_threadsafe(settle)
    except RuntimeError:  # the loop is closed: nobody waits any more
        return
