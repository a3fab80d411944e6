"""The simulator as a whole, over real sockets."""

import asyncio
import socket
import time

import aiohttp
import pytest
import websockets
from simulator.rawclient import connect, discover, endpoint, headers_of, linked

from feishu_ws.clock import ManualClock
from feishu_ws.faults import Fault, FeishuWsError
from feishu_ws.simulator.happenings import SimulatedLinkClosed, SimulatedLinkOpened
from feishu_ws.simulator.hostile import hostile_frames
from feishu_ws.simulator.server import TICK_S, Simulator
from feishu_ws.simulator.settings import SimulatorSettings
from feishu_ws.simulator.stats import Flaw
from feishu_ws.simulator.transmission import Split

QUICK = {"ack_deadline_s": 0.1, "time_scale": 150.0}  # repeats 0.1 s after a 0.1 s deadline


async def test_an_event_goes_to_one_random_link():
    """Two links share what is pushed; nothing comes twice."""
    async with (
        Simulator(SimulatorSettings(seed=5)) as feishu,
        linked(feishu) as first,
        linked(feishu) as second,
    ):
        for n in range(40):
            feishu.push({"n": n})
        seen = []
        for client in (first, second):
            frames = [await client.receive()]
            while not await client.hears_nothing(0.05):
                frames.append(None)
            seen.append(len(frames))
        assert sum(seen) == 40
        assert min(seen) >= 8  # 1 in 10,000 for a fair coin; the seed makes it certain


async def test_silence_brings_the_event_again_with_new_ids():
    """The repeat has the same body, a new message_id and trace_id, and a chance of its own."""
    async with Simulator(SimulatorSettings(**QUICK)) as feishu, linked(feishu) as client:
        delivery = feishu.push(b'{"header":{"event_id":"e"}}')
        first, second = await client.receive(), await client.receive()
        assert first.payload == second.payload
        for key in ("message_id", "trace_id"):
            assert headers_of(first)[key] != headers_of(second)[key]
        await client.answer(second)
        assert await delivery.confirmed(5) == (200, None)
        assert delivery.attempts == 2
        assert (feishu.stats.unanswered, feishu.stats.sent) == (1, 2)


async def test_a_500_brings_the_event_again():
    """The first answer is what `confirmed` tells; the delivery goes on until its 200."""
    async with Simulator(SimulatorSettings(**QUICK)) as feishu, linked(feishu) as client:
        delivery = feishu.push(b"{}")
        await client.answer(await client.receive(), b'{"code":500}')
        assert await delivery.confirmed(5) == (500, None)
        assert not delivery.is_finished
        await client.answer(await client.receive())
        await feishu.wait_until_quiet()
        assert delivery.is_confirmed
        assert (feishu.stats.refused, feishu.stats.confirmed) == (1, 1)


async def test_a_dead_link_sends_its_events_elsewhere():
    """What was unanswered when the link died comes on another one."""
    async with Simulator(SimulatorSettings(time_scale=1000)) as feishu, linked(feishu) as survivor:
        async with linked(feishu) as dying:
            delivery = feishu.push(b"{}", link=feishu.links[1])
            await dying.receive()
            feishu.links[1].reset()
            await survivor.answer(await survivor.receive())
            assert await delivery.confirmed(5) == (200, None)
        assert feishu.stats.orphaned == 1


async def test_without_a_link_events_wait_for_one():
    """What is pushed while the app is not online comes with the next attempt."""
    async with Simulator(SimulatorSettings(time_scale=60)) as feishu:
        delivery = feishu.push(b"{}")
        assert (feishu.stats.offline, feishu.stats.sent, delivery.attempts) == (1, 0, 1)
        async with linked(feishu) as client:
            await client.answer(await client.receive())
            assert await delivery.confirmed(5) == (200, None)
            assert delivery.attempts == 2


async def test_the_whole_schedule_on_a_manual_clock():
    """Unanswered, an event comes five times within 7.1 h, then it is given up."""
    clock = ManualClock()
    async with (
        Simulator(SimulatorSettings(idle_s=1e9), clock=clock) as feishu,
        linked(feishu) as client,
    ):
        delivery = feishu.push(b"{}")
        for wait_s in (15, 300, 3600, 21600):
            await client.receive()
            await advance(clock, 3.1)
            await advance(clock, wait_s - 0.2)
            assert await client.hears_nothing(0.05)
            await advance(clock, 0.3)
        await client.receive()
        assert not delivery.given_up
        await advance(clock, 3.1)
        assert delivery.given_up
        with pytest.raises(TimeoutError, match="given up"):
            await delivery.confirmed(0)


async def advance(clock: ManualClock, seconds: float) -> None:
    """Move the clock and let the simulator look at it."""
    clock.advance(seconds)
    for _ in range(3):
        await asyncio.sleep(0)
    clock.advance(TICK_S)
    for _ in range(3):
        await asyncio.sleep(0)


async def test_a_late_confirmation_counts_and_spares_the_repeat():
    """A 200 after the deadline confirms; the client is not asked again."""
    settings = SimulatorSettings(ack_deadline_s=0.05, redelivery_s=(0.4,))
    async with Simulator(settings) as feishu, linked(feishu) as client:
        delivery = feishu.push(b"{}")
        frame = await client.receive()
        await feishu.wait_until(lambda: feishu.stats.unanswered == 1)
        await client.answer(frame)
        assert await delivery.confirmed(5) == (200, None)
        assert feishu.stats.late == 1
        assert await client.hears_nothing(0.6)
        assert feishu.stats.sent == 1


async def test_cards_are_not_repeated():
    """A callback is sent once, whatever becomes of it, unless told otherwise."""
    async with Simulator(SimulatorSettings(**QUICK)) as feishu, linked(feishu) as client:
        delivery = feishu.push(b"{}", kind="card")
        await client.receive()
        await feishu.wait_until(lambda: delivery.given_up)
        feishu.push(b"{}", kind="card", redeliver=True)
        await client.receive()
        await client.answer(await client.receive())
        await feishu.wait_until_quiet()


async def test_disturbed_parts_can_be_put_together():
    """Shuffled and doubled parts hold the payload; the completing one is confirmed."""
    split = Split(5, shuffle=True, duplicates=2)
    async with Simulator(SimulatorSettings(seed=9)) as feishu, linked(feishu) as client:
        delivery = feishu.push(bytes(range(100)), split=split)
        parts, completing = {}, None
        for _ in range(7):
            frame = await client.receive()
            headers = headers_of(frame)
            assert headers["sum"] == "5"
            if headers["seq"] not in parts:
                completing = frame
            parts[headers["seq"]] = frame.payload
        assert b"".join(parts[str(seq)] for seq in range(5)) == bytes(range(100))
        await client.answer(completing)
        assert await delivery.confirmed(5) == (200, None)
        assert not feishu.stats.bad_acks


async def test_missing_parts_come_with_the_repeat():
    """A part is dropped once; confirming the rest is a flaw, the repeat is whole."""
    async with Simulator(SimulatorSettings(**QUICK)) as feishu, linked(feishu) as client:
        delivery = feishu.push(b"abcdef", split=Split(3, drop=1))
        partial = [await client.receive() for _ in range(2)]
        await client.answer(partial[-1])
        whole = [await client.receive() for _ in range(3)]
        assert [bad.flaws for bad in feishu.stats.bad_acks] == [(Flaw.INCOMPLETE,)]
        assert b"".join(frame.payload for frame in whole) == b"abcdef"
        await client.answer(whole[-1])
        assert await delivery.confirmed(5) == (200, None)


async def test_an_outage_refuses_connections_on_the_same_port():
    """While nothing listens connections are refused, links live on, and the port stays."""
    async with Simulator() as feishu, linked(feishu) as client:
        domain = feishu.domain
        await feishu.stop_listening()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", feishu.port)
        await client.ping()
        await client.receive()
        await feishu.start_listening()
        await feishu.start_listening()  # it does already
        assert feishu.domain == domain
        assert (await discover(feishu))[1]["code"] == 0
        await feishu.stop_listening()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", feishu.port)


async def test_an_outage_is_one_for_pooled_connections_too():
    """A client that keeps its HTTP connection alive is not answered during an outage."""
    async with Simulator() as feishu, aiohttp.ClientSession() as session:
        url = feishu.domain + "/callback/ws/endpoint"
        async with session.post(url, json={}) as answer:
            assert answer.status == 200
        await feishu.stop_listening()
        with pytest.raises(aiohttp.ClientConnectorError):
            await session.post(url, json={})


async def test_a_taken_port_is_a_fault():
    """A port that cannot be bound is named, and leaves nothing behind."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(FeishuWsError, match=str(port)) as caught:
            await Simulator(SimulatorSettings(port=port)).start()
    assert caught.value.fault is Fault.PORT_IN_USE


async def test_links_are_announced():
    """Opening and closing links is told to the observer, with how many are left."""
    seen = []
    async with Simulator(observe=seen.append) as feishu:
        async with linked(feishu):
            pass
        await feishu.wait_until(lambda: len(seen) == 2)
    assert seen[0] == SimulatedLinkOpened(1, 1)
    assert isinstance(seen[1], SimulatedLinkClosed)
    assert (seen[1].link, seen[1].links) == (1, 0)


async def test_waiting_for_links_means_links_that_pinged():
    """A link counts once its client said something; the wait has an end."""
    async with Simulator() as feishu, connect(await endpoint(feishu)) as client:
        with pytest.raises(TimeoutError):
            await feishu.wait_for_links(1, 0.1)
        await client.ping()
        (link,) = await feishu.wait_for_links(1)
        assert link.pings == 1


async def test_a_link_that_never_pings_is_cut():
    """A client that says nothing after its handshake is reset and counted; pings spare it."""
    async with (
        Simulator(SimulatorSettings(first_ping_s=0.2)) as feishu,
        linked(feishu),
        connect(await endpoint(feishu)) as quiet,
    ):
        with pytest.raises(websockets.ConnectionClosedError):
            await quiet.receive()
        assert (feishu.stats.links_mute, len(feishu.links)) == (1, 1)


async def test_raw_messages_reach_every_link_or_one():
    """Bytes and text go out as they are, and it is told on how many links."""
    async with Simulator() as feishu, linked(feishu) as one, linked(feishu) as two:
        assert feishu.send_raw(b"\x00") == 2
        assert feishu.send_raw("text", feishu.links[0]) == 1
        assert [await one.ws.recv(), await one.ws.recv(), await two.ws.recv()] == [
            b"\x00", "text", b"\x00",
        ]  # fmt: skip
        assert await two.hears_nothing(0.05)


async def test_refused_strays_are_no_answer():
    """A 500 for a part out of range is counted apart; the event waits for its own answer."""
    async with Simulator(SimulatorSettings(seed=2)) as feishu, linked(feishu) as client:
        delivery = feishu.push(b"abcdef", split=Split(2, out_of_range=3))
        frames = [await client.receive() for _ in range(5)]
        parts = [frame for frame in frames if headers_of(frame)["seq"] in {"0", "1"}]
        strays = [frame for frame in frames if frame not in parts]
        for frame in strays[1:]:
            await client.answer(frame, b'{"code":500}')
        await feishu.wait_until(lambda: feishu.stats.strays_refused == 2)
        assert not feishu.stats.bad_acks
        await client.answer(strays[0])  # a 200 for what is no part
        await feishu.wait_until(lambda: Flaw.SEQ_ID in feishu.stats.bad_ack_flaws)
        assert delivery.code == 0
        await client.answer(parts[-1])
        assert await delivery.confirmed(5) == (200, None)


async def test_answers_to_hostile_frames_are_counted_apart():
    """By code, whatever header is left to tell them by; they are no bad confirmations."""
    async with Simulator(SimulatorSettings(seed=2)) as feishu, linked(feishu) as client:
        frames = hostile_frames(feishu.rng, ["orphan_part", "missing_header"])
        for _ in range(50):
            feishu.send_raw(next(frames))
        for number in range(50):
            code = b'{"code":500}' if number % 5 else b'{"code":200}'
            await client.answer(await client.receive(), code)
        await feishu.wait_until(lambda: sum(feishu.stats.hostile_answers.values()) == 50)
        assert feishu.stats.hostile_answers == {500: 40, 200: 10}
        assert not feishu.stats.bad_acks
        assert not feishu.stats.bad_frames
        assert feishu.stats.as_dict()["hostile_answers"] == {"500": 40, "200": 10}


async def test_stopping_is_quick_and_cuts_every_link():
    """With live and silent links the simulator stops at once."""
    feishu = Simulator()
    await feishu.start()
    async with linked(feishu) as live, linked(feishu), linked(feishu) as stubborn:
        feishu.links[1].go_silent()
        stubborn.ws.transport.pause_reading()  # never answers the close
        feishu.links[2].close()
        await asyncio.sleep(0.05)
        began = time.monotonic()
        await feishu.stop()
        assert time.monotonic() - began < 2
        with pytest.raises(websockets.ConnectionClosedError):
            await live.receive()
    assert not feishu.links


async def test_the_log_is_kept_on_request():
    """`keep_log` remembers every event id and whether it was confirmed."""
    settings = SimulatorSettings(keep_log=True, redelivery_s=())
    async with Simulator(settings) as feishu, linked(feishu) as client:
        feishu.push(b'{"header":{"event_id":"kept"}}')
        await client.answer(await client.receive())
        feishu.push(b'{"uuid":"refused"}')
        await client.answer(await client.receive(), b'{"code":500}')
        await feishu.wait_until_quiet()
        assert feishu.log == {"kept": True, "refused": False}


async def test_a_link_that_is_gone_is_offline():
    """Pushing on a link that ended is an attempt without a link."""
    async with Simulator() as feishu, linked(feishu):
        (link,) = feishu.links
        link.reset()
        feishu.push(b"{}", link=link)
        assert feishu.stats.offline == 1
