"""The thread that writes: group commit, and upkeep between commits.

What gathered while one commit ran goes into the next. State that consumers changed
is *owed*: it is written from memory with the next commit that succeeds, so a full
disk delays it and loses nothing. Appends are never owed: what could not be
committed is refused, and Feishu sends it again.

Invariants: only this thread touches the writing connection and the ledger; nothing
is answered, and no event has a position, before its commit returned; a commit that
fails changes no position; once the file is found damaged nothing is written any more,
nor while it is not where it was opened.
Outgoing sends go into the same commits; `outbox.py` says which of their steps are owed.
"""

import contextlib
import queue
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from feishu_ws.faults import Fault, FeishuWsError
from feishu_ws.journal.checkpoints import Checkpoints
from feishu_ws.journal.contract import JournalSettings
from feishu_ws.journal.file import disk_space, explain
from feishu_ws.journal.footing import Footing, LostFileError
from feishu_ws.journal.ledger import Ledger
from feishu_ws.journal.outbox import Outbox, Step
from feishu_ws.journal.replace import mark
from feishu_ws.journal.saving import Saver
from feishu_ws.journal.store import Store
from feishu_ws.journal.upkeep import Upkeep
from feishu_ws.journal.work import (
    Append,
    Change,
    Owed,
    Report,
    Sizes,
    refusals,
    sort_out,
)
from feishu_ws.model import Outcome, Verdict

BATCH_ITEMS: Final = 1024  # more in one commit gains nothing and delays its first answer
LINGER_S: Final = 0.02  # a settle nobody waits for may wait for company; durable within 50 ms
RETRY_S: Final = 0.5  # how soon owed state is tried again on a disk that refuses
FACTS_EVERY_S: Final = 1.0
UPKEEP_EVERY_S: Final = 0.05  # under load one step of upkeep goes between commits so often

LAST_FAULT: Final = "last_fault"

Item = Append | Change | Step
"""What is handed over to the thread."""


class Writer(threading.Thread):
    """Owns the writing connection from `start` to `stop`."""

    def __init__(
        self,
        store: Store,
        path: Path,
        footing: Footing,
        settings: JournalSettings,
        wall_ms: Callable[[], int],
        emit: Callable[[Report], None],
        ended: Callable[[], None],
    ) -> None:
        super().__init__(name="journal-writer", daemon=True)  # a hung disk must not hold the exit
        self._store = store
        self._path = path
        self._footing = footing
        self._emit = emit
        self._ended = ended
        self._wall_ms = wall_ms
        self._queue: queue.SimpleQueue[Item | None] = queue.SimpleQueue()
        self._owed = Owed()
        self._retry_at: float | None = None
        self._stopping = False
        self._facts_at = 0.0
        self._checkpoints = Checkpoints()
        self._upkeep_at = 0.0
        self._damage: FeishuWsError | None = None
        self._is_marked = False
        self.ledger = Ledger(store.last_position())
        self.busy_since: float | None = None
        for state in store.load_consumers():
            self.ledger.states[state.name] = state
        self._saver = Saver(store, self.ledger)
        self.upkeep = Upkeep(store, self.ledger, settings, wall_ms)
        self._outbox = Outbox(store.sends, self.upkeep.room)

    @property
    def last(self) -> int:
        """Highest position ever given out."""
        return self.ledger.last

    # -- called from the loop -------------------------------------------------------------

    def put(self, item: Item) -> None:
        """Hand something over; returns at once."""
        self._queue.put(item)

    def apply_first(self, change: Change) -> None:
        """Apply a change before the thread is started; it is written when it is."""
        self._apply(change)

    @property
    def damage(self) -> FeishuWsError | None:
        """What was found damaged, None as long as nothing was."""
        return self._damage

    def condemn(self, damage: FeishuWsError) -> None:
        """The file was found damaged: refuse everything from now on."""
        self._damage = damage

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
            is_quiet = not (appends or self._outbox or self._owed)
            self._commit_some(appends)
            if self._may_keep_up() and (not appends or self._is_overdue()):
                self._keep_up(is_quiet=is_quiet)
            if self._damage is not None and not self._is_marked:
                mark(self._path, self._damage.detail)  # the next start may not notice by itself
                self._is_marked = True

    def _is_overdue(self) -> bool:
        """Whether upkeep has its turn though events come without a pause."""
        return time.monotonic() >= self._upkeep_at or self._checkpoints.is_overdue

    def _may_keep_up(self) -> bool:
        """Whether the disk took the last commit; upkeep does not run ahead of what is owed."""
        return self._damage is None and self._retry_at is None and not self._stopping

    def _gather(self) -> list[Append]:
        """Wait for work, then take what is there."""
        appends: list[Append] = []
        size = 0
        deadline: float | None = None
        for _ in range(BATCH_ITEMS):
            if size >= self._checkpoints.batch_bytes:
                break
            item = self._next(appends, deadline)
            if item is None:
                break
            if isinstance(item, Append):
                appends.append(item)
                size += len(item.event.payload)
                continue
            if isinstance(item, Step):
                self._outbox.put(item)
                size += item.size
                continue
            self._apply(item)
            if item.done is None and deadline is None:
                deadline = time.monotonic() + LINGER_S
        return appends

    def _apply(self, change: Change) -> None:
        change.apply(self._owed, self.ledger)
        if change.done is not None:
            self._owed.done.append(change.done)

    def _next(self, appends: list[Append], deadline: float | None) -> Item | None:
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
        if appends or self._outbox.is_pressing or self._stopping:
            return 0.0
        if self._damage is not None:
            return FACTS_EVERY_S
        if self._retry_at is not None:  # the disk refuses; only new events are tried sooner
            return max(self._retry_at - time.monotonic(), 0.0)
        if self._owed.done or self._outbox:
            return 0.0
        if deadline is not None:
            return max(deadline - time.monotonic(), 0.0)
        return 0.0 if self.upkeep.has_work() else FACTS_EVERY_S

    # -- committing -----------------------------------------------------------------------

    def _commit_some(self, appends: list[Append]) -> None:
        """Commit what was gathered and what is owed, if there is any, and report it."""
        is_asked = bool(appends) or self._outbox.is_pressing
        is_owed = bool(self._outbox) or bool(self._owed)
        if not is_asked and (self._damage is not None or not is_owed):
            return
        report = Report()
        began = self.busy_since = time.monotonic()
        try:
            self._write(appends, report)
        except sqlite3.Error as error:
            self._fail(appends, report, explain(error, self._path))
        except LostFileError as loss:
            self._lose(appends, report, loss)
        except FeishuWsError as damage:
            self._refuse(appends, report, damage)
        else:
            report.commit_s = time.monotonic() - began
            self._succeed(report)
        self.busy_since = None
        report.answered_bytes = sum(len(a.event.payload) for a in appends)
        report.last = self.last
        self._report_sizes(report)
        self._emit(report)

    def _write(self, appends: list[Append], report: Report) -> None:
        """Write one transaction; nothing in memory changes before it is committed.

        Raises:
            FeishuWsError: The file is damaged, or not in its place; nothing was tried.
            sqlite3.Error: As the disk answers; the transaction has to be rolled back.
        """
        if self._damage is not None:
            raise self._damage
        self._footing.check()
        self._store.begin()
        known = self._store.known_keys([key for a in appends for key in a.event.keys])
        new, duplicates = sort_out(appends, set(known))
        if new and not self._has_room_for(new):
            # What repeats an event of this very batch is refused with it.
            refused = [a for a in appends if known.isdisjoint(a.event.keys)]
            report.answers = refusals(refused, Fault.JOURNAL_FULL)
            duplicates = [a for a in appends if not known.isdisjoint(a.event.keys)]
            new = []
        keys = [key for a in (*new, *duplicates) for key in a.event.keys]
        if keys:
            self._store.add_keys(keys, self._wall_ms())
        if new:
            self._store.add_events(self.last + 1, [a.event for a in new])
        self._outbox.write()
        self._saver.write(self._owed)
        self._store.commit()
        # Only now: the loop takes a position for the word that the event is durable.
        for position, append in enumerate(new, start=self.last + 1):
            append.event.position = position
        report.stored = [a.event for a in new]
        report.answers += [(a.answer, Outcome(Verdict.STORED, a.event.position)) for a in new]
        report.answers += [(a.answer, Outcome(Verdict.DUPLICATE)) for a in duplicates]

    def _has_room_for(self, appends: list[Append]) -> bool:
        size = sum(len(a.event.payload) for a in appends)
        return self.upkeep.room.make(size, len(appends))

    def _succeed(self, report: Report) -> None:
        """Take over into memory what the disk now holds."""
        owed, self._owed = self._owed, Owed()
        self._retry_at = None
        self._saver.succeed(owed)
        for event in report.stored:
            self.ledger.append(event.position, event.envelope)
        report.dropped, report.absent, losers = self.upkeep.room.take_dropped()
        self._owed.consumers |= losers  # in memory they are past it; on disk with the next commit
        for name in owed.forgotten:
            report.records[name] = None
        touched = self.ledger.states if report.stored else owed.consumers | losers
        for name in touched:
            report.records[name] = self.ledger.states[name].record()
        report.has_refused_sends = self._outbox.has_refused
        report.dropped_sends = self.upkeep.room.take_dropped_sends()
        self._checkpoints.add_commit(report.stored, self._outbox.written_bytes)
        report.done = owed.done + self._outbox.succeed()

    def _fail(self, appends: list[Append], report: Report, error: FeishuWsError) -> None:
        """Refuse what was to be stored; what is owed stays owed."""
        try:
            self._store.rollback()
        except sqlite3.Error as again:
            error = explain(again, self._path)
        self._saver.fail()
        self.upkeep.room.forget_dropped()
        self._retry_at = time.monotonic() + RETRY_S
        self._owed.facts[LAST_FAULT] = f"{error.fault} {self._wall_ms()}"  # tried until it succeeds
        if error.fault is Fault.JOURNAL_CORRUPT:
            self._damage = error
        self._refuse(appends, report, error)

    def _lose(self, appends: list[Append], report: Report, loss: LostFileError) -> None:
        """Take nothing until the file is back; the attempt is repeated as with a disk that refuses.

        If it is the log alone that was removed, what it holds is moved into the file.
        """
        if loss.file.name == f"{self._path.name}-wal" and not loss.is_replaced:
            with contextlib.suppress(sqlite3.Error):  # then a stop in good order does it
                self._store.checkpoint()
        self._fail(appends, report, loss)

    def _refuse(self, appends: list[Append], report: Report, error: FeishuWsError) -> None:
        report.answers = refusals(appends, error.fault)
        report.done = self._outbox.fail(error)
        report.error = error

    # -- between commits ------------------------------------------------------------------

    def _keep_up(self, *, is_quiet: bool) -> None:
        """Do one bounded step of upkeep, and move the WAL into the file when it is time."""
        now = self.busy_since = time.monotonic()
        self._upkeep_at = now + UPKEEP_EVERY_S
        report = Report(op="upkeep", last=self.last)
        try:
            self._footing.check()
            if self.upkeep.has_work():
                is_quiet = False
                self.upkeep.step()
                self._checkpoints.add_step()
            if self._checkpoints.is_due(is_quiet=is_quiet):
                self._store.checkpoint()
                self._checkpoints.moved()
        except sqlite3.Error as error:
            self._fail([], report, explain(error, self._path))
            self.upkeep.pause()
        except LostFileError as loss:
            report.op = "append"  # nobody may be told that it takes writes
            self._lose([], report, loss)
        self.busy_since = None
        report.pruned = self.upkeep.take_pruned()
        counted = self.upkeep.take_counted() & self.ledger.states.keys()
        report.records = {name: self.ledger.states[name].record() for name in counted}
        self._report_sizes(report)
        if report.records or report.sizes or report.error or report.pruned:
            self._emit(report)

    def _report_sizes(self, report: Report) -> None:
        """Add how large everything is, now and then; the next commit tells if it cannot be read."""
        now = time.monotonic()
        if now < self._facts_at or self._damage is not None:
            return
        self._facts_at = now + FACTS_EVERY_S
        try:
            report.sizes = self.sizes()
        except sqlite3.Error as error:
            found = explain(error, self._path)
            if found.fault is Fault.JOURNAL_CORRUPT:
                self._damage = report.error = found

    def sizes(self) -> Sizes:
        """Return how large everything is.

        Raises:
            sqlite3.Error: As the disk answers.
        """
        room = self.upkeep.room
        room.measure()
        free_bytes, disk_bytes = disk_space(self._path)
        self._checkpoints.look(free_bytes)
        return Sizes(
            first=self._store.first_position(),
            live_bytes=room.live_bytes,
            free_bytes=free_bytes,
            disk_bytes=disk_bytes,
            dead_letters=self._store.count_dead(),
            sends=self._store.sends.counts(),
            has_room=not room.is_full,
        )
