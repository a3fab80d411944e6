"""Official SDKs, unmodified, on a real daemon's lookalike, a simulated Feishu behind it."""

import asyncio
import contextlib
import json
import sys
import time
from pathlib import Path

import pytest
from acceptance.sdk.install import node, node_sdk
from acceptance.sdk.peer import Peer
from lookalike.test_reception import SMUGGLED
from processes import APP_ID, DaemonProcess, free_port
from wire.test_forwarding import TRICKS

from feishu_ws.simulator import corpus
from feishu_ws.simulator.rest import Refused
from feishu_ws.simulator.server import Simulator
from feishu_ws.simulator.settings import SimulatorSettings

HERE = Path(__file__).parent / "sdk"
LOCAL = "what-only-this-machine-knows"
TOKEN = "/open-apis/auth/v3/tenant_access_token/internal"
REFUSED = {400, 404}
MESSAGE = "im.message.receive_v1"
CARD = "card.action.trigger"
TOAST = {"toast": {"type": "success", "content": "同意"}}
BACK_S = 3.0  # after the daemon's restart; ReconnectInterval is 1 s, the machine is busy


class Wire:
    """A relay from 127.0.0.1 to 127.0.0.2 that keeps what clients and daemon say."""

    def __init__(self, port):
        self._port = port
        self.octets = bytearray()

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._relay, "127.0.0.1", self._port)
        return self

    async def __aexit__(self, *_):
        self._server.close()

    async def _relay(self, reader, writer):
        try:
            there_reader, there_writer = await asyncio.open_connection("127.0.0.2", self._port)
        except OSError:
            writer.transport.abort()
            return
        await asyncio.gather(self._pump(reader, there_writer), self._pump(there_reader, writer))

    async def _pump(self, reader, writer):
        with contextlib.suppress(OSError):
            while octets := await reader.read(65536):
                self.octets += octets
                writer.write(octets)
                await writer.drain()
        with contextlib.suppress(OSError):
            writer.close()


class World:
    """A simulated Feishu, a daemon, and its lookalike as SDKs see it."""

    def __init__(self, directory, host="127.0.0.1", **settings):
        self.feishu = Simulator(SimulatorSettings(time_scale=5000.0, seed=7))
        self.directory = directory
        self.host = host
        self.settings = settings

    async def __aenter__(self):
        self.directory.mkdir(exist_ok=True)
        await self.feishu.start()
        self.port = free_port()
        self.daemon = DaemonProcess(
            self.directory,
            self.feishu.domain,
            lookalike__listen=f"{self.host}:{self.port}",
            lookalike__secret=LOCAL,
            upstream__backoff_base_s=0.1,
            delivery__ack_timeout_s=20,
            **self.settings,
        )
        await self.restart()
        self.origin = self.feishu.new_origin()
        return self

    async def __aexit__(self, *_):
        self.daemon.kill()
        await self.feishu.stop()

    async def restart(self):
        await asyncio.to_thread(self.daemon.start)
        await self.feishu.wait_for_links(2)

    @property
    def domain(self):
        return f"http://127.0.0.1:{self.port}"

    async def start(self, peer):
        """Have an SDK's client start, and wait until it has its WebSocket."""
        await peer.tell(
            do="start",
            app_id=APP_ID,
            app_secret=LOCAL,
            domain=self.domain,
            types=[MESSAGE, CARD],
            old_types=[],
        )
        await self.until(lambda status: status["lookalike"]["clients"] == 1)

    async def until(self, is_true, timeout_s=20.0):
        """Wait until the daemon's status is so."""
        end = time.monotonic() + timeout_s
        while not is_true(status := await asyncio.to_thread(self.daemon.status)):
            assert time.monotonic() < end, status
            await asyncio.sleep(0.05)
        return status

    async def settled(self):
        """Wait until the consumer has settled everything."""

        def is_done(status):
            (consumer,) = [c for c in status["consumers"] if c["name"] == "lookalike"]
            return consumer["pending"] == 0

        await self.until(is_done)

    def push(self, serial, text="hello"):
        """Let somebody write a message; return its event id."""
        self.feishu.push(corpus.text_message(serial, text, origin=self.origin))
        return self.origin.event_id(serial)


def python(feishu):
    return Peer(feishu, sys.executable, str(HERE / "client.py"))


def javascript(feishu):
    return Peer(feishu, node(), str(HERE / "client.mjs"), env={"SDK_DIRECTORY": str(node_sdk())})


@pytest.mark.parametrize("sdk", [python, javascript])
async def test_sdk(tmp_path, sdk):
    """Messages, a card's toast, a 500, our stop and our death: nothing is lost or doubled."""
    async with World(tmp_path) as world, sdk(world.feishu) as peer:
        await world.start(peer)
        ids = [world.push(n) for n in range(20)]
        for event_id in ids:
            await peer.handled(event_id)
        card = world.feishu.push(corpus.sample(CARD, 90, world.origin))
        code, data = await card.confirmed(5.0)
        assert (code, json.loads(data)) == (200, TOAST)
        assert len(await peer.handled(world.push(50, "fail once"), 2)) == 2
        await world.settled()

        since = len(peer.said)
        code, _ = await asyncio.to_thread(world.daemon.stop)
        assert code == 0
        await peer.hears("reconnecting", since)
        await world.restart()
        began = time.monotonic()
        ids += [world.push(n) for n in range(100, 120)]
        await peer.hears("reconnected", since)
        assert time.monotonic() - began < BACK_S

        world.daemon.kill()
        await world.restart()
        ids += [world.push(n) for n in range(200, 220)]
        for event_id in ids:
            assert len(await peer.handled(event_id)) == 1
        await world.settled()


async def test_backlog_while_the_sdk_is_away(tmp_path):
    """What comes while no SDK is there waits for it, however far Feishu is then."""
    async with World(tmp_path) as world, javascript(world.feishu) as first:
        await world.start(first)
        await first.__aexit__()
        await world.until(lambda status: status["lookalike"]["clients"] == 0)
        ids = [world.push(n) for n in range(50)]
        await world.until(lambda status: status["journal"]["last"] == 50)
        await world.feishu.stop()
        async with javascript(world.feishu) as second:
            await world.start(second)
            for event_id in ids:
                assert len(await second.handled(event_id)) == 1


async def test_wrong_secret(tmp_path):
    """An SDK with another secret gives up and says why; the app's own is one of them."""
    async with World(tmp_path) as world, python(world.feishu) as peer:
        await peer.tell(
            do="start",
            app_id=APP_ID,
            app_secret=world.feishu.settings.app_secret,
            domain=world.domain,
            types=[MESSAGE],
            old_types=[],
        )
        gave_up = await peer.hears("gave_up")
        assert "1000040345" in gave_up["error"]


async def test_rest(tmp_path):
    """The SDK's requests reach Feishu with a token that, like the app's secret, no client sees."""
    async with World(tmp_path, host="127.0.0.2") as world, Wire(world.port) as wire:
        feishu, rest = world.feishu, Rest(world)
        feishu.rest.resources["file_v3_x"] = ("été.bin", bytes(range(256)) * 4000)
        async with rest, python(feishu) as peer:
            await world.start(peer)
            sent = await rest.do("send", to="oc_1", text="hi")
            assert sent["data"]["message_id"] == feishu.rest.messages[0].message_id
            await rest.do("reply", to="om_1", text="héllo")
            reply = feishu.rest.messages[1]
            assert (reply.is_reply, reply.to) == (True, "om_1")
            assert json.loads(reply.content) == {"text": "héllo"}
            picture = await rest.do("image", bytes="89504e47")
            assert feishu.rest.uploads[picture["data"]["image_key"]][1] == b"\x89PNG"
            big = await rest.do("file", name="a.bin", size=3_000_000)
            assert feishu.rest.uploads[big["data"]["file_key"]] == ("a.bin", bytes(3_000_000))
            got = await rest.do("download", of="om_1", key="file_v3_x")
            assert bytes.fromhex(got["bytes"]) == bytes(range(256)) * 4000
            await peer.handled(world.push(1))

            feishu.rest.forget_tokens()  # and the SDK need not know
            assert (await rest.do("send", to="oc_1", text="again"))["code"] == 0
            code, _ = await asyncio.to_thread(world.daemon.stop)
            await world.restart()  # its pass is still good
            assert (await rest.do("send", to="oc_1", text="and again"))["code"] == 0
        assert code == 0
        tokens = {seen.headers["authorization"].split()[1] for seen in feishu.rest.seen
                  if "authorization" in seen.headers}  # fmt: skip
        assert len(tokens) == 2
        for hidden in (*tokens, feishu.settings.app_secret):
            assert hidden.encode() not in wire.octets
        assert LOCAL.encode() in wire.octets
        for seen in feishu.rest.seen:
            assert LOCAL not in str(seen.headers)
            assert LOCAL.encode() not in seen.body


class Rest(Peer):
    """The Python SDK's REST client."""

    def __init__(self, world):
        super().__init__(world.feishu, sys.executable, str(HERE / "rest.py"))
        self._world = world

    async def __aenter__(self):
        await super().__aenter__()
        domain = self._world.domain
        await self.tell(do="client", app_id=APP_ID, app_secret=LOCAL, domain=domain)
        return self

    async def do(self, what, **command):
        """Have it make a request; return what came of it."""
        since = len(self.said)
        await self.tell(do=what, **command)
        return await self.hears("done", since)


async def test_attacks(tmp_path):
    """Tricks, foreign pages, guesses and smuggled requests are refused; Feishu hears of none."""
    async with World(tmp_path) as world:
        good = f"127.0.0.1:{world.port}"
        pair = json.dumps({"app_id": APP_ID, "app_secret": LOCAL})
        token = json.loads(await _ask(world, "POST", TOKEN, good, body=pair))
        pass_ = token["tenant_access_token"]
        for path in TRICKS:
            if path and " " not in path and path.isascii() and path.isprintable():
                assert await _status(world, "GET", path, good, pass_) in REFUSED, path
        for host in ("evil.example", f"evil.example:{world.port}", "127.0.0.1:1"):
            for target in ("/open-apis/x", TOKEN, "/callback/ws/endpoint", "/ws/v2"):
                assert await _status(world, "POST", target, host, pass_) == 403
        assert await _status(world, "GET", "/open-apis/x", good, pass_, "Origin: null\r\n") == 403
        for guess in ("t-" + "0" * 32, LOCAL, world.feishu.settings.app_secret, pass_[:-1]):
            assert await _status(world, "GET", "/open-apis/x", good, guess) == 401
        assert await _status(world, "GET", "/open-apis/x", good) == 401
        for rest in SMUGGLED:
            head = (
                f"POST /open-apis/x HTTP/1.1\r\nHost: {good}\r\nAuthorization: Bearer {pass_}\r\n"
            )
            answer = await _say(world, (head + "Connection: close\r\n" + rest).encode("latin-1"))
            assert answer.split()[1] == b"400", rest
        assert not world.feishu.rest.seen
        elsewhere = Refused(code=1, status=302, headers={"Location": "http://evil.example/"})
        world.feishu.rest.answer.set(elsewhere, times=1)
        assert await _status(world, "GET", "/open-apis/x", good, pass_) == 302
        assert len(world.feishu.rest.seen) == 2
        log = world.daemon.log()
        hidden = (LOCAL, pass_, world.feishu.settings.app_secret, "evil.example")
        assert not [each for each in hidden if each in log]


async def _say(world, octets):
    reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
    try:
        writer.write(octets)
        async with asyncio.timeout(10):
            return await reader.read()
    finally:
        writer.close()


async def _request(world, method, target, host, token="", more="", body=""):
    head = f"{method} {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{more}"
    head += f"Authorization: Bearer {token}\r\n" if token else ""
    return await _say(world, f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())


async def _status(*asked):
    return int((await _request(*asked)).split()[1])


async def _ask(*asked, body):
    return (await _request(*asked, body=body)).partition(b"\r\n\r\n")[2]


async def test_port_in_use(tmp_path):
    """A port somebody has is exit 75, saying whose."""
    async with World(tmp_path / "a") as world:
        (tmp_path / "b").mkdir()
        other = DaemonProcess(
            tmp_path / "b", world.feishu.domain, lookalike__listen=f"127.0.0.1:{world.port}"
        )
        other.start(wait=False)
        assert await asyncio.to_thread(other.process.wait, 20) == 75
        assert f"process {world.daemon.process.pid}" in other.log()
        assert "lookalike.listen" in other.log()


async def test_aiohttp_comes_with_the_first_client(tmp_path):
    """A daemon nobody asks has no web server in memory."""
    async with World(tmp_path) as world, javascript(world.feishu) as peer:
        maps = Path(f"/proc/{world.daemon.process.pid}/maps")
        assert "/aiohttp/" not in maps.read_text()
        await world.start(peer)
        assert "/aiohttp/" in maps.read_text()
