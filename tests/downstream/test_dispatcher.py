"""Every consumer gets what its filter names: in order, at least once, never after its settle."""

import asyncio
import contextlib
import itertools
import random

import pytest
from downstream.rig import CARD, FakeOutlet, World, held, make_event, manual_world, turns
from support import eventually

from feishu_ws.clock import SystemClock
from feishu_ws.downstream import seats
from feishu_ws.downstream.settings import MAX_REJECTED, DeliverySettings
from feishu_ws.faults import Fault
from feishu_ws.happenings import (
    ConsumerConnected,
    ConsumerDisconnected,
    ConsumerFaulted,
    EventBuried,
)
from feishu_ws.journal.contract import JournalSettings
from feishu_ws.journal.sqlite import SqliteJournal
from feishu_ws.model import Attempt, Filter
from feishu_ws.tally import Tally
from feishu_ws.wire.native import Code, RpcError


def reject(world, seat, position, retry_in_s=None, *, reason="", dead=False):
    return world.dispatcher.reject(seat, position, reason, retry_in_s, dead=dead)


def obedient(world, name="bot"):
    """Return an outlet that settles what it gets, while it is spoken to."""
    outlet = FakeOutlet()
    outlet.on_deliver = lambda position: world.settle(
        world.dispatcher.seats.durable[name], position
    )
    return outlet


async def behind(world, count, **connect):
    """Let a consumer stand before `count` events that only the journal has."""
    world.journal.enroll("bot", Filter(), 0, declared=False)
    await world.fill(count)
    world.restart()
    return lambda: world.connect(**connect)


class TestOrder:
    """First deliveries."""

    async def test_live_events_arrive_in_order_without_a_read(self):
        """An event is delivered in the turn of its commit, from memory."""
        world = World()
        _, outlet = await world.connect()
        await world.fill(20)

        assert (outlet.positions, world.journal.reads) == (list(range(1, 21)), 0)

    async def test_an_event_is_encoded_once_for_all_and_not_kept_so(self):
        """Consumers of one turn share what was encoded; memory keeps the event as it came."""
        world = World()
        _, first = await world.connect("a")
        _, second = await world.connect("b")
        await world.fill(3)

        assert sorted((first.bodies[0] or b"", second.bodies[0] or b"")) == [b"", b"encoded"]
        recent = [world.dispatcher._supply.get(position) for position in (1, 2, 3)]
        assert [event.body for event in recent] == [None, None, None]

    async def test_the_window_holds_back_the_rest(self):
        """No more than the window is out; a settle lets the next one go."""
        world = World(window=3)
        seat, outlet = await world.connect()
        await world.fill(10)
        at_first = outlet.take()
        world.settle(seat, 2)

        assert (at_first, outlet.take()) == ([1, 2, 3], [4])

    async def test_the_hello_may_ask_for_a_window(self):
        """What the consumer asks for counts, on each connection anew."""
        world = World(window=5)
        _, first = await world.connect(window=2)
        await world.fill(10)
        _, second = await world.connect()

        assert (first.positions, second.positions) == ([1, 2], [1, 2, 3, 4, 5])

    async def test_a_filter_lets_through_what_it_names(self):
        """What is passed over takes no window, and the cursor goes past it."""
        world = World(window=1)
        seat, outlet = await world.connect(types=["im.*"])
        for number in range(6):
            await world.publish(number, kind="im.x" if number % 3 == 2 else "drive.y")
        world.settle(seat, 3)

        assert (outlet.positions, world.record().cursor) == ([3, 6], 5)

    async def test_no_consumer_waits_for_another(self):
        """One without room and one that settles nothing do not hold up a third."""
        world = World(window=2)
        await world.connect("deaf", outlet=FakeOutlet(has=False))
        await world.connect("lazy")
        _, outlet = await world.connect("busy", outlet=obedient(world, "busy"))
        await world.fill(50)

        assert outlet.positions == list(range(1, 51))

    async def test_an_outlet_may_answer_while_it_is_spoken_to(self):
        """A settle out of `deliver` does not recurse, however long the backlog."""
        world = World(window=1)
        await world.fill(2500)
        _, outlet = await world.connect(start="earliest", outlet=obedient(world))
        await eventually(lambda: world.record().cursor == 2500)

        assert outlet.positions == list(range(1, 2501))

    async def test_a_long_backlog_leaves_turns_to_others(self):
        """Between two slices of one consumer's backlog the loop has its turn."""
        world = World()
        await world.fill(1500)
        _, outlet = await world.connect(start="earliest", outlet=obedient(world))
        seen = [0]
        while seen[-1] < 1500:
            await asyncio.sleep(0)
            seen.append(len(outlet.got))

        assert max(b - a for a, b in itertools.pairwise(seen)) <= 512


class TestBehind:
    """What is not in memory is read."""

    async def test_a_backlog_is_read_and_joins_live_events(self):
        """Older than memory from the disk, then live: every event once and in order."""
        world = World()
        await world.fill(300, size=20_000)
        _, outlet = await world.connect(start="earliest", outlet=obedient(world))
        await eventually(lambda: len(outlet.got) == 300)
        reads = world.journal.reads
        await world.publish("live")

        assert outlet.positions == list(range(1, 302))
        assert 0 < reads <= 10
        assert world.journal.reads == reads

    async def test_whoever_caught_up_holds_nothing_in_memory(self):
        """What was read is let go with the first live event."""
        world = World()
        connect = await behind(world, 4)
        seat, outlet = await connect()
        await eventually(lambda: len(outlet.got) == 4)
        await world.publish("live")

        assert (outlet.positions, seat.batch) == ([1, 2, 3, 4, 5], None)

    async def test_events_that_arrive_during_a_read_come_after_it(self):
        """While the disk is asked for old events, new ones wait for their turn."""
        world = World()
        connect = await behind(world, 5)
        with held(world.journal):
            _, outlet = await connect()
            await world.fill(5)
            early = outlet.take()
        await eventually(lambda: len(outlet.got) == 10)

        assert (early, outlet.positions) == ([], list(range(1, 11)))

    async def test_a_disk_that_fails_is_asked_again(self):
        """A failed read is repeated after a second, without a new event to wake anybody."""
        world = manual_world()
        connect = await behind(world, 3)
        world.journal.failures = 2
        _, outlet = await connect()
        reads = []
        for _ in range(3):
            await turns()
            reads.append((world.journal.reads, len(outlet.got)))
            world.clock.advance(1.01)

        assert reads == [(1, 0), (2, 0), (3, 3)]

    async def test_a_supersede_during_a_read_loses_nothing(self):
        """The read that the first began serves the second."""
        world = World()
        connect = await behind(world, 4)
        with held(world.journal):
            _, first = await connect()
            await turns()
            _, second = await connect()
        await eventually(lambda: len(second.got) == 4)

        assert (first.positions, second.positions, world.journal.reads) == ([], [1, 2, 3, 4], 1)

    async def test_a_reconnect_during_a_read_loses_nothing(self):
        """A consumer that leaves and comes back meanwhile gets everything, once."""
        world = World()
        connect = await behind(world, 4)
        with held(world.journal):
            seat, first = await connect()
            await turns()
            world.dispatcher.detach(seat, first, "closed")
            _, second = await connect()
        await eventually(lambda: len(second.got) == 4)

        assert (first.positions, second.positions) == ([], [1, 2, 3, 4])

    async def test_a_read_for_nobody_keeps_nothing(self):
        """What was read after the consumer left is not kept in memory."""
        world = World()
        connect = await behind(world, 4)
        with held(world.journal):
            seat, outlet = await connect()
            await turns()
            world.dispatcher.detach(seat, outlet, "closed")
        await eventually(lambda: seat.reading is None)

        assert seat.batch is None

    async def test_what_was_read_and_not_sent_is_let_go(self):
        """An absent consumer holds no events in memory."""
        world = World(window=1)
        connect = await behind(world, 4)
        seat, outlet = await connect()
        await eventually(lambda: outlet.got)
        before = seat.batch
        world.dispatcher.detach(seat, outlet, "closed")

        assert (before is None, seat.batch) == (False, None)

    async def test_a_cursor_moved_during_a_read_counts(self):
        """What was read for the old place is not taken for the new one."""
        world = World()
        connect = await behind(world, 6)
        with held(world.journal):
            await connect()
            await turns()
            newcomer = asyncio.ensure_future(world.connect(start=4, force=True))
            await turns()
        _, outlet = await newcomer
        await eventually(lambda: len(outlet.got) == 3)

        assert outlet.positions == [4, 5, 6]

    async def test_a_filter_changed_during_a_read_counts(self):
        """Events read for the old filter are looked at with the new one, from the cursor on."""
        world = World()
        world.journal.enroll("bot", Filter(("none",)), 0, declared=False)
        await world.publish("a", kind="none")
        await world.publish("b", "c")
        world.restart()
        with held(world.journal):
            await world.connect()
            await turns()
            newcomer = asyncio.ensure_future(world.connect(types=["im.*"]))
            await turns()
        _, outlet = await newcomer
        await eventually(lambda: len(outlet.got) == 2)

        assert outlet.positions == [2, 3]

    async def test_the_end_found_for_the_old_filter_is_not_the_end_for_the_new(self):
        """A read that finds nothing more says nothing of what the old filter passed over."""
        world = World()
        world.journal.enroll("bot", Filter(("im.*",)), 0, declared=False)
        for kind in ("im.x", "drive.y", "gone"):
            await world.publish(kind, kind=kind)
        del world.journal._events[3]
        world.restart()
        outlet = FakeOutlet(on_deliver=lambda _: world.journal.reader.clear())
        seat, _ = await world.connect(outlet=outlet)
        await eventually(lambda: seat.reading is not None and seat.progress.read_through == 2)
        _, second = await world.connect(types=["*"])
        world.journal.reader.set()
        await eventually(lambda: len(second.got) == 2)

        assert (outlet.positions, second.positions) == ([1], [1, 2])

    async def test_events_removed_for_space_are_passed_over(self):
        """Holes in the journal, also at its end, neither stop nor spin a consumer."""
        world = World()
        connect = await behind(world, 9)
        world.journal.drop(1, 2, 5, 8, 9)
        _, outlet = await connect()
        await eventually(lambda: len(outlet.got) == 4)
        await world.publish("live")
        await turns()

        assert outlet.positions == [3, 4, 6, 7, 10]
        assert world.journal.reads <= 3

    @pytest.mark.parametrize("gone", [(2,), (1, 2, 3), (3,)])
    async def test_a_delivery_removed_for_space_does_not_come_again(self, gone):
        """What does not exist any more leaves the window; what does comes again."""
        world = World(window=3)
        await world.fill(3)
        seat, outlet = await world.connect(start="earliest")
        await turns()
        world.dispatcher.detach(seat, outlet, "closed")
        world.journal.drop(*gone)
        world.restart()
        seat, outlet = await world.connect()
        await eventually(lambda: seat.reading is None)
        await world.publish("x", "y", "z")
        left = [p for p in (1, 2, 3) if p not in gone]
        await eventually(lambda: len(outlet.got) == 3)

        assert outlet.positions == [*left, 4, 5, 6][:3]

    async def test_a_hole_does_not_make_a_redelivery_of_its_neighbour(self):
        """Between two that come again, one that was removed is let go."""
        world = World()
        seat, outlet = await world.connect()
        await world.fill(3)
        await world.publish("big", size=4_000_000)  # drives everything else out of memory
        world.dispatcher.detach(seat, outlet, "closed")
        world.journal.drop(2)
        seat, outlet = await world.connect()
        await eventually(lambda: len(outlet.got) == 3)

        assert (outlet.positions, seat.progress.in_flight) == ([1, 3, 4], 3)

    async def test_numbers_that_do_not_exist_count_as_passed_over(self):
        """The cursor is not held up by what was removed before it was read."""
        world = World()
        await world.publish("a", "gone", "b")
        del world.journal._events[2]
        world.restart()
        seat, outlet = await world.connect(types=["im.*"], start="earliest")
        await eventually(lambda: outlet.positions == [1, 3])
        world.settle(seat, 1, 3)

        assert world.journal.settled == [("bot", (1, 3), ((2, 2),))]

    async def test_a_redelivery_is_read_from_the_disk(self):
        """An event long out of memory comes again all the same, and reading on is not disturbed."""
        world = World(window=1000)
        await world.fill(10, size=1000)
        seat, outlet = await world.connect(start="earliest")
        await turns()
        for position in (2, 7):
            reject(world, seat, position, 0.05)
        await world.publish("big", size=4_000_000)  # drives everything else out of memory
        await eventually(lambda: len(outlet.got) == 13)

        assert outlet.positions == [*range(1, 12), 2, 7]

    async def test_a_removed_redelivery_is_let_go(self):
        """One that waits for its time and is removed meanwhile does not hold a place for ever."""
        world = World(window=1000)
        await world.fill(3, size=1000)
        seat, outlet = await world.connect(start="earliest")
        await turns()
        world.settle(seat, 1, 2)
        reject(world, seat, 3, 0.05)
        await world.publish("big", size=4_000_000)
        world.settle(seat, 4)
        world.journal.drop(3)
        world.journal._events.pop(4)
        await eventually(lambda: not seat.progress.is_out(3))

        assert outlet.positions == [1, 2, 3, 4]

    @pytest.mark.parametrize("kind", ["memory", "sqlite"])
    async def test_a_consumer_away_for_10000_events_gets_them_all_in_order(self, kind, tmp_path):
        """On its return nothing is missing, doubled or out of order, and live events follow."""
        clock = SystemClock()
        journal = None
        if kind == "sqlite":
            journal = SqliteJournal(
                tmp_path / "j.db", JournalSettings(), clock=clock, tally=Tally(), observe=id
            )
            journal.open()
        world = World(clock=clock, journal=journal)
        seat, outlet = await world.connect()
        world.dispatcher.detach(seat, outlet, "closed")
        await world.fill(10_000)
        _, outlet = await world.connect(outlet=obedient(world))
        await eventually(lambda: len(outlet.got) >= 10_000, 20)
        await world.publish("live")
        await eventually(lambda: world.record().cursor == 10_001)
        await world.journal.close(5)

        assert outlet.positions == list(range(1, 10_002))
        assert {d.attempt for d in outlet.got} == {1}


class TestRoom:
    """An outlet may be full."""

    async def test_deliveries_stop_and_go_on_with_its_room(self):
        """Nothing is sent to a full outlet; `resume` sends on without another event."""
        world = World()
        seat, outlet = await world.connect()
        await world.publish("a")
        outlet.has = False
        await world.publish("b", "c")
        full = outlet.take()
        outlet.has = True
        world.dispatcher.resume(seat)

        assert (full, outlet.take()) == ([1], [2, 3])

    async def test_an_outlet_may_fill_up_in_the_middle(self):
        """The backlog stops exactly where the room ends."""
        world = World()
        await world.fill(10)
        outlet = FakeOutlet()
        outlet.on_deliver = lambda position: setattr(outlet, "has", position < 4)
        seat, _ = await world.connect(start="earliest", outlet=outlet)
        full = outlet.take()
        outlet.has = True
        outlet.on_deliver = None
        world.dispatcher.resume(seat)

        assert (full, outlet.take()) == ([1, 2, 3, 4], [5, 6, 7, 8, 9, 10])

    async def test_a_redelivery_waits_for_room(self):
        """What is due while the outlet is full goes out with the room, and nothing spins."""
        world = World()
        seat, outlet = await world.connect()
        await world.publish("a")
        outlet.has = False
        reject(world, seat, 1, 0.02)
        await asyncio.sleep(0.06)
        timers = [seat.timer]
        outlet.has = True
        world.dispatcher.resume(seat)

        assert (timers, outlet.positions) == ([None], [1, 1])


class TestSettle:
    """A settle is for ever."""

    async def test_a_settle_moves_the_cursor(self):
        """The journal is told of positions and of what was passed over up to them."""
        world = World()
        seat, _ = await world.connect(types=["im.*"])
        await world.publish("a")
        await world.publish("b", kind="x")
        await world.publish("c")
        done = world.dispatcher.make_durable(seat, world.dispatcher.settle(seat, [3, 1], None))
        await done

        assert world.journal.settled[-1] == ("bot", (1, 3), ((2, 2),))
        assert world.record().cursor == 3

    async def test_only_what_was_delivered_reaches_the_journal(self):
        """Settling ahead of deliveries settles nothing."""
        world = World(window=2)
        seat, outlet = await world.connect()
        await world.fill(6)
        told = world.settle(seat, 5, 99, -3, through=1)
        world.settle(seat, through=10**9)
        world.settle(seat, through=10**9)

        assert told == [1]
        assert (outlet.positions, world.record().cursor) == ([1, 2, 3, 4, 5, 6], 5)

    async def test_what_was_settled_does_not_come_again(self):
        """Neither on reconnect nor after a restart."""
        world = World()
        seat, outlet = await world.connect()
        await world.fill(5)
        world.settle(seat, 1, 3, 4)
        world.dispatcher.detach(seat, outlet, "closed")
        _, second = await world.connect()
        world.restart()
        _, third = await world.connect()
        await turns()

        assert (second.positions, third.positions) == ([2, 5], [2, 5])

    async def test_it_is_counted(self):
        """Delivered events and their times are counted at the settle, once."""
        world = manual_world()
        seat, _ = await world.connect()
        await world.publish("a", "b", age_s=4)
        world.clock.advance(2)
        world.settle(seat, 1)
        world.settle(seat, 1)

        assert world.tally.events_delivered == {"im.message.receive_v1": 1}
        assert (
            sum(world.tally.consumer_ack_duration.counts),
            world.tally.consumer_ack_duration.sum,
            world.tally.event_delivery_duration.sum,
        ) == (1, pytest.approx(2), pytest.approx(6))

    async def test_a_reader_along_has_nothing_to_settle(self):
        """It is not held back, and its settles say nothing to the journal."""
        world = World(window=1)
        seat, outlet = await world.connect(durable=False)
        await world.fill(5)
        told = world.settle(seat, 1, through=5)

        assert (outlet.positions, told, world.journal.settled) == ([1, 2, 3, 4, 5], [], [])
        assert world.dispatcher.make_durable(seat, []) is None


class TestReject:
    """Again later, or never."""

    async def test_it_comes_again_when_asked_for(self):
        """The wait is the consumer's, and the attempt number says so."""
        world = World()
        seat, outlet = await world.connect()
        await world.publish("a")
        await reject(world, seat, 1, 0.05, reason="busy")
        early = list(outlet.positions)
        await eventually(lambda: len(outlet.got) == 2)

        assert (early, outlet.got[1].attempt) == ([1], 2)
        assert world.record().attempts[1].count == 1
        assert world.record().attempts[1].reason == "busy"
        assert world.tally.events_redelivered == 1

    async def test_it_leaves_the_window(self):
        """While it waits, the next one is delivered."""
        world = World(window=1)
        seat, outlet = await world.connect()
        await world.fill(2)
        reject(world, seat, 1, 3600)

        assert outlet.positions == [1, 2]

    @pytest.mark.parametrize("retry_in_s", [0, 0.01])
    async def test_after_max_attempts_it_is_a_dead_letter(self, retry_in_s):
        """Every reject counts; the last one buries it, and it does not come again."""
        world = World(max_attempts=3)
        seat, outlet = await world.connect()
        outlet.on_deliver = lambda position: reject(world, seat, position, retry_in_s, reason="no")
        await world.publish("a")
        await eventually(lambda: world.journal.dead)

        assert [d.attempt for d in outlet.got] == [1, 2, 3]
        assert world.journal.dead == [("bot", 1, "max_attempts", Attempt(3, 0, "no"))]
        assert world.of(EventBuried) == [EventBuried("bot", 1, "max_attempts", 3)]
        assert (world.record().cursor, world.tally.events_dead_lettered) == (1, {"max_attempts": 1})

    async def test_dead_means_never(self):
        """The consumer may give an event up at once."""
        world = World()
        seat, outlet = await world.connect()
        await world.fill(2)
        await reject(world, seat, 1, dead=True, reason="x" * 300 + "ä")

        assert world.journal.dead == [("bot", 1, "rejected", Attempt(1, world.journal.dead[0][3].not_before_ms, "x" * 256))]  # fmt: skip
        assert (outlet.positions, world.record().cursor) == ([1, 2], 1)

    async def test_a_reason_is_cut_between_characters(self):
        """At most 256 bytes are kept, and they are valid UTF-8."""
        world = World()
        seat, _ = await world.connect()
        await world.publish("a")
        reject(world, seat, 1, reason="ä" * 200)
        await world.publish("b")
        reject(world, seat, 2, reason="x" + "ä" * 200)

        assert [attempt.reason for _, _, attempt in world.journal.noted] == [
            "ä" * 128,
            "x" + "ä" * 127,
        ]

    @pytest.mark.parametrize("position", [0, 2, 99])
    async def test_only_what_is_with_the_consumer_can_be_rejected(self, position):
        """A position never delivered, settled or unknown is refused."""
        world = World(window=1)
        seat, _ = await world.connect()
        await world.fill(2)
        with pytest.raises(RpcError) as caught:
            reject(world, seat, position)

        assert caught.value.code == Code.UNKNOWN_POSITION

    async def test_a_reject_said_twice_counts_once(self):
        """What waits already is not with the consumer."""
        world = World()
        seat, _ = await world.connect()
        await world.publish("a")
        reject(world, seat, 1, 60)
        with pytest.raises(RpcError) as caught:
            reject(world, seat, 1, 60)

        assert (caught.value.code, len(world.journal.noted)) == (Code.UNKNOWN_POSITION, 1)

    async def test_a_restart_does_not_shorten_the_wait(self):
        """What was rejected before comes when its time is up, with its attempts."""
        world = World()
        seat, _ = await world.connect(start="earliest")
        await world.fill(3)
        reject(world, seat, 2, 0.15)
        world.restart()
        _, outlet = await world.connect()
        await eventually(lambda: len(outlet.got) == 2)
        early = list(outlet.positions)
        await eventually(lambda: len(outlet.got) == 3)

        assert (early, outlet.got[2].position, outlet.got[2].attempt) == ([1, 3], 2, 2)

    async def test_1024_rejected_ones_pause_first_deliveries(self):
        """Nothing new is delivered until one of them is done; then it goes on by itself."""
        world = World()
        seat, outlet = await world.connect()
        outlet.on_deliver = lambda position: reject(world, seat, position, 3600)
        await world.fill(MAX_REJECTED + 10)
        await turns(20)
        paused = len(outlet.got)
        outlet.on_deliver = None
        world.settle(seat, 3, 4)

        assert paused == MAX_REJECTED
        assert outlet.positions[MAX_REJECTED:] == [*range(MAX_REJECTED + 1, MAX_REJECTED + 11)]


class TestTimer:
    """The oldest delivery, and only that, times out."""

    async def test_a_silent_consumer_gets_it_again_uncounted(self):
        """A consumer that settles nothing is slow, and no event is to blame."""
        world = World(ack_timeout_s=0.05)
        _, outlet = await world.connect()
        await world.fill(3)
        await eventually(lambda: len(outlet.got) >= 6)

        assert set(outlet.positions[3:]) == {1}
        assert {d.attempt for d in outlet.got} == {1}
        assert world.journal.noted == []

    async def test_one_it_passes_by_is_counted_and_buried(self):
        """While others settle, each timeout of the oldest is an attempt."""
        world = World(ack_timeout_s=0.05, max_attempts=3)
        seat, outlet = await world.connect()
        outlet.on_deliver = lambda position: position > 1 and world.settle(seat, position)
        await world.publish(0)
        for number in range(1, 200):
            await world.publish(number)
            await asyncio.sleep(0.005)
            if world.journal.dead:
                break

        assert [d.attempt for d in outlet.got if d.position == 1] == [1, 2, 3]
        assert world.journal.dead[0][1:3] == (1, "max_attempts")

    async def test_a_timer_fires_no_more_often_than_it_has_to(self):
        """No consumer makes the loop spin: silent, full, or with rejected events."""
        world = World(ack_timeout_s=0.05, window=4)
        ticks = count_ticks(world)
        await world.connect("silent")
        await world.connect("full", outlet=FakeOutlet(has=False))
        seat, _ = await world.connect("rejecting")
        await world.fill(8)
        for position in (1, 2, 3, 4):
            reject(world, seat, position, 0.02)
        await asyncio.sleep(0.25)

        assert 4 <= len(ticks) < 40

    @pytest.mark.parametrize("wait_steps", range(1, 12))
    async def test_what_becomes_due_between_two_looks_at_the_clock_is_not_lost(
        self, wait_steps, monkeypatch
    ):
        """A redelivery comes also if its time arrives while the dispatcher is at work."""
        monkeypatch.setattr(seats, "GO_ON_S", 0)
        world = World(clock=SteppingClock())
        seat, outlet = await world.connect()
        await turns()
        await world.publish("a")
        reject(world, seat, 1, wait_steps * SteppingClock.STEP_S)

        await eventually(lambda: len(outlet.got) == 2, 1)

    async def test_nobody_there_means_no_timer(self):
        """With its consumer gone, a seat has no timer."""
        world = World(ack_timeout_s=0.02)
        ticks = count_ticks(world)
        seat, outlet = await world.connect()
        await world.publish("a")
        world.dispatcher.detach(seat, outlet, "closed")
        await asyncio.sleep(0.06)

        assert (ticks, seat.timer) == ([], None)

    async def test_a_shorter_timeout_applies_at_once(self):
        """After a reload the timer is armed anew, and a wider window is used."""
        world = World(ack_timeout_s=3600, window=1)
        _, outlet = await world.connect()
        await world.fill(2)
        world.dispatcher.reconfigure(DeliverySettings(ack_timeout_s=0.05, window=2))
        at_once = list(outlet.positions)
        await eventually(lambda: len(outlet.got) == 3)

        assert (at_once, outlet.positions[2]) == ([1, 2], 1)


async def test_a_declared_filter_changed_by_a_reload_applies_at_once():
    """A connected consumer gets what its new filter names, from its cursor on."""
    world = World()
    world.journal.enroll("bot", Filter(("im.*",)), 0, declared=True)
    seat, outlet = await world.connect()
    for number, kind in enumerate(("im.x", "drive.y", "im.x")):
        await world.publish(number, kind=kind)
    world.settle(seat, 3)
    world.journal.enroll("bot", Filter(("drive.*",)), None, declared=True)
    world.dispatcher.reconfigure(DeliverySettings())
    await turns()
    await world.publish("new", kind="im.x")
    await world.publish("newer", kind="drive.y")

    assert outlet.positions == [1, 3, 2, 5]


async def test_a_reload_reaches_journal_and_dispatcher_alike(tmp_path):
    """The journal on disk changes a declared filter, and the consumer is served by it."""
    clock, tally = SystemClock(), Tally()
    before = JournalSettings(declared={"bot": Filter(("im.*",))})
    journal = SqliteJournal(tmp_path / "j.db", before, clock=clock, tally=tally, observe=id)
    journal.open()
    world = World(clock=clock, journal=journal)
    _, outlet = await world.connect()
    await world.publish("a", kind="im.x")
    await world.publish("b", kind="drive.y")
    journal.reconfigure(JournalSettings(declared={"bot": Filter(("drive.*",))}))
    world.dispatcher.reconfigure(DeliverySettings())
    await eventually(lambda: outlet.positions == [1, 2])
    await journal.close(5)

    assert world.record().filter.types == ("drive.*",)


class SteppingClock(SystemClock):
    """Time that goes on by a step whenever somebody looks."""

    STEP_S = 0.001

    def __init__(self):
        self.looks = itertools.count()

    def monotonic(self):
        return next(self.looks) * self.STEP_S


def count_ticks(world):
    ticks = []
    tick = world.dispatcher._tick

    def counted(seat):
        ticks.append(seat.name)
        tick(seat)

    world.dispatcher._tick = counted
    return ticks


class TestConnections:
    """Consumers that come, go and die."""

    async def test_what_happened_is_told(self):
        """Connecting and leaving are observed with cursor, backlog and what was unsettled."""
        world = World()
        await world.fill(3)
        seat, outlet = await world.connect(start="earliest")
        await turns()
        world.settle(seat, 1)
        world.dispatcher.detach(seat, outlet, "closed")

        assert world.happenings == [
            ConsumerConnected("bot", durable=True, cursor=0, behind=3, uid=0),
            ConsumerDisconnected("bot", "closed", 2),
        ]
        assert world.dispatcher.connected() == 0

    async def test_an_event_that_kills_its_consumer_is_found_and_buried(self):
        """Three dead connections isolate it, each further one is an attempt, the rest is delivered."""
        world = World(max_attempts=2, window=10)
        await world.fill(4)
        got = []
        for _ in range(5):
            seat, outlet = await world.connect(start="earliest")
            await turns()
            got.append([(d.position, d.attempt) for d in outlet.got])
            world.dispatcher.detach(seat, outlet, "closed")
        _, outlet = await world.connect()
        await turns()

        assert got[:3] == [[(1, 1), (2, 1), (3, 1), (4, 1)]] * 3
        assert got[3:] == [[(1, 1)], [(1, 2)]]
        assert world.journal.dead[0][:3] == ("bot", 1, "max_attempts")
        (faulted,) = world.of(ConsumerFaulted)
        assert faulted.fault is Fault.CONSUMER_POISONED
        assert "on position 1;" in faulted.detail
        assert outlet.positions == [2]

    async def test_successors_stuck_on_one_event_are_told_of(self):
        """Also where each connection ends by being taken over; no attempt is counted."""
        world = World()
        await world.fill(2)
        outlets = []
        for _ in range(4):
            outlets.append((await world.connect(start="earliest"))[1])
            await turns()

        assert [o.positions for o in outlets] == [[1, 2], [1, 2], [1, 2], [1]]
        assert [h.fault for h in world.of(ConsumerFaulted)] == [Fault.CONSUMER_POISONED]
        assert world.journal.noted == []

    async def test_a_settle_ends_the_isolation(self):
        """As soon as the consumer settles something, it gets its window back."""
        world = World(window=10)
        await world.fill(4)
        for _ in range(3):
            seat, outlet = await world.connect(start="earliest")
            await turns()
            world.dispatcher.detach(seat, outlet, "closed")
        seat, outlet = await world.connect()
        await turns()
        isolated = outlet.take()
        world.settle(seat, 1)

        assert (isolated, outlet.take()) == ([1], [2, 3, 4])

    async def test_the_journal_knows_who_is_connected(self):
        """What counts when space is short: connected consumers are not absent."""
        world = World()
        state = lambda: world.journal._ledger.states["bot"].connected  # noqa: E731
        seat, first = await world.connect()
        seen = [state()]
        _, second = await world.connect()
        world.dispatcher.detach(seat, first, "superseded")
        seen.append(state())
        world.dispatcher.detach(seat, second, "closed")
        seen.append(state())

        assert seen == [True, True, False]

    async def test_bye_tells_everybody_and_takes_settles(self):
        """After the bye nothing is delivered, a settle counts, and the journal sees them leave."""
        world = World()
        seat, outlet = await world.connect()
        _, tap = await world.connect("t", durable=False)
        await world.fill(2)
        world.dispatcher.say_bye("shutdown")
        await world.publish("late")
        world.settle(seat, 1, 2)
        world.dispatcher.detach(seat, outlet, "shutdown")

        assert (outlet.byes, tap.byes) == (["shutdown"], ["shutdown"])
        assert (outlet.positions, world.record().cursor) == ([1, 2], 2)
        assert world.of(ConsumerDisconnected) == [
            ConsumerDisconnected("bot", "shutdown", 2),
            ConsumerDisconnected("t", "shutdown", 0, durable=False),
        ]
        assert not world.journal._ledger.states["bot"].connected

    async def test_bye_ends_reads(self):
        """A read that hangs does not outlive the dispatcher."""
        world = World()
        connect = await behind(world, 3)
        with held(world.journal):
            await connect()
            await turns()
            world.dispatcher.say_bye("shutdown")
            await turns()
            names = [task.get_name() for task in asyncio.all_tasks()]

        assert not any(name.startswith("read-") for name in names)

    async def test_a_sparse_filter_is_told_without_a_settle(self):
        """A consumer whose deliveries all expire still lets the journal's cursor go on."""
        world = manual_world(max_age_s=10)
        world.journal.enroll("bot", Filter(("im.*",)), 0, declared=False)
        for number in range(1200):
            kind = "im.x" if number % 2 else "drive.y"
            world.journal.append(
                make_event(number, kind, at_ms=world.clock.wall_ms()), lambda _: None
            )
        await turns()
        world.clock.advance(60)
        seat, _ = await world.connect()
        await turns(20)

        assert len(world.journal.dead) == 600
        assert seat.progress.passed_spans < 300
        assert any(passed for _, _, passed in world.journal.settled)


class TestCallbacks:
    """Somebody waits for an answer."""

    def answered(self, world, position):
        """Await a reply as intake does; return the replies that reach it."""
        replies = []
        world.dispatcher.await_reply(world.journal._events[position], replies.append)
        return replies

    async def test_it_goes_ahead_of_the_backlog_and_outside_the_window(self):
        """With the window full and a backlog, a callback is delivered at once, with its deadline."""
        world = manual_world(window=2)
        seat, outlet = await world.connect()
        await world.fill(5)
        (position,) = await world.publish("card", kind=CARD)
        at_once = outlet.got[-1]
        await world.publish("more")
        world.settle(seat, 1, 2, position)

        assert (at_once.position, at_once.late) == (6, False)
        assert at_once.reply_by_ms == world.clock.wall_ms() + 2500
        assert outlet.positions == [1, 2, 6, 3, 4]

    async def test_it_goes_to_every_connected_consumer_that_names_it(self):
        """Filters decide; who only reads along sees it in order, with no deadline, not as late."""
        world = manual_world()
        outlets = {}
        for name, types in (("all", None), ("cards", ["card.*"]), ("none", ["im.*"])):
            outlets[name] = (await world.connect(name, types=types))[1]
        outlets["tap"] = (await world.connect("tap", durable=False))[1]
        outlets["full"] = (await world.connect("full", outlet=FakeOutlet(has=False)))[1]
        await world.publish("card", kind=CARD)

        assert {name: len(o.got) for name, o in outlets.items()} == {
            "all": 1, "cards": 1, "none": 0, "tap": 1, "full": 1,
        }  # fmt: skip
        assert (outlets["tap"].got[0].reply_by_ms, outlets["tap"].got[0].late) == (None, False)

    async def test_it_is_delivered_once(self):
        """Reading on does not deliver it again, settled or not."""
        world = World(window=3)
        seat, outlet = await world.connect()
        await world.fill(4)
        await world.publish("c1", "c2", kind=CARD)
        world.settle(seat, 5)
        await world.publish("x")
        world.settle(seat, through=4)
        world.settle(seat, 4)

        assert outlet.positions == [1, 2, 3, 5, 6, 4, 7]

    async def test_the_first_reply_wins(self):
        """Of several consumers one answers; the other's reply is late."""
        world = World()
        one, _ = await world.connect("one")
        two, _ = await world.connect("two")
        (position,) = await world.publish("card", kind=CARD)
        replies = self.answered(world, position)
        first = world.dispatcher.reply(two, position, b'{"by":2}')
        second = world.dispatcher.reply(one, position, b'{"by":1}')

        assert (first, second, replies) == (True, False, [b'{"by":2}'])

    async def test_only_whoever_got_it_may_reply(self):
        """A consumer whose filter does not name it, or that settled it, cannot answer."""
        world = World()
        await world.connect("one")
        other, _ = await world.connect("other", types=["im.*"])
        (position,) = await world.publish("card", kind=CARD)
        replies = self.answered(world, position)

        assert not world.dispatcher.reply(other, position, b"{}")
        assert not world.dispatcher.reply(other, position + 7, b"{}")
        assert replies == []

    async def test_after_the_deadline_a_reply_is_late(self):
        """Once nobody waits, the reply is not taken."""
        world = World()
        seat, _ = await world.connect()
        (position,) = await world.publish("card", kind=CARD)
        replies = self.answered(world, position)
        world.dispatcher.stop_awaiting(position)

        assert (world.dispatcher.reply(seat, position, b"{}"), replies) == (False, [])

    async def test_a_replay_never_asks_for_a_reply(self):
        """Moved back over a callback that is still waited for, a consumer gets it as an event."""
        world = manual_world()
        await world.connect()
        (position,) = await world.publish("card", kind=CARD)
        self.answered(world, position)
        _, outlet = await world.connect(start="earliest", force=True)
        await turns()

        assert [(d.position, d.reply_by_ms, d.late) for d in outlet.got] == [(1, None, True)]

    async def test_whoever_connects_in_time_may_still_answer(self):
        """A callback that is waited for goes to a newcomer at once, ahead of its backlog."""
        world = manual_world(window=1)
        await world.fill(3)
        (position,) = await world.publish("card", kind=CARD)
        replies = self.answered(world, position)
        world.clock.advance(1)
        seat, outlet = await world.connect(start="earliest")
        await turns()

        assert outlet.positions == [4, 1]
        assert outlet.got[0].reply_by_ms == world.clock.wall_ms() + 1500
        assert world.dispatcher.reply(seat, position, b"1")
        assert replies == [b"1"]

    async def test_a_successor_gets_it_with_its_deadline(self):
        """Taken over in time, a callback can still be answered by the second connection."""
        world = manual_world()
        seat, _ = await world.connect()
        (position,) = await world.publish("card", kind=CARD)
        replies = self.answered(world, position)
        _, second = await world.connect()

        assert [(d.position, d.attempt, d.late) for d in second.got] == [(1, 1, False)]
        assert second.got[0].reply_by_ms is not None
        assert world.dispatcher.reply(seat, position, b"1")
        assert replies == [b"1"]

    @pytest.mark.parametrize("was_connected", [True, False])
    async def test_a_missed_one_is_delivered_late(self, was_connected):
        """Whoever did not get or settle it in time gets it without a deadline, marked late."""
        world = manual_world()
        seat, outlet = await world.connect()
        if not was_connected:
            world.dispatcher.detach(seat, outlet, "closed")
        await world.publish("card", kind=CARD)
        world.clock.advance(3)
        _, outlet = await world.connect()

        assert [(d.position, d.reply_by_ms, d.late) for d in outlet.got] == [(1, None, True)]

    async def test_one_committed_after_its_deadline_is_late(self):
        """Too late to answer, it is an event like any other."""
        world = manual_world()
        _, outlet = await world.connect()
        await world.publish("card", kind=CARD, age_s=2.6)

        assert [(d.position, d.reply_by_ms, d.late) for d in outlet.got] == [(1, None, True)]

    @pytest.mark.parametrize(("age_s", "delivered"), [(1799, 1), (1801, 0)])
    async def test_after_late_callback_s_it_is_a_dead_letter(self, age_s, delivered):
        """So long a missed callback is delivered, then it is buried `expired`."""
        world = manual_world()
        await world.publish("card", kind=CARD, age_s=age_s)
        _, outlet = await world.connect(start="earliest")
        await turns()

        assert len(outlet.got) == delivered
        assert [d[2] for d in world.journal.dead] == ["expired"] * (1 - delivered)

    async def test_no_late_callbacks_are_wanted(self):
        """With 0 a missed callback is never delivered, and one in time is."""
        world = manual_world(late_callback_s=0)
        await world.connect()
        await world.publish("a", kind=CARD)
        await world.publish("b", kind=CARD, age_s=3)
        world.clock.advance(1)
        _, outlet = await world.connect()

        assert (outlet.positions, [d[1] for d in world.journal.dead]) == ([1], [2])

    async def test_a_rejected_one_comes_late(self):
        """A reject takes it back; it comes again as the consumer asked, within the window."""
        world = World(callback_timeout_s=0.05)
        seat, outlet = await world.connect()
        await world.publish("card", kind=CARD)
        reject(world, seat, 1, 0.1)
        await eventually(lambda: len(outlet.got) == 2)

        assert (outlet.got[1].attempt, outlet.got[1].late) == (2, True)

    async def test_an_isolated_consumer_gets_it_at_once(self):
        """Callbacks are outside the window also where that is 1."""
        world = World()
        await world.fill(2)
        for _ in range(3):
            seat, outlet = await world.connect(start="earliest")
            await turns()
            world.dispatcher.detach(seat, outlet, "closed")
        _, outlet = await world.connect()
        await turns()
        await world.publish("card", kind=CARD)

        assert outlet.positions == [1, 3]


@pytest.mark.parametrize("seed", range(6))
async def test_whatever_consumers_do_nobody_misses_an_event(seed):
    """Random consumers that leave, fight, reject and fall silent: promise 2, checked at the end.

    Every event a filter names arrives at least once, first deliveries ascend within a
    connection, and what the journal has as settled is not delivered.
    """
    rng = random.Random(seed)
    world = World(window=8, ack_timeout_s=0.05, max_attempts=10**6)
    names = {"all": None, "im": ["im.*"], "rest": ["x", "y"]}
    seats, got, wanted = {}, {n: set() for n in names}, {n: set() for n in names}

    async def connect(name):
        outlet = FakeOutlet()
        first = [0]

        def deliver(position):
            assert position not in settled_of(world, name)
            if position not in got[name]:
                assert position > first[0]
                first[0] = position
            got[name].add(position)

        outlet.on_deliver = deliver
        with contextlib.suppress(RpcError):  # too many supersedes
            seats[name] = await world.connect(
                name, types=names[name], start="earliest", outlet=outlet
            )

    for step in range(400):
        name = rng.choice(list(names))
        seat, outlet = seats.get(name, (None, None))
        action = rng.random()
        if action < 0.4:
            kind = rng.choice(["im.x", "x", "y", "z"])
            (position,) = await world.publish(step, kind=kind)
            for other, types in names.items():
                if (
                    Filter(tuple(types or ["*"]))
                    .compile()
                    .names(make_event(0, kind, at_ms=0).envelope)
                ):
                    wanted[other].add(position)
        elif seat is None or action < 0.5:
            await connect(name)
        elif action < 0.55:
            world.dispatcher.detach(seat, outlet, "closed")
        elif action < 0.6:
            outlet.has = not outlet.has
            world.dispatcher.resume(seat)
        elif action < 0.7 and got[name]:
            position = rng.choice(sorted(got[name]))
            if seat.progress.is_in_flight(position) and seat.outlet is not None:
                reject(world, seat, position, rng.choice([0, 0.01]))
        elif got[name]:
            world.settle(seat, *rng.sample(sorted(got[name]), min(3, len(got[name]))))
        if step % 20 == 0:
            await asyncio.sleep(0.01)

    for name in names:
        if name not in seats or seats[name][0].outlet is None:
            await connect(name)
        seat, outlet = seats[name][0], seats[name][0].outlet
        outlet.has = True
        world.dispatcher.resume(seat)
        while not wanted[name] <= settled_of(world, name):
            world.settle(seat, through=10**9)
            await asyncio.sleep(0.005)
        assert got[name] >= wanted[name]


def settled_of(world, name):
    """Return what the journal has as settled for a consumer."""
    if name not in world.journal.consumers():
        return set()
    record = world.journal.consumers()[name]
    ahead = (range(first, last + 1) for first, last in record.ahead)
    return set(range(1, record.cursor + 1)).union(*ahead)
