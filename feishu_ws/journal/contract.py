"""What a journal promises, whoever implements it.

The journal is the durable, ordered log of events and of what each consumer has
done with them. Links, wire and downstream know only this file.

Promises (each has its test in `tests/journal/contract.py` or `sends_contract.py`):

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
12. *Kept before it is tried.* `open_send` and `note_send_attempt` answer only after a
   commit that survives a power cut. When that fails they are refused with a fault, at
   once, and nothing was kept or noted: the message must not be sent.
13. *One uuid, one send.* Opening a uuid that is known changes nothing and answers what
   is known of it, also across a restart. The first attempt's time never changes.
14. *An outcome is final.* The first one recorded stays and is what every later open is
   answered with, for `OUTCOME_HOURS`; a dead one for `retention_hours` if that is longer,
   or until it is dropped. Ages count only while the clock can be believed. Recording an
   outcome is not refused by a disk that takes nothing: it waits for one that does.
15. *Unfinished is kept.* A send without an outcome is never removed. At `max_bytes` those
   with one go after the dead letters of events and before any held event, the longest
   closed first, dead ones last, and that is reported.

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
    OutgoingSend,
    Reading,
    SendOutcome,
    Span,
)

CONSUMERS_LOST = "consumers_lost"
"""A fact, `CURSOR UNIX_MS`: damage cost the journal consumers; where unknown ones begin, since when."""

MOST_LIVES = 1000
"""Lives of links that are kept."""

OUTCOME_HOURS = 24
"""How long the outcome of a send is known. Source: CONTRACT 5, `uuid`."""

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
        open_sends: Outgoing sends without an outcome.
        oldest_send_ms: When the first of those was made, None without any.
        dead_sends: Outgoing sends among the dead letters; not part of `dead_letters`.
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
    open_sends: int = 0
    oldest_send_ms: int | None = None
    dead_sends: int = 0


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

    def open_send(self, send: OutgoingSend) -> asyncio.Future[OutgoingSend]:
        """Keep a send before it is tried (promise 12); `OutgoingSend.make` makes one.

        Returns what is known of its uuid: the send itself with its `number`, or an earlier
        one, perhaps of another request (`asks_for`) and perhaps with an outcome.

        Raises:
            FeishuWsError: By the future: `journal_full`, `journal_backlog`, `disk_full` and
                so on. Nothing was kept.
        """
        ...

    def note_send_attempt(self, uuid: str, at_ms: int) -> asyncio.Future[bool]:
        """Note that a send is about to be tried (promise 12); `at_ms` is Unix milliseconds.

        Returns False if there is no such send without an outcome: it must not be sent.

        Raises:
            FeishuWsError: By the future. Nothing was noted.
        """
        ...

    def close_send(self, uuid: str, outcome: SendOutcome, at_ms: int) -> asyncio.Future[bool]:
        """Record the outcome of a send (promise 14).

        Returns False if there is no such send, or it has an outcome already.

        Raises:
            ValueError: The answer is larger than `MAX_ANSWER_BYTES`, or the kind no word.
        """
        ...

    def drop_sends(self, uuids: Sequence[str]) -> asyncio.Future[list[str]]:
        """Remove sends from the dead letters, and forget their uuids; return which there were."""
        ...

    async def unfinished_sends(self, after: int = 0, limit: int = 100) -> Sequence[OutgoingSend]:
        """Read sends without an outcome above number `after`, in the order made.

        Raises:
            FeishuWsError: `journal_io` or `journal_corrupt`.
        """
        ...

    async def dead_sends(self, after: int = 0, limit: int = 100) -> Sequence[OutgoingSend]:
        """Read sends that are dead letters above number `after`, in the order made.

        Raises:
            FeishuWsError: `journal_io` or `journal_corrupt`.
        """
        ...

    async def find_send(self, uuid: str) -> OutgoingSend | None:
        """Read what is durably known of a uuid, None if nothing is.

        Raises:
            FeishuWsError: `journal_io` or `journal_corrupt`.
        """
        ...

    def reconfigure(self, settings: JournalSettings) -> None:
        """Apply changed settings (SIGHUP) from the next step on."""
        ...

    async def close(self, deadline_s: float) -> None:
        """Commit what waits, answer it, and release the lock; at most `deadline_s`."""
        ...
