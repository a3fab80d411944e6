"""What a simulated Feishu counted, and every confirmation it found fault with."""

from collections import Counter, deque
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import Any, Final

from feishu_ws.tally import ACK_EDGES_S, Histogram

REMEMBERED_BAD_ACKS: Final = 200  # enough to see a pattern; the counts go on


class Flaw(StrEnum):
    """What can be wrong with a confirmation."""

    UNKNOWN_MESSAGE = "unknown_message"  # no such message_id was sent lately
    OTHER_LINK = "other_link"  # confirmed on a link it was not sent on
    REPEATED = "repeated"  # confirmed before
    INCOMPLETE = "incomplete"  # parts were missing, nothing was there to confirm
    SEQ_ID = "seq_id"
    LOG_ID = "log_id"
    LOG_ID_NEW = "log_id_new"
    SERVICE = "service"
    METHOD = "method"
    HEADERS = "headers"
    PAYLOAD_ENCODING = "payload_encoding"
    PAYLOAD_TYPE = "payload_type"
    UNKNOWN_FIELDS = "unknown_fields"
    BIZ_RT = "biz_rt"
    PAYLOAD = "payload"


TOLERATED: Final = frozenset({Flaw.BIZ_RT})
"""Counted, yet taken as an answer: official SDKs send them and live on.

Source: lark-oapi 1.7.5 ws/client.py:372 (500 without biz_rt), Node SDK 1.74.0 (negative).
"""


@dataclass(frozen=True, slots=True)
class BadAck:
    """A confirmation that broke the rules.

    Attributes:
        flaws: Every rule it broke.
        detail: What was seen and what was expected, in the order of `flaws`.
    """

    message_id: str
    flaws: tuple[Flaw, ...]
    detail: str


@dataclass(slots=True)
class SimulatorStats:
    """Counts since the start.

    `pushed == confirmed + given_up + unconfirmed` holds at any time.

    Attributes:
        discoveries: Requests for an endpoint, refused ones included.
        links_refused: Handshakes that were turned away.
        links_mute: Links cut because no first ping came.
        pushed: Events given to `push`.
        sent: Transmissions of whole events, repeats included.
        offline: Attempts that found no live link.
        confirmed: Events that got a 200, late ones included.
        refused: 500s, of which one event may have several.
        late: Answers after the deadline.
        unanswered: Transmissions without an answer within the deadline.
        orphaned: Transmissions whose link died before the answer.
        given_up: Events that ran out of attempts (or of room) without a 200.
        unconfirmed: Events still to be confirmed.
        acks_lost: Confirmations that a scenario lost on their way here.
        strays_refused: 500s for parts that were out of range, which are no answer.
        resets: Links cut by the simulator without a close frame.
        bad_acks: The latest confirmations that broke a rule.
        bad_ack_flaws: How often each rule was broken.
        bad_frames: Frames that were neither ping nor confirmation, by reason.
        hostile_answers: Answers to hostile frames (`hostile.hostile_frames`), by code.
        ack_latency: Seconds from a transmission to its 200.
    """

    discoveries: int = 0
    links_opened: int = 0
    links_closed: int = 0
    links_refused: int = 0
    links_mute: int = 0
    pushed: int = 0
    sent: int = 0
    offline: int = 0
    confirmed: int = 0
    refused: int = 0
    late: int = 0
    unanswered: int = 0
    orphaned: int = 0
    given_up: int = 0
    unconfirmed: int = 0
    acks_lost: int = 0
    strays_refused: int = 0
    resets: int = 0
    pings: int = 0
    bad_acks: deque[BadAck] = field(default_factory=partial(deque, maxlen=REMEMBERED_BAD_ACKS))
    bad_ack_flaws: Counter[Flaw] = field(default_factory=Counter)
    bad_frames: Counter[str] = field(default_factory=Counter)
    hostile_answers: Counter[int] = field(default_factory=Counter)
    ack_latency: Histogram = field(default_factory=partial(Histogram, ACK_EDGES_S))

    def note_bad_ack(self, bad: BadAck) -> None:
        """Count and remember a confirmation that broke the rules."""
        self.bad_acks.append(bad)
        self.bad_ack_flaws.update(bad.flaws)

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain JSON values; latencies as upper bucket edges."""
        counts = {
            name: getattr(self, name)
            for name in self.__dataclass_fields__
            if isinstance(getattr(self, name), int)
        }
        return counts | {
            "bad_acks": [
                {"message_id": b.message_id, "flaws": list(b.flaws), "detail": b.detail}
                for b in self.bad_acks
            ],
            "bad_ack_flaws": {str(flaw): count for flaw, count in self.bad_ack_flaws.items()},
            "bad_frames": dict(self.bad_frames),
            "hostile_answers": {str(code): count for code, count in self.hostile_answers.items()},
            "ack_p50_s": quantile(self.ack_latency, 0.5),
            "ack_p99_s": quantile(self.ack_latency, 0.99),
        }


def quantile(histogram: Histogram, share: float) -> float | None:
    """Return the upper edge of the bucket that holds `share`; None while empty or above all."""
    wanted = share * sum(histogram.counts)
    if not wanted:
        return None
    seen = 0
    for edge, count in zip(histogram.edges, histogram.counts, strict=False):
        seen += count
        if seen >= wanted:
            return float(edge)
    return None
