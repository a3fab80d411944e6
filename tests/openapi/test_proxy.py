"""The proxy between a client that is an object and a Feishu over real sockets."""

import asyncio
import gzip
import json

import pytest
from aiohttp import web
from openapi.test_transport import Feishu, way

from feishu_ws.clock import SystemClock
from feishu_ws.faults import Fault, FeishuWsError
from feishu_ws.openapi.passes import Passes
from feishu_ws.openapi.proxy import KEPT_BYTES, PEEKED_BYTES, Proxy, ProxyLimits
from feishu_ws.openapi.tokens import Tokens
from feishu_ws.openapi.transport import Transport
from feishu_ws.secret import Secret
from feishu_ws.tally import Tally
from feishu_ws.wire.answers import Answer
from feishu_ws.wire.forwarding import Inquiry
from feishu_ws.wire.identity import Identity

INVALID = b'{"code":99991663,"msg":"Invalid access token"}'


class World:
    """A proxy and the Feishu it talks to; `tokens` are those Feishu takes."""

    def __init__(self, **limits):
        self.feishu = Feishu()
        self.limits = ProxyLimits(**limits)
        self.tally = Tally()
        self.given = 0
        self.taken = {"t-1"}
        self.answer = lambda _: web.json_response({"code": 0})
        self.status = 400
        self.headers = {}

    async def __aenter__(self):
        await self.feishu.start()
        self.feishu.handler = self.handle
        self.transport = Transport(self.feishu.domain, way())
        clock = SystemClock()
        self.tokens = Tokens(self._fetch, clock=clock)
        self.passes = Passes(Identity("cli_a", lambda: Secret("s")), b"key")
        self.proxy = Proxy(
            self.transport,
            self.passes,
            self.tokens.get,
            self.tokens,
            clock=clock,
            tally=self.tally,
            limits=self.limits,
        )
        return self

    async def __aexit__(self, *_):
        await self.transport.close()
        await self.feishu.runner.cleanup()

    async def _fetch(self):
        self.given += 1
        body = {"code": 0, "tenant_access_token": f"t-{self.given}", "expire": 7200}
        return Answer(200, {}, json.dumps(body).encode())

    async def handle(self, request):
        token = request.headers["Authorization"].removeprefix("Bearer ")
        if token not in self.taken and not token.startswith("u-"):
            body = gzip.compress(INVALID) if self.headers else INVALID
            return web.Response(
                body=body, status=self.status, content_type="application/json", headers=self.headers
            )
        made = self.answer(request)
        return await made if asyncio.iscoroutine(made) else made

    async def ask(self, method="GET", target="/open-apis/x", body=b"", headers=(), **more):
        """Make a request; return (status, headers, body)."""
        token = more.pop("token", None) or self.passes.make()
        pieces = [body[i : i + 50_000] for i in range(0, len(body), 50_000)]

        async def each():
            for piece in pieces:
                yield piece
                await asyncio.sleep(0)

        inquiry = Inquiry(
            method,
            target,
            (("Authorization", f"Bearer {token}"), *headers),
            more.pop("length", len(body)),
            more.pop("pieces", each()),
        )
        async with self.proxy.serve(inquiry) as reply:
            whole = reply.body
            if not isinstance(whole, bytes):
                whole = b"".join([piece async for piece in whole])
            return reply.status, dict(reply.headers), whole

    @property
    def seen(self):
        return self.feishu.seen


async def test_as_it_is():
    """Method, target, headers and body go out as they came, but for the token."""
    async with World() as world:
        target = "/open-apis/x/Sheet1%21A1?q=%2f&r=a+b"
        headers = (("Content-Type", "x/y"), ("X-A", "1"), ("Connection", "X-B"), ("X-B", "2"))
        await world.ask("POST", target, b"\x00\xff", headers)
        method, path, got, body = world.seen[0]
        assert (method, path, body) == ("POST", target, b"\x00\xff")
        assert set(got) == {"Host", "Authorization", "Content-Type", "X-A", "Content-Length"}
        assert got["Authorization"] == "Bearer t-1"


async def test_no_content_type_is_made_up():
    """The SDK sends JSON without saying so, and it stays unsaid."""
    async with World() as world:
        await world.ask("POST", body=b'{"a":1}')
        assert "Content-Type" not in world.seen[0][2]


@pytest.mark.parametrize("size", [KEPT_BYTES - 1, KEPT_BYTES + 1, 3_000_000])
@pytest.mark.parametrize("is_told", [True, False])
async def test_bodies_out(size, is_told):
    """Bodies of any length arrive, with the length that was told or in chunks."""
    async with World() as world:
        body = bytes(range(256)) * (size // 256 + 1)
        await world.ask("POST", body=body, length=len(body) if is_told else None)
        assert world.seen[0][3] == body
        is_chunked = not is_told and size > KEPT_BYTES
        assert ("Content-Length" in world.seen[0][2]) != is_chunked


@pytest.mark.parametrize("size", [0, 10, PEEKED_BYTES + 1, 3_000_000])
@pytest.mark.parametrize("kind", ["application/json", "application/octet-stream"])
async def test_bodies_back(size, kind):
    """Answers of any length and kind come back byte for byte, with what is said of them."""
    async with World() as world:
        body = b"\x00" * size
        said = {"Content-Disposition": 'attachment; filename="a.bin"', "X-Tt-Logid": "1"}
        world.answer = lambda _: web.Response(body=body, content_type=kind, headers=said)
        status, headers, got = await world.ask()
        assert (status, got) == (200, body)
        assert headers["Content-Disposition"] == said["Content-Disposition"]
        assert headers["Content-Type"] == kind


async def test_compressed_stays_compressed():
    """A body comes back as Feishu compressed it, if the client takes that."""
    async with World() as world:
        body = gzip.compress(b'{"code":0}')
        said = {"Content-Encoding": "gzip"}
        world.answer = lambda _: web.Response(
            body=body, content_type="application/json", headers=said
        )
        _, headers, got = await world.ask(headers=(("Accept-Encoding", "gzip, br"),))
        assert (headers["Content-Encoding"], got) == ("gzip", body)
        assert world.seen[0][2]["Accept-Encoding"] == "gzip"
        await world.ask(headers=(("Accept-Encoding", "br"),))
        assert "Accept-Encoding" not in world.seen[1][2]


async def test_hop_by_hop_comes_not_back():
    """What Feishu's server says to us alone is not passed on."""
    async with World() as world:
        said = {"Connection": "X-Inner", "X-Inner": "1", "Keep-Alive": "timeout=5", "X-A": "1"}
        world.answer = lambda _: web.Response(body=b"x", headers=said)
        _, headers, _ = await world.ask()
        assert "X-A" in headers
        assert not {"Connection", "X-Inner", "Keep-Alive"} & set(headers)


async def test_redirects_are_returned():
    """A redirect is the client's to follow, without our token."""
    async with World() as world:
        world.answer = lambda _: web.Response(status=302, headers={"Location": "http://evil/x"})
        status, headers, _ = await world.ask()
        assert (status, headers["Location"]) == (302, "http://evil/x")
        assert len(world.seen) == 1


# -- tokens ----------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 400, 401])
@pytest.mark.parametrize("is_compressed", [True, False])
async def test_token_is_renewed_once(status, is_compressed):
    """A token that Feishu does not take is renewed, and the same request made again."""
    async with World() as world:
        world.taken, world.status = {"t-2"}, status
        world.headers = {"Content-Encoding": "gzip"} if is_compressed else {}
        body = b"x" * 100_000
        got, _, _ = await world.ask("POST", body=body)
        assert got == 200
        assert [seen[3] for seen in world.seen] == [body, body]
        assert (world.tally.api_retries, world.tally.api_requests["other", "auth"]) == (1, 1)


async def test_renewed_for_the_next():
    """A long body is gone by then: its client gets Feishu's answer, the next one a new token."""
    async with World() as world:
        world.taken = {"t-2"}
        status, _, answer = await world.ask("POST", body=b"x" * (KEPT_BYTES + 1))
        assert (status, answer) == (400, INVALID)
        assert (await world.ask())[0] == 200
        assert len(world.seen) == 2


async def test_never_a_third_time():
    """Where no token is taken at all, the client gets Feishu's answer."""
    async with World() as world:
        world.taken = set()
        assert (await world.ask())[2] == INVALID
        assert len(world.seen) == 2


async def test_users_token():
    """A user's own token goes out as it is, and is not ours to renew."""
    async with World() as world:
        assert (await world.ask(token="u-7"))[0] == 200
        assert world.seen[0][2]["Authorization"] == "Bearer u-7"
        assert world.given == 0


@pytest.mark.parametrize("token", ["t-1", "t-other", "a-1"])
async def test_foreign_tokens(token):
    """Nothing goes out for a token that is none of ours, not even Feishu's own."""
    async with World() as world:
        status, _, answer = await world.ask(token=token)
        assert (status, json.loads(answer)["code"]) == (401, 99991663)
        assert not world.seen


async def test_tokens_are_given_here():
    """A request for a token is answered here and goes nowhere."""
    async with World() as world:
        target = "/open-apis/auth/v3/tenant_access_token/internal"
        body = b'{"app_id":"cli_a","app_secret":"s"}'
        status, _, answer = await world.ask("POST", target, body, token="none")
        assert (status, json.loads(answer)["tenant_access_token"]) == (200, world.passes.make())
        status, _, _ = await world.ask("POST", target, bytes(100_000), token="none")
        assert status == 413
        assert not world.seen


# -- bounds ----------------------------------------------------------------------------------


@pytest.mark.parametrize("length", ["told", "untold"])
async def test_too_long_a_body(length):
    """A body beyond the bound is refused, before or while it comes."""
    async with World(upload_bytes=KEPT_BYTES + 10) as world:
        body = bytes(KEPT_BYTES + 11)
        told = len(body) if length == "told" else None
        status, _, _ = await world.ask("POST", body=body, length=told)
        assert status == 413
        assert not any(seen[3] == body for seen in world.seen)


async def test_too_long_an_answer():
    """An answer beyond the bound breaks off."""
    async with World(download_bytes=1000) as world:
        world.answer = lambda _: web.Response(body=bytes(1001))
        with pytest.raises(FeishuWsError) as caught:
            await world.ask()
        assert caught.value.fault is Fault.API_FAILED


async def test_body_that_stops():
    """A client that does not send what it announced is told so; Feishu gets no half request."""

    async def half():
        yield bytes(KEPT_BYTES)
        yield bytes(10)
        raise FeishuWsError(Fault.CLIENT_REFUSED, "it did not come")

    async with World() as world:
        status, _, answer = await world.ask("POST", length=KEPT_BYTES * 2, pieces=half())
        assert (status, b"did not come" in answer) == (400, True)
        assert not world.seen


async def test_feishu_is_away():
    """Without Feishu the client gets an error it can read, with the fault's word."""
    async with World() as world:
        await world.feishu.runner.cleanup()
        status, _, answer = await world.ask()
        assert (status, "connect_failed" in json.loads(answer)["msg"]) == (502, True)
        assert world.tally.api_requests["other", "transport"] == 1


async def test_feishu_hangs():
    """No request takes longer than it may."""
    async with World(timeout_s=0.2) as world:
        world.answer = lambda _: asyncio.sleep(60)
        status, _, _ = await world.ask()
        assert status == 502


async def test_no_token_to_be_had():
    """Where Feishu gives no token the client is told why."""
    async with World() as world:

        async def refuse():
            return Answer(200, {}, b'{"code":10014,"msg":"app secret invalid"}')

        world.tokens._fetch = refuse
        status, _, answer = await world.ask()
        assert (status, "credentials_refused" in json.loads(answer)["msg"]) == (502, True)


async def test_places_are_bounded():
    """No more requests than there are places; who waits too long is told so."""
    async with World(at_once=2, wait_s=0.2) as world:
        release = asyncio.Event()

        async def wait(_):
            await release.wait()
            return web.json_response({"code": 0})

        world.answer = wait
        asked = [asyncio.create_task(world.ask()) for _ in range(2)]
        while len(world.seen) < 2:
            await asyncio.sleep(0.01)
        assert (await world.ask())[0] == 503
        release.set()
        assert [(await each)[0] for each in asked] == [200, 200]
        assert (await world.ask())[0] == 200


async def test_counted_by_route():
    """Requests are counted with their ids left out, as those of the daemon itself."""
    async with World() as world:
        await world.ask(target="/open-apis/im/v1/messages/om_1?a=b")
        assert world.tally.api_requests["im/v1/messages/:id", "ok"] == 1
        assert sum(world.tally.api_request_duration["im/v1/messages/:id"].counts) == 1


@pytest.mark.parametrize("target", ["/open-apis/../x", "/metrics", "http://a/open-apis/x", "*"])
async def test_tricks_go_nowhere(target):
    """What is refused is refused before anything is asked for."""
    async with World() as world:
        assert (await world.ask(target=target))[0] in {400, 404}
        assert not world.seen
        assert world.given == 0
