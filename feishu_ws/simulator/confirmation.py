"""Judging a confirmation against the frame it answers. Pure.

Everything but the payload has to come back, headers in their order, with `biz_rt`
appended. Source: lark-oapi 1.7.5 ws/client.py:338-386; `instance_id` routes the answer
to the machine that waits for it (oapi-sdk-go v3.2.2 ws/const.go:16).
"""

import base64
import binascii
from typing import Any, Final

import msgspec
from google.protobuf.unknown_fields import UnknownFieldSet

from feishu_ws.simulator.stats import Flaw
from feishu_ws.wire.frame import BIZ_RT
from feishu_ws.wire.pbbp2_pb2 import Frame

CODES: Final = (200, 500)

Finding = tuple[Flaw, str]
"""A rule that was broken, and what was seen and expected."""


class _Body(msgspec.Struct):
    code: int
    data: str | None = None
    headers: Any = None  # null or an object; the SDKs differ and nobody reads it


_bodies: Final = msgspec.json.Decoder(_Body)


def read_answer(payload: bytes) -> tuple[int, bytes | None, list[Finding]]:
    """Return code, decoded data and findings; code 0 means it cannot be read."""
    try:
        body = _bodies.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        return 0, None, [(Flaw.PAYLOAD, f"saw {payload[:80]!r}: {exc}")]
    if body.code not in CODES:
        return 0, None, [(Flaw.PAYLOAD, f"saw code {body.code}, expected 200 or 500")]
    if body.data is None:
        return body.code, None, []
    data, finding = _read_data(body.data)
    return (body.code, data, []) if finding is None else (0, None, [finding])


def _read_data(text: str) -> tuple[bytes, Finding | None]:
    try:
        data = base64.b64decode(text, validate=True)
        msgspec.json.decode(data)
    except (binascii.Error, ValueError, RecursionError) as exc:
        return b"", (Flaw.PAYLOAD, f"data: saw {text[:80]!r}, expected base64 of JSON: {exc}")
    return data, None


def check_biz_rt(frame: Frame) -> list[Finding]:
    """Check that the last header is `biz_rt` with whole milliseconds, and take it off."""
    headers = frame.headers
    if not headers or headers[-1].key != BIZ_RT:
        return [(Flaw.BIZ_RT, f"saw {[h.key for h in headers]}, expected biz_rt as the last")]
    value = headers.pop().value
    if value.isascii() and value.isdigit():
        return []
    return [(Flaw.BIZ_RT, f"saw {value[:80]!r}, expected milliseconds, 0 or more")]


def compare_echo(frame: Frame, echo: bytes) -> list[Finding]:
    """Compare with what was sent, field by field. Consumes the payload of `frame`.

    Args:
        frame: The confirmation after `check_biz_rt`.
        echo: The completing part without its payload, serialized.
    """
    frame.ClearField("payload")
    if frame.SerializeToString() == echo:
        return []
    sent = Frame.FromString(echo)
    findings = [
        (flaw, f"saw {seen!r}, expected {expected!r}")
        for flaw, seen, expected in _compared(frame, sent)
        if seen != expected
    ]
    if len(UnknownFieldSet(frame)) > 0:
        findings.append((Flaw.UNKNOWN_FIELDS, "fields that were not in the frame sent"))
    return findings


def _compared(seen: Frame, sent: Frame) -> list[tuple[Flaw, Any, Any]]:
    return [
        (Flaw.SEQ_ID, seen.SeqID, sent.SeqID),
        (Flaw.LOG_ID, seen.LogID, sent.LogID),
        (Flaw.LOG_ID_NEW, seen.LogIDNew, sent.LogIDNew),
        (Flaw.SERVICE, seen.service, sent.service),
        (Flaw.METHOD, seen.method, sent.method),
        (Flaw.PAYLOAD_ENCODING, seen.payload_encoding, sent.payload_encoding),
        (Flaw.PAYLOAD_TYPE, seen.payload_type, sent.payload_type),
        (Flaw.HEADERS, _pairs(seen), _pairs(sent)),
    ]


def _pairs(frame: Frame) -> list[tuple[str, str]]:
    return [(header.key, header.value) for header in frame.headers]
