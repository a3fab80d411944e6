"""Frames: what SDKs read of them, and what their answers mean."""

import base64
import json

import pytest
from downstream.rig import make_event
from hypothesis import given
from hypothesis import strategies as st

from feishu_ws.downstream.lookalike.frames import (
    Answer,
    FrameMaker,
    encode_own_pong,
    read_answer,
)
from feishu_ws.downstream.lookalike.settings import PART_BYTES
from feishu_ws.wire.frame import parse_frame, read_headers
from feishu_ws.wire.pbbp2_pb2 import Frame
from feishu_ws.wire.reassembly import Reassembly


def event(position=7, payload=b'{"a":1}'):
    made = make_event("e1", at_ms=0)
    made.position, made.payload = position, payload
    return made


def frames(maker=None, **changes):
    return [parse_frame(data) for data in (maker or FrameMaker("abc")).encode(event(**changes), 5)]


def answered(payload, position=7):
    (frame,) = frames(position=position)
    frame.payload = payload
    return read_answer(frame)


@pytest.mark.parametrize("size", [0, 1, PART_BYTES, PART_BYTES + 1, 4 * 1024**2])
def test_parts(size):
    """A payload comes in as few parts as there can be, and whole when put together."""
    payload = bytes(size)
    parts = frames(payload=payload)
    assert len(parts) == max(1, -(-size // PART_BYTES))
    assert b"".join(part.payload for part in parts) == payload
    assert [read_headers(part)["seq"] for part in parts] == [str(n) for n in range(len(parts))]
    assert {read_headers(part)["sum"] for part in parts} == {str(len(parts))}
    assert max(part.ByteSize() for part in parts) < 512 * 1024


def test_our_own_reassembly_takes_them():
    """What we would read ourselves is what was sent."""
    payload = bytes(range(256)) * 8192
    reassembly = Reassembly()
    parts = frames(payload=payload)
    whole = [reassembly.add("m", n, len(parts), part.payload, 0.0) for n, part in enumerate(parts)]
    assert whole == [None] * (len(parts) - 1) + [payload]


def test_deliveries_are_told_apart():
    """The second delivery of an event has another message_id: SDKs remember parts by it."""
    maker = FrameMaker("abc")
    ids = {read_headers(frames(maker)[0])["message_id"] for _ in range(3)}
    assert len(ids) == 3


def test_trace_id_without_event_id():
    """An event without an id of its own still has a trace_id, which SDKs require."""
    made = event()
    made.envelope = type(made.envelope)(type="x")
    (data,) = FrameMaker("abc").encode(made, 5)
    assert read_headers(parse_frame(data))["trace_id"]


def test_pong():
    """A pong has the whole configuration: SDKs take over what is in it, and what is not."""
    frame = parse_frame(encode_own_pong(3))
    assert (frame.method, frame.service, read_headers(frame)["type"]) == (0, 3, "pong")
    assert json.loads(frame.payload) == {
        "ReconnectCount": -1, "ReconnectInterval": 1, "ReconnectNonce": 0, "PingInterval": 120,
    }  # fmt: skip


TOAST = b'{"toast":{"content":"\xe5\x90\x8c"}}'
DATA = base64.b64encode(TOAST)


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b'{"code": 200}', Answer(7, is_ok=True)),
        (b'{"code":200,"headers":null,"data":null}', Answer(7, is_ok=True)),
        (b'{"code":200,"data":"%b"}' % DATA, Answer(7, is_ok=True, reply=TOAST)),
        (
            b'{"code":200,"headers":{"a":"b"},"data":"%b"}' % DATA,
            Answer(7, is_ok=True, reply=TOAST),
        ),
        (b'{"code": 500}', Answer(7, is_ok=False)),
        (b'{"code":404}', Answer(7, is_ok=False)),
        (b'{"code":200,"data":""}', Answer(7, is_ok=True)),
        (b'{"code":200,"data":"%b"}' % base64.b64encode(b"7"), Answer(7, is_ok=True)),
        (b'{"code":200,"data":{"a":1}}', Answer(7, is_ok=True)),
        (
            b'{"code":200,"data":"%b"}' % base64.b64encode(b'{"a":"%b"}' % bytes(300_000)),
            Answer(7, is_ok=True),
        ),
    ],
)
def test_shapes_of_answers(payload, expected):
    """Answers of all three SDKs are understood; only an object of bearable size is a reply."""
    assert answered(payload) == expected


@pytest.mark.parametrize(
    "payload", [b"", b"{}", b"[]", b"null", b'{"code":"200"}', b'{"code":true}', b"\xff", b"{" * 9]
)
def test_no_answers(payload):
    """What has no code answers nothing."""
    assert answered(payload) is None


@pytest.mark.parametrize(
    "message_id", ["", "x", "7", "0-0", "-1", "g" * 16 + "-1", "\uff11" * 16 + "-1"]
)
def test_foreign_message_ids(message_id):
    """A message_id that is none of ours names no position."""
    frame = Frame(SeqID=1, LogID=1, service=1, method=1, payload=b'{"code":200}')
    frame.headers.add(key="message_id", value=message_id)
    assert read_answer(frame) is None


@given(st.text(max_size=40), st.binary(max_size=100))
def test_total(message_id, payload):
    """Whatever a client sends is read without an error."""
    frame = Frame(SeqID=1, LogID=1, service=1, method=1, payload=payload)
    frame.headers.add(key="message_id", value=message_id)
    read_answer(frame)


@given(st.integers(1, 2**53))
def test_position_comes_back(position):
    """The position of a delivery is read from its answer."""
    assert answered(b'{"code":200}', position).position == position
