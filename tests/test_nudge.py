"""Sleeps that can be cut short."""

import asyncio

from feishu_ws.clock import ManualClock, SystemClock
from feishu_ws.nudge import Nudge


async def test_sleeps_its_time():
    """Without a nudge the sleep lasts as long as the clock says."""
    clock, nudge = ManualClock(), Nudge()
    sleeping = asyncio.create_task(nudge.sleep(clock, 60))
    await asyncio.sleep(0.01)
    clock.advance(59)
    await asyncio.sleep(0.01)
    assert not sleeping.done()
    clock.advance(1)
    assert await sleeping is False


async def test_nudge_ends_the_sleep():
    """A nudge wakes the sleeper at once, and only that one."""
    nudge = Nudge()
    sleeping = asyncio.create_task(nudge.sleep(SystemClock(), 60))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    nudge.give()
    nudge.give()
    assert await asyncio.wait_for(sleeping, 1) is True
    assert await nudge.sleep(SystemClock(), 0.001) is False


async def test_nudge_is_kept():
    """A nudge that found nobody asleep wakes the next sleeper."""
    nudge = Nudge()
    nudge.give()
    assert await asyncio.wait_for(nudge.sleep(SystemClock(), 60), 1) is True


async def test_no_sleep_still_yields():
    """A sleep of nothing lets others run."""
    ran = []
    asyncio.get_running_loop().call_soon(ran.append, 1)
    await Nudge().sleep(SystemClock(), -1)
    assert ran
