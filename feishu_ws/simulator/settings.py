"""What can be set about a simulated Feishu. Values only."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from feishu_ws.faults import Fault, FeishuWsError

CLIENT_CONFIG: Final[dict[str, int]] = {
    "ReconnectCount": -1,
    "ReconnectInterval": 90,
    "ReconnectNonce": 25,
    "PingInterval": 90,
}
"""All four keys, since the Node SDK stumbles over fewer. Source: observed in several fixtures."""

REDELIVERY_S: Final = (15.0, 300.0, 3600.0, 21600.0)
"""Waits before the second to the fifth attempt. Source: Feishu docs "接收事件" (webhook)."""

SERVICE_ID: Final = 33554678
"""Constant in all samples seen. Source: observed."""

MIB: Final = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatorSettings:
    """How a simulated Feishu behaves until it is told otherwise.

    Attributes:
        port: 0 takes a free one.
        ack_deadline_s: Later confirmations count as late, and the event is sent again.
        redelivery_s: Waits before each further attempt; empty means a single attempt.
        time_scale: Divides `redelivery_s`; 1000 makes 15 s out of about 4 h.
        max_connections: Links per app. Source: Feishu docs "长连接" (50).
        client_config: What discovery and pongs carry, in seconds; None leaves it out of
            discovery and payload-less pongs are sent.
        service_id: Of the URL; what pings have to carry.
        payload_encoding: Set on data frames unless empty; has to be echoed.
        payload_type: Likewise.
        checked_share: Share of confirmations compared field by field (0-1). Code, SeqID
            and message_id are always checked.
        idle_s: A link that says nothing for so long is forgotten. Source: assumed.
        first_ping_s: A link whose first ping is not there after so long is reset, and
            counted. Most clients ping at once, but a Python SDK that reconnects keeps to
            its old schedule. Source: observed, lark-oapi 1.7.5; the consequence: assumed.
        held_bytes: Payloads kept for redelivery; beyond it the oldest are given up.
        unsent_bytes: A link that takes no more than this is reset.
        keep_log: Remember every event id and whether it was confirmed; grows for ever.
        seed: Makes ids, choices and shuffles repeatable.

    Raises:
        FeishuWsError: `config_invalid`, a value is out of range.
    """

    host: str = "127.0.0.1"
    port: int = 0
    app_id: str = "cli_a1b2c3d4e5f60718"
    app_secret: str = field(default="simulated-secret", repr=False)
    ack_deadline_s: float = 3.0  # Source: Feishu docs "长连接": handle within 3 s
    redelivery_s: tuple[float, ...] = REDELIVERY_S
    time_scale: float = 1.0
    max_connections: int = 50
    client_config: Mapping[str, object] | None = field(default_factory=lambda: dict(CLIENT_CONFIG))
    service_id: int = SERVICE_ID
    payload_encoding: str = ""
    payload_type: str = ""
    checked_share: float = 1.0
    idle_s: float = 300.0
    first_ping_s: float = 200.0
    held_bytes: int = 256 * MIB
    unsent_bytes: int = 64 * MIB
    keep_log: bool = False
    seed: int | None = None

    def __post_init__(self) -> None:
        self._require(self.time_scale > 0, f"time_scale={self.time_scale}, expected more than 0")
        self._require(
            0 <= self.checked_share <= 1, f"checked_share={self.checked_share}, expected 0 to 1"
        )
        self._require(
            self.ack_deadline_s > 0, f"ack_deadline_s={self.ack_deadline_s}, expected more than 0"
        )
        self._require(
            self.max_connections >= 0,
            f"max_connections={self.max_connections}, expected 0 or more",
        )

    def _require(self, holds: bool, otherwise: str) -> None:  # noqa: FBT001
        if not holds:
            raise FeishuWsError(Fault.CONFIG_INVALID, f"simulator: {otherwise}")

    def retry_wait_s(self, attempts: int) -> float | None:
        """Return seconds until the next attempt after `attempts` of them, None after the last."""
        if attempts > len(self.redelivery_s):
            return None
        return self.redelivery_s[attempts - 1] / self.time_scale
