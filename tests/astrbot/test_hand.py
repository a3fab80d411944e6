"""What AstrBot has in hand: handed over once, settled once it is done with."""

import asyncio
import gc

import pytest
from support import eventually

from feishu_ws.astrbot.plugin import hand as hand_module
from feishu_ws.astrbot.plugin.hand import Hand
from feishu_ws.astrbot.plugin.native import Gone, Refused


class Session:
    """A connection that notes what is said, and fails as told."""

    def __init__(self, journal="j"):
        self.journal = journal
        self.said = []
        self.error = None

    async def call(self, method, params):
        if self.error is not None:
            raise self.error
        self.said.append((method, params))


class Event:
    """An event of an AstrBot that tells when it is done with one."""

    def __init__(self):
        self.cleaned = 0

    def cleanup_temporary_local_files(self):
        self.cleaned += 1


class OldEvent:
    """An event of one that does not."""


@pytest.fixture
def log():
    return []


@pytest.fixture
def hand(log):
    return Hand(log.append)


def params(position=1, **more):
    """Return a delivery."""
    return {"position": position, "event": {"id": f"ev-{position}"}, **more}


SETTLED = ("settle", {"positions": [1]})


async def test_settled_once_astrbot_is_done(hand):
    """Not when AstrBot takes it, but when its pipeline is through; its own cleaning is done too."""
    session, event = Session(), Event()
    held = hand.take(params(), session)
    hand.watch(held, event)
    await asyncio.sleep(0)
    assert session.said == []
    event.cleanup_temporary_local_files()
    await eventually(lambda: session.said == [SETTLED])
    assert event.cleaned == 1
    await eventually(lambda: len(hand) == 0)


async def test_an_astrbot_that_does_not_tell(hand):
    """There it is settled once AstrBot took it."""
    session = Session()
    hand.watch(hand.take(params(), session), OldEvent())
    await eventually(lambda: session.said == [SETTLED])


async def test_a_callback_of_an_astrbot_that_does_not_tell(hand):
    """Such a callback is not settled before there was time to answer it."""
    session = Session()
    held = hand.take(params(reply_by="2099-01-01T00:00:00.000Z"), session)
    hand.watch(held, OldEvent())
    await asyncio.sleep(0.02)
    hand.reply(held, {"toast": {}})
    await asyncio.sleep(0.02)
    assert session.said == [("reply", {"position": 1, "data": {"toast": {}}})]


async def test_an_event_that_was_dropped(hand):
    """An event that AstrBot let go of without a word is done with."""
    session = Session()
    hand.watch(hand.take(params(), session), Event())
    gc.collect()
    await eventually(lambda: session.said == [SETTLED])


async def test_an_event_that_is_never_done_with(hand, monkeypatch):
    """After a long time it is settled all the same."""
    monkeypatch.setattr(hand_module, "HELD_S", 0.01)
    session, event = Session(), Event()
    hand.watch(hand.take(params(), session), event)
    await eventually(lambda: session.said == [SETTLED])
    event.cleanup_temporary_local_files()
    await asyncio.sleep(0.01)
    assert session.said == [SETTLED]


async def test_delivered_again_while_in_hand(hand):
    """AstrBot gets it once; it is settled over the latest connection."""
    first, second, event = Session(), Session(), Event()
    hand.watch(hand.take(params(), first), event)
    assert hand.take(params(attempt=1), second) is None
    event.cleanup_temporary_local_files()
    await eventually(lambda: second.said == [SETTLED])
    assert first.said == []


async def test_done_while_the_daemon_is_away(hand):
    """What was done meanwhile is settled when it comes again, and not handled twice."""
    first, second, event = Session(), Session(), Event()
    hand.watch(hand.take(params(), first), event)
    first.error = Gone("away")
    event.cleanup_temporary_local_files()
    await asyncio.sleep(0.01)
    assert len(hand) == 1
    assert hand.take(params(), second) is None
    await eventually(lambda: second.said == [SETTLED])
    assert hand.take(params(), second) is not None  # a replay, say


async def test_another_journal(hand):
    """A position of another journal is another event."""
    assert hand.take(params(), Session("a")) is not None
    assert hand.take(params(), Session("b")) is not None


async def test_an_answer_that_could_not_be_sent(hand):
    """Then the event comes again."""
    session, event = Session(), Event()
    held = hand.take(params(), session)
    hand.watch(held, event)
    held.failed = "no answer could be sent"
    event.cleanup_temporary_local_files()
    await eventually(
        lambda: session.said == [("reject", {"position": 1, "reason": "no answer could be sent"})]
    )


async def test_a_reject_that_is_lost(hand):
    """It comes again by itself, and is handled anew."""
    session = Session()
    session.error = Gone("away")
    hand.reject(hand.take(params(), session), "why")
    await eventually(lambda: len(hand) == 0)


async def test_astrbot_is_stopped_over_it(hand):
    """What AstrBot was cancelled over is not done with."""
    session, event = Session(), Event()
    hand.watch(hand.take(params(), session), event)

    async def pipeline():
        try:
            await asyncio.sleep(60)
        finally:
            event.cleanup_temporary_local_files()

    task = asyncio.create_task(pipeline())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    await eventually(lambda: session.said and session.said[0][0] == "reject")


async def test_the_first_word_counts(hand):
    """An answer to a callback settles it; the end of the pipeline adds nothing."""
    session, event = Session(), Event()
    held = hand.take(params(reply_by="2099-01-01T00:00:00.000Z"), session)
    assert held.is_waited_for
    hand.watch(held, event)
    hand.reply(held, {"toast": {}})
    event.cleanup_temporary_local_files()
    await asyncio.sleep(0.01)
    assert session.said == [("reply", {"position": 1, "data": {"toast": {}}})]


async def test_a_refusal_is_told(hand, log):
    """What the daemon does not take is told, and forgotten."""
    session = Session()
    session.error = Refused(-32002, "late")
    hand.reply(hand.take(params(), session), {})
    await eventually(lambda: len(hand) == 0)
    assert log == ["event at position 1: reply refused: late (-32002)"]


async def test_what_astrbot_never_got(hand):
    """An adapter that ends lets go of what it had not handed over, and of nothing else."""
    session, event = Session(), Event()
    waiting, taken = hand.take(params(1), session), hand.take(params(2), session)
    hand.watch(taken, event)
    hand.drop(waiting)
    hand.drop(taken)
    assert hand.take(params(1), session) is not None
    assert hand.take(params(2), session) is None


async def test_it_does_not_grow_for_ever(hand, monkeypatch):
    """Beyond a bound the oldest that is done with goes first, then the oldest."""
    monkeypatch.setattr(hand_module, "MOST", 3)
    session, away = Session(), Session()
    away.error = Gone("away")
    for position in (1, 2):
        hand.take(params(position), session)
    hand.settle(hand.take(params(3), away))
    await asyncio.sleep(0.01)
    for position in (4, 5):
        hand.take(params(position), session)
    assert len(hand) == 3
    assert hand.take(params(2), session) is None
