"""Any bytes at all are taken without harm, and nothing is said too often."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from upstream.fake import data_frame

from feishu_ws.faults import Fault
from feishu_ws.happenings import FrameUnusable, PayloadRefused
from feishu_ws.tally import Tally
from feishu_ws.upstream.intake import Intake
from feishu_ws.wire.frame import REASONS
from feishu_ws.wire.pbbp2_pb2 import Frame
from feishu_ws.wire.reassembly import Reassembly


class Receiver:
    def __init__(self):
        self.tally = Tally()
        self.seen = []
        self.payloads = []
        self.answers = []
        self.pongs = []
        self.reassembly = Reassembly()
        self.intake = Intake(
            (3, 0), self.reassembly, self.accept, self, self.tally, self.seen.append, self.pong
        )

    def pong(self, payload):
        self.pongs.append(payload)

    def accept(self, payload, answer):
        self.payloads.append(payload)
        answer(200, None)

    def expect(self, frame, received_s):
        return lambda code, _: self.answers.append(code)


header = st.tuples(
    st.sampled_from(["type", "message_id", "sum", "seq", "x"]),
    st.sampled_from(["event", "card", "ping", "pong", "1", "2", "65", "-1", "x", ""]),
)


def frame(numbers, headers, payload):
    made = Frame(SeqID=0, LogID=0, service=numbers[0], method=numbers[1], payload=payload)
    for key, value in headers:
        made.headers.add(key=key, value=value)
    return made.SerializeToString()


anything = st.binary(max_size=60) | st.builds(
    frame,
    st.tuples(st.integers(0, 9), st.sampled_from([0, 1, 1, 1, 2, -1])),
    st.lists(header, max_size=6),
    st.binary(max_size=9),
)


@given(st.lists(anything, max_size=12))
def test_anything(messages):
    """Each frame is accepted, refused, waited for, or counted as unusable; never an error."""
    receiver = Receiver()
    for message in messages:
        receiver.intake.take(message, 0.0)
    tally = receiver.tally
    assert tally.received_bytes == sum(map(len, messages))
    assert sum(tally.frames_received.values()) == len(messages)
    assert set(tally.frame_errors) <= set(REASONS)
    assert receiver.answers.count(200) == len(receiver.payloads)
    assert tally.frames_received["pong"] == len(receiver.pongs) == tally.pongs_received
    reasons = [(type(each), each.reason) for each in receiver.seen]
    assert len(reasons) == len(set(reasons))


@pytest.mark.parametrize(
    ("frame", "fault"),
    [
        (data_frame(b"x", total=65), Fault.PAYLOAD_REFUSED),
        (data_frame(bytes(4 * 2**20 + 1)), Fault.PAYLOAD_REFUSED),
        (data_frame(b"x", seq=2, total=2), Fault.FRAME_UNUSABLE),
        (data_frame(b"x", total=2, drop=("message_id",)), Fault.FRAME_UNUSABLE),
    ],
)
def test_what_is_wrong_with_it(frame, fault):
    """A refused payload is told apart from a frame whose numbers cannot be used."""
    receiver = Receiver()
    receiver.intake.take(frame.SerializeToString(), 0.0)
    assert [each.fault for each in receiver.seen] == [fault]
    assert receiver.answers == [500]


def test_said_once_a_second():
    """A flood of bad frames is counted in full and told once per reason and second."""
    receiver = Receiver()
    for tenth in range(25):
        receiver.intake.take(b"garbage", 100 + tenth / 10)
        receiver.intake.take(data_frame(b"x", total=65).SerializeToString(), 100 + tenth / 10)
    assert receiver.tally.frame_errors == {"protobuf": 25, "too_many_parts": 25}
    assert receiver.seen.count(FrameUnusable(3, "protobuf")) == 3
    assert receiver.seen.count(PayloadRefused(3, "too_many_parts", 1)) == 3
    assert receiver.answers == [500] * 25


def test_pending_parts_are_counted():
    """The number of unfinished payloads is kept in the tally."""
    receiver = Receiver()
    receiver.intake.take(data_frame(b"a", "m", 0, 2).SerializeToString(), 0)
    assert receiver.tally.fragments_pending == 1
    receiver.intake.take(data_frame(b"b", "m", 1, 2).SerializeToString(), 0)
    assert (receiver.tally.fragments_pending, receiver.payloads) == (0, [b"ab"])
