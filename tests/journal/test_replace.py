"""How the new file comes into the old one's place, whatever happens on the way."""

import errno
import os
import stat

import pytest

from feishu_ws.journal import replace as module
from feishu_ws.journal.replace import choose, go_on, kept_at, making, mark, marked, replace, unmark

NOW_MS = 1_795_475_700_123
KEPT = "journal.db.corrupt-20261123T231500Z"
OLD = {"": b"old file", "-wal": b"old log", "-shm": b"old index"}


@pytest.fixture
def path(tmp_path):
    """A damaged journal, and a new file that is complete."""
    path = tmp_path / "journal.db"
    for suffix, content in OLD.items():
        path.with_name(path.name + suffix).write_bytes(content)
    making(path).write_bytes(b"new file")
    mark(path, "why")
    return path


def contents(path):
    """Return all files beside the journal, and what is in them."""
    return {found.name: found.read_bytes() for found in path.parent.iterdir()}


DONE = {"journal.db": b"new file", **{KEPT + suffix: data for suffix, data in OLD.items()}}


def test_the_exchange(path):
    """The new file is in its place, the damaged set is kept beside it, and nothing else is left."""
    path.chmod(0o644)
    at_s = choose(path, NOW_MS)
    replace(path, at_s)
    kept = path.with_name(KEPT)

    assert kept_at(path, at_s) == kept
    assert contents(path) == DONE
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


class CrashError(BaseException):
    """The process ends here."""


@pytest.fixture
def crash_at(monkeypatch):
    """Let the process end before its nth step that changes the disk."""

    def arm(number):
        left = [number]

        def wrap(target, name):
            real = getattr(target, name)

            def step(*args, **kwargs):
                left[0] -= 1
                if left[0] == 0:
                    raise CrashError
                return real(*args, **kwargs)

            monkeypatch.setattr(target, name, step)

        for name in ("rename", "unlink", "chmod"):
            wrap(module.Path, name)
        wrap(module, "sync")
        wrap(module.os, "utime")
        return left

    return arm


STEPS = 14  # renames of four files and of the new one, and what makes each of them last


@pytest.mark.parametrize("number", range(1, STEPS + 1))
def test_a_crash_at_any_step(path, crash_at, monkeypatch, number):
    """The next start finishes what was begun, or finds everything as it was."""
    crash_at(number)
    with pytest.raises(CrashError):
        replace(path, choose(path, NOW_MS))
    monkeypatch.undo()
    go_on(path)
    found = contents(path)

    as_it_was = {"journal.db" + suffix: data for suffix, data in OLD.items()}
    assert found in (DONE, as_it_was | {"journal.db.damaged": b"why\n"})
    assert (found == DONE) is (number > 3)


def test_that_is_all_the_steps(path, crash_at):
    """There are no more steps than were tried."""
    left = crash_at(STEPS + 1)
    replace(path, choose(path, NOW_MS))

    assert left == [1]


@pytest.mark.parametrize("again", range(1, 11))
def test_a_crash_while_going_on(path, crash_at, monkeypatch, again):
    """A start that is interrupted in its turn loses nothing either."""
    crash_at(5)
    with pytest.raises(CrashError):
        replace(path, choose(path, NOW_MS))
    monkeypatch.undo()
    crash_at(again)
    with pytest.raises(CrashError):
        go_on(path)
    monkeypatch.undo()
    go_on(path)

    assert contents(path) == DONE


def test_nothing_to_go_on_with(path):
    """Half a new file is removed, and nothing else is touched."""
    making(path).with_name("journal.db.salvage-wal").touch()
    go_on(path)
    go_on(path)

    assert contents(path).keys() == {"journal.db" + s for s in OLD} | {"journal.db.damaged"}


def test_no_directory(tmp_path):
    """Where there is no directory there is nothing to do."""
    go_on(tmp_path / "nowhere" / "journal.db")


def test_two_in_one_second(path):
    """A second damaged file gets a name of its own."""
    replace(path, choose(path, NOW_MS))
    making(path).write_bytes(b"newer")
    replace(path, choose(path, NOW_MS))
    kept = KEPT.replace("00Z", "01Z")

    assert contents(path) == DONE | {"journal.db": b"newer", kept: b"new file"}


def test_what_lies_in_the_way(path):
    """What has the name already is not overwritten."""
    path.with_name(KEPT + "-wal").write_bytes(b"somebody's")
    replace(path, choose(path, NOW_MS))

    assert contents(path) == DONE | {KEPT + "-wal": b"somebody's", KEPT + "-wal~": b"old log"}


def test_only_a_log(path):
    """A journal of which there is only the log is replaced as well."""
    path.unlink()
    replace(path, choose(path, NOW_MS))

    assert contents(path) == {name: data for name, data in DONE.items() if name != KEPT}


# -- the mark -----------------------------------------------------------------------------


def test_the_mark(tmp_path):
    """Word is left once for the next start, for its owner alone, and taken away."""
    path = tmp_path / "journal.db"
    assert marked(path) is None
    mark(path, "page 7")
    mark(path, "page 8")
    found = marked(path)
    mode = stat.S_IMODE(path.with_name("journal.db.damaged").stat().st_mode)
    unmark(path)
    unmark(path)

    assert (found, mode, marked(path)) == ("page 8", 0o600, None)


def test_an_empty_mark(tmp_path):
    """A mark that a full disk left empty is a mark."""
    path = tmp_path / "journal.db"
    path.with_name("journal.db.damaged").touch()

    assert marked(path) == "it was found damaged"


@pytest.mark.parametrize("call", ["open", "write", "fsync"])
def test_a_disk_that_takes_no_mark(tmp_path, monkeypatch, call):
    """A disk that takes nothing is no reason to fail."""

    def refuse(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(module.os, call, refuse)
    mark(tmp_path / "journal.db", "why")
