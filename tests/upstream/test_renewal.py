"""When a link is renewed before it is dropped, on a manual clock."""

import asyncio
from random import Random

import pytest

from feishu_ws.clock import ManualClock
from feishu_ws.faults import Fault, FeishuWsError
from feishu_ws.happenings import LinkDialed, LinkWarned
from feishu_ws.upstream.attempt import Phase
from feishu_ws.upstream.renewal import (
    AGAIN_S,
    LAST_MOMENT_S,
    SOON_S,
    SPARE_DRAIN_S,
    SPARE_TOKENS,
    TURN_S,
    Renewal,
)
from feishu_ws.upstream.settings import UpstreamSettings
from feishu_ws.upstream.storm import StormBreaker, TokenBucket


class Link:
    is_suspect = False
    is_acknowledged = False

    def watch(self, on_suspect):
        self.tell = on_suspect

    def doubt(self):
        self.is_suspect = True
        self.tell()


class Fresh:
    """A link that was opened to replace another, and how often it was closed."""

    closed = 0
    has_ended = False

    async def drain(self, deadline_s):
        assert deadline_s == SPARE_DRAIN_S
        self.closed += 1


class World:
    def __init__(self, *plan, tokens=20, rotate_after_s=0.0):
        self.clock = ManualClock()
        self.plan = list(plan)
        self.seen = []
        self.may = True
        self.turns = 0
        self.phase = None
        self.suspects = []
        self.dialed_at = []
        self.link = Link()
        self.fresh = Fresh()
        self.bucket = TokenBucket(tokens, 1e9, self.clock.monotonic())
        renewal = Renewal(
            0,
            UpstreamSettings(rotate_after_s=rotate_after_s),
            self.dial,
            StormBreaker(self.bucket, tokens, self.seen.append),
            self,
            self.seen.append,
            self.clock,
            Random(1),
        )
        self.renewal = renewal
        self.task = asyncio.create_task(renewal.successor(self.link))

    def suspected(self, index):
        self.suspects.append(index)

    def may_renew(self, index):
        self.turns += self.may
        return self.may

    def renewed(self, index):
        self.turns -= 1

    async def dial(self, attempt):
        self.dialed_at.append(self.clock.monotonic() - 1000)
        if self.phase is not None:
            attempt.enter(self.phase)
        if self.plan:
            raise self.plan.pop(0)
        return self.fresh

    async def wait(self, seconds, step=0.5):
        end = self.clock.monotonic() + seconds
        await self.settle()
        while self.clock.monotonic() < end:
            self.clock.advance(min(step, end - self.clock.monotonic()))
            await self.settle()

    async def settle(self):
        for _ in range(10):
            await asyncio.sleep(0)


@pytest.fixture
async def worlds():
    made = []

    def make(*args, **kwargs):
        made.append(World(*args, **kwargs))
        return made[-1]

    yield make
    for each in made:
        each.task.cancel()
        await asyncio.wait({each.task})


LIMIT = FeishuWsError(Fault.CONNECTION_LIMIT, "1000040350")
DOWN = FeishuWsError(Fault.CONNECT_FAILED, "refused")


async def test_healthy_link_is_left_alone(worlds):
    """Without doubt and without rotation a link stays for ever."""
    world = worlds()
    await world.wait(200_000, step=10_000)
    assert world.dialed_at == []


async def test_suspect(worlds):
    """Doubt opens a successor at once, which took a token and the fleet's turn."""
    world = worlds()
    await world.settle()
    world.link.doubt()
    await world.settle()
    assert (world.turns, world.bucket.tokens(world.clock.monotonic())) == (0, 19)
    assert world.seen == [LinkDialed(0, 1)]
    assert world.suspects == [0]
    assert not world.task.done()
    await world.wait(LAST_MOMENT_S)
    link, attempt, fault = world.task.result()
    assert (link, attempt.link, fault) == (world.fresh, 0, Fault.LINK_SUSPECT)
    assert world.fresh.closed == 0
    assert world.renewal.take_spare() is None


async def test_answer_in_the_last_moment(worlds):
    """A link that answers when its successor is live already is left alone; that one is closed."""
    world = worlds()
    await world.settle()
    world.link.doubt()
    await world.wait(LAST_MOMENT_S - 0.1, step=0.1)
    assert world.fresh.closed == 0
    world.link.is_suspect = False
    await world.wait(0.2, step=0.1)
    assert not world.task.done()
    assert world.fresh.closed == 1
    assert [type(each) for each in world.seen] == [LinkDialed, LinkWarned]
    assert world.renewal.take_spare() is None
    world.link.doubt()
    await world.wait(LAST_MOMENT_S)
    assert world.task.done()


async def test_both_while_the_answer_may_be_on_its_way(worlds):
    """Where TCP has taken the ping both links are kept until the old one has answered, or not."""
    world = worlds()
    await world.settle()
    world.link.is_acknowledged = True
    world.link.doubt()
    await world.wait(10)
    assert (world.task.done(), world.fresh.closed) == (False, 0)
    world.link.is_acknowledged = False
    await world.wait(LAST_MOMENT_S)
    assert world.task.result()[0] is world.fresh


async def test_a_spare_is_handed_over(worlds):
    """When the old link ends first its successor takes over at once and is not closed."""
    world = worlds()
    await world.settle()
    assert world.renewal.take_spare() is None
    world.link.doubt()
    await world.settle()
    link, _, fault = world.renewal.take_spare()
    assert (link, fault) == (world.fresh, Fault.LINK_SUSPECT)
    world.task.cancel()
    await world.settle()
    assert world.fresh.closed == 0


async def test_a_spare_that_ended(worlds):
    """A successor that ended while it waited takes over from nobody; another is opened."""
    world = worlds()
    await world.settle()
    world.link.doubt()
    await world.settle()
    world.fresh.has_ended = True
    assert world.renewal.take_spare() is None
    await world.wait(LAST_MOMENT_S)
    assert not world.task.done()
    world.fresh.has_ended = False
    await world.wait(SOON_S + LAST_MOMENT_S)
    assert world.task.done()
    assert (len(world.dialed_at), world.fresh.closed) == (2, 0)


async def test_a_spare_does_not_leak(worlds):
    """A successor that nobody took is closed when the search for it ends."""
    world = worlds()
    await world.settle()
    world.link.doubt()
    await world.settle()
    world.task.cancel()
    await world.settle()
    assert world.task.cancelled()
    assert world.fresh.closed == 1


async def test_suspect_in_an_outage(worlds):
    """While a suspect link's successor reaches nobody it is tried again and again."""
    world = worlds(DOWN, DOWN)
    await world.settle()
    world.link.doubt()
    await world.wait(2 * SOON_S + LAST_MOMENT_S)
    assert world.task.result()[0] is world.fresh
    assert world.dialed_at == [0, SOON_S, 2 * SOON_S]


async def test_old_age_in_an_outage(worlds):
    """The renewal of a link that is well waits ten minutes, whatever was wrong."""
    world = worlds(DOWN, rotate_after_s=100)
    await world.wait(101 + 2 * SOON_S)
    assert len(world.dialed_at) == 1


async def test_old_age(worlds):
    """A link is rotated at its age or up to a tenth sooner."""
    world = worlds(rotate_after_s=100)
    await world.wait(89)
    assert world.dialed_at == []
    await world.wait(12)
    assert world.task.result()[2] is Fault.ROTATED
    assert world.suspects == []


async def test_asked_for(worlds):
    """A link that shall be renewed is, however young, once it is its turn."""
    world = worlds()
    world.may = False
    await world.wait(1)
    world.renewal.ask()
    await world.wait(5 * TURN_S)
    assert world.dialed_at == []
    world.may = True
    await world.wait(TURN_S)
    assert world.task.result()[2] is Fault.ROTATED


async def test_asked_for_and_refused(worlds):
    """What was asked for is tried once: where Feishu grants no connection more the link stays."""
    world = worlds(LIMIT)
    await world.wait(1)
    world.renewal.ask()
    await world.wait(3 * AGAIN_S, step=10)
    assert len(world.dialed_at) == 1
    assert not world.task.done()


async def test_taken_and_not_answered(worlds):
    """An attempt that somebody took and did not answer costs its token, and is soon tried again."""
    world = worlds(FeishuWsError(Fault.CONNECT_TIMEOUT, "late"))
    world.phase = Phase.DISCOVERY
    await world.settle()
    world.link.doubt()
    await world.settle()
    assert world.bucket.tokens(world.clock.monotonic()) == pytest.approx(19)
    await world.wait(SOON_S)
    assert len(world.dialed_at) == 2


async def test_refused(worlds):
    """A successor that is refused is told, and tried again ten minutes later."""
    world = worlds(LIMIT, rotate_after_s=100)
    await world.wait(101)
    [warned] = [each for each in world.seen if type(each) is LinkWarned]
    assert "connection_limit" in warned.detail
    assert "the old one stays" in warned.detail
    await world.wait(AGAIN_S - 20)
    assert len(world.dialed_at) == 1
    await world.wait(21)
    assert world.task.done()
    assert world.turns == 0


@pytest.mark.parametrize(("fault", "left"), [(LIMIT, 19), (DOWN, 20)])
async def test_what_reaches_nobody_costs_nothing(worlds, fault, left):
    """Only an attempt that Feishu answered costs a token."""
    world = worlds(fault)
    await world.settle()
    world.link.doubt()
    await world.settle()
    assert world.bucket.tokens(world.clock.monotonic()) == left


async def test_the_last_tokens_are_not_for_renewals(worlds):
    """In a storm links that are down come first."""
    world = worlds(tokens=SPARE_TOKENS)
    await world.settle()
    world.link.doubt()
    await world.wait(5)
    assert world.dialed_at == []


async def test_one_link_at_a_time(worlds):
    """A suspect link waits while another is renewed, unless it has answered by then."""
    world = worlds()
    world.may = False
    await world.settle()
    world.link.doubt()
    await world.wait(3 * TURN_S)
    assert world.dialed_at == []
    world.may = True
    await world.wait(TURN_S)
    assert len(world.dialed_at) == 1


async def test_doubt_that_passed(worlds):
    """A link that answered while it waited for its turn is left alone."""
    world = worlds()
    world.may = False
    await world.settle()
    world.link.doubt()
    await world.settle()
    world.link.is_suspect = False
    world.may = True
    await world.wait(5 * TURN_S)
    assert world.dialed_at == []


async def test_defect(worlds):
    """A defect in the attempt is reported, and the old link stays."""
    reported = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    world = worlds(ZeroDivisionError())
    await world.settle()
    world.link.doubt()
    await world.settle()
    assert len(reported) == 1
    assert not world.task.done()
    assert world.turns == 0
