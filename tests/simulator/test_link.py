"""Links and the ways to hurt them, over real sockets."""

import asyncio
import socket

import pytest
import websockets
from simulator.rawclient import linked

from feishu_ws.clock import ManualClock
from feishu_ws.simulator.link import Condition
from feishu_ws.simulator.server import Simulator
from feishu_ws.simulator.settings import SimulatorSettings


@pytest.fixture
async def feishu():
    async with Simulator(SimulatorSettings(redelivery_s=())) as simulator:
        yield simulator


@pytest.mark.parametrize("size", [0, 125, 126, 65535, 65536, 3_000_000])
async def test_messages_of_any_size_arrive(feishu, size):
    """Raw bytes arrive as one binary message, text as one text message."""
    async with linked(feishu) as client:
        (link,) = feishu.links
        link.send_raw(bytes(size))
        link.send_raw("x" * size)
        assert await client.ws.recv() == bytes(size)
        assert await client.ws.recv() == "x" * size


async def test_reset_is_seen_as_rst(feishu):
    """The client gets ECONNRESET, no close frame, and the reset is counted."""
    async with linked(feishu) as client:
        (link,) = feishu.links
        link.reset()
        with pytest.raises(websockets.ConnectionClosedError) as caught:
            await client.ws.recv()
        assert caught.value.rcvd is None
        assert isinstance(caught.value.__cause__, ConnectionResetError)
    await feishu.wait_until(lambda: feishu.stats.links_closed == 1)
    assert feishu.stats.resets == 1
    link.reset()  # a second time is nothing
    assert feishu.stats.resets == 1


async def test_close_carries_code_and_reason(feishu):
    """A close in good order is a close frame, by default the one Feishu sends."""
    async with linked(feishu) as client:
        feishu.links[0].close()
        with pytest.raises(websockets.ConnectionClosedOK) as caught:
            await client.ws.recv()
        assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (1000, "bye")
    async with linked(feishu) as client:
        feishu.push(b"last words")
        feishu.links[0].close(1001, "going away")
        assert not feishu.links
        assert (await client.receive()).payload == b"last words"
        with pytest.raises(websockets.ConnectionClosedOK) as caught:
            await client.ws.recv()
        assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (1001, "going away")
    assert feishu.stats.resets == 0


async def test_a_black_hole_keeps_tcp_open_and_says_nothing(feishu):
    """Neither pongs nor events come any more, yet Feishu still picks the link."""
    async with linked(feishu) as client:
        (link,) = feishu.links
        link.go_silent()
        await client.ping()
        pong = await client.ws.ping()
        delivery = feishu.push(b"{}")
        assert await client.hears_nothing()
        assert not pong.done()
        assert link.pings == 1
        assert delivery.attempts == 1
        assert feishu.stats.sent == 1
        assert feishu.links == [link]
        assert client.ws.state is websockets.State.OPEN
    await feishu.wait_until(lambda: delivery.given_up)  # the client left, and that is noticed
    assert not feishu.links


async def pass_time(clock: ManualClock, seconds: float) -> None:
    """Move the clock and let the simulator look at it."""
    clock.advance(seconds)
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_black_hole_may_notice_nothing_until_it_is_idle():
    """A link whose end goes unnoticed is kept until it was idle for long enough."""
    clock = ManualClock()
    async with Simulator(SimulatorSettings(idle_s=300), clock=clock) as feishu:
        async with linked(feishu):
            feishu.links[0].go_silent(notices_close=False)
        await pass_time(clock, 290)
        assert len(feishu.links) == 1
        await pass_time(clock, 11)
        assert not feishu.links


async def test_a_link_without_signs_of_life_is_forgotten():
    """An idle client is cut off; one that pings is not."""
    clock = ManualClock()
    async with (
        Simulator(SimulatorSettings(idle_s=300), clock=clock) as feishu,
        linked(feishu) as idle,
        linked(feishu) as lively,
    ):
        await pass_time(clock, 200)
        await lively.ping()
        await lively.receive()
        await pass_time(clock, 200)
        with pytest.raises(websockets.ConnectionClosedError):
            await idle.receive()
        assert [link.number for link in feishu.links] == [2]


async def test_pongs_can_be_withheld(feishu):
    """Both kinds of pings can be left unanswered, separately, while events flow on."""
    async with linked(feishu) as client:
        (link,) = feishu.links
        link.answers_ws_pings = False
        pong = await client.ws.ping()
        await client.ping()
        assert (await client.receive()).headers[0].value == "pong"
        assert not pong.done()
        link.answers_ws_pings, link.answers_pings = True, False
        await client.ping()
        await asyncio.wait_for(await client.ws.ping(), 5)
        feishu.push(b"{}")
        assert (await client.receive()).payload == b"{}"
        assert (link.pings, link.ws_pings) == (3, 2)


async def test_a_client_that_reads_nothing_is_reset():
    """What a link does not take is bounded."""
    settings = SimulatorSettings(unsent_bytes=1_000_000, redelivery_s=())
    async with Simulator(settings) as feishu, linked(feishu) as client:
        client.ws.transport.pause_reading()
        client.ws.transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_RCVBUF, 4096
        )
        (link,) = feishu.links
        for _ in range(200):
            link.send_raw(bytes(100_000))
            await asyncio.sleep(0)
            if link.condition is Condition.GONE:
                break
        assert link.was_reset
        client.ws.transport.abort()


async def test_unsent_bytes_are_what_the_client_has_not_taken(feishu):
    """They grow while it does not read, and are none while it does."""
    async with linked(feishu) as client:
        (link,) = feishu.links
        assert link.unsent_bytes == 0
        link.send_raw(bytes(100))
        assert link.unsent_bytes > 100  # not flushed yet, header included
        await client.ws.recv()
        client.ws.transport.pause_reading()
        for _ in range(100):
            link.send_raw(bytes(100_000))
        await asyncio.sleep(0.05)
        assert link.unsent_bytes > 1_000_000
        client.ws.transport.abort()


async def test_a_hang_up_loses_nothing_that_was_sent(feishu):
    """Megabytes on their way arrive before the end of the stream."""
    async with linked(feishu) as client:
        (link,) = feishu.links
        link.send_raw(bytes(8_000_000))
        link.hang_up()
        assert len(await client.ws.recv()) == 8_000_000
        with pytest.raises(websockets.ConnectionClosedError):
            await client.ws.recv()


async def test_what_has_ended_ends_no_second_time(feishu):
    """Hanging up or breaking a link that is gone does nothing."""
    async with linked(feishu):
        (link,) = feishu.links
        link.hang_up()
        assert link.condition is Condition.GONE
        link.hang_up()
        link.violate(b"x")
        link.reset()
        assert not link.was_reset
