"""Frames that are out of order."""

import json
import random
from collections import Counter
from itertools import islice

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from feishu_ws.simulator.hostile import FAMILIES, HOSTILE, HOSTILE_TYPE, RARE, hostile_frames
from feishu_ws.simulator.settings import MIB
from feishu_ws.wire.frame import FrameError, parse_frame
from feishu_ws.wire.pbbp2_pb2 import Frame

NO_FRAMES = ("garbage", "empty", "truncated", "missing_field")
FULL = {"type", "message_id", "sum", "seq", "trace_id"}

seeds = st.integers(0, 2**32)


def draw(family, seed):
    return FAMILIES[family](random.Random(seed))


def headers_of(data):
    return {header.key: header.value for header in Frame.FromString(data).headers}


@pytest.mark.parametrize("family", NO_FRAMES)
@given(seeds)
def test_what_is_no_frame_cannot_be_read(family, seed):
    """Neither as protobuf nor, where protobuf is lenient, as a frame with all it needs."""
    with pytest.raises(FrameError):
        parse_frame(draw(family, seed))


@given(seeds)
def test_text_is_text(seed):
    """It goes out as a text message."""
    assert isinstance(draw("text", seed), str)


@pytest.mark.parametrize("family", sorted(set(FAMILIES) - {*NO_FRAMES, "text", "oversized"}))
@given(seeds)
def test_other_frames_can_be_read_and_told_apart(family, seed):
    """They are frames, and say that they are hostile wherever there is room for it."""
    frame = parse_frame(draw(family, seed))
    marked = [h.value for h in frame.headers if h.key in {"message_id", "trace_id"}]
    assert all(value.startswith(HOSTILE) for value in marked)
    assert bool(marked) is (family != "no_headers")
    if family != "bad_pong":
        header = json.loads(frame.payload)["header"]
        assert header["event_type"] == HOSTILE_TYPE
        assert header["event_id"].startswith(HOSTILE)


@given(seeds)
def test_one_header_is_missing(seed):
    """Exactly one of those Feishu always sends."""
    assert len(FULL - headers_of(draw("missing_header", seed)).keys()) == 1


@given(seeds)
def test_methods_and_types_are_unknown(seed):
    """No client knows them."""
    assert parse_frame(draw("unknown_method", seed)).method not in {0, 1}
    assert headers_of(draw("unknown_type", seed))["type"] not in {"event", "card", "ping", "pong"}


@given(seeds)
def test_part_numbers_are_out_of_range(seed):
    """The number is none, or not below the sum; too many are more than 64."""
    headers = headers_of(draw("out_of_range", seed))
    try:
        in_range = 0 <= int(headers["seq"]) < int(headers["sum"]) and headers["seq"].isascii()
    except ValueError:
        in_range = False
    assert not in_range
    many = headers_of(draw("too_many_parts", seed))
    assert int(many["sum"]) > 64 > int(many["seq"])
    orphan = headers_of(draw("orphan_part", seed))
    assert 0 <= int(orphan["seq"]) < int(orphan["sum"]) <= 64


def test_oversized_is_over_four_mebibytes_and_under_sixteen():
    """More than a client has to take, less than what ends a link."""
    data = draw("oversized", 1)
    assert len(parse_frame(data).payload) > 4 * MIB
    assert len(data) < 16 * MIB


@given(seeds)
def test_pongs_are_absurd(seed):
    """No config of them holds all four keys with sensible numbers."""
    frame = parse_frame(draw("bad_pong", seed))
    assert (frame.method, headers_of(frame.SerializeToString())["type"]) == (0, "pong")
    try:
        config = json.loads(frame.payload)
    except ValueError:
        return
    if isinstance(config, dict):
        assert not all(isinstance(v, int) and 0 < v < 2**31 for v in config.values()) or not config


def test_the_stream_is_endless_and_of_every_family(monkeypatch):
    """Every family comes; the heavy ones are rare."""
    for name in FAMILIES:
        monkeypatch.setitem(FAMILIES, name, lambda _, name=name: name)
    drawn = Counter(islice(hostile_frames(random.Random(5)), 20_000))
    assert set(drawn) == set(FAMILIES)
    usual = min(count for name, count in drawn.items() if name not in RARE)
    assert all(drawn[rare] < usual / 3 for rare in RARE)


def test_the_same_seed_gives_the_same_frames():
    """Chance is repeatable."""
    first, second = (list(islice(hostile_frames(random.Random(5)), 300)) for _ in range(2))
    assert first == second


def test_only_the_families_named_come():
    """A family that does not exist is an error before the first frame."""
    assert all(isinstance(f, str) for f in islice(hostile_frames(random.Random(1), ["text"]), 50))
    with pytest.raises(KeyError):
        next(hostile_frames(random.Random(1), ["texts"]))


def test_truncated_frames_are_cut_inside_a_field():
    """Protobuf itself cannot read them, as there is no whole field left at their end."""
    with pytest.raises(DecodeError):
        Frame.FromString(draw("truncated", 3))
