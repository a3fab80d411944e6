"""Salvage: what a damaged journal still holds, carried over into a new file.

The damaged file is only read, and not by SQLite: how that goes on after the first page
it does not like is nobody's promise. Four passes over it, each of which can only add to
what the ones before it found:

1. Every tree is walked from its root, which the schema names, or else the pointer map.
2. Pages that no tree leads to are looked at, unless they are known to be free.
3. Pages with something out of place give the rows that are possible by themselves.
4. Events and outgoing sends on pages behind a damaged frame of the log are taken, if all
   of each is there.

Every page is visited once per pass at most, so it takes time by the size of the file
whatever is in it. Nothing in the old file's place changes here; `replace.py` does that.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from feishu_ws.faults import Fault
from feishu_ws.happenings import JournalSalvaged
from feishu_ws.journal.findings import Findings, Trust
from feishu_ws.journal.image import Image, Liveness, Progress
from feishu_ws.journal.pages import Kind
from feishu_ws.journal.rebuild import Rebuild
from feishu_ws.journal.retention import HOUR_MS
from feishu_ws.journal.rows import REPORT, Row, Table, bury_damaged, is_sendable, mend
from feishu_ws.journal.schema import APPLICATION_ID, Origin, origin_of
from feishu_ws.journal.tree import (
    HIGHEST,
    Content,
    Forest,
    Gap,
    Visit,
    content_of,
    first_row,
    highest_key,
    open_page,
    read_schema,
)
from feishu_ws.model import Filter, Span

TELL_EVERY: Final = 1024  # pages; some 50 ms
MOST_LOST: Final = 16  # spans that are told one by one
_STREAMED: Final = frozenset({Table.SEEN, Table.DEAD, Table.LIFE})  # as they come
_ALSO_BEHIND: Final = frozenset({Table.EVENT, Table.SEND})  # right whatever time they are of


class NothingFoundError(Exception):
    """There is no trace of a journal in the file."""


def salvage(
    image: Image,
    target: Path,
    *,
    declared: Mapping[str, Filter],
    dedupe_hours: float,
    now_ms: int,
    progress: Progress,
    detail: str,
    kept: Path,
    is_known: bool = False,
) -> JournalSalvaged:
    """Fill a new file at `target` with what a damaged journal holds.

    Args:
        image: The damaged one.
        target: What is there is overwritten.
        declared: Consumers that are to be there, and what they want.
        dedupe_hours: How long keys are of use.
        now_ms: The wall clock.
        progress: Told how far it is.
        detail: What is damaged; for the report,
        kept: like this: where the damaged file will be. The new file holds it until it is told.
        is_known: It was a journal, though nothing is left of it.

    Raises:
        NothingFoundError: Nothing says that it ever was a journal.
        sqlite3.Error: As the disk answers; nothing is left at `target`.
        OSError: Likewise.
    """
    new = Rebuild(target)
    try:
        with new:
            search = _Search(image, new, progress)
            search.run(is_known=is_known)
            search.complete(declared, dedupe_hours, now_ms)
            report = search.report(detail, str(kept))
            new.add(Row(Table.FACT, (REPORT, msgspec.json.encode(report).decode())))
            new.finish(report.last)
            return report
    except BaseException:
        new.discard()
        raise


class _Search:
    """The four passes."""

    def __init__(self, image: Image, new: Rebuild, progress: Progress) -> None:
        self._image = image
        self._new = new
        self._progress = progress
        self._forest = Forest(image)
        self._live = Liveness(image)
        self._findings = Findings()
        self._scarred: list[int] = []
        self._key_pages: list[int] = []
        self._gaps: list[Gap] = []
        self._damaged_sends: list[Row] = []
        self._unreadable = 0
        self._damaged = 0
        self._pages_read = 0
        self._last = 0
        self._consumers: tuple[str, ...] = ()

    def run(self, *, is_known: bool) -> None:
        """Find everything there is to find.

        Raises:
            NothingFoundError: There is no trace of a journal.
        """
        self._walk_all()
        if self._image.wal.is_damaged:  # what was read is of an older state
            self._findings.whole.clear()
        self._look_at_the_rest()
        for number in self._scarred:
            self._take_all(self._content(number).rows, Trust.SCARRED)
        self._look_behind_the_log()
        if not (is_known or self._findings.is_ours):
            raise NothingFoundError

    def _content(self, number: int) -> Content:
        page = open_page(self._image.page(number), number, self._image.usable)
        if page is None:  # the disk gave it a moment ago
            return Content([], [], is_sound=False)
        return content_of(page, self._image.usable, self._image.page)

    def _tick(self) -> None:
        self._pages_read += 1
        if self._pages_read % TELL_EVERY == 0:
            self._tell()

    def _tell(self) -> None:
        self._progress(min(self._pages_read, self._image.count), self._image.count)

    def _take_all(self, rows: Iterable[Row], trust: Trust) -> None:
        for row in rows:
            self._findings.take(row, trust)
            if row.table is Table.EVENT:
                self._new.add(self._mended(row))
            elif row.table is Table.SEND:
                self._take_send(row, trust)
            elif row.table in _STREAMED:
                self._new.add(row)

    def _take_send(self, send: Row, trust: Trust) -> None:
        if not self._findings.is_news(send.table, trust):
            return  # an old image, perhaps of one that was removed
        if is_sendable(send.values):
            self._new.add(send)
        else:
            self._damaged_sends.append(bury_damaged(send))

    def _mended(self, event: Row) -> Row:
        mended = mend(event)
        self._damaged += mended is not event
        return mended

    def _miss(self, position: int) -> None:
        """All that is left of an event is its position."""
        self._findings.note_position(position)
        self._gaps.append(Gap(position - 1, position))

    # -- 1. from the roots ----------------------------------------------------------------

    def _walk_all(self) -> None:
        roots, is_whole = read_schema(self._image, self._forest)
        self._unreadable += not is_whole
        origin = origin_of(roots)
        if origin is Origin.FOREIGN and is_whole:
            raise NothingFoundError
        is_marked = self._image.application_id == APPLICATION_ID
        self._findings.is_ours = origin is Origin.OURS or is_marked
        for table, root in roots.items():
            if table in set(Table):
                self._walk(root, Table(table))
        for root in () if is_whole else self._live.roots():
            if not self._forest.is_visited(root):
                self._walk(root)

    def _walk(self, root: int, named: Table | None = None) -> None:
        """Take what is below a root.

        Args:
            root: Of a tree.
            named: Whose it is, as the schema says; else its rows tell.
        """
        found = set() if named is None else {named}
        is_whole = True
        for page in self._forest.walk(root):
            self._tick()
            if isinstance(page, Gap):
                self._note_gap(page, is_of_events=Table.EVENT in found)
                is_whole = False
            elif not self._keeps_keys(page):
                content = content_of(page, self._image.usable, self._image.page)
                is_whole = self._take_page(page, content, Trust.REACHED) and is_whole
                found.update(row.table for row in content.rows)
                for position in content.lost if Table.EVENT in found else ():
                    self._miss(position)
        if is_whole and len(found) == 1:
            self._findings.whole |= found

    def _note_gap(self, gap: Gap, *, is_of_events: bool) -> None:
        self._unreadable += 1
        if is_of_events:
            self._gaps.append(gap)
            self._findings.note_position(gap.low)

    def _keeps_keys(self, page: Visit) -> bool:
        """Whether a page is of the index of keys: it is looked at in the end, if need be."""
        first = first_row(page, self._image.usable, self._image.page)
        if first is None or first.table is not Table.KEY:
            return False
        self._key_pages.append(page.number)
        return True

    def _take_page(self, page: Visit, content: Content, trust: Trust) -> bool:
        """Take the rows of a sound page, leave another for later; return whether it is sound."""
        if content.is_sound:
            self._take_all(content.rows, trust)
        elif content.rows or page.page.kind.is_table:  # else it is an index that nobody needs
            self._unreadable += 1
            self._scarred.append(page.number)
        return content.is_sound

    # -- 2. from pages nobody leads to ----------------------------------------------------

    def _look_at_the_rest(self) -> None:
        for number in range(1, self._image.count + 1):
            if self._forest.is_visited(number) or self._live.is_free(number):
                continue
            self._tick()
            page = open_page(self._image.page(number), number, self._image.usable)
            if page is not None:
                self._look_at(page)

    def _look_at(self, page: Visit) -> None:
        if page.page.kind is Kind.TABLE_INTERIOR:
            self._findings.note_key(highest_key(page, self._image.usable))
            return
        if self._keeps_keys(page):
            return
        content = content_of(page, self._image.usable, self._image.page)
        if content.rows:
            is_certain = self._live.is_certain(page.number)
            self._take_page(page, content, Trust.CERTAIN if is_certain else Trust.LIKELY)

    # -- 4. from behind the log's damage --------------------------------------------------

    def _look_behind_the_log(self) -> None:
        """Take events and sends all of whose pages are there; the rest may be of any time."""
        for number in self._image.wal.strays:
            page = open_page(self._image.stray(number), number, self._image.usable)
            if page is None or page.page.kind is not Kind.TABLE_LEAF:
                continue
            rows = content_of(page, self._image.usable, self._image.stray).rows
            self._take_all((row for row in rows if row.table in _ALSO_BEHIND), Trust.LIKELY)

    # -- the end --------------------------------------------------------------------------

    def complete(self, declared: Mapping[str, Filter], dedupe_hours: float, now_ms: int) -> None:
        """Add what depends on all that was found."""
        new, findings = self._new, self._findings
        first, newest = new.span()
        newest_ms = new.received_ms(newest) if newest else 0
        if Table.SEEN not in findings.whole or self._image.wal.strays:
            since_ms = min(newest_ms, now_ms) - round(dedupe_hours * HOUR_MS)
            new.add_keys_of_events(since_ms, self._tell)
            for number in self._key_pages:
                self._tick()
                rows = (row for row in self._content(number).rows if row.table is Table.KEY)
                new.add_keys_of_index(rows, now_ms)
        earliest = max(first - 1, 0)
        self._last = findings.last_position(newest_ms, now_ms)
        consumers = list(findings.consumers(declared, earliest, self._last))
        self._consumers = tuple(row.values[0] for row in consumers)
        new.add_all(consumers)
        new.add_all(findings.progress(consumers))
        new.add_all(findings.facts(earliest, now_ms))
        new.drop_orphans()
        new.add_all(self._damaged_sends)  # unless there is a copy that is not

    def report(self, detail: str, kept: str) -> JournalSalvaged:
        """Return what there is to tell."""
        return JournalSalvaged(
            fault=Fault.JOURNAL_CORRUPT,
            detail=detail,
            kept=kept,
            events=self._new.count(Table.EVENT),
            keys=self._new.count(Table.SEEN),
            consumers=self._consumers,
            damaged_events=self._damaged,
            unreadable_pages=self._unreadable,
            lost=tuple(self._lost()),
            last=self._last,
            sends=self._new.count(Table.SEND),
        )

    def _lost(self) -> list[Span]:
        """Return spans of positions that are gone, as far as the trees told."""
        found: list[Span] = []
        for gap in sorted(set(self._gaps)):
            if gap.high < HIGHEST:  # else nobody knows how far it went
                found += self._new.missing(gap.low + 1, gap.high, MOST_LOST)
        return found[:MOST_LOST]
