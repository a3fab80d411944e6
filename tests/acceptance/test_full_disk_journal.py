"""The journal on a disk that fills up and empties, or is read-only at the start. Needs root."""

import asyncio
import contextlib
import subprocess

import pytest
from journal.conftest import Opened
from journal.contract import append, make_event, place, positions
from support import eventually

from feishu_ws.clock import SystemClock
from feishu_ws.faults import Fault, FeishuWsError
from feishu_ws.happenings import JournalFaulted, JournalPruned, JournalRecovered
from feishu_ws.journal.contract import JournalSettings
from feishu_ws.model import Filter, Verdict

SETTINGS = JournalSettings(declared={"bot": Filter()})
CLOCK = SystemClock()


@pytest.fixture
def disk(tmp_path):
    """A file system of 4 MiB."""
    path = tmp_path / "disk"
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(path)], check=True)
    yield path
    subprocess.run(["umount", "-l", str(path)], check=True)


def remount(disk, mode):
    """Make the file system read-only or writable."""
    subprocess.run(["mount", "-o", f"remount,{mode}", str(disk)], check=True)


@contextlib.contextmanager
def ballast(disk, leave=0):
    """Something else that takes all the space but `leave` bytes."""
    file = disk / "ballast"
    with file.open("wb", buffering=0) as out, contextlib.suppress(OSError):
        while True:
            out.write(bytes(4096))
    with file.open("r+b") as out:
        out.truncate(max(file.stat().st_size - leave, 0))
    yield
    file.unlink()


async def flood(journal, name, count, size):
    """Append one after the other; return the outcomes."""
    return [await offer(journal, (name, n), size) for n in range(count)]


async def offer(journal, name, size=40):
    """Append an event that was received just now."""
    return await append(journal, make_event(name, size=size, at_ms=CLOCK.wall_ms()))


def open_on(disk):
    """Open a journal there."""
    return Opened(disk / "journal.db", SETTINGS, CLOCK)


async def test_a_disk_that_fills_up_and_empties(disk):
    """Refused with `disk_full` until there is space; nothing stored is lost, nothing owed either."""
    opened = open_on(disk)
    journal = opened.journal
    with ballast(disk, leave=1024 * 1024):
        outcomes = await flood(journal, "a", 60, 50_000)
        stored = [o.position for o in outcomes if o.verdict is Verdict.STORED]
        waiting = journal.settle("bot", stored[:3])
        refused = await offer(journal, "large", 500_000)
        shown = journal.facts().fault
        await asyncio.sleep(3)  # small commits may fit into what the WAL has: no reason to be well
        still = journal.facts().fault
    await asyncio.wait_for(waiting, 5)
    await eventually(lambda: journal.facts().fault is None, 10)
    after = await flood(journal, "b", 10, 20_000)
    again = await offer(journal, "large", 500_000)
    kept = await positions(journal)
    await journal.close(5)
    reopened = open_on(disk)
    await eventually(lambda: reopened.journal.consumers()["bot"].pending == len(kept) - 3)
    found = await positions(reopened.journal), place(reopened.journal, "bot")[0]
    await reopened.journal.close(5)

    assert 0 < len(stored) < 60
    assert stored == list(range(1, len(stored) + 1))
    assert {o.fault for o in outcomes if o.fault} == {Fault.DISK_FULL} == {refused.fault}
    assert (shown, still) == (Fault.DISK_FULL, Fault.DISK_FULL)
    assert {o.verdict for o in after} == {Verdict.STORED} == {again.verdict}
    assert found == (kept, 3) == (list(range(1, again.position + 1)), 3)
    assert [h.fault for h in opened.told(JournalFaulted)] == [Fault.DISK_FULL]
    assert [h.fault for h in opened.told(JournalRecovered)] == [Fault.DISK_FULL]


async def test_a_disk_that_is_full_to_the_last_byte(disk):
    """With not a byte left it is the same: named as it is, and over when there is space."""
    opened = open_on(disk)
    await offer(opened.journal, "first")
    with ballast(disk):
        outcomes = await flood(opened.journal, "a", 30, 100_000)
    await eventually(lambda: opened.journal.facts().fault is None, 10)
    after = await offer(opened.journal, "after")
    await opened.journal.close(5)

    assert {o.fault for o in outcomes if o.fault} == {Fault.DISK_FULL}
    assert after.verdict is Verdict.STORED


async def test_a_start_on_a_read_only_disk(disk):
    """A journal on a read-only disk says so; once it is writable all is there."""
    opened = open_on(disk)
    await offer(opened.journal, "a")
    await opened.journal.close(5)
    remount(disk, "ro")
    with pytest.raises(FeishuWsError, match="Read-only") as refused:
        open_on(disk)
    remount(disk, "rw")
    reopened = open_on(disk)
    outcome = await offer(reopened.journal, "b")
    await reopened.journal.close(5)

    assert refused.value.fault is Fault.JOURNAL_READ_ONLY
    assert outcome.position == 2


async def test_a_start_on_a_full_disk(disk):
    """A new journal that finds no space says so and leaves the lock free."""
    with ballast(disk), pytest.raises(FeishuWsError) as refused:
        open_on(disk)
    opened = open_on(disk)
    outcome = await offer(opened.journal, "a")
    await opened.journal.close(5)

    assert refused.value.fault is Fault.DISK_FULL
    assert outcome.position == 1


async def test_pruning_goes_on_after_a_full_disk(disk):
    """What a full disk interrupted is taken up again; the file gives its space to new events."""
    opened = Opened(
        disk / "journal.db", JournalSettings(retention_hours=1e-4, dedupe_hours=1e-4), CLOCK
    )
    journal = opened.journal
    with ballast(disk, leave=512 * 1024):
        outcomes = await flood(journal, "a", 40, 50_000)
        stored = sum(o.verdict is Verdict.STORED for o in outcomes)
    await eventually(lambda: journal.facts().fault is None, 10)
    journal.reconfigure(JournalSettings(retention_hours=1e-4, dedupe_hours=1e-4))
    await eventually(lambda: sum(h.events for h in opened.told(JournalPruned)) == stored, 20)
    after = await flood(journal, "b", 20, 50_000)
    await journal.close(5)

    assert 0 < stored < 40
    assert {o.verdict for o in after} == {Verdict.STORED}
