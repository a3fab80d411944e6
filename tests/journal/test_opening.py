"""A start on a damaged journal: what can be read is carried over, and the journal works on."""

import asyncio
import contextlib
import errno
import os
import sqlite3

import pytest
from journal import wreck
from journal.conftest import Opened
from journal.contract import append, make_event
from journal.wreck import NAME, PAGE, Damage
from support import eventually

from feishu_ws.clock import ManualClock
from feishu_ws.faults import Fault, FeishuWsError
from feishu_ws.happenings import JournalOpened, JournalSalvaged
from feishu_ws.journal import lock as lock_module
from feishu_ws.journal import rebuild, salvage
from feishu_ws.journal import replace as replace_module
from feishu_ws.journal.contract import CONSUMERS_LOST, JournalSettings
from feishu_ws.journal.findings import DAY_MS, FIRST_MS, LOG_GAP, MOST_PER_MS
from feishu_ws.journal.opening import take_report
from feishu_ws.journal.replace import mark
from feishu_ws.journal.rows import REPORT
from feishu_ws.journal.sqlite import SqliteJournal
from feishu_ws.model import Filter
from feishu_ws.tally import Tally

RUBBISH = bytes(range(256)) * 400


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A journal as a crash leaves it: half of it is in its log."""
    return asyncio.run(wreck.build(tmp_path_factory.mktemp("whole")))


@pytest.fixture(scope="module")
def closed(tmp_path_factory):
    """The same after a clean stop: all of it is in the file."""
    return asyncio.run(wreck.build(tmp_path_factory.mktemp("closed"), with_log=False))


async def start(whole, tmp_path, *damages):
    """Damage a copy, start on it and check all that must hold; return what it told."""
    directory = wreck.copy(whole.directory, tmp_path / "copy")
    wreck.wreck(directory, damages)
    return await wreck.check_start(whole, directory, damages, tmp_path)


# -- what is readable is carried over -----------------------------------------------------


@pytest.mark.parametrize(
    ("damage", "seen"),
    [
        (Damage("", 0, RUBBISH[:100]), "SQLITE_NOTADB"),
        (Damage("", 0, bytes(PAGE)), "SQLITE_NOTADB"),
        (Damage("", 16, b"\x20\x00"), ""),
        (Damage("", 16, b"\x00\x00"), "SQLITE_NOTADB"),
        (Damage("", 56, b"\x00\x00\x00\x02"), "SQLITE_"),
        (Damage("", 60, b"\x7f\xff\xff\xff"), "schema version"),
        (Damage("", 60, bytes(4)), "version 0"),
        (Damage("", 100, bytes(PAGE - 100)), "SQLITE_CORRUPT"),
        (Damage("", 2048, b"\xff" * 512), "schema"),
        (Damage("", PAGE, RUBBISH[:PAGE]), "database main"),
        (Damage("", 40 * PAGE, RUBBISH[: 60 * PAGE]), ""),
        (Damage("", 100 * PAGE, None), ""),
        (Damage("", 30 * PAGE + 700, None), ""),
        (Damage("", 80, None), ""),
    ],
    ids=str,
)
async def test_a_damaged_file(closed, tmp_path, damage, seen):
    """Header, schema, free list, any page, or an end that was cut off: the rest is carried over."""
    told = await start(closed, tmp_path, damage)

    assert told.fault is Fault.JOURNAL_CORRUPT
    assert seen in told.detail


@pytest.mark.parametrize("table", ["event", "seen", "consumer", "ahead", "attempt", "dead", "fact"])
async def test_a_root_that_is_gone(closed, tmp_path, table):
    """Without the root of a table its rows are found page by page."""
    told = await start(closed, tmp_path, Damage("", closed.roots[table], RUBBISH[:PAGE]))

    assert told.events == 180 - (len(told.lost) if table == "event" else 0)


@pytest.mark.parametrize(
    "damage",
    [
        Damage("-wal", 0, RUBBISH[:32]),
        Damage("-wal", 70_000, RUBBISH[:100]),
        Damage("-wal", 0, RUBBISH[:20_000]),
        Damage("", 0, None),
    ],
    ids=str,
)
async def test_a_damaged_log(whole, tmp_path, damage):
    """What SQLite would drop without a word, or throw away with its log, is found."""
    told = await start(whole, tmp_path, damage)

    assert "log" in told.detail


async def test_a_log_without_its_file(whole, tmp_path):
    """A log whose file is gone holds what it holds."""
    directory = wreck.copy(whole.directory, tmp_path / "copy")
    (directory / NAME).unlink()
    opened = wreck.open_later(whole, directory)
    found = await wreck.read_all(opened.journal)
    await opened.journal.close(5)

    assert len(found) > 80
    assert all(wreck.seen(found[p]) == wreck.seen(whole.events[p]) for p in found)


@pytest.mark.parametrize("cut", [20_000, 700_000])
async def test_what_a_crash_leaves(whole, tmp_path, cut):
    """A log whose end is missing is what a crash leaves: it is opened as ever."""
    assert await start(whole, tmp_path, Damage("-wal", cut, None)) is None


async def test_what_was_removed_stays_removed(closed, tmp_path):
    """Old rows on free pages do not come back, whatever else is damaged."""
    told = await start(closed, tmp_path, Damage("", 0, RUBBISH[: 1 * PAGE]))

    assert told.events == len(closed.events) - len(closed.removed)


async def test_lost_spans_are_told(closed, tmp_path):
    """Positions whose events are gone are told as far as the tree knows them."""
    directory = wreck.copy(closed.directory, tmp_path / "copy")
    damage = Damage("", 60 * PAGE, RUBBISH[: 20 * PAGE])
    wreck.wreck(directory, [damage])
    expected = wreck.left(closed, directory, [damage], tmp_path / "left")
    opened = wreck.open_later(closed, directory)
    (told,) = opened.told(JournalSalvaged)
    found = await wreck.read_all(opened.journal)
    await opened.journal.close(5)
    lost = {p for first, last in told.lost for p in range(first, last + 1)}
    gone = closed.events.keys() - closed.removed - found.keys()

    assert gone
    assert gone <= lost
    assert lost.isdisjoint(found)
    assert told.unreadable_pages > 0
    assert expected.positions <= found.keys()


# -- consumers ----------------------------------------------------------------------------


async def test_consumers_that_are_lost(closed, tmp_path):
    """Declared consumers begin with the first event left; unknown ones are told to, by a fact."""
    told = await start(closed, tmp_path, Damage("", closed.roots["consumer"], bytes(PAGE)))
    opened = wreck.open_later(closed, tmp_path / "copy")
    records = dict(opened.journal.consumers())
    fact = opened.journal.recall(CONSUMERS_LOST)
    await opened.journal.close(5)

    assert sorted(told.consumers) == sorted(records) == ["bot", "idle"]
    assert records["idle"].cursor == 60 == int(fact.split()[0])
    assert records["idle"].declared


async def test_a_consumer_declared_just_now(closed, tmp_path):
    """With the table of consumers whole, one that is newly declared begins like any new one."""
    directory = wreck.copy(closed.directory, tmp_path / "copy")
    wreck.wreck(directory, [Damage("", closed.roots["seen"], bytes(PAGE))])
    declared = wreck.DECLARED | {"new": Filter()}
    opened = wreck.open_later(closed, directory, JournalSettings(declared=declared))
    record = opened.journal.consumers()["new"]
    fact = opened.journal.recall(CONSUMERS_LOST)
    await opened.journal.close(5)

    assert record.cursor == 60  # all that is left is within the window
    assert fact is None


# -- positions ----------------------------------------------------------------------------


async def test_positions_with_their_counter(closed, tmp_path):
    """With the counter readable, only what a lost log may have held is left out."""
    told = await start(closed, tmp_path, Damage("", closed.roots["seen"], bytes(PAGE)))

    assert told.last == closed.last + LOG_GAP


async def test_positions_without_their_counter(closed, tmp_path):
    """With counter and newest events gone, no position that was given out comes again."""
    size = (closed.directory / NAME).stat().st_size
    told = await start(
        closed, tmp_path,
        Damage("", closed.roots["sqlite_sequence"], bytes(PAGE)),
        Damage("", size // 2, RUBBISH[:PAGE] * (size // 2 // PAGE)),
    )  # fmt: skip

    assert told.last > closed.last + MOST_PER_MS * DAY_MS


async def test_an_emptied_file(tmp_path):
    """A file that was emptied is a journal without events; positions go on far above."""
    clock = ManualClock()
    for _ in range(2):
        opened = Opened(tmp_path / NAME, JournalSettings(), clock)
        await append(opened.journal, make_event("a"))
        await opened.journal.close(5)
        (tmp_path / NAME).write_bytes(b"")
    opened = Opened(tmp_path / NAME, JournalSettings(), clock)
    outcome = await append(opened.journal, make_event("a"))
    await opened.journal.close(5)

    assert outcome.position == (clock.wall_ms() - FIRST_MS + DAY_MS) * MOST_PER_MS + 1
    assert opened.told(JournalSalvaged)[0].events == 0


async def test_a_journal_that_was_taken_away(tmp_path):
    """A file that somebody moved away is a new journal: that is how one begins anew."""
    clock = ManualClock()
    opened = Opened(tmp_path / NAME, JournalSettings(), clock)
    await append(opened.journal, make_event("a"))
    await opened.journal.close(5)
    mark(tmp_path / NAME, "why")
    (tmp_path / NAME).unlink()
    opened = Opened(tmp_path / NAME, JournalSettings(), clock)
    outcome = await append(opened.journal, make_event("a"))
    await opened.journal.close(5)
    again = Opened(tmp_path / NAME, JournalSettings(), clock)
    await again.journal.close(5)

    assert outcome.position == 1
    assert opened.told(JournalSalvaged) == again.told(JournalSalvaged) == []


# -- while running ------------------------------------------------------------------------


async def test_what_was_found_while_running(open_journal, tmp_path):
    """Damage found while running: the log stays as it is, and the next start salvages."""
    opened = open_journal()
    await append(opened.journal, make_event("a"))
    log = opened.path.with_name(opened.path.name + "-wal")
    opened.disk.fail("begin", name="SQLITE_CORRUPT")
    refused = await append(opened.journal, make_event("b"))
    before = log.read_bytes()
    await opened.journal.close(5)
    await eventually(lambda: not opened.journal._reader.is_alive())
    after = log.read_bytes()
    again = open_journal()

    assert refused.fault is Fault.JOURNAL_CORRUPT
    assert after == before != b""
    assert again.told(JournalSalvaged)[0].detail.startswith("SQLITE_CORRUPT")
    assert (await append(again.journal, make_event("a"))).position == 0
    assert again.told(JournalOpened)[0].position == 1 + LOG_GAP


# -- what is not ours ---------------------------------------------------------------------


def foreign(path, version):
    """Make a database of another program."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE event (id INTEGER PRIMARY KEY, title TEXT, at INTEGER)")
        db.execute("CREATE TABLE calendar (name TEXT PRIMARY KEY, colour TEXT) WITHOUT ROWID")
        db.executemany("INSERT INTO event VALUES (?, 'x', 5)", [(n,) for n in range(500)])
        db.execute("INSERT INTO calendar VALUES ('work', 'red')")
        db.execute(f"PRAGMA user_version = {version}")
        db.commit()
    return path.read_bytes()


def not_ours(path, what):
    """Put something at a path that is no journal; return it."""
    if what.startswith("sqlite"):
        data = foreign(path, int(what[-1]))
        if "damaged" in what:
            data = data[:-PAGE] + RUBBISH[:PAGE]
    else:
        data = {
            "text": b"dear diary\n" * 900,
            "empty pages": bytes(5 * PAGE),
            "encrypted": os.urandom(5 * PAGE),
            "header": b"SQLite format 3\0" + bytes(30_000),
            "header cut off": b"SQLite format 3\0" + bytes(50),
        }[what]
    path.write_bytes(data)
    return data


@pytest.mark.parametrize(
    "what",
    ["sqlite 0", "sqlite 1", "sqlite damaged 0", "text", "empty pages", "encrypted", "header", "header cut off"],
)  # fmt: skip
async def test_what_is_no_journal(tmp_path, what):
    """A file in which nothing is ours is refused, named, left as it is, and the lock is free."""
    path = tmp_path / NAME
    data = not_ours(path, what)
    for _ in range(2):
        with pytest.raises(FeishuWsError, match="is no journal of feishu-ws") as refused:
            Opened(path, JournalSettings(), ManualClock())

    assert refused.value.fault is Fault.JOURNAL_CORRUPT
    assert str(path) in refused.value.detail
    assert "to start a new journal" in refused.value.hint
    assert path.read_bytes() == data
    assert sorted(p.name for p in tmp_path.iterdir()) == [NAME, NAME + ".lock"]


# -- no room, and crashes -----------------------------------------------------------------


async def test_no_room_for_a_new_file(closed, tmp_path, monkeypatch):
    """Without room the start is refused with `disk_full`, and the old file is as it was."""
    directory = wreck.copy(closed.directory, tmp_path / "copy")
    wreck.wreck(directory, [Damage("", 0, RUBBISH[:100])])
    before = (directory / NAME).read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(rebuild, "_PRAGMAS", (*rebuild._PRAGMAS, "max_page_count = 30"))
        with pytest.raises(FeishuWsError, match=r"SQLITE_FULL") as refused:
            wreck.open_later(closed, directory)
    after = {p.name: p.read_bytes() for p in directory.iterdir()}
    opened = wreck.open_later(closed, directory)
    await opened.journal.close(5)

    assert refused.value.fault is Fault.DISK_FULL
    assert after.keys() == {NAME, NAME + ".lock"}
    assert after[NAME] == before
    assert opened.told(JournalSalvaged)[0].events == 180


@pytest.mark.parametrize(
    ("number", "fault"),
    [(errno.ENOSPC, Fault.DISK_FULL), (errno.EROFS, Fault.JOURNAL_READ_ONLY)],
)
@pytest.mark.parametrize("step", ["sync", "os.utime"])
async def test_a_disk_that_refuses(closed, tmp_path, monkeypatch, step, number, fault):
    """What keeps the new file from its place is named, and the next start has all of it."""

    def refuse(*_):
        raise OSError(number, os.strerror(number))

    directory = wreck.copy(closed.directory, tmp_path / "copy")
    wreck.wreck(directory, [Damage("", 0, RUBBISH[:100])])
    with monkeypatch.context() as patch:
        patch.setattr(f"feishu_ws.journal.replace.{step}", refuse)
        with pytest.raises(FeishuWsError, match="no salvage of") as refused:
            wreck.open_later(closed, directory)
    opened = wreck.open_later(closed, directory)
    found = await wreck.read_all(opened.journal)
    await opened.journal.close(5)

    assert refused.value.fault is fault
    assert len(found) == 180


async def test_a_directory_that_cannot_be_looked_at(tmp_path, monkeypatch):
    """A file that may not be read is `journal_io`, and the lock is free again."""

    def refuse(*_):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    with monkeypatch.context() as patch:
        patch.setattr("feishu_ws.journal.image.os.open", refuse)
        patch.setattr(lock_module.JournalLock, "acquire", lambda _: None)
        with pytest.raises(FeishuWsError, match="cannot look at the journal") as refused:
            Opened(tmp_path / NAME, JournalSettings(), ManualClock())
    opened = Opened(tmp_path / NAME, JournalSettings(), ManualClock())
    await opened.journal.close(5)

    assert refused.value.fault is Fault.JOURNAL_IO


async def test_a_salvage_with_a_defect(closed, tmp_path, monkeypatch):
    """A new file that would be salvaged in its turn does not take the place of the old one."""
    directory = wreck.copy(closed.directory, tmp_path / "copy")
    wreck.wreck(directory, [Damage("", 0, RUBBISH[:100])])
    before = wreck.contents(directory, NAME)
    finish = rebuild.Rebuild.finish

    def spoilt(self, last):
        self._db.execute("UPDATE consumer SET filter = x'00'")
        finish(self, last)

    with monkeypatch.context() as patch:
        patch.setattr(rebuild.Rebuild, "finish", spoilt)
        with pytest.raises(FeishuWsError, match="no journal: table consumer") as refused:
            wreck.open_later(closed, directory)

    assert refused.value.fault is Fault.INTERNAL
    assert wreck.contents(directory, NAME) == before
    assert sorted(p.name for p in directory.iterdir()) == [NAME, NAME + ".lock"]


class CrashError(BaseException):
    """The process ends here."""


STEPS = range(1, 9)


@pytest.mark.parametrize("step", STEPS)
async def test_a_crash_while_replacing(whole, tmp_path, monkeypatch, step):
    """Whenever a salvage is interrupted, the next start has what it would have had."""
    damage = Damage("-wal", 70_000, RUBBISH[:100])
    directory, other = (wreck.copy(whole.directory, tmp_path / name) for name in ("copy", "other"))
    for each in (directory, other):
        wreck.wreck(each, [damage])
    opened = wreck.open_later(whole, other)
    expected = await wreck.read_all(opened.journal)
    await opened.journal.close(5)
    left = [step]

    def crash(real):
        def wrapped(*args):
            left[0] -= 1
            if not left[0]:
                raise CrashError
            return real(*args)

        return wrapped

    with monkeypatch.context() as patch:
        patch.setattr(replace_module.Path, "rename", crash(replace_module.Path.rename))
        patch.setattr(replace_module, "sync", crash(replace_module.sync))
        with pytest.raises(CrashError):
            wreck.open_later(whole, directory)
    after = tmp_path / "after"  # the lock of this very process is still held
    after.mkdir()
    for path in directory.iterdir():
        if not path.name.endswith(".lock"):
            (after / path.name).write_bytes(path.read_bytes())
    opened = wreck.open_later(whole, after)
    found = await wreck.read_all(opened.journal)
    await opened.journal.close(5)

    assert found.keys() == expected.keys()
    assert len(found) > 100
    wreck.check_sound(after)


async def test_a_crash_before_it_was_told(closed, tmp_path):
    """What a salvage did is told by the first start that comes to it, and once."""
    directory = wreck.copy(closed.directory, tmp_path / "copy")
    wreck.wreck(directory, [Damage("", 0, RUBBISH[:100])])
    told = []
    for _ in range(2):
        journal = SqliteJournal(
            directory / NAME, wreck.SETTINGS, clock=ManualClock(), tally=Tally(),
            observe=told.append,
        )  # fmt: skip
        journal.prepare()
        for part in (journal._store, journal._read_store):
            part.close()
        journal._lock.release()
    counts = []
    for _ in range(3):
        opened = wreck.open_later(closed, directory)
        counts.append(len(opened.told(JournalSalvaged)))
        await opened.journal.close(5)

    assert told == []
    assert counts == [1, 0, 0]


@pytest.mark.parametrize("report", [None, "no JSON", "{}"])
def test_a_report_that_cannot_be_read(report):
    """A report that is not there, or was damaged in its turn, is none."""
    facts = {} if report is None else {REPORT: report}

    assert take_report(facts) is None
    assert facts == {}


# -- the rest -----------------------------------------------------------------------------


async def test_how_far_it_is(closed, tmp_path, monkeypatch):
    """Whoever opens is told how far a salvage is."""
    monkeypatch.setattr(salvage, "TELL_EVERY", 16)
    directory = wreck.copy(closed.directory, tmp_path / "copy")
    wreck.wreck(directory, [Damage("", 0, bytes(100))])
    told = []
    journal = SqliteJournal(
        directory / NAME, wreck.SETTINGS, clock=ManualClock(), tally=Tally(), observe=print
    )
    journal.open(lambda done, pages: told.append((done, pages)))
    await journal.close(5)

    assert len(told) > 5
    assert told == sorted(told)


async def test_a_link_to_a_journal(closed, tmp_path):
    """Where the path is a link, the file it leads to is replaced, and the link stays."""
    directory = wreck.copy(closed.directory, tmp_path / "copy")
    wreck.wreck(directory, [Damage("", 0, RUBBISH[:100])])
    (tmp_path / "link").mkdir()
    (tmp_path / "link" / NAME).symlink_to(directory / NAME)
    opened = wreck.open_later(closed, tmp_path / "link")
    found = await wreck.read_all(opened.journal)
    await opened.journal.close(5)

    assert len(found) == 180
    assert [p.name for p in (tmp_path / "link").iterdir()] == [NAME]
    wreck.check_sound(directory)


async def test_a_sound_journal_is_not_touched(closed, tmp_path):
    """Nothing is salvaged where nothing is wrong."""
    assert await start(closed, tmp_path) is None
