import json
from dataclasses import dataclass

import msgspec
import pytest
from events.corpus import (
    CARD_ACTION,
    HEADER,
    TEXT,
    V1,
    encode,
    event,
    mutants,
    payloads,
    thorough,
    unhurried,
)
from hypothesis import given
from hypothesis import strategies as st

from feishu_ws.events.envelope import open_envelope
from feishu_ws.events.rfc8259 import form_of
from feishu_ws.model import CALLBACK_TYPES, MESSAGE_RECEIVE, UNKNOWN_TYPE, Envelope, Form


@dataclass
class Case:
    payload: bytes
    expected: Envelope


MESSAGE = Envelope(
    type="im.message.receive_v1",
    event_id="f8e5e0712b93ff92d7350a4d825ed739",
    schema="2.0",
    tenant="114effbf324f175f",
    app_id="cli_a9394c7bc1f89cc1",
    created_ms=1_774_004_591_415,
    subject="oc_1",
    chat_id="oc_1",
    message_id="om_1",
    form=Form.ONE_LINE,
)


def replace(payload: bytes, old: bytes, new: bytes) -> bytes:
    assert old in payload
    return payload.replace(old, new)


def but(envelope: Envelope, **fields: object) -> Envelope:
    return msgspec.structs.replace(envelope, **fields)


def test_a_message_of_schema_2():
    """A received message opens with all its ids."""
    assert open_envelope(TEXT) == MESSAGE


def test_an_event_of_schema_1():
    """Without a schema, `uuid` and the event's own type, tenant and app count."""
    assert open_envelope(V1) == Envelope(
        type="message",
        event_id="bc447199585340d1f3728d26b1c0297a",
        schema="1.0",
        tenant="t1",
        app_id="cli_x",
        created_ms=1_502_199_207_717,
        subject="oc_9",
        chat_id="oc_9",
        form=Form.ONE_LINE,
    )


def test_a_callback():
    """A used card waits for an answer, and dates itself in microseconds."""
    assert open_envelope(CARD_ACTION) == Envelope(
        type="card.action.trigger",
        event_id="73e4",
        schema="2.0",
        tenant="t",
        app_id="cli_x",
        created_ms=1_747_740_328_528,
        subject="oc_1",
        chat_id="oc_1",
        is_callback=True,
        form=Form.ONE_LINE,
    )


@pytest.mark.parametrize("event_type", sorted(CALLBACK_TYPES))
def test_both_callbacks_are_known(event_type):
    """Every callback type is marked as one."""
    assert open_envelope(event(event_type, {})).is_callback


def test_an_app_as_sender_is_noted():
    """Messages of bots can be told from those of people."""
    payload = replace(TEXT, b'"sender_type":"user"', b'"sender_type":"app"')
    assert open_envelope(payload) == but(MESSAGE, from_app=True)


def test_message_id_counts_for_received_messages_only():
    """The id of a message in any other event is its subject, not a dedupe key."""
    opened = open_envelope(event("im.message.reaction.created_v1", {"message_id": "om_1"}))
    assert (opened.message_id, opened.subject) == ("", "om_1")
    nested = open_envelope(replace(TEXT, b"receive_v1", b"receive_v9"))
    assert nested.message_id == ""


@pytest.mark.parametrize(
    ("payload", "form"),
    [
        (b"", Form.OPAQUE),
        (b"not json", Form.OPAQUE),
        (TEXT[:-1], Form.OPAQUE),
        (replace(TEXT, b"hello", b"\xff"), Form.OPAQUE),
        (replace(TEXT, b'"token":""', b'"token":NaN'), Form.OPAQUE),
        (replace(TEXT, b'"token":""', b'"token":' + b"[" * 300 + b"]" * 300), Form.OPAQUE),
        (b"\xef\xbb\xbf" + TEXT, Form.OPAQUE),
        (b"{}", Form.ONE_LINE),
        (b"[1,2]", Form.ONE_LINE),
        (b'["\xe4\xbd\xa0"]', Form.ONE_LINE),
        (b"null", Form.ONE_LINE),
        (b'"text"', Form.ONE_LINE),
        (b"1e999", Form.ONE_LINE),
        (b'[\n"\\ud800"]', Form.MULTI_LINE),
        (b'{"schema":""}', Form.ONE_LINE),
        (b'{"open_id":"ou_1","action":{"tag":"button"}}', Form.ONE_LINE),
        (b'{"header":[],"event":7,\r"schema":null}', Form.MULTI_LINE),
    ],
)
def test_without_a_known_envelope(payload, form):
    """What has no known envelope is `feishu.unknown`, and keeps how it may travel."""
    assert open_envelope(payload) == Envelope(form=form)


@pytest.mark.parametrize(
    ("old", "new", "changes"),
    [
        (b'"event_id":"f8e5e0712b93ff92d7350a4d825ed739"', b'"event_id":7', {"event_id": ""}),
        (b'"event_id":"f8e5e0712b93ff92d7350a4d825ed739"', b'"event_id":null', {"event_id": ""}),
        (b"f8e5e0712b93ff92d7350a4d825ed739", b"x" * 256, {"event_id": "x" * 256}),
        (b"f8e5e0712b93ff92d7350a4d825ed739", b"x" * 257, {"event_id": ""}),
        (b"f8e5e0712b93ff92d7350a4d825ed739", b"a\\nb", {"event_id": ""}),
        (b"f8e5e0712b93ff92d7350a4d825ed739", b"a\\ud800", {"event_id": ""}),
        (b'"tenant_key":"114effbf324f175f","app_id"', b'"tenant_key":[],"app_id"', {"tenant": ""}),
        (b'"app_id":"cli_a9394c7bc1f89cc1"', b'"app_id":{"a":1}', {"app_id": ""}),
        (b'"app_id":"cli_a9394c7bc1f89cc1"', b'"app_id":"\\u0007"', {"app_id": ""}),
        (
            b'"create_time":"1774004591415"',
            b'"create_time":1774004591',
            {"created_ms": 1774004591000},
        ),
        (b'"create_time":"1774004591415"', b'"create_time":true', {"created_ms": None}),
        (b'"create_time":"1774004591415"', b'"create_time":1e999', {"created_ms": None}),
        (b'"create_time":"1774004591415"', b'"create_time":"soon"', {"created_ms": None}),
        (b'"schema":"2.0"', b'"schema":"3.1"', {}),
        (b'"token":""', b'"token":"\\ud800"', {}),
        (b'"token":""', b'"token":-1e999', {}),
        (b'"token":""', b'"\\u0061pp_id":"x"', {}),
        (b'"message_id":"om_1"', b'"message_id":1', {"message_id": ""}),
        (b'"chat_id":"oc_1"', b'"chat_id":false', {"chat_id": "", "subject": "om_1"}),
        (b'"chat_id":"oc_1"', b'"chat_id":"a\\tb"', {"chat_id": "", "subject": ""}),
        (b'"sender_type":"user"', b'"sender_type":["app"]', {}),
        (b'"sender":{', b'"sender":null,"x":{', {}),
        (b'"message":{', b'"message":"m","x":{', {"chat_id": "", "subject": "", "message_id": ""}),
        (b'"event":{', b'"event":[],"x":{', {"chat_id": "", "subject": "", "message_id": ""}),
        (b'{"schema"', b'{"uuid":"u1","schema"', {}),
        (b'{"schema"', b'{"uuid":12,"schema"', {}),
    ],
)
def test_odd_fields_fall_back_one_by_one(old, new, changes):
    """A field of another type, too long or unprintable is absent; the others stay."""
    assert open_envelope(replace(TEXT, old, new)) == but(MESSAGE, **changes)


@pytest.mark.parametrize(
    "event_type", ["", 7, None, "x" * 257, "a\nb", "a\u202eb", "\ud800", "a\x7f", ["t"]]
)
def test_an_unusable_type_is_unknown(event_type):
    """A type that is no short printable string never gets out; the ids stay."""
    payload = encode(
        {"schema": "2.0", "header": {**HEADER, "event_type": event_type}}, ensure_ascii=True
    )
    assert open_envelope(payload) == Envelope(
        event_id=HEADER["event_id"],
        tenant=HEADER["tenant_key"],
        app_id=HEADER["app_id"],
        form=Form.ONE_LINE,
    )


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"uuid": "u"}, Envelope(event_id="u", form=Form.ONE_LINE)),
        ({"event": {"type": "message"}}, Envelope(form=Form.ONE_LINE)),
        ({"uuid": "", "event": {"type": "message"}}, Envelope(form=Form.ONE_LINE)),
        ({"uuid": "u", "event": {"type": 3}}, Envelope(event_id="u", form=Form.ONE_LINE)),
        (
            {"schema": "2.0", "uuid": "u", "event": {"type": "t", "open_id": "ou_1"}},
            Envelope("t", "u", "1.0", subject="ou_1", form=Form.ONE_LINE),
        ),
        (
            {"schema": 2, "uuid": "u", "event": {"type": "t"}},
            Envelope("t", "u", "1.0", form=Form.ONE_LINE),
        ),
    ],
)
def test_what_tells_the_envelopes_apart(value, expected):
    """2.0 needs a schema and a type in its header, 1.0 a uuid and a type in its event."""
    assert open_envelope(encode(value)) == expected


def test_the_last_of_two_members_counts():
    """A name given twice means its last value, as in the standard library."""
    payload = replace(TEXT, b'"token":""', b'"tenant_key":"first"')
    assert open_envelope(payload).tenant == "114effbf324f175f"
    assert open_envelope(payload).tenant == json.loads(payload)["header"]["tenant_key"]


def check_bounds(envelope: Envelope) -> None:
    texts = [value for value in msgspec.structs.astuple(envelope) if isinstance(value, str)]
    assert all(len(text) <= 256 and text.isprintable() for text in texts)
    assert envelope.schema in {"", "1.0", "2.0"}
    assert (envelope.schema == "") == (envelope.type == UNKNOWN_TYPE)
    assert not envelope.message_id or envelope.type == MESSAGE_RECEIVE
    assert envelope.is_callback == (envelope.type in CALLBACK_TYPES)
    assert envelope.created_ms is None or envelope.created_ms > 0


@thorough
@given(st.one_of(st.binary(max_size=30), payloads(), mutants()))
def test_any_bytes_open(payload):
    """Any bytes give an envelope whose strings are bounded and printable, in the right form."""
    envelope = open_envelope(payload)
    check_bounds(envelope)
    assert envelope.form is form_of(payload)


@unhurried
@given(payloads())
def test_the_tolerant_way_agrees_with_a_plain_reading(payload):
    """What a plain reader finds as a usable type and event id is what the envelope says."""
    value = json.loads(payload)
    header = value.get("header") if isinstance(value, dict) else None
    envelope = open_envelope(payload)
    if envelope.schema == "2.0":
        assert isinstance(header, dict)
        assert header["event_type"] == envelope.type
        event_id = header.get("event_id")
        is_usable = isinstance(event_id, str) and len(event_id) <= 256 and event_id.isprintable()
        assert envelope.event_id == (event_id if is_usable else "")


@pytest.mark.parametrize(
    "payload",
    [
        b"[" * 4_000_000,
        b'{"a":"' + b"x" * 4_000_000 + b'"}',
        b'{"header":{' + b'"a":1,' * 600_000 + b'"b":2},"schema":3}',
        b'["' + b"\\ud800" * 600_000 + b'"]',
        b'{"schema":"' + b"2" * 4_000_000 + b'"}',
    ],
    ids=["open brackets", "long string", "many members", "surrogates", "long schema"],
)
def test_hostile_sizes(payload):
    """4 MiB of any shape open within a second and leave nothing long behind."""
    check_bounds(open_envelope(payload))
