"""The lookalike's port: taken at the start, served from the first connection on.

What serves it costs eleven megabytes, so it is imported when somebody comes, on a
thread; who comes meanwhile waits in the backlog.
"""

import asyncio
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from feishu_ws.clock import Clock
from feishu_ws.downstream.lookalike.crowd import Crowd
from feishu_ws.downstream.lookalike.door import Door
from feishu_ws.happenings import ClientRefused, Observer

if TYPE_CHECKING:
    from aiohttp import web

    from feishu_ws.downstream.lookalike.reception import Forward, Reception

MAX_CONNECTIONS: Final = 256
HEAD_S: Final = 10.0  # for the head of a first request; a client that says nothing keeps others out
BACKLOG: Final = 128
LEAST_END_S: Final = 0.2  # for requests that are under way when all WebSockets are closed


class Lookalike:
    """Serves clients.

    Args:
        listener: A socket that listens; closed at the end.
        door: Lets them in.
        crowd: Where their WebSockets go.
        forward: Where their other requests go.
        is_for_us: Judges a `Host`.
    """

    def __init__(
        self,
        listener: socket.socket,
        door: Door,
        crowd: Crowd,
        forward: "Forward",
        is_for_us: Callable[[str | None], bool],
        *,
        clock: Clock,
        observe: Observer,
    ) -> None:
        self._listener = listener
        self.door = door
        self.crowd = crowd
        self.forward = forward
        self.is_for_us = is_for_us
        self.is_stopping = False
        self._clock = clock
        self._observe = observe
        self._server: web.Server | None = None
        self._silent: set[asyncio.BaseProtocol] = set()  # those whose time runs
        self._listening: asyncio.AbstractServer | None = None

    async def run(self) -> None:
        """Wait for the first connection, then serve for ever."""
        try:
            await self._knock()
            reception = await asyncio.to_thread(_load)
            self._server = reception(self, clock=self._clock, observe=self._observe).server()
            loop = asyncio.get_running_loop()
            self._listening = await loop.create_server(
                self._admit, sock=self._listener, backlog=BACKLOG
            )
            await self._listening.serve_forever()
        finally:
            self._listener.close()

    async def _knock(self) -> None:
        """Wait until somebody connects; the connection stays where it is."""
        loop, somebody = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self._listener, somebody.set)
        try:
            await somebody.wait()
        finally:
            loop.remove_reader(self._listener)

    def _admit(self) -> asyncio.BaseProtocol:
        """Make the protocol of a new connection."""
        assert self._server is not None
        if len(self._server.connections) >= MAX_CONNECTIONS:
            self._observe(ClientRefused("full"))
            return _Refused()
        protocol = self._server()
        self._silent.add(protocol)
        asyncio.get_running_loop().call_later(HEAD_S, self._expect_head, protocol)
        return protocol

    def note_request(self, protocol: asyncio.BaseProtocol) -> None:
        """Take note that the head of a request came over a connection."""
        self._silent.discard(protocol)

    def _expect_head(self, protocol: "web.RequestHandler") -> None:
        """Hang up on a client that has not asked for anything yet."""
        if protocol in self._silent:
            self._silent.discard(protocol)
            if protocol.transport is not None:
                self._observe(ClientRefused("slow"))
                protocol.transport.abort()

    async def stop(self, within_s: float) -> None:
        """Accept no more, take answers for up to `within_s`, close."""
        self.is_stopping = True
        loop = asyncio.get_running_loop()
        until = loop.time() + within_s
        if self._listening is not None:
            self._listening.close()
        await self.crowd.stop(within_s)
        if self._server is not None:
            self._server.pre_shutdown()
            await self._server.shutdown(max(until - loop.time(), LEAST_END_S))


class _Refused(asyncio.Protocol):
    """Hangs up at once."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


def _load() -> "type[Reception]":
    from feishu_ws.downstream.lookalike.reception import Reception

    return Reception
