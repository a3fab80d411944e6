"""The event loop's pulse: how late a periodic timer runs, and that it runs at all."""

from collections.abc import Callable
from typing import Final

from feishu_ws.clock import Clock
from feishu_ws.tally import Histogram

INTERVAL_S: Final = 0.5  # a blocked loop shows in the next sample, and costs nothing


async def pulse(clock: Clock, lag: Histogram, beat: Callable[[float], None]) -> None:
    """Measure the loop's lag for ever.

    Args:
        clock: Source of time.
        lag: Gets seconds of lateness, twice a second.
        beat: Told the monotonic time on every beat.
    """
    while True:
        due = clock.monotonic() + INTERVAL_S
        await clock.sleep(INTERVAL_S)
        now = clock.monotonic()
        lag.observe(now - due)
        beat(now)
