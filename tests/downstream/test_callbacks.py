"""Who may answer a callback, who leaves it to others, and what of it is counted."""

import pytest
from downstream.rig import CARD, World, manual_world, turns

from feishu_ws.downstream.settings import DeliverySettings
from feishu_ws.model import Filter


class Awaited:
    """A callback that was published and is waited for.

    Attributes:
        answers: What its sender was told; None is the default.
    """

    def __init__(self, world, position):
        self.position = position
        self.answers = []
        self.event = world.journal._events[position]
        world.dispatcher.await_reply(self.event, self.answers.append)


async def awaited(world, name="card"):
    """Publish a callback and wait for its answer as intake does."""
    (position,) = await world.publish(name, kind=CARD)
    return Awaited(world, position)


@pytest.fixture
def world():
    """A world whose clock stands still."""
    return manual_world()


class TestReply:
    """The first reply wins."""

    async def test_only_the_first_reply_is_the_answer(self, world):
        """What comes after it is late, and counted so."""
        one, _ = await world.connect("one")
        two, _ = await world.connect("two")
        card = await awaited(world)
        taken = [
            world.dispatcher.reply(seat, card.position, data)
            for seat, data in ((two, b"2"), (one, b"1"), (two, b"3"))
        ]

        assert (taken, card.answers) == ([True, False, False], [b"2"])
        assert world.tally.callbacks == {"late": 2}

    async def test_a_reply_after_the_deadline_is_late(self, world):
        """Once nobody waits it is not taken."""
        seat, _ = await world.connect()
        card = await awaited(world)
        world.dispatcher.stop_awaiting(card.position)

        assert not world.dispatcher.reply(seat, card.position, b"1")
        assert (card.answers, world.tally.callbacks) == ([], {"late": 1})

    async def test_what_is_no_callback_of_this_consumer_is_not_counted(self, world):
        """A message, a number that never was, and a callback that is settled are not late ones."""
        seat, _ = await world.connect()
        other, _ = await world.connect("other", types=["im.*"])
        await world.publish("message")
        card = await awaited(world)
        for replier, position in ((seat, 1), (seat, 99), (other, card.position)):
            assert not world.dispatcher.reply(replier, position, b"{}")
        world.settle(seat, card.position)
        assert not world.dispatcher.reply(seat, card.position, b"{}")

        assert world.tally.callbacks == {}

    async def test_a_consumer_whose_filter_changed_meanwhile_may_still_reply(self, world):
        """It was asked, so it may answer; what is late is counted like any other."""
        seat, _ = await world.connect()
        first, second = await awaited(world, "a"), await awaited(world, "b")
        await world.journal.enroll("bot", Filter(("im.*",)), None, declared=False)
        world.dispatcher.seats._follow("bot")
        world.dispatcher.stop_awaiting(second.position)

        assert world.dispatcher.reply(seat, first.position, b"1")
        assert not world.dispatcher.reply(seat, second.position, b"2")
        assert (first.answers, world.tally.callbacks) == ([b"1"], {"late": 1})


class TestDecline:
    """A consumer that settles a callback without a word has no answer to it."""

    async def test_once_nobody_is_left_the_default_does_not_wait(self, world):
        """The last consumer that holds it decides."""
        one, _ = await world.connect("one")
        two, _ = await world.connect("two")
        card = await awaited(world)
        world.settle(one, card.position)
        between = list(card.answers)
        world.settle(two, card.position)

        assert (between, card.answers) == ([], [None])

    async def test_whoever_is_left_may_answer(self, world):
        """One that only watches does not take the answer from one that has it."""
        watching, _ = await world.connect("watching")
        bot, _ = await world.connect("bot")
        card = await awaited(world)
        world.settle(watching, through=card.position)

        assert world.dispatcher.reply(bot, card.position, b"1")
        world.settle(bot, card.position)
        assert card.answers == [b"1"]

    async def test_a_consumer_that_went_away_with_it_is_waited_for(self, world):
        """It may come back in time, and then it gets it again with its deadline."""
        watching, _ = await world.connect("watching")
        bot, outlet = await world.connect("bot")
        card = await awaited(world)
        world.dispatcher.detach(bot, outlet, "closed")
        world.settle(watching, card.position)
        between = list(card.answers)
        bot, outlet = await world.connect("bot")

        assert (between, outlet.got[0].late) == ([], False)
        assert world.dispatcher.reply(bot, card.position, b"1")
        assert card.answers == [b"1"]

    async def test_a_consumer_that_rejects_it_may_answer_the_next_time(self, world):
        """A reject says "again later", and later may be in time; made a dead letter it is done."""
        seat, outlet = await world.connect()
        first, second = await awaited(world, "a"), await awaited(world, "b")
        world.reject(seat, first.position, 1)
        world.reject(seat, second.position, dead=True)
        between = list(first.answers), list(second.answers)
        world.clock.advance(1)
        world.dispatcher.resume(seat)

        assert between == ([], [None])
        assert (outlet.got[-1].position, outlet.got[-1].late) == (first.position, False)
        assert world.dispatcher.reply(seat, first.position, b"1")

    async def test_nobody_there_is_no_answer_yet(self, world):
        """Without a consumer the default comes at its time: one may connect before."""
        card = await awaited(world)
        await world.connect("tap", durable=False, start="latest")
        await turns()

        assert card.answers == []

    async def test_settling_other_things_says_nothing(self, world):
        """Only what is awaited is looked at."""
        seat, _ = await world.connect()
        await world.publish("a", "b")
        card = await awaited(world)
        world.settle(seat, 1, 2)

        assert card.answers == []


class TestHandover:
    """Callbacks that may still be answered go to whoever comes to want them."""

    async def test_a_newcomer_gets_what_has_left_memory(self):
        """Ahead of a backlog that pushed it out of the newest events."""
        world = World(window=1)
        card = await awaited(world)
        await world.fill(40, size=100_000)
        seat, outlet = await world.connect(start="earliest")

        assert world.dispatcher._supply.get(card.position) is None
        assert (outlet.positions[0], outlet.got[0].late) == (card.position, False)
        assert outlet.got[0].reply_by_ms is not None
        assert world.dispatcher.reply(seat, card.position, b"1")

    async def test_a_consumer_that_now_wants_it_gets_it(self):
        """After a reload that changed its filter."""
        world = World(consumers=(("bot", Filter(("im.*",))),))
        await world.journal.enroll("bot", Filter(("im.*",)), None, declared=True)
        seat, outlet = await world.connect("bot")
        await world.publish("unsettled")  # what the cursor passed would be settled
        card = await awaited(world)
        before = outlet.take()
        wanted = Filter(("im.*", "card.*"))
        await world.journal.enroll("bot", wanted, None, declared=True)
        world.dispatcher.reconfigure(DeliverySettings(consumers=(("bot", wanted),)))
        await turns()

        assert (before, outlet.got[0].position, outlet.got[0].late) == ([1], card.position, False)
        assert world.dispatcher.reply(seat, card.position, b"1")

    async def test_chats_and_own_messages_are_filtered_as_ever(self, world):
        """A consumer of one chat is not asked about a card in another."""
        await world.journal.enroll("bot", Filter(chats=("oc_other",)), None, declared=False)
        _, outlet = await world.connect("bot")
        (position,) = await world.publish("card", kind=CARD)
        event = world.journal._events[position]
        assert outlet.positions == [position]  # a card without a chat passes

        in_a_chat = type(event.envelope)(
            type=CARD, event_id="x", chat_id="oc_1", is_callback=True, form=event.envelope.form
        )
        elsewhere = type(event)(in_a_chat, event.payload, event.received_ms, (b"k" * 16,))
        world.journal.append(elsewhere, lambda _: None)
        await turns()

        assert outlet.positions == [position]
