"""A journal whose files are removed, moved or replaced under a running daemon."""

import asyncio
import contextlib
import json
import shutil
import sqlite3
import subprocess

import pytest
from processes import APP_ID, APP_SECRET, DaemonProcess
from support import eventually

from feishu_ws.simulator import corpus
from feishu_ws.simulator.server import Simulator
from feishu_ws.simulator.settings import SimulatorSettings

NEVER_S = (3600.0,)
SOON_S = (0.5,) * 120
NOTICED_S = 3.0  # a look a second, a page a second


@contextlib.asynccontextmanager
async def running(directory, again_s=NEVER_S):
    """A Feishu and a live daemon whose journal lies in a directory of its own."""
    place = directory / "place"
    place.mkdir(exist_ok=True)
    settings = SimulatorSettings(
        app_id=APP_ID, app_secret=APP_SECRET, redelivery_s=again_s, keep_log=True
    )
    async with Simulator(settings) as feishu:
        with DaemonProcess(directory, feishu.domain, journal__path=place / "journal.db") as daemon:
            await asyncio.to_thread(daemon.start)
            await feishu.wait_for_links(2, 15)
            yield feishu, daemon, place


def remove(place, pattern):
    """Do what `rm` does in the journal's directory."""
    for file in place.glob(pattern):
        file.unlink()


async def answers(feishu, first, count):
    """Push messages, one after the other; return what each was answered."""
    deliveries = [feishu.push(corpus.text_message(n)) for n in range(first, first + count)]
    return [(await delivery.confirmed(5))[0] for delivery in deliveries]


def readiness(daemon):
    """Return (HTTP status, fault) of /readyz."""
    code, body = daemon.get("/readyz")
    return code, json.loads(body)["fault"]


async def second_run(daemon, directory):
    """Start another daemon on the same journal; return its exit code and what it wrote."""
    with DaemonProcess(directory, "http://127.0.0.1:9") as second:
        second.env["FEISHU_WS_JOURNAL__PATH"] = daemon.env["FEISHU_WS_JOURNAL__PATH"]
        second.env["FEISHU_WS_SOCKET__PATH"] = str(directory / "second.sock")
        second.log_path = directory / "second.log"
        second.start(wait=False)
        return await asyncio.to_thread(second.process.wait, 15), second.log()


def kept(path):
    """Return the ids of the events in the journal of a stopped daemon."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        return {event_id for (event_id,) in db.execute("SELECT event_id FROM event")}


def confirmed(feishu):
    """Return the ids of the events that were answered 200."""
    return {event_id for event_id, is_confirmed in feishu.log.items() if is_confirmed}


@pytest.mark.parametrize("pattern", ["journal.db*", "journal.db", "journal.db-wal", "*.lock"])
async def test_removed(tmp_path, pattern):
    """At most a moment later nothing is confirmed, it is said loudly, and a restart mends it."""
    async with running(tmp_path, SOON_S) as (feishu, daemon, place):
        pid, before = daemon.process.pid, await answers(feishu, 0, 5)
        await asyncio.sleep(0.1)
        remove(place, pattern)
        await asyncio.sleep(0.1)
        after = await answers(feishu, 5, 5)
        await eventually(lambda: readiness(daemon) == (503, "journal_io"), NOTICED_S)
        status = daemon.status()
        refused = await second_run(daemon, tmp_path)
        (faulted,) = daemon.log_lines("journal.faulted")
        await asyncio.to_thread(daemon.stop)
        await asyncio.to_thread(daemon.start)
        await eventually(lambda: readiness(daemon)[0] == 200, 10)
        await feishu.wait_until_quiet(20)
        await asyncio.to_thread(daemon.stop)

    assert (before, after) == ([200] * 5, [500] * 5)
    assert status["journal"]["fault"] == "journal_io"
    assert "restart feishu-ws" in status["hint"]
    assert "removed or replaced while in use" in faulted["detail"]
    assert "restart feishu-ws" in faulted["hint"]
    assert (refused[0], f"process {pid} (" in refused[1]) == (75, True)
    assert set(feishu.log) == confirmed(feishu)
    lost = len(confirmed(feishu) - kept(place / "journal.db"))
    assert lost == (5 if pattern == "journal.db*" else 0), "those it had confirmed before"


@pytest.mark.parametrize("pattern", ["journal.db-wal", "*.lock"])
async def test_removed_and_killed(tmp_path, pattern):
    """Where the file itself is left, every confirmed event is in it, also after SIGKILL."""
    async with running(tmp_path) as (feishu, daemon, place):
        codes = await answers(feishu, 0, 50)
        remove(place, pattern)
        await eventually(lambda: readiness(daemon) == (503, "journal_io"), NOTICED_S)
        daemon.kill()

    assert set(codes) == {200}
    assert confirmed(feishu) == kept(place / "journal.db")


async def test_a_second_one_after_the_lock_was_removed(tmp_path):
    """Before anything is noticed, and for ever after, it is told whose the journal is."""
    async with running(tmp_path) as (_, daemon, place):
        remove(place, "*.lock")
        first = await second_run(daemon, tmp_path)
        remove(place, "*.lock")
        second = await second_run(daemon, tmp_path)

    assert (first[0], second[0]) == (75, 75)
    assert f"process {daemon.process.pid} (" in second[1]


def move(place, what):
    """Take a journal away; return how it comes back. Mounts need root."""
    away = place.with_name("away")
    if what == "directory":
        place.rename(away)
        return lambda: away.rename(place)
    if what == "mount":
        subprocess.run(["umount", "-l", place], check=True)
        return lambda: subprocess.run(["mount", "--bind", away, place], check=True)
    away.mkdir()
    files = [file.rename(away / file.name) for file in place.iterdir()]
    return lambda: [file.rename(place / file.name) for file in files]


@pytest.fixture
def mounted(tmp_path):
    """The directory lies on a mount of its own."""
    (tmp_path / "place").mkdir()
    (tmp_path / "away").mkdir()
    subprocess.run(["mount", "--bind", tmp_path / "away", tmp_path / "place"], check=True)
    yield
    subprocess.run(["umount", "-l", tmp_path / "place"], check=True)


@pytest.mark.parametrize("what", ["directory", "files", "mount"])
async def test_moved_away_and_back(tmp_path, what, request):
    """What was moved is refused meanwhile and taken again when it is back; nothing is lost."""
    if what == "mount":
        request.getfixturevalue("mounted")
    async with running(tmp_path, SOON_S) as (feishu, daemon, place):
        before = await answers(feishu, 0, 5)
        bring_back = move(place, what)
        await eventually(lambda: readiness(daemon) == (503, "journal_io"), NOTICED_S)
        meanwhile = await answers(feishu, 5, 5)
        bring_back()
        await eventually(lambda: readiness(daemon) == (200, None), 10)
        await feishu.wait_until_quiet(20)
        pending = daemon.status()["journal"]["last"]
        await asyncio.to_thread(daemon.stop)

    assert (before, meanwhile, pending) == ([200] * 5, [500] * 5, 10)
    assert kept(place / "journal.db") == confirmed(feishu) == set(feishu.log)
    assert len(daemon.log_lines("journal.recovered")) == 1


async def test_replaced_by_a_copy(tmp_path):
    """A copy in the place of the file is another file, however alike it looks."""
    async with running(tmp_path) as (feishu, daemon, place):
        before = await answers(feishu, 0, 5)
        shutil.copy2(place / "journal.db", tmp_path / "copy")
        (tmp_path / "copy").rename(place / "journal.db")
        await eventually(lambda: readiness(daemon) == (503, "journal_io"), NOTICED_S)
        after = await answers(feishu, 5, 1)
        await asyncio.to_thread(daemon.stop)
        left = {file.name for file in place.iterdir()}

    assert (before, after) == ([200] * 5, [500])
    assert left >= {"journal.db", "journal.db-wal"}, "the log of the copy's is not ours to remove"
