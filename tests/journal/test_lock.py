"""One journal, one process."""

import errno
import fcntl
import os
import signal
import subprocess
import sys

import pytest

from feishu_ws.faults import Fault, FeishuWsError
from feishu_ws.journal import lock as lock_module
from feishu_ws.journal.lock import JournalLock

HOLD = """
import sys
from pathlib import Path
from feishu_ws.journal.lock import JournalLock
JournalLock(Path(sys.argv[1])).acquire()
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock."""
    command = [sys.executable, "-c", HOLD, str(tmp_path / "journal.db")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


def test_a_second_process_is_refused(tmp_path, holder):
    """The lock of another process is refused, saying whose it is and of what."""
    with pytest.raises(FeishuWsError) as refused:
        JournalLock(tmp_path / "journal.db").acquire()

    assert refused.value.fault is Fault.JOURNAL_LOCKED
    assert f"process {holder.pid} (" in refused.value.detail
    assert str(tmp_path / "journal.db") + " " in refused.value.detail


def test_the_lock_ends_with_its_process(tmp_path, holder):
    """A process that is killed leaves no lock behind."""
    holder.send_signal(signal.SIGKILL)
    holder.wait(10)
    lock = JournalLock(tmp_path / "journal.db")
    lock.acquire()
    lock.release()


def test_released_is_free_again(tmp_path):
    """Within one process too the lock is exclusive until it is released; twice is fine."""
    first, second = (JournalLock(tmp_path / "journal.db") for _ in range(2))
    first.acquire()
    with pytest.raises(FeishuWsError, match=f"process {os.getpid()} "):
        second.acquire()
    first.release()
    first.release()
    second.acquire()
    second.release()


@pytest.mark.parametrize("left", [b"", b"no number", b"4194305"])
def test_an_owner_without_a_name(tmp_path, left):
    """What the file says may be anything; the refusal stands."""
    first = JournalLock(tmp_path / "journal.db")
    first.acquire()
    (tmp_path / "journal.db.lock").write_bytes(left)
    with pytest.raises(FeishuWsError, match="process"):
        JournalLock(tmp_path / "journal.db").acquire()
    first.release()


def test_a_word_for_the_next_owner(tmp_path):
    """What an owner notes is there for the next one, and for the one after that."""
    lock = JournalLock(tmp_path / "journal.db")
    lock.note("nobody holds it")
    lock.acquire()
    first = lock.noted
    lock.note("45e0a1de")
    lock.release()
    noted = []
    for _ in range(2):
        lock = JournalLock(tmp_path / "journal.db")
        lock.acquire()
        noted.append(lock.noted)
        lock.release()

    assert (first, noted) == ("", ["45e0a1de", "45e0a1de"])


@pytest.mark.parametrize("what", ["journal.db.lock", "journal.db*"])
def test_a_removed_file_frees_nothing(tmp_path, holder, what):
    """Whatever of the journal is removed, its owner has it, and is named."""
    (tmp_path / "journal.db").touch()
    for file in tmp_path.glob(what):
        file.unlink()
    for _ in range(2):
        with pytest.raises(FeishuWsError) as refused:
            JournalLock(tmp_path / "journal.db").acquire()

    assert refused.value.fault is Fault.JOURNAL_LOCKED
    assert f"process {holder.pid} (" in refused.value.detail
    assert "lock file was removed" in refused.value.detail


def test_a_refusal_leaves_nothing_locked(tmp_path, holder):
    """Who was refused for the removed file of another has it neither, once that one ends."""
    (tmp_path / "journal.db.lock").unlink()
    refused = JournalLock(tmp_path / "journal.db")
    with pytest.raises(FeishuWsError):
        refused.acquire()
    holder.kill()
    holder.wait(10)
    lock = JournalLock(tmp_path / "journal.db")
    lock.acquire()
    lock.release()

    assert refused.identity is None


def test_a_file_that_goes_before_it_is_locked(tmp_path, monkeypatch):
    """What was locked is what lies there: a file removed in between is not taken for the lock."""
    path = tmp_path / "journal.db.lock"
    flock = fcntl.flock
    removed = []

    def late(fd, flags):
        if not removed:
            removed.append(path.unlink())
        flock(fd, flags)

    monkeypatch.setattr(lock_module.fcntl, "flock", late)
    lock = JournalLock(tmp_path / "journal.db")
    lock.acquire()
    found = path.stat()
    identity = lock.identity
    lock.release()

    assert identity == (found.st_dev, found.st_ino)
    assert lock.identity is None


def test_a_file_that_is_always_replaced(tmp_path, monkeypatch):
    """A lock that never lies still is no lock."""
    path = tmp_path / "journal.db.lock"
    monkeypatch.setattr(lock_module.fcntl, "flock", lambda *_: path.unlink())
    with pytest.raises(FeishuWsError, match="replaced all the time") as refused:
        JournalLock(tmp_path / "journal.db").acquire()

    assert refused.value.fault is Fault.JOURNAL_IO


def test_the_lock_is_private(tmp_path):
    """Only its owner can open the file."""
    lock = JournalLock(tmp_path / "journal.db")
    lock.acquire()
    lock.release()

    assert (tmp_path / "journal.db.lock").stat().st_mode & 0o777 == 0o600


def test_no_directory(tmp_path):
    """A lock that cannot be made is `journal_io` and names the path."""
    with pytest.raises(FeishuWsError, match="nowhere") as failed:
        JournalLock(tmp_path / "nowhere" / "journal.db").acquire()

    assert failed.value.fault is Fault.JOURNAL_IO


@pytest.mark.parametrize(
    ("number", "fault"),
    [
        (errno.EROFS, Fault.JOURNAL_READ_ONLY),
        (errno.ENOSPC, Fault.DISK_FULL),
        (errno.EACCES, Fault.JOURNAL_IO),
    ],
)
def test_why_it_cannot_be_made(tmp_path, monkeypatch, number, fault):
    """A full or read-only disk is named as what it is."""

    def refuse(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(lock_module.os, "open", refuse)
    with pytest.raises(FeishuWsError) as failed:
        JournalLock(tmp_path / "journal.db").acquire()

    assert failed.value.fault is fault


def test_a_file_system_without_locks(tmp_path, monkeypatch):
    """A lock that fails for another reason is not blamed on another process."""

    def refuse(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(lock_module.fcntl, "flock", refuse)
    with pytest.raises(FeishuWsError) as failed:
        JournalLock(tmp_path / "journal.db").acquire()

    assert failed.value.fault is Fault.JOURNAL_IO


def test_a_full_disk_does_not_undo_the_lock(tmp_path, monkeypatch):
    """Where the owner's number finds no space, the lock is held all the same."""

    def refuse(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(lock_module.os, "pwrite", refuse)
    lock = JournalLock(tmp_path / "journal.db")
    lock.acquire()
    monkeypatch.undo()
    with pytest.raises(FeishuWsError, match="another process"):
        JournalLock(tmp_path / "journal.db").acquire()
    lock.release()
