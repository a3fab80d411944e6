"""Which daemon answers, who else does, or whether one could listen."""

import asyncio
import os
import socket
import stat

import pytest
from client.fake_daemon import FakeDaemon

from feishu_ws.cli.examine import sockets
from feishu_ws.cli.examine.finding import State
from feishu_ws.cli.examine.sockets import Called, call, judge
from feishu_ws.cli.reach import DIED, HANGS
from feishu_ws.client import Code, Disconnected, NotAllowed, RpcError
from feishu_ws.faults import Fault

PATH = "/run/feishu-ws/events.sock"
NOBODY = Disconnected("connection refused", "nobody")
STATUS = {"version": "0.1.0", "now_ms": 7_200_000, "started_ms": 3_600_000}
SOCKET = stat.S_IFSOCK | 0o660


@pytest.mark.parametrize(
    ("called", "held", "state", "fault", "seen"),
    [
        (Called(PATH, STATUS, None, 1, SOCKET, "root:bot"), False, State.OK, None, "mode 0660, root:bot): the service manager listens, feishu-ws 0.1.0 up 1 h 0 min"),
        (Called(PATH, None, NotAllowed("no"), 0, SOCKET, "root:bot"), True, State.FAIL, Fault.CLIENT_REFUSED, "does not let"),
        (Called(PATH, None, RpcError(Code.NOT_ALLOWED, "uid 7 is not allowed"), 9), False, State.FAIL, Fault.CLIENT_REFUSED, "uid 7 is not allowed"),
        (Called(PATH, None, RpcError(Code.FULL, "64 clients"), 9), False, State.FAIL, Fault.CLIENT_REFUSED, "64 clients"),
        (Called(PATH, None, None, 0x7FFFFFFF, SOCKET), True, State.FAIL, Fault.DAEMON_UNREACHABLE, "gave no answer"),
        (Called(PATH, None, None, 0x7FFFFFFF, SOCKET), False, State.FAIL, Fault.SOCKET_IN_USE, "process 2147483647 listens"),
        (Called(PATH, None, NOBODY, 0x7FFFFFFF, SOCKET), False, State.FAIL, Fault.SOCKET_IN_USE, "gave no status"),
        (Called(PATH, None, NOBODY), True, State.FAIL, Fault.DAEMON_UNREACHABLE, "no daemon listens"),
        (Called("/tmp/events.sock", None, NOBODY), False, State.WARN, Fault.DAEMON_UNREACHABLE, "no daemon listens"),
        (Called("/tmp/events.sock", None, NOBODY, 0, SOCKET), False, State.FAIL, Fault.DAEMON_UNREACHABLE, "left by a crash"),
        (Called("/tmp/events.sock", None, NOBODY, 0, stat.S_IFREG), False, State.FAIL, Fault.SOCKET_FAILED, "no socket"),
    ],
)  # fmt: skip
def test_what_is_there(called, held, state, fault, seen):
    """A daemon, somebody else, what somebody left, or nothing."""
    finding = judge(called, is_journal_held=held)
    assert (finding.state, finding.fault) == (state, fault)
    assert seen in finding.seen


def test_what_to_do_about_one_that_died():
    """It was started once; why it ended is the question."""
    finding = judge(Called("/tmp/events.sock", None, NOBODY, 0, SOCKET), is_journal_held=False)
    assert finding.advice == DIED


def test_one_of_ours_that_hangs_is_known_without_its_journal(monkeypatch):
    """This command may not know where that lies."""
    monkeypatch.setattr(sockets, "is_feishu_ws", lambda pid: pid == 7)
    finding = judge(Called(PATH, None, None, 7, SOCKET), is_journal_held=False)
    assert (finding.fault, finding.advice) == (Fault.DAEMON_UNREACHABLE, HANGS)


@pytest.mark.parametrize(
    ("mode", "owner", "advice"),
    [
        (SOCKET, "feishu:bots", "usermod -aG bots"),
        (SOCKET, "feishu:root", "socket.group"),
        (stat.S_IFSOCK | 0o600, "feishu:bots", "socket.group"),
        (None, "", "socket.group"),
    ],
)
def test_how_to_be_let_in(mode, owner, advice):
    """By a group that may write there; never by root's own."""
    finding = judge(Called(PATH, None, NotAllowed("no"), 0, mode, owner), is_journal_held=False)
    assert advice in finding.advice
    assert "-aG root" not in finding.advice
    assert "allow_users" not in finding.advice


def test_a_directory_that_lets_nothing_be_made(monkeypatch):
    """A daemon of this user could not listen there."""
    monkeypatch.setattr(sockets.os, "access", lambda *_: False)
    finding = judge(Called(PATH, None, NOBODY), is_journal_held=False)
    assert finding.fault is Fault.SOCKET_FAILED
    assert "lets" in finding.seen


@pytest.mark.parametrize(
    ("called", "listened"),
    [
        (Called(PATH, STATUS), True),
        (Called(PATH, None, NOBODY), False),
        (Called(PATH, None, NOBODY, 9), True),
        (Called(PATH, None, None), True),
        (Called(PATH, None, NotAllowed("no")), True),
        (Called(PATH, None, RpcError(Code.FULL, "full"), 9), True),
    ],
)
def test_whether_a_daemon_may_run(called, listened):
    """In doubt it does: a link of our own would take its events."""
    assert called.is_listened_on is listened


async def test_a_daemon_is_asked(tmp_path):
    """It tells its status, the socket whose it is."""
    path = tmp_path / "e.sock"
    async with FakeDaemon(path) as daemon:
        daemon.status = STATUS
        called = await call(str(path))
    assert called.status == STATUS
    assert called.pid == os.getpid()
    assert stat.S_ISSOCK(called.mode)


async def listener(path, answer):
    """Somebody who reads a line and answers with these bytes."""

    async def serve(reader, writer):
        try:
            await reader.readline()
            writer.write(answer)
            await reader.read()
        finally:
            writer.transport.abort()

    return await asyncio.start_unix_server(serve, path)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"", type(None)),
        (b"220 smtp ready\n", Disconnected),
        (b'{"id":1,"result":[]}\n', type(None)),
        (b'{"id":1,"result":{"links":"x","journal":3,"now_ms":"a"}}\n', type(None)),
    ],
)
async def test_somebody_else_is_asked(tmp_path, monkeypatch, answer, error):
    """Silence, another protocol and another answer are no daemon's."""
    monkeypatch.setattr(sockets, "DEADLINE_S", 0.3)
    path = tmp_path / "e.sock"
    async with await listener(path, answer):
        called = await call(str(path))
    assert called.status is None
    assert type(called.error) is error
    assert called.is_listened_on


async def test_nobody_is_asked(tmp_path):
    """No file, or one that a crash left."""
    path = tmp_path / "e.sock"
    absent = await call(str(path))
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(str(path))
    left = await call(str(path))

    assert (absent.mode, absent.is_listened_on) == (None, False)
    assert (stat.S_ISSOCK(left.mode), left.is_listened_on) == (True, False)


async def test_the_deadline_is_this_steps_own(tmp_path, monkeypatch):
    """A daemon that hangs does not hold this command."""
    monkeypatch.setattr(sockets, "DEADLINE_S", 0.1)
    path = tmp_path / "e.sock"
    with socket.socket(socket.AF_UNIX) as hung:
        hung.bind(str(path))
        hung.listen()
        called = await asyncio.wait_for(call(str(path)), 2)
    assert (called.status, called.error, called.pid) == (None, None, os.getpid())
