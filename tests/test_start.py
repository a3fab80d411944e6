"""A daemon that starts: patient with a command, and open to a stop all the while."""

import asyncio
import errno
import os
import threading
import time
from pathlib import Path

import pytest

from feishu_ws import start
from feishu_ws.clock import ManualClock
from feishu_ws.config import ConfigError
from feishu_ws.faults import Fault, FeishuWsError
from feishu_ws.happenings import ConfigRejected
from feishu_ws.start import LOCK_PATIENCE_S, Rereading, make_place, open_journal


def test_a_place_is_made_for_its_owner_alone(tmp_path):
    """However deep; one that is there already is as it was."""
    path = tmp_path / "a" / "b" / "journal.db"
    make_place(path)
    path.parent.chmod(0o750)
    make_place(path)
    assert path.parent.stat().st_mode & 0o777 == 0o750
    assert (tmp_path / "a" / "b").is_dir()


@pytest.mark.parametrize(
    ("number", "fault"),
    [
        (errno.EACCES, Fault.JOURNAL_IO),
        (errno.EROFS, Fault.JOURNAL_READ_ONLY),
        (errno.ENOSPC, Fault.DISK_FULL),
        (errno.EDQUOT, Fault.DISK_FULL),
    ],
)
def test_a_place_that_cannot_be_made(tmp_path, monkeypatch, number, fault):
    """The fault says why, the message which directory; exit 74, and no traceback."""

    def refuse(path, *_, **__):
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(FeishuWsError) as caught:
        make_place(tmp_path / "a" / "journal.db")
    assert caught.value.fault is fault
    assert caught.value.spec.exit_code == 74
    assert str(tmp_path / "a") in caught.value.detail


class Journal:
    """A journal that cannot be opened a number of times."""

    def __init__(self, times=0, fault=Fault.JOURNAL_LOCKED):
        self.times = times
        self.fault = fault
        self.opened = 0
        self.has_begun = False

    def prepare(self):
        self.opened += 1
        if self.opened <= self.times:
            raise FeishuWsError(self.fault, "process 7 holds it")

    def begin(self):
        self.has_begun = True


async def open_on(clock, journal):
    opening = asyncio.ensure_future(open_journal(journal, clock, asyncio.Event()))
    while not opening.done():
        await asyncio.sleep(0.001)
        clock.advance(0.1)
    return await opening


async def test_waits_for_a_command_to_be_done():
    """A lock that is held for a moment does not end the start."""
    journal = Journal(5)
    assert await open_on(ManualClock(), journal)
    assert (journal.opened, journal.has_begun) == (6, True)


async def test_not_for_another_daemon():
    """A lock that stays held ends it, within its patience."""
    clock = ManualClock()
    began_s = clock.monotonic()
    with pytest.raises(FeishuWsError) as caught:
        await open_on(clock, Journal(1000))
    assert caught.value.fault is Fault.JOURNAL_LOCKED
    assert clock.monotonic() - began_s >= LOCK_PATIENCE_S


async def test_what_waiting_does_not_mend():
    """Anything else is told at once."""
    journal = Journal(1, Fault.JOURNAL_VERSION)
    with pytest.raises(FeishuWsError):
        await open_on(ManualClock(), journal)
    assert journal.opened == 1


async def test_a_stop_while_the_disk_hangs():
    """A stop is heard while the journal is being opened, and waits for nothing."""
    hanging, stop = threading.Event(), asyncio.Event()
    journal = Journal()
    journal.prepare = hanging.wait
    opening = asyncio.ensure_future(open_journal(journal, ManualClock(), stop))
    await asyncio.sleep(0.02)
    began = time.monotonic()
    stop.set()
    assert not await opening
    assert time.monotonic() - began < 1
    assert not journal.has_begun
    hanging.set()


async def test_a_defect_is_raised():
    """What is not a fault ends the start too."""
    journal = Journal()
    journal.prepare = lambda: 1 / 0
    with pytest.raises(ZeroDivisionError):
        await open_on(ManualClock(), journal)


# -- the configuration, read again ----------------------------------------------------------


class Rereader:
    """A configuration that is read as the test says, and what became of that."""

    def __init__(self):
        self.result = "good"
        self.gate = None
        self.read = 0
        self.told = []
        self.rereading = Rereading(
            self._read,
            apply=self._apply,
            observe=self.told.append,
            done=lambda: self.told.append("done"),
        )

    def _read(self):
        self.read += 1
        gate, result = self.gate, self.result
        if gate is not None:
            gate.wait(20)
        if isinstance(result, Exception):
            raise result
        return result

    def _apply(self, loaded):
        if loaded == "crowd":
            raise ConfigError(["no place"])
        self.told.append(loaded)

    async def until(self, number):
        async with asyncio.timeout(5):
            while self.told.count("done") < number:
                await asyncio.sleep(0.002)
        return self.told


@pytest.fixture
async def rereader():
    made = Rereader()
    running = asyncio.create_task(made.rereading.run())
    yield made
    if made.gate is not None:
        made.gate.set()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_what_is_read_is_applied(rereader):
    """Once for each time that it is asked for, and not before."""
    await asyncio.sleep(0)
    assert rereader.read == 0
    rereader.rereading.ask()
    assert await rereader.until(1) == ["good", "done"]
    rereader.rereading.ask()
    assert await rereader.until(2) == ["good", "done"] * 2


@pytest.mark.parametrize(
    ("result", "errors"),
    [
        (ConfigError(["a", "b"]), ("a", "b")),
        ("crowd", ("no place",)),
        (MemoryError("s3cret"), ("config file: MemoryError, expected a readable TOML file",)),
        (
            OSError(errno.EIO, "Input/output error"),
            ("config file: Input/output error, expected a readable TOML file",),
        ),
    ],
)
async def test_what_cannot_be_taken_over(rereader, result, errors):
    """It is told, nothing changes, and the next one is taken over."""
    rereader.result = result
    rereader.rereading.ask()
    assert await rereader.until(1) == [ConfigRejected(errors), "done"]
    rereader.result = "good"
    rereader.rereading.ask()
    assert (await rereader.until(2))[2:] == ["good", "done"]


async def test_no_thread_to_read_with(rereader, monkeypatch):
    """A machine at its limit of processes refuses a reading, and ends nothing."""

    def refuse(_):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as limit:
        limit.setattr(threading.Thread, "start", refuse)
        rereader.rereading.ask()
        [refused, _] = await rereader.until(1)
    assert "can't start new thread" in refused.errors[0]
    rereader.rereading.ask()
    assert (await rereader.until(2))[2:] == ["good", "done"]


async def test_a_file_that_gives_no_answer(rereader, monkeypatch):
    """The loop goes on, it is told, no second reading is begun beside the first; later all is well."""
    monkeypatch.setattr(start, "READ_PATIENCE_S", 0.05)
    rereader.gate = threading.Event()
    for number in (1, 2):
        rereader.rereading.ask()
        await rereader.until(number)
    assert [each.errors for each in rereader.told if each != "done"] == [
        ("config file: no answer within 0.05 s, expected a readable TOML file",)
    ] * 2
    assert rereader.read == 1
    rereader.gate.set()
    rereader.result, rereader.gate = "mended", None
    monkeypatch.setattr(start, "READ_PATIENCE_S", 5)
    rereader.rereading.ask()
    assert (await rereader.until(3))[4:] == ["mended", "done"]
    assert rereader.read == 2


async def test_asked_while_it_is_read(rereader):
    """What changed meanwhile is read too, once however often it was asked for."""
    rereader.gate = threading.Event()
    rereader.rereading.ask()
    async with asyncio.timeout(5):
        while not rereader.read:
            await asyncio.sleep(0.002)
    for _ in range(1000):
        rereader.rereading.ask()
    rereader.result = "newer"
    rereader.gate.set()
    assert await rereader.until(1) == ["good", "newer", "done"]
    assert rereader.read == 2
