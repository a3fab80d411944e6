"""Where time comes from, so that tests can own it.

`monotonic()` measures durations and deadlines; `wall_ms()` dates what is stored.
Nothing else in the package reads a clock.
"""

import asyncio
import time
from typing import Final, Protocol


class Clock(Protocol):
    """A source of time and the only way to wait for it."""

    def monotonic(self) -> float:
        """Return seconds on a clock that never steps."""
        ...

    def wall_ms(self) -> int:
        """Return Unix time in milliseconds; it may step."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait for `seconds` of `monotonic()`."""
        ...


class StepGuard:
    """Notices that the wall clock stepped, at the very moment somebody is about to use it.

    Whoever watches the clock now and then may be a second late, and a second is enough
    to throw away what a wrong clock calls old. Ask at least every few hours: a clock
    that is slewed drifts, and that is no step.
    """

    MAX_STEP_S: Final = 90.0  # more than the 60 s that end in a doubt of their own (CONTRACT 8)

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.accept()

    def accept(self) -> None:
        """Take the wall clock as right, whatever it shows."""
        self._seen = self._clock.wall_ms(), self._clock.monotonic()

    def agrees(self) -> bool:
        """Whether the wall clock went on as it should since it was last accepted or agreed."""
        before_ms, before_s = self._seen
        now_ms, now_s = self._clock.wall_ms(), self._clock.monotonic()
        step_s = (now_ms - before_ms) / 1000 - (now_s - before_s)
        if abs(step_s) > self.MAX_STEP_S:
            return False
        self._seen = now_ms, now_s
        return True


class SystemClock:
    """The machine's own clocks."""

    def monotonic(self) -> float:
        """Return seconds on a clock that never steps."""
        return time.monotonic()

    def wall_ms(self) -> int:
        """Return Unix time in milliseconds; it may step."""
        return time.time_ns() // 1_000_000

    async def sleep(self, seconds: float) -> None:
        """Wait for `seconds` of `monotonic()`."""
        await asyncio.sleep(seconds)


class ManualClock:
    """A clock that moves only when told to, for scenarios that span hours."""

    def __init__(self, wall_ms: int = 1_774_004_591_415) -> None:
        self._now_s = 1_000.0
        self._epoch_ms = wall_ms - 1_000_000
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []

    def monotonic(self) -> float:
        """Return seconds on a clock that never steps."""
        return self._now_s

    def wall_ms(self) -> int:
        """Return Unix time in milliseconds."""
        return self._epoch_ms + round(self._now_s * 1000)

    def step_wall(self, seconds: float) -> None:
        """Step the wall clock alone, as an operator or NTP would."""
        self._epoch_ms += round(seconds * 1000)

    def advance(self, seconds: float) -> None:
        """Move both clocks on and wake whoever slept until then."""
        self._now_s += seconds
        due = [future for at, future in self._sleepers if at <= self._now_s]
        self._sleepers = [(at, f) for at, f in self._sleepers if at > self._now_s]
        for future in due:
            if not future.done():
                future.set_result(None)

    async def sleep(self, seconds: float) -> None:
        """Wait until `advance` has moved the clock on by `seconds`."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers.append((self._now_s + seconds, future))
        await future
