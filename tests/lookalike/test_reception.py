"""Requests over raw sockets: who is meant, what is no request, what goes through."""

import asyncio
import contextlib
import gzip
import json

import pytest
from lookalike.rig import APP_SECRET, LOCAL_SECRET, House, parse
from support import eventually

from feishu_ws.downstream.lookalike import listener, reception
from feishu_ws.simulator.rest import Refused
from feishu_ws.simulator.server import Simulator
from feishu_ws.simulator.settings import SimulatorSettings

DISCOVERY = "/callback/ws/endpoint"


@contextlib.asynccontextmanager
async def connected(**settings):
    """A house in front of a simulated Feishu."""
    async with (
        Simulator(SimulatorSettings(app_id="cli_local", app_secret=APP_SECRET)) as feishu,
        House(domain=feishu.domain, **settings) as house,
    ):
        house.feishu = feishu
        yield house


# -- who is meant ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("POST", DISCOVERY),
        ("GET", "/ws/v2?ticket=x"),
        ("GET", "/open-apis/bot/v3/info"),
        ("POST", "/open-apis/auth/v3/tenant_access_token/internal"),
        ("GET", "/"),
    ],
)
async def test_foreign_hosts_and_origins(method, target):
    """A page in a browser gets nowhere, whatever it asks, and it is counted."""
    async with House() as house:
        for host in (
            "evil.example",
            "evil.example:9531",
            f"localhost.evil:{house.port}",
            "127.0.0.1:1",
        ):
            status, _, _ = await house.ask(method, target, host=host)
            assert (host, status) == (host, 403)
        for origin in ("http://evil.example", f"http://{house.address}", "null"):
            status, _, _ = await house.ask(method, target, headers=(("Origin", origin),))
            assert (origin, status) == (origin, 403)
        assert house.refusals == ["host"] * 7


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "LOCALHOST", "[::1]"])
async def test_names_of_the_listener(name):
    """Whoever means the listener gets an URL with the name it used itself."""
    async with House() as house:
        body = json.dumps({"AppID": "cli_local", "AppSecret": LOCAL_SECRET}).encode()
        host = f"{name}:{house.port}"
        status, _, answer = await house.ask("POST", DISCOVERY, body, host=host)
        assert status == 200
        assert json.loads(answer)["data"]["URL"].startswith(f"ws://{host}/ws/v2?")


@pytest.mark.parametrize("lines", ["", "Host: a\r\nHost: a\r\n", "Host:\r\n"])
async def test_no_host(lines):
    """Without one Host there is no answer but a refusal."""
    async with House() as house:
        octets = f"GET /open-apis/x HTTP/1.1\r\n{lines}Connection: close\r\n\r\n".encode()
        assert parse(await house.say(octets))[0] in {400, 403}


# -- discovery ------------------------------------------------------------------------------


async def test_discovery_without_feishu():
    """Discovery is answered at once with code 0 though nobody reaches Feishu."""
    async with House() as house:
        assert (await house.discover())["code"] == 0


async def test_discovery_of_others():
    """A wrong id or secret is refused and counted, also the app's own beside a local one."""
    async with House() as house:
        assert (await house.discover(secret=APP_SECRET))["code"] == 1000040345
        assert (await house.discover(app_id="x"))["code"] == 1000040346
        assert (await house.discover(secret="", ClientAssertion="jwt"))["code"] == 1000040344
        assert house.refusals == ["secret"] * 3


async def test_without_a_local_secret():
    """Where no local secret is set, the app's own is the one."""
    async with House(secret=type(House().settings.app.secret)("")) as house:
        assert (await house.discover(secret=APP_SECRET))["code"] == 0
        assert (await house.discover(secret=""))["code"] == 1000040345


async def test_discovery_takes_post_and_little():
    """Other methods are 405, a long body and one that does not come are 400."""
    async with House() as house:
        assert (await house.ask("GET", DISCOVERY))[0] == 405
        assert (await house.ask("POST", DISCOVERY, b" " * 70_000))[0] == 400


async def test_discovery_whose_body_does_not_come(monkeypatch):
    """A body that is announced and not sent is waited for, but not for long."""
    monkeypatch.setattr(reception, "BODY_S", 0.1)
    async with House() as house:
        octets = f"POST {DISCOVERY} HTTP/1.1\r\nHost: {house.address}\r\nContent-Length: 9\r\n\r\n"
        assert parse(await house.say(octets.encode()))[0] == 400


@pytest.mark.parametrize(
    "headers",
    [
        (),
        (("Upgrade", "websocket"),),
        (("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Version", "13")),
    ],
)
async def test_no_handshake(headers):
    """What is no WebSocket handshake uses up no ticket."""
    async with House() as house:
        url = (await house.discover())["data"]["URL"]
        target = url.partition(house.address)[2]
        assert (await house.ask("GET", target, headers=headers))[0] == 400
        assert house.desk._lookalike.door.admit(target.partition("?")[2], 0, 0.0) is None


# -- requests that are none -----------------------------------------------------------------

SMUGGLED = [
    "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
    "Content-Length: 3, 3\r\n\r\nabc",
    "Content-Length: +3\r\n\r\nabc",
    "Content-Length: -3\r\n\r\nabc",
    "Content-Length: 0x3\r\n\r\nabc",
    "Content-Length: 3\r\nX-A: a\r\n b: c\r\n\r\nabc",
    "X-A: a\r\n\tTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\nabc",
    "Transfer-Encoding: xchunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "Transfer-Encoding: identity\r\nContent-Length: 3\r\n\r\nabc",
    "Transfer-Encoding: gzip, chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "Transfer-Encoding : chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "Transfer-Encoding: \x0bchunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "Transfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n",
    "Transfer-Encoding: chunked\r\n\r\n-3\r\nabc\r\n0\r\n\r\n",
    "Transfer-Encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n",
    "X-A: a\x00b\r\nContent-Length: 3\r\n\r\nabc",
    "X-A: a\nX-B: b\r\nContent-Length: 3\r\n\r\nabc",
    "X-A: a\rX-B: b\r\nContent-Length: 3\r\n\r\nabc",
    "X A: a\r\nContent-Length: 3\r\n\r\nabc",
    ": a\r\nContent-Length: 3\r\n\r\nabc",
    "Authorization: Bearer u-1\r\nContent-Length: 3\r\n\r\nabc",
]


@pytest.mark.parametrize("rest", SMUGGLED)
async def test_smuggling(rest):
    """A request that two programs might read differently is read by none."""
    async with connected() as house:
        token = await house.token()
        head = f"POST /open-apis/im/v1/messages HTTP/1.1\r\nHost: {house.address}\r\n"
        head += f"Authorization: Bearer {token}\r\nConnection: close\r\n"
        answer = await house.say((head + rest).encode("latin-1"))
        assert parse(answer)[0] == 400
        assert not house.feishu.rest.seen


@pytest.mark.parametrize(
    "octets",
    [b"\x16\x03\x01\x02\x00\x01\x00", b"GARBAGE\r\n\r\n", b"GET  / HTTP/1.1\r\n\r\n", b"\0" * 99],
)
async def test_garbage(octets):
    """What is no HTTP is answered 400 or cut off, and nobody is told of it but its sender."""
    async with House() as house:
        assert parse(await house.say(octets))[0] in {0, 400}
        assert (await house.discover())["code"] == 0
        assert not house.seen


async def test_many_headers():
    """A head is bounded."""
    async with House() as house:
        many = [(f"X-{number}", "a") for number in range(reception.HEADERS + 1)]
        assert (await house.ask("GET", "/open-apis/x", headers=many))[0] == 400
        assert (await house.ask("GET", "/open-apis/" + "a" * 20_000))[0] == 400


# -- through to Feishu ----------------------------------------------------------------------


async def test_message():
    """A message goes out as it came, with Feishu's token in place of the local one."""
    async with connected() as house:
        token = await house.token()
        body = b'{"receive_id":"oc_1","msg_type":"text","content":"{}"}'
        status, headers, answer = await house.ask(
            "POST",
            "/open-apis/im/v1/messages?receive_id_type=chat_id",
            body,
            (("Authorization", f"Bearer {token}"),),
        )
        assert (status, json.loads(answer)["code"]) == (200, 0)
        assert headers["x-tt-logid"]
        seen = house.feishu.rest.seen[-1]
        assert (seen.body, seen.query) == (body, "receive_id_type=chat_id")
        assert seen.headers["authorization"].startswith("Bearer t-")
        assert token not in str(seen.headers)
        assert "content-type" not in seen.headers


async def test_chunked_and_expected():
    """A body in chunks, whose sender waits to be told to go on, arrives."""
    async with connected() as house:
        token = await house.token()
        head = (
            f"POST /open-apis/x HTTP/1.1\r\nHost: {house.address}\r\nConnection: close\r\n"
            f"Authorization: Bearer {token}\r\nExpect: 100-continue\r\n"
            "Transfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nX-T: 1\r\n\r\n"
        )
        answer = await house.say(head.encode())
        assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK")
        assert house.feishu.rest.seen[-1].body == b"abcde"


async def test_compressed_body():
    """A compressed body goes out compressed."""
    async with connected() as house:
        body = gzip.compress(b"hello")
        headers = (
            ("Authorization", f"Bearer {await house.token()}"), ("Content-Encoding", "gzip"),
        )  # fmt: skip
        seen_before = len(house.feishu.rest.seen)
        assert (await house.ask("POST", "/open-apis/x", body, headers))[0] == 200
        (_, seen) = list(house.feishu.rest.seen)[seen_before:]
        assert seen.headers["content-encoding"] == "gzip"
        assert seen.headers["content-length"] == str(len(body))


@pytest.mark.parametrize("token", [None, "t-other", "Basic x", APP_SECRET, LOCAL_SECRET])
async def test_no_pass(token):
    """Without a pass nothing reaches Feishu, and who guesses is counted."""
    async with connected() as house:
        headers = () if token is None else (("Authorization", f"Bearer {token}"),)
        status, _, answer = await house.ask("GET", "/open-apis/bot/v3/info", headers=headers)
        assert status == 401
        assert (json.loads(answer)["code"] == 99991663) == (token is not None)
        assert not house.feishu.rest.seen
        assert house.refusals == ["secret"]


async def test_broken_off():
    """An answer that breaks off does not look whole to the client."""
    async with connected() as house:
        serve = house.desk._lookalike.forward

        @contextlib.asynccontextmanager
        async def cut(inquiry):
            async with serve(inquiry) as reply:

                async def half():
                    yield b"half"
                    raise reception.FeishuWsError(reception.Fault.API_FAILED, "it broke off")

                yield type(reply)(200, (("Content-Length", "8"),), half())

        house.desk._lookalike.forward = cut
        head = f"GET /open-apis/x HTTP/1.1\r\nHost: {house.address}\r\n\r\n"
        try:
            answer = await house.say(head.encode())
        except ConnectionResetError:
            answer = b""
        assert parse(answer)[2] in {b"", b"half"}


async def test_answers_without_a_body():
    """An answer that has no body has none, and the connection can be used again."""
    async with House() as house:

        @contextlib.asynccontextmanager
        async def nothing(_):
            async def pieces():
                for _ in ():
                    yield b""

            yield reception.Reply(204, (("X-A", "1"), ("X-A", "2")), pieces())

        house.desk._lookalike.forward = nothing
        status, headers, body = await house.ask("DELETE", "/open-apis/x")
        assert (status, headers["x-a"], body) == (204, "2", b"")
        assert "transfer-encoding" not in headers


async def test_client_that_leaves():
    """A client that leaves takes its request along."""
    async with connected(listen="127.0.0.1:0") as house:
        token = await house.token()
        house.feishu.rest.answer.set(Refused(hang_s=5))
        reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
        head = f"GET /open-apis/x HTTP/1.1\r\nHost: {house.address}\r\n"
        writer.write(f"{head}Authorization: Bearer {token}\r\n\r\n".encode())
        proxy = house.desk._lookalike.forward.__self__
        await eventually(lambda: proxy._room._value == proxy._limits.at_once - 1)
        writer.close()
        await eventually(lambda: proxy._room._value == proxy._limits.at_once)
        assert not await reader.read()


async def test_restart_keeps_passes():
    """A pass of an earlier life is good in the next."""
    async with connected() as house:
        token = await house.token()
        async with House(domain=house.feishu.domain, journal=house.journal) as after:
            headers = (("Authorization", f"Bearer {token}"),)
            assert (await after.ask("GET", "/open-apis/bot/v3/info", headers=headers))[0] == 200


async def test_who_says_nothing_keeps_nobody_out(monkeypatch):
    """A connection without a request is closed after a while, one with a request is not."""
    monkeypatch.setattr(listener, "HEAD_S", 0.2)
    async with House() as house:
        await house.discover()
        reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
        writer.write(b"POST /callback/ws/endpoint HTTP/1.1\r\nHost: ")
        assert await asyncio.wait_for(_rest(reader), 5) == b""
        assert house.refusals == ["slow"]
        writer.close()


async def _rest(reader):
    try:
        return await reader.read()
    except ConnectionError:
        return b""


async def test_full(monkeypatch):
    """Connections are bounded; beyond, newcomers are turned away."""
    monkeypatch.setattr(listener, "MAX_CONNECTIONS", 3)
    async with House() as house:
        await house.discover()
        held = [await asyncio.open_connection("127.0.0.1", house.port) for _ in range(3)]
        assert await house.say(b"") == b""
        assert house.refusals == ["full"]
        for _, writer in held:
            writer.close()
            await writer.wait_closed()
        await eventually(lambda: not house.desk._lookalike._server.connections)
        assert (await house.discover())["code"] == 0
