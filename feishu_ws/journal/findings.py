"""What was found of the tables that change, and what of it counts. Pure.

Events, keys and dead letters never change, so any copy of one is as good as another. A
send only goes forward, so of two copies the one that went further counts.
Where a consumer stands does change, and an old page may say where it once stood.
Invariant: a doubt costs a redelivery, never a loss. A consumer begins no later than it
stood, and what it is said to have settled ahead counts only where that is sure.
"""

from collections.abc import Iterable, Iterator, Mapping
from enum import IntEnum
from typing import Any, Final

import msgspec

from feishu_ws.journal.contract import CONSUMERS_LOST
from feishu_ws.journal.rows import JOURNAL_ID, MOST_POSITION, REPORT, Row, Table, is_journal_id
from feishu_ws.model import Filter

DAY_MS: Final = 86_400_000
MOST_PER_MS: Final = 100  # events; ten times what the fastest disk was seen to commit
FIRST_MS: Final = 1_767_225_600_000  # 2026-01-01: before that there was no journal
LOG_GAP: Final = 2**22
"""What a lost log may have held: 64 MiB of pages with 256 events each are no more."""


class Trust(IntEnum):
    """How sure it is that a row is of the present."""

    SCARRED = 0  # from a page with something out of place
    LIKELY = 1  # from a page that nobody calls free
    CERTAIN = 2  # from a page that is in use
    REACHED = 3  # from a page that its tree leads to


_EVIDENCE: Final = frozenset(
    {Table.EVENT, Table.SEEN, Table.CONSUMER, Table.ATTEMPT, Table.DEAD, Table.SEND}
)  # shapes that no other program's table is likely to have


class Findings:
    """Rows of the tables that change, and what is known of the rest.

    Attributes:
        whole: Tables of which everything was read.
        highest: The highest position of which there is any trace.
        is_ours: Something was found that only a journal has.
        sequence: What the file says was the last position given out, 0 if it does not say.
    """

    def __init__(self) -> None:
        self.whole: set[Table] = set()
        self.highest = 0
        self.is_ours = False
        self.sequence = 0
        self._highest_key = 0
        self._consumers: dict[str, tuple[Trust, tuple[Any, ...]]] = {}
        self._ahead: dict[tuple[str, int], int] = {}
        self._attempts: dict[tuple[str, int], tuple[Any, ...]] = {}
        self._facts: dict[str, tuple[Trust, str]] = {}

    def take(self, row: Row, trust: Trust) -> None:
        """Take note of a row."""
        self.is_ours = self.is_ours or row.table in _EVIDENCE
        values = row.values
        match row.table:
            case Table.EVENT:
                self.note_position(values[0])
            case Table.DEAD:
                self.note_position(values[2])
            case Table.CONSUMER if self.is_news(row.table, trust):
                self._take_consumer(values, trust)
            case Table.AHEAD if trust >= Trust.CERTAIN:
                self.note_position(values[2])
                self._ahead[values[0], values[1]] = values[2]
            case Table.ATTEMPT if trust >= Trust.CERTAIN:
                self.note_position(values[1])
                self._attempts[values[0], values[1]] = values
            case Table.FACT if self.is_news(row.table, trust):
                self._take_fact(row, trust)
            case Table.SEQUENCE if values[0] == Table.EVENT and trust >= Trust.CERTAIN:
                self.sequence = values[1]
                self.note_position(self.sequence)
            case _:
                pass

    def is_news(self, table: Table, trust: Trust) -> bool:
        """Whether a row may be one that was not read yet, and not an old image of one that was."""
        return trust >= Trust.CERTAIN or table not in self.whole

    def note_position(self, position: int) -> None:
        """There was an event at this position."""
        if self.highest < position <= MOST_POSITION:
            self.highest = position

    def note_key(self, key: int) -> None:
        """There is a branch of some table with this key: perhaps a position."""
        if self._highest_key < key <= MOST_POSITION:
            self._highest_key = key

    def _take_consumer(self, values: tuple[Any, ...], trust: Trust) -> None:
        name, wanted, cursor, declared, seen_ms = values
        if trust is Trust.SCARRED:
            cursor = 0
        known_trust, known = self._consumers.get(name, (trust, values))
        if trust < known_trust:
            return
        if trust is known_trust:
            cursor = min(cursor, known[2])
        self._consumers[name] = trust, (name, wanted, cursor, declared, seen_ms)

    def _take_fact(self, row: Row, trust: Trust) -> None:
        key, value = row.values
        if is_journal_id(row):
            self.is_ours = True
        elif key == JOURNAL_ID or trust is Trust.SCARRED:
            return
        if key not in self._facts or trust > self._facts[key][0]:
            self._facts[key] = trust, value

    # -- what goes into the new file ------------------------------------------------------

    def consumers(self, declared: Mapping[str, Filter], earliest: int, last: int) -> Iterator[Row]:
        """Return the consumers there were, and the declared ones that were lost.

        Args:
            declared: Who should exist, and what they want.
            earliest: Cursor in front of the first event there is: where the lost begin.
            last: New positions begin above this one; nobody may stand beyond it.
        """
        for name, (trust, values) in self._consumers.items():
            cursor = earliest if trust is Trust.SCARRED else min(values[2], last)
            yield Row(Table.CONSUMER, (name, values[1], cursor, *values[3:]))
        if Table.CONSUMER not in self.whole:
            for name in declared.keys() - self._consumers.keys():
                wanted = msgspec.json.encode(declared[name])
                yield Row(Table.CONSUMER, (name, wanted, earliest, 1, 0))

    def progress(self, consumers: Iterable[Row]) -> Iterator[Row]:
        """Return what consumers settled ahead of their cursors, and their attempts."""
        cursors = {row.values[0]: row.values[2] for row in consumers}
        for (name, first), last in self._ahead.items():
            if name in cursors and last > cursors[name]:
                yield Row(Table.AHEAD, (name, first, last))
        for (name, position), values in self._attempts.items():
            if name in cursors and position > cursors[name]:
                yield Row(Table.ATTEMPT, values)

    def facts(self, earliest: int, now_ms: int) -> Iterator[Row]:
        """Return the facts, and where consumers begin whose row was lost."""
        facts = {key: value for key, (_, value) in self._facts.items() if key != REPORT}
        if Table.CONSUMER not in self.whole:
            facts[CONSUMERS_LOST] = f"{earliest} {now_ms}"
        for fact in facts.items():
            yield Row(Table.FACT, fact)

    def last_position(self, newest_ms: int, now_ms: int) -> int:
        """Return a position above which none was ever given out.

        Where the file's own counter was read, only what a log may have held that is
        gone is added. Where it was not, nothing bounds how far the lost events went
        but time: as many as there can have been since the newest event that is left,
        and for a clock that was wrong, a day more.

        Args:
            newest_ms: When the event of the highest position left was received, 0 without any.
            now_ms: The wall clock, which may be wrong.
        """
        if Table.SEQUENCE in self.whole and self.sequence == self.highest:
            return self.sequence + LOG_GAP
        elapsed_ms = max(now_ms - (newest_ms or FIRST_MS), 0) + DAY_MS
        return max(self.highest, self._highest_key) + MOST_PER_MS * elapsed_ms
