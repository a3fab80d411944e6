"""What goes to the writing thread, and what comes back from it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from feishu_ws.faults import FeishuWsError
from feishu_ws.journal.ledger import Ledger
from feishu_ws.model import Attempt, ConsumerRecord, Event, Outcome

Answer = Callable[[Outcome], None]


@dataclass(slots=True)
class Append:
    """An event that waits, and who wants to know."""

    event: Event
    answer: Answer


@dataclass(slots=True)
class Change:
    """Something a consumer did, applied to the ledger in the writing thread.

    Attributes:
        apply: Changes the ledger and notes what is owed; must not raise.
        done: Called on the loop after the commit that holds it, None if nobody waits.
    """

    apply: "Apply"
    done: Callable[[], None] | None = None


@dataclass(slots=True)
class Owed:
    """What the ledger has and the disk does not."""

    consumers: set[str] = field(default_factory=set)
    forgotten: set[str] = field(default_factory=set)
    dead: list[tuple[str, int, str, Attempt, int]] = field(default_factory=list)
    facts: dict[str, str] = field(default_factory=dict)
    done: list[Callable[[], None]] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.consumers or self.forgotten or self.dead or self.facts or self.done)


Apply = Callable[[Owed, Ledger], None]


@dataclass(slots=True)
class Sizes:
    """How much room the file takes."""

    first: int = 0
    live_bytes: int = 0
    free_bytes: int = 0
    dead_letters: int = 0
    has_room: bool = True


@dataclass(slots=True)
class Report:
    """What one commit or one step of upkeep did, handed to the loop in one piece.

    Attributes:
        commit_s: How long the commit took, None without one that succeeded.
        error: Why it failed. A failed `upkeep` alone does not mean that writes fail.
        dropped: (reason, count, first, last) of held events that were given up.
        pruned: (events, keys) that a round of retention removed.
    """

    op: Literal["append", "upkeep"] = "append"
    stored: list[Event] = field(default_factory=list)
    answers: list[tuple[Answer, Outcome]] = field(default_factory=list)
    answered_bytes: int = 0
    done: list[Callable[[], None]] = field(default_factory=list)
    records: dict[str, ConsumerRecord | None] = field(default_factory=dict)
    last: int = 0
    commit_s: float | None = None
    sizes: Sizes | None = None
    error: FeishuWsError | None = None
    dropped: list[tuple[str, int, int, int]] = field(default_factory=list)
    pruned: tuple[int, int] | None = None
