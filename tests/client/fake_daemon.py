"""A daemon that speaks CONTRACT 5 as far as clients see it, and does what a test tells it."""

import asyncio
import contextlib
import json

from feishu_ws.client import CloudEvent


def cloud_event(position, **more):
    """Return a CloudEvent as the daemon makes them."""
    return {
        "specversion": "1.0",
        "id": f"ev-{position}",
        "source": "/feishu/cli_a/t1",
        "type": "im.message.receive_v1",
        "time": "2026-03-20T11:03:11.415Z",
        "subject": "oc_1",
        "datacontenttype": "application/json",
        "data": {"n": position},
    } | more


def event_of(**more):
    """Return the same as a consumer gets it."""
    return CloudEvent(json.dumps(cloud_event(1, **more)).encode())


def event_params(position, **more):
    """Return the params of an `event` notification."""
    return {
        "position": position,
        "attempt": 1,
        "reply_by": None,
        "late": False,
        "event": cloud_event(position),
    } | more


class FakeDaemon:
    """Answers hello and settle, notes every call, and sends what a test says.

    Attributes:
        calls: (method, params) of every line that came, in order.
        greeted: Connections that said hello, the newest last.
        refuse: By method, the error object it is answered with.
        silent: Methods that get no answer.
        results: By method, what it is answered with; an empty object otherwise.
        before: By method, what to do with its params before it is answered.
    """

    def __init__(self, path):
        self.path = str(path)
        self.calls = []
        self.greeted = []
        self.refuse = {}
        self.silent = set()
        self.results = {}
        self.before = {}
        self.status = {"version": "0.1.0"}
        self.on_hello = None
        self._open = set()
        self._server = None
        self._changed = asyncio.Condition()

    async def __aenter__(self):
        self._server = await asyncio.start_unix_server(self._serve, self.path, limit=8 << 20)
        return self

    async def __aexit__(self, *_):
        self._server.close()
        for writer in list(self._open):
            writer.transport.abort()
        await self._server.wait_closed()

    async def _serve(self, reader, writer):
        self._open.add(writer)
        with contextlib.suppress(ConnectionError):
            while line := await reader.readline():
                await self._take(json.loads(line), writer)
        self._open.discard(writer)
        writer.close()

    async def _take(self, call, writer):
        method, params = call["method"], call["params"]
        async with self._changed:
            self.calls.append((method, params))
            self._changed.notify_all()
        self.before.get(method, lambda _: None)(params)
        if "id" in call and method not in self.silent:
            self._answer(call, writer)
        if method == "hello" and method not in self.refuse:
            self.greeted.append(writer)
            if self.on_hello:
                self.on_hello(self, params)

    def _answer(self, call, writer):
        answer = {"jsonrpc": "2.0", "id": call["id"]}
        refusal = self.refuse.get(call["method"])
        if refusal:
            answer["error"] = refusal
        else:
            answer["result"] = self._result(call["method"])
        writer.write(json.dumps(answer).encode() + b"\n")

    def _result(self, method):
        hello = {
            "protocol": 1,
            "version": "0.1.0",
            "app_id": "cli_a",
            "journal": "j",
            "position": 9,
        }
        usual = {"hello": hello | {"cursor": 0}, "status": self.status, "ping": "pong"}
        return (usual | self.results).get(method, {})

    # -- what a test says ---------------------------------------------------------------

    def send(self, method, params):
        """Send a notification to the newest consumer."""
        message = {"jsonrpc": "2.0", "method": method, "params": params}
        self.send_line(json.dumps(message, ensure_ascii=False).encode())

    def send_line(self, line):
        """Send a line as it stands."""
        self.greeted[-1].write(line + b"\n")

    def deliver(self, *positions, **more):
        """Deliver plain events to the newest consumer."""
        for position in positions:
            self.send("event", event_params(position, **more))

    def bye(self, reason):
        """Say goodbye and send nothing more, but go on reading."""
        self.send("bye", {"reason": reason})
        self.greeted[-1].write_eof()

    def drop(self):
        """Cut the newest consumer off."""
        self.greeted[-1].transport.abort()

    async def wait_for(self, method, count=1):
        """Return the params of all calls of `method` once there are `count`."""
        async with asyncio.timeout(5), self._changed:
            await self._changed.wait_for(lambda: len(self.params(method)) >= count)
        return self.params(method)

    async def settled(self, count):
        """Return the first `count` positions settled, in order."""
        async with asyncio.timeout(5), self._changed:
            await self._changed.wait_for(lambda: len(self._positions()) >= count)
        return self._positions()

    def _positions(self):
        return [n for params in self.params("settle") for n in params["positions"]]

    def params(self, method):
        """Return the params of all calls of `method` so far."""
        return [params for name, params in self.calls if name == method]
