"""Feishu and a resolver in the server's namespace, told what to do over a Unix socket.

`python feishu.py CONTROL_SOCKET SERVER_PEM ADDRESS`: the shipped simulator behind TLS,
under host names, with events at a rate. One JSON object per line each way.
"""

import asyncio
import contextlib
import json
import socket
import ssl
import struct
import sys
import time

from feishu_ws.clock import SystemClock
from feishu_ws.simulator.corpus import text_message
from feishu_ws.simulator.load import pace
from feishu_ws.simulator.server import Simulator
from feishu_ws.simulator.settings import SimulatorSettings

DOMAIN = "open.feishu.test"
GATEWAY = "msg-frontier.feishu.test"
HTTPS = 443
DNS = 53
BACKLOG = 128
REDELIVERY_S = (15.0,) * 100
"""Feishu's first wait, over and over: the next ones, 5 min and 1 h, outlast a lab."""

IDLE_S = 30.0
"""After twice our ping interval of silence a link is no longer picked. Source: assumed."""


class TlsListener:
    """The simulator's port, behind TLS."""

    port = HTTPS
    authority = GATEWAY

    def __init__(self, address, certificate):
        self._address = address
        self._tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._tls.load_cert_chain(certificate)
        self._listening = None

    async def open(self, server):
        loop = asyncio.get_running_loop()
        self._listening = await loop.create_server(
            server, self._address, HTTPS, ssl=self._tls, backlog=BACKLOG
        )

    def close(self):
        self._listening.close()


class TlsSimulator(Simulator):
    """The simulator as the internet sees Feishu: by name, over TLS."""

    def __init__(self, settings, certificate):
        super().__init__(settings)
        self._listener = TlsListener(settings.host, certificate)

    async def _discover(self, request):
        answer = await super()._discover(request)
        answer.body = answer.body.replace(b'"ws://', b'"wss://')
        return answer


class Resolver(asyncio.DatagramProtocol):
    """Answers every name with one IPv4 address."""

    def __init__(self, address):
        self._address = socket.inet_aton(address)
        self._transport = None

    def connection_made(self, transport):
        self._transport = transport

    def datagram_received(self, data, sender):
        self._transport.sendto(answer_dns(data, self._address), sender)


def answer_dns(query, address):
    """Return the answer to a query of one question: the address if it asks for one."""
    end = query.index(0, 12) + 5  # the name, its type and its class
    (kind,) = struct.unpack_from("!H", query, end - 4)
    answers = int(kind == 1)
    head = query[:2] + struct.pack("!HHHHH", 0x8180, 1, answers, 0, 0)
    record = struct.pack("!HHHIH", 0xC00C, 1, 1, 1, 4) + address
    return head + query[12:end] + record * answers


class Server:
    """What the control socket can ask for."""

    def __init__(self, feishu, address):
        self._feishu = feishu
        self._address = address
        self._origin = feishu.new_origin()
        self._pushed = []
        self._pacing = None
        self._resolver = None

    # -- what it is asked -----------------------------------------------------------------

    def push(self):
        """Push one event."""
        serial = len(self._pushed)
        delivery = self._feishu.push(text_message(serial, origin=self._origin))
        self._pushed.append((self._origin.event_id(serial), time.time(), delivery))

    def pace(self, rate):
        """Push so many events a second from now on, 0 for none."""
        if self._pacing is not None:
            self._pacing.cancel()
        self._pacing = asyncio.create_task(self._push_at(rate)) if rate else None

    async def _push_at(self, rate):
        async for due in pace(SystemClock(), rate):
            for _ in range(due):
                self.push()

    async def resolve(self):
        """Answer DNS."""
        loop = asyncio.get_running_loop()
        self._resolver, _ = await loop.create_datagram_endpoint(
            lambda: Resolver(self._address), (self._address, DNS)
        )

    def stop_resolving(self):
        """Have nothing on DNS's port any more."""
        self._resolver.close()

    def count(self):
        """Return how many events were pushed, and how many are still to be confirmed."""
        return {"pushed": len(self._pushed), "unconfirmed": self._feishu.stats.unconfirmed}

    def report(self):
        """Return every event: when it was pushed, whether confirmed, after how many attempts."""
        events = {i: (at, d.is_confirmed, d.attempts) for i, at, d in self._pushed}
        return {"events": events, "stats": self._feishu.stats.as_dict()}

    # -- how it is asked ------------------------------------------------------------------

    async def serve(self, reader, writer):
        """Obey one line after another."""
        with contextlib.suppress(ConnectionError):
            while line := await reader.readline():
                word, *values = json.loads(line)
                done = getattr(self, word)(*values)
                result = await done if asyncio.iscoroutine(done) else done
                writer.write(json.dumps(result).encode() + b"\n")
                await writer.drain()
        writer.close()


async def main(control, certificate, address):
    """Serve until killed."""
    settings = SimulatorSettings(host=address, redelivery_s=REDELIVERY_S, idle_s=IDLE_S)
    async with TlsSimulator(settings, certificate) as feishu:
        server = Server(feishu, address)
        await server.resolve()
        listener = await asyncio.start_unix_server(server.serve, control)
        async with listener:
            await listener.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
