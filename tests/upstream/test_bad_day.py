"""Twenty-four hours of a bad day, on a manual clock, in seconds.

Thousands of changes of the world: networks that come and go, refusals, limits, flaps,
mass closes. Whatever happened: never more attempts than the storm breaker allows, and
live again within its bound whenever the world stays well.
"""

import asyncio
import bisect
import gc
import heapq
import weakref
from random import Random

import pytest

from feishu_ws.clock import ManualClock
from feishu_ws.faults import Fault, FeishuWsError
from feishu_ws.happenings import LinkFailed, LinkLive, LinkLost, LinkReplaced
from feishu_ws.secret import Secret
from feishu_ws.tally import Tally
from feishu_ws.upstream import fleet as fleet_module
from feishu_ws.upstream import netwatch
from feishu_ws.upstream.attempt import Phase
from feishu_ws.upstream.backoff import HOLD_MAX_S, LIMIT_S
from feishu_ws.upstream.fleet import Fleet
from feishu_ws.upstream.settings import Credentials, UpstreamSettings
from feishu_ws.wire.endpoint import Endpoint
from feishu_ws.wire.session import ServerTimings

DAY_S = 86_400.0
TICK_S = 30.0  # of the fleet's own housekeeping: what it does per second is not the matter here
TURNS = 10  # of the loop, for whoever was woken to say what comes next

DOWN = ((Fault.DNS_FAILED, Phase.DNS), (Fault.CONNECT_FAILED, Phase.TCP))
BUSY = ((Fault.FEISHU_BUSY, Phase.DISCOVERY), (Fault.DISCOVERY_FAILED, Phase.DISCOVERY),
        (Fault.HANDSHAKE_REFUSED, Phase.HANDSHAKE), (Fault.REFUSED_UNKNOWN, Phase.DISCOVERY))  # fmt: skip
REFUSED = ((Fault.ACCESS_REFUSED, Phase.DISCOVERY), (Fault.CREDENTIALS_REFUSED, Phase.HANDSHAKE))


class Clock(ManualClock):
    """A manual clock that can jump to whatever comes next."""

    def __init__(self):
        super().__init__()
        self._queue = []
        self._count = 0

    async def sleep(self, seconds):
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        future = asyncio.get_running_loop().create_future()
        self._count += 1
        heapq.heappush(self._queue, (self.monotonic() + seconds, self._count, future))
        await future

    def jump(self, until_s):
        """Go to the next sleeper's time, or to `until_s` if that comes first."""
        while self._queue and self._queue[0][2].done():
            heapq.heappop(self._queue)
        at = min(self._queue[0][0], until_s) if self._queue else until_s
        self.advance(max(at - self.monotonic(), 0.0))
        while self._queue and self._queue[0][0] <= self.monotonic():
            future = heapq.heappop(self._queue)[2]
            if not future.done():
                future.set_result(None)


class Link:
    """A live link of a world."""

    def __init__(self, world):
        self.timings = ServerTimings(120, -1, 90, 25)
        self.close_code = None
        self.is_mass_close = False
        self.is_suspect = False
        self.is_acknowledged = False
        self.unconfirmed = 0
        self.last_inbound_s = world.clock.monotonic()
        self.probed = 0
        self._world = world
        self._tell = None
        self._end = asyncio.get_running_loop().create_future()

    def end(self, fault, *, mass=False):
        if not self._end.done():
            self.is_mass_close = mass
            self._end.set_exception(FeishuWsError(fault, "x"))
            self._end.exception()  # looked at: a link that nobody runs yet may end too
            self._world.open.discard(self)

    async def run(self):
        try:
            await self._end
        finally:
            self._world.open.discard(self)

    @property
    def has_ended(self):
        return self._end.done()

    async def drain(self, _):
        self.end(Fault.LOCAL_STOP)

    retire = drain

    def watch(self, on_suspect):
        self._tell = on_suspect

    def doubt(self):
        self.is_suspect = True
        if self._tell is not None:
            self._tell()

    def probe(self, _=None):
        self.probed += 1


class World:
    """Feishu and everything on the way to it, as one mood that changes."""

    def __init__(self, rng, **settings):
        self.rng = rng
        self.clock = Clock()
        self.seen = []
        self.open = set()
        self.in_memory = weakref.WeakSet()
        self.reached_at = []
        self.mood = None
        self.limit = 99
        self.delay_s = 0.2
        self.settings = UpstreamSettings(**settings)
        self.fleet = Fleet(
            self.settings, Credentials("cli_a", Secret("s")), lambda *_: None, self.seen.append,
            Tally(), self.clock, rng, proven=True, on_proven=lambda: None, dial=self.dial,
            own_addresses=lambda: frozenset({"192.0.2.7"}),
        )  # fmt: skip
        self.running = asyncio.create_task(self.fleet.run())

    async def dial(self, attempt):
        await self.clock.sleep(self.rng.uniform(0, self.delay_s))
        if self.mood in DOWN:
            attempt.phase = self.mood[1]
            raise FeishuWsError(self.mood[0], "x")
        self.reached_at.append(self.clock.monotonic())
        if self.mood is not None:
            fault, attempt.phase = self.mood
            retry_after_s = self.rng.choice([None, None, 7.0])
            raise FeishuWsError(fault, "x", retry_after_s=retry_after_s)
        if len(self.open) >= self.limit:
            raise FeishuWsError(Fault.CONNECTION_LIMIT, "x")
        attempt.discovered(Endpoint("wss://x/"))
        link = Link(self)
        self.open.add(link)
        self.in_memory.add(link)
        link.number = len(self.reached_at)
        return link

    def mishap(self):
        """Change something."""
        match self.rng.randrange(9):
            case 0 | 1:
                self.mood = self.rng.choice(DOWN)
            case 2 | 3:
                self.mood = self.rng.choice(BUSY)
            case 4:
                self.mood = self.rng.choice(REFUSED)
            case 5:
                self.limit = self.rng.choice([0, 1, 2, 99])
                self.lose(Fault.CONNECTION_LOST)
            case 6:
                self.lose(self.rng.choice([Fault.CONNECTION_LOST, Fault.PONG_OVERDUE]))
            case 7:
                self.lose(Fault.CLOSED_BY_FEISHU, mass=True)
            case 8:
                for link in list(self.open):
                    link.doubt()
        if self.mood in DOWN and self.rng.random() < 0.5:
            self.lose(Fault.PONG_OVERDUE)

    def lose(self, fault, *, mass=False):
        for link in sorted(self.open, key=lambda link: link.number)[: self.rng.randrange(1, 4)]:
            link.end(fault, mass=mass)

    def heal(self):
        self.mood, self.limit = None, 99

    async def run_for(self, seconds):
        until_s = self.clock.monotonic() + seconds
        while self.clock.monotonic() < until_s:
            for _ in range(TURNS):
                await asyncio.sleep(0)
            assert not self.running.done(), self.running.result()
            self.clock.jump(until_s)

    def bound_s(self):
        """Seconds within which the fleet must be whole again from now on, by what it waits for."""
        links = self.fleet.facts()
        waits = [self._bound_of(link) for link in links if link.state != "connected"]
        tokens_s = len(waits) * self.settings.storm_refill_s
        return max(waits, default=0.0) + tokens_s + fleet_module.STAGGER_S * len(links) + 5.0

    def _bound_of(self, link):
        if link.retry_at_ms is not None:
            wait_s = max(link.retry_at_ms - self.clock.wall_ms(), 0) / 1000
            allowed = HOLD_MAX_S if link.state == "held" else self.settings.backoff_max_s
            turns = self.settings.connections if link.fault is Fault.CONNECTION_LIMIT else 1
            assert wait_s <= max(allowed, LIMIT_S * turns) + self.settings.storm_refill_s * 20
            return wait_s + self.delay_s
        return self.delay_s


@pytest.fixture(autouse=True)
def slow_housekeeping(monkeypatch):
    monkeypatch.setattr(fleet_module, "TICK_S", TICK_S)
    monkeypatch.setattr(netwatch, "POLL_S", TICK_S)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("connections", [1, 2, 5])
async def test_a_bad_day(seed, connections):
    """However bad the day: within the token budget, whole when the world is well, no leak."""
    rng = Random(f"{seed}/{connections}")
    world = World(rng, connections=connections, rotate_after_s=rng.choice([0.0, 3600.0, 7200.0]))
    began_s = world.clock.monotonic()
    healed, tasks = 0, set()
    while world.clock.monotonic() - began_s < DAY_S:
        for _ in range(rng.randrange(1, 40)):
            world.mishap()
            await world.run_for(rng.expovariate(1 / rng.choice([0.3, 5.0, 60.0])))
        world.heal()
        await world.run_for(world.bound_s())
        assert world.fleet.live == connections, world.fleet.facts()
        healed += 1
        calm_s = rng.choice([0.0, 30.0, 600.0, 3600.0])
        await world.run_for(calm_s)
        if calm_s:
            tasks.add(len(asyncio.all_tasks()))
    gc.collect()
    in_memory = len(world.in_memory)
    await stop(world)

    assert healed >= 10
    assert len(tasks) == 1  # after a whole day as many as in its first hour
    assert in_memory == connections
    assert_within_budget(world)
    assert_every_life_ends_once(world)


async def test_flapping_for_hours():
    """Links that Feishu drops a second after they went live do not storm, for six hours."""
    world = World(Random(7), connections=2)
    for _ in range(6 * 3600):
        world.lose(Fault.CONNECTION_LOST)
        await world.run_for(1.0)
    lives = len([each for each in world.seen if type(each) is LinkLive])
    await stop(world)
    assert_within_budget(world)
    assert lives > 6 * 3600 / world.settings.storm_refill_s * 0.8  # the budget is used


async def test_a_dead_network_costs_nothing():
    """A network that is dead for six hours costs no token, and heals within five seconds."""
    world = World(Random(7), connections=2)
    world.mood = DOWN[0]
    await world.run_for(DAY_S / 4)
    failed = [each for each in world.seen if type(each) is LinkFailed]
    assert max(each.retry_in_s for each in failed) <= world.settings.backoff_unreachable_max_s
    assert world.reached_at == []
    world.heal()
    await world.run_for(world.settings.backoff_unreachable_max_s + 1)
    assert world.fleet.live >= 1
    await stop(world)


async def stop(world):
    stopping = asyncio.create_task(world.fleet.stop(1.0))
    while not stopping.done():
        await asyncio.sleep(0)
        world.clock.jump(world.clock.monotonic() + 0.1)
    await world.running


def assert_within_budget(world):
    """In any stretch of time: no more attempts that reach Feishu than the bucket allows."""
    tokens, refill_s = world.settings.storm_tokens, world.settings.storm_refill_s
    times = world.reached_at
    for at in range(0, len(times), 7):
        for span_s in (60.0, 600.0, 3600.0, DAY_S):
            count = bisect.bisect_right(times, times[at] + span_s) - at
            assert count <= tokens + span_s / refill_s + 1 + world.settings.connections


def assert_every_life_ends_once(world):
    lives = sum(type(each) is LinkLive for each in world.seen)
    ends = sum(type(each) in {LinkLost, LinkReplaced} for each in world.seen)
    assert lives == ends
    assert lives > 20
