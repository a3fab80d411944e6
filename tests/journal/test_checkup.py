"""After a start the whole journal is read once, a little at a time."""

import asyncio

import pytest
from journal.contract import append, make_event
from journal.faulty import DiskError
from journal.filling import fill
from support import eventually

from feishu_ws.faults import Fault, FeishuWsError
from feishu_ws.happenings import JournalFaulted
from feishu_ws.journal import sqlite as sqlite_module
from feishu_ws.journal.checkup import BEGIN_AFTER_S, LEAST_PAUSE_S, SHARE, Checkup
from feishu_ws.journal.replace import marked
from feishu_ws.model import Outcome, Verdict


class Desk:
    """Runs steps at once, and notes when; each takes some seconds of a manual clock."""

    def __init__(self, clock, takes_s=0.0):
        self.clock = clock
        self.takes_s = takes_s
        self.at_s = []
        self.fails = False

    async def __call__(self, function):
        self.at_s.append(self.clock.monotonic())
        self.clock.advance(self.takes_s)
        if self.fails:
            raise FeishuWsError(Fault.JOURNAL_IO, "what was seen")
        return function()


async def run(checkup, clock):
    """Let a checkup go on until it ends."""
    task = asyncio.ensure_future(checkup.run())
    while not task.done():
        clock.advance(0.01)
        for _ in range(3):
            await asyncio.sleep(0)
    await task


async def test_it_reads_everything(store, clock):
    """Every table is read to its end, one bounded step after another."""
    fill(store, 1000)
    desk = Desk(clock)
    checkup = Checkup(store._db, desk, clock)
    await run(checkup, clock)

    assert checkup.is_done
    assert checkup.steps == len(desk.at_s) == 9 + 2 + 2 + 1 + 1  # the last of each finds the end


@pytest.mark.parametrize("takes_s", [0.0, 0.02])
async def test_it_leaves_the_reader_to_others(store, clock, takes_s):
    """It begins late, and rests ten times as long as it worked."""
    began_s = clock.monotonic()
    desk = Desk(clock, takes_s)
    await run(Checkup(store._db, desk, clock), clock)
    pauses = [b - a - takes_s for a, b in zip(desk.at_s, desk.at_s[1:], strict=False)]

    assert desk.at_s[0] - began_s >= BEGIN_AFTER_S
    assert min(pauses) >= max(takes_s * SHARE, LEAST_PAUSE_S) - 1e-6


async def test_a_disk_that_cannot_be_read(store, clock):
    """What cannot be read ends it; the journal has told why."""
    desk = Desk(clock)
    desk.fails = True
    checkup = Checkup(store._db, desk, clock)
    await run(checkup, clock)

    assert (checkup.is_done, checkup.steps, len(desk.at_s)) == (False, 0, 1)


# -- in a journal -------------------------------------------------------------------------


@pytest.fixture
def no_time(monkeypatch):
    """At a start there is no time to look at anything."""
    monkeypatch.setattr(sqlite_module, "examine", lambda *_: False)


async def test_damage_is_found_by_itself(no_time, open_journal, clock):
    """Damage that no consumer comes by ends intake, and word is left for the next start."""
    opened = open_journal()
    checkup = opened.journal._checkup

    def refuse():
        raise DiskError("SQLITE_CORRUPT")

    checkup._ask = lambda _: opened.journal._ask(refuse)
    task = opened.journal._checking
    while not task.done():
        clock.advance(1)
        await asyncio.sleep(0.01)
    outcome = await append(opened.journal, make_event("new"))
    await eventually(lambda: marked(opened.path) is not None)

    assert outcome == Outcome(Verdict.REFUSED, fault=Fault.JOURNAL_CORRUPT)
    assert [h.fault for h in opened.told(JournalFaulted)] == [Fault.JOURNAL_CORRUPT]


async def test_a_sound_journal_stays_sound(no_time, open_journal, clock):
    """A journal that is read through while it takes events has no fault."""
    opened = open_journal()
    task = opened.journal._checking
    for n in range(300):
        await append(opened.journal, make_event(n))
        clock.advance(1)
    while not task.done():
        clock.advance(1)
        await asyncio.sleep(0.001)

    assert opened.journal._checkup.is_done
    assert opened.journal.facts().fault is None


async def test_a_journal_that_was_looked_at(open_journal):
    """Where there was time for everything at the start, nothing is read again."""
    assert open_journal().journal._checking is None


async def test_a_close_ends_it(no_time, open_journal):
    """A journal that is closed reads nothing any more."""
    opened = open_journal()
    task = opened.journal._checking
    await opened.journal.close(5)
    await asyncio.wait([task], timeout=5)

    assert task.cancelled()
