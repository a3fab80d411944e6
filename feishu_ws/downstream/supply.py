"""Where the next event for a consumer comes from: memory, or a batch read from the disk.

Reads of one consumer: at most one at a time, at most one batch in memory.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from feishu_ws.clock import Clock
from feishu_ws.downstream.recent import Batch, Recent
from feishu_ws.downstream.seat import Seat
from feishu_ws.faults import FeishuWsError
from feishu_ws.journal.contract import Journal
from feishu_ws.model import Event

READ_AGAIN_S: Final = 1.0  # after the journal could not be read


class Supply:
    """Finds events for seats.

    Args:
        go_on: Called with a seat when what it waited for was read.
    """

    def __init__(self, journal: Journal, *, clock: Clock, go_on: Callable[[Seat], None]) -> None:
        self._journal = journal
        self._clock = clock
        self._go_on = go_on
        self._recent = Recent(journal.last)

    @property
    def last(self) -> int:
        """The newest position that may be asked for."""
        return self._recent.last

    def add(self, event: Event) -> None:
        """Take in an event that was just committed."""
        self._recent.add(event)

    def get(self, position: int) -> Event | None:
        """Return an event if it is in memory."""
        return self._recent.get(position)

    def after(self, seat: Seat, position: int) -> Event | None:
        """Return the event that follows `position`; None = it is being read, wait for `go_on`."""
        if seat.batch is not None and position >= seat.batch.last:
            seat.batch = None
        event = self._recent.get(position + 1)
        if event is None and seat.batch is not None:
            event = seat.batch.first_above(position)
        if event is None and seat.reading is None:
            seat.reading = asyncio.get_running_loop().create_task(
                self._fill(seat, position), name=f"read-{seat.name}"
            )
        return event

    async def _fill(self, seat: Seat, after: int) -> None:
        """Read one batch above `after`, then go on sending."""
        try:
            reading = await self._journal.read(after)
        except FeishuWsError:  # the journal counts it and shows it as its fault
            await self._clock.sleep(READ_AGAIN_S)
        else:
            if seat.outlet is not None:
                seat.batch = Batch(after, reading)
                if not reading.events:
                    self._note_end(seat, after, reading.through)
        seat.reading = None
        self._go_on(seat)

    def _note_end(self, seat: Seat, after: int, through: int) -> None:
        """There is nothing above `after`: what was expected there was removed."""
        progress = seat.progress
        if after == progress.read_through:
            progress.pass_over(through)
        elif progress.is_out(after + 1):
            progress.bury(after + 1, self._clock.monotonic())
