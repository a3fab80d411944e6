import base64
import hashlib
import json

import msgspec
import pytest
from events.corpus import CARD_ACTION, TEXT, V1, encode, event, message, mutants, payloads, thorough
from hypothesis import example, given
from hypothesis import strategies as st

from feishu_ws.events.cloudevent import MAX_LINE_BYTES, encode_body
from feishu_ws.events.envelope import open_envelope
from feishu_ws.model import Envelope, Event, Form
from feishu_ws.surrogates import mend_surrogates
from feishu_ws.wire import native

RECEIVED_MS = 1_774_004_599_999
ATTRIBUTES = {
    "specversion": "1.0",
    "id": "f8e5e0712b93ff92d7350a4d825ed739",
    "source": "/feishu/cli_a9394c7bc1f89cc1/114effbf324f175f",
    "type": "im.message.receive_v1",
    "time": "2026-03-20T11:03:11.415Z",
    "datacontenttype": "application/json",
    "receivedtime": "2026-03-20T11:03:19.999Z",
    "subject": "oc_1",
    "appid": "cli_a9394c7bc1f89cc1",
    "tenantkey": "114effbf324f175f",
    "feishuschema": "2.0",
}


def received(payload: bytes) -> Event:
    return Event(open_envelope(payload), payload, RECEIVED_MS)


def params(body: bytes) -> dict:
    line = native.event_line(12, 1, None, body, late=False)
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    return json.loads(line)["params"]


def written(payload: bytes, app_id: str = "") -> dict:
    return params(encode_body(received(payload), app_id))


def test_attributes_of_a_message():
    """A message becomes a CloudEvent with every attribute of the contract, and its body."""
    found = written(TEXT)["event"]
    assert found.pop("data") == json.loads(TEXT)
    assert found == ATTRIBUTES


def test_the_body_is_verbatim():
    """JSON on one line is copied byte for byte, whatever its spelling."""
    payload = TEXT.replace(b'"token":""', rb'"token" : "\u00e9\/\ud800", "n": 1.00e2, "n": 1')
    assert b',"data":' + payload + b"}" in encode_body(received(payload))


def test_an_event_of_schema_1():
    """An event of the older envelope says so, and dates itself by `ts`."""
    found = written(V1)["event"]
    assert found["feishuschema"] == "1.0"
    assert found["source"] == "/feishu/cli_x/t1"
    assert found["time"] == "2017-08-08T13:33:27.717Z"
    assert found["type"] == "message"


def test_without_a_known_envelope():
    """Unknown JSON is named by its SHA-256, dated by its receipt, and lacks empty attributes."""
    payload = b'{"a":1}'
    assert written(payload, "cli_own")["event"] == {
        "specversion": "1.0",
        "id": "sha256:" + hashlib.sha256(payload).hexdigest(),
        "source": "/feishu/cli_own/",
        "type": "feishu.unknown",
        "time": "2026-03-20T11:03:19.999Z",
        "datacontenttype": "application/json",
        "receivedtime": "2026-03-20T11:03:19.999Z",
        "appid": "cli_own",
        "data": {"a": 1},
    }


def test_what_is_not_json_travels_as_base64():
    """A payload that is no JSON comes back byte for byte from data_base64."""
    payload = bytes(range(256))
    found = written(payload)["event"]
    assert "data" not in found
    assert base64.b64decode(found["data_base64"]) == payload
    assert "feishuschema" not in found


@pytest.mark.parametrize("newline", [b"\n", b"\r", b"\r\n"])
def test_raw_newlines_become_blanks(newline):
    """Newlines between tokens go, and nothing else changes: escapes, big numbers, repeats."""
    big = b"9" * 400
    payload = b'{"a":%b"\\n\\r",%b"n":%b,"n":1e400}' % (newline, newline, big)
    body = encode_body(received(payload))
    blanks = b" " * len(newline)
    assert b'"data":{"a":%b"\\n\\r",%b"n":%b,"n":1e400}}' % (blanks, blanks, big) in body
    params(body)


def test_the_daemon_names_the_app_only_where_the_event_does_not():
    """The event's own app id goes before the daemon's."""
    assert written(TEXT, "cli_own")["event"]["appid"] == "cli_a9394c7bc1f89cc1"
    nameless = event("im.chat.updated_v1", {}, app_id="")
    found = written(nameless, "cli_own")["event"]
    assert (found["appid"], found["source"]) == ("cli_own", "/feishu/cli_own/114effbf324f175f")
    assert "appid" not in written(nameless)["event"]


def test_the_source_is_a_uri():
    """Ids with characters that a URI's path cannot hold are percent-encoded in `source`."""
    found = written(event("t", {}, app_id="a/b c", tenant_key="租"))["event"]
    assert found["source"] == "/feishu/a%2Fb%20c/%E7%A7%9F"
    assert (found["appid"], found["tenantkey"]) == ("a/b c", "租")


def test_our_own_strings_are_utf8():
    """Chinese text is written as it is, not as escapes, quotes escaped."""
    body = encode_body(received(message("text", {"text": '你好 "x"\n'})))
    assert '"text":"你好 \\"x\\"\\n"'.encode() in body


def test_only_received_messages_have_a_message():
    """`message` stands beside received messages and nothing else."""
    assert written(TEXT)["message"]["text"] == "@AstrBot hello"
    for payload in (V1, CARD_ACTION, b"{}", b"x", event("im.message.recalled_v1", {})):
        assert set(written(payload)) == {
            "position",
            "attempt",
            "reply_by",
            "late",
            "event",
        }


def test_a_received_message_without_a_message_has_none():
    """A body that holds no message is delivered without one."""
    assert "message" not in written(event("im.message.receive_v1", {"message": "gone"}))
    assert "message" not in written(event("im.message.receive_v1", None))


def test_a_line_that_would_be_too_long_loses_its_message():
    """What does not fit beside the body is left out, and said to be."""
    payload = message("text", {"text": "x" * 6_000_000})
    found = params(encode_body(received(payload)))
    assert "message" not in found
    assert found["message_omitted"] is True
    assert found["event"]["data"] == json.loads(payload)


def test_the_limit_is_exact_enough():
    """A message is kept up to the limit, given room for what surrounds the body."""
    body = encode_body(received(TEXT))
    assert b'"message":' in encode_body(received(TEXT), max_line_bytes=len(body) + 512)
    omitted = encode_body(received(TEXT), max_line_bytes=len(body))
    assert omitted.endswith(b',"message_omitted":true')


def test_the_limit_is_the_protocols():
    """The longest line is what the native protocol says it is."""
    assert MAX_LINE_BYTES == native.MAX_LINE_FROM_DAEMON
    longest = native.event_line(10**18, 10**9, "2026-03-20T11:03:19.999Z", b"", late=False)
    assert len(longest) < 512


def test_the_largest_payload_fits_a_line():
    """4 MiB of anything, also as base64, make a line within the limit."""
    for payload in (b"\xff" * 4_194_304, message("text", {"text": '"' * 1_000_000})):
        assert len(encode_body(received(payload))) < MAX_LINE_BYTES


def test_receipt_times_out_of_range_are_clamped():
    """A clock that is far off does not stop delivery."""
    for received_ms in (-1, 10**20):
        body = encode_body(Event(Envelope(form=Form.ONE_LINE), b"{}", received_ms))
        assert params(body)["event"]["time"] == params(body)["event"]["receivedtime"]


def check_line(payload: bytes) -> None:
    opened = received(payload)
    line = native.event_line(1, 1, None, encode_body(opened, "cli_own"), late=False)
    assert line.find(b"\n") == len(line) - 1
    assert b"\r" not in line
    found = json.loads(line)["params"]
    if opened.envelope.form is Form.OPAQUE:
        assert base64.b64decode(found["event"]["data_base64"]) == payload
        return
    assert json.dumps(found["event"]["data"]) == json.dumps(json.loads(payload))
    if opened.envelope.form is Form.ONE_LINE:
        assert b',"data":' + payload + b"}" in line
    call = native.parse_from_daemon(line)
    assert isinstance(call, native.Call)
    if mend_surrogates(payload, rb"\u0000") is payload:  # else a replacement stands in its place
        raw = msgspec.json.decode(call.params, type=dict[str, msgspec.Raw])
        assert json.loads(bytes(raw["event"])) == found["event"]


@thorough
@given(st.one_of(st.binary(max_size=30), payloads(), mutants()))
@example(b"[1e999]")
@example(encode({"a": "\u2028\x85"}))
@example(message("text", r'{"text":"\ud800\u0000"}'))
def test_any_payload_makes_one_line_that_holds_it(payload):
    """Any bytes become one line that parses and gives the payload back."""
    check_line(payload)
