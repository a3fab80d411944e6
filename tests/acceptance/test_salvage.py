"""Journals with damage anywhere: nothing readable is lost, no position comes twice, it works on."""

import asyncio
import json
import random
import re
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from journal import wreck
from journal.conftest import Opened
from journal.contract import append, make_event
from journal.wreck import NAME, PAGE, Damage
from processes import APP_ID, APP_SECRET, ConsumerProcess, DaemonProcess
from support import eventually

from feishu_ws.clock import SystemClock
from feishu_ws.events.envelope import open_envelope
from feishu_ws.events.keys import dedupe_keys
from feishu_ws.journal.contract import JournalSettings
from feishu_ws.journal.pages import MAGIC
from feishu_ws.journal.replace import making
from feishu_ws.model import Event, Filter
from feishu_ws.simulator import corpus
from feishu_ws.simulator.load import pump
from feishu_ws.simulator.server import Simulator
from feishu_ws.simulator.settings import SimulatorSettings

CASES = 200
SECTOR = 512
RAM = Path("/dev/shm")  # commits are synced; there that costs nothing
FILLINGS = ("random", "zeros", "ones", "another page")


# -- any damage ---------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["crashed", "closed"])
def whole(request, tmp_path_factory):
    """A journal, half of it in its log, or all of it in the file."""
    directory = tmp_path_factory.mktemp(request.param)
    return asyncio.run(wreck.build(directory, with_log=request.param == "crashed"))


@st.composite
def damages(draw, whole):
    """Draw what happens to file and log: pages, sectors, and ends that are cut off."""
    sizes = {
        suffix: path.stat().st_size
        for suffix in ("", "-wal")
        if (path := whole.directory / (NAME + suffix)).exists()
    }
    found = []
    for _ in range(draw(st.integers(1, 5))):
        suffix = draw(st.sampled_from(sorted(sizes)))
        unit = draw(st.sampled_from([PAGE, PAGE, PAGE, SECTOR]))
        at = draw(st.integers(0, (sizes[suffix] - 1) // unit)) * unit
        if draw(st.integers(0, 9)) == 0:
            found.append(Damage(suffix, at, None))
            sizes[suffix] = max(at, 1)
        else:
            length = draw(st.sampled_from([1, 1, 1, 2, 3, 16, 64])) * unit
            found.append(Damage(suffix, at, draw(fillings(whole, length))))
    return found


@st.composite
def fillings(draw, whole, length):
    """Draw what a range is overwritten with."""
    match draw(st.sampled_from(FILLINGS)):
        case "random":
            return random.Random(draw(st.integers(0, 2**32))).randbytes(length)
        case "zeros":
            return bytes(length)
        case "ones":
            return b"\xff" * length
    data = (whole.directory / NAME).read_bytes()
    start = draw(st.integers(0, len(data) // PAGE - 1)) * PAGE
    return data[start : start + length].ljust(length, b"\0")


@pytest.mark.timeout(600)
def test_any_damage(whole, record_property):
    """Every event, cursor, key and fact on a page that nothing touched is there after a start.

    Half of the cases each: a journal that crashed, and one that was closed.
    """
    told = []

    @settings(
        max_examples=CASES // 2,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(damages(whole))
    def check(damages):
        with tempfile.TemporaryDirectory(dir=RAM if RAM.is_dir() else None) as scratch:
            directory = wreck.copy(whole.directory, Path(scratch) / "copy")
            wreck.wreck(directory, damages)
            told.append(asyncio.run(wreck.check_start(whole, directory, damages, Path(scratch))))

    check()
    salvaged = sum(each is not None for each in told)
    figures = f"{len(told)} starts, {salvaged} with a salvage"
    print(f"\n{figures}")
    record_property("salvage", figures)
    assert salvaged > len(told) / 3


# -- real processes -----------------------------------------------------------------------


@pytest.fixture
async def feishu():
    """A Feishu that sends again every second what was refused."""
    chosen = SimulatorSettings(
        app_id=APP_ID, app_secret=APP_SECRET, redelivery_s=(1.0,) * 120, keep_log=True
    )
    async with Simulator(chosen) as running:
        yield running


def spoil(path, first, count):
    """Overwrite pages of a file."""
    with path.open("r+b") as file:
        file.seek((first - 1) * PAGE)
        file.write(random.Random(first).randbytes(count * PAGE))


def untouched(path, first, count, ids):
    """Return those of the ids that lie on pages outside of some."""
    data = path.read_bytes()
    rest = data[: (first - 1) * PAGE] + data[(first - 1 + count) * PAGE :]
    return {name for name in ids if name.encode() in rest}


async def test_a_daemon_on_a_damaged_journal(tmp_path, feishu):
    """It delivers all that is readable, in order, takes new events above, says so, and ends well."""
    path = tmp_path / "journal.db"
    with (
        DaemonProcess(tmp_path, feishu.domain, delivery__consumers='["bot"]') as daemon,
        ConsumerProcess(tmp_path, daemon.socket_path) as consumer,
    ):
        await asyncio.to_thread(daemon.start)
        await feishu.wait_for_links(2, 15)
        await pump(feishu, count=600, window=32)
        before = set(feishu.log)
        await asyncio.to_thread(daemon.stop)
        first, count = path.stat().st_size // PAGE // 2, 40
        readable = untouched(path, first, count, before)
        spoil(path, first, count)
        spoil(path, 1, 1)

        await asyncio.to_thread(daemon.start)
        consumer.start()
        await feishu.wait_for_links(2, 15)
        new = feishu.push(corpus.text_message(9001))
        confirmed = await new.confirmed(5)
        status = daemon.status()
        metrics = daemon.get("/metrics")[1].decode()
        await eventually(lambda: daemon.status()["consumers"][0]["pending"] == 0, 30)
        received = [(p, i) for kind, p, i in consumer.notes() if kind == "R"]
        code, _ = await asyncio.to_thread(daemon.stop)
        lines = daemon.log_lines("journal.salvaged")
        await asyncio.to_thread(daemon.start)
        again, _ = await asyncio.to_thread(daemon.stop)

    positions = [position for position, _ in received]
    assert confirmed == (200, None)
    assert len(readable) > 400
    assert readable <= {event_id for _, event_id in received}
    assert positions == sorted(set(positions))
    assert positions[-1] > 600
    assert (code, again) == (0, 0)
    assert [line["level"] for line in lines] == ["error"]
    assert "journal_corrupt" in {fault["fault"] for fault in status["faults"]}
    assert "feishu_ws_journal_salvages_total 1.0" in metrics
    assert len(daemon.log_lines("journal.salvaged")) == 1
    assert Path(lines[0]["kept"]).exists()


async def test_damage_while_running(tmp_path, feishu):
    """500 until the restart, `/readyz` says why; the restart carries over what is readable."""
    path = tmp_path / "journal.db"
    with DaemonProcess(tmp_path, feishu.domain, delivery__consumers='["bot"]') as daemon:
        await asyncio.to_thread(daemon.start)
        await feishu.wait_for_links(2, 15)
        await pump(feishu, count=2000, window=64)
        await asyncio.to_thread(daemon.stop)
        await asyncio.to_thread(daemon.start)
        await feishu.wait_for_links(2, 15)
        spoil(path, path.stat().st_size // PAGE // 2, 100)
        with ConsumerProcess(tmp_path, daemon.socket_path) as consumer:
            consumer.start()
            await eventually(lambda: b"journal_corrupt" in daemon.get("/readyz")[1], 30)
        refused = feishu.push(corpus.text_message(9001))
        first_answer = await refused.confirmed(5)
        readiness = daemon.get("/readyz")
        await eventually(path.with_name("journal.db.damaged").exists)
        code, _ = await asyncio.to_thread(daemon.stop)
        await asyncio.to_thread(daemon.start)
        with ConsumerProcess(tmp_path, daemon.socket_path, "bot") as consumer:
            consumer.start()
            await feishu.wait_until_quiet(30)
            await eventually(lambda: daemon.status()["consumers"][0]["pending"] == 0, 30)
            last = consumer.received()[-1]
        lines = daemon.log_lines("journal.salvaged")

    assert first_answer[0] == 500
    assert (readiness[0], json.loads(readiness[1])["fault"]) == (503, "journal_corrupt")
    assert code == 0
    assert len(lines) == 1
    assert 1500 < lines[0]["events"] < 2000
    assert last > 2000
    assert not path.with_name("journal.db.damaged").exists()


async def fill(path, count):
    """Make a journal of some size."""
    opened = Opened(path, JournalSettings(), SystemClock())
    await opened.journal.enroll("bot", Filter(), 0, declared=False)
    left = asyncio.Semaphore(1024)
    for n in range(count):
        await left.acquire()
        opened.journal.append(message(n), lambda _: left.release())
    for _ in range(1024):
        await left.acquire()
    await opened.journal.close(10)


def message(n):
    """Return the nth event."""
    payload = corpus.text_message(n)
    envelope = open_envelope(payload)
    return Event(envelope, payload, SystemClock().wall_ms(), dedupe_keys(envelope, payload))


def not_damaged(path):
    """Whether the file is a new one already."""
    try:
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except FileNotFoundError:  # just now
        return False


async def test_killed_while_salvaging(tmp_path, feishu):
    """A daemon that is killed again and again while it salvages has everything in the end."""
    path = tmp_path / "journal.db"
    await fill(path, 15_000)
    spoil(path, 1, 1)
    interrupted = 0
    with DaemonProcess(tmp_path, feishu.domain) as daemon:
        for n in range(6):
            daemon.start(wait=False)
            await eventually(lambda: making(path).exists() or not_damaged(path), 15)
            await asyncio.sleep(0.05 + 0.2 * n)
            daemon.kill()
            interrupted += making(path).exists()
        began = asyncio.get_running_loop().time()
        await asyncio.to_thread(daemon.start)
        took_s = asyncio.get_running_loop().time() - began
        status = daemon.status()
        code, _ = await asyncio.to_thread(daemon.stop)
    told = daemon.log_lines("journal.salvaged")
    reopened = Opened(path, JournalSettings(), SystemClock())
    found = await wreck.read_all(reopened.journal)
    await reopened.journal.close(10)

    print(f"\nkilled in {interrupted} salvages; the start after that took {took_s:.1f} s")
    assert code == 0
    assert interrupted >= 1
    assert len(told) >= 1
    assert sorted(found) == list(range(1, 15_001))
    assert status["consumers"][0]["cursor"] == 0
    assert {p.name for p in tmp_path.glob("journal.db*")} - {"journal.db", "journal.db.lock"} == {
        p.name for p in tmp_path.glob("journal.db.corrupt-*")
    }


async def test_no_room_on_the_disk(tmp_path, feishu):
    """Without room for a new file the start ends with 74 and `disk_full`; with room it goes on."""
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", str(disk)], check=True)
    try:
        await fill(disk / "journal.db", 1800)
        spoil(disk / "journal.db", 1, 1)
        before = (disk / "journal.db").read_bytes()
        tight = f"remount,size={len(before) * 3 // 2}"
        subprocess.run(["mount", "-o", tight, str(disk)], check=True)
        with DaemonProcess(tmp_path, feishu.domain, journal__path=disk / "journal.db") as daemon:
            daemon.start(wait=False)
            code = await asyncio.to_thread(daemon.process.wait, 15)
            after = {p.name: p.read_bytes() for p in disk.iterdir()}
            refusal = daemon.log()
            subprocess.run(["mount", "-o", "remount,size=32m", str(disk)], check=True)
            await asyncio.to_thread(daemon.start)
            last = daemon.status()["journal"]["last"]
            told = daemon.log_lines("journal.salvaged")
            ended, _ = await asyncio.to_thread(daemon.stop)
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)

    assert (code, ended) == (74, 0)
    assert "no salvage of" in refusal
    assert after.keys() == {"journal.db", "journal.db.lock"}
    assert after["journal.db"] == before
    assert told[0]["events"] == 1800
    assert last > 1800


@pytest.mark.parametrize("content", [b"dear diary\n" * 500, random.Random(0).randbytes(20_000)])
def test_a_file_that_is_no_journal(tmp_path, content):
    """A start on something else ends with 74, says how to begin anew, and touches nothing."""
    path = tmp_path / "journal.db"
    path.write_bytes(content)
    with DaemonProcess(tmp_path, "http://127.0.0.1:9") as daemon:
        daemon.start(wait=False)
        code = daemon.process.wait(15)

    assert code == 74
    assert re.search(r"journal\.db is no journal of feishu-ws", daemon.log())
    assert "to start a new journal" in daemon.log()
    assert path.read_bytes() == content


# -- catching up --------------------------------------------------------------------------


async def test_a_checkup_is_in_nobodys_way(tmp_path, monkeypatch, record_property):
    """While the whole journal is read through, what consumers ask for waits for one step at most."""
    monkeypatch.setattr("feishu_ws.journal.sqlite.examine", lambda *_: False)
    monkeypatch.setattr("feishu_ws.journal.checkup.BEGIN_AFTER_S", 1.5)
    path = tmp_path / "journal.db"
    await fill(path, 40_000)
    opened = Opened(path, JournalSettings(), SystemClock())
    journal, loop = opened.journal, asyncio.get_running_loop()

    async def read_for(seconds):
        took_s, until, at = [], loop.time() + seconds, 0
        while loop.time() < until:
            began = loop.time()
            reading = await journal.read(at)
            took_s.append(loop.time() - began)
            at = reading.through if reading.events else 0
            await asyncio.sleep(0.002)
        return sorted(took_s)

    quiet = await read_for(1.4)
    steps = journal._checkup.steps
    busy = await read_for(4)
    done = journal._checkup.steps
    await append(journal, make_event("still"))
    await journal.close(10)

    figures = (
        f"{done - steps} steps; a batch p99 {quiet[-len(quiet) // 100] * 1000:.1f} ms without,"
        f" {busy[-len(busy) // 100] * 1000:.1f} ms with, at worst {busy[-1] * 1000:.1f} ms"
    )
    print(f"\n{figures}")
    record_property("checkup", figures)
    assert steps == 0
    assert done > 30
    assert busy[len(busy) // 2] < quiet[len(quiet) // 2] * 3 + 0.01
