"""What clients send: pings and confirmations, over real sockets."""

import json

import pytest
from simulator.rawclient import headers_of, linked

from feishu_ws.simulator.server import Simulator
from feishu_ws.simulator.settings import CLIENT_CONFIG, SimulatorSettings
from feishu_ws.simulator.stats import Flaw
from feishu_ws.wire.pbbp2_pb2 import Frame


@pytest.fixture
async def feishu():
    async with Simulator(SimulatorSettings(redelivery_s=(1000,))) as simulator:
        yield simulator


async def test_pings_get_pongs_with_the_config(feishu):
    """A pong carries all four keys, by default."""
    async with linked(feishu) as client:
        await client.ping()
        pong = await client.receive()
        assert (pong.method, pong.SeqID, pong.LogID, pong.service) == (0, 0, 0, 33554678)
        assert headers_of(pong) == {"type": "pong"}
        assert json.loads(pong.payload) == CLIENT_CONFIG
        assert feishu.stats.pings == 2
        assert not feishu.stats.bad_frames


@pytest.mark.parametrize(
    ("config", "payload"), [({}, b"{}"), ({"PingInterval": 1}, b'{"PingInterval":1}'), (b"x", b"x")]
)
async def test_pong_configs_are_sent_as_they_are(feishu, config, payload):
    """Partial, empty and absurd configs go out, also in mid-life."""
    async with linked(feishu) as client:
        feishu.pong_config = config
        await client.ping()
        assert (await client.receive()).payload == payload


async def test_pongs_may_have_no_payload_or_not_come(feishu):
    """No bytes means no payload field, None means no pong at all."""
    async with linked(feishu) as client:
        feishu.pong_config = b""
        await client.ping()
        assert not (await client.receive()).HasField("payload")
        feishu.pong_config = None
        await client.ping()
        assert await client.hears_nothing()


async def test_other_frames_are_counted_by_reason(feishu):
    """Text, garbage, unknown frames and foreign pings are counted and the link lives on."""
    async with linked(feishu) as client:
        await client.ws.send("text")
        await client.ws.send(b"\xff")
        await client.ws.send(Frame(SeqID=0, LogID=0, service=0, method=7).SerializeToString())
        await client.ping(service=5)
        await client.receive()
        assert feishu.stats.bad_frames == {
            "text": 1, "protobuf": 1, "unknown": 1, "ping_service": 1,
        }  # fmt: skip


async def test_a_faithful_confirmation_is_accepted(feishu):
    """Code and decoded data reach whoever pushed; nothing is found wrong."""
    async with linked(feishu) as client:
        delivery = feishu.push({"a": 1}, kind="card")
        frame = await client.receive()
        assert (headers_of(frame)["type"], frame.payload) == ("card", b'{"a":1}')
        await client.answer(frame, b'{"code":200,"headers":null,"data":"eyJ0b2FzdCI6e319"}')
        assert await delivery.confirmed(5) == (200, b'{"toast":{}}')
        assert not feishu.stats.bad_acks
        assert feishu.stats.confirmed == 1
        assert 0 <= delivery.ack_latency_s < 5


@pytest.mark.parametrize(
    ("flaw", "spoil"),
    [
        (Flaw.SEQ_ID, lambda f: setattr(f, "SeqID", 9)),
        (Flaw.SERVICE, lambda f: setattr(f, "service", 0)),
        (Flaw.METHOD, lambda f: setattr(f, "method", 0)),
        (Flaw.LOG_ID_NEW, lambda f: f.ClearField("LogIDNew")),
        (Flaw.HEADERS, lambda f: f.headers.pop(-1)),
        (Flaw.UNKNOWN_MESSAGE, lambda f: setattr(f.headers[1], "value", "m" * 500)),
    ],
)
async def test_an_unfaithful_confirmation_is_no_answer(feishu, flaw, spoil):
    """A confirmation that is not an echo is recorded, and the event stays unconfirmed."""
    async with linked(feishu) as client:
        feishu.push(b"{}")
        frame = await client.receive()
        spoil(frame)
        await client.answer(frame)
        await feishu.wait_until(lambda: len(feishu.stats.bad_acks) == 1)
        (bad,) = feishu.stats.bad_acks
        assert bad.flaws == (flaw,)
        assert bad.detail.startswith(flaw)
        assert len(bad.message_id) <= 120
        assert (feishu.stats.confirmed, feishu.stats.unconfirmed) == (0, 1)


@pytest.mark.parametrize("payload", [b"", b"{}", b'{"code":201}', b'{"code":200,"data":"!"}'])
async def test_an_unreadable_answer_is_no_answer(feishu, payload):
    """A payload without a usable code or data is recorded and confirms nothing."""
    async with linked(feishu) as client:
        feishu.push(b"{}")
        await client.answer(await client.receive(), payload)
        await feishu.wait_until(lambda: feishu.stats.bad_ack_flaws[Flaw.PAYLOAD] == 1)
        assert feishu.stats.unconfirmed == 1


async def test_a_negative_biz_rt_is_recorded_and_tolerated(feishu):
    """The Node SDK sends negative durations and Feishu takes them."""
    async with linked(feishu) as client:
        delivery = feishu.push(b"{}")
        await client.answer(await client.receive(), biz_rt="-1")
        assert await delivery.confirmed(5) == (200, None)
        assert [bad.flaws for bad in feishu.stats.bad_acks] == [(Flaw.BIZ_RT,)]


async def test_a_second_confirmation_is_recorded(feishu):
    """Confirming twice changes nothing and is a flaw."""
    async with linked(feishu) as client:
        feishu.push(b"{}")
        frame = await client.receive()
        await client.answer(frame)
        await client.answer(frame)
        await feishu.wait_until(lambda: len(feishu.stats.bad_acks) == 1)
        assert feishu.stats.bad_acks[0].flaws == (Flaw.REPEATED,)
        assert feishu.stats.confirmed == 1


async def test_a_confirmation_on_another_link_is_recorded(feishu):
    """Answers belong on the link the event came on."""
    async with linked(feishu) as first, linked(feishu) as second:
        feishu.push(b"{}", link=feishu.links[0])
        await second.answer(await first.receive())
        await feishu.wait_until(lambda: len(feishu.stats.bad_acks) == 1)
        assert feishu.stats.bad_acks[0].flaws == (Flaw.OTHER_LINK,)
        assert feishu.stats.unconfirmed == 1


async def test_an_unchecked_confirmation_still_needs_its_ids():
    """With nothing compared in full, SeqID and code still count and the rest does not."""
    settings = SimulatorSettings(checked_share=0.0, redelivery_s=())
    async with Simulator(settings) as feishu, linked(feishu) as client:
        feishu.push(b"{}")
        frame = await client.receive()
        frame.service = 1
        await client.answer(frame)
        await feishu.wait_until_quiet()
        assert not feishu.stats.bad_acks
        feishu.push(b"{}")
        frame = await client.receive()
        frame.SeqID += 1
        await client.answer(frame)
        await feishu.wait_until(lambda: len(feishu.stats.bad_acks) == 1)
        assert feishu.stats.bad_acks[0].flaws == (Flaw.SEQ_ID,)


async def test_the_completing_part_is_the_one_to_confirm(feishu):
    """Of a split event, only the part that completed it may be echoed."""
    async with linked(feishu) as client:
        wrong = feishu.push(b"abcdef", parts=3)
        frames = [await client.receive() for _ in range(3)]
        assert b"".join(frame.payload for frame in frames) == b"abcdef"
        await client.answer(frames[1])
        await feishu.wait_until(lambda: len(feishu.stats.bad_acks) == 1)
        assert Flaw.SEQ_ID in feishu.stats.bad_acks[0].flaws
        await client.answer(frames[2])
        assert await wrong.confirmed(5) == (200, None)
