"""What an operator may set about the lookalike, and what is fixed (CONTRACT 4 and 6)."""

from dataclasses import dataclass
from typing import Final

CONSUMER: Final = "lookalike"

CLIENT_CONFIG: Final = {
    "ReconnectCount": -1,
    "ReconnectInterval": 1,
    "ReconnectNonce": 0,
    "PingInterval": 120,
}
"""Seconds; a client is back within one after us. Source: CONTRACT 6."""

SERVICE_ID: Final = 33554678  # what Feishu's own URLs have. Source: protocol.md 1.1
PART_BYTES: Final = 512 * 1024 - 4096
"""Payload of one frame: the Python SDK closes its link over frames beyond 1 MiB.

Source: lark-oapi 1.7.5 ws/client.py:224, the default of websockets.
"""
MAX_LINKS: Final = 128  # nothing is closed for being old, so this is where it ends


@dataclass(frozen=True, slots=True)
class LookalikeSettings:
    """The `lookalike.*` keys but the secret."""

    listen: str = "127.0.0.1:9531"
    window: int = 16
    event_types: tuple[str, ...] = ("im.message.receive_v1",)
