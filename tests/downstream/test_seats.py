"""Who reads: names, starts, filters, and several connections with one name."""

import asyncio
import contextlib
import gc

import pytest
from downstream.rig import FakeOutlet, World, held, manual_world, turns
from support import eventually

from feishu_ws.downstream.settings import MAX_CONSUMERS, MAX_POSITION
from feishu_ws.faults import Fault, FeishuWsError
from feishu_ws.happenings import ConsumerDisconnected, ConsumerFaulted
from feishu_ws.journal.contract import CONSUMERS_LOST, JournalSettings
from feishu_ws.model import Filter
from feishu_ws.wire.native import Code, RpcError
from feishu_ws.wire.wanted import MAX_TYPE_CHARS, MAX_TYPES


async def refusal(awaitable):
    """Return the error a hello is answered with."""
    with pytest.raises(RpcError) as caught:
        await awaitable
    return caught.value


class TestParams:
    """What a hello may say."""

    @pytest.mark.parametrize("name", ["", "A", "a" * 65, "a b", "ä", "a/b", "a\n"])
    async def test_a_name_is_checked(self, name):
        """A name that could not be stored or shown is refused, naming the field."""
        error = await refusal(World().connect(name))

        assert (error.code, "params.consumer" in error.message) == (Code.INVALID_PARAMS, True)

    @pytest.mark.parametrize("name", ["a", "a" * 64, "astrbot.prod_2-b"])
    async def test_a_good_name_is_taken(self, name):
        """A name has 1 to 64 of a-z, 0-9, dot, dash and underscore."""
        seat, _ = await World().connect(name)

        assert seat.name == name

    @pytest.mark.parametrize(
        "params",
        [
            {"start": "newest"},
            {"start": 0},
            {"start": -1},
            {"start": MAX_POSITION + 1},
            {"start": 2**70},
            {"window": 0},
            {"window": -1},
            {"window": 10**9},
            {"types": ["a"] * (MAX_TYPES + 1)},
            {"types": ["a" * (MAX_TYPE_CHARS + 1)]},
        ],
    )
    async def test_nonsense_is_refused_and_nothing_happens(self, params):
        """Neither consumer nor seat comes to exist."""
        world = World()
        error = await refusal(world.connect(**params))

        assert error.code == Code.INVALID_PARAMS
        assert (world.journal.consumers(), world.dispatcher.seats.all()) == ({}, [])

    async def test_the_largest_filter_is_taken(self):
        """Every event type of Feishu fits into a filter twice."""
        types = [f"{n:03}" + "?" * (MAX_TYPE_CHARS - 3) for n in range(MAX_TYPES)]
        seat, _ = await World().connect(types=types)

        assert seat.wanted.filter.types == tuple(types)


class TestStart:
    """Where a new consumer begins."""

    @pytest.mark.parametrize(
        ("start", "expected"),
        [("earliest", [1, 2, 3, 4]), ("latest", []), (3, [3, 4]), (9, []), ("resume", [3, 4])],
    )
    @pytest.mark.parametrize("durable", [True, False])
    async def test_a_new_consumer_begins_where_it_says(self, start, expected, durable):
        """`resume` gives a new one what is not older than its window; n gives n and later."""
        world = manual_world(new_consumer_window_s=300)
        await world.publish("a", "b", age_s=301)
        await world.publish("c", "d", age_s=299)
        _, outlet = await world.connect(start=start, durable=durable)
        await turns()

        assert outlet.positions == expected

    @pytest.mark.parametrize(
        ("start", "durable", "expected"),
        [("resume", True, [2, 3, 4]), ("resume", False, [3, 4]), ("latest", True, [])],
    )
    async def test_one_that_damage_may_have_cost_its_place(self, start, durable, expected):
        """An unknown consumer that resumes begins with what is left where consumers were lost."""
        world = manual_world(new_consumer_window_s=300)
        await world.publish("a", "b", age_s=301)
        await world.publish("c", "d", age_s=299)
        await world.journal.remember(CONSUMERS_LOST, f"1 {world.clock.wall_ms()}")
        _, outlet = await world.connect(start=start, durable=durable)
        await turns()

        assert outlet.positions == expected

    async def test_a_position_to_come_is_waited_for(self):
        """The first event delivered is the one asked for, callbacks included."""
        world = World()
        _, outlet = await world.connect(start=4)
        await world.publish("a", "b")
        await world.publish("c", kind="card.action.trigger")
        await world.publish("d", "e")

        assert outlet.positions == [4, 5]

    async def test_a_known_consumer_resumes_whatever_it_says(self):
        """`start` is for new consumers."""
        world = World()
        await world.fill(3)
        seat, outlet = await world.connect(start="earliest")
        await turns()
        world.settle(seat, 1)
        world.dispatcher.detach(seat, outlet, "closed")
        _, outlet = await world.connect(start="latest")

        assert (world.cursor, outlet.positions) == (1, [2, 3])

    @pytest.mark.parametrize(
        ("start", "expected"), [("earliest", [1, 2, 3]), (3, [3]), ("latest", [])]
    )
    async def test_force_moves_a_known_consumer(self, start, expected):
        """With `force` the cursor moves, also back over what was settled."""
        world = World()
        await world.fill(3)
        seat, _ = await world.connect(start="earliest")
        await turns()
        world.settle(seat, 1, 2)
        _, outlet = await world.connect(start=start, force=True)
        await turns()

        assert outlet.positions == expected

    async def test_force_without_a_place_loses_nothing(self):
        """To resume by force is to resume: no event is jumped over."""
        world = manual_world(new_consumer_window_s=10)
        await world.publish("a", "b", age_s=3600)
        seat, outlet = await world.connect(start="earliest")
        await turns()
        world.settle(seat, 1)
        world.dispatcher.detach(seat, outlet, "closed")
        _, outlet = await world.connect(force=True)

        assert outlet.positions == [2]

    async def test_a_declared_consumer_is_there_before_its_first_hello(self):
        """It reads from where the journal put it, with the filter of the configuration."""
        declared = {"bot": Filter(("im.*",), ("oc_1",))}
        world = World(journal_settings=JournalSettings(declared=declared))
        await world.publish("a", kind="im.x")
        await world.publish("b", kind="drive.y")
        seat, outlet = await world.connect()
        await turns()

        assert (outlet.positions, seat.wanted.filter) == ([1], declared["bot"])
        assert world.record().declared

    async def test_a_reader_along_keeps_no_cursor(self):
        """A consumer that is not durable gets none and leaves nothing in the journal."""
        world = World()
        seat, outlet = await world.connect(durable=False)
        at_first = world.cursor
        world.dispatcher.detach(seat, outlet, "closed")

        assert (at_first, world.journal.consumers(), world.dispatcher.seats.all()) == (None, {}, [])

    async def test_a_disk_that_cannot_be_read_refuses_the_hello(self):
        """The fault reaches whoever asked; the next hello is as good as new."""
        world = World()
        world.journal.failures = 1
        with pytest.raises(FeishuWsError) as caught:
            await world.connect()
        await world.connect()

        assert caught.value.fault is Fault.JOURNAL_IO


class TestLimits:
    """How many there may be."""

    async def test_there_are_at_most_32_consumers(self):
        """The 33rd name is refused; known names and readers along are not."""
        world = World()
        for number in range(MAX_CONSUMERS):
            await world.connect(f"c{number}")
        error = await refusal(world.connect("one-more"))
        await world.connect("c7")
        await world.connect("one-more", durable=False)

        assert (error.code, len(world.journal.consumers())) == (Code.FULL, MAX_CONSUMERS)

    async def test_forgotten_ones_leave_nothing(self):
        """Names that came and were forgotten take neither place nor memory; one may come again."""
        world = World()
        for number in range(MAX_CONSUMERS + 5):
            seat, outlet = await world.connect(f"c{number}")
            world.dispatcher.detach(seat, outlet, "closed")
            await world.journal.forget(f"c{number}")
        await world.publish("a")
        _, outlet = await world.connect("c7")
        await turns()

        assert (list(world.dispatcher.seats.durable), outlet.positions) == (["c7"], [1])

    async def test_a_crowd_does_not_slip_through(self):
        """Names that arrive while others are being written count too."""
        world = World()
        with held(world.journal):
            crowd = [asyncio.ensure_future(world.connect(f"c{n}")) for n in range(40)]
            await turns()
        done = await asyncio.gather(*crowd, return_exceptions=True)

        assert sum(isinstance(result, RpcError) for result in done) == 40 - MAX_CONSUMERS
        assert len(world.journal.consumers()) == MAX_CONSUMERS


class TestSupersede:
    """A second connection with a name."""

    async def test_the_second_takes_over_what_is_in_flight(self):
        """The first is told, and what it had goes to the second at once, same attempt."""
        world = World()
        await world.fill(3)
        seat, first = await world.connect(start="earliest")
        await turns()
        world.settle(seat, 2)
        _, second = await world.connect()

        assert first.byes == ["superseded"]
        assert [(d.position, d.attempt) for d in second.got] == [(1, 1), (3, 1)]
        assert world.of(ConsumerDisconnected) == [ConsumerDisconnected("bot", "superseded", 2)]

    async def test_the_first_gets_nothing_more_and_may_still_settle(self):
        """New events go to the second; a settle of the first counts."""
        world = World()
        await world.fill(2)
        seat, first = await world.connect(start="earliest")
        await turns()
        before = first.take()
        _, second = await world.connect()
        await world.publish("new")
        settled = world.settle(seat, 1)

        assert (before, first.take(), second.take(), settled) == ([1, 2], [], [1, 2, 3], [1])
        assert world.record().cursor == 1

    async def test_the_end_of_the_first_does_not_touch_the_second(self):
        """A superseded connection that closes takes nothing along."""
        world = World()
        await world.fill(1)
        seat, first = await world.connect(start="earliest")
        await turns()
        _, second = await world.connect()
        world.dispatcher.detach(seat, first, "superseded")
        await world.publish("new")

        assert (second.positions, seat.outlet is second) == ([1, 2], True)

    async def test_more_than_three_in_a_minute_are_a_conflict(self):
        """The fifth connection is refused for 60 s, the fourth keeps the seat, and it is told once."""
        world = manual_world()
        outlets = [(await world.connect())[1] for _ in range(4)]
        codes = [(await refusal(world.connect())).code for _ in range(2)]
        world.clock.advance(59)
        still = await refusal(world.connect())
        world.clock.advance(1.1)
        await world.connect()

        assert [o.byes for o in outlets] == [["superseded"]] * 4
        assert {*codes, still.code} == {Code.CONSUMER_CONFLICT}
        assert [h.fault for h in world.of(ConsumerFaulted)] == [Fault.CONSUMER_CONFLICT]

    async def test_a_crowd_is_a_conflict_too(self):
        """Newcomers that were let in while others were being written are looked at again."""
        world = World()
        await world.connect()
        with held(world.journal):
            crowd = [asyncio.ensure_future(world.connect(types=[f"t{n}"])) for n in range(9)]
            await turns()
        done = await asyncio.gather(*crowd, return_exceptions=True)

        assert [isinstance(result, RpcError) for result in done].count(True) == 6

    async def test_three_a_minute_are_fine(self):
        """Supersedes older than a minute do not count."""
        world = manual_world()
        for _ in range(12):
            await world.connect()
            world.clock.advance(20.1)

        assert world.of(ConsumerFaulted) == []

    async def test_a_refused_newcomer_changes_nothing(self):
        """Neither filter nor cursor of the one that stays are touched."""
        world = manual_world()
        await world.fill(3)
        for _ in range(4):
            await world.connect(types=["im.*"], start="earliest")
        error = await refusal(world.connect(types=["x"], start="latest", force=True))

        assert error.code == Code.CONSUMER_CONFLICT
        assert (world.record().filter.types, world.record().cursor) == (("im.*",), 0)

    async def test_a_name_without_a_connection_may_be_taken_in_a_conflict(self):
        """Whoever fought is gone: refusing would be an outage."""
        world = manual_world()
        seats = [await world.connect() for _ in range(4)]
        await refusal(world.connect())
        world.dispatcher.detach(*seats[-1], "closed")

        await world.connect()

    async def test_readers_along_do_not_clash(self):
        """Any number of non-durable consumers share a name with each other and a durable one."""
        world = World()
        outlets = [(await world.connect("x", durable=False))[1] for _ in range(5)]
        _, durable = await world.connect("x")
        await world.publish("a")

        assert [o.positions for o in (*outlets, durable)] == [[1]] * 6
        assert not any(o.byes for o in outlets)


@contextlib.contextmanager
def written(journal):
    """Let enrolments be written at once, and answered when this ends: as in one commit."""
    gate = asyncio.get_running_loop().create_future()
    enroll = journal.enroll

    def enroll_and_wait(*args, **kwargs):
        enroll(*args, **kwargs)
        return gate

    journal.enroll = enroll_and_wait
    yield
    journal.enroll = enroll
    gate.set_result(None)


class TestFilter:
    """A filter is stored, and may change."""

    async def test_it_is_stored(self):
        """A hello that names no types keeps those of the last; away, others are passed over."""
        world = World()
        seat, outlet = await world.connect(types=["im.*"], start="earliest")
        world.dispatcher.detach(seat, outlet, "closed")
        await world.publish("a", kind="drive.x")
        await world.publish("b", kind="im.x")
        _, outlet = await world.connect()

        assert (outlet.positions, world.record().cursor) == ([2], 1)

    @pytest.mark.parametrize("restarts", [False, True])
    @pytest.mark.parametrize("leaves", [False, True])
    async def test_a_change_applies_from_the_cursor_on(self, leaves, restarts):
        """What the old filter passed over above the cursor is delivered, below it is not."""
        world = World()
        seat, outlet = await world.connect(types=["im.*"], start="earliest")
        for name, kind in enumerate(["drive.x", "im.x", "drive.x", "im.x", "drive.x"]):
            await world.publish(name, kind=kind)
        world.settle(seat, 4)
        if leaves:
            world.dispatcher.detach(seat, outlet, "closed")
        if restarts:
            world.restart()
        _, outlet = await world.connect(types=["*"])
        await turns()

        assert outlet.positions == [2, 3, 5]

    async def test_a_settle_of_the_old_connection_counts_after_a_change(self):
        """Also of an event the new filter does not name: it never comes again."""
        world = World()
        await world.publish("a", kind="im.x")
        await world.publish("b", kind="drive.x")
        seat, _ = await world.connect(start="earliest")
        await turns()
        await world.connect(types=["drive.*"])
        settled = world.settle(seat, 1, 2)
        _, third = await world.connect(types=["*"])
        await turns()

        assert (settled, third.positions, world.record().cursor) == ([1, 2], [], 2)

    async def test_a_settle_while_the_change_is_written_is_not_forgotten(self):
        """What the first connection settles meanwhile is not delivered to the second."""
        world = World()
        await world.fill(3)
        seat, _ = await world.connect(start="earliest")
        await turns()
        with held(world.journal):
            newcomer = asyncio.ensure_future(world.connect(types=["im.*"]))
            await turns()
            world.settle(seat, 2)
        _, second = await newcomer

        assert second.positions == [1, 3]

    async def test_what_is_committed_with_the_change_is_not_passed_over(self):
        """An event that the journal holds for the new filter is not judged by the old one."""
        world = World()
        seat, _ = await world.connect(types=["im.*"], start="earliest")
        with written(world.journal):
            newcomer = asyncio.ensure_future(world.connect(types=["*"]))
            await turns()
            await world.publish("a", kind="drive.x")
        seat, second = await newcomer
        await world.publish("b", kind="im.x")
        await turns()
        world.settle(seat, through=2)

        assert second.positions == [1, 2]
        assert world.record().cursor == 2

    async def test_what_was_passed_over_is_not_settled_while_the_change_is_written(self):
        """A settle meanwhile does not take along what only the old filter left out."""
        world = World()
        seat, _ = await world.connect(types=["im.*"], start="earliest")
        for name, kind in enumerate(["im.x", "drive.x", "im.x"]):
            await world.publish(name, kind=kind)
        with written(world.journal):
            newcomer = asyncio.ensure_future(world.connect(types=["*"]))
            await turns()
            world.settle(seat, 1)
        _, second = await newcomer
        await turns()

        assert (sorted(second.positions), world.record().cursor) == ([2, 3], 1)

    async def test_a_reload_passes_nothing_over_either(self):
        """The same for a filter that the configuration changes."""
        world = World(journal_settings=JournalSettings(declared={"bot": Filter(("im.*",))}))
        seat, outlet = await world.connect(start="earliest")
        world.journal.disk.clear()
        world.journal.reconfigure(JournalSettings(declared={"bot": Filter(("drive.*",))}))
        world.dispatcher.reconfigure(world.settings)
        await world.publish("a", kind="drive.x")
        world.journal.disk.set()
        await turns(20)
        world.settle(seat, through=1)

        assert (outlet.positions, world.record().cursor) == ([1], 1)

    async def test_the_window_stays_what_it_is(self):
        """After a change no more is in flight than before."""
        world = World(window=3)
        await world.fill(9)
        await world.connect(start="earliest")
        await turns()
        _, second = await world.connect(types=["im.*"])
        await turns()

        assert second.positions == [1, 2, 3]


class TestWhileItIsWritten:
    """A hello takes a commit; a lot can happen meanwhile."""

    async def test_two_new_ones_of_a_name_do_not_move_each_other(self):
        """The second finds the consumer the first made, and its `start` does not apply."""
        world = World()
        await world.fill(3)
        with held(world.journal):
            first = asyncio.ensure_future(world.connect(start="earliest"))
            second = asyncio.ensure_future(world.connect(start="latest"))
            await turns()
        (_, one), (_, two) = await asyncio.gather(first, second)
        await turns()

        assert (world.record().cursor, one.byes, two.byes) == (0, ["superseded"], [])
        assert two.positions == [1, 2, 3]

    async def test_one_that_leaves_meanwhile_does_not_stop_the_one_before(self):
        """What it wished is done, and the connection that was there goes on without a new event."""
        world = World()
        await world.fill(3)
        seat, outlet = await world.connect(start="earliest")
        await turns()
        world.settle(seat, 1, 2, 3)
        outlet.take()
        with held(world.journal):
            newcomer = asyncio.ensure_future(world.connect(start=2, force=True))
            await turns()
            newcomer.cancel()
            await turns()
        await eventually(lambda: outlet.positions == [2, 3])

        assert (seat.outlet is outlet, world.record().cursor) == (True, 1)

    async def test_one_that_leaves_before_the_disk_fails_makes_no_noise(self):
        """An error nobody waits for any more is no defect of the daemon's."""
        world = World()
        noise = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: noise.append(context))
        with held(world.journal):
            world.journal.failures = 1
            newcomer = asyncio.ensure_future(world.connect())
            await turns()
            newcomer.cancel()
        await turns()
        del newcomer
        gc.collect()

        assert (noise, world.journal.failures) == ([], 0)

    async def test_a_disk_that_hangs_delays_only_those_who_need_it(self):
        """A known consumer that changes nothing gets its seat at once."""
        world = World()
        await world.fill(2)
        seat, outlet = await world.connect("old", start="earliest")
        await turns()
        world.dispatcher.detach(seat, outlet, "closed")
        with held(world.journal):
            waiting = asyncio.ensure_future(world.connect("new"))
            _, outlet = await world.connect("old")
            assert (outlet.positions, waiting.done()) == ([1, 2], False)
        await waiting

    async def test_reconnecting_on_a_hanging_disk_piles_nothing_up(self):
        """However often a client gives up and tries again, one enrolment is under way."""
        world = World()
        with held(world.journal):
            for _ in range(50):
                attempt = asyncio.ensure_future(world.connect("new", outlet=FakeOutlet()))
                await turns()
                attempt.cancel()
                await turns()
            names = [task.get_name() for task in asyncio.all_tasks()]
        await eventually(lambda: "new" in world.journal.consumers())

        assert names.count("change-new") == 1
