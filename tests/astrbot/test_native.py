"""The plugin's own client of the daemon's socket."""

import asyncio

import pytest
from client.fake_daemon import FakeDaemon
from support import eventually

from feishu_ws.astrbot.plugin import native
from feishu_ws.astrbot.plugin.native import Gone, Native, Refused, find_socket


class Reader:
    """The client, and what it told."""

    def __init__(self, path, consumer="astrbot"):
        self.got, self.told = [], []
        self.native = Native(str(path), consumer, self._take, self.told.append)
        self.running = asyncio.create_task(self.native.run())

    def _take(self, params, session):
        self.got.append((params["position"], session))

    @property
    def positions(self):
        return [position for position, _ in self.got]

    async def close(self):
        self.native.close()
        await asyncio.wait_for(self.running, 5)


@pytest.fixture
async def reader(daemon):
    """A client that is connected to the fake daemon."""
    made = Reader(daemon.path)
    await eventually(lambda: made.native.is_connected)
    yield made
    await made.close()


async def test_it_greets_and_reads(daemon, reader):
    """It says hello as a durable consumer, and hands deliveries on with their session."""
    assert daemon.params("hello") == [{"consumer": "astrbot"}]
    daemon.deliver(1, 2)
    await eventually(lambda: reader.positions == [1, 2])
    session = reader.got[0][1]
    assert (session.journal, session.app_id) == ("j", "cli_a")
    assert reader.told == [""]


async def test_calls_are_answered(daemon, reader):
    """A request returns its result, or raises what the daemon said."""
    daemon.deliver(1)
    await eventually(lambda: reader.got)
    session = reader.got[0][1]
    assert await session.call("settle", {"positions": [1]}) == {}
    daemon.refuse["reply"] = {"code": -32002, "message": "late"}
    with pytest.raises(Refused, match=r"late \(-32002\)"):
        await session.call("reply", {"position": 1, "data": {}})


async def test_whoever_waits_is_told_of_the_end(daemon, reader):
    """A call that was not answered before the end raises, and so does every later one."""
    daemon.silent.add("settle")
    daemon.deliver(1)
    await eventually(lambda: reader.got)
    session = reader.got[0][1]
    waiting = asyncio.create_task(session.call("settle", {"positions": [1]}))
    await daemon.wait_for("settle")
    daemon.drop()
    with pytest.raises(Gone):
        await waiting
    with pytest.raises(Gone):
        await session.call("settle", {"positions": [1]})


async def test_no_answer_in_time(daemon, reader, monkeypatch):
    """A daemon that does not answer is not waited for, for ever."""
    monkeypatch.setattr(native, "ANSWER_S", 0.05)
    daemon.silent.add("settle")
    daemon.deliver(1)
    await eventually(lambda: reader.got)
    with pytest.raises(Gone, match="an answer to settle"):
        await reader.got[0][1].call("settle", {})


@pytest.mark.parametrize("end", ["drop", "bye", "garbage"])
async def test_it_connects_again(daemon, reader, end):
    """However a connection ends, there is another one within a second."""
    if end == "drop":
        daemon.drop()
    elif end == "bye":
        daemon.bye("shutdown")
    else:
        daemon.send_line(b"no json")
    async with asyncio.timeout(1):
        await daemon.wait_for("hello", 2)
    daemon.deliver(7)
    await eventually(lambda: reader.positions == [7])
    assert reader.told[0] == reader.told[-1] == ""


async def test_it_waits_for_a_daemon(tmp_path):
    """Nobody there is told once, and is no reason to give up."""
    reader = Reader(tmp_path / "e.sock")
    await asyncio.sleep(0.5)
    async with FakeDaemon(tmp_path / "e.sock") as daemon:
        await daemon.wait_for("hello")
        await eventually(lambda: reader.native.is_connected)
        assert len(reader.told) == 2
        assert reader.told[0].startswith(f"no daemon at {tmp_path}/e.sock")
        await reader.close()


async def test_a_refused_hello(daemon, monkeypatch):
    """A daemon that refuses is asked again, not too often."""
    monkeypatch.setattr(native, "REFUSED_WAIT_S", 0.05)
    daemon.refuse["hello"] = {"code": -32007, "message": "conflict"}
    reader = Reader(daemon.path)
    await daemon.wait_for("hello", 2)
    assert reader.told == ["the daemon refused consumer astrbot: conflict (-32007)"]
    daemon.refuse.clear()
    await eventually(lambda: reader.native.is_connected)
    await reader.close()


async def test_superseded(daemon, reader, monkeypatch):
    """Whoever took the name over keeps it, until it is free again."""
    monkeypatch.setattr(native, "TAKEN_WAIT_S", 0.02)
    taken = {"name": "astrbot", "connected": True}
    daemon.status["consumers"] = [{"name": "other", "connected": True}, taken]
    daemon.bye("superseded")
    await daemon.wait_for("status", 3)
    assert len(daemon.params("hello")) == 1
    assert "another process reads as consumer astrbot" in reader.told[-1]
    taken["connected"] = False
    await daemon.wait_for("hello", 2)


async def test_close_while_nobody_is_there(tmp_path):
    """It ends when it is told to, also while it waits."""
    reader = Reader(tmp_path / "none")
    await asyncio.sleep(0.05)
    await reader.close()


async def test_big_and_odd_lines(daemon, reader):
    """A line of megabytes and one with a lone surrogate are deliveries like any other."""
    daemon.deliver(1, message={"text": "x" * 3_000_000})
    daemon.send_line(
        b'{"jsonrpc":"2.0","method":"event","params":{"position":2,"event":{"id":"\\ud800"}}}'
    )
    await eventually(lambda: reader.positions == [1, 2])


def test_where_the_socket_is(tmp_path):
    """The environment first, then a daemon of this user's, then the system's."""
    assert find_socket({"FEISHU_WS_SOCKET": "/x"}) == "/x"
    assert find_socket({"HOME": str(tmp_path)}) == native.SYSTEM_SOCKET
    own = tmp_path / ".local/state/feishu-ws/events.sock"
    own.parent.mkdir(parents=True)
    own.touch()
    assert find_socket({"HOME": str(tmp_path)}) == str(own)
    run = tmp_path / "run/feishu-ws/events.sock"
    run.parent.mkdir(parents=True)
    run.touch()
    assert find_socket({"HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path / "run")}) == str(
        run
    )
