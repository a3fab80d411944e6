"""A native socket that listens, and a client that speaks to it line by line."""

import asyncio
import contextlib
import json
import socket

from downstream.rig import World

from feishu_ws.downstream.admin import Admin
from feishu_ws.downstream.desk import Desk
from feishu_ws.downstream.native import NativeSocket
from feishu_ws.downstream.peers import find_authority
from feishu_ws.downstream.settings import SocketSettings

WAIT_S = 5.0


class RefusedError(Exception):
    """The daemon answered with an error object."""

    def __init__(self, error):
        super().__init__(f"{error['code']}: {error['message']}")
        self.code = error["code"]
        self.error = error


class Client:
    """Reads and writes lines; keeps what it was not asked for."""

    def __init__(self, reader, writer):
        self.reader = reader
        self.writer = writer
        self.kept = []
        self._ids = 0

    async def line(self):
        """Return the next line, decoded; None at the end."""
        raw = await asyncio.wait_for(self.reader.readline(), WAIT_S)
        if not raw:
            return None
        assert raw.endswith(b"\n")
        return json.loads(raw)

    async def next(self, wanted):
        """Return the next message for which `wanted(message)`, and keep the others."""
        for message in self.kept:
            if wanted(message):
                self.kept.remove(message)
                return message
        while (message := await self.line()) is not None:
            if wanted(message):
                return message
            self.kept.append(message)
        raise EOFError

    def write(self, message):
        """Write an object, or bytes as they are."""
        raw = message if isinstance(message, bytes) else json.dumps(message).encode() + b"\n"
        self.writer.write(raw)

    def notify(self, method, **params):
        """Write a notification."""
        self.write({"jsonrpc": "2.0", "method": method, "params": params})

    def ask(self, method, /, **params):
        """Write a request; return its id."""
        self._ids += 1
        self.write({"jsonrpc": "2.0", "id": self._ids, "method": method, "params": params})
        return self._ids

    async def answer(self, rpc_id):
        """Return the result of a request.

        Raises:
            RefusedError: It was answered with an error object.
        """
        message = await self.next(lambda m: "id" in m and m["id"] == rpc_id)
        if "error" in message:
            raise RefusedError(message["error"])
        return message["result"]

    async def call(self, method, /, **params):
        """Send a request and return its result."""
        return await self.answer(self.ask(method, **params))

    async def hello(self, consumer="bot", **params):
        """Greet."""
        return await self.call("hello", consumer=consumer, **params)

    async def event(self):
        """Return the params of the next delivery."""
        return (await self.next(lambda m: m.get("method") == "event"))["params"]

    async def events(self, count):
        """Return the positions of the next deliveries."""
        return [(await self.event())["position"] for _ in range(count)]

    async def quiet(self):
        """Return what else came, after the daemon answered a ping."""
        await self.call("ping")
        return self.kept

    async def rest(self):
        """Return all messages up to the end of the stream."""
        rest, self.kept = self.kept, []
        with contextlib.suppress(ConnectionError):
            while (message := await self.line()) is not None:
                rest.append(message)
        return rest

    async def close(self):
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()


class Served:
    """A world with a socket."""

    def __init__(
        self,
        path,
        *,
        status=None,
        world=None,
        socket_settings=None,
        passed=None,
        admin=None,
        authority=None,
        office=None,
        **delivery,
    ):
        self.world = world or World(**delivery)
        self.path = path
        self._clients = []
        observe = self.world.happenings.append
        admin = admin or Admin(
            self.world.journal,
            self.world.dispatcher,
            app_id="cli_a",
            clock=self.world.clock,
            observe=observe,
        )
        self.native = NativeSocket(
            SocketSettings(path, **(socket_settings or {})),
            self.world.dispatcher,
            Desk(admin, authority or find_authority(), observe=observe),
            app_id="cli_a",
            journal_id="11111111-2222-3333-4444-555555555555",
            status=status or (lambda: {"ready": True}),
            observe=observe,
            passed=passed,
            office=office,
        )

    async def __aenter__(self):
        await self.native.start()
        return self

    async def __aexit__(self, *_):
        for client in self._clients:
            client.writer.transport.abort()
        await self.native.stop(0.2)
        self.world.dispatcher.say_bye("shutdown")

    async def client(self, **limits):
        """Connect."""
        reader, writer = await asyncio.open_unix_connection(
            str(self.path), limit=limits.get("limit", 2**25)
        )
        self._clients.append(Client(reader, writer))
        return self._clients[-1]

    async def consumer(self, name="bot", **params):
        """Connect and greet."""
        client = await self.client()
        client.greeting = await client.hello(name, **params)
        return client

    @property
    def sessions(self):
        return self.native._sessions


@contextlib.contextmanager
def raw_socket(path):
    """Connect a client without a reader, whose buffers a test fills."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.connect(str(path))
        client.settimeout(0)
        yield client
