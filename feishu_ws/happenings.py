"""What happened: one frozen record per change of state, fed to logs and metrics alike.

Rooms call an `Observer` with these; they neither log nor know who listens.
Never per event or frame: those are counted in `tally.py`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from feishu_ws.faults import Fault


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that happened; the class name is the log line (`LinkLost` → `link.lost`)."""


Observer = Callable[[Happening], None]


def ignore(_: Happening) -> None:
    """An observer that does not care."""


# -- links ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LinkDialed(Happening):
    """An attempt to open a link began."""

    link: int
    attempt: int


@dataclass(frozen=True, slots=True)
class LinkLive(Happening):
    """A link is open and its first pong is in.

    Attributes:
        took_s: From the start of the attempt to the first pong.
        phases_s: Seconds per phase: discovery, dns, tcp, tls, handshake.
        url: Without its query.
    """

    link: int
    attempt: int
    took_s: float
    url: str
    phases_s: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LinkFailed(Happening):
    """An attempt ended without a live link.

    Attributes:
        phase: discovery, dns, tcp, tls, proxy or handshake.
        failures: Attempts that failed in a row, this one included.
        retry_in_s: Seconds until the next attempt.
    """

    link: int
    fault: Fault
    phase: str
    detail: str
    failures: int
    retry_in_s: float
    code: int | None = None


@dataclass(frozen=True, slots=True)
class LinkLost(Happening):
    """A live link ended.

    Attributes:
        fault: The one cause.
        lived_s: Seconds it was live.
        close_code: WebSocket close code received, None without a close frame.
        unconfirmed: Frames that were still to be confirmed; Feishu sends them again.
    """

    link: int
    fault: Fault
    detail: str
    lived_s: float
    retry_in_s: float
    close_code: int | None = None
    unconfirmed: int = 0


@dataclass(frozen=True, slots=True)
class LinkReplaced(Happening):
    """A live link ended after a fresh one had taken its place.

    Attributes:
        fault: `rotated` or `link_suspect`: why it was replaced.
        lived_s: Seconds it was live.
        close_code: WebSocket close code received, None without a close frame.
        unconfirmed: Frames that were still to be confirmed; Feishu sends them again.
    """

    link: int
    fault: Fault
    lived_s: float
    close_code: int | None = None
    unconfirmed: int = 0


@dataclass(frozen=True, slots=True)
class FleetResized(Happening):
    """Feishu's connection limit lets us keep fewer links than wanted, or more again.

    Attributes:
        links: Links we keep from now on.
        wanted: `upstream.connections`.
    """

    links: int
    wanted: int


@dataclass(frozen=True, slots=True)
class NetworkChanged(Happening):
    """This machine's own addresses changed, or it was asleep: every link is asked at once.

    Attributes:
        detail: What was seen.
    """

    detail: str


@dataclass(frozen=True, slots=True)
class DiscoveryAnswered(Happening):
    """Discovery gave an answer or failed.

    Attributes:
        code: Feishu's code, or "transport" without an HTTP answer.
        clock_offset_s: Feishu's `Date` minus ours, None without the header.
    """

    code: str
    took_s: float
    clock_offset_s: float | None = None


@dataclass(frozen=True, slots=True)
class ServerTimingsChanged(Happening):
    """A pong carried a configuration that differs from the one in force."""

    link: int
    ping_interval_s: float
    reconnect_count: int


@dataclass(frozen=True, slots=True)
class LinkWarned(Happening):
    """Something odd that changes nothing: a finite ReconnectCount, a foreign host."""

    link: int
    detail: str


@dataclass(frozen=True, slots=True)
class StormBegan(Happening):
    """No attempt is left in the bucket: links wait for one."""


@dataclass(frozen=True, slots=True)
class StormEnded(Happening):
    """Attempts are available again."""


@dataclass(frozen=True, slots=True)
class PayloadRefused(Happening):
    """An event was refused before the journal (`too_large`, `too_many_parts` and so on)."""

    link: int
    reason: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class FrameUnusable(Happening):
    """A frame was counted and left alone."""

    link: int
    reason: str


# -- journal ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class JournalOpened(Happening):
    """The journal is ours and ready."""

    path: str
    position: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class JournalFaulted(Happening):
    """The journal does not take writes."""

    fault: Fault
    detail: str


@dataclass(frozen=True, slots=True)
class JournalRecovered(Happening):
    """The journal takes writes again."""

    fault: Fault
    lasted_s: float


@dataclass(frozen=True, slots=True)
class JournalSalvaged(Happening):
    """A damaged journal was found at the start; what could be read of it is in a new one.

    Attributes:
        detail: What was wrong with it.
        kept: Where the damaged file lies now, its log beside it. Nobody removes them.
        events: How many were carried over; keys likewise.
        consumers: Whose cursors were, or who begin with the first event that is left.
        unreadable_pages: Pages of which nothing or not everything could be read.
        lost: Positions that are gone, from first to last, as far as is known.
        last: Positions go on above this one.
    """

    fault: Fault
    detail: str
    kept: str
    events: int
    keys: int
    consumers: tuple[str, ...]
    unreadable_pages: int
    lost: tuple[tuple[int, int], ...]
    last: int


@dataclass(frozen=True, slots=True)
class EventsDropped(Happening):
    """Held events were given up for space.

    Attributes:
        reason: `journal_full` (drop_oldest), `consumer_absent`, or `dead_letter` for dead
            letters that made room.
    """

    reason: str
    count: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class JournalPruned(Happening):
    """A round of retention ended."""

    events: int
    keys: int


# -- consumers --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ConsumerConnected(Happening):
    """A consumer said hello."""

    consumer: str
    durable: bool
    cursor: int
    behind: int
    uid: int | None = None


@dataclass(frozen=True, slots=True)
class ConsumerDisconnected(Happening):
    """A consumer went away.

    Attributes:
        cause: closed, superseded, slow, protocol, shutdown.
        unsettled: Deliveries it had and did not settle.
    """

    consumer: str
    cause: str
    unsettled: int
    durable: bool = True


@dataclass(frozen=True, slots=True)
class ConsumerMoved(Happening):
    """An operator moved a consumer from the cursor `was` to `cursor`."""

    consumer: str
    was: int
    cursor: int


@dataclass(frozen=True, slots=True)
class EventsSkipped(Happening):
    """An operator moved a consumer past events that it held; `first` to `last` were in the way."""

    consumer: str
    count: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class ConsumerForgotten(Happening):
    """A consumer and its cursor were removed.

    Attributes:
        reason: `asked`, or `absent` for longer than `delivery.forget_after_hours`.
    """

    consumer: str
    reason: str


@dataclass(frozen=True, slots=True)
class ConsumerFaulted(Happening):
    """A consumer misbehaves: `consumer_conflict`, `consumer_poisoned`."""

    consumer: str
    fault: Fault
    detail: str


@dataclass(frozen=True, slots=True)
class EventBuried(Happening):
    """An event went to the dead letters."""

    consumer: str
    position: int
    reason: str
    attempts: int


@dataclass(frozen=True, slots=True)
class DeadRetried(Happening):
    """An operator gave dead letters back to the consumer they died for."""

    consumer: str
    count: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class DeadDropped(Happening):
    """An operator removed dead letters for good."""

    consumer: str
    count: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class ClientRefused(Happening):
    """A local client was turned away.

    Attributes:
        reason: uid, full, line, host, slow, or admin (it may stay, but not do that).
    """

    reason: str
    uid: int | None = None


# -- daemon -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DaemonStarted(Happening):
    """Everything local is ready."""

    version: str
    app_id: str
    socket: str
    http: str


@dataclass(frozen=True, slots=True)
class DaemonStopping(Happening):
    """A stop was asked for."""

    reason: str


@dataclass(frozen=True, slots=True)
class DaemonStopped(Happening):
    """The last line of a life."""

    took_s: float


@dataclass(frozen=True, slots=True)
class ConfigReloaded(Happening):
    """SIGHUP was obeyed.

    Attributes:
        changed: Keys now in force.
        needs_restart: Keys that changed in the file and wait for a restart.
    """

    changed: tuple[str, ...]
    needs_restart: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ConfigRejected(Happening):
    """SIGHUP found an invalid file; nothing changed."""

    errors: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ClockStepped(Happening):
    """The wall clock cannot be believed; nothing expires by age until it agrees again."""

    fault: Fault
    detail: str


@dataclass(frozen=True, slots=True)
class ClockAgreed(Happening):
    """The wall clock is believed again."""

    doubted_s: float


@dataclass(frozen=True, slots=True)
class TaskDied(Happening):
    """A task of the daemon ended though it should not have."""

    task: str
    detail: str
