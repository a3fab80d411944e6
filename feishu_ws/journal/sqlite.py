"""The journal on SQLite: WAL, `synchronous=FULL`, one writer, one reader.

This is the face on the event loop; `writer.py` is the thread behind it. See
`contract.py` for what is promised.
"""

import asyncio
import contextlib
import sqlite3
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, TypeVar

from feishu_ws.clock import Clock, StepGuard
from feishu_ws.faults import Fault, FeishuWsError
from feishu_ws.happenings import Happening, JournalOpened, Observer
from feishu_ws.journal import changes, telling
from feishu_ws.journal.checkup import Checkup
from feishu_ws.journal.contract import JournalFacts, JournalSettings, Subscriber
from feishu_ws.journal.examine import examine
from feishu_ws.journal.file import connect_reader, connect_writer, explain, make_private
from feishu_ws.journal.footing import Footing
from feishu_ws.journal.health import Health
from feishu_ws.journal.image import Progress
from feishu_ws.journal.ledger import Ledger
from feishu_ws.journal.lives import Lives
from feishu_ws.journal.lock import JournalLock
from feishu_ws.journal.opening import open_whole, take_report
from feishu_ws.journal.reader import ReaderThread
from feishu_ws.journal.reads import Reads
from feishu_ws.journal.rows import JOURNAL_ID, REPORT
from feishu_ws.journal.schema import check_version
from feishu_ws.journal.store import Store
from feishu_ws.journal.work import Apply, Change, Owed, Report
from feishu_ws.journal.writer import Writer
from feishu_ws.journal.writes import MAX_WAITING_BYTES, ROW_OVERHEAD, Writes
from feishu_ws.model import ConsumerRecord
from feishu_ws.tally import Tally

_T = TypeVar("_T")

READER_ENDS_S: Final = 1.0  # a reader in the middle of a batch; while it reads, the WAL stays


class SqliteJournal(Reads, Writes):
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
        self._path = path.resolve()  # SQLite has its log beside the file, not beside a link to it
        self._settings = settings
        self._clock = clock
        self._tally = tally
        self._observe = observe
        self._lock = JournalLock(self._path)
        self._subscribers: list[Subscriber] = []
        self._waiting_bytes = 0
        self._health = Health()
        self._ended_by: Fault | None = None
        self._ended = asyncio.Event()
        self._checking: asyncio.Task[None] | None = None

    def open(self, progress: Progress = lambda *_: None) -> None:
        """Prepare and begin, on the event loop's thread, which stands still meanwhile.

        Raises:
            FeishuWsError: As `prepare`.
        """
        self.prepare(progress)
        self.begin()

    def prepare(self, progress: Progress = lambda *_: None) -> None:
        """Take the lock, open the file and bring its schema up to date, on any thread.

        A damaged file is salvaged first. The process may end in the middle of it.

        Args:
            progress: Told how far a salvage is; it takes about a minute per GiB.

        Raises:
            FeishuWsError: `journal_locked`, `journal_version`, `journal_io`, `disk_full`,
                `journal_read_only`, `journal_corrupt` (no trace of a journal). The file is
                as it was.
        """
        self._lock.acquire()
        now_ms = self._clock.wall_ms()
        try:
            open_whole(
                self._path, self._settings, now_ms, self._open_file, progress,
                is_known=bool(self._lock.noted),
            )  # fmt: skip
        except FeishuWsError:
            self._lock.release()
            raise

    def begin(self) -> None:
        """Start the threads of a journal that is prepared, on the event loop's thread."""
        self._loop = asyncio.get_running_loop()
        self._writer.upkeep.guard = StepGuard(self._clock)
        self._writer.start()
        self._reader.start()
        if JOURNAL_ID not in self._facts:
            self.remember(JOURNAL_ID, str(uuid.uuid4()))
        self._lock.note(self.id)
        if REPORT in self._facts:
            self._tell(take_report(self._facts))
            self.remember(REPORT, None)
        self._observe(JournalOpened(str(self._path), self._last, self._sizes.live_bytes))
        if self._checkup is not None:
            self._checking = self._loop.create_task(self._checkup.run(), name="journal-checkup")

    def _open_file(self) -> None:
        make_private(self._path)
        footing = Footing()
        footing.stand_on(self._path)
        if self._lock.identity is not None:
            footing.expect(self._lock.path, self._lock.identity)
        with contextlib.ExitStack() as undo:
            # The reader comes first and goes last: until the file is known to be ours and
            # whole nothing is written, and what closes before it moves no WAL into the file.
            reading = connect_reader(self._path)
            undo.callback(reading.close)
            is_examined = examine(reading, self._path)
            self._store = Store(connect_writer(self._path))
            undo.callback(self._store.close)
            check_version(reading)  # from here on it holds the log, also that of a new file
            footing.stand_on(self._path.with_name(f"{self._path.name}-wal"), is_needed=False)
            footing.check()  # what SQLite opened is what lies there
            self._load(Store(reading), footing)
            undo.pop_all()
        self._checkup = None if is_examined else Checkup(reading, self._ask, self._clock)

    def _load(self, read_store: Store, footing: Footing) -> None:
        self._read_store = read_store
        self._writer = Writer(
            self._store, self._path, footing, self._settings,
            self._clock.wall_ms, self._hand_over, self._end,
        )  # fmt: skip
        self._reader = ReaderThread(read_store.close)
        self._facts = self._store.load_facts()
        self._lives = Lives(self._store.lives.load())
        self._sizes = self._writer.sizes()
        self._last = self._writer.last
        self._writer.apply_first(Change(self._declare(self._settings)))
        self._records = {state.name: state.record() for state in self._writer.ledger}

    def _declare(self, settings: JournalSettings) -> Apply:
        since_ms = self._clock.wall_ms() - settings.new_consumer_window_ms
        return changes.declare(self._writer.upkeep, settings.declared or {}, since_ms)

    # -- facts ----------------------------------------------------------------------------

    @property
    def last(self) -> int:
        """Highest position ever given out."""
        return self._last

    @property
    def id(self) -> str:
        """The journal's own UUID."""
        return self._facts[JOURNAL_ID]

    def is_alive(self) -> bool:
        """Whether the writing thread runs; a daemon without it must not go on."""
        return self._writer.is_alive()

    def facts(self) -> JournalFacts:
        """Return how the journal is."""
        since = self._writer.busy_since
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
            fault=self._health.fault,
            stalled_s=0.0 if since is None else time.monotonic() - since,
            open_sends=self._sizes.sends.open,
            oldest_send_ms=self._sizes.sends.oldest_ms,
            dead_sends=self._sizes.sends.dead,
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

    # -- settings -------------------------------------------------------------------------

    def reconfigure(self, settings: JournalSettings) -> None:
        """Apply changed settings from the next step on."""
        self._settings = settings
        declare = self._declare(settings)

        def apply(owed: Owed, ledger: Ledger) -> None:
            self._writer.upkeep.reconfigure(settings)
            declare(owed, ledger)

        self._writer.put(Change(apply))

    def trust_clock(self, *, trusted: bool) -> None:
        """Say whether the wall clock can be believed; nothing expires by age while it cannot."""
        self._writer.upkeep.trust_clock(trusted=trusted)

    # -- reading --------------------------------------------------------------------------

    async def _ask(self, function: Callable[[], _T]) -> _T:
        if self._ended_by is not None:
            raise FeishuWsError(self._ended_by, f"the journal {self._path} is closed")
        try:
            return await self._reader.submit(function)
        except sqlite3.Error as error:
            self._tally.journal_errors["read"] += 1
            found = explain(error, self._path)
            if found.fault is Fault.JOURNAL_CORRUPT:  # what is added to such a file may be lost
                self._writer.condemn(found)
                now_s = self._clock.monotonic()
                self._tell(self._health.fail(found.fault, found.detail, now_s))
            raise found from error

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
        try:
            if report.stored:
                for subscriber in self._subscribers:
                    subscriber(report.stored)
        finally:  # whatever a subscriber makes of it, the events are durable
            self._answer(report)

    def _answer(self, report: Report) -> None:
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
        telling.count(report, self._tally)
        for happening in telling.happenings_of(report):
            self._observe(happening)
        waiting_share = self._waiting_bytes / MAX_WAITING_BYTES
        self._tell(self._health.hear(report, waiting_share, self._clock.monotonic()))

    def _tell(self, happening: Happening | None) -> None:
        if happening is not None:
            self._observe(happening)

    # -- the end --------------------------------------------------------------------------

    async def close(self, deadline_s: float) -> None:
        """Commit what waits, answer it, and release the lock; at most `deadline_s`."""
        self._ended_by = self._ended_by or Fault.LOCAL_STOP
        if self._checking is not None:
            self._checking.cancel()
        if self._writer.damage is None:
            self._reader.stop()
        self._writer.stop()
        try:
            await asyncio.wait_for(self._ended.wait(), deadline_s)
        except TimeoutError:
            return  # the disk hangs; the lock ends with the process
        self._reader.stop()
        self._lock.release()

    def _end(self) -> None:
        """Called in the writer's thread when it ends, also by a defect."""
        if self._ended_by is not None and self._writer.damage is None:
            self._reader.join(READER_ENDS_S)  # the last to close moves the WAL into the file
        self._store.close()  # with damage the reader closes last, and cannot: nothing is lost
        try:
            self._loop.call_soon_threadsafe(self._note_end)
        except RuntimeError:  # the loop is closed: the process is ending
            return

    def _note_end(self) -> None:
        self._ended.set()
        if self._ended_by is None:
            self._ended_by = Fault.INTERNAL
            detail = "the writing thread died"
            self._tell(self._health.fail(Fault.INTERNAL, detail, self._clock.monotonic()))
