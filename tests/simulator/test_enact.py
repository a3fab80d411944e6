"""Each kind of mishap on a running simulator, as a client sees it."""

import asyncio
import json
import time
from email.utils import parsedate_to_datetime

import aiohttp
import pytest
import websockets
from simulator.rawclient import connect, discover, endpoint, headers_of, linked

from feishu_ws.simulator import mishaps
from feishu_ws.simulator.corpus import text_message
from feishu_ws.simulator.enact import begin, handshake_headers
from feishu_ws.simulator.octets import VIOLATIONS
from feishu_ws.simulator.server import Simulator
from feishu_ws.simulator.settings import CLIENT_CONFIG, SimulatorSettings
from feishu_ws.wire.pbbp2_pb2 import Frame

QUICK = SimulatorSettings(ack_deadline_s=0.2, redelivery_s=(0.1,) * 20, seed=3)


@pytest.fixture
async def feishu():
    async with Simulator(QUICK) as running:
        yield running


async def over(end):
    """End a mishap that lasts."""
    ended = end()
    if ended is not None:
        await ended


async def closing(client) -> websockets.ConnectionClosed:
    """How the client's link ends."""
    try:
        async with asyncio.timeout(5):
            while True:
                await client.ws.recv()
    except websockets.ConnectionClosed as end:
        return end


@pytest.mark.parametrize(
    ("mishap", "told"),
    [
        (mishaps.Reset(at_s=3, every_s=4), ""),
        (mishaps.Reset(links="all"), 'links="all"'),
        (mishaps.Limit(connections=0), "connections=0"),
        (mishaps.Pong(unasked=True), "unasked=true"),
        (mishaps.Pong(config={}), "config={}"),
        (mishaps.Silent(), ""),
        (mishaps.Silent(notices_close=False), "notices_close=false"),
        (mishaps.Hostile(families=("text",)), 'frames=10 families=["text"]'),
        (mishaps.RefuseDiscovery(status=503), "code=0 status=503"),
    ],
)
def test_what_a_mishap_does_is_told_in_a_line(mishap, told):
    """Keys that go without saying, and those that say when, are left out."""
    assert mishap.detail == told


# -- links end ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [mishaps.Reset, mishaps.HangUp, mishaps.Close])
async def test_one_link_ends_or_all(feishu, kind):
    """One at random ends, or all of them do."""
    async with linked(feishu), linked(feishu), linked(feishu):
        assert await begin(kind(), feishu) is None
        await feishu.wait_until(lambda: len(feishu.links) == 2)
        await begin(kind(links="all"), feishu)
        await feishu.wait_until(lambda: not feishu.links)
        await begin(kind(), feishu)  # nobody is left to be hurt


async def test_a_hang_up_is_an_end_without_a_close_frame(feishu):
    """The client sees the end of the stream, after what was sent before it."""
    async with linked(feishu) as client:
        feishu.push(b"last words")
        await begin(mishaps.HangUp(), feishu)
        assert (await client.receive()).payload == b"last words"
        end = await closing(client)
        assert (end.rcvd, end.__cause__) == (None, None)
    await feishu.wait_until(lambda: feishu.stats.links_closed == 1)
    assert feishu.stats.resets == 0


@pytest.mark.parametrize(
    ("code", "reason"), [(1000, "bye"), (1001, "x" * 30), (1012, ""), (4003, "你")]
)
async def test_a_close_says_what_it_was_told(feishu, code, reason):
    """Code and reason of a close are the scenario's."""
    async with linked(feishu) as client:
        await begin(mishaps.Close(code=code, reason=reason), feishu)
        end = await closing(client)
        assert (end.rcvd.code, end.rcvd.reason) == (code, reason)


async def test_a_close_may_have_a_code_that_none_has(feishu):
    """1006 goes onto the wire although it must not; the client breaks off."""
    async with linked(feishu) as client:
        await begin(mishaps.Close(code=1006), feishu)
        end = await closing(client)
        assert end.sent.code == 1002


async def test_a_silent_link_says_nothing_and_may_be_left(feishu):
    """A black hole answers nothing; once the client leaves, it is gone or half-open."""
    async with linked(feishu) as client:
        await begin(mishaps.Silent(), feishu)
        await client.ping()
        assert await client.hears_nothing()
    await feishu.wait_until(lambda: not feishu.links)
    async with linked(feishu):
        await begin(mishaps.Silent(notices_close=False), feishu)
    with pytest.raises(TimeoutError):
        await feishu.wait_until(lambda: not feishu.links, 0.3)


@pytest.mark.parametrize("octets", VIOLATIONS)
async def test_octets_that_break_the_protocol_end_the_link(feishu, octets):
    """A client ends a link that breaks the WebSocket protocol, and says so where it can."""
    async with linked(feishu) as client:
        await begin(mishaps.Violate(octets=octets), feishu)
        if octets == "endless":
            await begin(mishaps.Reset(), feishu)  # this client has no bound and would wait
        end = await closing(client)
        expected = {"bad_utf8": 1007, "endless": None}.get(octets, 1002)
        assert (end.sent.code if end.sent else None) == expected


# -- links say odd things -------------------------------------------------------------------


@pytest.mark.parametrize("pings", ["feishu", "websocket", "both"])
async def test_a_mute_link_answers_no_pings_for_a_while(feishu, pings):
    """Whose pings stay unanswered is told; events come all the while."""
    async with linked(feishu) as client:
        end = await begin(mishaps.Mute(pings=pings), feishu)
        feishu.push(b"{}")
        assert (await client.receive()).payload == b"{}"
        pong = await client.ws.ping()
        await client.ping()
        assert await client.hears_nothing() is (pings != "websocket")
        assert pong.done() is (pings == "feishu")
        await over(end)
        await client.ping()
        await client.receive()
        await asyncio.wait_for(await client.ws.ping(), 5)


@pytest.mark.parametrize(
    ("mishap", "payload"),
    [
        (mishaps.Pong(), b""),
        (mishaps.Pong(config={}), b"{}"),
        (mishaps.Pong(config={"PingInterval": 0}), b'{"PingInterval":0}'),
        (mishaps.Pong(payload="pong"), b"pong"),
    ],
)
async def test_pongs_change_in_mid_life(feishu, mishap, payload):
    """Pongs carry a table, a text or nothing, then what they did before."""
    async with linked(feishu) as client:
        end = await begin(mishap, feishu)
        await client.ping()
        assert (await client.receive()).payload == payload
        await over(end)
        await client.ping()
        assert json.loads((await client.receive()).payload) == CLIENT_CONFIG


async def test_a_pong_may_come_unasked(feishu):
    """Every link gets one at once."""
    async with linked(feishu) as one, linked(feishu) as two:
        await begin(mishaps.Pong(config={"PingInterval": 7}, unasked=True), feishu)
        for client in (one, two):
            frame = await client.receive()
            assert (headers_of(frame), frame.payload) == ({"type": "pong"}, b'{"PingInterval":7}')


async def test_pongs_may_be_left_out_altogether(feishu):
    """Not even the first ping of a new link is answered."""
    end = await begin(mishaps.Pong(left_out=True, unasked=True), feishu)
    async with connect(await endpoint(feishu)) as client:
        await client.ping()
        assert await client.hears_nothing()
        await over(end)
        await client.ping()
        await client.receive()


async def test_hostile_frames_come_on_every_link(feishu):
    """So many frames of the families named, and the honest traffic goes on."""
    async with linked(feishu) as one, linked(feishu) as two:
        await begin(mishaps.Hostile(links="all", frames=3, families=("text",)), feishu)
        for client in (one, two):
            assert all([isinstance(await client.ws.recv(), str) for _ in range(3)])
        await begin(mishaps.Hostile(frames=1, families=("unknown_method",)), feishu)
        frames = [f for f in (await silence_or(one), await silence_or(two)) if f]
        assert [frame.method not in {0, 1} for frame in frames] == [True]


async def silence_or(client) -> Frame | None:
    try:
        return await client.receive(0.2)
    except TimeoutError:
        return None


async def test_a_large_event_has_its_size(feishu):
    """One text message of exactly that size comes, whole or in parts."""
    async with linked(feishu) as client:
        await begin(mishaps.LargeEvent(size_bytes=1_500_000), feishu)
        whole = await client.receive()
        assert len(whole.payload) == 1_500_000
        await client.answer(whole)
        await begin(mishaps.LargeEvent(size_bytes=3_000, parts=3), feishu)
        parts = [await client.receive() for _ in range(3)]
        assert sum(len(part.payload) for part in parts) == 3_000
        await client.answer(parts[-1])
        await feishu.wait_until_quiet()


async def test_lost_confirmations_bring_events_again(feishu):
    """Feishu sees nothing of them and sends the event again, until they are seen."""
    async with linked(feishu) as client:
        end = await begin(mishaps.LoseAcks(), feishu)
        delivery = feishu.push(text_message(1))
        await client.answer(await client.receive())
        again = await client.receive()
        assert (feishu.stats.acks_lost, delivery.code) == (1, 0)
        await over(end)
        await client.answer(again)
        assert await delivery.confirmed() == (200, None)


# -- discovery ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mishap", "status", "body"),
    [
        (mishaps.RefuseDiscovery(code=1000040351), 200, {"code": 1000040351, "msg": "system busy"}),
        (mishaps.RefuseDiscovery(code=7, message="no"), 200, {"code": 7, "msg": "no"}),
        (mishaps.RefuseDiscovery(status=503), 503, {"text": ""}),
        (mishaps.RefuseDiscovery(status=400, code=99991400), 400, {"code": 99991400}),
        (mishaps.GarbleDiscovery(), 200, {"text": "<html><body>Please log in to the guest network.</body></html>"}),
        (mishaps.GarbleDiscovery(shape="no_data"), 200, {"code": 0, "msg": "ok"}),
        (mishaps.GarbleDiscovery(body='{"code": 0}'), 200, {"code": 0}),
    ],
)  # fmt: skip
async def test_discovery_is_refused_or_garbled(feishu, mishap, status, body):
    """Discovery answers as scripted, then as usual."""
    end = await begin(mishap, feishu)
    seen, answer, _ = await discover(feishu)
    assert seen == status
    assert answer | body == answer
    await over(end)
    assert (await discover(feishu))[1]["code"] == 0


async def test_a_refusal_has_the_headers_it_was_told(feishu):
    """Such as how long to wait."""
    await begin(mishaps.RefuseDiscovery(status=429, headers={"x-ogw-ratelimit-reset": "7"}), feishu)
    assert (await discover(feishu))[2]["x-ogw-ratelimit-reset"] == "7"


@pytest.mark.parametrize("drip", [False, True])
async def test_discovery_takes_its_time(feishu, drip):
    """The answer comes at the end, or byte by byte; it is a good one."""
    end = await begin(mishaps.HangDiscovery(delay_s=0.3, drip=drip), feishu)
    began = time.monotonic()
    assert (await discover(feishu))[1]["code"] == 0
    assert time.monotonic() - began >= 0.29
    await over(end)
    end = await begin(mishaps.HangDiscovery(delay_s=60, drip=drip), feishu)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(discover(feishu), 0.1)
    await over(end)
    assert (await discover(feishu))[1]["code"] == 0


async def test_discovery_is_cut(feishu):
    """In place of an answer comes a TCP RST."""
    end = await begin(mishaps.DropDiscovery(), feishu)
    with pytest.raises(aiohttp.ClientError):
        await discover(feishu)
    await over(end)
    assert (await discover(feishu))[1]["code"] == 0


# -- the handshake --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mishap", "headers"),
    [
        (mishaps.RefuseHandshake(), {"Handshake-Status": "514", "Handshake-Msg": "refused"}),
        (
            mishaps.RefuseHandshake(code=1000040350, reason="full"),
            {
                "Handshake-Status": "514",
                "Handshake-Msg": "full",
                "Handshake-Autherrcode": "1000040350",
            },
        ),
        (
            mishaps.RefuseHandshake(handshake_status=403),
            {"Handshake-Status": "403", "Handshake-Msg": "refused"},
        ),
        (mishaps.RefuseHandshake(handshake_status=0, code=5), {}),
        (
            mishaps.RefuseHandshake(headers={"Handshake-Status": "soon", "Retry-After": "3"}),
            {"Handshake-Status": "soon", "Handshake-Msg": "refused", "Retry-After": "3"},
        ),
    ],
)
async def test_handshakes_are_refused_with_any_headers(feishu, mishap, headers):
    """The client gets exactly those headers and that status; then it is let in."""
    assert handshake_headers(mishap) == headers
    end = await begin(mishap, feishu)
    with pytest.raises(websockets.InvalidStatus) as caught:
        async with connect(await endpoint(feishu)):
            pass
    response = caught.value.response
    assert response.status_code == 403
    assert headers.items() <= dict(response.headers.raw_items()).items()
    await over(end)
    async with linked(feishu):
        assert feishu.stats.links_refused == 1


async def test_the_handshake_takes_its_time(feishu):
    """The upgrade is answered late, then at once."""
    end = await begin(mishaps.HangHandshake(delay_s=0.3), feishu)
    began = time.monotonic()
    async with linked(feishu):
        assert time.monotonic() - began >= 0.29
    await over(end)
    began = time.monotonic()
    async with linked(feishu):
        assert time.monotonic() - began < 0.25


async def test_the_limit_changes_for_a_while(feishu):
    """Live links stay, another one is refused as over the limit, until there is room again."""
    async with linked(feishu), linked(feishu):
        end = await begin(mishaps.Limit(connections=1), feishu)
        with pytest.raises(websockets.InvalidStatus) as caught:
            async with connect(await endpoint(feishu)):
                pass
        assert caught.value.response.headers["Handshake-Autherrcode"] == "1000040350"
        assert len(feishu.links) == 2
        await over(end)
        async with linked(feishu):
            assert len(feishu.links) == 3


# -- Feishu as a whole ----------------------------------------------------------------------


async def test_an_outage_takes_links_and_port(feishu):
    """Every link is reset and connections are refused until it is over."""
    async with linked(feishu), linked(feishu):
        end = await begin(mishaps.Outage(), feishu)
        await feishu.wait_until(lambda: not feishu.links)
        with pytest.raises(aiohttp.ClientConnectorError):
            await discover(feishu)
        await over(end)
        assert (await discover(feishu))[1]["code"] == 0
    assert feishu.stats.resets == 2


async def test_the_date_is_wrong_for_a_while(feishu):
    """The Date header is off by so much, then right."""
    end = await begin(mishaps.SkewDate(offset_s=-7200), feishu)
    assert -7210 < await date_offset(feishu) < -7190
    await over(end)
    assert -10 < await date_offset(feishu) < 10


async def date_offset(feishu) -> float:
    _, _, headers = await discover(feishu)
    return parsedate_to_datetime(headers["Date"]).timestamp() - time.time()


async def test_what_is_no_kind_is_an_error(feishu):
    """A mishap that nobody knows how to do is a defect, and says so."""
    with pytest.raises(TypeError, match="Mishap"):
        await begin(mishaps.Mishap(), feishu)
