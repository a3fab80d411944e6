"""What a journal promises, whoever implements it.

The journal is the durable, ordered log of events and of what each consumer has
done with them. Links, wire and downstream know only this file.

Promises (each has its test in `tests/journal/contract.py`):

1. *Durable first.* `append` answers STORED or DUPLICATE only after a commit that
   survives a power cut and holds the first copy. What cannot be stored is REFUSED
   with a fault; a refusal never blocks, raises or loses what was stored before.
2. *Positions* ascend by commit order from 1 and are never used twice, not even
   after every event was removed and the journal opened again.
3. *Once.* Two appends that share a dedupe key within the dedupe period give one
   event, also across a restart.
4. *Published in order.* Subscribers see each stored event once, in position
   order, after its commit and before its append is answered.
5. *Settled is settled.* Once `settle` was answered, the position is settled for
   that consumer for ever; settling twice, or what does not exist, is fine.
6. *Held is kept.* An event that a consumer's filter names and that it has not
   settled is not removed, except as `max_bytes` and `on_full` say, and then it is
   reported.
7. *Never in the way.* Reading, pruning and the number of consumers do not delay
   an append by more than a short, bounded step.
8. *Dead is kept.* A dead letter and its event stay until it is revived or dropped,
   except as `max_bytes` says, and then that is reported. Forgetting its consumer,
   moving it, or settling the event again changes nothing about it.
9. *Revived is held.* Once `revive` was answered, its consumer holds the event as if
   it had never been tried, and the dead letter is gone: both or neither, also after
   a crash.
10. *Moved is moved.* Once `move` was answered, the consumer holds every event above
   the cursor that its filter names, whatever it had settled before, and none below.
11. *Lives are few.* The newest `MOST_LIVES` lives of links are kept and no more. One
   that was recorded is seen at once, and durable with the next commit that succeeds.

All methods are called on the event loop's thread; nothing here blocks it.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from feishu_ws.faults import Fault
from feishu_ws.model import (
    Attempt,
    ConsumerRecord,
    DeadLetter,
    Event,
    Filter,
    LinkLife,
    Outcome,
    Reading,
    Span,
)

CONSUMERS_LOST = "consumers_lost"
"""A fact, `CURSOR UNIX_MS`: damage cost the journal consumers; where unknown ones begin, since when."""

MOST_LIVES = 1000
"""Lives of links that are kept."""

Subscriber = Callable[[Sequence[Event]], None]


@dataclass(frozen=True, slots=True)
class JournalSettings:
    """What an operator may set.

    Attributes:
        refuse_when_full: True = `on_full: refuse`, False = `drop_oldest`.
        declared: Consumers that exist from the first start, and their filters.
        new_consumer_window_ms: How far back a newly declared consumer begins.
    """

    retention_hours: float = 168
    max_bytes: int = 1024**3
    dedupe_hours: float = 24
    refuse_when_full: bool = True
    declared: Mapping[str, Filter] | None = None
    new_consumer_window_ms: int = 300_000


@dataclass(frozen=True, slots=True)
class JournalFacts:
    """How the journal is, for status and metrics; cheap to ask for.

    Attributes:
        first: Lowest position that exists, 0 when empty.
        last: Highest position ever given out.
        path: Where it lies.
        size_bytes: Live bytes, what `max_bytes` limits.
        waiting_bytes: Payload bytes that wait for the writer.
        fault: Why it takes no writes now, None when it does.
        stalled_s: How long the commit in progress has been running.
    """

    id: str
    first: int
    last: int
    path: str
    size_bytes: int
    limit_bytes: int
    free_bytes: int
    waiting_bytes: int
    dead_letters: int
    fault: Fault | None
    stalled_s: float


class Journal(Protocol):
    """The durable, ordered log. See the promises above."""

    @property
    def last(self) -> int:
        """Highest position ever given out."""
        ...

    def facts(self) -> JournalFacts:
        """Return how the journal is."""
        ...

    def subscribe(self, subscriber: Subscriber) -> None:
        """Call `subscriber` with every batch of stored events (promise 4)."""
        ...

    def append(self, event: Event, answer: Callable[[Outcome], None]) -> None:
        """Store an event; `answer` is called once, on the loop, after the commit (promise 1)."""
        ...

    async def read(self, after: int, max_events: int = 256, max_bytes: int = 1024**2) -> Reading:
        """Read events above position `after`, at least one where there is one.

        Raises:
            FeishuWsError: `journal_io` or `journal_corrupt`.
        """
        ...

    async def position_at(self, wall_ms: int) -> int:
        """Return the last position received before `wall_ms` (0 if none)."""
        ...

    async def count_held(self, name: str, through: int) -> int:
        """Count the events up to `through` that a consumer holds, as far as is durable.

        Raises:
            FeishuWsError: `journal_io` or `journal_corrupt`.
        """
        ...

    async def dead_letters(
        self, after: int = 0, limit: int = 100, name: str | None = None
    ) -> Sequence[DeadLetter]:
        """Read dead letters above position `after`, in its order, of one consumer or of all.

        At most `limit`, and then the rest of the last position.

        Raises:
            FeishuWsError: `journal_io` or `journal_corrupt`.
        """
        ...

    async def dead_letters_at(
        self, positions: Sequence[int], name: str | None = None
    ) -> Sequence[DeadLetter]:
        """Read the dead letters of some positions, of one consumer or of all.

        Raises:
            FeishuWsError: `journal_io` or `journal_corrupt`.
        """
        ...

    async def dead_counts(self) -> Mapping[str, int]:
        """Return how many dead letters each consumer has, forgotten ones included.

        Raises:
            FeishuWsError: `journal_io` or `journal_corrupt`.
        """
        ...

    def consumers(self) -> Mapping[str, ConsumerRecord]:
        """Return what is durably known of every consumer."""
        ...

    def enroll(
        self, name: str, wanted: Filter, cursor: int | None, *, declared: bool
    ) -> asyncio.Future[None]:
        """Create a consumer, change its filter, or move its cursor.

        A changed filter applies from the cursor on: what the old one did not name
        counts as settled up to the first event it names. With a `cursor`, the
        consumer stands there and everything it had settled ahead is forgotten.
        """
        ...

    def move(self, name: str, cursor: int) -> asyncio.Future[None]:
        """Let a consumer stand at `cursor` (promise 10); attempts above it are kept."""
        ...

    def settle(
        self, name: str, positions: Iterable[int], passed: Iterable[Span] = ()
    ) -> asyncio.Future[None]:
        """Record that a consumer is done with `positions`; `passed` were not for it."""
        ...

    def settle_soon(self, name: str, positions: Iterable[int], passed: Iterable[Span] = ()) -> None:
        """Like `settle`, but nobody waits for it: durable within 50 ms."""
        ...

    def note_attempt(self, name: str, position: int, attempt: Attempt) -> asyncio.Future[None]:
        """Record a counted attempt; replaces an earlier one."""
        ...

    def bury(self, name: str, position: int, reason: str, attempt: Attempt) -> asyncio.Future[None]:
        """Move an event to the dead letters of a consumer; it counts as settled."""
        ...

    def revive(self, name: str, positions: Sequence[int]) -> asyncio.Future[list[int]]:
        """Give dead letters back to their consumer (promise 9); return those it was done for.

        Left as they are: what is no dead letter of it, and what its filter does not
        name. An attempt of count 0 tells them from others until one is counted.
        """
        ...

    def drop_dead(
        self, letters: Sequence[tuple[str, int]]
    ) -> asyncio.Future[list[tuple[str, int]]]:
        """Remove dead letters, each of a consumer and a position; return those there were."""
        ...

    def forget(self, name: str) -> asyncio.Future[None]:
        """Remove a consumer, its cursor and attempts; dead letters stay."""
        ...

    def seen(self, name: str, wall_ms: int, *, connected: bool) -> None:
        """Note that a consumer is or was connected (orders what goes first when full)."""
        ...

    def recall(self, key: str) -> str | None:
        """Return a small fact stored by `remember`."""
        ...

    def remember(self, key: str, value: str | None) -> asyncio.Future[None]:
        """Store a small fact durably, or forget it (None)."""
        ...

    def record_life(self, life: LinkLife) -> None:
        """Keep a life of a link, in place of an earlier record of it; nobody waits for it."""
        ...

    async def lives(self, since_ms: int = 0, limit: int = MOST_LIVES) -> Sequence[LinkLife]:
        """Return the last `limit` lives that reach past `since_ms`, newest last (promise 11).

        One reaches as far as its link was away after it.
        """
        ...

    def reconfigure(self, settings: JournalSettings) -> None:
        """Apply changed settings (SIGHUP) from the next step on."""
        ...

    async def close(self, deadline_s: float) -> None:
        """Commit what waits, answer it, and release the lock; at most `deadline_s`."""
        ...
