"""A journal in memory: the contract in its plainest form.

Keeps nothing across a restart of the process, so it is for tests, and it is the
model that the durable ones are compared with.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping

from feishu_ws.clock import Clock
from feishu_ws.journal.contract import JournalFacts, JournalSettings, Subscriber
from feishu_ws.journal.ledger import ConsumerState, Ledger
from feishu_ws.journal.retention import HOUR_MS
from feishu_ws.model import Attempt, ConsumerRecord, Event, Filter, Outcome, Reading, Span, Verdict

MEMORY_ID = "00000000-0000-0000-0000-000000000000"


class MemoryJournal:
    """See `contract.Journal`. Every call is durable at once; answers come a loop turn later."""

    def __init__(self, settings: JournalSettings, *, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._events: dict[int, Event] = {}
        self._seen: dict[bytes, int] = {}
        self._facts: dict[str, str] = {}
        self._ledger = Ledger()
        self._subscribers: list[Subscriber] = []
        self.dead: list[tuple[str, int, str, Attempt]] = []
        self._declare()

    def _declare(self) -> None:
        wanted = self._settings.declared or {}
        for name in wanted.keys() - self._ledger.states.keys():
            self._count(self._ledger.enroll(name, wanted[name], 0))
        for state in self._ledger:
            state.declared = state.name in wanted

    @property
    def last(self) -> int:
        """Highest position ever given out."""
        return self._ledger.last

    def facts(self) -> JournalFacts:
        """Return how the journal is."""
        return JournalFacts(
            id=MEMORY_ID,
            first=min(self._events, default=0),
            last=self.last,
            path=":memory:",
            size_bytes=sum(len(event.payload) for event in self._events.values()),
            limit_bytes=self._settings.max_bytes,
            free_bytes=self._settings.max_bytes,
            waiting_bytes=0,
            dead_letters=len(self.dead),
            fault=None,
            stalled_s=0.0,
        )

    def subscribe(self, subscriber: Subscriber) -> None:
        """Call `subscriber` with every stored event."""
        self._subscribers.append(subscriber)

    def append(self, event: Event, answer: Callable[[Outcome], None]) -> None:
        """Store an event; `answer` is called on the loop's next turn."""
        asyncio.get_running_loop().call_soon(self._append, event, answer)

    def _append(self, event: Event, answer: Callable[[Outcome], None]) -> None:
        is_new = self._seen.keys().isdisjoint(event.keys)
        for key in event.keys:
            self._seen.setdefault(key, self._clock.wall_ms())
        if not is_new:
            answer(Outcome(Verdict.DUPLICATE))
            return
        event.position = self.last + 1
        self._events[event.position] = event
        self._ledger.append(event.position, event.envelope)
        for subscriber in self._subscribers:
            subscriber([event])
        answer(Outcome(Verdict.STORED, event.position))

    async def read(self, after: int, max_events: int = 256, max_bytes: int = 1024**2) -> Reading:
        """Read events above position `after`, at least one where there is one."""
        found: list[Event] = []
        size = 0
        for position in range(after + 1, self.last + 1):
            event = self._events.get(position)
            if event is None:
                continue
            size += len(event.payload)
            if found and (size > max_bytes or len(found) == max_events):
                return Reading(found, found[-1].position)
            found.append(event)
        return Reading(found, max(after, self.last))

    async def position_at(self, wall_ms: int) -> int:
        """Return the last position received before `wall_ms`."""
        later = [p for p, event in self._events.items() if event.received_ms >= wall_ms]
        return min(later) - 1 if later else self.last

    def consumers(self) -> Mapping[str, ConsumerRecord]:
        """Return what is known of every consumer."""
        return {state.name: state.record() for state in self._ledger}

    def enroll(
        self, name: str, wanted: Filter, cursor: int | None, *, declared: bool
    ) -> asyncio.Future[None]:
        """Create a consumer, change its filter, or move its cursor."""
        state = self._ledger.states.get(name)
        if state is None:
            state = self._ledger.enroll(name, wanted, self.last if cursor is None else cursor)
        elif cursor is not None:
            state.move(cursor)
            state.wanted = wanted.compile()
        else:
            held = (p for p, e in sorted(self._events.items()) if state.holds(p, e.envelope))
            state.refilter(wanted, next(held, None))
        state.declared = declared
        self._count(state)
        return _done()

    def _count(self, state: ConsumerState) -> None:
        for position, event in sorted(self._events.items()):
            if position > state.counted:
                state.count(position, event.envelope)
        state.count_to(self.last)

    def settle(
        self, name: str, positions: Iterable[int], passed: Iterable[Span] = ()
    ) -> asyncio.Future[None]:
        """Record that a consumer is done with `positions`; `passed` were not for it."""
        self.settle_soon(name, positions, passed)
        return _done()

    def settle_soon(self, name: str, positions: Iterable[int], passed: Iterable[Span] = ()) -> None:
        """Like `settle`, but nobody waits for it."""
        self._ledger.settle(name, positions, passed)

    def note_attempt(self, name: str, position: int, attempt: Attempt) -> asyncio.Future[None]:
        """Record a counted attempt; replaces an earlier one."""
        state = self._ledger.states.get(name)
        if state is not None and position not in state.settled:
            state.attempts[position] = attempt
        return _done()

    def bury(self, name: str, position: int, reason: str, attempt: Attempt) -> asyncio.Future[None]:
        """Move an event to the dead letters of a consumer; it counts as settled."""
        state = self._ledger.states.get(name)
        if state is not None and position not in state.settled:
            if position in self._events:
                self.dead.append((name, position, reason, attempt))
            self._ledger.settle(name, (position,))
        return _done()

    def forget(self, name: str) -> asyncio.Future[None]:
        """Remove a consumer; its dead letters stay."""
        self._ledger.states.pop(name, None)
        return _done()

    def seen(self, name: str, wall_ms: int, *, connected: bool) -> None:
        """Note that a consumer is or was connected."""
        state = self._ledger.states.get(name)
        if state is not None:
            state.connected, state.last_seen_ms = connected, wall_ms

    def recall(self, key: str) -> str | None:
        """Return a small fact stored by `remember`."""
        return self._facts.get(key)

    def remember(self, key: str, value: str) -> asyncio.Future[None]:
        """Store a small fact."""
        self._facts[key] = value
        return _done()

    def reconfigure(self, settings: JournalSettings) -> None:
        """Apply changed settings."""
        self._settings = settings
        self._declare()

    def prune(self) -> None:
        """Remove what is older than the retention and held by nobody, and old keys."""
        now_ms = self._clock.wall_ms()
        old_ms = now_ms - round(self._settings.retention_hours * HOUR_MS)
        dead = {position for _, position, _, _ in self.dead}
        for position, event in list(self._events.items()):
            held = self._ledger.holders(position, event.envelope)
            if event.received_ms < old_ms and not held and position not in dead:
                del self._events[position]
        forget_ms = now_ms - round(self._settings.dedupe_hours * HOUR_MS)
        self._seen = {key: at for key, at in self._seen.items() if at >= forget_ms}

    async def close(self, deadline_s: float) -> None:
        """Nothing waits."""
        del deadline_s


def _done() -> asyncio.Future[None]:
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    future.set_result(None)
    return future
