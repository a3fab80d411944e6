"""The way of an order to the journal: the daemon first, the lock otherwise."""

import asyncio
import json
import os
from types import SimpleNamespace

import pytest
from cli.stopped import own_environment
from client.fake_daemon import FakeDaemon

from feishu_ws.cli import channel
from feishu_ws.cli.channel import decode
from feishu_ws.faults import CATALOGUE, Fault
from feishu_ws.journal.lock import JournalLock

UNREACHABLE = CATALOGUE[Fault.DAEMON_UNREACHABLE].hint
LIST = {"consumers": [], "first": 0, "last": 9, "now_ms": 1}


@pytest.fixture
async def served(stopped, monkeypatch):
    """A fake daemon on the very socket that the configuration names."""
    async with FakeDaemon(stopped.socket) as fake:
        fake.results = {"consumers.list": LIST}
        fake.stopped = stopped
        yield fake


@pytest.fixture
def no_journal(monkeypatch):
    """Whoever opens the journal fails."""

    def fail(*_):
        raise AssertionError("the journal was opened")

    monkeypatch.setattr("feishu_ws.journal.lock.JournalLock.acquire", fail)
    monkeypatch.setattr("feishu_ws.journal.file.make_private", fail)


class TestDaemon:
    """Somebody answers."""

    async def test_it_is_asked_and_no_file_is_touched(self, served, here, no_journal):
        """First whether it lives, then the order itself."""
        code, out, err = await here("consumers", "list", "--json")

        assert (code, json.loads(out), err) == (0, LIST, "")
        assert served.calls == [("ping", {}), ("consumers.list", {})]

    @pytest.mark.parametrize("way", ["option", "variable"])
    async def test_its_socket_may_be_named(self, daemon, here, tmp_path, monkeypatch, way):
        """Then no configuration is needed."""
        own_environment(monkeypatch, tmp_path, {})
        words = ["--socket", daemon.path] if way == "option" else []
        if way == "variable":
            monkeypatch.setenv("FEISHU_WS_SOCKET", daemon.path)
        daemon.results = {"consumers.list": LIST}

        assert (await here("consumers", "list", *words))[0] == 0

    @pytest.mark.parametrize(
        ("refusal", "words", "code", "hint"),
        [
            ((-32602, "no consumer 'x'"), ["consumers", "forget", "x"], 64, "feishu-ws consumers list"),
            ((-32007, "it is connected"), ["consumers", "forget", "x"], 64, "feishu-ws consumers list"),
            ((-32003, "no dead letter"), ["dead", "show", "3"], 64, "feishu-ws dead list"),
            ((-32006, "uid 5 asked"), ["dead", "show", "3"], 69,
             "run it as root or as the daemon's user"),
            ((-32601, "no method"), ["dead", "show", "3"], 69,
             "restart the daemon: it is older than this command"),
            ((-32602, "2 are held", {"skipped": 2}), ["replay", "x", "--from", "3"], 64,
             "the same with --skip, if they are not wanted"),
            ((-32603, "disk_full: no", {"fault": "disk_full"}), ["dead", "drop", "3"], 74,
             "free space on that file system"),
            ((-32603, "oh", {"fault": "internal"}), ["dead", "drop", "3"], 70, "report it with the traceback"),
        ],
    )  # fmt: skip
    async def test_a_refusal_is_told(self, served, here, refusal, words, code, hint):
        """In the daemon's words, where, and the one thing to do; the exit code is the fault's."""
        error = dict(zip(("code", "message", "data"), refusal, strict=False))
        for method in ("consumers.forget", "consumers.seek", "dead.show", "dead.drop"):
            served.refuse[method] = error

        told = await here(*words)

        faults = {69: ("client_refused", "daemon_unreachable")[refusal[0] == -32601]}
        fault = error.get("data", {}).get("fault") or faults.get(code)
        lines = f"feishu-ws: {refusal[1]} ({served.path})\n  try: {hint}\n"
        assert told == (code, "", lines + (f"  fault: {fault}\n" if code != 64 else ""))

    async def test_a_refusal_is_told_to_programs(self, served, here):
        """As an object on stderr."""
        served.refuse["consumers.forget"] = {"code": -32007, "message": "it is connected"}
        code, out, err = await here("consumers", "forget", "x", "--json")

        assert (code, out) == (64, "")
        assert json.loads(err)["error"] == {
            "fault": "usage",
            "message": f"it is connected ({served.path})",
            "hint": "feishu-ws consumers list",
            "exit": 64,
        }

    async def test_one_that_refuses_even_that_is_not_replaced(self, served, here, no_journal):
        """It is there, so the journal is its own."""
        served.refuse["ping"] = {"code": -32005, "message": "there are 64 clients"}

        code, _, err = await here("dead", "drop", "--all")

        assert (code, "there are 64 clients" in err) == (69, True)

    async def test_one_that_hangs_up_is_not_replaced(self, stopped, here, no_journal):
        """As it does to users that are not allowed, and when it stops."""
        server = await asyncio.start_unix_server(
            lambda _, writer: writer.transport.abort(), stopped.socket
        )
        async with server:
            code, out, err = await here("dead", "drop", "--all")

        assert (code, out) == (69, "")
        assert "the daemon went away (" in err

    async def test_an_order_without_an_answer_may_have_been_obeyed(
        self, served, here, monkeypatch, no_journal
    ):
        """It says so, and does not do it itself."""
        monkeypatch.setattr(channel, "ORDER_S", 0.05)
        served.silent.add("dead.drop")

        code, _, err = await here("dead", "drop", "--all")

        assert code == 69
        assert "no answer to dead.drop in 0 s, expected one; it may still be done" in err


class TestNobody:
    """Nobody answers."""

    @pytest.mark.parametrize("way", ["option", "variable"])
    async def test_a_named_socket_is_the_only_way(
        self, stopped, here, monkeypatch, no_journal, way
    ):
        """69, whatever journal there is."""
        words = ["--socket", str(stopped.socket)] if way == "option" else []
        if way == "variable":
            monkeypatch.setenv("FEISHU_WS_SOCKET", str(stopped.socket))
        code, out, err = await here("dead", "list", *words)

        assert (code, out) == (69, "")
        assert err.startswith(
            f"feishu-ws: no such file or directory, expected a daemon that listens, {stopped.socket}\n"
        )

    async def test_the_journal_is_used_directly_and_that_is_told(self, stopped, here):
        """On stderr, and not to programs."""
        code, out, err = await here("dead", "list")
        _, _, silent = await here("dead", "list", "--json")

        assert (code, silent) == (0, "")
        assert out.endswith("2 dead letters\n")
        assert err == (
            "feishu-ws: no daemon runs (no such file or directory, expected a daemon that listens,"
            f" {stopped.socket}); its journal was used directly, {stopped.path}\n"
        )

    async def test_a_journal_that_somebody_has_is_left_alone(self, stopped, here):
        """75, naming the process and what it is to do about it."""
        lock = JournalLock(stopped.path)
        lock.acquire()
        try:
            code, out, err = await here("dead", "drop", "--all")
        finally:
            lock.release()

        assert (code, out) == (75, "")
        assert f"is locked by process {os.getpid()} (" in err
        assert "try: name that process's socket with --socket, or stop it\n" in err
        assert await stopped.dead() == [3, 5]

    async def test_a_daemon_that_hangs_is_not_waited_for(self, served, here, monkeypatch):
        """Its lock says whose the journal is; no order is left for it to read later."""
        monkeypatch.setattr(channel, "ANSWER_S", 0.1)
        served.silent.add("ping")
        lock = JournalLock(served.stopped.path)
        lock.acquire()
        try:
            code, _, err = await here("dead", "drop", "--all")
        finally:
            lock.release()

        assert (code, f"process {os.getpid()}" in err) == (75, True)
        assert "no answer in 0 s, expected one" in err
        assert "it hangs, restart it" in err
        assert [method for method, _ in served.calls] == ["ping"]

    async def test_a_socket_that_only_waits_for_a_daemon_is_nobody(self, served, here, monkeypatch):
        """The service manager holds it; with the lock free there is no daemon."""
        monkeypatch.setattr(channel, "ANSWER_S", 0.1)
        served.silent.add("ping")

        assert (await here("dead", "drop", "3"))[0] == 0
        assert await served.stopped.dead() == [5]

    async def test_without_a_journal_nothing_is_made(self, stopped, here, monkeypatch, tmp_path):
        """69 with both reasons."""
        missing = tmp_path / "elsewhere" / "journal.db"
        monkeypatch.setenv("FEISHU_WS_JOURNAL__PATH", str(missing))
        code, out, err = await here("consumers", "list")

        assert (code, out, missing.parent.exists()) == (69, "", False)
        assert err.splitlines()[1:] == [
            f"feishu-ws: no journal, expected one that a daemon left, {missing}",
            f"  try: {UNREACHABLE}, or its configuration with --config",
            "  fault: daemon_unreachable",
        ]

    async def test_without_a_configuration_both_reasons_are_told(self, here, tmp_path, monkeypatch):
        """Whoever configured nothing hears of the daemon first."""
        own_environment(monkeypatch, tmp_path, {})
        code, _, err = await here("--json", "consumers", "list")

        told = json.loads(err)["error"]
        assert (code, told["fault"]) == (69, "daemon_unreachable")
        assert told["errors"][0].endswith(
            "expected a daemon that listens, /run/feishu-ws/events.sock"
        )
        assert told["errors"][1].startswith("app.id: nothing")
        assert len(told["errors"]) == 2, "the secret is nobody's business here"


@pytest.mark.parametrize(
    ("text", "value"), [(b'{"a":1e999}', {"a": float("inf")}), (b"[1]", [1]), (b'"\xe4\xbd\xa0"', "你")]
)  # fmt: skip
def test_any_json_is_read(text, value):
    """Also a number beyond every float: an event is somebody else's."""
    assert decode(text) == value


async def test_what_the_work_returns_is_returned(daemon):
    """A command may ask more than once on one connection."""
    daemon.results = {"a": [1], "b": [2]}

    async def work(ask):
        return [decode(await ask("a", {"x": 1})), decode(await ask("b", {}))]

    args = SimpleNamespace(socket=daemon.path, config=None, json=True, command="dead")

    assert await channel._carry_out(args, work) == [[1], [2]]
    assert daemon.calls == [("ping", {}), ("a", {"x": 1}), ("b", {})]
