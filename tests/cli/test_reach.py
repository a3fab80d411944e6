"""Which socket a command talks to."""

import os
import socket
from types import SimpleNamespace

import pytest

from feishu_ws.cli.reach import (
    DIED,
    HANGS,
    explain_absence,
    fault_of,
    is_socket_named,
    refusal,
    socket_of,
)
from feishu_ws.client import Code, Disconnected, RpcError, ask
from feishu_ws.faults import CATALOGUE, Fault


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """An empty directory, no system-wide configuration, nothing in the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("feishu_ws.config.draft.SYSTEM_FILE", str(tmp_path / "none"))
    for name in (
        "FEISHU_WS_SOCKET",
        "FEISHU_WS_SOCKET__PATH",
        "FEISHU_WS_CONFIG",
        "XDG_RUNTIME_DIR",
        "XDG_STATE_HOME",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def _args(config=None, socket=None):
    return SimpleNamespace(config=config, socket=socket)


def test_from_the_command_line_to_the_usual_place(place, monkeypatch):
    """--socket, --config, the variable, the local file, the usual places, in this order."""
    assert socket_of(_args()) == "/run/feishu-ws/events.sock"

    (place / "feishu-ws.toml").write_text('[socket]\npath = "/local.sock"\n')
    assert socket_of(_args()) == "/local.sock"

    monkeypatch.setenv("FEISHU_WS_SOCKET__PATH", "/daemons.sock")
    assert socket_of(_args()) == "/daemons.sock"
    monkeypatch.delenv("FEISHU_WS_SOCKET__PATH")

    monkeypatch.setenv("FEISHU_WS_SOCKET", "/variable.sock")
    assert socket_of(_args()) == "/variable.sock"

    (place / "asked.toml").write_text('[socket]\npath = "/asked.sock"\n')
    assert socket_of(_args(config="asked.toml")) == "/asked.sock"

    assert socket_of(_args(config="asked.toml", socket="/said.sock")) == "/said.sock"


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        (Code.NOT_ALLOWED, Fault.CLIENT_REFUSED),
        (Code.INVALID_PARAMS, Fault.USAGE),
        (Code.CONSUMER_CONFLICT, Fault.CONSUMER_CONFLICT),
        (Code.UNKNOWN_POSITION, Fault.USAGE),
        (Code.FULL, Fault.CLIENT_REFUSED),
        (Code.METHOD_NOT_FOUND, Fault.DAEMON_UNREACHABLE),
        (Code.INTERNAL_ERROR, Fault.INTERNAL),
        (-1, Fault.INTERNAL),
    ],
)
def test_a_refusal_has_a_fault(code, fault):
    """The exit code follows from it."""
    assert refusal(RpcError(code, "no"), "/s").fault is fault


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        ({"fault": "disk_full"}, Fault.DISK_FULL),
        ({"fault": "of_a_newer_daemon"}, Fault.INTERNAL),
        ({"fault": ["disk_full"]}, Fault.INTERNAL),
        ("disk_full", Fault.INTERNAL),
    ],
)
def test_a_daemon_names_the_fault_itself(data, fault):
    """Where it has a word for it, that is the fault."""
    assert fault_of(RpcError(Code.INTERNAL_ERROR, "no", data)) is fault


def test_a_named_socket_is_the_only_one():
    """--socket and $FEISHU_WS_SOCKET mean that one; a configuration means its daemon."""
    assert is_socket_named(_args(socket="/s"))
    assert not is_socket_named(_args(config="/c"))


def test_the_variable_names_it_too(monkeypatch):
    """Unless a configuration is asked for."""
    monkeypatch.setenv("FEISHU_WS_SOCKET", "/variable.sock")

    assert is_socket_named(_args())
    assert not is_socket_named(_args(config="/c"))


async def absence(path):
    """Return what is said of a daemon that is asked for its status there."""
    with pytest.raises(Disconnected) as caught:
        await ask(str(path), "status", timeout_s=0.1)
    return explain_absence(caught.value, str(path))


async def test_a_daemon_that_hangs_is_not_to_be_started(place):
    """It listens: who that is is told, and that it hangs."""
    with socket.socket(socket.AF_UNIX) as hung:
        hung.bind(str(place / "e.sock"))
        hung.listen()
        told = await absence(place / "e.sock")
    assert (told.fault, told.hint) == (Fault.DAEMON_UNREACHABLE, HANGS)
    assert f"process {os.getpid()} (" in told.detail


async def test_a_daemon_that_died_left_its_socket(place):
    """Why it ended is the question before it is started again."""
    with socket.socket(socket.AF_UNIX) as died:
        died.bind(str(place / "e.sock"))
    told = await absence(place / "e.sock")
    assert told.hint == DIED
    assert told.detail.endswith("a daemon that died left it")


async def test_a_daemon_that_never_ran_is_to_be_started(place):
    """Nothing lies there, or something that is no socket."""
    (place / "file").touch()
    for name in ("nothing", "file"):
        told = await absence(place / name)
        assert told.hint == CATALOGUE[Fault.DAEMON_UNREACHABLE].hint
