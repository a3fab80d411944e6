"""When a daemon was last known to run."""

import asyncio

import pytest
from journal.contract import append, make_event

from feishu_ws.clock import ManualClock
from feishu_ws.faults import Fault, FeishuWsError
from feishu_ws.journal.contract import JournalSettings
from feishu_ws.journal.memory import MemoryJournal
from feishu_ws.lifetime import ALIVE, EVERY_S, last_alive_ms, note_alive


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def journal(clock):
    return MemoryJournal(JournalSettings(), clock=clock)


async def test_nobody_knows(journal):
    """A new journal tells of no daemon before."""
    assert await last_alive_ms(journal) == 0


async def test_it_is_noted_again_and_again(journal, clock):
    """What is noted is at most a minute old."""
    noting = asyncio.create_task(note_alive(journal, clock))
    noted = []
    for _ in range(3):
        await asyncio.sleep(0)
        noted.append(await last_alive_ms(journal) - clock.wall_ms())
        clock.advance(EVERY_S)
    noting.cancel()

    assert noted == [0, 0, 0]


@pytest.mark.parametrize(("received_s", "last_s"), [(-10, 0), (25, 25)])
async def test_a_stored_event_tells_it_too(journal, clock, received_s, last_s):
    """The newest of both counts."""
    began_ms = clock.wall_ms()
    journal.remember(ALIVE, str(began_ms))
    await append(journal, make_event("a", at_ms=began_ms - 60_000))
    await append(journal, make_event("b", at_ms=began_ms + received_s * 1000))

    assert await last_alive_ms(journal) == began_ms + last_s * 1000


@pytest.mark.parametrize("noted", ["", "soon", "9" * 5000])
async def test_what_is_no_time(journal, noted):
    """A note that was damaged is none."""
    journal.remember(ALIVE, noted)

    assert await last_alive_ms(journal) == 0


async def test_a_journal_that_cannot_be_read(journal, monkeypatch):
    """What was noted counts."""

    async def fail(*_, **__):
        raise FeishuWsError(Fault.JOURNAL_IO, "x")

    journal.remember(ALIVE, "77")
    monkeypatch.setattr(journal, "read", fail)

    assert await last_alive_ms(journal) == 77
