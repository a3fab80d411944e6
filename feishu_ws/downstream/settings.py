"""What an operator may set about delivery and the native socket (CONTRACT 4)."""

from dataclasses import dataclass
from pathlib import Path

from feishu_ws.model import Filter

MAX_CONSUMERS = 32  # CONTRACT 4, `delivery.consumers`
MAX_REJECTED = 1024  # rejected events that wait per consumer; then first deliveries pause
MAX_WINDOW = 4096  # what a hello may ask for
MAX_POSITION = 2**53  # what a hello may name as its start: exact in everybody's JSON
SUPERSEDES_PER_MINUTE = 3  # CONTRACT 5
CONFLICT_S = 60.0


@dataclass(frozen=True, slots=True)
class DeliverySettings:
    """The `delivery.*` keys."""

    consumers: tuple[tuple[str, Filter], ...] = ()
    new_consumer_window_s: float = 300
    forget_after_hours: float = 168
    max_attempts: int = 16
    ack_timeout_s: float = 60
    window: int = 256
    max_age_s: float = 0
    callback_timeout_s: float = 2.5
    callback_default: bytes = b"{}"
    late_callback_s: float = 1800


@dataclass(frozen=True, slots=True)
class SocketSettings:
    """The `socket.*` keys."""

    path: Path
    mode: int = 0o660
    group: str = ""
    allow_users: tuple[str, ...] = ()
