"""pbbp2 frames: reading what Feishu sends, writing pings and confirmations. Pure.

A confirmation is the frame that was received, every field and header echoed
(`instance_id` routes it to the machine that waits for it), with `biz_rt` appended
and the payload replaced. Source: lark-oapi 1.7.5 ws/client.py:338-386.
"""

import base64
from typing import Final

from google.protobuf.message import DecodeError

from feishu_ws.wire.pbbp2_pb2 import Frame

CONTROL: Final = 0
DATA: Final = 1

TYPE: Final = "type"
MESSAGE_ID: Final = "message_id"
SUM: Final = "sum"
SEQ: Final = "seq"
TRACE_ID: Final = "trace_id"
BIZ_RT: Final = "biz_rt"

MAX_BESIDE: Final = 64 * 1024  # bytes of a frame that are not its payload; Feishu's have some 500

PING: Final = "ping"
PONG: Final = "pong"
EVENT: Final = "event"
CARD: Final = "card"

_VARINT, _FIXED_64, _SIZED, _FIXED_32 = 0, 1, 2, 5
"""Wire types. Source: protobuf.dev/programming-guides/encoding."""
_KIND_BITS: Final = 3  # of a field's tag; the rest is its number
_LONGEST_VARINT: Final = 10  # bytes, for 64 bits

REASONS: Final = (
    "protobuf",
    "text",
    "unknown_method",
    "unknown_type",
    "missing_header",
    "fragment_range",
    "fragment_timeout",
    "fragments_full",
    "too_large",
    "too_many_parts",
)
"""Why frames are counted as unusable or refused: the values of a metric label."""


class FrameError(Exception):
    """A frame that cannot be used; `reason` is one of `REASONS`."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def parse_frame(data: bytes) -> Frame:
    """Read one binary WebSocket message.

    Raises:
        FrameError: `protobuf`, the bytes are no frame; `too_large`, they are over
            `MAX_BESIDE` without the payload: a header of 2 bytes takes some 100 when read.
    """
    if len(data) > MAX_BESIDE and _count_beside(data) > MAX_BESIDE:
        raise FrameError("too_large")
    try:
        frame = Frame.FromString(data)
    except DecodeError as exc:
        raise FrameError("protobuf") from exc
    if not frame.IsInitialized():  # upb reads a frame without its required fields
        raise FrameError("protobuf")
    return frame


def _count_beside(data: bytes) -> int:
    """Return how many bytes of a frame are not its payload's; counts on to `MAX_BESIDE` only."""
    at = beside = 0
    while at < len(data) and beside <= MAX_BESIDE:
        tag, after = _read_varint(data, at)
        kind, size = tag & (1 << _KIND_BITS) - 1, 0
        if kind == _SIZED:
            size, after = _read_varint(data, after)
        elif kind == _VARINT:
            _, after = _read_varint(data, after)
        else:
            after += {_FIXED_64: 8, _FIXED_32: 4}.get(kind, 0)
        is_payload = tag >> _KIND_BITS == Frame.PAYLOAD_FIELD_NUMBER
        beside += after - at + (0 if is_payload else min(size, len(data)))
        at = after + size
    return beside


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    """Return a varint and where it ends; one without an end goes on to that of the data."""
    value = 0
    for number, byte in enumerate(data[at : at + _LONGEST_VARINT]):
        value |= (byte & 127) << 7 * number
        if byte < 128:
            return value, at + number + 1
    return value, len(data)


def read_headers(frame: Frame) -> dict[str, str]:
    """Return the headers; of a repeated key the first counts, as in the official SDKs."""
    return {header.key: header.value for header in reversed(frame.headers)}


def without_payload(frame: Frame) -> Frame:
    """Return a copy of a frame to confirm later, which needs all but the payload.

    A copy, since a frame keeps the memory of all that was ever in it.
    """
    frame.ClearField("payload")
    copy = Frame()
    copy.CopyFrom(frame)
    return copy


def encode_ping(service: int) -> bytes:
    """Return the application ping; `service` is the URL's `service_id`."""
    return _control(service, PING).SerializeToString()


def encode_pong(service: int, config: bytes = b"") -> bytes:
    """Return a pong as Feishu sends it; `config` is the ClientConfig JSON or nothing."""
    frame = _control(service, PONG)
    if config:
        frame.payload = config
    return frame.SerializeToString()


def _control(service: int, kind: str) -> Frame:
    frame = Frame(SeqID=0, LogID=0, service=service, method=CONTROL)
    frame.headers.add(key=TYPE, value=kind)
    return frame


def encode_confirm(frame: Frame, code: int, biz_rt_ms: int, data: bytes | None = None) -> bytes:
    """Turn a received frame into its confirmation and return the bytes. Consumes `frame`.

    Args:
        frame: The frame that completed the payload.
        code: 200 or 500.
        biz_rt_ms: Milliseconds from receipt to now.
        data: JSON a callback's sender gets, base64-encoded on the wire.
    """
    frame.headers.add(key=BIZ_RT, value=str(biz_rt_ms))
    frame.payload = _confirm_payload(code, data)
    return frame.SerializeToString()


def _confirm_payload(code: int, data: bytes | None) -> bytes:
    if data is None:
        return b'{"code":%d}' % code
    return b'{"code":%d,"data":"%b"}' % (code, base64.b64encode(data))
