"""What telemetry is told about the daemon, as plain values at one moment.

The daemon builds a `Facts` on request; metrics, status, health and the status page
read it and nothing else. Times ending in `_ms` are Unix milliseconds; 0 or None = never.
"""

from dataclasses import dataclass
from enum import StrEnum

from feishu_ws.faults import CATALOGUE, Fault
from feishu_ws.tally import Tally
from feishu_ws.wire.link import LinkState


class Concern(StrEnum):
    """What a fault is about, most important first."""

    JOURNAL = "journal"
    LINK = "link"
    CONSUMER = "consumer"
    DAEMON = "daemon"


@dataclass(frozen=True, slots=True)
class LinkFact:
    """One link.

    Attributes:
        since_ms: When it entered its state.
        established_ms: When it became live.
        last_frame_ms: When anything last came in.
        failures: Attempts that failed in a row.
        fault: Why it is not live, None while it is.
        retry_at_ms: When the next attempt begins, None where none is planned.
        lives: How often it has been live.
        ping_interval_s: Between application pings, as Feishu orders.
    """

    index: int
    state: LinkState
    since_ms: int
    established_ms: int | None = None
    last_frame_ms: int | None = None
    failures: int = 0
    fault: Fault | None = None
    retry_at_ms: int | None = None
    lives: int = 0
    ping_interval_s: float = 0.0

    @property
    def is_live(self) -> bool:
        """Whether events can come in over it."""
        return self.state is LinkState.CONNECTED


@dataclass(frozen=True, slots=True)
class JournalFact:
    """The journal.

    Attributes:
        first: Lowest position that exists, 0 when empty.
        last: Highest position ever given out.
        path: Where it lies.
        size_bytes: Live bytes, what `limit_bytes` limits.
        free_bytes: Left on its file system.
        waiting_bytes: Payload bytes that wait for the writer.
        fault: Why it takes no writes, None when it does.
        stalled_s: How long the commit in progress has been running.
        open_sends: Kept messages that have no outcome yet.
        oldest_send_ms: When the first of those was accepted.
        dead_sends: Kept messages that were given up; not part of `dead_letters`.
    """

    id: str
    first: int
    last: int
    path: str
    size_bytes: int
    limit_bytes: int
    free_bytes: int
    waiting_bytes: int
    dead_letters: int
    fault: Fault | None = None
    stalled_s: float = 0.0
    open_sends: int = 0
    oldest_send_ms: int = 0
    dead_sends: int = 0


@dataclass(frozen=True, slots=True)
class ConsumerFact:
    """One consumer.

    Attributes:
        pending: Events its filter names that it has not settled.
        in_flight: Of these, handed over.
        oldest_pending_ms: When the oldest pending one was received; 0 when none is.
        types: Its filter's globs.
    """

    name: str
    declared: bool
    durable: bool
    connected: bool
    cursor: int
    pending: int = 0
    in_flight: int = 0
    oldest_pending_ms: int = 0
    types: tuple[str, ...] = ("*",)


@dataclass(frozen=True, slots=True)
class LookalikeFact:
    """The Feishu-compatible endpoint.

    Attributes:
        address: HOST:PORT it listens on.
        clients: WebSockets that are open; the newest gets what is new.
        consumer: By which name the journal knows them all.
    """

    address: str
    clients: int
    consumer: str


@dataclass(frozen=True, slots=True)
class ActiveFault:
    """A fault that lasts.

    Attributes:
        subject: Which one: the link's number, the consumer's name, or "".
        age_s: How long it has lasted.
        own_title: What is known better than by the catalogue, "" if nothing is; likewise
        own_hint: what to do about it.
    """

    fault: Fault
    concern: Concern
    subject: str
    age_s: float
    own_title: str = ""
    own_hint: str = ""

    @property
    def title(self) -> str:
        """What happened, in a few words."""
        return self.own_title or CATALOGUE[self.fault].title

    @property
    def hint(self) -> str:
        """The one thing to do, "" where there is nothing."""
        return self.own_hint or CATALOGUE[self.fault].hint

    @property
    def is_visible(self) -> bool:
        """Whether it has lasted long enough to be shown as a problem."""
        return self.age_s >= CATALOGUE[self.fault].visible_after_s


@dataclass(frozen=True, slots=True)
class Loss:
    """A link that was lost, or attempts that failed.

    Attributes:
        lived_s: Seconds it was live; None where an attempt failed.
        times: How many in a row had the same end; the first is dated.
    """

    at_ms: int
    link: int
    fault: Fault
    lived_s: float | None
    detail: str
    times: int = 1


@dataclass(frozen=True, slots=True)
class Facts:
    """The daemon at one moment.

    Attributes:
        domain: Whom the daemon asks: `app.domain`.
        proxy: `upstream.proxy` without its login.
        needs_restart: Keys that were changed since the start and are not in force.
        links_wanted: Links the fleet wants to keep, which Feishu's limit may lower.
        is_storm: Whether all attempts to reach Feishu are used up and links wait for one.
        last_event_ms: When the last event was read from Feishu.
        faults: From `FaultWatch.active`.
        losses: From `RecentLosses.losses`, newest first.
        lookalike: None where it is off.
    """

    version: str
    app_id: str
    started_ms: int
    now_ms: int
    links: tuple[LinkFact, ...]
    links_wanted: int
    journal: JournalFact
    consumers: tuple[ConsumerFact, ...]
    tally: Tally
    domain: str = ""
    proxy: str = ""
    needs_restart: tuple[str, ...] = ()
    is_storm: bool = False
    last_event_ms: int = 0
    faults: tuple[ActiveFault, ...] = ()
    losses: tuple[Loss, ...] = ()
    lookalike: LookalikeFact | None = None
