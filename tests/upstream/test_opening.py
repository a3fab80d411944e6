"""How a WebSocket opens, directly and through a proxy, and why it does not."""

import asyncio
import socket

import pytest
from upstream.fake import answer, data_frame
from upstream.tls import self_signed
from websockets.asyncio.server import serve

from feishu_ws.faults import Fault
from feishu_ws.happenings import LinkFailed, LinkLive


async def failed(harness, **settings):
    harness.start(**settings)
    return await harness.record.wait(LinkFailed)


@pytest.mark.parametrize(
    ("status", "headers", "fault"),
    [
        (
            200,
            {"Handshake-Status": "514", "Handshake-Autherrcode": "1000040350"},
            Fault.CONNECTION_LIMIT,
        ),
        (403, {"Handshake-Status": "403"}, Fault.ACCESS_REFUSED),
        (503, {}, Fault.HANDSHAKE_REFUSED),
        (302, {"Location": "ws://127.0.0.1:1/elsewhere"}, Fault.HANDSHAKE_REFUSED),
    ],
)
async def test_refused_upgrade(harness, feishu, status, headers, fault):
    """An upgrade that is refused has the fault its answer names; no redirect is followed."""
    feishu.refusals = [(status, headers)]
    found = await failed(harness)
    assert (found.fault, found.phase) == (fault, "handshake")
    assert "t1cket" not in found.detail


@pytest.mark.parametrize(
    "echo",
    [
        "101 X\r\nUpgrade: {path}\r\nConnection: Upgrade",
        "101 X\r\nUpgrade: websocket\r\nConnection: {path}",
        "101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {path}",
        "400 X\r\nHandshake-Status: 514\r\nHandshake-Msg: no {ticket} for {key} is known",
        "400 X\r\nHandshake-Status: 514\r\nHandshake-Msg: {pad} {ticket}",
    ],
)
async def test_echoed_ticket(harness, feishu, echo):
    """An answer that repeats what the URL holds does not get it into a message."""
    ticket, key = "t1cket-t1cket-t1cket", "k3y-k3y-k3y"
    feishu.query = f"?device_id=d&access_key={key}&ticket={ticket}"

    async def repeat(reader, writer):
        path = (await reader.readuntil(b"\r\n\r\n")).split()[1].decode()
        told = echo.format(path=path, ticket=ticket, key=key, pad="x" * 105)
        writer.write(f"HTTP/1.1 {told}\r\nContent-Length: 0\r\n\r\n".encode())
        writer.close()

    async with await asyncio.start_server(repeat, "127.0.0.1", 0) as server:
        feishu.ws_port = server.sockets[0].getsockname()[1]
        found = await failed(harness)
    assert (found.phase, found.retry_in_s < 60) == ("handshake", True)
    assert "t1cket" not in found.detail
    assert "k3y" not in found.detail
    assert "<redacted>" in found.detail


async def test_nobody_listens(harness, feishu):
    """A WebSocket port that is closed is a failed connection, after discovery answered."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        feishu.ws_port = free.getsockname()[1]
    found = await failed(harness)
    assert (found.fault, found.phase) == (Fault.CONNECT_FAILED, "tcp")


async def test_name_that_does_not_resolve(harness, feishu, monkeypatch):
    """A WebSocket host without an address is a failure of DNS."""

    async def addresses(*_):
        raise socket.gaierror(-2, "Name or service not known")

    harness.start()
    monkeypatch.setattr(harness.fleet._dialer._opening._resolver, "addresses", addresses)
    # discovery resolves through the same object, so that its own name is an address
    found = await harness.record.wait(LinkFailed)
    assert (found.fault, found.phase) == (Fault.DNS_FAILED, "dns")


async def test_not_a_websocket(harness, feishu):
    """A port where something else answers refuses the upgrade."""

    async def speak(reader, writer):
        writer.write(b"220 mail.example ESMTP\r\n")
        writer.close()

    async with await asyncio.start_server(speak, "127.0.0.1", 0) as server:
        feishu.ws_port = server.sockets[0].getsockname()[1]
        found = await failed(harness)
    assert (found.fault, found.phase) == (Fault.HANDSHAKE_REFUSED, "handshake")


async def test_hangs_up_during_the_upgrade(harness, feishu):
    """A port that closes at once refuses the upgrade."""

    async def hang_up(reader, writer):
        writer.transport.abort()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        feishu.ws_port = server.sockets[0].getsockname()[1]
        found = await failed(harness)
    assert (found.fault, found.phase) == (Fault.HANDSHAKE_REFUSED, "handshake")


@pytest.fixture
async def wss(harness, feishu, tmp_path, monkeypatch):
    """A WebSocket over TLS that discovery names; its certificate's file."""
    context, file = self_signed(tmp_path)
    async with serve(feishu._session, "127.0.0.1", 0, ssl=context, ping_interval=None) as server:
        port = server.sockets[0].getsockname()[1]
        monkeypatch.setattr(type(feishu), "url", f"wss://127.0.0.1:{port}/ws{feishu.query}")
        yield str(file)


async def test_tls(harness, feishu, wss):
    """Over TLS a link lives as well, and its time for TLS is known."""
    harness.start(ca_file=wss)
    session = await feishu.opened()
    await session.send(data_frame(b"x" * 100_000))
    await session.confirm()
    live = await harness.record.wait(LinkLive)
    assert live.phases_s["tls"] > 0
    assert len(harness.payloads[0]) == 100_000


async def test_much_at_once_over_tls(harness, feishu, wss):
    """What TLS hands over while reading rests is taken too, and nothing stays behind."""
    harness.start(ca_file=wss)
    session = await feishu.opened()
    await session.send(*[data_frame(bytes(size * 10)) for size in range(1_000)])
    await session.confirms(1_000)
    assert [len(payload) for payload in harness.payloads] == [size * 10 for size in range(1_000)]


async def test_untrusted_certificate(harness, wss):
    """A certificate nobody trusts is a failure of TLS that says why."""
    found = await failed(harness)
    assert (found.fault, found.phase) == (Fault.TLS_FAILED, "tls")
    assert "self-signed" in found.detail


async def test_hangs_up_during_tls(harness, feishu, monkeypatch):
    """A middlebox that cuts the TLS handshake is a failure of TLS."""

    async def hang_up(reader, writer):
        await reader.read(1)
        writer.transport.abort()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        monkeypatch.setattr(type(feishu), "url", f"wss://127.0.0.1:{port}/ws")
        found = await failed(harness)
    assert (found.fault, found.phase) == (Fault.TLS_FAILED, "tls")


OPENED = b"HTTP/1.1 200 Connected\r\n\r\n"


class Proxy:
    """A small HTTP proxy; what it answers where the WebSocket is asked for, a test may say."""

    def __init__(self, feishu, reply=OPENED):
        self.feishu = feishu
        self.reply = reply
        self.heads = []

    async def __call__(self, reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head)
        port = int(head.split()[1].rpartition(b":")[2])
        reply = self.reply if port == self.feishu.ws_port else OPENED
        writer.write(reply)
        if b" 200 " not in reply:
            writer.close()
            return
        there = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pipe(reader, there[1]), pipe(there[0], writer))


async def pipe(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
    except ConnectionError:
        pass
    finally:
        writer.close()


async def through(proxy):
    server = await asyncio.start_server(proxy, "127.0.0.1", 0)
    return server, f"http://user:p4ss@127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_through_a_proxy(harness, feishu):
    """Discovery and WebSocket both go through the proxy, with its password."""
    proxy = Proxy(feishu)
    server, url = await through(proxy)
    async with server:
        harness.start(proxy=url)
        session = await feishu.opened()
        await session.send(data_frame(b"x"))
        await session.confirm()
        places = [feishu.domain.rpartition("/")[2], f"127.0.0.1:{feishu.ws_port}"]
        assert [head.split(b" HTTP")[0].decode() for head in proxy.heads] == [
            f"CONNECT {place}" for place in places
        ]
        assert all(b"Proxy-Authorization: Basic dXNlcjpwNHNz" in head for head in proxy.heads)
        assert "tcp" in (await harness.record.wait(LinkLive)).phases_s
        await harness.fleet.stop(0)


@pytest.mark.parametrize("reply", [answer(407), b"", b"nonsense\r\n\r\n"])
async def test_proxy_refuses(harness, feishu, reply):
    """A proxy that opens no tunnel is the proxy's fault, without its password."""
    server, url = await through(Proxy(feishu, reply))
    async with server:
        found = await failed(harness, proxy=url)
    assert (found.fault, found.phase) == (Fault.PROXY_FAILED, "proxy")
    assert "p4ss" not in found.detail
