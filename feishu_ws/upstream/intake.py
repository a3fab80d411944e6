"""From the bytes of a frame to a whole payload handed over. Never raises, never waits.

What cannot be used is counted by reason and left alone; what can be echoed is
answered 500, so that Feishu knows. Either way the link goes on.
"""

from collections.abc import Callable, Mapping
from typing import Final

from feishu_ws.faults import Fault
from feishu_ws.happenings import FrameUnusable, Happening, Observer, PayloadRefused
from feishu_ws.model import Accept
from feishu_ws.tally import Tally
from feishu_ws.upstream.confirm import Confirmations
from feishu_ws.wire.frame import (
    CARD,
    CONTROL,
    DATA,
    EVENT,
    MESSAGE_ID,
    PING,
    PONG,
    SEQ,
    SUM,
    TYPE,
    FrameError,
    parse_frame,
    read_headers,
    without_payload,
)
from feishu_ws.wire.pbbp2_pb2 import Frame
from feishu_ws.wire.reassembly import MAX_PARTS, Lane, Reassembly, RefusedPartError

REPEAT_AFTER_S: Final = 1.0  # a flood of bad frames is one line a second, not a flood of lines
REFUSED: Final = 500
PAYLOAD_TYPES: Final = frozenset({EVENT, CARD})
"""Callbacks come as either. Source: oapi-sdk-python issue 126."""
OF_THE_FRAME: Final = frozenset({"fragment_range", "missing_header"})
"""Reasons to refuse a part that say nothing of its payload. Source: CONTRACT 8."""
NUMBER_LENGTH: Final = 9  # digits of a part's number that are worth reading
USUAL_NUMBERS: Final = {str(number): number for number in range(MAX_PARTS + 1)}
"""Sooner found than read."""


class Intake:
    """Reads the frames of one connection.

    Args:
        lane: Which link, and which of its lives.
        on_pong: Gets the payload of an application pong.
    """

    def __init__(
        self,
        lane: Lane,
        reassembly: Reassembly,
        accept: Accept,
        confirmations: Confirmations,
        tally: Tally,
        observe: Observer,
        on_pong: Callable[[bytes], None],
    ) -> None:
        self._lane = lane
        self._reassembly = reassembly
        self._accept = accept
        self._confirmations = confirmations
        self._tally = tally
        self._observe = observe
        self._on_pong = on_pong
        self._said_at: dict[str, float] = {}

    def take(self, data: bytes, now_s: float) -> None:
        """Take one binary message, received at `now_s`."""
        self._tally.received_bytes += len(data)
        try:
            frame = parse_frame(data)
        except FrameError as exc:
            self.leave(exc.reason, now_s)
            return
        if frame.method == DATA:
            self._take_data(frame, now_s)
        elif frame.method == CONTROL:
            self._take_control(frame, now_s)
        else:
            self.leave("unknown_method", now_s)

    def leave(self, reason: str, now_s: float) -> None:
        """Leave a frame alone that cannot be used."""
        self._tally.frames_received["other"] += 1
        self._tally.frame_errors[reason] += 1
        self._say(reason, FrameUnusable(self._lane[0], reason), now_s)

    def _take_control(self, frame: Frame, now_s: float) -> None:
        kind = read_headers(frame).get(TYPE)
        if kind == PONG:
            self._tally.frames_received[PONG] += 1
            self._tally.pongs_received += 1
            self._on_pong(frame.payload)
        elif kind == PING:  # every official SDK ignores it, and so is nothing expected
            self._tally.frames_received["other"] += 1
        else:
            self.leave("unknown_type", now_s)

    def _take_data(self, frame: Frame, now_s: float) -> None:
        headers = read_headers(frame)
        kind = headers.get(TYPE)
        if kind not in PAYLOAD_TYPES:
            self.leave("unknown_type" if kind else "missing_header", now_s)
            return
        self._tally.frames_received[kind] += 1
        try:
            payload = self._payload(frame, headers, now_s)
        except RefusedPartError as exc:
            self._refuse(frame, exc, now_s)
            return
        if payload is not None:
            self._accept(payload, self._confirmations.expect(without_payload(frame), now_s))

    def _payload(self, frame: Frame, headers: Mapping[str, str], now_s: float) -> bytes | None:
        total = _number(headers.get(SUM), 1)
        seq = _number(headers.get(SEQ), 0)
        message_id = headers.get(MESSAGE_ID)
        if total == 1:
            if message_id is None or SUM not in headers or SEQ not in headers:
                self._tally.frame_errors["missing_header"] += 1
            return self._reassembly.add("", seq, 1, frame.payload, now_s)
        if message_id is None:
            raise RefusedPartError("missing_header", len(frame.payload))
        whole = self._reassembly.add(message_id, seq, total, frame.payload, now_s, self._lane)
        self._tally.fragments_pending = self._reassembly.pending
        return whole

    def _refuse(self, frame: Frame, exc: RefusedPartError, now_s: float) -> None:
        self._tally.frame_errors[exc.reason] += 1
        fault = Fault.FRAME_UNUSABLE if exc.reason in OF_THE_FRAME else Fault.PAYLOAD_REFUSED
        refused = PayloadRefused(self._lane[0], exc.reason, exc.size_bytes, fault)
        self._say(exc.reason, refused, now_s)
        self._confirmations.expect(frame, now_s)(REFUSED, None)

    def _say(self, reason: str, happening: Happening, now_s: float) -> None:
        said_at = self._said_at.get(reason)
        if said_at is None or now_s - said_at >= REPEAT_AFTER_S:
            self._said_at[reason] = now_s
            self._observe(happening)


def _number(text: str | None, missing: int) -> int:
    """Read a part's number; -1, which no part has, for what is no number."""
    if text is None:
        return missing
    if text in USUAL_NUMBERS:
        return USUAL_NUMBERS[text]
    if len(text) <= NUMBER_LENGTH and text.isascii() and text.isdigit():
        return int(text)
    return -1
