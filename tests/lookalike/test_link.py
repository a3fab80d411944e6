"""Single WebSockets: hostile ones, slow ones, silent ones."""

import asyncio
import socket

import pytest
import websockets
from downstream.rig import CARD
from lookalike.rig import House, headers_of
from support import eventually

from feishu_ws.downstream.lookalike import link
from feishu_ws.wire.pbbp2_pb2 import Frame


def frame(method=1, payload=b'{"code":200}', **headers):
    made = Frame(SeqID=1, LogID=1, service=1, method=method, payload=payload)
    for key, value in headers.items():
        made.headers.add(key=key, value=value)
    return made.SerializeToString()


HOSTILE = [
    "text",
    b"",
    b"\xff" * 100,
    b"\x08\x00",
    frame(method=0, type="pong"),
    frame(method=0),
    frame(method=7, type="ping"),
    frame(),
    frame(message_id="no"),
    frame(message_id="0" * 15 + "9-1", payload=b"\xff"),
    frame(message_id="0" * 16 + "-1", payload=b"[" * 10_000),
]


@pytest.mark.parametrize("data", HOSTILE)
async def test_hostile_frames(data):
    """Nonsense is counted, once for each client, and changes nothing for it or others."""
    async with House() as house:
        client = await house.connect()
        await client.socket.send(data)
        await client.socket.send(data)
        house.store("a")
        await client.take("a")
        await eventually(lambda: house.cursor() == 1)
        assert house.refusals == ["frame"]


async def test_answers_to_what_was_not_sent():
    """Positions that were not delivered to anybody are settled by nobody."""
    async with House(window=1) as house:
        client = await house.connect()
        house.store("a", "b")
        await client.frame()
        for position in (0, 2, 3, 2**63, 2**64 - 1):
            await client.socket.send(frame(message_id=f"{position:016x}-1"))
            refused = frame(message_id=f"{position:016x}-1", payload=b'{"code":500}')
            await client.socket.send(refused)
        await client.ping()
        await client.pong()
        assert house.cursor() == 0
        assert not house.journal.noted


async def test_ping():
    """An application ping gets a pong for its own service, a WebSocket ping one of its own."""
    async with House() as house:
        client = await house.connect()
        pong = await client.pong()
        assert (pong.service, headers_of(pong)["type"]) == (7, "pong")
        await asyncio.wait_for(await client.socket.ping(), 5)


async def test_too_large_a_message():
    """A message beyond any answer ends that client alone."""
    async with House() as house:
        other = await house.connect()
        client = await house.connect()
        await client.socket.send(bytes(2 * 1024**2))
        with pytest.raises(websockets.ConnectionClosed):
            await client.frame()
        house.store("a")
        await other.take("a")


async def test_first_frames_wait_for_the_first_word():
    """What comes with the handshake is lost by the Node SDK: so nothing does."""
    async with House() as house:
        first = await house.connect()
        house.store("a", "b")
        await first.take("a")
        await first.close()
        url = (await house.discover())["data"]["URL"]
        socket_ = await websockets.connect(url, proxy=None)
        client = type(first)(socket_)
        assert await client.hears_nothing(link.FIRST_WORD_S / 3)
        await client.ping()
        await client.take("b")


async def test_client_that_never_pings():
    """A stock AstrBot says nothing and gets its events all the same."""
    async with House() as house:
        url = (await house.discover())["data"]["URL"]
        async with websockets.connect(url, proxy=None) as socket_:
            await eventually(lambda: house.dispatcher.seats.is_connected("lookalike"))
            house.store("a")
            assert Frame.FromString(await asyncio.wait_for(socket_.recv(), 5)).method == 1


class Deaf:
    """A client that does its handshake and never reads again."""

    def __init__(self, house):
        self.house = house

    async def __aenter__(self):
        url = (await self.house.discover())["data"]["URL"]
        target = url.partition(self.house.address)[2]
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.setblocking(False)  # noqa: FBT003
        loop = asyncio.get_running_loop()
        await loop.sock_connect(self.socket, ("127.0.0.1", self.house.port))
        head = (
            f"GET {target} HTTP/1.1\r\nHost: {self.house.address}\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        await loop.sock_sendall(self.socket, head.encode())
        await eventually(lambda: self.house.dispatcher.seats.is_connected("lookalike"))
        return self

    async def __aexit__(self, *_):
        self.socket.close()


async def test_never_reads(monkeypatch):
    """A client that takes nothing is cut off; the next one gets all of it."""
    monkeypatch.setattr(link, "TAKE_S", 0.3)
    async with House(window=64) as house, Deaf(house):
        house.store(*range(64), size=200_000)
        await eventually(lambda: "slow" in house.refusals)
        await eventually(lambda: house.crowd.size == 0)
        client = await house.connect()
        await client.take(*range(64))


async def test_what_waits_is_bounded(monkeypatch):
    """Deliveries stop at a megabyte, and what goes out all the same ends where it ends."""
    monkeypatch.setattr(link, "MAX_UNSENT", 4 * 1024**2)
    async with House(window=64) as house, Deaf(house):
        house.store(*range(64), size=200_000)
        (client,) = house.crowd._clients
        await eventually(lambda: not client.has_room())
        assert client._unsent < link.DELIVER_UNTIL + 300_000
        for number in range(20):
            house.store(f"card {number}", kind=CARD, size=400_000)
        await eventually(lambda: "slow" in house.refusals)
        await eventually(lambda: house.crowd.size == 0)


async def test_silent_for_too_long(monkeypatch):
    """A client that says nothing, not even a ping, is gone."""
    monkeypatch.setattr(link, "SILENCE_S", 0.2)
    async with House() as house, Deaf(house):
        await eventually(lambda: house.crowd.size == 0)


async def test_flood_leaves_the_loop_free():
    """A client that floods us with pings does not keep others waiting."""
    async with House() as house:
        other = await house.connect()
        client = await house.connect()
        ping = frame(method=0, type="ping", payload=b"")

        async def flood():
            for _ in range(3000):
                await client.socket.send(ping)

        async def read():
            while True:
                await client.any_frame()

        reading = asyncio.create_task(read())
        flooding = asyncio.create_task(flood())
        await other.ping()
        await other.pong()
        await flooding
        reading.cancel()
        assert house.crowd.size == 2


async def test_closes_in_good_order():
    """When we stop, clients get a close frame with a code at which they come back."""
    async with House() as house:
        client = await house.connect()
        await house.desk.stop(1.0)
        with pytest.raises(websockets.ConnectionClosed) as caught:
            await client.frame()
        assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (1001, "shutdown")


async def test_stop_does_not_wait_for_the_deaf():
    """A client that reads nothing does not keep us from stopping."""
    async with House(window=64) as house, Deaf(house):
        house.store(*range(64), size=200_000)
        loop = asyncio.get_running_loop()
        await asyncio.sleep(0.1)
        began_s = loop.time()
        await house.desk.stop(0.3)
        assert loop.time() - began_s < 3.0
