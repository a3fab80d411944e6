"""Pruning, making room, counting and compaction, each in short bounded steps.

Runs in the writer's thread, between commits (`step`) or inside the transaction
that needs the room (`make_room`). What is given up although a consumer held it is
kept in `dropped` until its transaction is committed.
"""

import time
from collections.abc import Callable
from typing import Final

from feishu_ws.journal.contract import JournalSettings
from feishu_ws.journal.ledger import ConsumerState, Ledger
from feishu_ws.journal.retention import (
    HOUR_MS,
    PASS_EVERY_S,
    STEP_BYTES,
    STEP_ROWS,
    Rank,
    clock_is_sane,
    rank,
    room_target,
)
from feishu_ws.journal.store import Head, Store

ROOM_STEPS: Final = 16  # one transaction frees at most so many steps, then it refuses
SCAN_ROWS: Final = 20_000  # rows looked at for one decision: tens of milliseconds
SCAN_AGAIN_S: Final = 10.0  # a whole pass that found nothing is believed for so long
ROW_BYTES: Final = 512  # what a row takes besides its payload: columns, keys, indexes
COMPACT_MIN_PAGES: Final = 4096  # 16 MiB of free pages are kept for the next busy hour
COMPACT_STEP_PAGES: Final = 256
PAUSE_S: Final = 5.0  # after an error of the disk

REASONS: Final = {
    Rank.DEAD: "dead_letter",
    Rank.ABSENT: "consumer_absent",
    Rank.HELD: "journal_full",
}


class Upkeep:
    """What keeps the file small and the counts right."""

    def __init__(
        self, store: Store, ledger: Ledger, settings: JournalSettings, wall_ms: Callable[[], int]
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._wall_ms = wall_ms
        self.settings = settings
        self._next_pass_s = 0.0
        self._age_scan: int | None = None
        self._keys_due = False
        self._compacting = False
        self._pruned = [0, 0]
        self._dropped: list[tuple[Rank, Head]] = []
        self._scans: dict[Rank, int] = {}
        self._barren: dict[Rank, tuple[float, int]] = {}
        self._uncounted: set[str] = set(ledger.states)
        self._counted: set[str] = set()
        self._live = 0
        self.measure()

    def has_work(self) -> bool:
        """Whether a step would do something now."""
        return bool(
            self._uncounted
            or self._age_scan is not None
            or self._keys_due
            or self._compacting
            or time.monotonic() >= self._next_pass_s
        )

    def pause(self) -> None:
        """Leave a failing disk alone for a while."""
        self._age_scan, self._keys_due, self._compacting = None, False, False
        self._next_pass_s = time.monotonic() + PAUSE_S

    def measure(self) -> int:
        """Return the live bytes, what `max_bytes` limits."""
        pages, free, size = self._store.pages()
        self._live = (pages - free) * size
        self._compacting = free > max(COMPACT_MIN_PAGES, pages // 4)
        return self._live

    # -- steps between commits ------------------------------------------------------------

    def step(self, last: int) -> tuple[int, int] | None:
        """Do one step; return (events, keys) removed when a round of pruning ended."""
        if self._uncounted:
            self._count(last)
        elif self._age_scan is not None:
            self._prune()
        elif self._keys_due:
            return self._expire_keys()
        elif self._compacting:
            self._store.compact(COMPACT_STEP_PAGES)
            self.measure()
        elif time.monotonic() >= self._next_pass_s:
            self._next_pass_s = time.monotonic() + PASS_EVERY_S
            if clock_is_sane(self._wall_ms(), self._store.newest_ms()):
                self._age_scan, self._keys_due = 0, True
        return None

    def _prune(self) -> None:
        """Remove events that are old enough and nobody holds, up to one step's worth."""
        assert self._age_scan is not None
        before_ms = self._wall_ms() - round(self.settings.retention_hours * HOUR_MS)
        rows = self._store.prunable_after(self._age_scan, STEP_ROWS)
        old = [row for row in rows if row.received_ms < before_ms]
        gone = _up_to(STEP_BYTES, [row for row in old if self._rank(row) is Rank.UNHELD])
        if gone:
            self._store.begin()
            self._store.remove_events([row.position for row in gone])
            self._store.commit()
            self._pruned[0] += len(gone)
        finished = len(old) < STEP_ROWS and len(gone) == sum(
            self._rank(row) is Rank.UNHELD for row in old
        )
        self._age_scan = None if finished else (gone or old)[-1].position

    def _expire_keys(self) -> tuple[int, int] | None:
        before_ms = self._wall_ms() - round(self.settings.dedupe_hours * HOUR_MS)
        self._store.begin()
        expired = self._store.expire_keys(before_ms, STEP_ROWS)
        self._store.commit()
        self._pruned[1] += expired
        if expired == STEP_ROWS:
            return None
        self._keys_due = False
        removed, self._pruned = (self._pruned[0], self._pruned[1]), [0, 0]
        self.measure()
        return removed if any(removed) else None

    # -- counting what is pending ---------------------------------------------------------

    def count_again(self, name: str) -> None:
        """A consumer's cursor or filter changed: count it anew."""
        self._uncounted.add(name)

    def first_held(self, state: ConsumerState) -> int | None:
        """Return the first event a consumer holds; near its cursor, see `ConsumerState.count`."""
        at = state.settled.cursor
        while rows := self._store.heads_after(at, STEP_ROWS):
            for row in rows:
                if row.position > state.counted:
                    return None
                if state.holds(row.position, row.envelope):
                    return row.position
            at = rows[-1].position
        return None

    def take_counted(self) -> set[str]:
        """Return whose counts changed since the last call."""
        counted, self._counted = self._counted, set()
        return counted

    def _count(self, last: int) -> None:
        name = next(iter(self._uncounted))
        state = self._ledger.states.get(name)
        rows = self._store.heads_after(state.counted, STEP_ROWS) if state is not None else []
        if state is not None:
            for row in rows:
                state.count(row.position, row.envelope)
            self._counted.add(name)
        if len(rows) < STEP_ROWS:
            self._uncounted.discard(name)
            self._finish_count(state, last)

    @staticmethod
    def _finish_count(state: ConsumerState | None, last: int) -> None:
        """Positions above the last row were removed: nothing there to count."""
        if state is not None:
            state.counted = max(state.counted, last)

    # -- room -----------------------------------------------------------------------------

    def has_room(self, first: int) -> bool:
        """Whether the next event will probably fit: there is space, or something unheld to remove."""
        if not self.settings.refuse_when_full or self._live < room_target(self.settings.max_bytes):
            return True
        return 0 < first <= self._ledger.lowest_cursor(first)

    def make_room(self, payload_bytes: int, rows: int) -> bool:
        """Free what a batch needs, inside its transaction; False = it must be refused."""
        need = payload_bytes + rows * ROW_BYTES
        self._live += need
        if self._live <= self.settings.max_bytes:
            return True
        if self.measure() + need <= self.settings.max_bytes:
            return True
        target = room_target(self.settings.max_bytes)
        for _ in range(ROOM_STEPS):
            if not self._free(need):
                break
            if self.measure() + need <= target:
                break
        return self.measure() + need <= self.settings.max_bytes

    def _free(self, need: int) -> bool:
        """Remove the cheapest rows; False when there is nothing that may go now."""
        for level in (Rank.UNHELD, Rank.DEAD, Rank.ABSENT):
            found = self._scan(level)
            if found:
                self._give_up(level, found)
                return True
            if found is None:
                return False  # not looked at everything yet: refuse now, go on with the next batch
        if self.settings.refuse_when_full:
            return False
        oldest = _up_to(need, self._store.prunable_after(0, STEP_ROWS))
        self._give_up(Rank.HELD, oldest)
        return bool(oldest)

    def _scan(self, level: Rank) -> list[Head] | None:
        """Return some rows of a rank; [] = there are none, None = not known yet."""
        low = self._ledger.lowest_cursor(0)
        barren_until, seen_low = self._barren.get(level, (0.0, -1))
        if time.monotonic() < barren_until and low == seen_low:
            return []
        at = self._scans.get(level, 0)
        for _ in range(SCAN_ROWS // STEP_ROWS):
            rows = self._store.prunable_after(at, STEP_ROWS)
            found = [row for row in rows if self._rank(row) is level]
            if found:
                self._scans[level] = at
                return _up_to(STEP_BYTES, found)
            if len(rows) < STEP_ROWS:
                self._scans[level] = 0
                self._barren[level] = (time.monotonic() + SCAN_AGAIN_S, low)
                return []
            at = rows[-1].position
        self._scans[level] = at
        return None

    def _rank(self, row: Head) -> Rank:
        return rank(self._ledger.holders(row.position, row.envelope), is_dead=row.is_dead)

    def _give_up(self, level: Rank, rows: list[Head]) -> None:
        positions = [row.position for row in rows]
        self._store.remove_events(positions)
        if level is not Rank.UNHELD:
            self._store.remove_dead(positions)
            self._dropped += [(level, row) for row in rows]

    def forget_dropped(self) -> None:
        """The transaction failed: nothing was given up."""
        self._dropped.clear()

    def take_dropped(self) -> list[tuple[str, int, int, int]]:
        """The transaction is committed: tell the ledger, return (reason, count, first, last)."""
        found: dict[Rank, list[int]] = {}
        for level, row in self._dropped:
            for state in self._ledger:
                state.drop(row.position, row.envelope)
            found.setdefault(level, []).append(row.position)
        self._dropped.clear()
        return [(REASONS[level], len(p), p[0], p[-1]) for level, p in found.items()]


def _up_to(size: int, rows: list[Head]) -> list[Head]:
    """Return the first rows whose payloads reach `size`, at least one if there is one."""
    total = 0
    for count, row in enumerate(rows, start=1):
        total += row.size + ROW_BYTES
        if total >= size:
            return rows[:count]
    return rows
