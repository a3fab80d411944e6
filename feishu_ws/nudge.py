"""Waiting that can be cut short."""

import asyncio

from feishu_ws.clock import Clock


class Nudge:
    """Wakes one sleeper early; a nudge that finds nobody asleep is kept for the next."""

    def __init__(self) -> None:
        self._given = False
        self._waiter: asyncio.Future[None] | None = None

    def give(self) -> None:
        """Wake the sleeper, or whoever sleeps next."""
        self._given = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def sleep(self, clock: Clock, seconds: float) -> bool:
        """Sleep for `seconds` of `clock`, or until nudged; return whether nudged."""
        if self._given or seconds <= 0:
            await asyncio.sleep(0)  # a loop around this must not starve the others
        else:
            await self._wait(clock, seconds)
        given, self._given = self._given, False
        return given

    async def _wait(self, clock: Clock, seconds: float) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        sleeper = asyncio.ensure_future(clock.sleep(seconds))
        try:
            await asyncio.wait({sleeper, self._waiter}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleeper.cancel()
            self._waiter = None
