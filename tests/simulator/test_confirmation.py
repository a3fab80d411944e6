"""Judging confirmations, field by field."""

import base64
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feishu_ws.simulator.confirmation import check_biz_rt, compare_echo, read_answer
from feishu_ws.simulator.settings import SimulatorSettings
from feishu_ws.simulator.stats import Flaw
from feishu_ws.simulator.transmission import FrameMaker, Split
from feishu_ws.wire.frame import encode_confirm
from feishu_ws.wire.pbbp2_pb2 import Frame

SENT = FrameMaker(SimulatorSettings(payload_type="json"), random.Random(1)).encode(
    b'{"a":1}', "event", Split(), 1_774_004_591_415
)


def confirm(code: int = 200) -> Frame:
    """A flawless confirmation, as parsed."""
    return Frame.FromString(encode_confirm(Frame.FromString(SENT.frames[0]), code, 12))


def judge(frame: Frame) -> list[Flaw]:
    _, _, findings = read_answer(frame.payload)
    findings += check_biz_rt(frame)
    findings += compare_echo(frame, SENT.echo)
    return [flaw for flaw, _ in findings]


@pytest.mark.parametrize("code", [200, 500])
def test_a_faithful_confirmation_has_no_flaw(code):
    """What wire/frame.py writes passes."""
    assert judge(confirm(code)) == []


@pytest.mark.parametrize(
    ("flaw", "spoil"),
    [
        (Flaw.SEQ_ID, lambda f: setattr(f, "SeqID", f.SeqID + 1)),
        (Flaw.LOG_ID, lambda f: setattr(f, "LogID", 0)),
        (Flaw.LOG_ID_NEW, lambda f: f.ClearField("LogIDNew")),
        (Flaw.SERVICE, lambda f: setattr(f, "service", 0)),
        (Flaw.METHOD, lambda f: setattr(f, "method", 0)),
        (Flaw.PAYLOAD_TYPE, lambda f: f.ClearField("payload_type")),
        (Flaw.PAYLOAD_ENCODING, lambda f: setattr(f, "payload_encoding", "gzip")),
        (Flaw.HEADERS, lambda f: f.headers.pop(-2)),  # instance_id
        (Flaw.HEADERS, lambda f: setattr(f.headers[4], "value", "other")),  # trace_id
        (Flaw.HEADERS, lambda f: f.headers.insert(0, f.headers.pop(1))),
        (Flaw.BIZ_RT, lambda f: f.headers.pop()),
        (Flaw.BIZ_RT, lambda f: setattr(f.headers[-1], "value", "-1")),
        (Flaw.BIZ_RT, lambda f: setattr(f.headers[-1], "value", "1.5")),
        (Flaw.BIZ_RT, lambda f: setattr(f.headers[-1], "value", "")),
        (Flaw.BIZ_RT, lambda f: setattr(f.headers[-1], "value", "³")),
        (Flaw.UNKNOWN_FIELDS, lambda f: f.MergeFromString(b"\x7a\x01x")),  # field 15
        (Flaw.PAYLOAD, lambda f: f.ClearField("payload")),
        (Flaw.PAYLOAD, lambda f: setattr(f, "payload", b'{"code":"200"}')),
        (Flaw.PAYLOAD, lambda f: setattr(f, "payload", b"[200]")),
        (Flaw.PAYLOAD, lambda f: setattr(f, "payload", b'{"code":404}')),
        (Flaw.PAYLOAD, lambda f: setattr(f, "payload", b'{"code":200,"data":"***"}')),
        (Flaw.PAYLOAD, lambda f: setattr(f, "payload", b'{"code":200,"data":"bm90IGpzb24="}')),
        (Flaw.PAYLOAD, lambda f: setattr(f, "payload", b'{"code":200,"data":{}}')),
    ],
)
def test_each_deviation_is_found(flaw, spoil):
    """Every field that is not echoed, and every malformed answer, is one flaw of its own."""
    frame = confirm()
    spoil(frame)
    assert judge(frame) == [flaw]


def test_biz_rt_in_the_wrong_place_is_found():
    """biz_rt counts only as the last header."""
    frame = confirm()
    frame.headers.insert(0, frame.headers.pop())
    assert judge(frame) == [Flaw.BIZ_RT, Flaw.HEADERS]


def test_an_absent_field_may_come_back_empty():
    """Clients in Go write empty optional strings; that is the same value."""
    frame = confirm()
    frame.payload_encoding = ""
    assert frame.HasField("payload_encoding")
    assert judge(frame) == []


def test_findings_say_what_was_seen_and_expected():
    """A finding names both values."""
    frame = confirm()
    check_biz_rt(frame)
    frame.service = 7
    ((_, detail),) = compare_echo(frame, SENT.echo)
    assert "7" in detail
    assert "33554678" in detail


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b'{"code":200}', (200, None)),
        (b'{"code": 500}', (500, None)),
        (b'{"code":200,"headers":null,"data":null}', (200, None)),
        (b'{"code":200,"headers":{"a":"b"},"data":"e30="}', (200, b"{}")),
    ],
)
def test_every_shape_in_use_is_read(payload, expected):
    """The shapes of the Python, Go and Node SDKs are all accepted."""
    code, data, findings = read_answer(payload)
    assert (code, data) == expected
    assert findings == []


@given(st.binary(max_size=80))
def test_any_payload_gives_an_answer_or_a_finding(payload):
    """No payload makes the judge raise; without a finding there is a code."""
    code, _, findings = read_answer(payload)
    assert (code in (200, 500)) != bool(findings)


@given(st.binary(max_size=60))
def test_any_data_gives_an_answer_or_a_finding(data):
    """Data that is not JSON is a finding, whatever bytes it holds."""
    payload = b'{"code":200,"data":"%b"}' % base64.b64encode(data)
    code, seen, findings = read_answer(payload)
    assert (code == 200 and seen == data) != bool(findings)
