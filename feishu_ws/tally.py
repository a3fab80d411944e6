"""Counts taken on the hot path; telemetry reads them when it is scraped.

A room that handles frames or events adds to plain integers here (tens of
nanoseconds) instead of calling into a metrics library. Changes of state, which
are rare, go out as happenings.
"""

from bisect import bisect_left
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from functools import partial
from typing import Final

ACK_EDGES_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 2.5, 3, 5)
"""Has an edge on the 3 s deadline itself, so that the share in time is exact."""
DELIVERY_EDGES_S: Final = (
    0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 3, 10, 30, 60, 300, 1800, 7200,
)  # fmt: skip
COMMIT_EDGES_S: Final = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1,
)  # fmt: skip
TRANSIT_EDGES_S: Final = (0.05, 0.1, 0.25, 0.5, 1, 2, 3, 5, 10, 30, 60, 300, 3600, 25200)
PHASE_EDGES_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
RTT_EDGES_S: Final = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 5)
LIFETIME_EDGES_S: Final = (1, 10, 60, 300, 900, 3600, 21600, 86400, 604800)
OUTAGE_EDGES_S: Final = (0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800)
LAG_EDGES_S: Final = (0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 3)


class Histogram:
    """Counts per bucket; `counts` has one more place than `edges`, for the rest."""

    __slots__ = ("counts", "edges", "sum")

    def __init__(self, edges: tuple[float, ...]) -> None:
        self.edges = edges
        self.counts = [0] * (len(edges) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """Count one value; a negative one counts as 0 (a clock that stepped)."""
        value = max(value, 0.0)
        self.counts[bisect_left(self.edges, value)] += 1
        self.sum += value


class TypeCounter(Counter[str]):
    """Counts by event type, which strangers choose: bounded in number and length.

    Types beyond the bounds share the key `other`.
    """

    _MOST: Final = 1024  # Feishu has some 250 event types
    _LONGEST: Final = 128  # the longest in lark-oapi 1.7.5 has 65

    def __setitem__(self, event_type: str, count: int) -> None:
        if event_type not in self and (len(self) >= self._MOST or len(event_type) > self._LONGEST):
            event_type, count = "other", self["other"] + count
        super().__setitem__(event_type, count)


@dataclass(slots=True)
class Tally:
    """Every count of the hot path, one object per daemon.

    Each field is exposed under the metric of the same name (`telemetry/catalogue.py`).
    Counters with a label are `Counter`s keyed by the label's value.
    """

    # link
    frames_received: Counter[str] = field(default_factory=Counter)  # event card pong other
    frames_sent: Counter[str] = field(default_factory=Counter)  # ack ping other
    received_bytes: int = 0
    sent_bytes: int = 0
    frame_errors: Counter[str] = field(default_factory=Counter)  # by reason
    fragments_pending: int = 0
    pings_sent: int = 0
    pongs_received: int = 0
    ping_rtt: Histogram = field(default_factory=partial(Histogram, RTT_EDGES_S))
    # intake
    events_received: Counter[str] = field(default_factory=TypeCounter)  # by event type
    events_duplicate: int = 0
    events_stored: int = 0
    events_refused: Counter[str] = field(default_factory=Counter)  # by fault
    events_acked: int = 0
    event_ack_failures: int = 0
    events_ack_deadline_exceeded: int = 0
    event_ack_duration: Histogram = field(default_factory=partial(Histogram, ACK_EDGES_S))
    event_transit: Histogram = field(default_factory=partial(Histogram, TRANSIT_EDGES_S))
    event_transit_negative: int = 0
    callbacks: Counter[str] = field(default_factory=Counter)  # answered defaulted late
    # journal
    journal_commit_duration: Histogram = field(default_factory=partial(Histogram, COMMIT_EDGES_S))
    journal_errors: Counter[str] = field(default_factory=Counter)  # by op
    events_discarded: Counter[str] = field(default_factory=Counter)  # by reason
    # downstream
    events_delivered: Counter[str] = field(default_factory=TypeCounter)  # by event type
    events_redelivered: int = 0
    events_dead_lettered: Counter[str] = field(default_factory=Counter)  # by reason
    event_delivery_duration: Histogram = field(default_factory=partial(Histogram, DELIVERY_EDGES_S))
    consumer_ack_duration: Histogram = field(default_factory=partial(Histogram, DELIVERY_EDGES_S))
    # what is said to Feishu
    api_requests: Counter[tuple[str, str]] = field(default_factory=Counter)  # by route, result
    api_request_duration: defaultdict[str, Histogram] = field(
        default_factory=partial(defaultdict, partial(Histogram, PHASE_EDGES_S))
    )  # by route
    api_retries: int = 0
    api_rate_limit_wait_s: float = 0.0
    token_refreshes: int = 0
    token_refresh_failures: int = 0
    token_expiry_s: float = 0.0  # Unix time
    sends: Counter[str] = field(default_factory=Counter)  # by what became of them
    sends_waiting: int = 0
    remote_instances: int = 0
    # process
    event_loop_lag: Histogram = field(default_factory=partial(Histogram, LAG_EDGES_S))
