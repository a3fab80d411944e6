"""A Feishu of two small servers that does as each test says; not the shipped simulator."""

import asyncio
import json
import socket
import struct
from contextlib import suppress

from websockets.asyncio.server import serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Response

from feishu_ws.wire.frame import CONTROL, DATA, encode_pong, parse_frame, read_headers
from feishu_ws.wire.pbbp2_pb2 import Frame

SERVICE = 33554678
CONFIG = {"ReconnectCount": -1, "ReconnectInterval": 90, "ReconnectNonce": 25, "PingInterval": 90}


def answer(status=200, body=b"", **headers):
    """A discovery answer as bytes on the wire."""
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}"]
    lines += [f"{key.replace('_', '-')}: {value}" for key, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def code(number, **data):
    """A discovery answer with one of Feishu's codes."""
    return answer(body=json.dumps({"code": number, "msg": "no", "data": data or None}).encode())


def data_frame(payload, message_id="m", seq=0, total=1, kind="event", drop=(), **more):
    """A data frame with every header Feishu sends, except those in `drop`."""
    frame = Frame(SeqID=7, LogID=8, service=SERVICE, method=DATA, LogIDNew="L", payload=payload)
    headers = {
        "type": kind,
        "message_id": message_id,
        "sum": total,
        "seq": seq,
        "trace_id": "t-1",
        "timestamp": 1774004591415,
        "instance_id": "i-1",
        **more,
    }
    for key, value in headers.items():
        if key not in drop:
            frame.headers.add(key=key, value=str(value))
    return frame


class Session:
    """One WebSocket, seen from Feishu."""

    def __init__(self, ws):
        self.ws = ws
        self.pings = 0
        self.frames = asyncio.Queue()

    async def send(self, *frames):
        for frame in frames:
            await self.ws.send(frame.SerializeToString() if isinstance(frame, Frame) else frame)

    async def confirm(self):
        """The next confirmation, parsed."""
        async with asyncio.timeout(5):
            return await self.frames.get()

    async def confirms(self, number):
        return [await self.confirm() for _ in range(number)]

    def reset(self):
        """End TCP with an RST."""
        sock = self.ws.transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.ws.transport.abort()

    def freeze(self):
        """Keep TCP open and read nothing more."""
        self.ws.transport.pause_reading()


class FakeFeishu:
    """Discovery and WebSockets on loopback.

    Attributes:
        script: Discovery answers to give first: bytes, or None to hang.
        refusals: Refusals of the upgrade to give first: (status, headers).
        pong: The config sent with pongs; None for no application pongs.
        silent: New sessions read nothing from the start.
    """

    def __init__(self):
        self.script = []
        self.refusals = []
        self.requests = []
        self.pong = CONFIG
        self.config = CONFIG
        self.silent = False
        self.sessions = []
        self.query = f"?fpid=493&device_id=d-1&access_key=k3y&service_id={SERVICE}&ticket=t1cket"
        self._opened = asyncio.Queue()

    async def __aenter__(self):
        self._http = await asyncio.start_server(self._discover, "127.0.0.1", 0)
        self._ws = await serve(
            self._session,
            "127.0.0.1",
            0,
            ping_interval=None,
            compression=None,
            close_timeout=0.1,
            max_size=None,
            process_request=self._upgrade,
        )
        self.domain = f"http://127.0.0.1:{self._http.sockets[0].getsockname()[1]}"
        self.ws_port = self._ws.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self._http.close()
        for session in self.sessions:
            session.ws.transport.abort()
        self._ws.close()
        await self._ws.wait_closed()

    @property
    def url(self):
        return f"ws://127.0.0.1:{self.ws_port}/ws/v2{self.query}"

    def endpoint(self):
        data = {"URL": self.url, "ClientConfig": self.config}
        return answer(
            body=json.dumps({"code": 0, "msg": "ok", "data": data}).encode(),
            Date="Mon, 23 Nov 2026 18:00:00 GMT",
        )

    async def _discover(self, reader, writer):
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            self.requests.append((head, await reader.readexactly(length)))
            reply = self.script.pop(0) if self.script else self.endpoint()
            if reply is None:
                await reader.read()
            else:
                writer.write(reply)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    def _upgrade(self, ws, request):
        if self.refusals:
            status, headers = self.refusals.pop(0)
            return Response(status, "Refused", Headers(headers), b"")
        return None

    async def _session(self, ws):
        session = Session(ws)
        self.sessions.append(session)
        if self.silent:
            session.freeze()
        self._opened.put_nowait(session)
        with suppress(ConnectionClosed):
            async for message in ws:
                await self._take(session, message)

    async def _take(self, session, message):
        frame = parse_frame(message)
        if frame.method != CONTROL:
            session.frames.put_nowait(frame)
            return
        assert read_headers(frame) == {"type": "ping"}
        assert frame.service == SERVICE
        session.pings += 1
        if self.pong is not None:
            await session.ws.send(encode_pong(SERVICE, json.dumps(self.pong).encode()))

    async def opened(self):
        """The next session that a client opens."""
        async with asyncio.timeout(10):
            return await self._opened.get()
