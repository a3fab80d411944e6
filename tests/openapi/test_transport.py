"""Requests over a pool: what goes out, what comes back, and whether it may have gone out."""

import asyncio
import socket
import ssl

import pytest
from aiohttp import web
from upstream.tls import self_signed

from feishu_ws.faults import Fault, FeishuWsError
from feishu_ws.openapi.transport import Transport, Way
from feishu_ws.openapi.trouble import UnsentError
from feishu_ws.upstream.resolver import Resolver


def way(proxy=None, resolver=None, context=None):
    return Way(
        names=resolver or Resolver(),
        proxy_for=lambda _: proxy,
        trust=lambda: context or ssl.create_default_context(),
    )


class Feishu:
    """A server that keeps what it was asked, and answers as `handler` says."""

    def __init__(self):
        self.seen = []
        self.handler = self.echo
        self.connections = set()

    async def echo(self, request):
        return web.json_response({"code": 0, "path": request.raw_path})

    async def _serve(self, request):
        self.connections.add(request.transport)
        self.seen.append((request.method, request.raw_path, request.headers, await request.read()))
        return await self.handler(request)

    async def start(self, context=None):
        app = web.Application(client_max_size=0)
        app.router.add_route("*", "/{path:.*}", self._serve)
        self.runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self.runner.setup()
        site = web.TCPSite(self.runner, "127.0.0.1", 0, ssl_context=context)
        await site.start()
        self.port = self.runner.addresses[0][1]
        self.domain = f"{'https' if context else 'http'}://127.0.0.1:{self.port}"
        return self


@pytest.fixture
async def feishu():
    server = await Feishu().start()
    yield server
    await server.runner.cleanup()


@pytest.fixture
async def transport(feishu):
    made = Transport(feishu.domain, way())
    yield made
    await made.close()


async def ask(transport, target="/open-apis/x", method="GET", headers=(), body=b"", **options):
    options = {"timeout_s": 5.0, "most": 1000} | options
    return await transport.ask(method, target, headers, body, **options)


async def test_as_it_is(feishu, transport):
    """Path, query, headers and body go out byte for byte, and nothing is made up."""
    target = "/open-apis/a:b@c/%41?q=%2f&r=a+b%20c"
    await ask(transport, target, "PUT", [("X-A", "1"), ("X-A", "2")], b"\x00\xff")
    method, path, headers, body = feishu.seen[0]
    assert (method, path, body) == ("PUT", target, b"\x00\xff")
    assert headers.getall("X-A") == ["1", "2"]
    assert set(headers) == {"Host", "X-A", "Content-Length"}


async def test_pool(feishu, transport):
    """Requests one after the other share a connection."""
    for _ in range(5):
        answer = await ask(transport)
    assert answer.status == 200
    assert len(feishu.connections) == 1


async def test_redirects_are_returned(feishu, transport):
    """A token never goes where an answer says."""

    async def elsewhere(_request):
        raise web.HTTPTemporaryRedirect(f"{feishu.domain}/elsewhere")

    feishu.handler = elsewhere
    answer = await ask(transport, headers=[("Authorization", "Bearer t")])
    assert answer.status == 307
    assert len(feishu.seen) == 1


async def test_pieces(feishu, transport):
    """A body may come in pieces, both ways."""

    async def upload():
        for number in range(10):
            yield bytes([number]) * 1000

    async with transport.open("POST", "/open-apis/x", (), upload(), timeout_s=5.0) as incoming:
        assert incoming.status == 200
        assert b"".join([piece async for piece in incoming.pieces()]).startswith(b"{")
    assert len(feishu.seen[0][3]) == 10_000


async def test_too_much(feishu, transport):
    """An answer beyond the bound is a fault, not memory."""

    async def much(_request):
        return web.Response(body=b"x" * 2000)

    feishu.handler = much
    with pytest.raises(FeishuWsError, match="more than 1000 bytes") as caught:
        await ask(transport)
    assert caught.value.fault is Fault.API_FAILED


async def test_no_answer(feishu, transport):
    """Where no answer comes in time Feishu may have obeyed: it is not called unsent."""

    async def hang(_request):
        await asyncio.sleep(60)

    feishu.handler = hang
    with pytest.raises(FeishuWsError, match="no answer in time") as caught:
        await ask(transport, timeout_s=0.2)
    assert caught.value.fault is Fault.API_FAILED
    assert not isinstance(caught.value, UnsentError)


@pytest.mark.parametrize("when", ["before", "within"])
async def test_broken_off(feishu, transport, when):
    """A connection that ends instead of an answer, or within one."""

    async def break_off(request):
        if when == "within":
            response = web.StreamResponse(headers={"Content-Length": "100"})
            await response.prepare(request)
            await response.write(b"half")
        request.transport.abort()
        return web.Response()

    feishu.handler = break_off
    with pytest.raises(FeishuWsError) as caught:
        await ask(transport, method="POST")
    assert caught.value.fault is Fault.API_FAILED
    assert not isinstance(caught.value, UnsentError)


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


async def unsent(transport):
    """Return the fault of a request that certainly did not go out."""
    try:
        with pytest.raises(UnsentError) as caught:
            await ask(transport, method="POST")
    finally:
        await transport.close()
    return caught.value.fault


async def test_nobody_listens():
    """Nobody there: certainly not sent."""
    assert await unsent(Transport(f"http://127.0.0.1:{free_port()}", way())) is Fault.CONNECT_FAILED


async def test_name_does_not_resolve():
    """No address: certainly not sent."""

    def nothing(_host, _port):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    found = await unsent(Transport("http://feishu.invalid", way(resolver=Resolver(nothing))))
    assert found is Fault.DNS_FAILED


async def test_untrusted(tmp_path):
    """A certificate that is not trusted: certainly not sent."""
    served, _ = self_signed(tmp_path)
    server = await Feishu().start(served)
    assert await unsent(Transport(server.domain, way())) is Fault.TLS_FAILED
    await server.runner.cleanup()
    assert not server.seen


@pytest.mark.parametrize("scheme", ["http", "socks5"])
async def test_proxy_is_down(scheme):
    """A proxy that is not there: certainly not sent."""
    proxy = f"{scheme}://user:hidden@127.0.0.1:{free_port()}"
    transport = Transport("https://feishu.invalid", way(proxy))
    try:
        with pytest.raises(UnsentError) as caught:
            await ask(transport)
    finally:
        await transport.close()
    assert caught.value.fault is Fault.PROXY_FAILED
    assert "hidden" not in str(caught.value)


async def test_closed_twice(transport):
    """Closing is harmless before the first request, and twice."""
    await transport.close()
    await transport.close()
