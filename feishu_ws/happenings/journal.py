"""The journal."""

from dataclasses import dataclass

from feishu_ws.faults import Fault
from feishu_ws.happenings.base import Happening


@dataclass(frozen=True, slots=True)
class JournalOpened(Happening):
    """The journal is ours and ready."""

    path: str
    position: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class JournalFaulted(Happening):
    """The journal does not take writes.

    Attributes:
        hint: What to do about it, where the catalogue's hint would mislead; else "".
    """

    fault: Fault
    detail: str
    hint: str = ""


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
        damaged_events: How many of the events have a payload that was JSON and is none now.
        unreadable_pages: Pages of which nothing or not everything could be read.
        lost: Positions that are gone, from first to last, as far as is known.
        last: Positions go on above this one.
        sends: How many outgoing sends were carried over, those with an outcome among them.
    """

    fault: Fault
    detail: str
    kept: str
    events: int
    keys: int
    consumers: tuple[str, ...]
    damaged_events: int
    unreadable_pages: int
    lost: tuple[tuple[int, int], ...]
    last: int
    sends: int = 0

    @property
    def lost_events(self) -> int:
        """How many positions are gone, as far as is known."""
        return sum(high - low + 1 for low, high in self.lost)


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
class SendsDropped(Happening):
    """Outgoing sends with an outcome were given up for space: one that repeats them is new.

    Attributes:
        dead: How many of them were dead letters.
    """

    count: int
    dead: int


@dataclass(frozen=True, slots=True)
class JournalPruned(Happening):
    """A round of retention ended; `sends` had an outcome that is old enough."""

    events: int
    keys: int
    sends: int = 0
