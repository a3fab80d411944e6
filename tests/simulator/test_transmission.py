"""Data frames: ids, headers, parts."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feishu_ws.faults import FeishuWsError
from feishu_ws.simulator.settings import SimulatorSettings
from feishu_ws.simulator.transmission import (
    STRAY,
    FrameMaker,
    Split,
    arrange,
    cut,
    draw_empty,
    find_completing,
    format_uuid,
)
from feishu_ws.wire.pbbp2_pb2 import Frame


def make(**changes) -> FrameMaker:
    return FrameMaker(SimulatorSettings(**changes), random.Random(7))


def test_a_whole_event_has_the_full_header_set():
    """One frame carries every header Feishu sends, in order, and the payload."""
    sent = make().encode(b'{"a":1}', "event", Split(), 1_774_004_591_415)
    frame = Frame.FromString(sent.frames[0])
    assert [header.key for header in frame.headers] == [
        "type", "message_id", "sum", "seq", "trace_id", "timestamp", "instance_id",
    ]  # fmt: skip
    values = {header.key: header.value for header in frame.headers}
    assert values["type"] == "event"
    assert values["message_id"] == sent.message_id
    assert (values["sum"], values["seq"]) == ("1", "0")
    assert values["timestamp"] == "1774004591415"
    assert values["instance_id"]
    assert (frame.service, frame.method, frame.payload) == (33554678, 1, b'{"a":1}')
    assert frame.SeqID == sent.seq_id
    assert frame.LogID
    assert frame.LogIDNew
    assert not frame.HasField("payload_type")


def test_the_echo_is_the_frame_without_its_payload():
    """What a confirmation is compared with is the sent frame, payload taken out."""
    sent = make(payload_type="json", payload_encoding="none").encode(b"x", "card", Split(), 0)
    frame = Frame.FromString(sent.frames[0])
    assert (frame.payload_type, frame.payload_encoding) == ("json", "none")
    frame.ClearField("payload")
    assert frame.SerializeToString() == sent.echo


def test_two_transmissions_share_no_id():
    """message_id, trace_id and SeqID are fresh each time, also for the same event."""
    maker = make()
    seen = []
    for _ in range(2):
        frame = Frame.FromString(maker.encode(b"{}", "event", Split(), 0).frames[0])
        values = {header.key: header.value for header in frame.headers}
        seen.append((values["message_id"], values["trace_id"], frame.SeqID, frame.LogIDNew))
    assert all(a != b for a, b in zip(*seen, strict=True))


def test_the_same_seed_gives_the_same_bytes():
    """A seed makes transmissions repeatable."""
    assert make().encode(b"{}", "event", Split(), 5) == make().encode(b"{}", "event", Split(), 5)


def test_ids_look_like_uuids():
    """A message_id has the form of a UUID."""
    assert format_uuid(0x0123456789ABCDEF0123456789ABCDEF) == "01234567-89ab-cdef-0123-456789abcdef"


@given(st.binary(max_size=200), st.integers(1, 64))
def test_pieces_join_to_the_payload(payload, parts):
    """Any payload is cut into exactly so many pieces, of sizes that differ by one at most."""
    pieces = cut(payload, parts)
    assert b"".join(pieces) == payload
    assert len(pieces) == parts
    assert max(map(len, pieces)) - min(map(len, pieces)) <= 1


@given(
    st.integers(1, 12), st.booleans(), st.integers(0, 5), st.integers(0, 20), st.integers(0, 2**32)
)
def test_disturbed_parts_keep_their_numbers(parts, shuffle, duplicates, drop, seed):
    """Dropping and repeating change how many parts go out, never which numbers they have."""
    split = Split(parts, shuffle, duplicates, min(drop, parts - 1))
    order = arrange(split, random.Random(seed))
    left = parts - split.drop
    assert set(order) <= set(range(parts))
    assert len(set(order)) == left
    assert len(order) == left + min(duplicates, left)
    assert sorted(set(arrange(split, random.Random(seed), first=False))) == list(range(parts))


@given(st.lists(st.integers(0, 4), max_size=30))
def test_the_completing_part_is_the_first_that_leaves_none_missing(order):
    """The completing index is where the last missing number first appears."""
    index = find_completing(order, 5)
    if index is None:
        assert set(order) != set(range(5))
    else:
        assert set(order[: index + 1]) == set(range(5))
        assert set(order[:index]) != set(range(5))


def test_a_split_event_completes_with_its_last_missing_part():
    """The expected SeqID and seq are those of the part that completes the payload."""
    split = Split(4, shuffle=True, duplicates=2)
    for seed in range(20):
        maker = FrameMaker(SimulatorSettings(), random.Random(seed))
        sent = maker.encode(b"0123456789", "event", split, 0)
        frames = [Frame.FromString(data) for data in sent.frames]
        seqs = [int(next(h.value for h in f.headers if h.key == "seq")) for f in frames]
        completing = frames[find_completing(seqs, 4)]
        assert completing.SeqID == sent.seq_id
        parts = dict(zip(seqs, (f.payload for f in frames), strict=True))
        assert b"".join(parts[seq] for seq in range(4)) == b"0123456789"
        assert {h.value for f in frames for h in f.headers if h.key == "sum"} == {"4"}


def test_missing_parts_leave_nothing_to_confirm():
    """With a part dropped no SeqID is expected, and the repeat is whole."""
    maker = make()
    assert maker.encode(b"abcd", "event", Split(4, drop=1), 0).seq_id is None
    repeat = maker.encode(b"abcd", "event", Split(4, drop=1), 0, first=False)
    assert repeat.seq_id is not None
    assert len(repeat.frames) == 4


@given(st.binary(max_size=200), st.integers(2, 20), st.data())
def test_empty_parts_carry_nothing_and_the_others_everything(payload, parts, data):
    """So many parts are empty; put together in order they hold the payload."""
    empty = data.draw(st.integers(0, parts - 1))
    drawn = draw_empty(Split(parts, empty=empty), random.Random(5))
    pieces = cut(payload, parts, drawn)
    assert (len(drawn), len(pieces)) == (empty, parts)
    assert all(not pieces[seq] for seq in drawn)
    assert b"".join(pieces) == payload


@given(st.integers(1, 8), st.integers(1, 8), st.integers(0, 2**32))
def test_strays_have_numbers_that_no_part_has(parts, strays, seed):
    """They share the message_id, carry something else, and are told apart by their SeqID."""
    maker = FrameMaker(SimulatorSettings(), random.Random(seed))
    sent = maker.encode(b"0123456789", "event", Split(parts, out_of_range=strays), 0)
    frames = [Frame.FromString(data) for data in sent.frames]
    assert len(frames) == parts + strays
    assert len(sent.strays) == strays
    for frame in frames:
        headers = {header.key: header.value for header in frame.headers}
        assert headers["message_id"] == sent.message_id
        in_range = headers["seq"].isdigit() and int(headers["seq"]) < parts
        assert in_range is (frame.SeqID not in sent.strays)
        assert in_range is (frame.payload != STRAY)
    assert sent.seq_id not in sent.strays


def test_strays_come_anywhere_among_the_parts():
    """At the beginning, between the parts, and after the last of them."""
    places = set()
    for seed in range(40):
        maker = FrameMaker(SimulatorSettings(), random.Random(seed))
        sent = maker.encode(b"0123456789", "event", Split(3, out_of_range=1), 0)
        ids = [Frame.FromString(data).SeqID for data in sent.frames]
        places |= {ids.index(stray) for stray in sent.strays}
    assert places == {0, 1, 2, 3}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"parts": 0}, "parts = 0, expected 1 or more"),
        ({"duplicates": -1}, "duplicates = -1, expected 0 or more"),
        ({"out_of_range": -1}, "out_of_range = -1"),
        ({"parts": 3, "drop": 3}, "drop = 3, expected 0 to 2 of 3 parts"),
        ({"parts": 3, "empty": 3}, "empty = 3, expected 0 to 2 of 3 parts"),
        ({"empty": 1}, "empty = 1, expected 0 to 0 of 1 parts"),
    ],
)
def test_impossible_splits_are_refused(wrong, said):
    """A split that leaves nothing to send is a config fault that says what is possible."""
    with pytest.raises(FeishuWsError, match=said):
        Split(**wrong)
