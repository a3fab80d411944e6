"""What may be removed, and in which order. Pure decisions; SQLite carries them out.

At `max_bytes` the oldest go first, in this order: held by nobody, dead letters,
held only by consumers neither declared nor connected, and then `on_full` decides.
Source: CONTRACT 4, `journal.retention_hours` / `max_bytes`.
"""

from collections.abc import Sequence
from enum import IntEnum
from typing import Final, Protocol, TypeVar

from feishu_ws.journal.ledger import ConsumerState

HOUR_MS: Final = 3_600_000
STEP_ROWS: Final = 500  # 5 ms on a VM disk; 150,000 rows at once took 2.7 s of a 3 s deadline
ROW_BYTES: Final = 512  # what a row takes besides its payload: columns, keys, indexes
STEP_BYTES: Final = 4 * 1024 * 1024  # large payloads weigh more than their number
ROOM_SHARE: Final = 64  # unheld events go when 1/64 of max_bytes is left, before appends need it
ROOM_MAX_BYTES: Final = 8 * 1024 * 1024


class Sized(Protocol):
    """A row that is to be weighed."""

    @property
    def size(self) -> int:
        """Bytes of its payload."""
        ...


S = TypeVar("S", bound=Sized)


class Rank(IntEnum):
    """Who goes first when room is needed; the lowest first."""

    UNHELD = 0
    DEAD = 1
    ABSENT = 2
    HELD = 3


def rank(holders: Sequence[ConsumerState], *, is_dead: bool) -> Rank:
    """Return how dear an event is."""
    if any(state.declared or state.connected for state in holders):
        return Rank.HELD
    if holders:
        return Rank.ABSENT
    return Rank.DEAD if is_dead else Rank.UNHELD


def take(size: int, rows: Sequence[S]) -> list[S]:
    """Return the first rows that together reach `size`, at least one if there is one."""
    total = 0
    for count, row in enumerate(rows, start=1):
        total += row.size + ROW_BYTES
        if total >= size:
            return list(rows[:count])
    return list(rows)


def room_target(max_bytes: int) -> int:
    """Return the live bytes beyond which unheld events go."""
    return max_bytes - min(max_bytes // ROOM_SHARE, ROOM_MAX_BYTES)


def clock_is_sane(now_ms: int, newest_ms: int) -> bool:
    """Whether ages can be trusted: the wall clock is not behind the newest event."""
    return now_ms >= newest_ms


def is_odd(at_ms: int, before_ms: int, now_ms: int) -> bool:
    """Whether a row ought to be gone or ought not to exist yet.

    Rows are dated in ascending order unless the clock stepped; a search for old ones
    ends at the first batch without any of these.
    """
    return at_ms < before_ms or at_ms > now_ms
