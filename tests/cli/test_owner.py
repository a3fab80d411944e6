"""Work on a stopped daemon's journal, as its owner."""

import asyncio
import contextlib
import json
import os
import re
import sqlite3
import stat
from pathlib import Path

import msgspec
import pytest
from cli.stopped import EVENTS
from journal.faulty import FaultyStore

from feishu_ws.cli import owner as owner_module
from feishu_ws.cli.owner import Owner
from feishu_ws.config import load
from feishu_ws.faults import Fault, FeishuWsError
from feishu_ws.journal.lock import JournalLock
from feishu_ws.wire.native import Code, RpcError


@pytest.fixture
def settings(stopped):
    """The daemon's own settings."""
    return load(None, os.environ, needs_secret=False).settings


@pytest.fixture(autouse=True)
def umask():
    """Leave the process as it was."""
    before = os.umask(0o022)
    yield
    os.umask(before)


async def asked(settings, method, **params):
    """Return what one order gives."""
    async with Owner(settings) as owner:
        return msgspec.json.decode(await owner.ask(method, params))


async def test_a_move_is_there_for_the_next_owner(settings, stopped):
    """The cursor stands where it was told to."""
    moved = await asked(settings, "consumers.seek", consumer="bot", **{"from": 4})

    assert moved == {"consumer": "bot", "was": 10, "cursor": 3, "skipped": 0}
    assert (await stopped.record()).cursor == 3


async def test_what_is_pending_is_exact(settings, monkeypatch):
    """Also in the first moment, before anything was counted."""
    async with Owner(settings) as owner:
        journal = owner._journal
        await journal.settle("bot", ())
        uncounted = msgspec.structs.replace(journal.consumers()["bot"], pending=0)
        monkeypatch.setattr(journal, "consumers", lambda: {"bot": uncounted})
        listed = msgspec.json.decode(await owner.ask("consumers.list", {}))

    (bot,) = listed["consumers"]
    assert (bot["cursor"], bot["pending"], bot["connected"]) == (10, EVENTS - 10, False)
    assert bot["dead_letters"] == 2


async def test_dead_letters_are_shown_retried_and_dropped(settings, stopped):
    """As by the daemon."""
    shown = await asked(settings, "dead.show", position=3)
    assert (shown["note"], shown["event"]["appid"]) == ("no\x1b[2J thanks", "cli_a")
    assert await asked(settings, "dead.retry", positions=[3]) == {"retried": 1, "left": 0}
    assert await asked(settings, "dead.drop", all=True) == {"dropped": 1}

    assert await stopped.dead() == []
    record = await stopped.record()
    assert (record.cursor, record.attempts[3].count) == (2, 0)


async def test_declared_consumers_are_the_daemons(settings, stopped, monkeypatch):
    """It is the same open as the daemon's: who is declared exists afterwards."""
    monkeypatch.setenv("FEISHU_WS_DELIVERY__CONSUMERS", '["main"]')
    declared = load(None, os.environ, needs_secret=False).settings

    listed = await asked(declared, "consumers.list")

    assert [consumer["consumer"] for consumer in listed["consumers"]] == ["bot", "main"]


@pytest.mark.parametrize(
    ("method", "params", "code"),
    [
        ("consumers.seek", {"consumer": "x", "from": 1}, Code.INVALID_PARAMS),
        ("consumers.forget", {}, Code.INVALID_PARAMS),
        ("dead.show", {"position": 4}, Code.UNKNOWN_POSITION),
        ("ping", {}, Code.METHOD_NOT_FOUND),
    ],
)
async def test_it_refuses_as_the_daemon_does(settings, stopped, method, params, code):
    """With the same codes, and nothing is changed."""
    with pytest.raises(RpcError) as caught:
        await asked(settings, method, **params)

    assert caught.value.code == code
    assert await stopped.dead() == [3, 5]


async def test_while_it_works_the_lock_is_held_and_then_free(settings, stopped):
    """A daemon that starts meanwhile is told whose the journal is."""
    async with Owner(settings):
        with pytest.raises(FeishuWsError) as caught:
            JournalLock(stopped.path).acquire()
    lock = JournalLock(stopped.path)
    lock.acquire()
    lock.release()

    assert caught.value.fault is Fault.JOURNAL_LOCKED
    assert not stopped.path.with_name("journal.db-wal").exists(), "all is in the file itself"


async def test_somebody_elses_journal_is_not_opened(settings, stopped):
    """Not even looked into."""
    lock = JournalLock(stopped.path)
    lock.acquire()
    before = stopped.path.stat()
    with pytest.raises(FeishuWsError) as caught:
        await asked(settings, "dead.drop", all=True)
    lock.release()

    assert caught.value.fault is Fault.JOURNAL_LOCKED
    assert stopped.path.stat() == before


async def test_a_journal_is_never_made(settings, stopped):
    """Neither the file nor a lock beside it."""
    for file in stopped.path.parent.glob("journal.db*"):
        file.unlink()
    with pytest.raises(FeishuWsError) as caught:
        await asked(settings, "consumers.list")

    assert caught.value.fault is Fault.DAEMON_UNREACHABLE
    assert list(stopped.path.parent.glob("journal.db*")) == []


async def test_a_place_that_cannot_be_looked_at_is_told(stopped, monkeypatch):
    """With the system's words."""
    monkeypatch.setenv("FEISHU_WS_JOURNAL__PATH", f"{stopped.path}/journal.db")
    with pytest.raises(FeishuWsError) as caught:
        await asked(load(None, os.environ, needs_secret=False).settings, "consumers.list")

    assert caught.value.fault is Fault.JOURNAL_IO
    assert caught.value.detail.startswith("not a directory, expected a journal")


async def test_a_disk_that_refuses_ends_it(settings, stopped):
    """The daemon would go on trying; a command says what is wrong at once."""
    async with Owner(settings) as owner:
        disk = FaultyStore(owner._journal._store)
        disk.fail("commit", name="SQLITE_FULL")
        with pytest.raises(FeishuWsError) as caught:
            async with asyncio.timeout(5):
                await owner.ask("dead.drop", {"positions": [3]})
        disk.mend()

    assert caught.value.fault is Fault.DISK_FULL


async def test_trouble_when_nobody_waits_is_no_error(settings):
    """What the disk says after the answer was had is the next one's business."""
    async with Owner(settings) as owner:
        await owner.ask("dead.drop", {"positions": [3]})
        disk = FaultyStore(owner._journal._store)
        disk.fail("commit", name="SQLITE_FULL", times=1)
        owner._journal.seen("bot", 1, connected=False)
        await asyncio.sleep(0.1)


async def test_files_stay_private(settings, stopped):
    """Whatever the umask of the shell is."""
    os.umask(0)
    stopped.path.with_name("journal.db.lock").unlink()
    async with Owner(settings) as owner:
        await owner.ask("dead.drop", {"positions": [3]})
        modes = {stat.S_IMODE(f.stat().st_mode) for f in stopped.path.parent.glob("journal.db*")}

    assert modes == {0o600}


async def test_what_root_leaves_belongs_to_the_journals_user(settings, stopped, monkeypatch):
    """Every file that is new; what lay there before stays whose it is."""
    given = {}
    monkeypatch.setattr(owner_module.os, "geteuid", lambda: 0)
    monkeypatch.setattr(
        owner_module.os, "chown", lambda path, uid, gid, **_: given.update({path.name: (uid, gid)})
    )
    stopped.path.with_name("journal.db.lock").unlink()
    stopped.path.with_name("journal.db.saved").write_text("mine")
    async with Owner(settings) as owner:
        await owner.ask("dead.drop", {"positions": [3]})

    whose = (stopped.path.stat().st_uid, stopped.path.stat().st_gid)
    assert given == {"journal.db": whose, "journal.db.lock": whose}


async def test_also_when_it_could_not_be_opened(settings, stopped, monkeypatch):
    """A lock file that root made would keep the daemon out."""
    given = []
    monkeypatch.setattr(owner_module.os, "geteuid", lambda: 0)
    monkeypatch.setattr(owner_module.os, "chown", lambda path, *_, **__: given.append(path.name))
    stopped.path.with_name("journal.db.lock").unlink()
    with contextlib.closing(sqlite3.connect(stopped.path)) as connection:
        connection.execute("PRAGMA user_version = 999")
    with pytest.raises(FeishuWsError) as caught:
        await asked(settings, "consumers.list")

    assert caught.value.fault is Fault.JOURNAL_VERSION
    assert "journal.db.lock" in given


async def test_what_is_no_journal_is_not_touched(settings, stopped):
    """A path that somebody mistyped."""
    stopped.path.write_bytes(b"no database" * 1000)
    with pytest.raises(FeishuWsError) as caught:
        await asked(settings, "consumers.list")

    assert caught.value.fault is Fault.JOURNAL_CORRUPT
    assert stopped.path.read_bytes() == b"no database" * 1000


async def test_a_salvage_is_told(settings, stopped, here):
    """What a daemon would log must not go unsaid because a command came first."""
    whole = stopped.path.read_bytes()
    stopped.path.write_bytes(whole[: len(whole) // 2])

    code, out, err = await here("--json", "consumers", "list")

    assert (code, "consumers" in json.loads(out)) == (0, True)
    warning = json.loads(err)["warning"]
    assert warning.startswith("the journal was damaged (")
    assert re.search(r"; \d+ events are in a new one, \d+ are lost, ", warning)
    kept = Path(warning.rpartition("is kept, ")[2])
    assert kept.read_bytes() == whole[: len(whole) // 2]
