"""One link kept alive on a manual clock, with a network that does as it is told."""

import asyncio
from random import Random

import pytest

from feishu_ws.clock import ManualClock
from feishu_ws.faults import Fault, FeishuWsError
from feishu_ws.happenings import (
    LinkDialed,
    LinkFailed,
    LinkLive,
    LinkLost,
    LinkReplaced,
    StormBegan,
)
from feishu_ws.upstream.attempt import Phase
from feishu_ws.upstream.settings import UpstreamSettings
from feishu_ws.upstream.storm import StormBreaker, TokenBucket
from feishu_ws.upstream.supervisor import Supervisor
from feishu_ws.wire.endpoint import Endpoint
from feishu_ws.wire.link import LinkState
from feishu_ws.wire.session import ServerTimings


class Link:
    """An open link that lives until the test ends it."""

    def __init__(self, clock):
        self.timings = ServerTimings(90, -1, 90, 25)
        self.close_code = None
        self.is_mass_close = False
        self.is_suspect = False
        self.is_acknowledged = False
        self.unconfirmed = 0
        self.last_inbound_s = clock.monotonic()
        self.probed = []
        self._end = asyncio.get_running_loop().create_future()

    def end(self, fault=Fault.CONNECTION_LOST):
        self._end.set_exception(FeishuWsError(fault, "x"))
        self._end.exception()  # looked at: a link that nobody runs yet may end too

    async def run(self):
        await self._end

    @property
    def has_ended(self):
        return self._end.done()

    async def drain(self, deadline_s):
        self.end(Fault.LOCAL_STOP)

    async def retire(self, deadline_s):
        self.retire_s = deadline_s
        if not self._end.done():
            self.end(Fault.LOCAL_STOP)

    def watch(self, on_suspect):
        self.on_suspect = on_suspect

    def probe(self, timeout_s=None):
        self.probed.append(timeout_s)


class World:
    """A network: each attempt gets the next thing in `plan`, and a live link after that."""

    def __init__(self, *plan, tokens=20, **settings):
        self.clock = ManualClock()
        self.plan = list(plan)
        self.seen = []
        self.links = []
        self.dialed_at = []
        self.waits = True
        self.others = False
        self.may = True
        self.renewals = 0
        self.suspects = []
        self.settings = UpstreamSettings(**settings)
        bucket = TokenBucket(tokens, 15, self.clock.monotonic())
        self.supervisor = Supervisor(
            0,
            self.settings,
            self.dial,
            StormBreaker(bucket, tokens, self.seen.append),
            self,
            self.seen.append,
            self.clock,
            Random(1),
        )
        self.task = asyncio.create_task(self.supervisor.run())

    def has_others_live(self, index):
        return self.others

    def will_wait(self, ending):
        return self.waits

    def wait_at_limit(self, index):
        return 60.0

    def suspected(self, index):
        self.suspects.append(index)

    def may_renew(self, index):
        return self.may

    def renewed(self, index):
        self.renewals += 1

    async def dial(self, attempt):
        self.dialed_at.append(self.clock.monotonic() - 1000)
        what = self.plan.pop(0) if self.plan else None
        if isinstance(what, BaseException):
            raise what
        if what is not None:
            fault, attempt.phase = what
            if attempt.phase is Phase.HANDSHAKE:
                attempt.discovered(Endpoint("wss://x/"))
            raise FeishuWsError(fault, "x", code=7)
        attempt.discovered(Endpoint("wss://x/?ticket=t"))
        attempt.phases_s["discovery"] = 0.5
        self.links.append(Link(self.clock))
        return self.links[-1]

    async def settle(self):
        for _ in range(30):
            await asyncio.sleep(0)

    async def wait(self, seconds, step=0.25):
        await self.settle()
        end = self.clock.monotonic() + seconds
        while self.clock.monotonic() < end:
            self.clock.advance(min(step, end - self.clock.monotonic()))
            await self.settle()

    def of(self, kind):
        return [each for each in self.seen if type(each) is kind]

    async def close(self):
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


@pytest.fixture
async def worlds():
    made = []

    def make(*args, **kwargs):
        made.append(World(*args, **kwargs))
        return made[-1]

    yield make
    for each in made:
        await each.close()


DNS = (Fault.DNS_FAILED, Phase.DNS)
BUSY = (Fault.FEISHU_BUSY, Phase.DISCOVERY)
WRONG = (Fault.CREDENTIALS_REFUSED, Phase.DISCOVERY)


async def test_goes_live(worlds):
    """An attempt that works is dialed, told and live."""
    world = worlds()
    await world.settle()
    assert world.supervisor.is_live
    assert world.seen == [
        LinkDialed(0, 1),
        LinkLive(0, 1, 0.0, "wss://x/", {"discovery": 0.5}),
    ]
    facts = world.supervisor.facts()
    assert (facts.state, facts.lives, facts.fault, facts.retry_at_ms) == (
        "connected",
        1,
        None,
        None,
    )
    assert facts.established_ms == facts.last_frame_ms == world.clock.wall_ms()


async def test_comes_back_at_once(worlds):
    """A lost link is dialed again at once, and the loss is told first."""
    world = worlds()
    await world.settle()
    await world.wait(100)
    world.links[0].end()
    await world.settle()
    assert world.of(LinkLost) == [LinkLost(0, Fault.CONNECTION_LOST, "x", 100.0, 0.0)]
    assert len(world.links) == 2
    assert world.supervisor.facts().lives == 2


async def test_never_gives_up(worlds):
    """A network that is down for a day is tried at least every five seconds, without tokens."""
    world = worlds(*[DNS] * 10_000)
    for _ in range(200):
        await world.wait(10, step=5)
    assert len(world.dialed_at) >= 400
    assert world.of(StormBegan) == []
    failed = world.of(LinkFailed)
    assert failed[-1].failures == len(failed)
    assert all(each.retry_in_s <= 5 for each in failed)
    world.plan = []
    await world.wait(6)
    assert world.supervisor.is_live


async def test_what_is_told_of_a_failure(worlds):
    """A failed attempt is told with phase, code and the time of the next; facts agree."""
    world = worlds(WRONG)
    await world.settle()
    [failed] = world.of(LinkFailed)
    assert failed == LinkFailed(0, Fault.CREDENTIALS_REFUSED, Phase.DISCOVERY, "x", 1, 15.0, 7)
    facts = world.supervisor.facts()
    assert (facts.state, facts.fault, facts.code) == (LinkState.HELD, Fault.CREDENTIALS_REFUSED, 7)
    assert facts.retry_at_ms == world.clock.wall_ms() + 15_000
    assert facts.consecutive_failures == 1
    await world.wait(15)
    assert world.supervisor.is_live
    assert world.dialed_at == [0, 15]


async def test_hold_heals(worlds):
    """A refusal is waited out on its ramp, for ever."""
    world = worlds(*[WRONG] * 4)
    await world.wait(15 + 30 + 60 + 120 + 1)
    assert world.dialed_at == [0, 15, 45, 105, 225]
    assert world.supervisor.is_live


async def test_overseer_decides(worlds):
    """What the overseer does not wait out ends the loop with its fault, once told."""
    world = worlds(WRONG)
    world.waits = False
    await world.settle()
    with pytest.raises(FeishuWsError) as caught:
        world.task.result()
    assert caught.value.fault is Fault.CREDENTIALS_REFUSED
    assert len(world.of(LinkFailed)) == 1
    assert world.supervisor.state is LinkState.STOPPED


async def test_surplus_link_holds(worlds):
    """At the connection limit a surplus link is tried once a minute."""
    world = worlds(*[(Fault.CONNECTION_LIMIT, Phase.DISCOVERY)] * 3)
    world.others = True
    await world.wait(200)
    assert world.dialed_at == [0, 60, 120, 180]


async def test_storm(worlds):
    """When the tokens are used up a link waits for the next one."""
    world = worlds(*[BUSY] * 8, tokens=3, backoff_max_s=0.1)
    await world.wait(61, step=0.05)
    assert len(world.dialed_at) == 3 + 60 // 15
    assert len(world.of(StormBegan)) == 1


async def test_storm_wait_is_told(worlds):
    """The time of the next attempt includes the wait for a token."""
    world = worlds(BUSY, tokens=1)
    await world.settle()
    assert world.of(LinkFailed)[0].retry_in_s == 15


async def test_flapping_link_backs_off(worlds):
    """A link that is lost right after it went live is not dialed without end."""
    world = worlds(backoff_max_s=4)
    for _ in range(400):
        await world.wait(0.25)
        if world.supervisor.is_live:
            world.links[-1].end()
            await world.settle()
    assert len(world.dialed_at) <= 20 + 100 / 15


async def test_probe(worlds):
    """A probe pings a live link, and ends the wait of one that is not."""
    world = worlds(WRONG)
    await world.settle()
    world.supervisor.probe(3.5)
    await world.settle()
    assert world.dialed_at == [0, 0]
    world.supervisor.probe(3.5)
    assert world.links[0].probed == [3.5]


@pytest.mark.parametrize("plan", [[BUSY, BUSY, BUSY], [WRONG], [DNS, DNS, DNS]])
async def test_stop_while_waiting(worlds, plan):
    """A stop ends any wait at once."""
    world = worlds(*plan)
    await world.settle()
    assert world.supervisor.state in {LinkState.BACKOFF, LinkState.HELD}
    await world.close()
    assert world.supervisor.state is LinkState.STOPPED
    assert world.supervisor.facts().retry_at_ms is None


async def test_stop_while_waiting_for_a_token(worlds):
    """A stop ends the wait for a token."""
    world = worlds(BUSY, tokens=1, backoff_max_s=0.01)
    await world.wait(1)
    assert len(world.dialed_at) == 1
    await world.close()
    assert world.supervisor.state is LinkState.STOPPED


async def test_drain(worlds):
    """A live link that is drained is told as stopped by us, and stays so."""
    world = worlds()
    await world.settle()
    await world.supervisor.drain(1)
    await world.settle()
    assert world.task.done()
    assert world.of(LinkLost)[0].fault is Fault.LOCAL_STOP
    assert world.supervisor.state is LinkState.STOPPED
    await world.supervisor.drain(1)


async def test_lost_while_draining(worlds):
    """A link that is lost while it drains does not come back."""
    world = worlds()
    await world.settle()
    world.links[0].drain = lambda _: asyncio.sleep(0)
    await world.supervisor.drain(1)
    world.links[0].end()
    await world.settle()
    assert world.task.done()
    assert world.of(LinkLost)[0].fault is Fault.CONNECTION_LOST
    assert len(world.dialed_at) == 1


async def test_defect_is_loud_and_retried(worlds):
    """A defect in an attempt is reported with its traceback and does not end the daemon."""
    reported = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    defect = ZeroDivisionError()
    world = worlds(defect)
    await world.settle()
    assert [each["exception"] for each in reported] == [defect]
    assert world.of(LinkFailed)[0].fault is Fault.INTERNAL
    assert world.supervisor.is_live


async def test_defect_of_a_life(worlds):
    """A defect while a link is live costs that life only."""
    reported = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    world = worlds()
    await world.settle()
    world.links[0]._end.set_exception(ZeroDivisionError())
    await world.settle()
    assert len(reported) == 1
    assert world.of(LinkLost)[0].fault is Fault.INTERNAL
    assert len(world.links) == 2


async def test_no_wait_keeps_the_dead(worlds):
    """A link that ended is not kept in memory by the wait for the next."""
    import gc
    import weakref

    world = worlds()
    await world.settle()
    world.plan = [DNS, DNS, DNS]
    dead = weakref.ref(world.links.pop())
    dead().end()
    await world.settle()
    gc.collect()
    assert world.supervisor.state is LinkState.BACKOFF
    assert dead() is None


async def test_a_spare_takes_over_from_a_link_that_ends(worlds):
    """A suspect link that ends while its successor waits is replaced, and nothing is lost."""
    world = worlds()
    await world.settle()
    world.links[0].is_suspect = world.links[0].is_acknowledged = True
    world.links[0].on_suspect()
    await world.wait(5)
    assert len(world.links) == 2
    assert world.supervisor.facts().lives == 1
    world.links[0].end(Fault.PONG_OVERDUE)
    await world.settle()
    assert world.supervisor.is_live
    assert world.supervisor.facts().lives == 2
    assert [each.fault for each in world.of(LinkReplaced)] == [Fault.LINK_SUSPECT]
    assert (world.of(LinkLost), world.of(LinkFailed)) == ([], [])
    assert world.links[0].retire_s == 3.0  # Feishu waits no longer for what it may still owe
    await world.wait(100)
    assert len(world.links) == 2


async def test_a_spare_is_closed_by_a_stop(worlds):
    """A stop closes a successor that still waits, and the life that ended is told once."""
    world = worlds()
    await world.settle()
    world.links[0].is_suspect = world.links[0].is_acknowledged = True
    world.links[0].on_suspect()
    await world.settle()
    await world.supervisor.drain(1)
    await world.settle()
    assert world.task.done()
    assert [each._end.done() for each in world.links] == [True, True]
    assert [each.fault for each in world.of(LinkLost)] == [Fault.LOCAL_STOP]
    assert world.of(LinkReplaced) == []
