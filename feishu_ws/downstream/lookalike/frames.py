"""Frames as Feishu sends them, and what SDKs answer to them. Pure.

Source of the headers: lark-oapi 1.7.5 ws/client.py:338-344 (all but `timestamp` and
`instance_id` are required there), oapi-sdk-go v3.2.2 ws/const.go:10-17. Source of the
three shapes of answers: protocol.md 1.6.
"""

import binascii
from base64 import b64decode
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from feishu_ws.downstream.lookalike.settings import CLIENT_CONFIG, PART_BYTES, SERVICE_ID
from feishu_ws.model import Event
from feishu_ws.wire.frame import (
    DATA,
    EVENT,
    MESSAGE_ID,
    SEQ,
    SUM,
    TRACE_ID,
    TYPE,
    encode_pong,
    read_headers,
)
from feishu_ws.wire.native import MAX_REPLY_BYTES
from feishu_ws.wire.pbbp2_pb2 import Frame

OK: Final = 200
TIMESTAMP: Final = "timestamp"
INSTANCE_ID: Final = "instance_id"
MAX_ANSWER_BYTES: Final = MAX_REPLY_BYTES * 4 // 3 + 64 * 1024  # base64, and an SDK's own words
_PAYLOAD_TYPE: Final = "json"
_SEPARATOR: Final = "-"
_HEX: Final = 16
_DIGITS: Final = 16  # of a position in a message_id

PONG_CONFIG: Final = msgspec.json.encode(CLIENT_CONFIG)


@dataclass(frozen=True, slots=True)
class Answer:
    """What an SDK answered to a delivery.

    Attributes:
        position: Of the event.
        is_ok: It said 200.
        reply: The JSON object it wants a callback's sender to have; None without one.
    """

    position: int
    is_ok: bool
    reply: bytes | None = None


class FrameMaker:
    """Encodes events; numbers never repeat in one life.

    Args:
        instance: What tells this life from others.
    """

    def __init__(self, instance: str) -> None:
        self._instance = instance
        self._number = 0

    def encode(self, event: Event, wall_ms: int) -> list[bytes]:
        """Return the frames of one delivery, each below 512 KiB."""
        self._number += 1
        # An SDK knows parts by their message_id for seconds after the last of them, so a
        # second delivery has another; the position in it is what comes back with the answer.
        message_id = f"{event.position:0{_DIGITS}x}{_SEPARATOR}{self._number:x}"
        payload, trace_id = event.payload, event.envelope.event_id or message_id
        starts = range(0, len(payload), PART_BYTES) or (0,)
        common = ((TYPE, EVENT), (MESSAGE_ID, message_id), (SUM, str(len(starts))))
        last = ((TRACE_ID, trace_id), (TIMESTAMP, str(wall_ms)), (INSTANCE_ID, self._instance))
        return [
            self._frame((*common, (SEQ, str(seq)), *last), payload[start : start + PART_BYTES])
            for seq, start in enumerate(starts)
        ]

    def _frame(self, headers: tuple[tuple[str, str], ...], payload: bytes) -> bytes:
        frame = Frame(
            SeqID=self._number,
            LogID=self._number,
            service=SERVICE_ID,
            method=DATA,
            payload_type=_PAYLOAD_TYPE,
            payload=payload,
            LogIDNew=f"{self._instance}{self._number:x}",
        )
        for key, value in headers:
            frame.headers.add(key=key, value=value)
        return frame.SerializeToString()


def encode_own_pong(service: int) -> bytes:
    """Return our pong; it always has the whole configuration, which SDKs take over as it is."""
    return encode_pong(service, PONG_CONFIG)


def read_answer(frame: Frame) -> Answer | None:
    """Return what a data frame answers, None if it answers nothing of ours. Total."""
    position = _position(read_headers(frame).get(MESSAGE_ID, ""))
    said = _object(frame.payload)
    code = said.get("code") if said is not None else None
    if position is None or not isinstance(code, int) or isinstance(code, bool):
        return None
    return Answer(position, code == OK, _reply(said.get("data")) if said else None)


def _position(message_id: str) -> int | None:
    digits, separator, _ = message_id.partition(_SEPARATOR)
    if separator and len(digits) == _DIGITS and digits.isalnum() and digits.isascii():
        try:
            return int(digits, _HEX)
        except ValueError:
            return None
    return None


def _reply(data: Any) -> bytes | None:
    """Return the object in `data`; anything else is no reply, as Node's excuses are none."""
    if not isinstance(data, str) or not data:
        return None
    try:
        reply = b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        return None
    if len(reply) > MAX_REPLY_BYTES or _object(reply) is None:
        return None
    return reply


def _object(body: bytes) -> dict[str, Any] | None:
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
