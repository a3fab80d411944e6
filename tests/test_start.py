"""A daemon that starts: patient with a command, and open to a stop all the while."""

import asyncio
import errno
import os
import threading
import time
from pathlib import Path

import pytest

from feishu_ws.clock import ManualClock
from feishu_ws.faults import Fault, FeishuWsError
from feishu_ws.start import LOCK_PATIENCE_S, make_place, open_journal


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
