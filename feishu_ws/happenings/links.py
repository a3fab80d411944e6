"""Links to Feishu, and what came over them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from feishu_ws.faults import Fault
from feishu_ws.happenings.base import Happening


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
        retry_in_s: Seconds until the next attempt, None if there is none.
    """

    link: int
    fault: Fault
    phase: str
    detail: str
    failures: int
    retry_in_s: float | None
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

    @property
    def fault(self) -> Fault | None:
        """Why we keep fewer than wanted, None where we do not."""
        return Fault.CONNECTION_LIMIT if self.links < self.wanted else None


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
        code: Feishu's code where it is a known one, else "unknown", "malformed", "http", or
            "transport" without an HTTP answer.
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
    """An event was refused before the journal (`too_large`, `too_many_parts` and so on).

    Attributes:
        fault: `frame_unusable` where it is the frame's numbers that cannot be used.
    """

    link: int
    reason: str
    size_bytes: int
    fault: Fault = Fault.PAYLOAD_REFUSED


@dataclass(frozen=True, slots=True)
class FrameUnusable(Happening):
    """A frame was counted and left alone."""

    link: int
    reason: str
    fault: Fault = Fault.FRAME_UNUSABLE
