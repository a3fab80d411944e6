"""What goes to the writing thread, and what comes back from it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from feishu_ws.faults import Fault, FeishuWsError
from feishu_ws.journal.ledger import Ledger
from feishu_ws.journal.lives import Lives
from feishu_ws.journal.sends import SendCounts
from feishu_ws.model import Attempt, ConsumerRecord, Event, Outcome, Verdict

Answer = Callable[[Outcome], None]
Letter = tuple[str, int]
"""A dead letter: whose, and which position."""
Loss = tuple[str, int, int, int]
"""Events given up for space: why or whose, how many, the first and the last."""


@dataclass(slots=True)
class Append:
    """An event that waits, and who wants to know."""

    event: Event
    answer: Answer


def sort_out(appends: list[Append], known: set[bytes]) -> tuple[list[Append], list[Append]]:
    """Part new events from duplicates: of `known` keys and of one another."""
    new: list[Append] = []
    duplicates: list[Append] = []
    for append in appends:
        keys = append.event.keys
        (new if known.isdisjoint(keys) else duplicates).append(append)
        known.update(keys)
    return new, duplicates


def refusals(appends: list[Append], fault: Fault) -> list[tuple[Answer, Outcome]]:
    """Return the answers to events that are not stored."""
    return [(append.answer, Outcome(Verdict.REFUSED, fault=fault)) for append in appends]


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
    """What the ledger has and the disk does not.

    Attributes:
        dead: New dead letters, as (reason, attempt, when it died).
        raised: Dead letters that are none any more; removed before `dead` is written.
        facts: Values by key, None for one that is to be forgotten.
        lives: Of links; bounded as those on disk are.
    """

    consumers: set[str] = field(default_factory=set)
    forgotten: set[str] = field(default_factory=set)
    dead: dict[Letter, tuple[str, Attempt, int]] = field(default_factory=dict)
    raised: set[Letter] = field(default_factory=set)
    facts: dict[str, str | None] = field(default_factory=dict)
    lives: Lives = field(default_factory=Lives)
    done: list[Callable[[], None]] = field(default_factory=list)

    def __bool__(self) -> bool:
        state = (self.consumers, self.forgotten, self.dead, self.raised, self.facts, self.lives)
        return any(state) or bool(self.done)

    def bury(self, letter: Letter, reason: str, attempt: Attempt, died_ms: int) -> None:
        """A dead letter is to be written."""
        self.dead[letter] = reason, attempt, died_ms

    def raise_up(self, letter: Letter) -> None:
        """A dead letter is to be removed, written or not."""
        self.dead.pop(letter, None)
        self.raised.add(letter)


Apply = Callable[[Owed, Ledger], None]


@dataclass(slots=True)
class Sizes:
    """How much room the file takes.

    Attributes:
        free_bytes: Left on the disk.
        disk_bytes: What the disk has in all, 0 if that cannot be told.
    """

    first: int = 0
    live_bytes: int = 0
    free_bytes: int = 0
    disk_bytes: int = 0
    dead_letters: int = 0
    has_room: bool = True
    sends: SendCounts = field(default_factory=SendCounts)


@dataclass(slots=True)
class Report:
    """What one commit or one step of upkeep did, handed to the loop in one piece.

    Attributes:
        commit_s: How long the commit took, None without one that succeeded.
        error: Why it failed. A failed `upkeep` alone does not mean that writes fail.
        dropped: (reason, count, first, last) of held events that were given up.
        absent: (consumer, count, first, last) of those that only an absent one held.
        has_refused_sends: There was no room for an outgoing send.
        dropped_sends: (all, dead) sends with an outcome that were given up.
        pruned: (events, keys, sends) that a round of retention removed.
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
    dropped: list[Loss] = field(default_factory=list)
    absent: list[Loss] = field(default_factory=list)
    has_refused_sends: bool = False
    dropped_sends: tuple[int, int] | None = None
    pruned: tuple[int, int, int] | None = None
