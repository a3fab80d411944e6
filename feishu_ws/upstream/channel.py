"""The WebSocket itself: the library's connection with a shorter way in and out.

`websockets` hands messages over through a queue, a future and a coroutine each, and
writes each message by itself. Its protocol core needs none of that: here a message
goes straight from the bytes that came in to the sink, and any number of messages go
out in one write.

Invariant: however much comes in, others get their turn of the loop after a bounded part
of it, and what is kept of it is bounded in bytes, whatever pieces it comes in.

Source of what is overridden: websockets 15.0.1 asyncio/connection.py and client.py;
`create_connection=` is its documented way to customise.
"""

import logging
import socket
import struct
import sys
from collections.abc import Iterable
from math import inf
from typing import Final, Protocol

from websockets.asyncio.client import ClientConnection
from websockets.client import ClientProtocol
from websockets.frames import DATA_OPCODES, OP_BINARY, OP_CONT, OP_PONG, OP_TEXT, Frame
from websockets.protocol import CLOSING, OPEN, SEND_EOF, Event

CLOSE_TIMEOUT_S: Final = 0.5  # on a dead peer the library's 10 s would be 10 s of outage
MAX_FRAME: Final = 16 * 1024 * 1024  # its default of 1 MiB kills the link on one large event
WRITE_HIGH: Final = 1024 * 1024  # some 2,000 confirmations; above it the link counts as stalled

SLICE: Final = 16 * 1024  # bytes, of the smallest frames 8,000: what the core takes in one go
PER_TURN: Final = 128 * 1024  # bytes, some milliseconds' worth; a transport hands over millions
PER_FRAME: Final = 128  # bytes that take as long as what every frame takes, however small

_RTO_MAX_MS: Final = 44 if sys.platform == "linux" else 0
"""The longest wait between two sendings of the same bytes, in milliseconds.

Source: Linux 6.15 include/uapi/linux/tcp.h, `TCP_RTO_MAX_MS`; at least 1000."""

_TCP_INFO: Final = struct.Struct("=56xI")
"""Of it `tcpi_last_ack_recv`, milliseconds. Source: Linux include/uapi/linux/tcp.h."""

SOCKET_OPTIONS: Final = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    (socket.IPPROTO_TCP, getattr(socket, "TCP_KEEPIDLE", 0), 20),
    (socket.IPPROTO_TCP, getattr(socket, "TCP_KEEPINTVL", 0), 5),
    (socket.IPPROTO_TCP, getattr(socket, "TCP_KEEPCNT", 0), 3),
    (socket.IPPROTO_TCP, getattr(socket, "TCP_USER_TIMEOUT", 0), 35_000),
    (socket.IPPROTO_TCP, _RTO_MAX_MS, 1000),
)
"""The backstop for when no ping can be sent: seconds, and milliseconds for the last two.

The last one is no backstop. TCP doubles its waits: a ping that an outage swallowed is
sent again 6.4 and then 12.8 s later, which is too late for a link that is well. Older
kernels do not know it; there a fresh link may replace that one.

TCP_USER_TIMEOUT must not be below idle + interval * count, else one lost probe kills a
healthy link. Source: systemd-nat measurements."""

QUIET: Final = logging.Logger("websockets", logging.CRITICAL + 1)  # noqa: LOG001 - on its own
"""For the library, which logs whole frames at debug level and tracebacks at error level."""


class Sink(Protocol):
    """What a channel tells its connection; nothing here may raise or block."""

    def on_tcp(self) -> None:
        """TCP is up, or the proxy's tunnel; TLS comes next where there is any."""

    def on_connected(self, channel: "Channel") -> None:
        """Bytes can flow; the upgrade comes next."""

    def on_bytes(self) -> None:
        """Something came in; what it was follows in the same turn."""

    def on_message(self, data: bytes) -> None:
        """A binary message came in."""

    def on_text(self) -> None:
        """A text message came in, which Feishu never sends."""

    def on_pong(self, payload: bytes) -> None:
        """A WebSocket pong came in."""

    def on_stalled(self, *, stalled: bool) -> None:
        """Unsent bytes rose above `WRITE_HIGH`, or fell well below again."""

    def on_gone(self, exc: Exception | None) -> None:
        """The transport has ended."""


class Channel(ClientConnection):
    """One WebSocket; made by the library, told to tell `sink`."""

    def __init__(self, sink: Sink, protocol: ClientProtocol) -> None:
        super().__init__(
            protocol,
            ping_interval=None,
            ping_timeout=None,
            close_timeout=CLOSE_TIMEOUT_S,
            max_queue=None,
            write_limit=WRITE_HIGH,
        )
        self._sink = sink
        self._message = bytearray()
        self._is_text = False
        self._waiting = b""
        self._taken = 0
        self._is_resting = False
        sink.on_tcp()

    # -- in ---------------------------------------------------------------------------

    def connection_made(self, transport: object) -> None:
        """Set the socket's options; called after TLS."""
        super().connection_made(transport)  # type: ignore[arg-type]
        set_options(self.transport.get_extra_info("socket"))
        self._sink.on_connected(self)

    def data_received(self, data: bytes) -> None:
        """Take bytes from the transport; of very many some in this turn of the loop."""
        self._sink.on_bytes()
        if self._is_resting:
            self._waiting += data
        elif len(data) > SLICE:
            self._take_slices(data)
        else:
            self._take(data)
        if self._taken >= PER_TURN:
            self._rest()

    def _take_slices(self, data: bytes) -> None:
        """Take bytes until `PER_TURN` is used up; what is left waits."""
        at = 0
        while at < len(data) and self._taken < PER_TURN and not self.transport.is_closing():
            self._take(data[at : at + SLICE])
            at += SLICE
        self._waiting = data[at:]

    def _take(self, data: bytes) -> None:
        self._taken += len(data)
        super().data_received(data)
        core = self.protocol
        if core.state is CLOSING and (core.close_rcvd or core.parser_exc):
            self._hang_up()

    def _rest(self) -> None:
        """Let others come first, and read nothing more before that."""
        if not self._is_resting and not self.transport.is_closing():
            self._is_resting = True
            self.transport.pause_reading()
            self.loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        self._taken = 0
        self._take_slices(self._waiting)
        if self.transport.is_closing():
            return
        if self._taken >= PER_TURN:
            self.loop.call_soon(self._go_on)
        else:
            self._is_resting = False
            self.transport.resume_reading()

    def process_event(self, event: Event) -> None:
        """Take one frame, or the answer to the upgrade."""
        self._taken += PER_FRAME
        if not isinstance(event, Frame):
            super().process_event(event)
        elif event.opcode is OP_BINARY and event.fin:
            self._sink.on_message(bytes(event.data))
        elif event.opcode is OP_PONG:
            self._sink.on_pong(bytes(event.data))
        elif event.opcode in DATA_OPCODES:
            self._collect(event)

    def _collect(self, frame: Frame) -> None:
        """Join a fragmented message; the protocol core has checked order and size."""
        if frame.opcode is not OP_CONT:
            self._is_text = frame.opcode is OP_TEXT
        self._message += frame.data
        if not frame.fin:
            return
        message, self._message = bytes(self._message), bytearray()
        if self._is_text:
            self._sink.on_text()
        else:
            self._sink.on_message(message)

    def _hang_up(self) -> None:
        """End the transport: the close is answered, and not every peer ends it."""
        self.transport.close()
        self.loop.call_later(CLOSE_TIMEOUT_S, self.transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """Note the end of the transport."""
        super().connection_lost(exc)
        self._sink.on_gone(exc)

    # -- out --------------------------------------------------------------------------

    def send_data(self) -> None:
        """Send what the core wants sent; many small pongs in one piece, which takes less room."""
        core = self.protocol
        if not core.writes:  # as after most of what comes in
            return
        if SEND_EOF not in core.writes:
            core.writes = [b"".join(core.writes)]
        super().send_data()

    def write_messages(self, messages: Iterable[bytes]) -> bool:
        """Send binary messages in one write; return False if the WebSocket is closing."""
        if not self._is_open:
            return False
        for message in messages:
            self.protocol.send_binary(message)
        self._flush()
        return True

    def write_ping(self, payload: bytes) -> bool:
        """Send a WebSocket ping; return False if the WebSocket is closing."""
        if not self._is_open:
            return False
        self.protocol.send_ping(payload)
        self._flush()
        return True

    @property
    def _is_open(self) -> bool:
        return self.protocol.state is OPEN and not self.transport.is_closing()

    def _flush(self) -> None:
        self.transport.write(b"".join(self.protocol.data_to_send()))

    @property
    def unsent_bytes(self) -> int:
        """Bytes the transport has not been able to send."""
        return self.transport.get_write_buffer_size()

    @property
    def acknowledged_ago_s(self) -> float:
        """Seconds since the peer's TCP last acknowledged anything; inf if that is not known."""
        return read_acknowledged_ago_s(self.transport.get_extra_info("socket"))

    def pause_writing(self) -> None:
        """Note that the peer takes no more bytes."""
        super().pause_writing()
        self._sink.on_stalled(stalled=True)

    def resume_writing(self) -> None:
        """Note that the peer takes bytes again."""
        super().resume_writing()
        self._sink.on_stalled(stalled=False)

    def abort(self) -> None:
        """End the transport at once, without a word to the peer."""
        self.transport.abort()


def set_options(sock: socket.socket) -> None:
    """Set `SOCKET_OPTIONS`, those that the system knows and the socket takes."""
    for level, option, value in SOCKET_OPTIONS:
        if option == 0:
            continue
        try:
            sock.setsockopt(level, option, value)
        except OSError:  # a backstop only; a tunnel or a sandbox may not allow it
            continue


def read_acknowledged_ago_s(sock: socket.socket) -> float:
    """Return the seconds since the peer's TCP acknowledged anything; inf if that is not known."""
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, getattr(socket, "TCP_INFO", 0), _TCP_INFO.size)
        return float(_TCP_INFO.unpack(info)[0]) / 1000
    except (OSError, ValueError, struct.error):  # ValueError: uvloop, of a socket that is closed
        return inf
