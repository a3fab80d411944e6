"""A daemon that starts while a command still works on its journal."""

import asyncio

import pytest

from feishu_ws.clock import ManualClock
from feishu_ws.faults import Fault, FeishuWsError
from feishu_ws.start import LOCK_PATIENCE_S, open_journal


class Journal:
    """A journal that cannot be opened a number of times."""

    def __init__(self, times, fault=Fault.JOURNAL_LOCKED):
        self.times = times
        self.fault = fault
        self.opened = 0

    def open(self):
        self.opened += 1
        if self.opened <= self.times:
            raise FeishuWsError(self.fault, "process 7 holds it")


async def open_on(clock, journal):
    opening = asyncio.ensure_future(open_journal(journal, clock))
    for _ in range(100):
        await asyncio.sleep(0)
        if opening.done():
            break
        clock.advance(0.1)
    return await opening


async def test_waits_for_a_command_to_be_done():
    """A lock that is held for a moment does not end the start."""
    journal = Journal(5)
    await open_on(ManualClock(), journal)
    assert journal.opened == 6


async def test_not_for_another_daemon():
    """A lock that stays held ends it, within its patience."""
    clock = ManualClock()
    began_s = clock.monotonic()
    with pytest.raises(FeishuWsError) as caught:
        await open_on(clock, Journal(1000))
    assert caught.value.fault is Fault.JOURNAL_LOCKED
    assert clock.monotonic() - began_s <= LOCK_PATIENCE_S + 0.2


async def test_what_waiting_does_not_mend():
    """Anything else is told at once."""
    journal = Journal(1, Fault.JOURNAL_VERSION)
    with pytest.raises(FeishuWsError):
        await open_on(ManualClock(), journal)
    assert journal.opened == 1
