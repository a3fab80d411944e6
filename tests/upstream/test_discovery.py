"""Discovery over real sockets: what is asked, what is answered, what goes wrong."""

import asyncio
import json
import socket

import pytest
from upstream.fake import answer, code
from upstream.tls import self_signed

from feishu_ws import __version__
from feishu_ws.clock import SystemClock
from feishu_ws.faults import Fault, FeishuWsError
from feishu_ws.happenings import DiscoveryAnswered
from feishu_ws.secret import Secret
from feishu_ws.upstream.attempt import Attempt, Phase
from feishu_ws.upstream.discovery import MAX_BODY, Discovery
from feishu_ws.upstream.resolver import Resolver
from feishu_ws.upstream.settings import Credentials, UpstreamSettings
from feishu_ws.upstream.trust import Trust


class Asker:
    def __init__(self):
        self.seen = []
        self.attempt = Attempt(0, SystemClock())

    async def ask(self, domain, resolver=None, **settings):
        discovery = Discovery(
            UpstreamSettings(**settings),
            resolver or Resolver(),
            Trust(),
            self.seen.append,
            SystemClock(),
        )
        return await discovery.ask(Credentials("cli_a", Secret("s3cret"), domain), self.attempt)

    async def fault(self, domain, resolver=None, **settings):
        with pytest.raises(FeishuWsError) as caught:
            await self.ask(domain, resolver, **settings)
        assert "s3cret" not in caught.value.detail
        return caught.value.fault, self.attempt.phase


@pytest.fixture
def asker():
    return Asker()


async def test_request(feishu, asker):
    """The request is what the official SDKs send, under our own name."""
    await asker.ask(feishu.domain + "/")
    head, body = feishu.requests[0]
    lines = head.decode().lower().splitlines()
    assert lines[0] == "post /callback/ws/endpoint http/1.1"
    assert "content-type: application/json" in lines
    assert "locale: zh" in lines
    assert f"user-agent: feishu-ws/{__version__}" in lines
    assert json.loads(body) == {"AppID": "cli_a", "AppSecret": "s3cret"}


async def test_endpoint(feishu, asker):
    """The answer is an endpoint, told to the observer with Feishu's clock."""
    endpoint = await asker.ask(feishu.domain)
    assert (endpoint.url, endpoint.device_id) == (feishu.url, "d-1")
    [seen] = asker.seen
    assert (type(seen), seen.code) == (DiscoveryAnswered, "0")
    assert 0 < seen.took_s < 5
    then_s = 1795456800  # Mon, 23 Nov 2026 18:00:00 GMT
    assert seen.clock_offset_s == pytest.approx(then_s - SystemClock().wall_ms() / 1000, abs=3)


@pytest.mark.parametrize(
    ("reply", "fault", "counted"),
    [
        (code(1), Fault.FEISHU_BUSY, "1"),
        (code(1000040346), Fault.CREDENTIALS_REFUSED, "1000040346"),
        (code(4711), Fault.REFUSED_UNKNOWN, "unknown"),
        (code(2**63 - 1), Fault.REFUSED_UNKNOWN, "unknown"),
        (code(10**4200), Fault.DISCOVERY_MALFORMED, "malformed"),
        (answer(503, b"x"), Fault.DISCOVERY_FAILED, "http"),
        (answer(403, b"x"), Fault.DISCOVERY_FAILED, "http"),
        (answer(302, Location="http://example.invalid/"), Fault.DISCOVERY_MALFORMED, "http"),
        (answer(429, Retry_After="9"), Fault.RATE_LIMITED, "http"),
        (answer(200, b"<html>"), Fault.DISCOVERY_MALFORMED, "malformed"),
        (answer(200, b" " * (MAX_BODY + 1)), Fault.DISCOVERY_MALFORMED, "malformed"),
        (answer(503, b" " * (MAX_BODY + 1)), Fault.DISCOVERY_FAILED, "http"),
        (answer(429, b" " * (MAX_BODY + 1)), Fault.RATE_LIMITED, "http"),
        (b"", Fault.DISCOVERY_FAILED, "transport"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{", Fault.DISCOVERY_FAILED, "transport"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", Fault.DISCOVERY_FAILED, "transport"),
    ],
)
async def test_refusals(feishu, asker, reply, fault, counted):
    """Whatever answers instead of an endpoint is one fault, in phase discovery."""
    feishu.script = [reply]
    assert await asker.fault(feishu.domain) == (fault, Phase.DISCOVERY)
    assert [each.code for each in asker.seen] == [counted]


async def test_echoed_secret(feishu, asker):
    """An answer that repeats the request does not get the secret into a message."""
    feishu.script = [answer(body=b'{"code":5,"msg":"you said s3cret"}')]
    assert await asker.fault(feishu.domain) == (Fault.REFUSED_UNKNOWN, Phase.DISCOVERY)


async def test_echoed_secret_is_cut_behind(feishu, asker):
    """The secret is looked for before long words are cut, so that no part of it is left."""
    secret = "Zw6eN3vLq0TtXy41"
    echo = f"{'x' * 110}{secret} is unknown"
    feishu.script = [answer(body=json.dumps({"code": 99, "msg": echo}).encode())]
    discovery = Discovery(UpstreamSettings(), Resolver(), Trust(), asker.seen.append, SystemClock())
    with pytest.raises(FeishuWsError) as caught:
        await discovery.ask(Credentials("cli_a", Secret(secret), feishu.domain), asker.attempt)
    assert caught.value.code == 99
    assert secret[:6] not in caught.value.detail


async def test_short_secret(feishu, asker):
    """A secret that happens to be part of a good answer does not spoil it."""
    discovery = Discovery(UpstreamSettings(), Resolver(), Trust(), asker.seen.append, SystemClock())
    endpoint = await discovery.ask(Credentials("cli_a", Secret("s"), feishu.domain), asker.attempt)
    assert endpoint.url == feishu.url


async def test_nobody_listens(asker):
    """A port without a server is a failed connection."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    found = await asker.fault(f"http://127.0.0.1:{port}")
    assert found == (Fault.CONNECT_FAILED, Phase.TCP)


async def test_name_does_not_resolve(asker):
    """A name without an address is a failure of DNS."""

    def lookup(*_):
        raise socket.gaierror(-2, "Name or service not known")

    found = await asker.fault("http://open.feishu.invalid", Resolver(lookup))
    assert found == (Fault.DNS_FAILED, Phase.DNS)


async def test_no_tls(asker):
    """A server that does not speak TLS is a failure of TLS."""

    async def serve(reader, writer):
        await reader.read(1)
        writer.write(answer(400))
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        assert await asker.fault(f"https://127.0.0.1:{port}") == (Fault.TLS_FAILED, Phase.TLS)


@pytest.fixture
async def intercepted(tmp_path):
    """A TLS server whose certificate nobody has signed, and that certificate's file."""
    context, file = self_signed(tmp_path)

    async def serve(reader, writer):
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with server:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}", file


async def test_intercepted_tls(asker, intercepted):
    """A certificate nobody trusts is a failure of TLS."""
    domain, _ = intercepted
    assert await asker.fault(domain) == (Fault.TLS_FAILED, Phase.TLS)


async def test_trust_anchor(asker, intercepted):
    """With its certificate as a trust anchor the same server is talked to."""
    domain, file = intercepted
    discovery = Discovery(
        UpstreamSettings(), Resolver(), Trust(str(file)), asker.seen.append, SystemClock()
    )
    with pytest.raises(FeishuWsError) as caught:
        await discovery.ask(Credentials("cli_a", Secret("x"), domain), asker.attempt)
    assert caught.value.fault is Fault.DISCOVERY_FAILED


async def test_through_a_proxy(feishu, asker):
    """The proxy is asked for a tunnel, and the request goes through that as it is."""
    heads = []

    async def serve(reader, writer):
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await feishu._discover(reader, writer)

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        proxy = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        endpoint = await asker.ask("http://feishu.invalid", proxy=proxy)
    assert endpoint.url == feishu.url
    assert heads[0].startswith(b"CONNECT feishu.invalid:80 HTTP/1.1\r\n")
    assert feishu.requests[0][0].startswith(b"POST /callback/ws/endpoint HTTP/1.1\r\n")


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.0 200 OK\r\n\r\n%b",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nConnection: close\r\n\r\n%b",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n",
    ],
    ids=["to the end", "in two answers", "chunked"],
)
async def test_forms_of_an_answer(feishu, asker, head):
    """However the server frames its answer, it is read."""
    _, body = feishu.endpoint().split(b"\r\n\r\n")
    feishu.script = [head % ((len(body), body) if b"%x" in head else (body,))]
    assert (await asker.ask(feishu.domain)).url == feishu.url


async def test_a_server_that_does_not_close(feishu, asker):
    """An answer is taken when it is whole; nobody waits for the end of the connection."""

    async def serve(reader, writer):
        await reader.readuntil(b"}")
        writer.write(feishu.endpoint())
        await reader.read()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        domain = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        assert (await asker.ask(domain)).url == feishu.url


async def test_proxy_is_down(asker):
    """A proxy that nobody runs is the proxy's fault."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        proxy = f"http://127.0.0.1:{free.getsockname()[1]}"
    assert await asker.fault("https://feishu.invalid", proxy=proxy) == (
        Fault.PROXY_FAILED,
        Phase.PROXY,
    )


async def test_proxy_refuses(feishu, asker):
    """A proxy that wants a password is the proxy's fault."""

    async def refuse(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer(407))
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        proxy = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        assert await asker.fault("https://feishu.invalid", proxy=proxy) == (
            Fault.PROXY_FAILED,
            Phase.PROXY,
        )


async def test_phase_while_it_hangs(feishu, asker):
    """While the answer is outstanding the attempt is known to be past TCP."""
    feishu.script = [None]
    asking = asyncio.create_task(asker.ask(feishu.domain))
    while not feishu.requests:
        await asyncio.sleep(0.01)
    assert asker.attempt.phase is Phase.DISCOVERY
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    assert [each.code for each in asker.seen] == ["transport"]
