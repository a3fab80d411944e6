"""Every metric there is, in one table: registry, README, dashboards and lint read it.

Names are without the prefix `feishu_ws_`, otherwise as they are exposed. There is no
label that every metric has: which app this is, the target's labels say. Times are
moments (`_timestamp_seconds`), so that a reader can subtract; 0 = never.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from feishu_ws import tally
from feishu_ws.telemetry import labels as by
from feishu_ws.telemetry import readings
from feishu_ws.telemetry.facts import Facts
from feishu_ws.telemetry.readings import Info, Reading

PREFIX: Final = "feishu_ws_"


class Kind(StrEnum):
    """Types of metrics. A state set is a gauge here, so that its label can be `state`."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Tallied:
    """The value is a field of `Tally`."""

    field: str


@dataclass(frozen=True, slots=True)
class Counted:
    """The value is kept from happenings: a field or property of `Counts`."""

    field: str


@dataclass(frozen=True, slots=True)
class Read:
    """The value is computed from the facts."""

    reading: Callable[[Facts], Reading | Info]


Source = Tallied | Counted | Read


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric.

    Attributes:
        name: As it is exposed, without the prefix; a counter's ends in `_total`.
        help: One sentence, with a period.
        labels: At most two.
        edges: A histogram's bucket edges in seconds.
    """

    name: str
    kind: Kind
    help: str
    source: Source
    labels: tuple[by.Label, ...] = ()
    edges: tuple[float, ...] = ()


def _counter(name: str, source: Source, text: str, *labels: by.Label) -> Metric:
    return Metric(f"{name}_total", Kind.COUNTER, text, source, labels)


def _gauge(name: str, source: Source, text: str, *labels: by.Label) -> Metric:
    return Metric(name, Kind.GAUGE, text, source, labels)


def _histogram(
    name: str, source: Source, edges: tuple[float, ...], text: str, *labels: by.Label
) -> Metric:
    return Metric(f"{name}_seconds", Kind.HISTOGRAM, text, source, labels, edges)


# fmt: off
_LINKS: Final = (
    _gauge("links", Read(readings.links), "Links to Feishu that are live."),
    _gauge("links_wanted", Read(readings.links_wanted), "Links to Feishu that the daemon wants to keep."),
    _gauge("link_state", Read(readings.link_states), "Whether a link is in this state (1) or not (0).", by.LINK, by.STATE),
    _gauge("link_established_timestamp_seconds", Read(readings.links_established), "Unix time the link became live; 0 while it is not.", by.LINK),
    _gauge("last_frame_received_timestamp_seconds", Read(readings.last_frames), "Unix time of the last frame read from the link; 0 if never.", by.LINK),
    _gauge("last_event_received_timestamp_seconds", Read(readings.last_event), "Unix time of the last event read from Feishu; 0 if never."),
    _gauge("connection_lost_timestamp_seconds", Counted("connection_lost_s"), "Unix time a live link was last lost; 0 if never."),
    _counter("connect_attempts", Counted("connect_attempts"), "Attempts to open a link, successful or not."),
    _counter("connects", Counted("connects"), "Links that became live."),
    _counter("connect_failures", Counted("connect_failures"), "Failed attempts to open a link, by the phase that failed.", by.ATTEMPT_PHASE),
    _histogram("connect_phase_duration", Counted("connect_phase_duration"), tally.PHASE_EDGES_S, "Time spent in each phase of a successful attempt.", by.TIMED_PHASE),
    _counter("disconnects", Counted("disconnects"), "Live links that ended, by cause.", by.LOSS_CAUSE),
    _counter("close_codes", Counted("close_codes"), "WebSocket close codes of links that ended; 1006 is none received.", by.CLOSE_CODE),
    _histogram("connection_duration", Counted("connection_duration"), tally.LIFETIME_EDGES_S, "Lifetime of links that ended."),
    _counter("downtime_seconds", Counted("downtime_s"), "Seconds without any live link since start; advances while there is none."),
    _histogram("reconnect_duration", Counted("reconnect_duration"), tally.OUTAGE_EDGES_S, "Time from losing a link to its replacement being live."),
    _histogram("outage_duration", Counted("outage_duration"), tally.OUTAGE_EDGES_S, "Time from losing the last live link to having one again."),
    _gauge("reconnect_backoff_seconds", Read(readings.backoff), "Longest wait of a link before its next attempt; 0 when none waits."),
    _gauge("reconnect_consecutive_failures", Read(readings.failures), "Most failed attempts in a row of any link."),
    _gauge("reconnect_storm_active", Counted("storm_active"), "Whether the bucket of attempts is empty and links wait for it (1) or not (0)."),
    _counter("reconnect_storms", Counted("reconnect_storms"), "Times the bucket of attempts ran empty."),
    _counter("endpoint_requests", Counted("endpoint_requests"), "Discovery requests, by Feishu's result code.", by.DISCOVERY_CODE),
    _histogram("endpoint_request_duration", Counted("endpoint_request_duration"), tally.PHASE_EDGES_S, "Discovery latency."),
    _gauge("clock_offset_seconds", Counted("clock_offset_s"), "Feishu's HTTP Date minus the local clock at the last discovery (resolution 1 s)."),
)
_FRAMES: Final = (
    _gauge("ping_interval_seconds", Read(readings.ping_interval), "Interval of application pings, as Feishu orders it."),
    _counter("pings_sent", Tallied("pings_sent"), "Application and WebSocket pings sent."),
    _counter("pongs_received", Tallied("pongs_received"), "Pongs received."),
    _counter("pong_timeouts", Counted("pong_timeouts"), "Links given up because nothing came back after a ping."),
    _histogram("ping_rtt", Tallied("ping_rtt"), tally.RTT_EDGES_S, "Ping to pong round trip."),
    _counter("frames_received", Tallied("frames_received"), "Frames read, by type.", by.FRAME_IN),
    _counter("frames_sent", Tallied("frames_sent"), "Frames written, by type.", by.FRAME_OUT),
    _counter("received_bytes", Tallied("received_bytes"), "Frame bytes read."),
    _counter("sent_bytes", Tallied("sent_bytes"), "Frame bytes written."),
    _counter("frame_errors", Tallied("frame_errors"), "Frames and payloads that could not be used, by reason.", by.FRAME_ERROR),
    _gauge("fragments_pending", Tallied("fragments_pending"), "Split payloads that wait for more parts."),
)
_INTAKE: Final = (
    _counter("events_received", Tallied("events_received"), "Events read from Feishu, before deduplication, by type.", by.EVENT_TYPE),
    _counter("events_duplicate", Tallied("events_duplicate"), "Events that the journal already held."),
    _counter("events_stored", Tallied("events_stored"), "Events that were committed to the journal."),
    _counter("events_refused", Tallied("events_refused"), "Events that were answered 500 and not stored, by fault.", by.REFUSAL),
    _counter("events_acked", Tallied("events_acked"), "Confirmations (200) written to Feishu."),
    _counter("event_ack_failures", Tallied("event_ack_failures"), "Confirmations not written because the link was gone."),
    _counter("events_ack_deadline_exceeded", Tallied("events_ack_deadline_exceeded"), "Events confirmed after Feishu's deadline of 3 s, or never."),
    _histogram("event_ack_duration", Tallied("event_ack_duration"), tally.ACK_EDGES_S, "Receipt to confirmation written; Feishu's deadline is 3 s."),
    _histogram("event_transit", Tallied("event_transit"), tally.TRANSIT_EDGES_S, "Feishu's create time to receipt, corrected by clock_offset_seconds, at least 0."),
    _counter("event_transit_negative", Tallied("event_transit_negative"), "Events whose corrected transit time was below zero."),
    _counter("callbacks", Tallied("callbacks"), "Callbacks by what Feishu was answered.", by.CALLBACK_RESULT),
)
_JOURNAL: Final = (
    _gauge("journal_pending_events", Read(readings.pending), "Events that the consumer furthest behind has not settled."),
    _gauge("consumer_pending_events", Read(readings.pending_by_consumer), "Events a declared consumer has not settled; other is the largest of the rest.", by.CONSUMER),
    _gauge("journal_oldest_pending_timestamp_seconds", Read(readings.oldest_pending), "Receipt time of the oldest event a consumer has not settled; 0 when none."),
    _gauge("journal_size_bytes", Read(readings.journal_size), "Live bytes the journal occupies."),
    _gauge("journal_limit_bytes", Read(readings.journal_limit), "Configured limit of the journal."),
    _gauge("journal_filesystem_avail_bytes", Read(readings.journal_free), "Bytes free on the journal's file system."),
    _gauge("journal_waiting_bytes", Read(readings.journal_waiting), "Payload bytes that wait for the journal's writer."),
    _gauge("journal_writable", Read(readings.journal_writable), "Whether the journal takes writes (1) or not (0)."),
    _histogram("journal_fsync_duration", Tallied("journal_commit_duration"), tally.COMMIT_EDGES_S, "Duration of a commit, its fsync included."),
    _counter("journal_errors", Tallied("journal_errors"), "Journal operations that failed.", by.JOURNAL_OP),
    _counter("journal_salvages", Counted("journal_salvages"), "Damaged journals found at the start and replaced by what could be read."),
    _gauge("dead_letters", Read(readings.dead_letters), "Events in the dead-letter store."),
)
_DELIVERY: Final = (
    _counter("events_delivered", Tallied("events_delivered"), "Events that a consumer settled, by type.", by.EVENT_TYPE),
    _counter("events_redelivered", Tallied("events_redelivered"), "Second and later deliveries to a consumer."),
    _counter("events_dead_lettered", Tallied("events_dead_lettered"), "Events moved to the dead-letter store, by reason.", by.DEAD_REASON),
    _counter("events_discarded", Tallied("events_discarded"), "Events dropped for good, by reason.", by.DISCARD_REASON),
    _histogram("event_delivery_duration", Tallied("event_delivery_duration"), tally.DELIVERY_EDGES_S, "Receipt to settled by a consumer."),
    _histogram("consumer_ack_duration", Tallied("consumer_ack_duration"), tally.DELIVERY_EDGES_S, "Hand-over to settled by a consumer, per delivery."),
    _gauge("consumers_connected", Read(readings.consumers_connected), "Consumers attached to the local socket."),
    _counter("consumer_disconnects", Counted("consumer_disconnects"), "Consumers that went away, by cause.", by.CONSUMER_CAUSE),
    _counter("consumers_forgotten", Counted("consumers_forgotten"), "Consumers removed because an operator said so, or absent for too long."),
    _gauge("consumer_inflight_events", Read(readings.in_flight), "Events handed over and not yet settled."),
    _counter("clients_refused", Counted("clients_refused"), "Local clients that were turned away, by reason.", by.CLIENT_REFUSAL),
)
_API: Final = (
    _counter("api_requests", Tallied("api_requests"), "Requests to Feishu's REST API, by route and result.", by.ROUTE, by.API_RESULT),
    _histogram("api_request_duration", Tallied("api_request_duration"), tally.PHASE_EDGES_S, "Latency of Feishu's REST API.", by.ROUTE),
    _counter("api_retries", Tallied("api_retries"), "Requests to Feishu's REST API that were made again."),
    _counter("api_rate_limit_wait_seconds", Tallied("api_rate_limit_wait_s"), "Seconds for which Feishu asked us to slow down."),
    _counter("token_refreshes", Tallied("token_refreshes"), "Requests for a tenant access token."),
    _counter("token_refresh_failures", Tallied("token_refresh_failures"), "Requests for a tenant access token that brought none."),
    _gauge("token_expiry_timestamp_seconds", Tallied("token_expiry_s"), "Unix time the tenant access token ends; 0 without one."),
    _counter("sends", Tallied("sends"), "Messages given to us to send, by what became of them.", by.SEND_RESULT),
    _gauge("remote_instances", Tallied("remote_instances"), "Connections of this app that Feishu counts, ours included; 0 when it never said."),
    _gauge("sends_waiting", Tallied("sends_waiting"), "Messages that wait to be sent."),
    _gauge("sends_open", Read(readings.sends_open), "Durable messages without an outcome."),
    _gauge("sends_oldest_timestamp_seconds", Read(readings.oldest_send), "Unix time the oldest was accepted; 0 when none."),
    _gauge("dead_sends", Read(readings.dead_sends), "Durable messages given up."),
)
_PROCESS: Final = (
    _histogram("event_loop_lag", Tallied("event_loop_lag"), tally.LAG_EDGES_S, "How late a periodic timer of the event loop ran."),
    _counter("log_messages", Counted("log_messages"), "Log lines written, by level.", by.LEVEL),
    _gauge("config_last_reload_successful", Counted("config_ok"), "Whether the last load of the configuration worked (1) or not (0)."),
    _gauge("config_last_reload_success_timestamp_seconds", Counted("config_loaded_s"), "Unix time of the last good load of the configuration."),
    _counter("label_values_folded", Counted("label_values_folded"), "Label values outside their closed set, counted as other.", by.FOLDED),
    Metric("build_info", Kind.INFO, "Version of the daemon and of Python.", Read(readings.build), by.BUILD),
)
# fmt: on

CATALOGUE: Final[tuple[Metric, ...]] = (
    *_LINKS,
    *_FRAMES,
    *_INTAKE,
    *_JOURNAL,
    *_DELIVERY,
    *_API,
    *_PROCESS,
)
"""`label_values_folded_total` comes after every metric whose labels fold."""
