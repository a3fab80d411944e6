"""Discovery and WebSocket through a SOCKS5 proxy."""

import asyncio
import socket
from urllib.parse import urlsplit

import pytest
from upstream.fake import data_frame
from upstream.tls import self_signed
from websockets.asyncio.server import serve

from feishu_ws.faults import Fault
from feishu_ws.happenings import LinkFailed, LinkLive
from feishu_ws.upstream.resolver import Resolver

NO_PASSWORD, PASSWORD = 0, 2
REFUSED = 5


async def pipe(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
    except ConnectionError:
        pass
    finally:
        writer.close()


class SocksServer:
    """As much of RFC 1928 and 1929 as a client can ask for; whatever is asked for is loopback."""

    def __init__(self, method=PASSWORD, *, reply=0, login=(b"user", b"p@ss"), hangs_up=False):
        self.method = method
        self.reply = reply
        self.login = login
        self.hangs_up = hangs_up
        self.asked = []
        self.url = ""

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"socks5://user:p%40ss@127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_):
        self._server.close()

    async def _serve(self, reader, writer):
        _, methods = await reader.readexactly(2)
        await reader.readexactly(methods)
        if self.hangs_up:
            writer.close()
            return
        writer.write(bytes([5, self.method]))
        if self.method == PASSWORD and not await self._is_known(reader, writer):
            writer.close()
            return
        port = await self._read_request(reader)
        writer.write(bytes([5, self.reply, 0, 1]) + bytes(6))
        if self.reply:
            writer.close()
            return
        there = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pipe(reader, there[1]), pipe(there[0], writer))

    async def _is_known(self, reader, writer):
        await reader.readexactly(1)
        login = []
        for _ in range(2):
            (length,) = await reader.readexactly(1)
            login.append(await reader.readexactly(length))
        writer.write(bytes([1, tuple(login) != self.login]))
        return tuple(login) == self.login

    async def _read_request(self, reader):
        *_, kind = await reader.readexactly(4)
        if kind == 3:
            (length,) = await reader.readexactly(1)
            name = (await reader.readexactly(length)).decode()
        else:
            name = socket.inet_ntoa(await reader.readexactly(4))
        port = int.from_bytes(await reader.readexactly(2), "big")
        self.asked.append((name, port))
        return port


@pytest.mark.parametrize("method", [NO_PASSWORD, PASSWORD])
async def test_through_socks(harness, feishu, method):
    """Discovery and WebSocket both go through the proxy, with its password where it wants one."""
    async with SocksServer(method) as proxy:
        harness.start(proxy=proxy.url)
        session = await feishu.opened()
        await session.send(data_frame(b"x"))
        await session.confirm()
        ports = [urlsplit(feishu.domain).port, feishu.ws_port]
        assert proxy.asked == [("127.0.0.1", port) for port in ports]
        phases = (await harness.record.wait(LinkLive)).phases_s
        assert phases.keys() == {"discovery", "dns", "tcp", "handshake"}
        await harness.fleet.stop(0)


async def test_names_are_the_proxys_to_look_up(harness, feishu):
    """A name that only the proxy's network knows is given to it as it is."""
    port = urlsplit(feishu.domain).port
    feishu.domain = f"http://inside.invalid:{port}"
    async with SocksServer() as proxy:
        harness.start(proxy=proxy.url)
        await harness.record.wait(LinkLive)
        assert proxy.asked[0] == ("inside.invalid", port)
        await harness.fleet.stop(0)


async def test_tls_inside_the_tunnel(harness, feishu, tmp_path, monkeypatch):
    """The proxy sees only TLS, which the extra trust anchor vouches for."""
    context, file = self_signed(tmp_path)
    async with (
        serve(feishu._session, "127.0.0.1", 0, ssl=context, ping_interval=None) as server,
        SocksServer() as proxy,
    ):
        port = server.sockets[0].getsockname()[1]
        monkeypatch.setattr(type(feishu), "url", f"wss://127.0.0.1:{port}/ws{feishu.query}")
        harness.start(proxy=proxy.url, ca_file=str(file))
        assert (await harness.record.wait(LinkLive)).phases_s["tls"] > 0
        await harness.fleet.stop(0)


@pytest.mark.parametrize(
    ("server", "words"),
    [
        (SocksServer(reply=REFUSED), "refused"),
        (SocksServer(login=(b"user", b"other")), "authentication"),
        (SocksServer(0xFF), "method"),
        (SocksServer(hangs_up=True), "SOCKS proxy"),
    ],
    ids=["reply", "password", "method", "hangs-up"],
)
async def test_no_tunnel(harness, feishu, server, words):
    """A proxy that opens no tunnel is the proxy's fault; it says why, without the password."""
    async with server as proxy:
        harness.start(proxy=proxy.url)
        found = await harness.record.wait(LinkFailed)
    assert (found.fault, found.phase) == (Fault.PROXY_FAILED, "proxy")
    assert words in found.detail
    assert "p@ss" not in found.detail


async def test_only_the_websocket_is_refused(harness, feishu):
    """Discovery may go through and the link not: the proxy's fault all the same."""
    async with SocksServer() as proxy:
        domain_port = urlsplit(feishu.domain).port
        read_request = proxy._read_request

        async def read(reader):
            port = await read_request(reader)
            proxy.reply = 0 if port == domain_port else REFUSED
            return port

        proxy._read_request = read
        harness.start(proxy=proxy.url)
        found = await harness.record.wait(LinkFailed)
    assert (found.fault, found.phase) == (Fault.PROXY_FAILED, "proxy")


async def test_any_address_of_the_proxy_will_do(harness, feishu):
    """A proxy that does not listen on the first address of its name is reached on another."""
    async with SocksServer() as proxy:
        port = urlsplit(proxy.url).port

        def look_up(*_):
            stream = (socket.SOCK_STREAM, socket.IPPROTO_TCP, "")
            return [
                (socket.AF_INET6, *stream, ("::1", port, 0, 0)),
                (socket.AF_INET, *stream, ("127.0.0.1", port)),
            ]

        url = proxy.url.replace("127.0.0.1", "proxy.test")
        harness.start(proxy=url, resolver=Resolver(look_up))
        await feishu.opened()
        await harness.fleet.stop(0)


async def test_nobody_runs_the_proxy(harness, feishu):
    """A closed port is the proxy's fault, and says which."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    harness.start(proxy=f"socks5://127.0.0.1:{port}")
    found = await harness.record.wait(LinkFailed)
    assert (found.fault, found.phase) == (Fault.PROXY_FAILED, "proxy")
    assert str(port) in found.detail
