"""A consumer's seat, and what sits in it. Rules of taking one are in `seats.py`."""

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from feishu_ws.downstream.progress import Progress
from feishu_ws.downstream.recent import Batch
from feishu_ws.model import Event, Filter


class Outlet(Protocol):
    """Where deliveries go: one connection of a consumer."""

    def deliver(self, event: Event, attempt: int, reply_by_ms: int | None, *, late: bool) -> None:
        """Send an event; never blocks."""
        ...

    def has_room(self) -> bool:
        """Whether more may be sent; when it is true again, `Dispatcher.resume` is called."""
        ...

    def bye(self, reason: str) -> None:
        """Say goodbye; settles are still read for a while."""
        ...


class Seat:
    """A consumer in this process, connected or not.

    Attributes:
        batch: What was read from the disk and not sent yet.
        timer_at: When it fires, on the loop's clock; uvloop's handles do not always know.
        replay_through: Up to here it was told to read again; what is old is sent all the same.
        pauses: Changes under way that what is sent next depends on; see `paused`.
        is_pumping: It is being sent to just now.
        is_queued: It will be sent to in the loop's next turn.
    """

    def __init__(self, name: str, wanted: Filter, progress: Progress, *, durable: bool) -> None:
        self.name = name
        self.wanted = wanted.compile()
        self.progress = progress
        self.durable = durable
        self.outlet: Outlet | None = None
        self.batch: Batch | None = None
        self.reading: asyncio.Task[None] | None = None
        self.timer: asyncio.Handle | None = None
        self.timer_at = 0.0
        self.replay_through = 0
        self.pauses = 0
        self.is_pumping = False
        self.is_queued = False
        self.supersedes: deque[float] = deque()
        self.conflict_until_s = 0.0

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Send and pass over nothing within: the journal is about to change what is wanted.

        An event that is committed together with a change must not be judged by what was
        wanted before it.
        """
        self.begin_pause()
        try:
            yield
        finally:
            self.end_pause()

    def begin_pause(self) -> None:
        """See `paused`."""
        self.pauses += 1
        self.progress.doubt_passed()

    def end_pause(self) -> None:
        """See `paused`; whoever ends one wakes the seat."""
        self.pauses -= 1
        self.progress.read_again()
