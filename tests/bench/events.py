"""Events for the benchmark, ready for the socket at about 2 µs each.

Every frame is one the simulator made, with the few values that differ from event to event
(ids, times, SeqID) put in at fixed width. So what clients read is what they would read
from the simulator: `im.message.receive_v1` of 1,518 bytes, sixteen chats, eight people.
"""

import random
import secrets
import time

from feishu_ws.clock import SystemClock
from feishu_ws.simulator.envelopes import text_message
from feishu_ws.simulator.link import BINARY, encode_header
from feishu_ws.simulator.origin import Origin
from feishu_ws.simulator.settings import SimulatorSettings
from feishu_ws.simulator.transmission import WHOLE, FrameMaker
from feishu_ws.wire.pbbp2_pb2 import Frame

VARIETY = 16  # the simulator has sixteen chats
FIRST_SEQ_ID = 1 << 28  # from here on a varint has five bytes
SERIAL_DIGITS = 8
TIME_DIGITS = b"1790000000000"  # stands for a time while a template is made


class _FixedClock(SystemClock):
    def wall_ms(self):
        return int(TIME_DIGITS)


class EventMaker:
    """Makes WebSocket messages that carry one event each.

    Attributes:
        event_mark, frame_mark: What comes before the eight hexadecimal digits of the
            serial number in an event's id, and in the frame's message_id.
    """

    def __init__(self):
        self.event_mark = secrets.token_hex(12).encode()
        self.frame_mark = f"{secrets.token_hex(4)}-0000-4000-8000-{secrets.token_hex(2)}".encode()
        self._message_mark = secrets.token_hex(8).encode()
        settings = SimulatorSettings()
        frames = FrameMaker(settings, random.Random(1))
        origin = Origin(settings.app_id, clock=_FixedClock())
        self._templates = [self._template(kind, origin, frames) for kind in range(VARIETY)]

    def _template(self, kind, origin, frames):
        body = text_message(kind, origin=origin)
        sent = frames.encode(body, "event", WHOLE, int(TIME_DIGITS))
        frame = Frame.FromString(sent.frames[0])
        frame.SeqID = FIRST_SEQ_ID
        raw = frame.SerializeToString()
        seq_id = b"\x08" + varint(FIRST_SEQ_ID)
        assert raw.startswith(seq_id), "SeqID is expected to be the first field"
        template = b"\x08%(seq_id)b" + raw[len(seq_id) :].replace(b"%", b"%%")
        for seen, slot in (
            (origin.event_id(kind).encode(), b"%(event_id)b"),
            (origin.message_id(kind).encode(), b"om_x100b%(message_id)b"),
            (sent.message_id.encode(), b"%(frame_id)b"),
            (TIME_DIGITS, b"%(ms)b"),
        ):
            assert seen in template, f"{seen!r} is expected in the frame"
            template = template.replace(seen, slot)
        return encode_header(BINARY, len(raw)).replace(b"%", b"%%") + template

    def make(self, serial):
        """Return the WebSocket message with that serial number, stamped now."""
        digits = b"%08x" % serial
        return self._templates[serial % VARIETY] % {
            b"seq_id": varint(FIRST_SEQ_ID + serial),
            b"event_id": self.event_mark + digits,
            b"message_id": self._message_mark + digits,
            b"frame_id": self.frame_mark + digits,
            b"ms": b"%d" % (time.time_ns() // 1_000_000),
        }


def varint(number):
    """Return protobuf's encoding of a number."""
    found = bytearray()
    while number > 127:
        found.append(number & 127 | 128)
        number >>= 7
    found.append(number)
    return bytes(found)


def strip(message):
    """Return the protobuf of a WebSocket message from `make`, without its payload."""
    frame = Frame.FromString(message[4:])  # all are between 126 and 65,535 bytes long
    frame.ClearField("payload")
    return frame.SerializeToString()
