"""What an open journal stands on: removed, replaced, moved, and back."""

import asyncio
import contextlib
import errno
import os
import shutil
import sqlite3
import threading

import pytest
from journal.contract import append, make_event, place, positions
from support import eventually

from feishu_ws.faults import Fault, FeishuWsError
from feishu_ws.happenings import JournalFaulted, JournalRecovered
from feishu_ws.journal import footing as footing_module
from feishu_ws.journal.contract import JournalSettings
from feishu_ws.journal.footing import CHECK_EVERY_S, Footing, LostFileError, identity_at
from feishu_ws.model import Filter, Outcome, OutgoingSend, Verdict

REFUSED = Outcome(Verdict.REFUSED, fault=Fault.JOURNAL_IO)
FILES = ("journal.db", "journal.db-wal", "journal.db.lock")


# -- alone --------------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path):
    """A file to stand on."""
    path = tmp_path / "file"
    path.write_bytes(b"first")
    return path


@pytest.fixture
def footing(file):
    """What stands on it, and looks every time."""
    footing = Footing()
    footing.stand_on(file)
    return footing


def look(footing):
    """Return what is lost, None if nothing is; as if the last look were a while ago."""
    footing._again_s = 0.0
    try:
        footing.check()
    except LostFileError as loss:
        return loss
    return None


def test_what_stays_is_well(file, footing):
    """Also when it is written to, renamed over and back, or linked from elsewhere."""
    file.write_bytes(b"more")
    file.with_name("link").hardlink_to(file)
    file.rename(file.with_name("away"))
    file.with_name("away").rename(file)

    assert look(footing) is None


def test_what_is_removed_is_lost(file, footing):
    """It says which file, what was seen and what to do."""
    file.unlink()
    loss = look(footing)

    assert (loss.fault, loss.file, loss.is_replaced) == (Fault.JOURNAL_IO, file, False)
    assert "the file was removed or replaced while in use" in loss.detail
    assert str(file) in loss.detail
    assert "restart" in loss.hint


def test_what_is_replaced_is_lost(file, footing):
    """By a copy as well."""
    other = file.with_name("other")
    shutil.copy2(file, other)
    other.rename(file)

    assert look(footing).is_replaced


def test_a_directory_that_is_moved(tmp_path):
    """What was moved with its directory is lost, and found when that is back."""
    inner = tmp_path / "inner"
    inner.mkdir()
    (inner / "file").touch()
    footing = Footing()
    footing.stand_on(inner / "file")
    inner.rename(tmp_path / "away")
    moved = look(footing)
    inner.write_bytes(b"no directory")
    blocked = look(footing)
    inner.unlink()
    (tmp_path / "away").rename(inner)

    assert (moved.is_replaced, blocked.is_replaced, look(footing)) == (False, False, None)


def test_the_first_that_is_lost_is_told(tmp_path):
    """In the order in which they were noted."""
    footing = Footing()
    for name in FILES:
        (tmp_path / name).touch()
        footing.stand_on(tmp_path / name)
    for name in reversed(FILES):
        (tmp_path / name).unlink()
        assert look(footing).file.name == name


def test_a_look_lasts_for_a_moment(file, footing, monkeypatch):
    """Commits that follow one another share one; a loss is looked for again every time."""
    looks = []
    now = [100.0]
    real = identity_at
    monkeypatch.setattr(footing_module, "identity_at", lambda f: looks.append(f) or real(f))
    monkeypatch.setattr(footing_module.time, "monotonic", lambda: now[0])
    for _ in range(3):
        footing.check()
    shared = len(looks)
    now[0] += CHECK_EVERY_S
    file.unlink()
    for _ in range(3):
        with pytest.raises(LostFileError):
            footing.check()

    assert (shared, len(looks)) == (1, 4)


def test_what_cannot_be_told_is_no_loss(file, footing, monkeypatch):
    """A directory that may not be searched any more says nothing of the file."""

    def refuse(_):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    file.unlink()
    with monkeypatch.context() as patch:
        patch.setattr(footing_module.Path, "stat", refuse)
        unknown = look(footing)

    assert unknown is None
    assert look(footing) is not None


def test_what_a_server_removed(file, footing, monkeypatch):
    """A file that has no name any more is lost, though its old one still finds it."""

    class Nameless:
        st_dev, st_ino, st_nlink = (*identity_at(file), 0)

    monkeypatch.setattr(footing_module.Path, "stat", lambda _: Nameless)

    assert look(footing) is not None


def test_there_has_to_be_something_to_stand_on(tmp_path, monkeypatch):
    """Unless it is not needed: there need be no log. What may not be looked at is named."""
    footing = Footing()
    footing.stand_on(tmp_path / "log", is_needed=False)
    with pytest.raises(LostFileError):
        footing.stand_on(tmp_path / "file")
    monkeypatch.setattr(footing_module, "identity_at", refuse_to_look)
    with pytest.raises(FeishuWsError, match="cannot look at") as refused:
        footing.stand_on(tmp_path / "file")

    assert refused.value.fault is Fault.JOURNAL_IO
    assert footing.check() is None


def refuse_to_look(_):
    """A directory that may not be searched."""
    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


# -- under a journal ----------------------------------------------------------------------


@pytest.fixture
async def opened(open_journal):
    """An open journal with a consumer, and one event that nobody has settled."""
    opened = open_journal(JournalSettings(declared={"bot": Filter()}))
    await append(opened.journal, make_event("a"))
    await asyncio.sleep(CHECK_EVERY_S)
    return opened


def is_well(opened, clock):
    """Let time go on, and tell whether the journal takes writes."""
    clock.advance(0.5)
    return opened.journal.facts().fault is None


def away(opened, *names):
    """Move files of a journal away; return how they come back."""
    place = opened.path.parent
    (place / "away").mkdir(exist_ok=True)
    for name in names:
        (place / name).rename(place / "away" / name)

    def back():
        for name in names:
            (place / "away" / name).rename(place / name)

    return back


@pytest.mark.parametrize("name", FILES)
async def test_nothing_is_confirmed_into_a_lost_file(opened, clock, name):
    """Whichever it is, the next event is refused; when it is back all goes on where it was."""
    journal = opened.journal
    back = away(opened, name)
    refused = await append(journal, make_event("b"))
    shown = journal.facts().fault
    back()
    await eventually(lambda: is_well(opened, clock))
    stored = await append(journal, make_event("b"))

    assert (refused, shown) == (REFUSED, Fault.JOURNAL_IO)
    assert stored == Outcome(Verdict.STORED, 2)
    assert await positions(journal) == [1, 2]
    (faulted,) = opened.told(JournalFaulted)
    assert name in faulted.detail
    assert "restart" in faulted.hint
    assert [told.fault for told in opened.told(JournalRecovered)] == [Fault.JOURNAL_IO]


async def test_it_is_noticed_without_an_event(opened):
    """A quiet journal looks about once a second."""
    away(opened, *FILES)
    await eventually(lambda: opened.journal.facts().fault is Fault.JOURNAL_IO, 3)


async def test_what_is_settled_meanwhile_is_owed(opened, clock, open_journal):
    """It counts at once, is answered when the file is back, and is then on disk."""
    journal = opened.journal
    back = away(opened, "journal.db")
    waiting = journal.settle("bot", [1])
    await append(journal, make_event("b"))
    sent = journal.open_send(OutgoingSend.make("u1", "oc_a", b"{}", clock.wall_ms()))
    with pytest.raises(FeishuWsError) as unsent:
        await sent
    answered = waiting.done()
    back()
    await asyncio.wait_for(waiting, 5)
    await journal.close(5)
    again = open_journal().journal

    assert (answered, unsent.value.fault) == (False, Fault.JOURNAL_IO)
    assert place(again, "bot") == (1, (), 0)
    assert await again.find_send("u1") is None


async def test_what_was_stored_can_still_be_read(opened):
    """An event that nobody has settled can be delivered though its file has no name."""
    for name in FILES:
        (opened.path.parent / name).unlink()
    refused = await append(opened.journal, make_event("b"))

    assert refused == REFUSED
    assert await positions(opened.journal) == [1]


async def test_a_log_that_was_removed_loses_nothing(opened):
    """What only the log held is in the file before the loss is told: a kill does no harm."""
    (opened.path.parent / "journal.db-wal").unlink()
    await append(opened.journal, make_event("b"))
    copy = opened.path.with_name("copy.db")
    shutil.copy(opened.path, copy)
    with contextlib.closing(sqlite3.connect(copy)) as db:
        found = db.execute("SELECT position FROM event").fetchall()

    assert found == [(1,)]


async def test_a_stop_leaves_the_replacement_alone(opened):
    """A journal that took the place of ours, its log beside it, is as it was after our end."""
    place = opened.path.parent
    away(opened, "journal.db", "journal.db-wal")
    (place / "journal.db").write_bytes(b"another")
    (place / "journal.db-wal").write_bytes(b"its log")
    await append(opened.journal, make_event("b"))
    await opened.journal.close(5)

    assert (place / "journal.db").read_bytes() == b"another"
    assert (place / "journal.db-wal").read_bytes() == b"its log"
    assert not (place / "journal.db.damaged").exists(), "the next start has nothing to salvage"


async def test_a_file_replaced_while_it_is_opened(open_journal, monkeypatch):
    """What SQLite has open has to be what lies there, before anybody is told it is ready."""
    from feishu_ws.journal import sqlite

    real = sqlite.connect_writer

    def connect(path):
        connection = real(path)
        path.rename(path.with_name("other"))
        shutil.copy(path.with_name("other"), path)
        return connection

    with monkeypatch.context() as patch:
        patch.setattr(sqlite, "connect_writer", connect)
        with pytest.raises(LostFileError):
            open_journal()
    opened = open_journal()  # the lock is free

    assert (await append(opened.journal, make_event("a"))).verdict is Verdict.STORED


async def test_a_look_that_hangs_holds_up_only_the_writer(opened, monkeypatch):
    """On a disk that does not answer the loop goes on, and the stall shows as with a commit."""
    hangs, gate = threading.Event(), threading.Event()
    real = footing_module.Path.stat

    def hang(path):
        hangs.set()
        gate.wait(30)
        return real(path)

    monkeypatch.setattr(footing_module.Path, "stat", hang)
    outcome = asyncio.get_running_loop().create_future()
    opened.journal.append(make_event("b"), outcome.set_result)
    await eventually(hangs.is_set)
    await eventually(lambda: opened.journal.facts().stalled_s > 0)
    early = outcome.done()
    gate.set()

    assert not early
    assert (await asyncio.wait_for(outcome, 5)).verdict is Verdict.STORED
