"""What comes in through a channel and how much of it at once, and the options of its socket."""

import asyncio
import itertools
import socket
import struct
import tracemalloc
from math import inf

import pytest
from websockets.client import ClientProtocol
from websockets.protocol import OPEN, Protocol
from websockets.uri import parse_uri

from feishu_ws.upstream.channel import (
    MAX_FRAME,
    PER_FRAME,
    PER_TURN,
    SLICE,
    Channel,
    read_acknowledged_ago_s,
    set_options,
)

RTO_MAX_MS = 44  # Source: Linux 6.15 include/uapi/linux/tcp.h


def test_options():
    """TCP keepalive, its timeout and no delay are set as measured to be right."""
    with socket.socket() as sock:
        set_options(sock)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        tcp = [socket.TCP_NODELAY, socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT]
        assert [sock.getsockopt(socket.IPPROTO_TCP, each) for each in tcp] == [1, 20, 5, 3]
        timeout_ms = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
        assert timeout_ms >= (20 + 5 * 3) * 1000


def test_socket_that_takes_none():
    """A socket without these options is used as it is."""
    one, other = socket.socketpair()
    with one, other:
        set_options(one)


def test_lost_bytes_are_sent_again_every_second():
    """Where the kernel knows how, what was lost is sent again at least every second."""
    with socket.socket() as sock, socket.socket() as other:
        set_options(sock)
        try:
            other.setsockopt(socket.IPPROTO_TCP, RTO_MAX_MS, 2000)
        except OSError:
            return  # a kernel that is older: it took everything else
        assert sock.getsockopt(socket.IPPROTO_TCP, RTO_MAX_MS) == 1000


async def test_what_tcp_acknowledged():
    """Something acknowledged just now is told from silence, and a closed socket knows nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        _, writer = await asyncio.open_connection(*server.getsockname())
        peer, _ = server.accept()
    with peer:
        sock = writer.get_extra_info("socket")
        await asyncio.sleep(0.2)
        silent_s = read_acknowledged_ago_s(sock)
        assert 0.15 < silent_s < inf
        writer.write(b"x")
        async with asyncio.timeout(5):
            while read_acknowledged_ago_s(sock) >= silent_s:
                await asyncio.sleep(0)
        writer.close()
        await writer.wait_closed()
        assert read_acknowledged_ago_s(sock) == inf


# -- what comes in ------------------------------------------------------------------------


class Sink:
    """Keeps what a channel tells."""

    def __init__(self):
        self.messages = []
        self.texts = 0

    def on_tcp(self):
        pass

    def on_bytes(self):
        pass

    def on_message(self, data):
        self.messages.append(data)

    def on_text(self):
        self.texts += 1


class Transport:
    """A transport by hand: what is written is kept, and whether it is read is known."""

    def __init__(self):
        self.written = []
        self.is_read = True
        self.is_gone = False

    def is_closing(self):
        return self.is_gone

    def close(self):
        self.is_gone = True

    abort = close

    def write(self, data):
        self.written.append(data)

    def pause_reading(self):
        assert self.is_read
        assert not self.is_gone
        self.is_read = False

    def resume_reading(self):
        assert not self.is_read
        assert not self.is_gone
        self.is_read = True


def frame(data, *, opcode=2, fin=True):
    """A frame of a server."""
    length = bytes([len(data)]) if len(data) < 126 else b"\x7e" + struct.pack("!H", len(data))
    return bytes([(0x80 if fin else 0) | opcode]) + length + data


@pytest.fixture
async def channel():
    """A channel as it is after the upgrade."""
    core = ClientProtocol(parse_uri("ws://127.0.0.1/ws"), max_size=MAX_FRAME)
    core.state, core.parser = OPEN, Protocol.parse(core)
    next(core.parser)
    made = Channel(Sink(), core)
    made.transport = Transport()
    return made


async def test_all_of_it_in_order(channel):
    """Messages of any size, in bytes cut anywhere, are all taken, once and in order."""
    sizes = [0, 1, 125, 126, 5_000, SLICE - 4, SLICE, 60_000]
    messages = [bytes([number % 256]) * sizes[number % len(sizes)] for number in range(80)]
    sent = b"".join(map(frame, messages))
    cuts = sorted({0, *range(7, len(sent), 99_991), *range(0, len(sent), 256_000), len(sent)})
    for first, last in itertools.pairwise(cuts):
        while not channel.transport.is_read:
            await asyncio.sleep(0)
        channel.data_received(sent[first:last])
    while not channel.transport.is_read:
        await asyncio.sleep(0)
    assert channel._sink.messages == messages


@pytest.mark.parametrize(("size", "number"), [(0, 50_000), (200, 5_000), (50_000, 20)])
async def test_a_part_of_it_in_each_turn(channel, size, number):
    """However small the frames, others have their turn soon, and nothing is read meanwhile."""
    sent = frame(bytes(size)) * number
    most = PER_TURN // (size + PER_FRAME) + SLICE // (size + 2) + 1
    channel.data_received(sent)
    turns = [len(channel._sink.messages)]
    while not channel.transport.is_read:
        await asyncio.sleep(0)
        turns.append(len(channel._sink.messages) - sum(turns))
    assert max(turns) <= most
    assert sum(turns) == number > most


async def test_few_are_taken_at_once(channel):
    """What comes in at an ordinary rate is taken in the turn in which it comes, and reading goes on."""
    for _ in range(100):
        channel.data_received(frame(bytes(500)))
    assert len(channel._sink.messages) == 100
    assert channel.transport.is_read


async def test_what_comes_while_it_rests(channel):
    """A transport that hands over some more all the same does not mix up the order."""
    sent = [bytes([number % 256]) for number in range(3_000)]
    for message in sent:
        channel.data_received(frame(message))
    assert not channel.transport.is_read
    assert len(channel._sink.messages) < len(sent)
    while not channel.transport.is_read:
        await asyncio.sleep(0)
    assert channel._sink.messages == sent


async def test_nothing_is_taken_after_the_end(channel):
    """A connection that ends while bytes wait is left alone."""
    channel.data_received(frame(b"") * 50_000)
    channel.transport.abort()
    taken = len(channel._sink.messages)
    for _ in range(3):
        await asyncio.sleep(0)
    assert len(channel._sink.messages) == taken < 50_000


async def test_a_fragmented_message(channel):
    """However many frames a message comes in, it is one; a text is told as such."""
    parts = [b"", *(bytes([number % 256]) for number in range(300)), b""]
    for opcode in (2, 1):
        channel.data_received(frame(b"", opcode=opcode, fin=False))
        channel.data_received(b"".join(frame(part, opcode=0, fin=False) for part in parts))
        channel.data_received(frame(b"end", opcode=0))
    assert channel._sink.messages == [b"".join(parts) + b"end"]
    assert channel._sink.texts == 1


@pytest.mark.parametrize("part", [b"", b"ab"])
async def test_fragments_take_no_more_than_their_bytes(channel, part):
    """A message that comes in the smallest pieces, or never ends, takes its bytes and no more."""
    channel.data_received(frame(b"", fin=False))
    piece = frame(part, opcode=0, fin=False) * 500
    tracemalloc.start()
    try:
        for _ in range(10):
            channel.data_received(piece)
            while not channel.transport.is_read:
                await asyncio.sleep(0)
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(20):
            channel.data_received(piece)
            while not channel.transport.is_read:
                await asyncio.sleep(0)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 20 * 500 * len(part) * 1.5 + 10_000


async def test_pongs_leave_in_one_piece(channel):
    """The answers to many pings are one write: bytes that nobody reads are kept piece by piece."""
    channel.data_received(frame(b"ping", opcode=9) * 100)
    [written] = channel.transport.written
    assert len(written) == 100 * (2 + 4 + 4)
