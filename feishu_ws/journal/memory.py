"""A journal in memory: the contract in its plainest form.

Keeps nothing across a restart of the process, so it is for tests, and it is the
model that the durable ones are compared with.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from feishu_ws.clock import Clock
from feishu_ws.journal import sends
from feishu_ws.journal.contract import MOST_LIVES, JournalFacts, JournalSettings, Subscriber
from feishu_ws.journal.ledger import ConsumerState, Ledger
from feishu_ws.journal.lives import Lives
from feishu_ws.journal.retention import HOUR_MS
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
    Verdict,
)

_T = TypeVar("_T")

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
        self._lives = Lives()
        self._sends = sends.Sends()
        self._subscribers: list[Subscriber] = []
        self.dead: list[tuple[str, int, str, Attempt]] = []
        self._died_ms: dict[tuple[str, int], int] = {}
        self._declare()

    def _declare(self) -> None:
        wanted = self._settings.declared or {}
        for name, chosen in wanted.items():
            state = self._ledger.states.get(name)
            if state is None:
                self._count(self._ledger.enroll(name, chosen, 0))
            elif chosen != Filter():  # else what its last hello said stands
                self._refilter(state, chosen)
        for state in self._ledger:
            state.declared = state.name in wanted

    @property
    def last(self) -> int:
        """Highest position ever given out."""
        return self._ledger.last

    def facts(self) -> JournalFacts:
        """Return how the journal is."""
        unfinished = [send for send in self._sends if send.outcome is None]
        return JournalFacts(
            id=MEMORY_ID,
            first=min(self._events, default=0),
            last=self.last,
            path=":memory:",
            size_bytes=sum(len(event.payload) for event in self._events.values())
            + sum(len(send.request) for send in self._sends),
            limit_bytes=self._settings.max_bytes,
            free_bytes=self._settings.max_bytes,
            waiting_bytes=0,
            dead_letters=len(self.dead),
            fault=None,
            stalled_s=0.0,
            open_sends=len(unfinished),
            oldest_send_ms=unfinished[0].made_ms if unfinished else None,
            dead_sends=sum(sends.is_dead(send) for send in self._sends),
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

    async def count_held(self, name: str, through: int) -> int:
        """Count the events up to `through` that a consumer holds."""
        state = self._ledger.states.get(name)
        if state is None:
            return 0
        return sum(p <= through and state.holds(p, e.envelope) for p, e in self._events.items())

    async def dead_letters(
        self, after: int = 0, limit: int = 100, name: str | None = None
    ) -> list[DeadLetter]:
        """Read dead letters above position `after`: `limit`, and the rest of the last position."""
        found = sorted(
            (position, whose)
            for whose, position, _, _ in self.dead
            if position > after and name in {None, whose}
        )
        last = found[:limit][-1][0] if found else after
        return self._letters([letter for letter in found if letter[0] <= last])

    async def dead_letters_at(
        self, positions: Sequence[int], name: str | None = None
    ) -> list[DeadLetter]:
        """Read the dead letters of some positions."""
        return self._letters(
            (position, whose)
            for position in positions
            for whose in sorted(w for w, p, _, _ in self.dead if p == position)
            if name in {None, whose}
        )

    def _letters(self, which: Iterable[tuple[int, str]]) -> list[DeadLetter]:
        dead = {(position, name): (reason, a) for name, position, reason, a in self.dead}
        letters = []
        for position, name in which:
            reason, attempt = dead[position, name]
            event = self._events[position]
            letters.append(
                DeadLetter(
                    name, position, reason, attempt.reason, attempt.count,
                    self._died_ms[name, position], event.received_ms, event.envelope,
                    len(event.payload),
                )
            )  # fmt: skip
        return letters

    async def dead_counts(self) -> Mapping[str, int]:
        """Return how many dead letters each consumer has."""
        return Counter(name for name, _, _, _ in self.dead)

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
            self._refilter(state, wanted)
        state.declared = declared
        self._count(state)
        return _done(None)

    def _refilter(self, state: ConsumerState, wanted: Filter) -> None:
        held = (p for p, e in sorted(self._events.items()) if state.holds(p, e.envelope))
        state.refilter(wanted, next(held, None))
        self._count(state)

    def move(self, name: str, cursor: int) -> asyncio.Future[None]:
        """Let a consumer stand at `cursor`."""
        state = self._ledger.states.get(name)
        if state is not None:
            state.move(cursor)
            self._count(state)
        return _done(None)

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
        return _done(None)

    def settle_soon(self, name: str, positions: Iterable[int], passed: Iterable[Span] = ()) -> None:
        """Like `settle`, but nobody waits for it."""
        self._ledger.settle(name, positions, passed)

    def note_attempt(self, name: str, position: int, attempt: Attempt) -> asyncio.Future[None]:
        """Record a counted attempt; replaces an earlier one."""
        state = self._ledger.states.get(name)
        if state is not None and position not in state.settled:
            state.attempts[position] = attempt
        return _done(None)

    def bury(self, name: str, position: int, reason: str, attempt: Attempt) -> asyncio.Future[None]:
        """Move an event to the dead letters of a consumer; it counts as settled."""
        state = self._ledger.states.get(name)
        if state is not None and position not in state.settled:
            if position in self._events:
                self._raise_up(name, position)
                self.dead.append((name, position, reason, attempt))
                self._died_ms[name, position] = self._clock.wall_ms()
            self._ledger.settle(name, (position,))
        return _done(None)

    def _raise_up(self, name: str, position: int) -> bool:
        """Remove a dead letter; return whether there was one."""
        before = len(self.dead)
        self.dead[:] = [letter for letter in self.dead if letter[:2] != (name, position)]
        return len(self.dead) < before

    def revive(self, name: str, positions: Sequence[int]) -> asyncio.Future[list[int]]:
        """Give dead letters back to their consumer; return those it was done for."""
        state = self._ledger.states.get(name)
        revived: list[int] = []
        if state is None:
            return _done(revived)
        for position in positions:
            event = self._events.get(position)
            is_named = event is not None and state.wanted.names(event.envelope)
            if is_named and self._raise_up(name, position):
                state.revive(position)
                revived.append(position)
        return _done(revived)

    def drop_dead(
        self, letters: Sequence[tuple[str, int]]
    ) -> asyncio.Future[list[tuple[str, int]]]:
        """Remove dead letters; return those there were."""
        return _done([letter for letter in letters if self._raise_up(*letter)])

    def forget(self, name: str) -> asyncio.Future[None]:
        """Remove a consumer; its dead letters stay."""
        self._ledger.states.pop(name, None)
        return _done(None)

    def seen(self, name: str, wall_ms: int, *, connected: bool) -> None:
        """Note that a consumer is or was connected."""
        state = self._ledger.states.get(name)
        if state is not None:
            state.connected, state.last_seen_ms = connected, wall_ms

    def recall(self, key: str) -> str | None:
        """Return a small fact stored by `remember`."""
        return self._facts.get(key)

    def remember(self, key: str, value: str | None) -> asyncio.Future[None]:
        """Store a small fact, or forget it (None)."""
        self._facts.pop(key, None)
        if value is not None:
            self._facts[key] = value
        return _done(None)

    def record_life(self, life: LinkLife) -> None:
        """Keep a life of a link, in place of an earlier record of it."""
        self._lives.record(life)

    async def lives(self, since_ms: int = 0, limit: int = MOST_LIVES) -> list[LinkLife]:
        """Return the last `limit` lives that reach past `since_ms`, newest last."""
        return self._lives.newest(since_ms, limit)

    def open_send(self, send: OutgoingSend) -> asyncio.Future[OutgoingSend]:
        """Keep a send before it is tried; return what is known of its uuid."""
        return _done(self._sends.open(send))

    def note_send_attempt(self, uuid: str, at_ms: int) -> asyncio.Future[bool]:
        """Note that a send is about to be tried; False if there is none without an outcome."""
        return _done(sends.note_attempt(self._sends, uuid, at_ms))

    def close_send(self, uuid: str, outcome: SendOutcome, at_ms: int) -> asyncio.Future[bool]:
        """Record the outcome of a send; False if there is no send without one."""
        sends.check_outcome(outcome)
        return _done(sends.close(self._sends, uuid, outcome, at_ms))

    def drop_sends(self, uuids: Sequence[str]) -> asyncio.Future[list[str]]:
        """Remove sends from the dead letters; return which there were."""
        return _done(sends.drop(self._sends, uuids))

    async def unfinished_sends(self, after: int = 0, limit: int = 100) -> list[OutgoingSend]:
        """Read sends without an outcome above number `after`, in the order made."""
        return [s for s in self._sends if s.outcome is None and s.number > after][:limit]

    async def dead_sends(self, after: int = 0, limit: int = 100) -> list[OutgoingSend]:
        """Read sends that are dead letters above number `after`, in the order made."""
        return [s for s in self._sends if sends.is_dead(s) and s.number > after][:limit]

    async def find_send(self, uuid: str) -> OutgoingSend | None:
        """Read what is known of a uuid."""
        return self._sends.find(uuid)

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
        for send in self._sends:
            hours = sends.hours_kept(self._settings.retention_hours, dead=sends.is_dead(send))
            if send.closed_ms is not None and send.closed_ms < now_ms - round(hours * HOUR_MS):
                self._sends.remove(send.uuid)

    async def close(self, deadline_s: float) -> None:
        """Nothing waits."""
        del deadline_s


def _done(result: _T) -> asyncio.Future[_T]:
    future: asyncio.Future[_T] = asyncio.get_running_loop().create_future()
    future.set_result(result)
    return future
