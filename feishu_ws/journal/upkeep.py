"""Pruning, counting and compaction, each in short bounded steps between commits.

Runs in the writer's thread. Whatever fails is tried again after a pause; nothing is
given up and nothing of it delays an append by more than one step.
"""

import sqlite3
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from feishu_ws.clock import StepGuard
from feishu_ws.journal.contract import JournalSettings
from feishu_ws.journal.ledger import ConsumerState, Ledger
from feishu_ws.journal.retention import (
    HOUR_MS,
    STEP_BYTES,
    STEP_ROWS,
    Rank,
    clock_is_sane,
    is_odd,
    rank,
    take,
)
from feishu_ws.journal.room import Room
from feishu_ws.journal.sends import hours_kept
from feishu_ws.journal.store import Head, Store
from feishu_ws.journal.work import Letter, Owed

PASS_EVERY_S: Final = 60.0  # ages are in hours, so a minute late is early enough
PAUSE_S: Final = 5.0  # after an error of the disk
COMPACT_MIN_PAGES: Final = 4096  # 16 MiB of free pages are kept for the next busy hour
COMPACT_STEP_PAGES: Final = 256
SEEK_STEPS: Final = 8  # of 500 rows, looked at for the first event an old filter held: some 10 ms


class Upkeep:
    """What keeps the file small and the counts right."""

    def __init__(
        self, store: Store, ledger: Ledger, settings: JournalSettings, wall_ms: Callable[[], int]
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._wall_ms = wall_ms
        self._settings = settings
        self._next_pass_s = 0.0
        self._paused_until_s = 0.0
        self._compact_from_s = 0.0
        self._age_scan: int | None = None
        self._key_scan: int | None = None
        self._is_in_sends = False
        self._pruned = [0, 0, 0]
        self._round: tuple[int, int, int] | None = None
        self._uncounted: set[str] = set(ledger.states)
        self._counted: set[str] = set()
        self._tasks = deque(
            (self._make_room, self._count, self._begin_pass, self._prune, self._expire_keys,
             self._expire_sends, self._compact)
        )  # fmt: skip
        self.trusts_clock = True
        self.guard: StepGuard | None = None
        self.room = Room(store, ledger, settings)
        self.room.measure()

    def trust_clock(self, *, trusted: bool) -> None:
        """Say whether the wall clock can be believed; called on the loop."""
        if trusted and self.guard is not None:
            self.guard.accept()
        self.trusts_clock = trusted

    def reconfigure(self, settings: JournalSettings) -> None:
        """Apply changed settings, beginning with a pass."""
        self._settings = settings
        self._next_pass_s = 0.0
        self.room.reconfigure(settings)

    def has_work(self) -> bool:
        """Whether a step would do something now; asks nothing of the disk."""
        now_s = time.monotonic()
        if now_s < self._paused_until_s:
            return False
        return bool(
            self._uncounted
            or self._age_scan is not None
            or self._key_scan is not None
            or self._is_in_sends
            or now_s >= self._next_pass_s
            or self._is_loose(now_s)
            or self.room.has_work()
        )

    def pause(self) -> None:
        """Leave a failing disk alone for a while."""
        self._paused_until_s = time.monotonic() + PAUSE_S

    def step(self) -> None:
        """Do one step of the next task that has something to do.

        Raises:
            sqlite3.Error: As the disk answers; a transaction may have to be rolled back.
        """
        for _ in range(len(self._tasks)):
            task = self._tasks[0]
            self._tasks.rotate(-1)
            if task():
                return

    # -- ages -----------------------------------------------------------------------------

    def _begin_pass(self) -> bool:
        now_s = time.monotonic()
        if now_s < self._next_pass_s:
            return False
        self._next_pass_s = now_s + PASS_EVERY_S
        self._age_scan = self._key_scan = 0
        self._is_in_sends = True
        return True

    def _doubts(self, now_ms: int) -> bool:
        """Whether ages cannot be told by this time; that ends the pass."""
        is_steady = self.guard is None or self.guard.agrees()
        if is_steady and self.trusts_clock and clock_is_sane(now_ms, self._newest_ms()):
            return False
        self._age_scan = self._key_scan = None
        self._is_in_sends = False
        return True

    def _newest_ms(self) -> int:
        return max(self._store.newest_ms(), self._store.sends.newest_ms())

    def _prune(self) -> bool:
        """Remove events that are old enough and nobody holds, up to one step's worth."""
        now_ms = self._wall_ms()
        if self._age_scan is None or self._doubts(now_ms):
            return False
        before_ms = now_ms - round(self._settings.retention_hours * HOUR_MS)
        rows = self._store.prunable_after(self._age_scan, STEP_ROWS)
        old = [r for r in rows if r.received_ms < before_ms and self._rank(r) is Rank.UNHELD]
        gone = take(STEP_BYTES, old)
        if gone:
            self._store.begin()
            self._store.remove_events([row.position for row in gone])
            self._store.commit()
            self._pruned[0] += len(gone)
        if len(gone) < len(old):
            self._age_scan = gone[-1].position
        elif len(rows) == STEP_ROWS and any(is_odd(r.received_ms, before_ms, now_ms) for r in rows):
            self._age_scan = rows[-1].position
        else:
            self._age_scan = None
            self._end_round()
        return True

    def _rank(self, row: Head) -> Rank:
        return rank(self._ledger.holders(row.position, row.envelope), is_dead=row.is_dead)

    def _expire_keys(self) -> bool:
        """Forget keys that are old enough, up to one step's worth."""
        now_ms = self._wall_ms()
        if self._key_scan is None or self._doubts(now_ms):
            return False
        before_ms = now_ms - round(self._settings.dedupe_hours * HOUR_MS)
        rows = self._store.keys_after(self._key_scan, STEP_ROWS)
        if any(at_ms < before_ms for _, at_ms in rows):
            self._store.begin()
            expired = self._store.remove_keys(rows[0][0], rows[-1][0], before_ms)
            self._store.commit()
            self._pruned[1] += expired
        if len(rows) == STEP_ROWS and any(is_odd(at_ms, before_ms, now_ms) for _, at_ms in rows):
            self._key_scan = rows[-1][0]
        else:
            self._key_scan = None
            self._end_round()
        return True

    def _expire_sends(self) -> bool:
        """Forget sends whose outcome is old enough, up to one step's worth."""
        now_ms = self._wall_ms()
        if not self._is_in_sends or self._doubts(now_ms):
            return False
        hours = self._settings.retention_hours
        finished_ms, dead_ms = (
            now_ms - round(hours_kept(hours, dead=dead) * HOUR_MS) for dead in (False, True)
        )
        old = self._store.sends.closed_before(finished_ms, dead_ms, STEP_ROWS)
        gone = take(STEP_BYTES, old)
        if gone:
            self._store.begin()
            self._store.sends.remove_closed(gone)
            self._store.commit()
            self._pruned[2] += len(gone)
        self._is_in_sends = len(gone) < len(old) or len(old) == STEP_ROWS
        self._end_round()
        return True

    def _end_round(self) -> None:
        if self._age_scan is None and self._key_scan is None and not self._is_in_sends:
            events, keys, sends = self._pruned
            self._pruned = [0, 0, 0]
            self._round = (events, keys, sends) if events or keys or sends else None
            self.room.measure()

    def take_pruned(self) -> tuple[int, int, int] | None:
        """Return (events, keys, sends) removed by a round that ended since the last call."""
        ended, self._round = self._round, None
        return ended

    # -- counting what is pending ---------------------------------------------------------

    def count_again(self, name: str) -> None:
        """A consumer's cursor or filter changed: count it anew."""
        self._uncounted.add(name)

    def take_counted(self) -> set[str]:
        """Return whose counts changed since the last call."""
        counted, self._counted = self._counted, set()
        return counted

    def _count(self) -> bool:
        name = next(iter(self._uncounted), None)
        if name is None:
            return False
        state = self._ledger.states.get(name)
        if state is None or self._count_some(state):
            self._uncounted.discard(name)
        if state is not None:
            self._counted.add(name)
        return True

    def _count_some(self, state: ConsumerState) -> bool:
        """Count one step's worth; True when all is counted."""
        rows = self._store.heads_after(state.counted, STEP_ROWS)
        for row in rows:
            state.count(row.position, row.envelope)
        if len(rows) == STEP_ROWS:
            return False
        state.count_to(self._ledger.last)
        return True

    # -- where consumers stand ------------------------------------------------------------

    def first_held(self, state: ConsumerState) -> int | None:
        """Return the first event a consumer holds, None if it holds none of what was counted.

        It is near the cursor, since the cursor passes what is not for the consumer. Where
        it is not, or cannot be read, this says how far was looked: then more is handed to
        the consumer than need be, and nothing less.
        """
        at = state.settled.cursor
        try:
            for _ in range(SEEK_STEPS):
                rows = self._store.heads_after(at, STEP_ROWS)
                for row in rows:
                    if row.position > state.counted:
                        return None
                    if state.holds(row.position, row.envelope):
                        return row.position
                if len(rows) < STEP_ROWS:
                    return None
                at = rows[-1].position
        except sqlite3.Error:  # counting reads the same rows next, and reports it
            pass
        return at + 1

    def cursor_since(self, wall_ms: int) -> int:
        """Return the last position received before `wall_ms`, the last one if that is unreadable."""
        try:
            first = self._store.first_since(wall_ms)
        except sqlite3.Error:
            first = 0
        return first - 1 if first else self._ledger.last

    # -- dead letters ---------------------------------------------------------------------

    def dead_head(self, letter: Letter, owed: Owed) -> Head | None:
        """Return the event of a dead letter, None if there is none or that is unreadable."""
        name, position = letter
        try:
            is_dead = letter in owed.dead or (
                letter not in owed.raised and self._store.is_dead(name, position)
            )
            heads = self._store.heads_after(position - 1, 1) if is_dead else []
        except sqlite3.Error:  # the commit that follows fails as well, and reports it
            return None
        return next((head for head in heads if head.position == position), None)

    # -- space ----------------------------------------------------------------------------

    def _make_room(self) -> bool:
        if not self.room.has_work():
            return False
        self.room.step()
        return True

    def _is_loose(self, now_s: float) -> bool:
        """Whether so much of the file is free that some goes back to the file system."""
        spare = max(COMPACT_MIN_PAGES, self.room.pages // 4)
        return self.room.free_pages > spare and now_s >= self._compact_from_s

    def _compact(self) -> bool:
        if not self._is_loose(time.monotonic()):
            return False
        before = self.room.free_pages
        self._store.compact(COMPACT_STEP_PAGES)
        self.room.measure()
        if self.room.free_pages >= before:  # a file that cannot shrink
            self._compact_from_s = time.monotonic() + PASS_EVERY_S
        return True
