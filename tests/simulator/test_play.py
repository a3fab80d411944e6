"""Scenarios on a running simulator."""

import asyncio
import json

import pytest
import websockets
from google.protobuf.message import DecodeError
from simulator.rawclient import connect, discover, endpoint, headers_of, linked
from simulator.test_load import answering

from feishu_ws.simulator.happenings import MishapBegan, MishapEnded
from feishu_ws.simulator.play import play
from feishu_ws.simulator.scenario import Mishap, MishapKind, Scenario, SplitPlan, load_scenario
from feishu_ws.simulator.server import Simulator
from feishu_ws.simulator.settings import SimulatorSettings


def scenario(*mishaps: Mishap, **changes) -> Scenario:
    told = {"name": "test", "title": "a test", "mix": {"message.text": 1.0}, "events_per_s": 0.0}
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
    told = scenario(Mishap(kind=MishapKind.TEXT, at_s=0.05, every_s=0.1))
    async with Simulator() as feishu, linked(feishu) as client:
        await play(feishu, told, seconds=0.3, observe=seen.append)
        assert 1 <= len(seen) <= 3
        assert seen[0] == MishapBegan("text")
        assert isinstance(await client.ws.recv(), str)


async def test_links_are_hurt_one_or_all():
    """A reset befalls one link or all of them."""
    async with Simulator() as feishu, linked(feishu), linked(feishu), linked(feishu):
        await play(feishu, scenario(Mishap(kind=MishapKind.RESET)), seconds=0.1)
        assert len(feishu.links) == 2
        all_of_them = Mishap(kind=MishapKind.RESET, links="all")
        await play(feishu, scenario(all_of_them), seconds=0.1)
        assert not feishu.links


async def test_a_close_says_what_it_was_told():
    """Code and reason of a close are the scenario's."""
    told = scenario(Mishap(kind=MishapKind.CLOSE, code=1012, reason="restart"))
    async with Simulator() as feishu, linked(feishu) as client:
        await play(feishu, told, seconds=0.05)
        with pytest.raises(websockets.ConnectionClosed) as caught:
            await client.receive()
        assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (1012, "restart")


async def test_silence_and_muteness_befall_links():
    """A silent link says nothing at all, a mute one leaves pings unanswered."""
    async with Simulator() as feishu, linked(feishu) as client:
        await play(feishu, scenario(Mishap(kind=MishapKind.MUTE)), seconds=0.05)
        await client.ping()
        feishu.push(b"{}")
        assert (await client.receive()).payload == b"{}"
        await play(feishu, scenario(Mishap(kind=MishapKind.SILENT)), seconds=0.05)
        feishu.push(b"{}")
        assert await client.hears_nothing()


async def test_garbage_is_no_frame():
    """Garbage arrives as a binary message that protobuf does not read."""
    async with Simulator() as feishu, linked(feishu) as client:
        await play(feishu, scenario(Mishap(kind=MishapKind.GARBAGE)), seconds=0.05)
        with pytest.raises(DecodeError):
            await client.receive()


async def test_an_outage_ends_by_itself_and_with_the_scenario():
    """Links are reset and nothing listens for a while; afterwards the port is back."""
    seen = []
    told = scenario(Mishap(kind=MishapKind.OUTAGE, for_s=0.2))
    async with Simulator() as feishu, linked(feishu):
        playing = asyncio.create_task(play(feishu, told, seconds=0.6, observe=seen.append))
        await feishu.wait_until(lambda: not feishu.links)
        with pytest.raises(OSError, match=r"[Cc]onnect"):
            await discover(feishu)
        await feishu.wait_until(lambda: len(seen) == 2)
        assert seen[1] == MishapEnded("outage")
        assert (await discover(feishu))[1]["code"] == 0
        await playing
        endless = scenario(Mishap(kind=MishapKind.OUTAGE))
        await play(feishu, endless, seconds=0.1)
        assert (await discover(feishu))[1]["code"] == 0


@pytest.mark.parametrize(
    ("mishap", "status", "code"),
    [
        (Mishap(kind=MishapKind.REFUSE_DISCOVERY, code=1000040351, for_s=0.2), 200, 1000040351),
        (Mishap(kind=MishapKind.REFUSE_DISCOVERY, status=429, for_s=0.2), 429, None),
        (Mishap(kind=MishapKind.GARBLE_DISCOVERY, for_s=0.2), 200, None),
    ],
)
async def test_discovery_is_refused_for_a_while(mishap, status, code):
    """Discovery answers as scripted, then as usual."""
    async with Simulator() as feishu:
        playing = asyncio.create_task(play(feishu, scenario(mishap), seconds=0.4))
        await asyncio.sleep(0.05)
        seen, body, _ = await discover(feishu)
        assert (seen, body.get("code")) == (status, code)
        await playing
        assert (await discover(feishu))[1]["code"] == 0


async def test_discovery_hangs_for_a_while():
    """Discovery takes its time while the mishap lasts."""
    mishap = Mishap(kind=MishapKind.HANG_DISCOVERY, delay_s=30, for_s=0.2)
    async with Simulator() as feishu:
        playing = asyncio.create_task(play(feishu, scenario(mishap), seconds=0.3))
        await asyncio.sleep(0.05)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(discover(feishu), 0.1)
        await playing
        assert (await discover(feishu))[1]["code"] == 0


async def test_handshakes_are_refused_for_a_while():
    """Handshakes get the scripted headers, then pass."""
    mishap = Mishap(kind=MishapKind.REFUSE_HANDSHAKE, code=1000040350, reason="full", for_s=0.2)
    async with Simulator() as feishu:
        playing = asyncio.create_task(play(feishu, scenario(mishap), seconds=0.3))
        await asyncio.sleep(0.05)
        with pytest.raises(websockets.InvalidStatus) as caught:
            async with connect(await endpoint(feishu)):
                pass
        headers = caught.value.response.headers
        assert headers["Handshake-Autherrcode"] == "1000040350"
        assert headers["Handshake-Msg"] == "full"
        await playing
        async with linked(feishu):
            pass


async def test_what_has_no_end_ends_with_the_scenario():
    """A mishap without a duration lasts as long as the scenario, and no longer."""
    seen = []
    mishap = Mishap(kind=MishapKind.REFUSE_DISCOVERY, code=1)
    async with Simulator() as feishu:
        playing = asyncio.create_task(
            play(feishu, scenario(mishap), seconds=0.2, observe=seen.append)
        )
        await asyncio.sleep(0.05)
        assert (await discover(feishu))[1]["code"] == 1
        await playing
        assert (await discover(feishu))[1]["code"] == 0
    assert seen == [MishapBegan("refuse_discovery"), MishapEnded("refuse_discovery")]


async def test_pongs_change_for_a_while():
    """Pongs carry the scripted config, then the former one."""
    mishap = Mishap(kind=MishapKind.PONG, config={"PingInterval": 0}, for_s=0.1)
    async with Simulator() as feishu, linked(feishu) as client:
        playing = asyncio.create_task(play(feishu, scenario(mishap), seconds=0.2))
        await asyncio.sleep(0.05)
        await client.ping()
        assert (await client.receive()).payload == b'{"PingInterval":0}'
        await playing
        await client.ping()
        assert b"ReconnectNonce" in (await client.receive()).payload
