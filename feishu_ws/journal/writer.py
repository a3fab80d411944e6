"""The thread that writes: group commit, and upkeep between commits.

What gathered while one commit ran goes into the next. State that consumers changed
is *owed*: it is written from memory with the next commit that succeeds, so a full
disk delays it and loses nothing. Appends are never owed: what could not be
committed is refused, and Feishu sends it again.

Invariants: only this thread touches the writing connection and the ledger; nothing
is answered before its commit returned; a commit that fails changes no position.
"""

import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from feishu_ws.faults import Fault, FeishuWsError
from feishu_ws.journal.contract import JournalSettings
from feishu_ws.journal.ledger import ConsumerState, Ledger
from feishu_ws.journal.store import Store, explain, free_bytes
from feishu_ws.journal.upkeep import Upkeep
from feishu_ws.model import (
    Attempt,
    ConsumerRecord,
    Event,
    Outcome,
    Span,
    Verdict,
)

BATCH_ITEMS: Final = 1024  # more in one commit gains nothing and delays its first answer
BATCH_BYTES: Final = 4 * 1024 * 1024
LINGER_S: Final = 0.02  # a settle nobody waits for may wait for company; durable within 50 ms
RETRY_S: Final = 0.5  # how soon owed state is tried again on a disk that refuses
FACTS_EVERY_S: Final = 1.0
CHECKPOINT_BYTES: Final = 4 * 1024 * 1024  # SQLite's own default, but done between commits
COMMIT_BYTES: Final = 16 * 1024  # what a commit adds to the WAL besides its payloads: touched pages
UPKEEP_EVERY_S: Final = 0.05  # under load one step of upkeep goes between commits so often

LAST_FAULT: Final = "last_fault"

Answer = Callable[[Outcome], None]


@dataclass(slots=True)
class Append:
    """An event that waits, and who wants to know."""

    event: Event
    answer: Answer


@dataclass(slots=True)
class Change:
    """Something a consumer did, applied to the ledger in this thread.

    Attributes:
        apply: Changes the ledger and notes what is owed; must be harmless to repeat.
        done: Called on the loop after the commit that holds it, None if nobody waits.
    """

    apply: Callable[["Owed", Ledger], None]
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
    """What one commit did, handed to the loop in one piece."""

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


class _Saved:
    """What of a consumer is on disk, to write only differences."""

    __slots__ = ("ahead", "attempts")

    def __init__(self, state: ConsumerState) -> None:
        self.ahead: set[Span] = set(state.settled.ahead)
        self.attempts = dict(state.attempts)


class Writer(threading.Thread):
    """Owns the writing connection from `start` to `stop`."""

    def __init__(
        self,
        store: Store,
        path: Path,
        settings: JournalSettings,
        wall_ms: Callable[[], int],
        emit: Callable[[Report], None],
        ended: Callable[[], None],
    ) -> None:
        super().__init__(name="journal-writer", daemon=True)  # a hung disk must not hold the exit
        self._store = store
        self._path = path
        self._emit = emit
        self._ended = ended
        self._wall_ms = wall_ms
        self._queue: queue.SimpleQueue[Append | Change | None] = queue.SimpleQueue()
        self._owed = Owed()
        self._saved: dict[str, _Saved] = {}
        self._saving: dict[str, _Saved] = {}
        self._retry_at: float | None = None
        self._stopping = False
        self._facts_at = 0.0
        self._wal_bytes = 0
        self._upkeep_at = 0.0
        self.ledger = Ledger()
        self.last = store.last_position()
        self.committing_since: float | None = None
        for state in store.load_consumers():
            self.ledger.states[state.name] = state
            self._saved[state.name] = _Saved(state)
        self.upkeep = Upkeep(store, self.ledger, settings, wall_ms)

    # -- called from the loop -------------------------------------------------------------

    def put(self, item: Append | Change) -> None:
        """Hand something over; returns at once."""
        self._queue.put(item)

    def stop(self) -> None:
        """Write what waits, then end."""
        self._queue.put(None)

    # -- the thread -----------------------------------------------------------------------

    def run(self) -> None:
        """Gather, commit, answer, keep up; until told to stop."""
        try:
            self._work()
        finally:
            self._ended()

    def _work(self) -> None:
        while not self._stopping:
            appends = self._gather()
            if appends or self._owed:
                self._commit(appends)
            if not appends or time.monotonic() >= self._upkeep_at:
                self._keep_up()
        if self._owed:
            self._commit([])
        self._store.close()

    def _gather(self) -> list[Append]:
        """Wait for work, then take what is there."""
        appends: list[Append] = []
        size = 0
        deadline: float | None = None
        for _ in range(BATCH_ITEMS):
            if size >= BATCH_BYTES:
                break
            item = self._next(appends, deadline)
            if item is None:
                break
            if isinstance(item, Append):
                appends.append(item)
                size += len(item.event.payload)
                continue
            item.apply(self._owed, self.ledger)
            if item.done is not None:
                self._owed.done.append(item.done)
            elif deadline is None:
                deadline = time.monotonic() + LINGER_S
        return appends

    def _next(self, appends: list[Append], deadline: float | None) -> Append | Change | None:
        """Return the next item, or None when it is time to commit or to keep up."""
        try:
            item = self._queue.get(timeout=self._patience(appends, deadline))
        except queue.Empty:
            return None
        if item is None:
            self._stopping = True
        return item

    def _patience(self, appends: list[Append], deadline: float | None) -> float:
        """Return how long to wait for more: not at all once somebody waits for us."""
        if appends or self._stopping:
            return 0.0
        if self._retry_at is not None:  # the disk refuses; only new events are tried sooner
            return max(self._retry_at - time.monotonic(), 0.0)
        if self._owed.done:
            return 0.0
        if deadline is not None:
            return max(deadline - time.monotonic(), 0.0)
        return 0.0 if self.upkeep.has_work() else FACTS_EVERY_S

    # -- committing -----------------------------------------------------------------------

    def _commit(self, appends: list[Append]) -> None:
        report = Report()
        began = time.monotonic()
        self.committing_since = began
        try:
            self._write(appends, report)
        except sqlite3.Error as error:
            self._fail(appends, report, explain(error, self._path))
        else:
            report.commit_s = time.monotonic() - began
            self._succeed(report)
        self.committing_since = None
        report.answered_bytes = sum(len(a.event.payload) for a in appends)
        report.last = self.last
        self._report_sizes(report)
        self._emit(report)

    def _write(self, appends: list[Append], report: Report) -> None:
        """Write one transaction; nothing in memory changes before it is committed."""
        self._store.begin()
        known = self._store.known_keys([key for a in appends for key in a.event.keys])
        stored, duplicates = _sort_out(appends, set(known))
        if stored and not self._has_room_for(stored):
            # What repeats an event of this very batch is refused with it.
            refused = [a for a in appends if not any(key in known for key in a.event.keys)]
            report.answers = [(a.answer, _refused(Fault.JOURNAL_FULL)) for a in refused]
            duplicates = [a for a in appends if any(key in known for key in a.event.keys)]
            stored = []
        for number, append in enumerate(stored, start=self.last + 1):
            append.event.position = number
        now_ms = self._wall_ms()
        keys = [key for a in (*stored, *duplicates) for key in a.event.keys]
        if keys:
            self._store.add_keys(keys, now_ms)
        if stored:
            self._store.add_events([a.event for a in stored])
        self._write_owed()
        self._store.commit()
        report.stored = [a.event for a in stored]
        report.answers += [(a.answer, Outcome(Verdict.STORED, a.event.position)) for a in stored]
        report.answers += [(a.answer, Outcome(Verdict.DUPLICATE)) for a in duplicates]

    def _has_room_for(self, appends: list[Append]) -> bool:
        return self.upkeep.make_room(sum(len(a.event.payload) for a in appends), len(appends))

    def _write_owed(self) -> None:
        owed = self._owed
        for name in owed.forgotten:
            self._store.remove_consumer(name)
        for name in owed.consumers:
            self._write_consumer(self.ledger.states[name])
        for letter in owed.dead:
            self._store.add_dead(*letter)
        for key, value in owed.facts.items():
            self._store.save_fact(key, value)

    def _write_consumer(self, state: ConsumerState) -> None:
        saved = self._saved.get(state.name)
        self._saving[state.name] = _Saved(state)
        ahead = set(state.settled.ahead)
        self._store.save_consumer(state)
        if saved is None or saved.ahead != ahead:
            before = saved.ahead if saved else set()
            self._store.save_ahead(state.name, before - ahead, ahead - before)
        known = saved.attempts if saved else {}
        if known != state.attempts:
            new = {p: a for p, a in state.attempts.items() if known.get(p) != a}
            self._store.save_attempts(state.name, known.keys() - state.attempts.keys(), new)

    def _succeed(self, report: Report) -> None:
        """Take over into memory what the disk now holds."""
        owed = self._owed
        self._retry_at = None
        self._saved.update(self._saving)
        self._saving.clear()
        for event in report.stored:
            self.ledger.append(event.position, event.envelope, event.position - 1)
            self.last = event.position
        for name in owed.forgotten:
            self._saved.pop(name, None)
            report.records[name] = None
        touched = self.ledger.states if report.stored else owed.consumers
        for name in touched:
            report.records[name] = self.ledger.states[name].record()
        self._wal_bytes += COMMIT_BYTES + sum(len(e.payload) for e in report.stored)
        report.done = owed.done
        report.dropped = self.upkeep.take_dropped()
        self._owed = Owed()

    def _fail(self, appends: list[Append], report: Report, error: FeishuWsError) -> None:
        """Refuse what was to be stored; what is owed stays owed."""
        try:
            self._store.rollback()
        except sqlite3.Error as again:
            error = explain(again, self._path)
        self._saving.clear()
        self._retry_at = time.monotonic() + RETRY_S
        self._owed.facts[LAST_FAULT] = f"{error.fault} {self._wall_ms()}"  # tried until it succeeds
        report.stored = []
        report.answers = [(a.answer, _refused(error.fault)) for a in appends]
        report.error = error
        for append in appends:
            append.event.position = 0
        self.upkeep.forget_dropped()

    # -- between commits ------------------------------------------------------------------

    def _keep_up(self) -> None:
        """Do one bounded step of pruning, counting, compaction or moving the WAL."""
        self._upkeep_at = time.monotonic() + UPKEEP_EVERY_S
        report = Report(last=self.last)
        try:
            if self.upkeep.has_work():
                report.pruned = self.upkeep.step(self.last)
            if self._wal_bytes > CHECKPOINT_BYTES:
                self._store.checkpoint()
                self._wal_bytes = 0
        except sqlite3.Error as error:
            self._fail([], report, explain(error, self._path))
            self.upkeep.pause()
        counted = self.upkeep.take_counted()
        report.records = {name: self.ledger.states[name].record() for name in counted}
        self._report_sizes(report)
        if report.records or report.sizes or report.error or report.pruned:
            self._emit(report)

    def _report_sizes(self, report: Report) -> None:
        now = time.monotonic()
        if now < self._facts_at:
            return
        self._facts_at = now + FACTS_EVERY_S
        try:
            first, dead = self._store.extent()
            live = self.upkeep.measure()
            has_room = self.upkeep.has_room(first)
        except sqlite3.Error as error:
            report.error = report.error or explain(error, self._path)
            return
        report.sizes = Sizes(first, live, free_bytes(self._path), dead, has_room)


def _sort_out(appends: list[Append], known: set[bytes]) -> tuple[list[Append], list[Append]]:
    """Part new events from duplicates: of `known` keys and of one another."""
    new: list[Append] = []
    duplicates: list[Append] = []
    for append in appends:
        keys = append.event.keys
        (new if known.isdisjoint(keys) else duplicates).append(append)
        known.update(keys)
    return new, duplicates


def _refused(fault: Fault) -> Outcome:
    return Outcome(Verdict.REFUSED, fault=fault)


def settle(
    name: str, positions: Iterable[int], passed: Iterable[Span]
) -> Callable[[Owed, Ledger], None]:
    """Return the change that settles."""

    def apply(owed: Owed, ledger: Ledger) -> None:
        state = ledger.states.get(name)
        if state is not None:  # forgotten meanwhile
            state.settle(positions, passed)
            owed.consumers.add(name)

    return apply
