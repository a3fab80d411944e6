"""What operators ask and order about consumers."""

import asyncio
import contextlib
import random
from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest
from downstream.rig import CARD, FakeOutlet, World, held, manual_world, turns
from journal.faulty import FaultyStore
from support import eventually

from feishu_ws.clock import SystemClock
from feishu_ws.downstream.settings import MAX_CONSUMERS, DeliverySettings
from feishu_ws.faults import Fault, FeishuWsError
from feishu_ws.happenings import ConsumerForgotten, ConsumerMoved, EventsSkipped
from feishu_ws.journal.contract import JournalSettings
from feishu_ws.journal.sqlite import SqliteJournal
from feishu_ws.model import Attempt, Envelope, Filter
from feishu_ws.tally import Tally
from feishu_ws.wire.admin import DeadChoiceParams, ForgetParams, SeekParams
from feishu_ws.wire.native import Code, RpcError


async def seek(world, since, name="bot", **more):
    """Move a consumer; return the answer."""
    return await world.admin.seek(SeekParams(name, since, **more))


async def refusal(awaitable):
    """Return the error an order is answered with."""
    with pytest.raises(RpcError) as caught:
        await awaitable
    return caught.value


def open_journal(directory):
    """Open the journal on disk that lies in a directory."""
    journal = SqliteJournal(
        directory / "j.db", JournalSettings(), clock=SystemClock(), tally=Tally(), observe=id
    )
    journal.open()
    return journal


async def caught_up(count, **connect):
    """Return a world whose consumer has settled all of some events, its seat and outlet."""
    world = manual_world()
    seat, outlet = await world.connect(start="earliest", **connect)
    await world.fill(count)
    world.settle(seat, through=count)
    outlet.take()
    return world, seat, outlet


class TestList:
    """Who reads and where they stand."""

    async def test_each_with_its_place(self):
        """Cursor, backlog, filter, attempts and dead letters; the window while it is connected."""
        world = manual_world(window=7)
        await world.journal.enroll(
            "log", Filter(("im.*",), ("oc_1",), ignore_own=True), 0, declared=True
        )
        seat, _ = await world.connect(start="earliest")
        await world.fill(4)
        world.settle(seat, 1)
        world.reject(seat, 2, 60)
        world.reject(seat, 3, dead=True)
        listed = await world.admin.consumers_list()

        now_ms = world.clock.wall_ms()
        assert (listed["first"], listed["last"], listed["now_ms"]) == (1, 4, now_ms)
        assert listed["consumers"] == [
            {
                "consumer": "bot", "cursor": 1, "pending": 2, "declared": False, "connected": True,
                "last_seen_ms": now_ms, "types": ["*"], "chats": [], "ignore_own": False,
                "attempts": 1, "dead_letters": 1, "window": 7,
            },
            {
                "consumer": "log", "cursor": 0, "pending": 4, "declared": True, "connected": False,
                "last_seen_ms": 0, "types": ["im.*"], "chats": ["oc_1"], "ignore_own": True,
                "attempts": 0, "dead_letters": 0,
            },
        ]  # fmt: skip
        assert msgspec.json.decode(msgspec.json.encode(listed)) == listed


class TestSeek:
    """Moving a consumer."""

    @pytest.mark.parametrize(
        ("since", "expected"),
        [(1, [1, 2, 3, 4]), (3, [3, 4]), (5, []), ("earliest", [1, 2, 3, 4]), ("latest", [])],
    )
    async def test_a_connected_consumer_gets_it_at_once(self, since, expected):
        """What it had settled comes again on its connection, without a new event or a hello."""
        world, _, outlet = await caught_up(4)
        answer = await seek(world, since)
        await turns()
        cursor = 4 - len(expected)

        assert (outlet.positions, outlet.byes) == (expected, [])
        assert answer == {"consumer": "bot", "was": 4, "cursor": cursor, "skipped": 0}
        assert world.record().cursor == cursor
        assert world.of(ConsumerMoved) == [ConsumerMoved("bot", 4, cursor)]
        assert world.of(EventsSkipped) == []

    @pytest.mark.parametrize("ago_s", [0, 1, 99, 100, 101, 9999])
    async def test_a_moment(self, ago_s):
        """With a time, what was received since then comes again, whatever the offset it is told in."""
        world = manual_world()
        seat, outlet = await world.connect(start="earliest")
        await world.publish("old", age_s=100)
        await world.publish("new")
        world.settle(seat, 1, 2)
        outlet.take()
        moment = world.clock.wall_ms() - 1000 * ago_s
        text = _rfc3339(moment, hours=8)
        answer = await seek(world, text)
        await turns()
        expected = [1, 2] if ago_s >= 100 else [2]

        assert (outlet.positions, answer["cursor"]) == (expected, 2 - len(expected))

    async def test_a_moment_to_come_is_the_end(self):
        """Nothing was received since then."""
        world, _, outlet = await caught_up(2)
        await seek(world, "2099-01-01T00:00:00Z")
        await turns()

        assert outlet.positions == []

    @pytest.mark.parametrize(
        "since",
        [0, -1, 6, 2**70, "", "newest", "7", "2026-03-20", "2026-03-20T11:03:11", "x" * 9999],
    )
    async def test_no_such_place(self, since):
        """What is no place is refused, saying what would be one; nothing is moved."""
        world, _, outlet = await caught_up(4)
        error = await refusal(seek(world, since))

        assert (error.code, "params.from" in error.message) == (Code.INVALID_PARAMS, True)
        assert len(error.message) < 300
        assert (world.record().cursor, outlet.positions) == (4, [])

    async def test_no_such_consumer(self):
        """Those there are are named."""
        world, _, _ = await caught_up(1)
        error = await refusal(seek(world, 1, "bto"))

        assert error.code == Code.INVALID_PARAMS
        assert "'bto'" in error.message
        assert error.message.endswith("there are: bot")

    async def test_a_consumer_that_is_away(self):
        """It gets it when it comes, also if it was never here in this life of the daemon."""
        world, seat, outlet = await caught_up(3)
        world.dispatcher.detach(seat, outlet, "closed")
        await seek(world, 3)
        _, second = await world.connect()
        world.restart()
        await seek(world, 2)
        _, third = await world.connect()
        await turns()

        assert (second.positions, third.positions) == ([3], [2, 3])


def _rfc3339(unix_ms, hours):
    """Return a time with an offset."""
    moment = datetime.fromtimestamp(unix_ms / 1000, UTC)
    return moment.astimezone(timezone(timedelta(hours=hours))).isoformat(timespec="milliseconds")


class TestSkip:
    """Moving a consumer past what it holds."""

    @pytest.mark.parametrize(("since", "held"), [("latest", 3), (4, 2), (5, 3), (3, 1)])
    async def test_it_has_to_be_said(self, since, held):
        """Refused with the number of events; with `skip` they are passed over, and that is told."""
        world = manual_world()
        seat, outlet = await world.connect(types=["im.*"], start="earliest")
        for number, kind in enumerate(("im.a", "im.b", "im.c", "im.d")):
            await world.publish(number, kind=kind)
        world.settle(seat, 1)
        outlet.take()
        error = await refusal(seek(world, since))
        before = world.record().cursor
        answer = await seek(world, since, skip=True)
        cursor = answer["cursor"]

        assert (error.code, error.data, before) == (Code.INVALID_PARAMS, {"skipped": held}, 1)
        assert error.message.startswith(f"{held} events")
        assert "skip" in error.message
        assert (answer["was"], answer["skipped"], world.record().cursor) == (1, held, cursor)
        assert world.of(EventsSkipped) == [EventsSkipped("bot", held, 2, cursor)]

    async def test_what_it_does_not_hold_needs_no_word(self):
        """Settled ahead or not named by its filter, there is nothing to be lost."""
        world = manual_world()
        seat, _ = await world.connect(types=["im.*"], start="earliest")
        for number, kind in enumerate(("im.a", "x", "im.b")):
            await world.publish(number, kind=kind)
        world.settle(seat, 1, 3)
        answer = await seek(world, "latest")

        assert answer == {"consumer": "bot", "was": 3, "cursor": 3, "skipped": 0}

    async def test_what_was_settled_a_moment_ago_is_not_held(self, tmp_path):
        """Settles that are on their way to the disk count."""
        world = World(clock=SystemClock(), journal=open_journal(tmp_path))
        seat, _ = await world.connect()
        await world.fill(2)
        world.settle(seat, 1, 2)
        answer = await seek(world, "latest")
        await world.journal.close(5)

        assert answer["skipped"] == 0

    async def test_what_was_skipped_does_not_come(self):
        """Neither what was in flight nor what was rejected, nor after a restart."""
        world = manual_world(window=2)
        seat, outlet = await world.connect(start="earliest")
        await world.fill(5)
        world.reject(seat, 1, 0.5)
        await seek(world, 5, skip=True)
        world.clock.advance(60)
        world.dispatcher.resume(seat)
        world.restart()
        _, second = await world.connect()
        await turns()

        assert (outlet.positions, second.positions) == ([1, 2, 3, 5], [5])
        assert world.record().attempts == {}


class TestInFlight:
    """What a consumer had when it was moved."""

    async def moved(self, **hello):
        """Return a world whose consumer has 1 to 3 in flight and gets them again."""
        world = manual_world()
        seat, outlet = await world.connect(start="earliest", **hello)
        await world.fill(3)
        outlet.take()
        await seek(world, 1)
        assert outlet.take() == [1, 2, 3]
        return world, seat, outlet

    async def test_a_settle_of_the_old_delivery_does_not_swallow_the_repeated_one(self):
        """After a crash it comes again: only the second settle is about it."""
        world, seat, _ = await self.moved()
        world.settle(seat, 1, 2, 3)
        world.restart()
        _, again = await world.connect()
        await turns()

        assert (again.positions, world.record().cursor) == ([1, 2, 3], 0)

    async def test_the_second_settle_counts(self):
        """A consumer that settles each delivery once is done in the end."""
        world, seat, _ = await self.moved()
        for _ in range(2):
            for position in (1, 2, 3):
                world.settle(seat, position)

        assert world.record().cursor == 3

    async def test_through_counts_likewise(self):
        """The same for a consumer that settles everything up to somewhere."""
        world, seat, _ = await self.moved()
        cursors = []
        for through in (2, 3, 1, 3):
            world.settle(seat, through=through)
            cursors.append(world.record().cursor)

        assert cursors == [0, 0, 1, 3]

    async def test_a_reject_of_the_old_delivery_changes_nothing(self):
        """It comes again anyway; the next reject is about the repeated one."""
        world, seat, _ = await self.moved()
        await world.reject(seat, 1, dead=True)
        first = [*world.journal.dead], [*world.journal.noted], seat.progress.is_in_flight(1)
        await world.reject(seat, 1, dead=True)

        assert first == ([], [], True)
        assert [d[1] for d in world.journal.dead] == [1]

    @pytest.mark.parametrize("since", [1, "latest"])
    async def test_a_callback_may_still_be_answered(self, since):
        """Its reply is taken, whether it comes again or was skipped."""
        world = manual_world()
        seat, _ = await world.connect(start="earliest")
        (position,) = await world.publish("card", kind=CARD)
        replies = []
        world.dispatcher.await_reply(world.journal._events[position], replies.append)
        await seek(world, since, skip=True)

        assert world.dispatcher.reply(seat, position, b"{}")
        assert replies == [b"{}"]

    async def test_a_callback_that_comes_again_asks_for_no_reply(self):
        """What is said of the old delivery leaves the repeated one unsettled."""
        world = manual_world()
        seat, outlet = await world.connect(start="earliest")
        (position,) = await world.publish("card", kind=CARD)
        world.dispatcher.await_reply(world.journal._events[position], id)
        await seek(world, 1)
        world.settle(seat, position)

        assert [(d.reply_by_ms is None, d.late) for d in outlet.got] == [
            (False, False),
            (True, True),
        ]
        assert seat.progress.is_in_flight(position)

    async def test_a_settle_while_it_is_written_belongs_to_before(self, tmp_path):
        """Settled before the order or while the disk takes it, an event comes again all the same."""
        world = World(clock=SystemClock(), journal=open_journal(tmp_path))
        disk = FaultyStore(world.journal._store)
        seat, outlet = await world.connect(start="earliest")
        await world.fill(3)
        outlet.take()
        hangs = disk.hang("commit")
        world.settle(seat, 1)
        await asyncio.to_thread(hangs.wait, 10)
        asked = asyncio.ensure_future(world.dispatcher.seats.move("bot", 0))
        await turns()
        world.settle(seat, 1, 2)
        early = outlet.take()
        disk.mend()
        await asked
        await world.journal.settle("bot", ())
        cursor = world.record().cursor
        await world.journal.close(5)

        assert (early, outlet.positions, cursor) == ([], [1, 2, 3], 0)

    async def test_events_that_arrive_meanwhile_come_after(self):
        """While the move is written nothing is sent; then all of it in order."""
        world, _, outlet = await caught_up(2)
        with held(world.journal):
            asked = asyncio.ensure_future(world.dispatcher.seats.move("bot", 0))
            await turns()
            await world.publish("new")
            early = outlet.take()
        await asked
        await turns()

        assert (early, outlet.positions) == ([], [1, 2, 3])


class TestTogether:
    """Orders, hellos and reloads at the same time."""

    async def test_a_hello_waits_for_the_move(self):
        """Whoever connects while its consumer is moved gets what the order says."""
        world, seat, outlet = await caught_up(3)
        world.dispatcher.detach(seat, outlet, "closed")
        with held(world.journal):
            asked = asyncio.ensure_future(seek(world, 2))
            newcomer = asyncio.ensure_future(world.connect(types=["im.*"]))
            await turns()
            waits = not newcomer.done()
        await asked
        _, second = await newcomer
        await turns()

        assert (waits, second.positions) == (True, [2, 3])

    async def test_orders_are_obeyed_one_after_the_other(self):
        """The last one stands, and each is told."""
        world, _, outlet = await caught_up(5)
        answers = await asyncio.gather(
            *(seek(world, since) for since in (4, 2, 3)), return_exceptions=True
        )
        await turns()

        assert [a["cursor"] for a in answers[:2]] == [3, 1]
        assert answers[2].data == {"skipped": 1}
        assert outlet.positions[-4:] == [2, 3, 4, 5]

    async def test_a_filter_that_changes_meanwhile_is_kept(self):
        """A move leaves the filter alone that a reload brings while it is written."""
        world = World()
        await world.journal.enroll("bot", Filter(("im.*",)), 0, declared=True)
        seat, outlet = await world.connect()
        for number, kind in enumerate(("im.x", "drive.y", "im.x")):
            await world.publish(number, kind=kind)
        world.settle(seat, 1, 3)
        outlet.take()
        world.journal.enroll("bot", Filter(("drive.*",)), None, declared=True)
        world.dispatcher.reconfigure(DeliverySettings())
        await seek(world, 1)
        await eventually(lambda: outlet.positions == [2])

        assert world.record().filter.types == ("drive.*",)

    async def test_a_filter_that_is_told_of_during_a_move(self):
        """What the journal knew of the cursor before the move does not undo it."""
        world = World()
        await world.journal.enroll("bot", Filter(("im.*",)), 0, declared=True)
        seat, outlet = await world.connect()
        for number, kind in enumerate(("im.x", "drive.y", "im.x")):
            await world.publish(number, kind=kind)
        world.settle(seat, 1, 3)
        outlet.take()
        gate, move = asyncio.Event(), world.journal.move

        async def later(name, cursor):
            await gate.wait()
            await move(name, cursor)

        world.journal.move = lambda *where: asyncio.ensure_future(later(*where))
        asked = asyncio.ensure_future(world.dispatcher.seats.move("bot", 0))
        await turns()
        world.journal.enroll("bot", Filter(("drive.*",)), None, declared=True)
        world.dispatcher.reconfigure(DeliverySettings())
        await turns()
        gate.set()
        await asked
        await turns()

        assert outlet.positions == [2]

    async def test_on_disk(self, tmp_path):
        """The same over the journal on disk, with a consumer that goes on settling."""
        world = World(clock=SystemClock(), journal=open_journal(tmp_path))
        outlet = FakeOutlet()
        seat, _ = await world.connect(outlet=outlet)
        outlet.on_deliver = lambda position: world.settle(seat, position)
        await world.fill(500)
        await eventually(lambda: world.record().cursor == 500)
        outlet.take()
        answer = await seek(world, 101)
        await world.publish("new")
        await eventually(lambda: world.record().cursor == 501)
        skipped = await refusal(seek(world, 10**9))
        await world.journal.close(5)

        assert (answer["was"], answer["cursor"]) == (500, 100)
        assert outlet.positions == list(range(101, 502))
        assert skipped.code == Code.INVALID_PARAMS

    async def test_a_journal_that_closes_meanwhile(self, tmp_path):
        """An order that cannot be made durable any more is refused, and nobody hangs."""
        world = World(clock=SystemClock(), journal=open_journal(tmp_path))
        await world.connect()
        await world.fill(2)
        await world.journal.close(5)
        for order in (seek(world, 1), world.admin.forget(ForgetParams("bot"))):
            with pytest.raises((FeishuWsError, RpcError)) as caught:
                await asyncio.wait_for(order, 5)
        world.dispatcher.say_bye("shutdown")
        with pytest.raises(FeishuWsError) as caught:
            await asyncio.wait_for(world.admin.forget(ForgetParams("bot")), 5)

        assert caught.value.fault is Fault.LOCAL_STOP


class TestForget:
    """Removing a consumer."""

    async def test_it_is_gone(self):
        """Cursor, attempts and place among the consumers; its dead letters stay."""
        world = manual_world()
        seat, outlet = await world.connect(start="earliest")
        await world.fill(3)
        world.reject(seat, 1, 60)
        world.reject(seat, 2, dead=True)
        world.dispatcher.detach(seat, outlet, "closed")
        answer = await world.admin.forget(ForgetParams("bot"))
        _, outlet = await world.connect(start=3)
        await turns()

        assert answer == {}
        assert world.of(ConsumerForgotten) == [ConsumerForgotten("bot", "asked")]
        assert (outlet.positions, world.record().attempts) == ([3], {})
        assert [d[1] for d in world.journal.dead] == [2]

    async def test_a_new_one_of_its_name_replays_nothing(self):
        """An order to read again ends with the consumer it was for."""
        world = manual_world(max_age_s=10)
        seat, outlet = await world.connect(start="earliest")
        await world.fill(2)
        world.settle(seat, 1, 2)
        await seek(world, 1)
        world.dispatcher.detach(seat, outlet, "closed")
        await world.admin.forget(ForgetParams("bot"))
        world.clock.advance(60)
        _, outlet = await world.connect(start="earliest")
        await turns()

        assert outlet.positions == []
        assert [d[2] for d in world.journal.dead] == ["expired"] * 2

    async def test_a_connected_one_is_refused(self):
        """It says so; after its end it can be forgotten."""
        world = manual_world()
        seat, outlet = await world.connect()
        error = await refusal(world.admin.forget(ForgetParams("bot")))
        world.dispatcher.detach(seat, outlet, "closed")
        await world.admin.forget(ForgetParams("bot"))

        assert (error.code, "is connected" in error.message) == (Code.CONSUMER_CONFLICT, True)
        assert world.journal.consumers() == {}

    @pytest.mark.parametrize("where", ["journal", "settings"])
    async def test_a_declared_one_is_refused(self, where):
        """It would come back with the next start; the message says what to do first."""
        world = manual_world(consumers=(("bot", Filter()),) if where == "settings" else ())
        await world.journal.enroll("bot", Filter(), 0, declared=where == "journal")
        error = await refusal(world.admin.forget(ForgetParams("bot")))

        assert (error.code, "delivery.consumers" in error.message) == (Code.CONSUMER_CONFLICT, True)
        assert set(world.journal.consumers()) == {"bot"}

    @pytest.mark.parametrize("name", ["nobody", "", "A b", "\n"])
    async def test_nobody(self, name):
        """A name that is no consumer's is refused, naming those there are."""
        world = manual_world()
        error = await refusal(world.admin.forget(ForgetParams(name)))

        assert error.code == Code.INVALID_PARAMS
        assert error.message.endswith("there are: none")

    async def test_a_hello_meanwhile_makes_it_anew(self):
        """Whoever connects while its consumer is being forgotten is a new consumer, and loses nothing new."""
        world, seat, outlet = await caught_up(2)
        world.dispatcher.detach(seat, outlet, "closed")
        forgetting = asyncio.ensure_future(world.admin.forget(ForgetParams("bot")))
        await turns(1)
        newcomer = asyncio.ensure_future(world.connect(start=2))
        await forgetting
        _, second = await newcomer
        await world.publish("new")

        assert second.positions == [2, 3]
        assert world.record().pending == 2

    async def test_it_makes_room_for_another(self):
        """With the most consumers there can be, one has to go before one comes."""
        world = manual_world()
        for number in range(MAX_CONSUMERS):
            seat, outlet = await world.connect(f"c{number}")
            world.dispatcher.detach(seat, outlet, "closed")
        error = await refusal(world.connect("more"))
        await world.admin.forget(ForgetParams("c3"))
        await world.connect("more")

        assert (error.code, len(world.journal.consumers())) == (Code.FULL, MAX_CONSUMERS)


async def test_without_anybody_connected_it_works_on_the_journal_alone(tmp_path):
    """As commands use it on a stopped daemon's journal: what they order is there at the next start."""

    def begin():
        return World(clock=SystemClock(), journal=open_journal(tmp_path), max_age_s=3600)

    world = begin()
    seat, outlet = await world.connect("bot", start="earliest")
    await world.publish("old", age_s=7200)
    await world.publish("a", "b")
    await world.connect("other")
    world.settle(seat, 2, 3)
    world.dispatcher.say_bye("shutdown")
    await world.journal.close(5)
    offline = begin()
    moved = await seek(offline, "earliest")
    await offline.admin.forget(ForgetParams("other"))
    await offline.journal.close(5)
    world = begin()
    _, outlet = await world.connect("bot")
    await eventually(lambda: len(outlet.got) == 3)
    listed = await world.admin.consumers_list()
    await world.journal.close(5)

    assert moved == {"consumer": "bot", "was": 3, "cursor": 0, "skipped": 0}
    assert outlet.positions == [1, 2, 3]
    assert [c["consumer"] for c in listed["consumers"]] == ["bot"]
    assert listed["consumers"][0]["dead_letters"] == 1
    assert Attempt(0) not in world.record().attempts.values()


@pytest.mark.parametrize("seed", range(6))
async def test_whatever_is_ordered_nobody_misses_an_event(seed):
    """Random consumers and operators: what has to be delivered (again) is not settled before it was.

    In the end all of it was delivered, and settled or buried.
    """
    rng = random.Random(seed)
    world = World(window=8, ack_timeout_s=0.05, max_attempts=10**6)
    names = {"all": None, "im": ["im.*"]}
    chaos = Chaos(world, names)
    for step in range(400):
        name = rng.choice(list(names))
        if rng.random() < 0.4:
            await chaos.publish(step, rng.choice(["im.x", "x"]))
        else:
            await chaos.act(name, rng)
        chaos.check()
        if step % 20 == 0:
            await asyncio.sleep(0.01)
    await chaos.end()


class Chaos:
    """Consumers that do anything, and what each of them has to be given."""

    def __init__(self, world, names):
        self.world = world
        self.names = names
        self.due = {name: set() for name in names}
        self.kinds = {}
        self.seats = {}
        self.got = {name: set() for name in names}
        move, revive, bury = world.journal.move, world.journal.revive, world.journal.bury
        world.journal.move = lambda name, cursor: self.moved(name, cursor, move)
        world.journal.revive = lambda name, some: self.revived(name, some, revive)
        world.journal.bury = lambda name, position, *rest: self.buried(name, position, bury, *rest)

    def named(self, name, above=0):
        wanted = Filter(tuple(self.names[name] or ["*"])).compile()
        return {p for p, k in self.kinds.items() if p > above and wanted.names(Envelope(type=k))}

    def moved(self, name, cursor, move):
        self.due[name] = self.named(name, cursor)
        return move(name, cursor)

    def revived(self, name, some, revive):
        settled = self.world.journal._ledger.states[name].settled
        self.due[name] |= {p for p in some if p in settled}  # what is out already stays out
        return revive(name, some)

    def buried(self, name, position, bury, *rest):
        self.due[name].discard(position)
        return bury(name, position, *rest)

    async def publish(self, number, kind):
        position = self.world.journal.last + 1
        self.kinds[position] = kind
        for name in self.names:
            self.due[name] |= self.named(name) & {position}
        await self.world.publish(number, kind=kind)

    async def connect(self, name):
        outlet = FakeOutlet()

        def deliver(position):
            self.due[name].discard(position)
            self.got[name].add(position)

        outlet.on_deliver = deliver
        with contextlib.suppress(RpcError):  # too many supersedes
            types = self.names[name]
            self.seats[name] = await self.world.connect(
                name, types=types, start="earliest", outlet=outlet
            )

    async def act(self, name, rng):
        """Let a consumer or an operator do something."""
        seat, outlet = self.seats.get(name, (None, None))
        action = rng.random()
        if seat is None or action < 0.15:
            await self.connect(name)
        elif action < 0.2:
            self.world.dispatcher.detach(seat, outlet, "closed")
        elif action < 0.25:
            outlet.has = not outlet.has
            self.world.dispatcher.resume(seat)
        elif action < 0.3:
            await seek(self.world, rng.randint(1, self.world.journal.last + 1), name, skip=True)
        elif action < 0.4 and self.world.journal.dead:
            positions = [rng.choice(self.world.journal.dead)[1]]
            order = rng.choice([self.world.admin.dead_retry, self.world.admin.dead_drop])
            await order(DeadChoiceParams(positions))
        elif action < 0.6 and self.got[name]:
            position = rng.choice(sorted(self.got[name]))
            if seat.progress.is_in_flight(position) and seat.outlet is not None:
                self.world.reject(seat, position, 0, dead=rng.random() < 0.5)
        elif self.got[name]:
            some = rng.sample(sorted(self.got[name]), min(3, len(self.got[name])))
            through = rng.choice([None, None, *some])
            self.world.settle(seat, *some, through=through)

    def check(self):
        """Nothing that is still to be delivered counts as settled."""
        for name, due in self.due.items():
            record = self.world.journal.consumers().get(name)
            if record is not None:
                ahead = (range(first, last + 1) for first, last in record.ahead)
                assert not due & set(range(1, record.cursor + 1)).union(*ahead)

    async def end(self):
        """Let all consumers take everything."""
        for name in self.names:
            if name not in self.seats or self.seats[name][0].outlet is None:
                self.seats.pop(name, None)
                while name not in self.seats:
                    await self.connect(name)
            seat, outlet = self.seats[name][0], self.seats[name][0].outlet
            outlet.has = True
            self.world.dispatcher.resume(seat)
            while self.due[name] or self.world.record(name).pending:
                self.world.settle(seat, *self.got[name])
                self.check()
                await asyncio.sleep(0.005)
