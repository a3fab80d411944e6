"""Who else is connected as this app, and links that Feishu has forgotten."""

import asyncio
import json

import pytest

from feishu_ws.clock import ManualClock
from feishu_ws.faults import Fault, FeishuWsError
from feishu_ws.happenings import CompetitorGone, CompetitorSeen, LinksForgotten
from feishu_ws.openapi.census import CENSUS_PATH, RENEW_AGAIN_S, Census, CensusTaker, Finding
from feishu_ws.tally import Tally
from feishu_ws.wire.answers import Answer


def notes(census, *counts, own=2, now_s=0.0):
    return [census.note(count, own, now_s) for count in counts]


def test_three_above():
    """Three counts above ours in a row are a competitor, said once; the first that is not ends it."""
    census = Census()
    assert notes(census, 3, 3, 2, 3, 3) == [Finding.NOTHING] * 5
    assert notes(census, 4, 3, 3) == [Finding.COMPETITOR, Finding.NOTHING, Finding.NOTHING]
    assert notes(census, 2) == [Finding.NO_COMPETITOR]


def test_three_below():
    """Three counts below ours in a row have the links renewed, at most once in six hours."""
    census = Census()
    assert notes(census, 1, 1, 2, 0, 1, 1)[-1] is Finding.FORGOTTEN
    assert notes(census, 1, 1, 1, 1, now_s=RENEW_AGAIN_S - 1) == [Finding.NOTHING] * 4
    assert notes(census, 1, now_s=RENEW_AGAIN_S) == [Finding.FORGOTTEN]


class Caller:
    def __init__(self):
        self.asked = []
        self.answer = None

    async def call(self, request, **_):
        self.asked.append(request.target)
        if isinstance(self.answer, FeishuWsError):
            raise self.answer
        return self.answer


def counted(count):
    body = {"code": 0, "data": {"online_instance_cnt": count}}
    return Answer(200, {}, json.dumps(body).encode())


class World:
    def __init__(self, every_s=600.0):
        self.caller, self.clock, self.tally = Caller(), ManualClock(), Tally()
        self.seen, self.renewed, self.live = [], 0, 2
        self.taker = CensusTaker(
            self.caller,
            every_s,
            live=lambda: self.live,
            renew=self.renew,
            clock=self.clock,
            tally=self.tally,
            observe=self.seen.append,
        )

    def renew(self):
        self.renewed += 1

    async def pass_counts(self, *answers):
        task = asyncio.create_task(self.taker.run())
        for answer in answers:
            self.caller.answer = answer
            await asyncio.sleep(0.001)
            self.clock.advance(600)
            await asyncio.sleep(0.001)
        task.cancel()
        await asyncio.wait([task])


async def test_competitor_comes_and_goes():
    """A competitor is seen and gone, with both counts."""
    world = World()
    await world.pass_counts(*[counted(3)] * 4, counted(2))
    assert world.seen == [
        CompetitorSeen(Fault.COMPETING_CONSUMER, 3, 2),
        CompetitorGone(2, 2),
    ]
    assert world.caller.asked == [CENSUS_PATH] * 5
    assert world.tally.remote_instances == 2


async def test_forgotten_links():
    """Links that Feishu does not count are renewed."""
    world = World()
    await world.pass_counts(*[counted(1)] * 3)
    assert world.renewed == 1
    assert world.seen == [LinksForgotten(Fault.LINKS_FORGOTTEN, 1, 2)]


@pytest.mark.parametrize(
    "answer",
    [
        FeishuWsError(Fault.CONNECT_FAILED, "no route"),
        Answer(500),
        Answer(429),
        Answer(200, {}, b"[]"),
        counted("many"),
        counted(-1),
        counted(True),  # noqa: FBT003
    ],
)
async def test_no_count(answer):
    """What is no count changes nothing, and is asked again."""
    world = World()
    await world.pass_counts(counted(3), counted(3), answer, answer, counted(3))
    assert len(world.caller.asked) == 5
    assert world.seen == [CompetitorSeen(Fault.COMPETING_CONSUMER, 3, 2)]


async def test_no_permission():
    """An app that may not ask is not asked again."""
    world = World()
    refusal = Answer(400, {}, json.dumps({"code": 99991672, "msg": "Access denied"}).encode())
    await world.pass_counts(refusal, counted(3), counted(3), counted(3))
    assert len(world.caller.asked) == 1
    assert not world.seen


async def test_nothing_to_compare():
    """Without a live link, or where links changed meanwhile, a count says nothing."""
    world = World()
    world.live = 0
    await world.pass_counts(counted(3), counted(3), counted(3))
    assert not world.caller.asked
    lives = iter([2, 1] * 4)
    world.taker._live = lambda: next(lives)
    await world.pass_counts(*[counted(3)] * 4)
    assert not world.seen


async def test_off():
    """0 is never."""
    await World(0.0).taker.run()
