"""From a stored callback to its one answer."""

import asyncio

import pytest
from downstream.rig import CARD, World
from support import eventually

from feishu_ws.answering import MAX_ANSWER_BYTES, MAX_ANSWERS, Answering, Memory


class Desk:
    """Answers over a dispatcher, and a callback to answer."""

    def __init__(self, **delivery):
        self.world = World(**delivery)
        self.answering = Answering(
            self.world.dispatcher,
            self.world.settings,
            clock=self.world.clock,
            tally=self.world.tally,
        )

    async def ask(self, name, within_s=5.0):
        """Publish a callback and begin to wait; return what its sender is told."""
        (position,) = await self.world.publish(name, kind=CARD)
        told = []
        event = self.world.journal._events[position]
        self.answering.begin(event, self.world.clock.monotonic() + within_s, told.append)
        return told


@pytest.fixture
async def desk():
    """A desk whose default says so."""
    return Desk(callback_default=b'{"default":1}')


class TestAnswer:
    """One answer, by the deadline."""

    async def test_a_reply_is_the_answer(self, desk):
        """It is counted as answered, and the deadline says nothing any more."""
        seat, _ = await desk.world.connect()
        told = await desk.ask("a", 0.05)
        desk.world.dispatcher.reply(seat, 1, b"1")
        await asyncio.sleep(0.1)

        assert (told, desk.world.tally.callbacks) == ([b"1"], {"answered": 1})

    async def test_at_the_deadline_the_default_is(self, desk):
        """It is counted as defaulted, and a reply then is late."""
        seat, _ = await desk.world.connect()
        told = await desk.ask("a", 0.05)
        await eventually(lambda: told)

        assert not desk.world.dispatcher.reply(seat, 1, b"1")
        assert told == [b'{"default":1}']
        assert desk.world.tally.callbacks == {"defaulted": 1, "late": 1}

    async def test_nobody_left_to_ask_is_the_default_at_once(self, desk):
        """The sender is not kept waiting for what cannot come."""
        seat, _ = await desk.world.connect()
        told = await desk.ask("a", 60)
        desk.world.settle(seat, 1)

        assert (told, desk.world.tally.callbacks) == ([b'{"default":1}'], {"defaulted": 1})

    async def test_nothing_is_kept_of_what_was_answered(self, desk):
        """Whatever the answer was."""
        seat, _ = await desk.world.connect()
        told = [await desk.ask(name, 0.05) for name in "abc"]
        desk.world.dispatcher.reply(seat, 1, b"1")
        desk.world.settle(seat, 2)
        await eventually(lambda: all(told))

        assert (desk.answering._timers, desk.answering._defaults) == ({}, {})
        assert desk.world.dispatcher._callbacks.events() == []


class TestHaste:
    """The daemon stops."""

    async def test_whoever_waits_gets_the_default_in_time(self, desk):
        """Also what is stored after that, and what would have had to be sooner is."""
        long, short = await desk.ask("long", 60), await desk.ask("short", 0.02)
        desk.answering.hasten(0.1)
        later = await desk.ask("later", 60)
        await eventually(lambda: short)
        first = list(long), list(later)
        await eventually(lambda: long and later, 2)

        assert first == ([], [])
        assert (long, short, later) == ([b'{"default":1}'],) * 3
        assert desk.world.tally.callbacks == {"defaulted": 3}

    async def test_a_reply_still_counts(self, desk):
        """Consumers are told to go only after the links are closed."""
        seat, _ = await desk.world.connect()
        told = await desk.ask("a", 60)
        desk.answering.hasten(0.1)
        desk.world.dispatcher.reply(seat, 1, b"1")
        await asyncio.sleep(0.15)

        assert told == [b"1"]


class TestMemory:
    """Answers are remembered within bounds."""

    def give(self, answers, name, data):
        answers.expect((name,))
        answers.give((name,), data)

    def known(self, answers, name):
        found = []
        answers.ask((name,), found.append)
        return found[0]

    def test_only_so_many_answers_are_kept(self):
        """The oldest go first."""
        answers = Memory()
        for number in range(MAX_ANSWERS + 10):
            self.give(answers, b"%d" % number, b"x")

        assert (self.known(answers, b"9"), self.known(answers, b"10")) == (None, b"x")

    def test_only_so_many_bytes_are_kept(self):
        """Large answers push out others, and one larger than everything is not kept."""
        answers = Memory()
        self.give(answers, b"a", b"x" * (MAX_ANSWER_BYTES // 2))
        self.give(answers, b"b", b"x" * (MAX_ANSWER_BYTES // 2))
        both = self.known(answers, b"a") is not None
        self.give(answers, b"c", b"x")
        after = [self.known(answers, name) is not None for name in (b"a", b"b", b"c")]
        self.give(answers, b"d", b"x" * (MAX_ANSWER_BYTES + 1))

        assert (both, after) == (True, [False, True, True])
        assert (len(answers._given), answers._bytes) == (0, 0)

    def test_an_event_stored_again_replaces_its_answer(self):
        """After the dedupe period the same key may be stored anew: bytes are counted once."""
        answers = Memory()
        for size in (1000, 10, 500):
            self.give(answers, b"a", b"x" * size)

        assert (answers._bytes, self.known(answers, b"a")) == (500, b"x" * 500)

    def test_nothing_is_expected_for_ever(self):
        """Once the first copy is answered, nobody waits."""
        answers = Memory()
        answers.expect((b"a",))
        told = []
        for _ in range(3):
            answers.ask((b"a",), told.append)
        answers.give((b"a",), b"1")

        assert (told, answers._expected) == ([b"1"] * 3, {})
