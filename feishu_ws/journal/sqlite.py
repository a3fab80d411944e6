"""The journal on SQLite: WAL, `synchronous=FULL`, one writer, one reader.

This is the face on the event loop; `writer.py` is the thread behind it. See
`contract.py` for what is promised.
"""

import asyncio
import sqlite3
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final, TypeVar

from feishu_ws.clock import Clock
from feishu_ws.faults import Fault, FeishuWsError
from feishu_ws.happenings import (
    EventsDropped,
    JournalFaulted,
    JournalOpened,
    JournalPruned,
    JournalRecovered,
    Observer,
)
from feishu_ws.journal import writer
from feishu_ws.journal.contract import JournalFacts, JournalSettings, Subscriber
from feishu_ws.journal.ledger import Ledger
from feishu_ws.journal.lock import JournalLock
from feishu_ws.journal.reader import ReaderThread
from feishu_ws.journal.store import Store, connect, explain, free_bytes
from feishu_ws.journal.writer import Append, Change, Owed, Report, Sizes, Writer
from feishu_ws.model import Attempt, ConsumerRecord, Event, Filter, Outcome, Reading, Span, Verdict
from feishu_ws.tally import Tally

_T = TypeVar("_T")

MAX_WAITING_BYTES: Final = 32 * 1024 * 1024  # CONTRACT 2.1
ROW_OVERHEAD: Final = 512  # what an event takes in memory besides its payload
_ID: Final = "journal_id"


class SqliteJournal:
    """See `contract.Journal`."""

    def __init__(
        self,
        path: Path,
        settings: JournalSettings,
        *,
        clock: Clock,
        tally: Tally,
        observe: Observer,
    ) -> None:
        self._path = path
        self._settings = settings
        self._clock = clock
        self._tally = tally
        self._observe = observe
        self._lock = JournalLock(path)
        self._subscribers: list[Subscriber] = []
        self._waiting_bytes = 0
        self._fault: Fault | None = None
        self._fault_since_s = 0.0
        self._closing = False
        self._ended = asyncio.Event()

    def open(self) -> None:
        """Take the lock, open the file, bring its schema up to date, start the threads.

        Must be called on the event loop's thread while the loop runs.

        Raises:
            FeishuWsError: `journal_locked`, `journal_version`, `journal_io`,
                `journal_read_only`, `journal_corrupt`, `disk_full`.
        """
        self._lock.acquire()
        try:
            self._open_file()
        except sqlite3.Error as error:
            self._lock.release()
            raise explain(error, self._path) from error
        except FeishuWsError:
            self._lock.release()
            raise
        self._loop = asyncio.get_running_loop()
        self._records = {state.name: state.record() for state in self._writer.ledger}
        self._last = self._writer.last
        self._declare()
        self._writer.start()
        self._reader.start()
        if _ID not in self._facts:
            self.remember(_ID, str(uuid.uuid4()))
        self._observe(JournalOpened(str(self._path), self._last, self._sizes.live_bytes))

    def _open_file(self) -> None:
        store = Store(connect(self._path))
        self._path.chmod(0o600)
        self._facts = store.load_facts()
        self._writer = Writer(
            store, self._path, self._settings, self._clock.wall_ms, self._hand_over, self._end
        )
        first, dead = store.extent()
        self._sizes = Sizes(first, self._writer.upkeep.measure(), free_bytes(self._path), dead)
        self._read_store = Store(connect(self._path, read_only=True))
        self._reader = ReaderThread()

    def _declare(self) -> None:
        """Make declared consumers exist, and those not declared any more plain ones.

        Runs before the writer starts, so the ledger is still ours.
        """
        wanted = self._settings.declared or {}
        for state in self._writer.ledger:
            state.declared = state.name in wanted
        for name, chosen in wanted.items():
            known = self._records.get(name)
            if known is None:
                window = self._clock.wall_ms() - self._settings.new_consumer_window_ms
                self._writer.ledger.enroll(name, chosen, self._cursor_since(window))
                self._writer.upkeep.count_again(name)
            # Where the file leaves the filter open, what its last hello said stands.
            keeps = known is not None and chosen == Filter()
            self.enroll(name, known.filter if known and keeps else chosen, None, declared=True)
        for state in self._writer.ledger:
            self._records[state.name] = state.record()

    def _cursor_since(self, wall_ms: int) -> int:
        first = self._read_store.first_since(wall_ms)
        return first - 1 if first else self._last

    # -- facts ----------------------------------------------------------------------------

    @property
    def last(self) -> int:
        """Highest position ever given out."""
        return self._last

    @property
    def id(self) -> str:
        """The journal's own UUID."""
        return self._facts[_ID]

    def is_alive(self) -> bool:
        """Whether the writing thread runs; a daemon without it must not go on."""
        return self._writer.is_alive()

    def facts(self) -> JournalFacts:
        """Return how the journal is."""
        since = self._writer.committing_since
        return JournalFacts(
            id=self.id,
            first=self._sizes.first,
            last=self._last,
            path=str(self._path),
            size_bytes=self._sizes.live_bytes,
            limit_bytes=self._settings.max_bytes,
            free_bytes=self._sizes.free_bytes,
            waiting_bytes=self._waiting_bytes,
            dead_letters=self._sizes.dead_letters,
            fault=self._fault,
            stalled_s=0.0 if since is None else time.monotonic() - since,
        )

    def subscribe(self, subscriber: Subscriber) -> None:
        """Call `subscriber` with every batch of stored events."""
        self._subscribers.append(subscriber)

    def consumers(self) -> Mapping[str, ConsumerRecord]:
        """Return what is durably known of every consumer."""
        return self._records

    def recall(self, key: str) -> str | None:
        """Return a small fact stored by `remember`."""
        return self._facts.get(key)

    # -- writing --------------------------------------------------------------------------

    def append(self, event: Event, answer: Callable[[Outcome], None]) -> None:
        """Store an event; `answer` is called once, on the loop, after the commit."""
        size = len(event.payload) + ROW_OVERHEAD
        if self._waiting_bytes + size > MAX_WAITING_BYTES:
            answer(Outcome(Verdict.REFUSED, fault=Fault.JOURNAL_BACKLOG))
            return
        self._waiting_bytes += size
        self._writer.put(Append(event, answer))

    def settle(
        self, name: str, positions: Iterable[int], passed: Iterable[Span] = ()
    ) -> asyncio.Future[None]:
        """Record that a consumer is done with `positions`; `passed` were not for it."""
        return self._change(writer.settle(name, tuple(positions), tuple(passed)))

    def settle_soon(self, name: str, positions: Iterable[int], passed: Iterable[Span] = ()) -> None:
        """Like `settle`, but nobody waits: durable within 50 ms, in company."""
        self._writer.put(Change(writer.settle(name, tuple(positions), tuple(passed))))

    def note_attempt(self, name: str, position: int, attempt: Attempt) -> asyncio.Future[None]:
        """Record a counted attempt; replaces an earlier one."""

        def apply(owed: Owed, ledger: Ledger) -> None:
            state = ledger.states.get(name)
            if state is not None and position not in state.settled:
                state.attempts[position] = attempt
                owed.consumers.add(name)

        return self._change(apply)

    def bury(self, name: str, position: int, reason: str, attempt: Attempt) -> asyncio.Future[None]:
        """Move an event to the dead letters of a consumer; it counts as settled."""
        died_ms = self._clock.wall_ms()
        settle = writer.settle(name, (position,), ())

        def apply(owed: Owed, ledger: Ledger) -> None:
            if name in ledger.states and position not in ledger.states[name].settled:
                owed.dead.append((name, position, reason, attempt, died_ms))
            settle(owed, ledger)

        return self._change(apply)

    def enroll(
        self, name: str, wanted: Filter, cursor: int | None, *, declared: bool
    ) -> asyncio.Future[None]:
        """Create a consumer, change its filter, or move its cursor."""

        def apply(owed: Owed, ledger: Ledger) -> None:
            state = ledger.states.get(name)
            if state is None:
                state = ledger.enroll(name, wanted, self._writer.last if cursor is None else cursor)
            elif cursor is not None:
                state.move(cursor)
                state.wanted = wanted.compile()
            elif state.wanted.filter != wanted:
                state.refilter(wanted, self._writer.upkeep.first_held(state))
            state.declared = declared
            self._writer.upkeep.count_again(name)
            owed.consumers.add(name)
            owed.forgotten.discard(name)

        return self._change(apply)

    def forget(self, name: str) -> asyncio.Future[None]:
        """Remove a consumer, its cursor and attempts; dead letters stay."""

        def apply(owed: Owed, ledger: Ledger) -> None:
            ledger.states.pop(name, None)
            owed.consumers.discard(name)
            owed.forgotten.add(name)

        return self._change(apply)

    def seen(self, name: str, wall_ms: int, *, connected: bool) -> None:
        """Note that a consumer is or was connected."""

        def apply(owed: Owed, ledger: Ledger) -> None:
            state = ledger.states.get(name)
            if state is not None:
                state.connected, state.last_seen_ms = connected, wall_ms
                owed.consumers.add(name)

        self._writer.put(Change(apply))

    def remember(self, key: str, value: str) -> asyncio.Future[None]:
        """Store a small fact durably."""
        self._facts[key] = value

        def apply(owed: Owed, _: Ledger) -> None:
            owed.facts[key] = value

        return self._change(apply)

    def reconfigure(self, settings: JournalSettings) -> None:
        """Apply changed settings from the next step on."""
        self._settings = settings

        def apply(owed: Owed, ledger: Ledger) -> None:
            self._writer.upkeep.settings = settings
            declared = settings.declared or {}
            for state in ledger:
                state.declared = state.name in declared
                owed.consumers.add(state.name)

        self._writer.put(Change(apply))

    def _change(self, apply: Callable[[Owed, Ledger], None]) -> asyncio.Future[None]:
        future: asyncio.Future[None] = self._loop.create_future()

        def done() -> None:
            if not future.done():
                future.set_result(None)

        self._writer.put(Change(apply, done))
        return future

    # -- reading --------------------------------------------------------------------------

    async def read(self, after: int, max_events: int = 256, max_bytes: int = 1024**2) -> Reading:
        """Read events above position `after`, at least one where there is one."""
        return await self._ask(lambda: self._read(after, max_events, max_bytes))

    def _read(self, after: int, max_events: int, max_bytes: int) -> Reading:
        newest = self._last  # taken first: what comes after it is read next time
        events = self._read_store.events_after(after, max_events, max_bytes)
        through = events[-1].position if events else max(after, newest)
        return Reading(events, through)

    async def position_at(self, wall_ms: int) -> int:
        """Return the last position received before `wall_ms`."""
        return await self._ask(lambda: self._cursor_since(wall_ms))

    async def _ask(self, function: Callable[[], _T]) -> _T:
        try:
            return await self._reader.submit(function)
        except sqlite3.Error as error:
            self._tally.journal_errors["read"] += 1
            raise explain(error, self._path) from error

    # -- what the writer reports ----------------------------------------------------------

    def _hand_over(self, report: Report) -> None:
        """Called in the writer's thread."""
        try:
            self._loop.call_soon_threadsafe(self._take, report)
        except RuntimeError:  # the loop is closed: the process is ending
            return

    def _take(self, report: Report) -> None:
        self._last = max(self._last, report.last)
        self._waiting_bytes -= report.answered_bytes + len(report.answers) * ROW_OVERHEAD
        if report.stored:
            for subscriber in self._subscribers:
                subscriber(report.stored)
        for answer, outcome in report.answers:
            answer(outcome)
        for name, record in report.records.items():
            if record is None:
                self._records.pop(name, None)
            else:
                self._records[name] = record
        for done in report.done:
            done()
        self._note(report)

    def _note(self, report: Report) -> None:
        if report.sizes is not None:
            self._sizes = report.sizes
        if report.commit_s is not None:
            self._tally.journal_commit_duration.observe(report.commit_s)
        for reason, count, first, last in report.dropped:
            self._tally.events_discarded[reason] += count
            self._observe(EventsDropped(reason, count, first, last))
        if report.pruned is not None:
            self._observe(JournalPruned(*report.pruned))
        self._note_health(report)

    def _note_health(self, report: Report) -> None:
        """A commit that failed is a fault until the next one that succeeds."""
        fault = _fault_of(report)
        if fault is not None:
            self._tally.journal_errors["append" if report.answers else "upkeep"] += 1
            if fault is not self._fault:
                self._fault, self._fault_since_s = fault, self._clock.monotonic()
                self._observe(JournalFaulted(fault, report.error.detail if report.error else ""))
        elif self._fault is not None and self._is_over(self._fault, report):
            lasted_s = self._clock.monotonic() - self._fault_since_s
            recovered, self._fault = self._fault, None
            self._observe(JournalRecovered(recovered, lasted_s))

    @staticmethod
    def _is_over(fault: Fault, report: Report) -> bool:
        if fault is Fault.JOURNAL_FULL:  # settles are still committed while it is full
            return bool(report.stored) or (report.sizes is not None and report.sizes.has_room)
        return report.commit_s is not None

    # -- the end --------------------------------------------------------------------------

    async def close(self, deadline_s: float) -> None:
        """Commit what waits, answer it, and release the lock; at most `deadline_s`."""
        self._closing = True
        self._writer.stop()
        self._reader.stop()
        try:
            await asyncio.wait_for(self._ended.wait(), deadline_s)
        except TimeoutError:
            return  # the disk hangs; the lock ends with the process
        self._lock.release()

    def _end(self) -> None:
        """Called in the writer's thread when it ends, also by a defect."""
        try:
            self._loop.call_soon_threadsafe(self._note_end)
        except RuntimeError:  # the loop is closed: the process is ending
            return

    def _note_end(self) -> None:
        self._ended.set()
        if not self._closing:
            self._fault = Fault.INTERNAL
            self._observe(JournalFaulted(Fault.INTERNAL, "the writing thread died"))


def _fault_of(report: Report) -> Fault | None:
    if report.error is not None:
        return report.error.fault
    refused = (o.fault for _, o in report.answers if o.verdict is Verdict.REFUSED)
    return next(refused, None)
