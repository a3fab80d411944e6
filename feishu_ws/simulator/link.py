"""One live WebSocket of a simulated Feishu, and the ways to hurt it.

Sending never waits: frames gather until the loop comes round, then go to the transport
in one write; a link that takes no more than `unsent_bytes` is reset. Only data written
by the link itself may be on the transport, whole frames at a time.
"""

import asyncio
import select
import socket
import struct
from collections.abc import Callable
from enum import StrEnum
from typing import Final

from aiohttp import WSMessage, WSMsgType, web

from feishu_ws.simulator.octets import BINARY, PONG, TEXT, encode_header
from feishu_ws.simulator.settings import SimulatorSettings

Receive = Callable[["Link", WSMessage], None]
"""Told of every text and binary message."""


class Condition(StrEnum):
    """What a link does with what comes and goes."""

    LIVE = "live"
    SILENT = "silent"  # a black hole: takes nothing in, lets nothing out
    CLOSING = "closing"  # a close frame is on its way
    GONE = "gone"


CHOSEN: Final = frozenset({Condition.LIVE, Condition.SILENT})
"""Feishu does not know a black hole when it picks one."""
HANGUP: Final = select.POLLHUP | select.POLLERR | getattr(select, "POLLRDHUP", 0)
"""The peer closed or reset, seen without reading. POLLRDHUP is Linux only."""


def reset(transport: asyncio.Transport) -> None:
    """End a TCP connection with RST."""
    connection = transport.get_extra_info("socket")
    if connection is not None and not transport.is_closing():
        # on, 0 s: the kernel discards what is unsent and sends RST instead of FIN
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


class Link:
    """A live connection to one client.

    Attributes:
        number: Counts from 1 in the order of the handshakes.
        opened_s, heard_s: Handshake and latest sign of life, on the simulator's clock.
        pings: Application pings received.
        ws_pings: WebSocket pings received.
        answers_pings: Set to false to leave application pings unanswered.
        answers_ws_pings: Likewise for WebSocket pings.
        was_reset: Cut from this side without a close frame.
    """

    def __init__(
        self,
        number: int,
        socket_: web.WebSocketResponse,
        transport: asyncio.Transport,
        settings: SimulatorSettings,
        now_s: float,
    ) -> None:
        self.number = number
        self.opened_s = self.heard_s = now_s
        self.pings = 0
        self.ws_pings = 0
        self.answers_pings = True
        self.answers_ws_pings = True
        self.was_reset = False
        self.condition = Condition.LIVE
        self._socket = socket_
        self._transport = transport
        self._unsent_max = settings.unsent_bytes
        self._outbox: list[bytes] = []
        self._gone = asyncio.Event()
        self._notices_close = True
        self._closing: asyncio.Task[bool] | None = None
        self._loop = asyncio.get_running_loop()

    @property
    def is_chosen(self) -> bool:
        """Whether Feishu would pick it for an event."""
        return self.condition in CHOSEN

    # -- ordinary life -------------------------------------------------------------------

    def send_raw(self, data: bytes | str) -> None:
        """Send one binary (or text) message as it is; nothing leaves a black hole."""
        if isinstance(data, str):
            self._write(TEXT, data.encode())
        else:
            self._write(BINARY, data)

    def send_ws_pong(self, data: bytes) -> None:
        """Answer a WebSocket ping."""
        self._write(PONG, data)

    def _write(self, opcode: int, data: bytes) -> None:
        if self.condition is not Condition.LIVE:
            return
        if not self._outbox:
            self._loop.call_soon(self._flush)
        self._outbox.append(encode_header(opcode, len(data)))
        self._outbox.append(data)

    def _flush(self) -> None:
        outbox, self._outbox = self._outbox, []
        if not outbox or self._transport.is_closing():
            return
        self._transport.write(b"".join(outbox))
        if self._transport.get_write_buffer_size() > self._unsent_max:
            self.reset()

    async def read(self, receive: Receive) -> None:
        """Hand over messages until the link ends, from whichever side."""
        while True:
            message = await self._socket.receive()
            if self.condition is Condition.SILENT:
                await self._gone.wait()
            elif message.type in {WSMsgType.BINARY, WSMsgType.TEXT, WSMsgType.PING}:
                if self.condition is Condition.LIVE:
                    receive(self, message)
                continue
            elif message.type is WSMsgType.PONG:
                continue
            break
        if self._closing is not None:
            await self._closing

    @property
    def unsent_bytes(self) -> int:
        """What the client has not taken yet, beyond what the kernel holds."""
        waiting = sum(len(data) for data in self._outbox)
        return waiting + self._transport.get_write_buffer_size()

    def note_gone(self) -> None:
        """Mark the link as ended; it takes nothing any more."""
        self.condition = Condition.GONE
        self._outbox.clear()
        self._gone.set()

    # -- ways to hurt it -----------------------------------------------------------------

    def reset(self) -> None:
        """Cut the connection without a close frame: the client gets a TCP RST."""
        if self.condition is Condition.GONE:
            return
        self.was_reset = True
        self.note_gone()
        reset(self._transport)

    def hang_up(self) -> None:
        """End the TCP connection in good order, without a close frame."""
        if self.condition is not Condition.LIVE:
            return
        self._flush()
        self.note_gone()
        self._transport.close()

    def violate(self, octets: bytes) -> None:
        """Send octets that break the WebSocket protocol; a client has to end the link."""
        if self.condition is Condition.LIVE:
            self._flush()
            self._transport.write(octets)

    def close(self, code: int = 1000, reason: str = "bye") -> None:
        """Close in good order; the default is what Feishu was seen to send."""
        if self.condition is not Condition.LIVE:
            return
        self._flush()
        self.condition = Condition.CLOSING
        self._closing = self._loop.create_task(
            self._socket.close(code=code, message=reason.encode()),
            name=f"simulator link {self.number} closing",
        )

    def go_silent(self, *, notices_close: bool = True) -> None:
        """Become a black hole: TCP stays open, nothing is read, answered or sent any more.

        Args:
            notices_close: Be gone once the client closed its side; otherwise the link
                stays, and is picked for events, until it is reset or idle for `idle_s`.
        """
        if self.condition is not Condition.LIVE:
            return
        self._flush()
        self.condition = Condition.SILENT
        self._notices_close = notices_close
        self._transport.pause_reading()

    def is_abandoned(self) -> bool:
        """Whether the client left a black hole that notices such things."""
        if self.condition is not Condition.SILENT or not self._notices_close:
            return False
        connection = self._transport.get_extra_info("socket")
        if connection is None or connection.fileno() < 0:
            return True
        poll = select.poll()
        poll.register(connection.fileno(), HANGUP)
        return bool(poll.poll(0))
