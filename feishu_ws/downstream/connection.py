"""A stream of lines with a client: flow control in both directions, and a bounded end.

Knows lines, not what they say; `session.py` does. Invariants:

- What one client sends is handled for at most `TURN_S` at a time; then it is the others'
  turn, and no more is read from it before that is done.
- What waits for a client is bounded: deliveries stop at `DELIVER_UNTIL`, and beyond
  `MAX_UNSENT` (and one longest line) it is slow and leaves.
- Every end has a deadline, also with a client that neither reads nor closes.
"""

import asyncio
import select
from collections import deque
from typing import Final, cast

from feishu_ws.wire.native import MAX_LINE_TO_DAEMON, Lines, LineTooLongError

MAX_UNSENT: Final = 8 * 1024 * 1024
DELIVER_UNTIL: Final = 4 * 1024 * 1024  # the other half is for answers
LOW_UNSENT: Final = 1024 * 1024  # a client that had too much gets deliveries again below this
TURN_S: Final = 0.001  # lines handled per turn of the loop; 64 busy clients are 64 ms
LEAVE_S: Final = 1.0  # how long settles are read after the bye
ANSWER_S: Final = 10.0  # how long a client that closed its side may wait for an answer


class Connection(asyncio.Protocol):
    """One client's stream. Subclasses say what lines mean."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._lines = Lines(MAX_LINE_TO_DAEMON)
        self._waiting: deque[bytes] = deque()
        self._is_turn_due = False
        self._is_deaf = False
        self._out: list[bytes] = []
        self._out_bytes = 0
        self._longest = 0
        self._is_flush_due = False
        self._was_full = False
        self._closing: asyncio.TimerHandle | None = None
        self.is_leaving = False
        self.is_half_closed = False

    # -- what a subclass provides -----------------------------------------------------------

    def handle(self, line: bytes) -> None:
        """Obey a line, which is not empty."""
        raise NotImplementedError

    def is_busy(self) -> bool:
        """Whether no more lines may be handled now; `go_on` when that is over."""
        raise NotImplementedError

    def owes_answers(self) -> bool:
        """Whether the client waits for an answer."""
        raise NotImplementedError

    def on_room(self) -> None:
        """Deliveries may go on."""
        raise NotImplementedError

    def on_half_close(self) -> None:
        """The client will say nothing any more."""
        raise NotImplementedError

    def on_too_long(self) -> None:
        """A line was too long; what comes after it is not looked at."""
        raise NotImplementedError

    def on_slow(self) -> None:
        """The client does not read what it asked for."""
        raise NotImplementedError

    def on_lost(self) -> None:
        """The client is gone."""
        raise NotImplementedError

    # -- the transport ----------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)
        # The mark is the first size that counts as full, so that `resume_writing` follows it.
        self._transport.set_write_buffer_limits(high=DELIVER_UNTIL - 1, low=LOW_UNSENT)

    @property
    def transport(self) -> asyncio.Transport:
        """The connection itself."""
        return self._transport

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        del exc
        self.is_leaving = True
        self._out.clear()
        self._waiting.clear()
        if self._closing is not None:
            self._closing.cancel()
        self.on_lost()

    def eof_received(self) -> bool:
        """The client closed its side: it gets what it asked for, then this ends."""
        if self.is_leaving or self._is_gone():
            return False  # close at once
        self.is_half_closed = True
        self._closing = self._loop.call_later(ANSWER_S, self._transport.abort)
        self.on_half_close()
        self._leave_if_answered()
        return True

    def _is_gone(self) -> bool:
        """Whether the client closed both sides: there is nobody to answer to."""
        poll = select.poll()
        poll.register(self._transport.get_extra_info("socket").fileno(), 0)
        return any(seen & select.POLLHUP for _, seen in poll.poll(0))

    # -- lines in ---------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Take complete lines out of what came."""
        if self._is_deaf:
            return
        try:
            lines = self._lines.feed(data)
        except LineTooLongError:
            self._is_deaf = True
            self.on_too_long()
            return
        self._waiting.extend(line for line in lines if line and not line.isspace())
        if not self._is_turn_due:
            self._turn()

    def go_on(self) -> None:
        """Something was answered: handle what waited for that."""
        if self._waiting and not self._is_turn_due:
            self._turn()
        self._leave_if_answered()

    def _turn(self) -> None:
        """Handle lines for a while; read on when none is left."""
        self._is_turn_due = False
        until = self._loop.time() + TURN_S
        while self._waiting and not self.is_busy() and self._loop.time() < until:
            self.handle(self._waiting.popleft())
        if self._waiting and not self.is_busy():
            self._is_turn_due = True
            self._loop.call_soon(self._turn)
        if self._transport.is_closing():
            return
        if self._waiting:  # and nothing is heard, an end of file neither
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    # -- lines out --------------------------------------------------------------------------

    def send(self, line: bytes) -> None:
        """Send a line, in one write with all others of this turn; never blocks."""
        if self.is_leaving:
            return
        self._out.append(line)
        self._out_bytes += len(line)
        self._longest = max(self._longest, len(line))
        if not self._is_flush_due:
            self._is_flush_due = True
            self._loop.call_soon(self._flush)

    def has_room(self) -> bool:
        """Whether deliveries may go on; `on_room` is called when they may again."""
        is_full = self._unsent() >= DELIVER_UNTIL
        self._was_full |= is_full
        return not is_full

    def _unsent(self) -> int:
        return self._out_bytes + self._transport.get_write_buffer_size()

    def _flush(self) -> None:
        self._is_flush_due = False
        self._write_out()
        if self.is_leaving:
            return
        if self._unsent() > MAX_UNSENT + self._longest:
            self.on_slow()
        elif self._unsent() < DELIVER_UNTIL:  # else `resume_writing` comes
            self._note_room()

    def _write_out(self) -> None:
        if self._out and not self._transport.is_closing():
            self._transport.write(b"".join(self._out))
            self._out.clear()
            self._out_bytes = 0

    def _note_room(self) -> None:
        self._longest = 0
        if self._was_full:
            self._was_full = False
            self.on_room()

    def resume_writing(self) -> None:
        """The client reads again."""
        if not self._out:  # else the flush says so
            self._note_room()

    # -- the end ----------------------------------------------------------------------------

    def leave(self, last_words: bytes) -> None:
        """Send a last line, close our side, listen for a moment more, and be gone."""
        if self.is_leaving:
            return
        self.send(last_words)
        self._write_out()
        self.is_leaving = True
        if not self._transport.is_closing() and self._transport.can_write_eof():
            self._transport.write_eof()
        if self._closing is None:
            self._closing = self._loop.call_later(LEAVE_S, self._transport.abort)

    def _leave_if_answered(self) -> None:
        if self.is_half_closed and not (self.is_leaving or self.owes_answers()):
            self._write_out()
            self.is_leaving = True
            self._transport.close()
