"""A lookalike over a journal in memory, clients of it, and the Feishu behind it."""

import asyncio
import contextlib
import json
from dataclasses import replace

import websockets
from downstream.rig import MESSAGE, SlowJournal, make_event
from support import eventually

from feishu_ws.clock import SystemClock
from feishu_ws.config import Settings
from feishu_ws.downstream.dispatcher import Dispatcher
from feishu_ws.downstream.settings import DeliverySettings
from feishu_ws.journal.contract import JournalSettings
from feishu_ws.lookalike import LookalikeDesk
from feishu_ws.outward import Outward
from feishu_ws.secret import Secret
from feishu_ws.tally import Tally
from feishu_ws.upstream.settings import Credentials
from feishu_ws.wire.pbbp2_pb2 import Frame

APP_ID = "cli_local"
APP_SECRET = "the-app's-own-secret"
LOCAL_SECRET = "a-local-secret"
NOWHERE = "http://127.0.0.1:9"  # the discard port: nobody is there


class House:
    """A lookalike that runs.

    Args:
        domain: Of the Feishu behind it.
        delivery: Keys of `delivery.*`.
        lookalike: Keys of `lookalike.*`.
    """

    def __init__(self, domain=NOWHERE, journal=None, delivery=None, **lookalike):
        self.clock = SystemClock()
        self.tally = Tally()
        self.seen = []
        self.journal = journal or SlowJournal(JournalSettings(), clock=self.clock)
        self.delivery = DeliverySettings(**(delivery or {}))
        given = {"listen": "127.0.0.1:0", "secret": Secret(LOCAL_SECRET)} | lookalike
        settings = Settings()
        self.settings = replace(
            settings,
            app=replace(settings.app, id=APP_ID, secret=Secret(APP_SECRET), domain=domain),
            lookalike=replace(settings.lookalike, **given),
        )

    async def __aenter__(self):
        rest = {"clock": self.clock, "tally": self.tally, "observe": self.seen.append}
        self.dispatcher = Dispatcher(self.journal, self.delivery, **rest)
        self.outward = Outward(
            self.settings, self.journal, lambda: Credentials(APP_ID, Secret(APP_SECRET)), **rest
        )
        self.desk = LookalikeDesk(
            lambda: self.settings, self.journal, self.dispatcher, self.outward, **rest
        )
        self.desk.start()
        self.running = asyncio.create_task(self.desk.run())
        self.address = self.desk.fact().address
        self.port = int(self.address.rpartition(":")[2])
        return self

    async def __aexit__(self, *_):
        await self.desk.stop(0.2)
        self.running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.running
        await self.outward.stop(0.1)
        await self.outward.close()

    @property
    def crowd(self):
        return self.desk._lookalike.crowd

    def of(self, kind):
        """Return the happenings of a kind."""
        return [h for h in self.seen if isinstance(h, kind)]

    @property
    def refusals(self):
        """Why clients were refused."""
        return [h.reason for h in self.seen if type(h).__name__ == "ClientRefused"]

    # -- events ---------------------------------------------------------------------------

    def store(self, *names, kind=MESSAGE, size=0):
        """Store events; return them."""
        events = [make_event(n, kind, at_ms=self.clock.wall_ms(), size=size) for n in names]
        for event in events:
            self.journal.append(event, lambda _: None)
        return events

    def cursor(self):
        """Where the consumer stands."""
        return self.journal.consumers()["lookalike"].cursor

    # -- requests -------------------------------------------------------------------------

    async def say(self, octets, timeout_s=5.0):
        """Send octets over a connection of their own; return all that comes back."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(octets)
            async with asyncio.timeout(timeout_s):
                return await reader.read()
        finally:
            writer.close()

    async def ask(self, method, target, body=b"", headers=(), *, host=None, length=True):
        """Make one request; return (status, headers, body)."""
        lines = [f"{method} {target} HTTP/1.1", f"Host: {host or self.address}"]
        lines += ["Connection: close", *(f"{name}: {value}" for name, value in headers)]
        if length and (body or method in {"POST", "PUT", "PATCH"}):
            lines.append(f"Content-Length: {len(body)}")
        return parse(await self.say("\r\n".join([*lines, "", ""]).encode() + body))

    async def discover(self, app_id=APP_ID, secret=LOCAL_SECRET, **more):
        """Ask for an endpoint; return the answer's body."""
        body = json.dumps({"AppID": app_id, "AppSecret": secret} | more).encode()
        status, _, answer = await self.ask("POST", "/callback/ws/endpoint", body)
        assert status == 200, answer
        return json.loads(answer)

    async def connect(self, **options):
        """Return a client that is connected."""
        url = (await self.discover())["data"]["URL"]
        socket = await websockets.connect(url, proxy=None, **options)
        client = Client(socket)
        await client.ping()  # as SDKs do
        await eventually(lambda: self.dispatcher.seats.is_connected("lookalike"))
        return client

    async def token(self, secret=LOCAL_SECRET):
        """Return a pass, got as an SDK gets its token."""
        body = json.dumps({"app_id": APP_ID, "app_secret": secret}).encode()
        path = "/open-apis/auth/v3/tenant_access_token/internal"
        status, _, answer = await self.ask("POST", path, body)
        assert status == 200
        return json.loads(answer)["tenant_access_token"]


class Client:
    """A WebSocket that answers as it is told."""

    def __init__(self, socket):
        self.socket = socket

    async def any_frame(self, timeout_s=5.0):
        """Return the next frame."""
        async with asyncio.timeout(timeout_s):
            return Frame.FromString(await self.socket.recv())

    async def frame(self, timeout_s=5.0):
        """Return the next frame that is no pong."""
        async with asyncio.timeout(timeout_s):
            while True:
                frame = await self.any_frame()
                if frame.method:
                    return frame

    async def pong(self):
        """Return the next frame that is a pong."""
        while (frame := await self.any_frame()).method:
            pass
        return frame

    async def event(self, timeout_s=5.0):
        """Return the next frame, and its event's name."""
        frame = await self.frame(timeout_s)
        return frame, json.loads(frame.payload)["name"]

    async def answer(self, frame, payload=b'{"code":200}'):
        """Answer a frame as SDKs do: the same frame, another payload."""
        frame.headers.add(key="biz_rt", value="1")
        frame.payload = payload
        await self.socket.send(frame.SerializeToString())

    async def take(self, *names, payload=b'{"code":200}'):
        """Get these events in this order and answer each."""
        for name in names:
            frame, got = await self.event()
            assert got == str(name)
            await self.answer(frame, payload)

    async def hears_nothing(self, for_s=0.15):
        """Whether nothing comes."""
        try:
            await self.frame(for_s)
        except TimeoutError:
            return True
        return False

    async def ping(self):
        """Send an application ping."""
        frame = Frame(SeqID=0, LogID=0, service=7, method=0)
        frame.headers.add(key="type", value="ping")
        await self.socket.send(frame.SerializeToString())

    async def close(self):
        await self.socket.close()


def headers_of(frame):
    """Return a frame's headers."""
    return {header.key: header.value for header in frame.headers}


def parse(octets):
    """Return (status, headers, body) of an answer; (0, {}, b"") without one."""
    if not octets:
        return 0, {}, b""
    head, _, body = octets.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    if headers.get("transfer-encoding") == "chunked":
        body = _dechunk(body)
    return int(first.split()[1]), headers, body


def _dechunk(body):
    whole = b""
    while body:
        size, _, body = body.partition(b"\r\n")
        length = int(size, 16)
        whole, body = whole + body[:length], body[length + 2 :]
        if not length:
            break
    return whole
