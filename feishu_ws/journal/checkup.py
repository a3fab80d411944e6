"""Reads the whole journal once after a start, a little at a time, and so finds damage early.

Otherwise a damaged page is met when a consumer comes by it, perhaps days later, or when
something is written beside it. Every step is a bounded read in the reader's thread, so
what consumers ask for waits for one step at most. What a step finds condemns the
journal like any other read of a damaged page.
"""

import sqlite3
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, Protocol

from feishu_ws.clock import Clock
from feishu_ws.faults import FeishuWsError
from feishu_ws.journal.tour import TOURS, Key, step

BEGIN_AFTER_S: Final = 5.0  # links and consumers come first after a start
SHARE: Final = 10  # of the reader's time at most one part in so many
LEAST_PAUSE_S: Final = 0.05


class Ask(Protocol):
    """Runs a step in the reader's thread."""

    def __call__(self, function: Callable[[], Key | None], /) -> Awaitable[Key | None]:
        """Return what the step returns.

        Raises:
            FeishuWsError: As the disk answers, or the journal is closed.
        """
        ...


class Checkup:
    """One tour of everything.

    Args:
        db: The reading connection, used in `ask`'s thread only.
        ask: Runs a step there.
        clock: What the pauses are measured by.

    Attributes:
        steps: How many steps were done.
        is_done: All was read, and nothing was wrong.
    """

    def __init__(self, db: sqlite3.Connection, ask: Ask, clock: Clock) -> None:
        self._db = db
        self._ask = ask
        self._clock = clock
        self.steps = 0
        self.is_done = False

    async def run(self) -> None:
        """Read everything; ends early if something cannot be read: the journal then knows why."""
        await self._clock.sleep(BEGIN_AFTER_S)
        for tour in TOURS:
            key: Key | None = tour.start
            while key is not None:
                began_s = self._clock.monotonic()
                try:
                    key = await self._ask(partial(step, self._db, tour, key))
                except FeishuWsError:
                    return
                self.steps += 1
                took_s = self._clock.monotonic() - began_s
                await self._clock.sleep(max(took_s * SHARE, LEAST_PAUSE_S))
        self.is_done = True
