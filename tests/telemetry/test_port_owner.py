"""Whose a port is."""

import os
import socket

import pytest

from feishu_ws.telemetry.port_owner import port_owner

TABLE = """  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:253A 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1
   1: 0100007F:253B 0100007F:9C40 01 00000000:00000000 00:00000000 00000000     0        0 4712 1
"""


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_our_own_listener_is_found(family):
    """A listening socket of this process names this process, in both families."""
    with socket.socket(family) as listener:
        listener.bind(("::1" if family is socket.AF_INET6 else "127.0.0.1", 0))
        listener.listen()
        owner = port_owner(listener.getsockname()[1])
    assert owner.startswith(f"process {os.getpid()} (")


@pytest.fixture
def proc(tmp_path):
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "tcp").write_text(TABLE)
    for pid, link in (("77", "socket:[4711]"), ("78", "socket:[4712]"), ("self", "x")):
        (tmp_path / pid / "fd").mkdir(parents=True)
        (tmp_path / pid / "fd" / "3").symlink_to(link)
        (tmp_path / pid / "comm").write_text("nginx\n")
    return tmp_path


def test_only_listeners_count(proc):
    """A connection from a port does not hold it."""
    assert port_owner(0x253A, proc) == "process 77 (nginx)"
    assert port_owner(0x253B, proc) == ""
    assert port_owner(1, proc) == ""


def test_a_process_that_hides_is_nobody(proc):
    """Without its descriptors, or without /proc at all, there is no answer."""
    (proc / "77" / "fd" / "3").unlink()
    assert port_owner(0x253A, proc) == ""
    assert port_owner(0x253A, proc / "none") == ""
