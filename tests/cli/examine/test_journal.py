"""The journal, of a running daemon and of a stopped one."""

import errno
import fcntl
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feishu_ws.cli.examine import journal
from feishu_ws.cli.examine.finding import State
from feishu_ws.cli.examine.journal import (
    Looked,
    find_holder,
    judge,
    judge_running,
    judge_stuck,
    look,
    obstacle,
    who_holds,
)
from feishu_ws.faults import CATALOGUE, Fault, FeishuWsError
from feishu_ws.journal.schema import VERSION, NoJournalError

GIB = 1024**3
CUT = FeishuWsError(Fault.JOURNAL_CORRUPT, "cut short")
PATH = Path("/var/lib/feishu-ws/journal.db")


# -- of a running daemon --------------------------------------------------------------------


def told(**more):
    journal = {"path": str(PATH), "last": 340, "size_bytes": 12 * 1024**2, "limit_bytes": GIB}
    return {"journal": journal | {"free_bytes": 8 * GIB} | more}


@pytest.mark.parametrize(
    ("status", "state", "fault"),
    [
        (told(), State.OK, None),
        (told(fault="disk_full"), State.FAIL, Fault.DISK_FULL),
        (told(size_bytes=int(0.9 * GIB)), State.WARN, Fault.JOURNAL_FULL),
        (told(free_bytes=1024**2), State.WARN, Fault.DISK_FULL),
        (told(free_bytes=1024**2, limit_bytes=12 * 1024**2 * 2), State.WARN, Fault.DISK_FULL),
        (told(path="/elsewhere.db"), State.WARN, None),
        ({}, State.OK, None),
    ],
)
def test_of_a_running_daemon(status, state, fault):
    """Its fault, its room, and whether it is the one that is meant."""
    finding = judge_running(status, str(PATH))
    assert (finding.state, finding.fault) == (state, fault)


@pytest.mark.parametrize("is_there", [True, False])
def test_one_journal_by_two_names(tmp_path, is_there):
    """A link on the way there makes it no other one, whoever may look behind it."""
    behind = tmp_path / "private" / "feishu-ws"
    behind.mkdir(parents=True)
    (tmp_path / "feishu-ws").symlink_to("private/feishu-ws")
    if is_there:
        (behind / "journal.db").touch()
    status = told(path=str(behind / "journal.db"))

    assert judge_running(status, str(tmp_path / "feishu-ws" / "journal.db")).state is State.OK
    assert judge_running(status, str(tmp_path / "journal.db")).state is State.WARN


def test_the_daemon_may_know_better_what_to_do():
    """Its own hint about the journal's fault is passed on, one about another fault is not."""
    lost = told(fault="journal_io") | {"fault": "journal_io", "hint": "restart it"}
    other = told(fault="journal_io") | {"fault": "dns_failed", "hint": "look at the resolver"}

    assert judge_running(lost, "").hint == "restart it"
    assert judge_running(other, "").hint == ""


def test_its_figures():
    """Positions, bytes and what is left."""
    assert judge_running(told(), "").seen == (
        f"{PATH}: positions to 340, 12.0 MiB of 1.0 GiB, 8.0 GiB free"
    )


def test_a_fault_says_what_it_has_cost():
    """How many events were refused for it, and that Feishu sends them again."""
    full = told(fault="disk_full") | {"refused": {"disk_full": 17, "journal_slow": 3}}
    assert judge_running(full, "").seen.endswith(
        "; 17 refused for it since the start, Feishu sends them again"
    )
    assert "refused" not in judge_running(told(fault="disk_full"), "").seen


def test_scarce_room_names_what_would_be_enough():
    """The limit is doctor's, so nobody could know it."""
    running = judge_running(told(free_bytes=1024**2), "").seen
    stopped = judge(good(free_bytes=1024**2)).seen
    assert running.endswith("1.0 MiB free; less than 256.0 MiB is free")
    assert stopped.endswith("takes 4 ms; less than 256.0 MiB is free")


def test_a_file_that_is_none_of_ours():
    """The advice is what the start would give, which does not touch such a file."""
    assert judge(good(is_database=False)).advice.startswith(NoJournalError.hint)
    assert judge(good(flaw=NoJournalError(PATH, "it"))).advice == NoJournalError.hint
    assert judge(good(flaw=CUT)).advice == CATALOGUE[Fault.JOURNAL_CORRUPT].hint


# -- of a stopped one -----------------------------------------------------------------------


def good(**more):
    return Looked(**{"path": PATH, "version": VERSION, "size_bytes": GIB, "free_bytes": GIB, "synced_s": 0.004} | more)  # fmt: skip


@pytest.mark.parametrize(
    ("looked", "state", "fault", "seen"),
    [
        (good(), State.OK, None, "1.0 GiB, 1.0 GiB free, a synced write takes 4 ms"),
        (good(version=None), State.OK, None, "not there yet"),
        (good(ancestor=Path("/var/lib")), State.OK, None, "/var/lib lets it be made"),
        (good(owner="process 7 (python3)"), State.FAIL, Fault.JOURNAL_LOCKED, "process 7"),
        (good(version=VERSION + 1), State.FAIL, Fault.JOURNAL_VERSION, f"version {VERSION + 1}"),
        (good(is_database=False), State.FAIL, Fault.JOURNAL_CORRUPT, "no SQLite database"),
        (good(flaw=CUT), State.FAIL, Fault.JOURNAL_CORRUPT, "cut short"),
        (good(flaw=CUT, version=VERSION + 1), State.FAIL, Fault.JOURNAL_CORRUPT, "cut short"),
        (good(synced_s=0.9), State.WARN, Fault.JOURNAL_SLOW, "takes 900 ms"),
        (good(free_bytes=1024), State.WARN, Fault.DISK_FULL, "1.0 KiB free"),
        (good(strangers=("journal.db-wal",)), State.WARN, Fault.JOURNAL_IO, "journal.db-wal not of"),
        (good(error=OSError(errno.EROFS, "x")), State.FAIL, Fault.JOURNAL_READ_ONLY, "x"),
        (good(error=OSError(errno.ENOSPC, "x")), State.FAIL, Fault.DISK_FULL, "x"),
        (good(error=OSError(errno.ENOTDIR, "x", "/f")), State.FAIL, Fault.JOURNAL_IO, "/f: x"),
        (good(error=OSError(errno.EACCES, "x")), State.FAIL, Fault.JOURNAL_IO, "cannot be looked at"),
        (good(error=OSError(errno.EACCES, "x"), path=Path("/etc/journal.db")), State.FAIL, Fault.JOURNAL_IO, "/etc belongs to root"),
    ],
)  # fmt: skip
def test_of_a_stopped_daemon(looked, state, fault, seen):
    """Whether it could be written, by whom, and how fast."""
    finding = judge(looked)
    assert (finding.state, finding.fault) == (state, fault)
    assert seen in finding.seen


def test_a_disk_that_does_not_answer():
    """It is the daemon's word for the same."""
    assert judge_stuck().fault is Fault.JOURNAL_SLOW


# -- looking --------------------------------------------------------------------------------


@pytest.fixture
def path(tmp_path):
    """Where a journal would lie."""
    return tmp_path / "journal.db"


def files(path):
    return sorted(each.name for each in path.parent.iterdir())


def test_nothing_is_there_yet(path):
    """A probe was written, and is gone."""
    looked = look(path)
    assert (looked.version, looked.error, looked.owner) == (None, None, None)
    assert looked.synced_s > 0
    assert looked.free_bytes > 0
    assert files(path) == []


def test_a_directory_is_not_there_yet(path):
    """None is made; the nearest that is there is named."""
    looked = look(path.parent / "a" / "b" / "journal.db")
    assert (looked.ancestor, looked.error) == (path.parent, None)
    assert files(path) == []


def test_a_file_where_a_directory_should_be(path):
    """Nothing can be made below it."""
    path.write_bytes(b"")
    assert look(path / "journal.db").error.errno == errno.ENOTDIR


def test_a_journal_is_read_and_not_changed(path):
    """Its version comes from the header; nothing is added beside it."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 7")
    before = path.read_bytes()

    looked = look(path)

    assert (looked.version, looked.is_database) == (7, True)
    assert looked.size_bytes == len(before)
    assert path.read_bytes() == before
    assert files(path) == ["journal.db"]


@pytest.mark.parametrize(
    ("content", "is_database"), [(b"", True), (b"x" * 200, False), (b"SQLite", False)]
)
def test_what_else_may_lie_there(path, content, is_database):
    """An empty file is one that was just made; anything else is no journal."""
    path.write_bytes(content)
    assert look(path).is_database is is_database


def test_what_a_start_would_not_take(path):
    """It is looked for where there is a file, and told."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    assert "theirs" in look(path).flaw.detail
    path.unlink()
    assert look(path).flaw is None


def test_a_lock_that_is_held(path):
    """Its owner is named, and nothing is touched."""
    lock = path.with_name("journal.db.lock")
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        looked = look(path)
    assert looked.owner.startswith(f"process {os.getpid()} (")
    assert files(path) == ["journal.db.lock"]


def test_a_lock_of_a_process_that_cannot_be_seen(path, tmp_path):
    """The kernel's table may not show it; the lock itself does."""
    lock = path.with_name("journal.db.lock")
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert who_holds(lock, tmp_path / "no-table") == "another process"
    assert who_holds(lock, tmp_path / "no-table") is None


def test_a_lock_that_is_left(path):
    """It is free again at once, for a daemon that starts meanwhile."""
    lock = path.with_name("journal.db.lock")
    lock.write_text("4711\n")
    looked = look(path)
    with lock.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert (looked.owner, lock.read_text()) == (None, "4711\n")


def test_a_disk_that_takes_only_part(path, monkeypatch):
    """A short write is a full disk."""
    monkeypatch.setattr(journal.os, "write", lambda *_: 512)
    assert look(path).error.errno == errno.ENOSPC
    assert files(path) == []


def test_files_of_another_user(path, monkeypatch):
    """Root that once ran the daemon by hand leaves files that the service cannot open."""
    path.write_bytes(b"")
    path.with_name("journal.db-wal").write_bytes(b"")
    owner = path.stat().st_uid
    real = Path.stat

    def stat(self, **more):
        found = real(self, **more)
        if self.name != "journal.db-wal":
            return found
        return os.stat_result([*found[:4], owner + 1, *found[5:]])

    monkeypatch.setattr(Path, "stat", stat)
    assert look(path).strangers == ("journal.db-wal",)


LOCKS = """\
1: FLOCK  ADVISORY  WRITE 4711 fe:01:1234 0 EOF
2: POSIX  ADVISORY  WRITE 4712 fe:01:1235 0 EOF
3: FLOCK  ADVISORY  WRITE -1 fe:01:1236 0 EOF
1: -> FLOCK  ADVISORY  WRITE 4714 fe:01:1237 0 EOF
"""


@pytest.mark.parametrize(("inode", "pid"), [(1234, 4711), (1235, 0), (1236, 0), (1237, 0), (9, 0)])
def test_the_kernels_table(inode, pid):
    """Only a lock of the journal's kind that is held counts, not one that is waited for."""
    assert find_holder(LOCKS, os.makedev(0xFE, 1), inode) == pid


@given(st.text(alphabet="FLOCK 12:\n-", max_size=99))
def test_any_table_is_read(text):
    """Kernels differ."""
    assert find_holder(text, os.makedev(0xFE, 1), 1) == 0


def test_why_a_journal_could_not_be_kept(tmp_path, monkeypatch):
    """A place that is there or can be made is good; what is in the way is told, nothing is made."""
    path = tmp_path / "a" / "b" / "journal.db"
    assert obstacle(path) == ""
    assert not path.parent.exists()
    (tmp_path / "a").write_text("a file")
    assert obstacle(path).startswith("not a directory for ")


@pytest.mark.parametrize("forbidden", ["", "journal.db"])
def test_a_place_of_another_user(tmp_path, monkeypatch, forbidden):
    """The directory, or the file in it."""
    (tmp_path / "journal.db").touch()
    where = tmp_path / forbidden
    monkeypatch.setattr(os, "access", lambda path, _: path != where)
    assert obstacle(tmp_path / "journal.db").endswith(f" at {where}")
    assert "permission denied" in obstacle(tmp_path / "journal.db")
