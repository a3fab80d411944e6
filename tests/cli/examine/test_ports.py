"""Whether telemetry could listen, or does."""

import asyncio
import os
import socket

import pytest

from feishu_ws.cli.examine.finding import State
from feishu_ws.cli.examine.owners import command_of
from feishu_ws.cli.examine.ports import try_to_bind, try_to_reach
from feishu_ws.faults import Fault


@pytest.fixture
def taken():
    """A port that somebody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_a_port_is_not_listened_on(monkeypatch):
    """A daemon that starts at this very moment would be told that it is taken."""
    monkeypatch.setattr(socket.socket, "listen", lambda *_: pytest.fail("it was"), raising=False)
    assert try_to_bind("127.0.0.1:0").state is State.OK


def test_a_free_port():
    """It is, and stays so."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    finding = try_to_bind(f"127.0.0.1:{port}")
    with socket.socket() as daemon:
        daemon.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        daemon.bind(("127.0.0.1", port))
        daemon.listen()
    assert (finding.state, finding.seen) == (State.OK, f"127.0.0.1:{port} is free")


def test_a_port_that_is_taken(taken):
    """Whose it is is told."""
    finding = try_to_bind(f"127.0.0.1:{taken}")
    assert (finding.state, finding.fault) == (State.FAIL, Fault.PORT_IN_USE)
    assert f"process {os.getpid()}" in finding.seen


def test_a_port_that_the_daemon_has(taken):
    """One that hangs still has its own port: that is no fault of the port."""
    finding = try_to_bind(f"127.0.0.1:{taken}", {command_of(os.getpid())})
    assert (finding.state, finding.fault) == (State.SKIP, None)
    assert "the daemon itself" in finding.seen


@pytest.mark.parametrize(
    ("listen", "state", "seen"),
    [
        ("", State.OK, "off"),
        ("unix:/run/telemetry.sock", State.OK, "for the daemon to make"),
        ("192.0.2.1:9530", State.FAIL, "cannot assign"),
        ("no port", State.FAIL, "telemetry.listen is"),
    ],
)
def test_what_else_may_be_set(listen, state, seen):
    """Nothing, a socket, an address of another machine, nonsense."""
    finding = try_to_bind(listen)
    assert finding.state is state
    assert seen in finding.seen


async def test_beside_a_daemon(taken, tmp_path):
    """Whoever listens where this configuration says will do; nobody is odd."""
    path = tmp_path / "t.sock"
    async with await asyncio.start_unix_server(lambda _, writer: writer.close(), path):
        found = [await try_to_reach(each) for each in ("", f"127.0.0.1:{taken}", f"unix:{path}")]
        await asyncio.sleep(0.05)  # its end of the connection closes
    gone = await try_to_reach(f"unix:{path}.gone")

    assert [each.state for each in found] == [State.OK] * 3
    assert gone.state is State.WARN
