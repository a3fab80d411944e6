"""Consumers that are gone for good are forgotten, and nobody else."""

import asyncio

import pytest
from downstream.rig import manual_world, turns

from feishu_ws.downstream import replay
from feishu_ws.downstream.presence import HOUR_MS, LOOK_EVERY_S, Judgement, Presence, judge
from feishu_ws.downstream.settings import DeliverySettings
from feishu_ws.happenings import ConsumerForgotten
from feishu_ws.journal.contract import JournalSettings
from feishu_ws.model import ConsumerRecord, Filter
from feishu_ws.wire.admin import SeekParams

HOUR_S = 3600
NOW_MS = 1_774_004_591_415


class Watched:
    """A world that is looked at every minute of its manual clock."""

    def __init__(self, **delivery):
        self.world = manual_world(**{"forget_after_hours": 5, **delivery})
        self.restart()

    def restart(self):
        """Begin a new life of the daemon."""
        self.world.restart()
        self.presence = Presence(self.world.journal, self.world.dispatcher, clock=self.world.clock)

    async def hours(self, count, step_s=600):
        """Let time go by."""
        for _ in range(round(count * HOUR_S / step_s)):
            self.world.clock.advance(step_s)
            await self.presence.look()

    async def gone(self, name="bot"):
        """Let a consumer come and go."""
        seat, outlet = await self.world.connect(name)
        self.world.dispatcher.detach(seat, outlet, "closed")

    @property
    def names(self):
        return set(self.world.journal.consumers())


@pytest.mark.parametrize(
    ("seen_h", "declared", "connected", "after_h", "expected"),
    [
        (-4.9, False, False, 5, Judgement.KEEP),
        (-5, False, False, 5, Judgement.FORGET),
        (-9999, False, False, 0, Judgement.KEEP),
        (-9999, True, False, 5, Judgement.KEEP),
        (None, True, False, 5, Judgement.KEEP),
        (None, False, False, 5, Judgement.DATE),
        (+3, False, False, 5, Judgement.DATE),
        (-0.9, False, True, 5, Judgement.KEEP),
        (-1, False, True, 5, Judgement.DATE),
        (-9999, False, True, 5, Judgement.DATE),
        (+3, True, True, 5, Judgement.DATE),
    ],
)
def test_who_is_gone(seen_h, declared, connected, after_h, expected):
    """Undeclared, not connected and away for long enough; who has no good date gets one."""
    seen_ms = 0 if seen_h is None else NOW_MS + round(seen_h * HOUR_MS)
    record = ConsumerRecord("bot", Filter(), 0, declared=declared, last_seen_ms=seen_ms)

    assert judge(record, NOW_MS, after_h, is_connected=connected) is expected


async def test_an_absent_consumer_is_forgotten_loudly():
    """After `forget_after_hours` away it is gone from the journal, and that is told."""
    watched = Watched()
    await watched.gone()
    await watched.world.connect("there")
    await watched.hours(4.9)
    before = watched.names
    await watched.hours(0.2)

    assert (before, watched.names) == ({"bot", "there"}, {"there"})
    assert watched.world.of(ConsumerForgotten) == [ConsumerForgotten("bot", "absent")]
    assert set(watched.world.dispatcher.seats.durable) == {"there"}


async def test_one_that_comes_back_starts_anew():
    """The time away counts from the last connection."""
    watched = Watched()
    await watched.gone()
    await watched.hours(4)
    await watched.gone()
    await watched.hours(4)
    late = watched.names
    await watched.hours(1.2)

    assert (late, watched.names) == ({"bot"}, set())


async def test_a_long_connection_is_dated_every_hour():
    """After a crash nobody looks away for longer than an hour more than it was."""
    watched = Watched()
    await watched.world.connect()
    dates = []
    for _ in range(40):
        await watched.hours(0.25, step_s=300)
        dates.append(watched.world.clock.wall_ms() - watched.world.record().last_seen_ms)
    watched.restart()  # as after a crash: nobody said goodbye
    await watched.hours(4)

    assert max(dates) <= HOUR_MS
    assert watched.names == {"bot"}


async def test_nobody_is_forgotten_in_the_first_hour():
    """After a start consumers have an hour to come back, however long they were away."""
    watched = Watched()
    for name in ("bot", "log"):
        await watched.gone(name)
    watched.world.clock.advance(100 * HOUR_S)
    watched.restart()
    await watched.hours(0.9, step_s=60)
    early = watched.names
    await watched.world.connect("bot")
    await watched.hours(0.2, step_s=60)

    assert (early, watched.names) == ({"bot", "log"}, {"bot"})


async def test_a_clock_not_to_be_trusted_forgets_nobody():
    """While the wall clock is doubted, and for an hour after, nobody is; nor is anybody dated by it."""
    watched = Watched()
    await watched.gone()
    await watched.world.connect("there")
    await watched.hours(2)
    dated_ms = watched.world.record("there").last_seen_ms
    watched.world.dispatcher.may_expire = False
    watched.world.clock.step_wall(1000 * HOUR_S)
    await watched.hours(2)
    doubted = watched.names, watched.world.record("there").last_seen_ms
    watched.world.dispatcher.may_expire = True
    await watched.hours(0.9)
    early = watched.names
    await watched.hours(0.2)

    assert doubted == ({"bot", "there"}, dated_ms)
    assert (early, watched.names) == ({"bot", "there"}, {"there"})


async def test_a_step_nobody_noticed_yet_forgets_nobody():
    """In the second before the daemon doubts the clock, everybody was away for ever."""
    watched = Watched()
    await watched.gone()
    await watched.hours(2)
    watched.world.clock.step_wall(1000 * HOUR_S)
    await watched.presence.look()

    assert watched.names == {"bot"}


async def test_zero_means_never():
    """With 0 nobody is ever forgotten; a reload to another value counts from then on."""
    watched = Watched(forget_after_hours=0)
    await watched.gone()
    await watched.hours(50, step_s=3600)
    before = watched.names
    watched.world.dispatcher.reconfigure(DeliverySettings(forget_after_hours=5))
    await watched.presence.look()

    assert (before, watched.names) == ({"bot"}, set())


async def test_a_declared_consumer_is_never_forgotten():
    """Not before its first connection, and not by what it was; no longer declared, it has its time."""
    watched = Watched()
    declared = JournalSettings(declared={"bot": Filter()})
    watched.world.journal.reconfigure(declared)
    await watched.hours(20, step_s=3600)
    before = watched.names
    watched.world.journal.reconfigure(JournalSettings())
    await watched.hours(4.5)
    between = watched.names
    await watched.hours(1)

    assert (before, between, watched.names) == ({"bot"}, {"bot"}, set())


async def test_one_that_comes_back_just_then_stays():
    """A consumer that says hello while it is being looked at is not forgotten."""
    watched = Watched()
    await watched.gone()
    await watched.hours(4.9)
    watched.world.clock.advance(HOUR_S)
    looking = asyncio.ensure_future(watched.presence.look())
    seat, _ = await watched.world.connect()
    await looking
    await watched.world.publish("a")

    assert watched.names == {"bot"}
    assert watched.world.record().pending == 1
    assert seat.outlet.positions == [1]


async def test_a_replay_that_is_done_leaves_nothing():
    """The order to read again ends with the cursor that reached its end, or with its consumer."""
    watched = Watched()
    world = watched.world
    seat, outlet = await world.connect()
    await world.publish("a", "b")
    world.settle(seat, 1, 2)
    await world.admin.seek(SeekParams("bot", 1))
    orders = [replay.ordered_through(world.journal, "bot")]
    for position in (1, 2):
        world.settle(seat, position)
        world.settle(seat, position)
        await watched.presence.look()
        orders.append(replay.ordered_through(world.journal, "bot"))
    await world.admin.seek(SeekParams("bot", 1))
    world.dispatcher.detach(seat, outlet, "closed")
    await watched.hours(6)

    assert orders == [2, 2, 0]
    assert (watched.names, world.journal._facts) == (set(), {})


async def test_it_looks_once_a_minute():
    """The task looks for as long as it runs."""
    watched = Watched()
    await watched.gone()
    task = asyncio.ensure_future(watched.presence.run())
    await turns()
    for _ in range(round(5.1 * HOUR_S / LOOK_EVERY_S)):
        watched.world.clock.advance(LOOK_EVERY_S)
        await turns()
    task.cancel()

    assert watched.names == set()
