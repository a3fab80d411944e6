"""What the metrics keep of happenings: counts and durations of rare changes of state.

`observe` is a sink for every happening; those it does not know change nothing.
Invariants: connects - disconnects = live links; every loss has exactly one cause.
"""

from collections import Counter, defaultdict
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from feishu_ws import happenings as h
from feishu_ws.clock import Clock
from feishu_ws.faults import Fault
from feishu_ws.tally import LIFETIME_EDGES_S, OUTAGE_EDGES_S, PHASE_EDGES_S, Histogram

ABNORMAL_CLOSURE: Final = 1006
"""How a close without a close frame is counted. Source: RFC 6455 7.1.5."""


class Counts:
    """Read by `metrics.py`; each public field is a metric of the catalogue."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lives: Counter[int] = Counter()  # a rotation overlaps two lives of one link
        self._lost_at: dict[int, float] = {}
        self._down_since: float | None = clock.monotonic()
        self._down_before_s = 0.0
        self._was_live = False

        self.connect_attempts = 0
        self.connects = 0
        self.connect_failures: Counter[str] = Counter()
        self.connect_phase_duration: defaultdict[str, Histogram] = defaultdict(
            partial(Histogram, PHASE_EDGES_S)
        )
        self.disconnects: Counter[str] = Counter()
        self.close_codes: Counter[str] = Counter()
        self.pong_timeouts = 0
        self.connection_lost_s = 0.0
        self.connection_duration = Histogram(LIFETIME_EDGES_S)
        self.reconnect_duration = Histogram(OUTAGE_EDGES_S)
        self.outage_duration = Histogram(OUTAGE_EDGES_S)
        self.reconnect_storms = 0
        self.storm_active = 0
        self.endpoint_requests: Counter[str] = Counter()
        self.endpoint_request_duration = Histogram(PHASE_EDGES_S)
        self.clock_offset_s = 0.0
        self.journal_salvages = 0
        self.consumer_disconnects: Counter[str] = Counter()
        self.consumers_forgotten = 0
        self.clients_refused: Counter[str] = Counter()
        self.log_messages: Counter[str] = Counter()
        self.label_values_folded: Counter[str] = Counter()
        self.config_ok = 1
        self.config_loaded_s = clock.wall_ms() / 1000

        self._hear: Final[dict[type[h.Happening], Callable[[Any], None]]] = {
            h.LinkDialed: self._dialed,
            h.LinkLive: self._live,
            h.LinkFailed: self._failed,
            h.LinkLost: self._lost,
            h.LinkReplaced: self._lost,
            h.DiscoveryAnswered: self._discovered,
            h.StormBegan: self._storm_began,
            h.JournalSalvaged: self._salvaged,
            h.StormEnded: self._storm_ended,
            h.ConsumerDisconnected: self._consumer_left,
            h.ConsumerForgotten: self._consumer_forgotten,
            h.ClientRefused: self._client_refused,
            h.ConfigReloaded: self._reloaded,
            h.ConfigRejected: self._rejected,
        }

    def observe(self, happening: h.Happening) -> None:
        """Take note of a happening."""
        hear = self._hear.get(type(happening))
        if hear is not None:
            hear(happening)

    @property
    def downtime_s(self) -> float:
        """Seconds without any live link since start; grows while there is none."""
        if self._down_since is None:
            return self._down_before_s
        return self._down_before_s + self._clock.monotonic() - self._down_since

    def _dialed(self, _: h.LinkDialed) -> None:
        self.connect_attempts += 1

    def _live(self, live: h.LinkLive) -> None:
        self.connects += 1
        for phase, seconds in live.phases_s.items():
            self.connect_phase_duration[phase].observe(seconds)
        now = self._clock.monotonic()
        self._end_downtime(now)
        self._lives[live.link] += 1
        lost_at = self._lost_at.pop(live.link, None)
        if lost_at is not None:
            self.reconnect_duration.observe(now - lost_at)

    def _end_downtime(self, now: float) -> None:
        if self._down_since is None:
            return
        self._down_before_s += now - self._down_since
        if self._was_live:  # the wait for the very first link is no outage
            self.outage_duration.observe(now - self._down_since)
        self._down_since = None
        self._was_live = True

    def _failed(self, failed: h.LinkFailed) -> None:
        self.connect_failures[failed.phase] += 1

    def _lost(self, lost: h.LinkLost | h.LinkReplaced) -> None:
        now = self._clock.monotonic()
        self.disconnects[lost.fault] += 1
        self.close_codes[str(lost.close_code or ABNORMAL_CLOSURE)] += 1
        self.pong_timeouts += lost.fault is Fault.PONG_OVERDUE
        self.connection_duration.observe(lost.lived_s)
        self.connection_lost_s = self._clock.wall_ms() / 1000
        self._lives[lost.link] -= 1
        if not self._lives[lost.link]:
            self._lost_at[lost.link] = now
        if not self._lives.total() and self._down_since is None:
            self._down_since = now

    def _discovered(self, answered: h.DiscoveryAnswered) -> None:
        self.endpoint_requests[answered.code] += 1
        self.endpoint_request_duration.observe(answered.took_s)
        if answered.clock_offset_s is not None:
            self.clock_offset_s = answered.clock_offset_s

    def _storm_began(self, _: h.StormBegan) -> None:
        self.reconnect_storms += 1
        self.storm_active = 1

    def _storm_ended(self, _: h.StormEnded) -> None:
        self.storm_active = 0

    def _salvaged(self, _: h.JournalSalvaged) -> None:
        self.journal_salvages += 1

    def _consumer_left(self, left: h.ConsumerDisconnected) -> None:
        self.consumer_disconnects[left.cause] += 1

    def _consumer_forgotten(self, _: h.ConsumerForgotten) -> None:
        self.consumers_forgotten += 1

    def _client_refused(self, refused: h.ClientRefused) -> None:
        self.clients_refused[refused.reason] += 1

    def _reloaded(self, _: h.ConfigReloaded) -> None:
        self.config_ok = 1
        self.config_loaded_s = self._clock.wall_ms() / 1000

    def _rejected(self, _: h.ConfigRejected) -> None:
        self.config_ok = 0
