"""Room: what goes first once the journal has reached `max_bytes`.

`make` runs inside the transaction that needs the room and takes no more than that
one needs. `step` runs between commits and removes what nobody holds a little before
the limit, so that `make` seldom has anything to do. What is given up although a
consumer held it is kept until its transaction is committed. Outgoing sends that have an
outcome go before anything that is held; those without one never do.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from feishu_ws.journal.contract import JournalSettings
from feishu_ws.journal.ledger import Ledger
from feishu_ws.journal.retention import (
    ROW_BYTES,
    STEP_BYTES,
    STEP_ROWS,
    Rank,
    rank,
    room_target,
    take,
)
from feishu_ws.journal.sends import ClosedSend
from feishu_ws.journal.store import Head, Store
from feishu_ws.journal.work import Loss

MAKE_STEPS: Final = 16  # one transaction frees at most so often, then it refuses
LEAST_BYTES: Final = 16 * 1024  # less frees no page
LEAST_SEND_BYTES: Final = 128 * 1024  # of sends: they are small, and others lie between them
SEARCH_STEPS: Final = 4  # of 500 rows for one decision: some 10 ms
SEARCH_AGAIN_S: Final = 1.0  # a search that found nothing is believed for at least so long,
SEARCH_AGAIN_PER_ROW_S: Final = 50e-6  # and in a large journal for ten times what it took

REASONS: Final = {
    Rank.DEAD: "dead_letter",
    Rank.ABSENT: "consumer_absent",
    Rank.HELD: "journal_full",
}


@dataclass(slots=True)
class _Search:
    """How far the search for rows of one rank has come.

    Attributes:
        at: Rows above this position are looked at next.
        rows: How many were looked at since the first row, and none was of the rank.
        is_whole: It began at the first row and has found nothing since.
        was_barren: The last whole search found nothing; believed until the next one ends.
        again_s: When that one begins.
        low: Up to where nobody held anything when it ended.
    """

    at: int = 0
    rows: int = 0
    is_whole: bool = True
    was_barren: bool = False
    again_s: float = 0.0
    low: int = 0


class Room:
    """Keeps the journal within `max_bytes`."""

    def __init__(self, store: Store, ledger: Ledger, settings: JournalSettings) -> None:
        self._store = store
        self._ledger = ledger
        self._settings = settings
        self._searches = _new_searches()
        self._dropped: list[tuple[Rank, Head]] = []
        self._dropped_sends: list[ClosedSend] = []
        self._is_measured = False
        self.is_full = False
        self.live_bytes = 0
        self.pages = 0
        self.free_pages = 0

    def reconfigure(self, settings: JournalSettings) -> None:
        """Apply changed settings."""
        self._settings = settings
        self._searches = _new_searches()

    def measure(self) -> None:
        """Take note of the live bytes, what `max_bytes` limits."""
        self.pages, self.free_pages, page_bytes = self._store.pages()
        self.live_bytes = (self.pages - self.free_pages) * page_bytes
        self._is_measured = True
        if not self._is_tight():
            self.is_full = False

    def _is_tight(self) -> bool:
        return self.live_bytes > room_target(self._settings.max_bytes)

    # -- inside the transaction that needs it ---------------------------------------------

    def make(self, payload_bytes: int, rows: int) -> bool:
        """Free what a batch needs; False = there is no room, it must be refused."""
        need = payload_bytes + rows * ROW_BYTES
        if not self._is_measured or self.live_bytes + need > room_target(self._settings.max_bytes):
            self.measure()
        for _ in range(MAKE_STEPS if need <= self._settings.max_bytes else 0):
            missing = self.live_bytes + need - self._settings.max_bytes
            if missing <= 0:
                self.live_bytes += need  # until it is measured again
                return True
            if not self._free(max(missing, LEAST_BYTES)):
                break
            self.measure()
        self.is_full = True
        return False

    def _free(self, size: int) -> bool:
        """Remove the cheapest rows; False when there is nothing that may go now."""
        for level in _EXPENDABLE:
            if level is Rank.ABSENT and self._give_up_sends(size):
                return True
            found = self._search(level)
            if found:
                self._give_up(level, take(STEP_BYTES if level is Rank.UNHELD else size, found))
                return True
            if found is None and not self._searches[level].was_barren:
                return False  # not looked at everything yet: refuse now, go on between commits
        if self._settings.refuse_when_full:
            return False
        oldest = take(size, self._store.prunable_after(0, STEP_ROWS))
        self._give_up(Rank.HELD, oldest)
        return bool(oldest)

    def _give_up(self, level: Rank, rows: list[Head]) -> None:
        positions = [row.position for row in rows]
        self._store.remove_events(positions)
        if level is not Rank.UNHELD:
            self._store.remove_dead(positions)
            self._dropped += [(level, row) for row in rows]

    def _give_up_sends(self, size: int) -> bool:
        """Forget the oldest outcomes of sends; False when there are none."""
        found = take(max(size, LEAST_SEND_BYTES), self._store.sends.closed(STEP_ROWS))
        self._store.sends.remove_closed(found)
        self._dropped_sends += found
        return bool(found)

    def forget_dropped(self) -> None:
        """The transaction failed: nothing was given up, and what was measured in it is wrong."""
        self._dropped.clear()
        self._dropped_sends.clear()
        self._is_measured = False

    def take_dropped(self) -> tuple[list[Loss], list[Loss], set[str]]:
        """The transaction is committed: tell the ledger.

        Returns losses by reason, losses by absent consumer, and who lost events.
        """
        found: dict[str, list[int]] = {}
        absent: dict[str, list[int]] = {}
        losers: set[str] = set()
        for level, row in self._dropped:
            lost = [s.name for s in self._ledger if s.drop(row.position, row.envelope)]
            losers.update(lost)
            if lost or level is Rank.DEAD:
                found.setdefault(REASONS[level], []).append(row.position)
            for name in lost if level is Rank.ABSENT else ():
                absent.setdefault(name, []).append(row.position)
        self._dropped.clear()
        return _losses(found), _losses(absent), losers

    def take_dropped_sends(self) -> tuple[int, int] | None:
        """The transaction is committed: return how many sends it gave up, and how many dead ones."""
        dropped, self._dropped_sends = self._dropped_sends, []
        return (len(dropped), sum(send.is_dead for send in dropped)) if dropped else None

    # -- between commits ------------------------------------------------------------------

    def has_work(self) -> bool:
        """Whether `step` might find something; asks nothing of the disk."""
        if not self._is_tight():
            return False
        levels = _EXPENDABLE if self.is_full else (Rank.UNHELD,)
        low = self._ledger.lowest_cursor()
        now_s = time.monotonic()
        searches = (self._searches[level] for level in levels)
        return any(search.again_s <= now_s or search.low != low for search in searches)

    def step(self) -> None:
        """Remove some of what nobody holds; when full, see whether the rest may give way."""
        self.measure()  # until now it may be an estimate
        if not self._is_tight():
            return
        found = self._search(Rank.UNHELD)
        if found:
            self._store.begin()
            self._store.remove_events([row.position for row in take(STEP_BYTES, found)])
            self._store.commit()
            self.measure()
        elif found is not None and self.is_full and self._may_give_way():
            self.is_full = False

    def _may_give_way(self) -> bool:
        if not self._settings.refuse_when_full:
            return True
        if self._search(Rank.DEAD) or self._store.sends.closed(1):
            return True
        return bool(self._search(Rank.ABSENT))

    # -- searching ------------------------------------------------------------------------

    def _search(self, level: Rank) -> list[Head] | None:
        """Return some rows of a rank; [] = there are none, None = not known yet."""
        search = self._searches[level]
        if self._is_barren(search):
            return []
        if not self._may_exist(level):
            return self._end(level, 0)
        for _ in range(SEARCH_STEPS):
            rows = self._store.prunable_after(search.at, STEP_ROWS)
            found = [row for row in rows if self._rank(row) is level]
            if found:
                search.at, search.rows = found[0].position - 1, 0
                search.is_whole = search.was_barren = False
                return found
            search.rows += len(rows)
            if len(rows) == STEP_ROWS:
                search.at = rows[-1].position
            elif search.is_whole:
                return self._end(level, search.rows)
            else:  # what lies before where it began may have changed since
                search = self._searches[level] = _Search()
        return None

    def _is_barren(self, search: _Search) -> bool:
        """Whether a whole search found nothing a moment ago, and that still holds."""
        if time.monotonic() >= search.again_s:
            return False
        low = self._ledger.lowest_cursor()
        if low == search.low:
            return True
        search.low = low
        return not 0 < self._store.first_position() <= low

    def _may_exist(self, level: Rank) -> bool:
        """Whether it makes sense to look for rows of a rank."""
        if level is Rank.DEAD:
            return self._store.has_dead()
        if level is Rank.ABSENT:
            return any(not (state.declared or state.connected) for state in self._ledger)
        return True

    def _end(self, level: Rank, rows: int) -> list[Head]:
        pause_s = max(SEARCH_AGAIN_S, rows * SEARCH_AGAIN_PER_ROW_S)
        low = self._ledger.lowest_cursor()
        again_s = time.monotonic() + pause_s
        self._searches[level] = _Search(was_barren=True, again_s=again_s, low=low)
        return []

    def _rank(self, row: Head) -> Rank:
        return rank(self._ledger.holders(row.position, row.envelope), is_dead=row.is_dead)


def _losses(found: Mapping[str, list[int]]) -> list[Loss]:
    return [(name, len(p), p[0], p[-1]) for name, p in found.items()]


_EXPENDABLE: Final = (Rank.UNHELD, Rank.DEAD, Rank.ABSENT)


def _new_searches() -> dict[Rank, _Search]:
    return {level: _Search() for level in _EXPENDABLE}
