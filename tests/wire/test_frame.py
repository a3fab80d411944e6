"""Frames against the vectors observed on the wire, and against any bytes at all."""

import base64
import contextlib

import msgspec
import pytest
from google.protobuf.internal import api_implementation
from hypothesis import given
from hypothesis import strategies as st

from feishu_ws.wire import frame as f
from feishu_ws.wire.pbbp2_pb2 import Frame

SERVICE = 33554678
PING = bytes.fromhex("0800100018f681801020002a0c0a0474797065120470696e67")
PONG = bytes.fromhex(
    "0800100018f681801020002a0c0a04747970651204706f6e6742527b225265636f6e6e656374436f756e74223a"
    "2d312c225265636f6e6e656374496e74657276616c223a39302c225265636f6e6e6563744e6f6e6365223a3235"
    "2c2250696e67496e74657276616c223a39307d"
)
DATA = bytes.fromhex(
    "0807100818f681801020012a0d0a047479706512056576656e742a110a0a6d6573736167655f696412036d2d31"
    "2a080a0373756d1201312a080a037365711201302a0f0a0874726163655f69641203742d3142107b2273636865"
    "6d61223a22322e30227d4a014c"
)
ACK = bytes.fromhex(
    "0807100818f681801020012a0d0a047479706512056576656e742a110a0a6d6573736167655f696412036d2d31"
    "2a080a0373756d1201312a080a037365711201302a0f0a0874726163655f69641203742d312a0b0a0662697a5f"
    "7274120133420c7b22636f6465223a3230307d4a014c"
)
CONFIG = b'{"ReconnectCount":-1,"ReconnectInterval":90,"ReconnectNonce":25,"PingInterval":90}'


def _frame(numbers, headers, payload, extra):
    made = Frame(SeqID=numbers[0], LogID=numbers[1], service=numbers[2], method=f.DATA)
    for key, value in headers:
        made.headers.add(key=key, value=value)
    made.payload = payload
    made.payload_type = extra
    made.LogIDNew = extra
    return made


header = st.tuples(st.text(max_size=12), st.text(max_size=12))
frames = st.builds(
    _frame,
    st.tuples(
        st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1), st.integers(-(2**31), 2**31 - 1)
    ),
    st.lists(header, max_size=8),
    st.binary(max_size=64),
    st.text(max_size=8),
)


def test_upb():
    """The runtime is upb, the one the measurements are about."""
    assert api_implementation.Type() == "upb"


def test_ping_vector():
    """A ping is byte for byte what the official SDKs send."""
    assert f.encode_ping(SERVICE) == PING


def test_pong_vector():
    """A pong is byte for byte what Feishu sends."""
    assert f.encode_pong(SERVICE, CONFIG) == PONG
    assert not f.parse_frame(f.encode_pong(SERVICE)).HasField("payload")


def beside(frame):
    """How many bytes of a frame are not its payload's."""
    return frame.ByteSize() - len(frame.payload)


@given(frames, st.integers(0, 2))
def test_a_large_payload_is_no_obstacle(frame, megabytes):
    """What is read is what is sent, whatever the size of the payload."""
    frame.payload = bytes(megabytes * f.MAX_BESIDE)
    sent = frame.SerializeToString()
    assert f.parse_frame(sent) == frame
    if len(sent) > 0:
        assert f._count_beside(sent) == beside(frame)


@pytest.mark.parametrize("over", [0, 1])
def test_large_beside_the_payload(over):
    """A frame may be so large without its payload, and no larger."""
    frame = f.parse_frame(DATA)
    frame.payload = bytes(200_000)
    frame.headers.add(key="k", value="")
    frame.headers[-1].value = "x" * (f.MAX_BESIDE - beside(frame) - 4 + over)
    assert beside(frame) == f.MAX_BESIDE + over
    if not over:
        assert f.parse_frame(frame.SerializeToString()) == frame
        return
    with pytest.raises(f.FrameError) as caught:
        f.parse_frame(frame.SerializeToString())
    assert caught.value.reason == "too_large"


@pytest.mark.parametrize(
    "field",
    [b"\x2a\0", b"\x2a\x04\x0a\0\x12\0", b"\xa0\x1f\1", b"\x42\0", b"\x79" + bytes(8), b"\x7d" + bytes(4)],
    ids=["no-header", "header", "unknown", "payload", "fixed64", "fixed32"],
)  # fmt: skip
def test_millions_of_fields(field):
    """A frame made of nothing but small fields is refused before they are read."""
    with pytest.raises(f.FrameError) as caught:
        f.parse_frame(DATA + field * (8 * f.MAX_BESIDE // len(field)))
    assert caught.value.reason == "too_large"


@given(st.binary(max_size=40), st.integers(0, 255))
def test_large_bytes_that_are_no_frame(start, filler):
    """Whatever comes instead of a frame, the look at its size ends, and says so or nothing."""
    with contextlib.suppress(f.FrameError):
        f.parse_frame(start + bytes([filler]) * (f.MAX_BESIDE + 1))


def test_data_vector():
    """A data frame is read with all its fields."""
    frame = f.parse_frame(DATA)
    assert (frame.SeqID, frame.LogID, frame.service, frame.method) == (7, 8, SERVICE, f.DATA)
    assert f.read_headers(frame) == {
        "type": "event",
        "message_id": "m-1",
        "sum": "1",
        "seq": "0",
        "trace_id": "t-1",
    }
    assert (frame.payload, frame.LogIDNew) == (b'{"schema":"2.0"}', "L")


def test_confirm_vector():
    """A confirmation is byte for byte what the official SDKs send."""
    assert f.encode_confirm(f.parse_frame(DATA), 200, 3) == ACK


def test_confirm_with_answer():
    """A callback's answer travels base64-encoded beside the code."""
    confirm = f.parse_frame(f.encode_confirm(f.parse_frame(DATA), 200, 0, b'{"toast":{}}'))
    said = msgspec.json.decode(confirm.payload)
    assert said["code"] == 200
    assert base64.b64decode(said["data"]) == b'{"toast":{}}'


@given(frames)
def test_without_payload(frame):
    """What is kept of a frame for its confirmation gives the same confirmation."""
    data = frame.SerializeToString()
    kept = f.without_payload(f.parse_frame(data))
    assert not kept.HasField("payload")
    assert f.encode_confirm(kept, 200, 3) == f.encode_confirm(f.parse_frame(data), 200, 3)


def test_first_of_repeated_headers():
    """Of a repeated header the first value counts."""
    frame = _frame((0, 0, 0), [("type", "event"), ("type", "card")], b"", "")
    assert f.read_headers(frame)["type"] == "event"


@given(frames)
def test_confirm_echoes_everything(frame):
    """A confirmation echoes every field and header of any frame and appends one."""
    confirm = f.parse_frame(f.encode_confirm(f.parse_frame(frame.SerializeToString()), 500, 12))
    assert (confirm.headers[-1].key, confirm.headers[-1].value) == (f.BIZ_RT, "12")
    assert confirm.payload == b'{"code":500}'
    del confirm.headers[-1]
    confirm.payload = frame.payload
    assert confirm == frame


@given(st.binary(max_size=200) | frames.map(lambda frame: frame.SerializeToString()[:-1]))
def test_any_bytes(data):
    """Any bytes are a frame with all required fields, or `protobuf`."""
    frame = None
    with contextlib.suppress(f.FrameError):
        frame = f.parse_frame(data)
    assert frame is None or (frame.IsInitialized() and isinstance(f.read_headers(frame), dict))


@pytest.mark.parametrize("data", [b"", b"\x08\x01", PING[2:], b"\x00" * 40])
def test_missing_fields(data):
    """A frame without its required fields is no frame."""
    with pytest.raises(f.FrameError) as caught:
        f.parse_frame(data)
    assert caught.value.reason == "protobuf"
    assert "protobuf" in f.REASONS
