"""Who is at the other end, and who of them may administer."""

import asyncio
import os
import socket
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feishu_ws.downstream import peers
from feishu_ws.downstream.peers import Authority, are_uids_mapped, find_authority, peer_of

UIDS = st.none() | st.integers(0, 2**32 - 1)


class TestAuthority:
    """Root, the daemon's own user, and nobody else."""

    @pytest.mark.parametrize(
        ("own", "hidden", "uid", "may"),
        [
            (990, None, 0, True),
            (990, None, 990, True),
            (990, None, 1000, False),
            (990, None, None, False),
            (0, None, 0, True),
            (0, None, 990, False),
            (65534, None, 65534, True),
            (990, 65534, 0, True),
            (990, 65534, 990, True),
            (990, 65534, 65534, False),
            (65534, 65534, 65534, False),
            (65534, 65534, 0, True),
        ],
    )
    def test_whom_it_has(self, own, hidden, uid, may):
        """A uid that stands for everybody unknown is nobody's, also where it is the daemon's."""
        assert Authority(own, hidden).has(uid) is may

    @given(st.integers(0, 2**32 - 1), UIDS, UIDS)
    def test_nobody_but_two_ever_has_it(self, own, hidden, uid):
        """Whatever the numbers are."""
        if Authority(own, hidden).has(uid):
            assert uid in {0, own}
            assert uid != hidden

    def test_it_explains_who_asked_and_who_may(self):
        """Whoever was refused reads which uid was seen."""
        assert (
            Authority(990).explain(1000)
            == "uid 1000 asked, expected uid 0 or 990, the daemon's own"
        )
        assert Authority(0).explain(1000) == "uid 1000 asked, expected uid 0"
        assert Authority(65534, 65534).explain(65534) == (
            "uid 65534 (a user namespace hides who that is) asked, expected uid 0"
        )


class TestNamespace:
    """Where uids are mapped."""

    def test_here(self, monkeypatch, tmp_path):
        """The map of the initial namespace maps every uid to itself."""
        monkeypatch.setattr(peers, "_PROC", tmp_path)
        (tmp_path / "uid_map").write_text("         0          0 4294967295\n")
        assert find_authority() == Authority(os.geteuid())

        (tmp_path / "uid_map").write_text("0 100000 65536\n")
        assert find_authority() == Authority(os.geteuid(), 65534)

    def test_a_kernel_without_user_namespaces_maps_nothing(self, monkeypatch, tmp_path):
        """There is no such file; without any /proc it cannot be told and is assumed."""
        monkeypatch.setattr(peers, "_PROC", tmp_path)
        assert not are_uids_mapped()

        monkeypatch.setattr(peers, "_PROC", tmp_path / "none")
        monkeypatch.setattr(peers, "_OVERFLOW", tmp_path / "none")
        assert find_authority() == Authority(os.geteuid(), 65534)

    def test_a_real_one(self):
        """In a user namespace that maps one uid, another user looks like nobody and has no say."""
        code = (
            "from feishu_ws.downstream.peers import find_authority as f; a = f();"
            "print(a.own, a.hidden, a.has(0), a.has(65534))"
        )
        done = subprocess.run(
            ["unshare", "--user", "--map-root-user", sys.executable, "-c", code],
            capture_output=True, text=True, check=False, timeout=30,
        )  # fmt: skip
        if "Operation not permitted" in done.stderr:  # a container may forbid it
            assert "unshare" in done.stderr
            return

        assert (done.stdout.strip(), done.stderr) == ("0 65534 True False", "")


async def test_a_peer_is_known_by_its_process_and_user():
    """Both ends of a pair are us."""
    here, there = socket.socketpair(socket.AF_UNIX)
    with here, there:
        assert await asyncio.to_thread(peer_of, here) == (os.getpid(), os.geteuid())
