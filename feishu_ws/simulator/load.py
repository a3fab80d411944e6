"""A plain load driver: text messages at a rate, or as fast as they are confirmed."""

import asyncio
import math
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from feishu_ws.clock import Clock
from feishu_ws.simulator.corpus import text_message
from feishu_ws.simulator.delivery import Delivery
from feishu_ws.simulator.origin import Origin
from feishu_ws.simulator.server import Simulator

PACE_S: Final = 0.002  # events of one step go out together; at 1,000/s they are two


@dataclass(frozen=True, slots=True)
class PumpReport:
    """What became of a load.

    Attributes:
        unfinished: Neither confirmed nor given up when the wait ended.
        took_s: From the first event to the last confirmation (or the end of the wait).
        latencies_s: From an event's first transmission to its 200, in order of confirmation.
    """

    pushed: int
    confirmed: int
    given_up: int
    unfinished: int
    took_s: float
    latencies_s: list[float]

    def quantile_s(self, share: float) -> float:
        """Return the latency that `share` (0-1) of the events did not exceed."""
        if not self.latencies_s:
            return math.nan
        ordered = sorted(self.latencies_s)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


async def pace(
    clock: Clock, rate: float, *, seconds: float = math.inf, count: float = math.inf
) -> AsyncIterator[int]:
    """Yield how many events are due, as often as some are.

    Args:
        clock: Where time comes from.
        rate: Events per second, more than 0; what was missed is made up for.
        seconds: How long.
        count: How many altogether; the first of the two limits ends it.
    """
    started_s, done = clock.monotonic(), 0
    while done < count:
        elapsed_s = clock.monotonic() - started_s
        if elapsed_s >= seconds:
            return
        due = int(min(count, int(elapsed_s * rate) + 1)) - done
        if due:
            done += due
            yield due
        await clock.sleep(min(max(PACE_S, done / rate - elapsed_s), seconds))


class _Pump:
    def __init__(self, feishu: Simulator, origin: Origin, size: int | None) -> None:
        self._feishu = feishu
        self._origin = origin
        self._size = size
        self._finished = asyncio.Event()
        self.pushed = self.confirmed = self.given_up = 0
        self.latencies_s: list[float] = []

    @property
    def unfinished(self) -> int:
        return self.pushed - self.confirmed - self.given_up

    def push(self) -> None:
        payload = text_message(self.pushed, size=self._size, origin=self._origin)
        self.pushed += 1
        self._feishu.push(payload, watch=self._note)

    def _note(self, delivery: Delivery) -> None:
        if delivery.confirmed_s is not None and delivery.first_sent_s is not None:
            self.confirmed += 1
            self.latencies_s.append(delivery.confirmed_s - delivery.first_sent_s)
        else:
            self.given_up += 1
        self._finished.set()

    async def wait_for_room(self, window: float, until_s: float) -> bool:
        """Wait until fewer than `window` are unfinished; false if `until_s` came first."""
        while self.unfinished >= window:
            self._finished.clear()
            left_s = until_s - self._feishu.clock.monotonic()
            try:
                await asyncio.wait_for(
                    self._finished.wait(), None if left_s == math.inf else left_s
                )
            except TimeoutError:
                return False
        return True


async def pump(
    feishu: Simulator,
    rate: float | None = None,
    *,
    seconds: float = math.inf,
    count: float = math.inf,
    window: float = math.inf,
    size: int | None = None,
    origin: Origin | None = None,
    settle_s: float = 10.0,
) -> PumpReport:
    """Push text messages and wait until they are confirmed.

    Args:
        feishu: Where to push.
        rate: Events per second; None: as fast as `window` allows.
        seconds: How long to push.
        count: How many to push; the first of the two limits ends it.
        window: At most so many unconfirmed at once; slows down a `rate` too.
        size: Bytes per event, 1,518 by default.
        origin: Whose events; None: a run of its own, so that ids are fresh.
        settle_s: How long to wait for the last confirmations.

    Raises:
        ValueError: Neither `seconds` nor `count`, or neither `rate` nor `window`.
    """
    if min(seconds, count) == math.inf or (rate is None and window == math.inf):
        raise ValueError("pump: expected seconds or count, and rate or window")
    clock = feishu.clock
    started_s = clock.monotonic()
    driver = _Pump(feishu, origin or feishu.new_origin(), size)
    if rate is None:
        await _push_in_window(driver, clock, started_s + seconds, count, window)
    else:
        async for due in pace(clock, rate, seconds=seconds, count=count):
            for _ in range(due):
                if await driver.wait_for_room(window, started_s + seconds):
                    driver.push()
    await driver.wait_for_room(1, clock.monotonic() + settle_s)
    took_s = clock.monotonic() - started_s
    return PumpReport(
        driver.pushed,
        driver.confirmed,
        driver.given_up,
        driver.unfinished,
        took_s,
        driver.latencies_s,
    )


async def _push_in_window(
    driver: _Pump, clock: Clock, until_s: float, count: float, window: float
) -> None:
    while driver.pushed < count and clock.monotonic() < until_s:
        if await driver.wait_for_room(window, until_s):
            driver.push()
