"""A name in the kernel that says whose a journal is."""

import errno
import os
import socket
from pathlib import Path

import pytest

from feishu_ws.journal import claim as claim_module
from feishu_ws.journal.claim import ClaimedError, claim


@pytest.fixture
def journal(tmp_path):
    """Where a journal may lie; nothing does."""
    return tmp_path / "journal.db"


@pytest.fixture
def taken(journal):
    """The name of a journal is taken."""
    fd = claim(journal)
    yield fd
    os.close(fd)


def test_a_name_is_taken_once(journal, taken):
    """The second is told the process of the first."""
    with pytest.raises(ClaimedError) as refused:
        claim(journal)

    assert refused.value.pid == os.getpid()


def test_it_is_free_again(journal):
    """Closed is let go."""
    for _ in range(3):
        os.close(claim(journal))


def test_each_journal_has_its_own(journal, taken, tmp_path):
    """Another file, or a file of that name in another directory, is another journal."""
    (tmp_path / "other").mkdir()
    for other in (tmp_path / "other.db", tmp_path / "other" / "journal.db"):
        os.close(claim(other))


def test_the_directory_counts_not_its_path(journal, taken, tmp_path):
    """By another path the same directory has the same journal."""
    link = tmp_path.parent / f"{tmp_path.name}-link"
    link.symlink_to(tmp_path)
    with pytest.raises(ClaimedError):
        claim(link / "journal.db")
    link.unlink()


def test_any_name_of_a_file_will_do(tmp_path):
    """Long ones, and such as are no UTF-8."""
    for name in (b"j" * 255, b"\xff\xfe.db"):
        os.close(claim(tmp_path / os.fsdecode(name)))


@pytest.mark.parametrize(
    ("uid", "owner", "counts"), [(0, 5, True), (5, 5, True), (7, 5, True), (8, 5, False)]
)
def test_a_stranger_does_not_count(journal, taken, monkeypatch, uid, owner, counts):
    """Only root, the directory's owner and our own user can have a journal; we are user 7."""

    class Place:
        st_dev, st_ino, st_uid = (*identity(journal.parent), owner)

    monkeypatch.setattr(claim_module.os, "geteuid", lambda: 7)
    monkeypatch.setattr(claim_module.Path, "stat", lambda _: Place)
    monkeypatch.setattr(claim_module, "_ask", lambda _: claim_module._Peer(4711, uid, 0))
    if counts:
        with pytest.raises(ClaimedError, match="4711"):
            claim(journal)
    else:
        assert claim(journal) is None


def identity(path):
    """Return device and inode."""
    found = path.stat()
    return found.st_dev, found.st_ino


def test_an_owner_that_ends_meanwhile(journal, taken, monkeypatch):
    """Gone between two looks, its name is taken by the third."""
    binds = []

    def bind(name):
        binds.append(name)
        if len(binds) < 3:
            raise OSError(errno.EADDRINUSE, "")
        return 4711

    monkeypatch.setattr(claim_module, "_bind", bind)
    monkeypatch.setattr(claim_module, "_ask", lambda _: None)

    assert (claim(journal), len(set(binds))) == (4711, 1)


def test_one_that_listens_to_nobody(journal):
    """A name whose owner does not answer is nobody's we know."""
    found = journal.parent.stat()
    name = claim_module._name(found.st_dev, found.st_ino, journal.name)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stranger:
        stranger.bind(name)
        assert claim(journal) is None


def test_where_there_are_no_such_names(journal, monkeypatch):
    """The file's lock has to do."""

    def refuse(_):
        raise OSError(errno.EACCES, "")

    monkeypatch.setattr(claim_module, "_bind", refuse)

    assert claim(journal) is None


def test_a_directory_that_is_not_there():
    """Nor is there anything to claim; who makes the file says what is wrong."""
    assert claim(Path("/nowhere/at/all/journal.db")) is None
