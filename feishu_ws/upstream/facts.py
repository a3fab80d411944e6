"""How the links are, for status and metrics."""

from dataclasses import dataclass

from feishu_ws.faults import Fault
from feishu_ws.wire.link import LinkState


@dataclass(frozen=True, slots=True)
class LinkFacts:
    """One link at one moment; times are Unix milliseconds, None = never or not now.

    Attributes:
        since_ms: When it entered its state.
        established_ms: When it became live.
        last_frame_ms: When anything last came in, in this life or an earlier one.
        consecutive_failures: Attempts since it was last live.
        fault: Why it is not live.
        code: Feishu's code or HTTP status that came with the fault.
        retry_at_ms: When the next attempt is planned.
        ping_interval_s: Between application pings, as Feishu orders.
        url: Of the last WebSocket, without its query; "" before the first.
        lives: How often it was live.
        unconfirmed: Payloads that were read and not answered yet.
    """

    index: int
    state: LinkState
    since_ms: int
    established_ms: int | None
    last_frame_ms: int | None
    consecutive_failures: int
    fault: Fault | None
    code: int | None
    retry_at_ms: int | None
    ping_interval_s: float
    url: str
    lives: int
    unconfirmed: int
