"""The loop's pulse."""

import asyncio

from feishu_ws.clock import ManualClock
from feishu_ws.tally import LAG_EDGES_S, Histogram
from feishu_ws.telemetry.pulse import INTERVAL_S, pulse


async def turns(count=5):
    for _ in range(count):
        await asyncio.sleep(0)


async def test_lateness_is_measured_and_every_beat_is_told():
    """A timer that ran 2 s late counts as 2 s of lag."""
    clock, lag, beats = ManualClock(), Histogram(LAG_EDGES_S), []
    task = asyncio.create_task(pulse(clock, lag, beats.append))
    await turns()
    clock.advance(INTERVAL_S)
    await turns()
    clock.advance(INTERVAL_S + 2)
    await turns()
    task.cancel()
    assert beats == [1000.5, 1003.0]
    assert sum(lag.counts) == 2
    assert lag.sum == 2
