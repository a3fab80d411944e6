"""Opening what Feishu sent just far enough to store and route it. Pure and total.

`open_envelope` runs for every event before it is journalled, so it reads a handful
of fields in one pass and never looks into a message's content. Any bytes give an
`Envelope`; what cannot be read of it stays at its default, field by field:

- no JSON: type `feishu.unknown`, form OPAQUE;
- JSON without a known envelope: type `feishu.unknown`, schema "", and whatever ids
  there are;
- an id or a type that is no string of 1 to 256 printable characters: as if absent.

Source: lark-oapi 1.7.5 event/dispatcher_handler.py:170 (what tells the two envelopes
apart); larksuite/oapi-sdk-go#195 (an event as it came).
"""

from typing import Final

import msgspec

from feishu_ws.events.rfc8259 import form_of_grammatical, readable
from feishu_ws.events.subject import EventBody, Id, chat_of, is_from_app, subject_of
from feishu_ws.events.times import Time, parse_ms
from feishu_ws.events.tolerant import TolerantDecoder
from feishu_ws.model import CALLBACK_TYPES, MESSAGE_RECEIVE, Envelope, Form

SCHEMA_1: Final = "1.0"
SCHEMA_2: Final = "2.0"


class _Header(msgspec.Struct, gc=False):
    event_id: Id = ""
    event_type: Id = ""
    tenant_key: Id = ""
    app_id: Id = ""
    create_time: Time = ""


class _Payload(msgspec.Struct, gc=False):
    schema: Id = ""
    header: _Header | None = None
    event: EventBody | None = None
    uuid: Id = ""
    ts: Time = ""


_strict: Final = msgspec.json.Decoder(_Payload)
_tolerant: Final = TolerantDecoder(_Payload)
_no_header: Final = _Header()
_no_event: Final = EventBody()


def open_envelope(payload: bytes) -> Envelope:
    """Return what is known of a payload. Total: any bytes give an envelope."""
    try:
        opened = _strict.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _open_odd(payload)
    form = form_of_grammatical(payload)
    return Envelope() if form is Form.OPAQUE else _describe(opened, form)


def _open_odd(payload: bytes) -> Envelope:
    """Open what is no JSON, no object, or has a field of an unexpected type."""
    text = readable(payload)
    form = Form.OPAQUE if text is None else form_of_grammatical(payload)
    if text is None or form is Form.OPAQUE:
        return Envelope()
    try:
        return _describe(_tolerant.decode(text), form)
    except msgspec.DecodeError:
        return Envelope(form=form)


def _describe(opened: _Payload, form: Form) -> Envelope:
    header = opened.header or _no_header
    body = opened.event or _no_event
    if opened.schema and (event_type := _clean(header.event_type)):
        return _describe_2(header, body, event_type, form)
    event_type = _clean(body.type) if isinstance(body.type, str) else ""
    event_id = _clean(opened.uuid)
    if event_id and event_type:
        return _describe_1(opened, event_id, event_type, body, form)
    return Envelope(
        event_id=_clean(header.event_id) or event_id,
        tenant=_clean(header.tenant_key) or _clean(body.tenant_key),
        app_id=_clean(header.app_id) or _clean(body.app_id),
        form=form,
    )


def _describe_2(header: _Header, body: EventBody, event_type: str, form: Form) -> Envelope:
    received = body.message if event_type == MESSAGE_RECEIVE else None
    chat_id = _clean(chat_of(body))
    return Envelope(
        type=event_type,
        event_id=_clean(header.event_id),
        schema=SCHEMA_2,
        tenant=_clean(header.tenant_key),
        app_id=_clean(header.app_id),
        created_ms=parse_ms(header.create_time),
        subject=chat_id or _clean(subject_of(body)),
        chat_id=chat_id,
        message_id="" if received is None else _clean(received.message_id),
        from_app=is_from_app(body, header.app_id),
        is_callback=event_type in CALLBACK_TYPES,
        form=form,
    )


def _describe_1(
    opened: _Payload, event_id: str, event_type: str, body: EventBody, form: Form
) -> Envelope:
    return Envelope(
        type=event_type,
        event_id=event_id,
        schema=SCHEMA_1,
        tenant=_clean(body.tenant_key),
        app_id=_clean(body.app_id),
        created_ms=parse_ms(opened.ts),
        subject=_clean(subject_of(body)),
        chat_id=_clean(chat_of(body)),
        from_app=is_from_app(body, body.app_id),
        is_callback=event_type in CALLBACK_TYPES,
        form=form,
    )


def _clean(text: str) -> str:
    """Return an id or type, "" where it holds anything but printable characters."""
    return text if text.isprintable() else ""
