"""What may be removed, and in which order. Pure decisions; SQLite carries them out.

At `max_bytes` the oldest go first, in this order: held by nobody, dead letters,
held only by consumers neither declared nor connected, and then `on_full` decides.
Source: CONTRACT 4, `journal.retention_hours` / `max_bytes`.
"""

from enum import IntEnum
from typing import Final

from feishu_ws.journal.ledger import ConsumerState

HOUR_MS: Final = 3_600_000
STEP_ROWS: Final = 500  # 5 ms on a VM disk; 150,000 rows at once took 2.7 s of a 3 s deadline
STEP_BYTES: Final = 4 * 1024 * 1024  # large payloads weigh more than their number
PASS_EVERY_S: Final = 60.0  # ages are in hours, so a minute late is early enough
ROOM_SHARE: Final = 64  # one pruning makes 1/64 of max_bytes free, so that not every commit prunes
ROOM_MAX_BYTES: Final = 8 * 1024 * 1024


class Rank(IntEnum):
    """Who goes first when room is needed; the lowest first."""

    UNHELD = 0
    DEAD = 1
    ABSENT = 2
    HELD = 3


def rank(holders: list[ConsumerState], *, is_dead: bool) -> Rank:
    """Return how dear an event is."""
    if any(state.declared or state.connected for state in holders):
        return Rank.HELD
    if holders:
        return Rank.ABSENT
    return Rank.DEAD if is_dead else Rank.UNHELD


def room_target(max_bytes: int) -> int:
    """Return how many live bytes to prune down to once `max_bytes` is reached."""
    return max_bytes - min(max_bytes // ROOM_SHARE, ROOM_MAX_BYTES)


def clock_is_sane(now_ms: int, newest_ms: int) -> bool:
    """Whether ages can be trusted: the wall clock is not behind the newest event."""
    return now_ms >= newest_ms
