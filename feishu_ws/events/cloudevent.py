"""What the daemon writes about an event on its lines: CloudEvents 1.0 and the message.

The body Feishu sent is copied, never decoded and encoded again. Pure.
Source: CONTRACT 5; CloudEvents 1.0 JSON format (data, data_base64; attributes that
are empty are left out).
"""

from binascii import b2a_base64
from hashlib import sha256
from typing import Final
from urllib.parse import quote

import msgspec

from feishu_ws.events.message import read_message
from feishu_ws.events.times import rfc3339_ms
from feishu_ws.model import MESSAGE_RECEIVE, Envelope, Event, Form

MAX_LINE_BYTES: Final = 16 * 1024 * 1024
"""Longest line from the daemon, its newline included. Source: CONTRACT 5."""

_LINE_FRAME_BYTES: Final = 512  # what surrounds the body on its line, generously

_OMITTED: Final = b',"message_omitted":true'


class _Attributes(msgspec.Struct, omit_defaults=True, gc=False):
    """The attributes of a CloudEvent in the order in which they are written."""

    specversion: str
    id: str
    source: str
    type: str
    time: str
    datacontenttype: str
    receivedtime: str
    subject: str = ""
    appid: str = ""
    tenantkey: str = ""
    feishuschema: str = ""


_encoder: Final = msgspec.json.Encoder()


def encode_body(event: Event, app_id: str = "", *, max_line_bytes: int = MAX_LINE_BYTES) -> bytes:
    """Return what follows `late` inside the params of an `event` notification.

    That is `"event":{…}`, and for a received message `,"message":{…}`, or
    `,"message_omitted":true` where the line would get longer than allowed.
    `app_id` is the daemon's own, for events that do not name theirs.
    """
    body = _encode_event(event, app_id)
    if event.envelope.type != MESSAGE_RECEIVE or event.envelope.form is Form.OPAQUE:
        return body
    message = read_message(event.payload)
    if message is None:
        return body
    encoded = _encoder.encode(message)
    if len(body) + len(encoded) + _LINE_FRAME_BYTES > max_line_bytes:
        return body + _OMITTED
    return b'%b,"message":%b' % (body, encoded)


def event_id(envelope: Envelope, payload: bytes) -> str:
    """Return the CloudEvent's id: Feishu's, else one that the payload gives."""
    return envelope.event_id or "sha256:" + sha256(payload).hexdigest()


def _encode_event(event: Event, app_id: str) -> bytes:
    attributes = _encoder.encode(_attributes(event, app_id))
    name, data = _data(event.payload, event.envelope.form)
    return b'"event":%b,"%b":%b}' % (attributes[:-1], name, data)


def _attributes(event: Event, daemon_app_id: str) -> _Attributes:
    envelope = event.envelope
    app_id = envelope.app_id or daemon_app_id
    received = rfc3339_ms(event.received_ms)
    return _Attributes(
        specversion="1.0",
        id=event_id(envelope, event.payload),
        source=f"/feishu/{_segment(app_id)}/{_segment(envelope.tenant)}",
        type=envelope.type,
        time=received if envelope.created_ms is None else rfc3339_ms(envelope.created_ms),
        datacontenttype="application/json",
        receivedtime=received,
        subject=envelope.subject,
        appid=app_id,
        tenantkey=envelope.tenant,
        feishuschema=envelope.schema,
    )


def _segment(text: str) -> str:
    """Return a segment of a URI's path; ids as Feishu forms them stay as they are."""
    is_plain = text.isascii() and text.replace("_", "x").isalnum()
    return text if is_plain else quote(text, safe="")


def _data(payload: bytes, form: Form) -> tuple[bytes, bytes]:
    """Return the member that holds the payload, and its JSON, without raw newlines."""
    if form is Form.ONE_LINE:
        return b"data", payload
    if form is Form.MULTI_LINE:
        # In valid JSON a raw newline stands between tokens only, where any blank does.
        return b"data", payload.replace(b"\n", b" ").replace(b"\r", b" ")
    return b"data_base64", b'"%b"' % b2a_base64(payload, newline=False)
