"""A Feishu that does nothing but be fast: discovery, one link, events out, confirmations in.

The simulator costs about four times as much per event (49 µs, this 13), and with one event
unconfirmed at a time its turnaround would be part of every figure. Confirmations are
counted by the frame's message_id; every hundredth is judged by the simulator's own rules.
"""

import asyncio
import time
from email.parser import BytesParser

import msgspec
from bench.events import SERIAL_DIGITS, EventMaker, strip
from websockets.utils import accept_key, apply_mask

from feishu_ws.simulator.confirmation import check_biz_rt, compare_echo, read_answer
from feishu_ws.simulator.link import BINARY, PONG, encode_header
from feishu_ws.simulator.stats import TOLERATED
from feishu_ws.wire.frame import PING, encode_pong, parse_frame, read_headers

SERVICE_ID = 33554678
CONFIG = {"ReconnectCount": -1, "ReconnectInterval": 120, "ReconnectNonce": 30, "PingInterval": 120}
CHECKED = 100  # every hundredth confirmation is judged in full
CODE_200 = (b'{"code":200', b'{"code": 200')
CLOSE_OPCODE = 8
PING_OPCODE = 9


class Feishu:
    """What one candidate takes for Feishu.

    Attributes:
        pushed_ns, confirmed_ns: By serial number, monotonic; 0 while not confirmed.
        confirmed: How many were, each counted once.
        faults: What was wrong with confirmations, as text; judged ones are in `judged`.
        connected_ns: When the latest handshake was answered, 0 before.
        on_confirmed: Called once for every confirmation; may push.
    """

    def __init__(self):
        self.events = EventMaker()
        self.pushed_ns = []
        self.confirmed_ns = []
        self.confirmed = 0
        self.judged = 0
        self.faults = []
        self.connected_ns = 0
        self.links_opened = 0
        self.on_confirmed = lambda: None
        self.connected = asyncio.Event()
        self._checked = {}
        self._link = None
        self._listener = None

    async def start(self):
        """Listen."""
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(lambda: _Link(self), "127.0.0.1", 0)

    def stop(self):
        """Cut the link and listen no more."""
        self._listener.close()
        if self._link is not None:
            self._link.transport.abort()

    @property
    def authority(self):
        """HOST:PORT."""
        return f"127.0.0.1:{self._listener.sockets[0].getsockname()[1]}"

    @property
    def domain(self):
        """What candidates are told to connect to."""
        return f"http://{self.authority}"

    def push(self):
        """Send the next event; it leaves with the next `flush`."""
        serial = len(self.pushed_ns)
        message = self.events.make(serial)
        if serial % CHECKED == 0:
            self._checked[serial] = message
        self._link.outbox.append(message)
        self.confirmed_ns.append(0)
        self.pushed_ns.append(time.monotonic_ns())

    def flush(self):
        """Write what was pushed."""
        self._link.flush()

    # -- called by the link ----------------------------------------------------------------

    def take_link(self, link):
        """The handshake was answered."""
        self._link = link
        self.links_opened += 1
        self.connected_ns = time.monotonic_ns()
        self.connected.set()

    def take_frame(self, data, now_ns):
        """Read a frame; return an answer that is to be sent, or None."""
        mark = self.events.frame_mark
        at = data.find(mark)
        if at < 0:
            return self._answer_ping(data)
        at += len(mark)
        serial = int(data[at : at + SERIAL_DIGITS], 16)
        if self.confirmed_ns[serial]:
            self.faults.append(f"event {serial} was confirmed twice")
            return None
        self.confirmed_ns[serial] = now_ns
        self.confirmed += 1
        if not any(code in data for code in CODE_200):
            self.faults.append(f"event {serial} was answered {data[-40:]!r}")
        if serial in self._checked:
            self._judge(serial, data)
        self.on_confirmed()
        return None

    def _answer_ping(self, data):
        frame = parse_frame(data)
        if read_headers(frame).get("type") == PING:
            return encode_pong(SERVICE_ID, msgspec.json.encode(CONFIG))
        self.faults.append(f"a frame that is no confirmation: {data[:40]!r}")
        return None

    def _judge(self, serial, data):
        frame = parse_frame(data)
        findings = read_answer(frame.payload)[2] + check_biz_rt(frame)
        findings += compare_echo(frame, strip(self._checked.pop(serial)))
        self.judged += 1
        self.faults += [
            f"event {serial}: {flaw}: {detail}"
            for flaw, detail in findings
            if flaw not in TOLERATED  # the Node SDK's biz_rt is negative
        ]


class _Link(asyncio.Protocol):
    """HTTP until the handshake, WebSocket after it. One instance per connection."""

    def __init__(self, feishu):
        self._feishu = feishu
        self._rest = b""
        self._is_websocket = False
        self.outbox = []
        self.transport = None

    def connection_made(self, transport):
        self.transport = transport

    def flush(self):
        if self.outbox:
            data, self.outbox = b"".join(self.outbox), []
            self.transport.write(data)

    def data_received(self, data):
        data = self._rest + data if self._rest else data
        self._rest = self._read_messages(data) if self._is_websocket else self._read_http(data)
        self.flush()

    # -- HTTP --------------------------------------------------------------------------------

    def _read_http(self, data):
        head, found, body = data.partition(b"\r\n\r\n")
        first, _, rest = head.partition(b"\r\n")
        headers = BytesParser().parsebytes(rest)
        if not found or len(body) < int(headers.get("Content-Length", 0)):
            return data
        if first.startswith(b"POST"):
            self._discover()
        else:
            self._upgrade(headers["Sec-WebSocket-Key"])
        return b""

    def _discover(self):
        url = (
            f"ws://{self._feishu.authority}/ws/v2?fpid=493&aid=552564&device_id=7677469797122837778"
            f"&access_key=0&service_id={SERVICE_ID}&ticket=0"
        )
        body = msgspec.json.encode(
            {"code": 0, "msg": "ok", "data": {"URL": url, "ClientConfig": CONFIG}}
        )
        self.outbox.append(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"
            b"Content-Length: %d\r\n\r\n" % len(body) + body
        )
        self.flush()
        self.transport.close()

    def _upgrade(self, key):
        self._is_websocket = True
        self.outbox.append(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: %b\r\n\r\n" % accept_key(key).encode()
        )
        self.flush()
        self._feishu.take_link(self)

    # -- WebSocket -----------------------------------------------------------------------------

    def _read_messages(self, data):
        """Handle every whole message, return what is left. Source: RFC 6455 5.2."""
        now_ns, at, end = time.monotonic_ns(), 0, len(data)
        while end - at >= 6:  # two bytes and the mask
            length, start = data[at + 1] & 127, at + 6
            if length == 126:
                if end - at < 8:
                    break
                length, start = int.from_bytes(data[at + 2 : at + 4]), at + 8
            if start + length > end:
                break
            payload = apply_mask(data[start : start + length], data[start - 4 : start])
            self._take(data[at] & 15, payload, now_ns)
            at = start + length
        return data[at:]

    def _take(self, opcode, payload, now_ns):
        if opcode == BINARY:
            answer = self._feishu.take_frame(payload, now_ns)
            if answer is not None:
                self.outbox += [encode_header(BINARY, len(answer)), answer]
        elif opcode == PING_OPCODE:
            self.outbox += [encode_header(PONG, len(payload)), payload]
        elif opcode == CLOSE_OPCODE:
            self.transport.close()
