"""Scenarios on a running simulator."""

import asyncio
import json

import pytest
from simulator.rawclient import discover, headers_of, linked
from simulator.test_load import answering

from feishu_ws.simulator.happenings import MishapBegan, MishapEnded
from feishu_ws.simulator.mishaps import Close, Mishap, Outage, RefuseDiscovery, Reset
from feishu_ws.simulator.play import play
from feishu_ws.simulator.scenario import Scenario, SplitPlan, load_scenario
from feishu_ws.simulator.server import Simulator
from feishu_ws.simulator.settings import SimulatorSettings


def scenario(*mishaps: Mishap, **changes) -> Scenario:
    told = {"name": "test", "summary": "a test", "mix": {"message.text": 1.0}, "events_per_s": 0.0}
    return Scenario(**told | changes, mishap=mishaps)


@pytest.mark.parametrize("name", ["chat", "callbacks", "split"])
async def test_traffic_has_the_mix_of_the_scenario(name):
    """Every event drawn is of the mix, and all of them are confirmed."""
    told = load_scenario(name)
    async with (
        Simulator(told.tune(SimulatorSettings(seed=4))) as feishu,
        linked(feishu) as client,
        answering_whole(client) as seen,
    ):
        await play(feishu, told, count=60, rate=2000)
        await feishu.wait_until_quiet()
        assert feishu.stats.pushed == feishu.stats.confirmed == 60
        assert not feishu.stats.bad_acks
    types = {json.loads(payload)["header"]["event_type"] for payload in seen}
    assert types <= {
        k if not k.startswith("message.") else "im.message.receive_v1" for k in told.mix
    }
    assert len(types) > 1


class answering_whole:  # noqa: N801 - reads as a verb where it is used
    """Puts parts together and confirms the completing one; yields whole payloads."""

    def __init__(self, client) -> None:
        self.client = client
        self.seen: list[bytes] = []
        self.kinds: list[str] = []

    async def __aenter__(self):
        self.task = asyncio.create_task(self.answer())
        return self.seen

    async def __aexit__(self, *_):
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)

    async def answer(self):
        parts = {}
        while True:
            frame = await self.client.receive(60)
            headers = headers_of(frame)
            mine = parts.setdefault(headers["message_id"], {})
            if headers["seq"] in mine:
                continue
            mine[headers["seq"]] = frame.payload
            if len(mine) == int(headers["sum"]):
                self.seen.append(b"".join(mine[str(n)] for n in range(len(mine))))
                self.kinds.append(headers["type"])
                await self.client.answer(frame)


async def test_callbacks_come_as_events_and_as_cards():
    """The share decides in which frames callbacks come; they are never sent again."""
    told = scenario(mix={"card.action.trigger": 1.0}, card_share=0.5, events_per_s=1000.0)
    settings = SimulatorSettings(ack_deadline_s=0.1, redelivery_s=(0.01,), seed=2)
    async with Simulator(settings) as feishu, linked(feishu) as client:
        await play(feishu, told, count=30)
        kinds = [headers_of(await client.receive())["type"] for _ in range(30)]
        assert {"card", "event"} == set(kinds)
        await feishu.wait_until(lambda: feishu.stats.given_up == 30)
        assert feishu.stats.sent == 30


async def test_duplicates_have_the_same_id():
    """A duplicate is a second delivery of the same event."""
    told = scenario(duplicate_share=1.0, events_per_s=1000.0)
    async with Simulator() as feishu, linked(feishu) as client, answering(client) as seen:
        await play(feishu, told, count=5)
        await feishu.wait_until_quiet()
        assert feishu.stats.pushed == 10
        assert len(set(seen)) == 5


async def test_split_plans_apply_to_their_share():
    """With a share of one every event is split."""
    told = scenario(split=SplitPlan(share=1, parts=2), events_per_s=1000.0)
    async with Simulator() as feishu, linked(feishu) as client:
        await play(feishu, told, count=3)
        sums = [headers_of(await client.receive())["sum"] for _ in range(6)]
        assert sums == ["2"] * 6


async def test_mishaps_happen_when_told_and_again():
    """A mishap starts at its time and comes back after its period."""
    seen = []
    told = scenario(Close(at_s=0.05, every_s=0.1, code=1012, reason="restart"))
    async with Simulator() as feishu:
        await play(feishu, told, seconds=1, observe=seen.append)
    assert 2 <= len(seen) <= 10
    assert seen[0] == MishapBegan("close", 0, 'code=1012 reason="restart"', 0.1)


async def test_several_mishaps_do_not_wait_for_each_other():
    """One that lasts for ever holds up no other, and ends with the scenario."""
    seen = []
    told = scenario(RefuseDiscovery(code=1), Reset(at_s=0.05, links="all"))
    async with Simulator() as feishu, linked(feishu):
        playing = asyncio.create_task(play(feishu, told, seconds=0.3, observe=seen.append))
        await feishu.wait_until(lambda: not feishu.links)
        assert (await discover(feishu))[1]["code"] == 1
        await playing
        assert (await discover(feishu))[1]["code"] == 0
    assert seen == [
        MishapBegan("refuse_discovery", 0, "code=1 status=200"),
        MishapBegan("reset", 0, 'links="all"'),
        MishapEnded("refuse_discovery"),
    ]


async def test_a_mishap_that_lasts_ends_by_itself_and_with_the_scenario():
    """Links are reset and nothing listens for a while; afterwards the port is back."""
    seen = []
    told = scenario(Outage(for_s=0.2))
    async with Simulator() as feishu, linked(feishu):
        playing = asyncio.create_task(play(feishu, told, seconds=0.6, observe=seen.append))
        await feishu.wait_until(lambda: not feishu.links)
        with pytest.raises(OSError, match=r"[Cc]onnect"):
            await discover(feishu)
        await feishu.wait_until(lambda: len(seen) == 2)
        assert seen == [MishapBegan("outage", 0.2), MishapEnded("outage")]
        assert (await discover(feishu))[1]["code"] == 0
        await playing
        await play(feishu, scenario(Outage()), seconds=0.1)
        assert (await discover(feishu))[1]["code"] == 0


async def test_patterns_draw_from_all_they_match():
    """A pattern in the mix stands for every sample it matches."""
    told = scenario(mix={"im.chat.member.bot.*": 1.0}, events_per_s=1000.0)
    async with (
        Simulator(SimulatorSettings(seed=6)) as feishu,
        linked(feishu) as client,
        answering_whole(client) as seen,
    ):
        await play(feishu, told, count=40)
        await feishu.wait_until_quiet()
    types = {json.loads(payload)["header"]["event_type"] for payload in seen}
    assert types == {"im.chat.member.bot.added_v1", "im.chat.member.bot.deleted_v1"}
