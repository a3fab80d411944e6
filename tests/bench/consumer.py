"""Consumers inside the harness: one reads the daemon's native socket, one listens to peers.

Both find an event's serial number by the mark in its id, so that what is counted is the
events themselves.
"""

import asyncio
import time
from pathlib import Path

from bench.events import SERIAL_DIGITS

STAMP = b'{"at":'
HELLO = (
    b'{"jsonrpc":"2.0","id":1,"method":"hello","params":{"consumer":"bench","start":"earliest"}}\n'
)


class _Lines(asyncio.Protocol):
    """Lines of events.

    Attributes:
        received_ns: By serial number, when the line was read; monotonic.
        handled_ns: By serial number, when a peer's handler was called, if it says so.
        repeats: Events that came again.
    """

    def __init__(self, mark):
        self._mark = mark
        self._rest = []
        self.received_ns = {}
        self.handled_ns = {}
        self.repeats = 0
        self.transport = None
        self.connected = asyncio.Event()

    def connection_made(self, transport):
        self.transport = transport
        self.connected.set()

    def data_received(self, data):
        if data.find(b"\n") < 0:
            self._rest.append(data)
            return
        now_ns = time.monotonic_ns()
        *lines, rest = b"".join([*self._rest, data]).split(b"\n")
        self._rest = [rest] if rest else []
        for line in lines:
            self._note(line, now_ns)
        self.settle(lines)

    def _note(self, line, now_ns):
        at = line.find(self._mark)
        if at < 0:
            return  # an answer, not an event
        at += len(self._mark)
        serial = int(line[at : at + SERIAL_DIGITS], 16)
        if serial in self.received_ns:
            self.repeats += 1
        self.received_ns[serial] = now_ns
        if line.startswith(STAMP):
            self.handled_ns[serial] = int(line[len(STAMP) : line.index(b",")])

    def settle(self, lines):
        """Say that these were dealt with."""


class PeerLines(_Lines):
    """What a peer's handler hands on, over a Unix socket that it connects to."""

    async def listen(self, path):
        """Listen for the peer."""
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_unix_server(lambda: self, str(path))


class NativeLines(_Lines):
    """A consumer of the daemon as lean as can be: settles what it read, `through` the last."""

    async def connect(self, path):
        """Connect and greet."""
        if not Path(path).is_socket():
            raise FileNotFoundError(f"{path}: expected the daemon's socket")
        await asyncio.get_running_loop().create_unix_connection(lambda: self, str(path))
        self.transport.write(HELLO)

    def settle(self, lines):
        for line in reversed(lines):
            at = line.find(b'"position":', 0, 80)
            if at > 0 and b'"method":"event"' in line[:40]:
                position = line[at + 11 : line.index(b",", at)]
                self.transport.write(
                    b'{"jsonrpc":"2.0","method":"settle","params":{"through":%b}}\n' % position
                )
                return
