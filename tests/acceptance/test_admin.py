"""Every admin command, as a process of its own, beside a busy daemon and on a stopped one's journal.

No command has a file of a running daemon's journal open: /proc/PID/fd is looked at all
the time it runs, and the interpreter itself notes every file it opens.
"""

import asyncio
import contextlib
import json
import os
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from processes import APP_ID, APP_SECRET, DaemonProcess
from support import eventually

from feishu_ws.client import Consumer, Disconnected
from feishu_ws.simulator.load import pump
from feishu_ws.simulator.server import Simulator
from feishu_ws.simulator.settings import SimulatorSettings

RATE = 300
DOOM_EVERY = 50  # each 50th event is rejected for good the first time
LOOK_EVERY_S = 0.001
NOTE_OPENED = """
import os, sys
def note(event, args, at=os.open({notes!r}, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)):
    if event in ("open", "sqlite3.connect") and "journal.db" in str(args[0]):
        os.write(at, (str(args[0]) + "\\n").encode())
sys.addaudithook(note)
"""


@dataclass
class Ran:
    """A command that ended.

    Attributes:
        seen: Files of the journal that /proc showed open in it or a child of it.
        opened: Files of the journal that it opened, by its own account.
    """

    code: int
    out: str
    err: str
    seen: set
    opened: list

    def json(self):
        assert self.code == 0, self.err
        return json.loads(self.out)


class Commands:
    """Runs commands with a daemon's environment."""

    def __init__(self, daemon, directory):
        self._directory = directory / "watched"
        self._directory.mkdir()
        self._notes = self._directory / "opened"
        (self._directory / "sitecustomize.py").write_text(
            NOTE_OPENED.format(notes=str(self._notes))
        )
        root = str(Path(__file__).parents[2])
        path = os.pathsep.join([str(self._directory), root])
        self._env = daemon.env | {"PYTHONPATH": path}
        del self._env["FEISHU_WS_APP__SECRET"]  # nothing here meets Feishu

    async def __call__(self, *words):
        """Run one and watch it."""
        self._notes.unlink(missing_ok=True)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "feishu_ws", *words,
            env=self._env, cwd=self._directory, stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        over, seen = threading.Event(), set()
        watch = threading.Thread(target=_watch, args=(process.pid, over, seen))
        watch.start()
        out, err = await asyncio.wait_for(process.communicate(), 30)
        over.set()
        await asyncio.to_thread(watch.join)
        opened = self._notes.read_text().splitlines()
        return Ran(process.returncode, out.decode(), err.decode(), seen, opened)


def _watch(pid, over, seen):
    """Note which files of a journal a process and its children have open, until it is over."""
    while not over.is_set():
        for each in _family(pid):
            with contextlib.suppress(OSError):
                for fd in Path(f"/proc/{each}/fd").iterdir():
                    with contextlib.suppress(OSError):
                        target = fd.readlink()
                        if target.name.startswith("journal.db"):
                            seen.add(target.name)
        time.sleep(LOOK_EVERY_S)


def _family(pid):
    yield pid
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                yield from _family(int(child))


@dataclass
class Bot:
    """A consumer that settles all but each 50th, which it rejects for good the first time.

    Attributes:
        got: Positions in the order of their deliveries.
        again: Those of them that had been delivered before.
        ids: Event ids by position.
        doomed: Positions it rejected for good.
    """

    path: str
    got: list = field(default_factory=list)
    again: list = field(default_factory=list)
    ids: dict = field(default_factory=dict)
    doomed: list = field(default_factory=list)
    dooms: bool = True

    @contextlib.asynccontextmanager
    async def running(self):
        """Read until the end of the block."""
        async with Consumer("bot", self.path, start="earliest") as consumer:
            task = asyncio.create_task(self._read(consumer))
            try:
                yield
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    async def _read(self, consumer):
        async for delivery in consumer:
            position = delivery.position
            is_new = position not in self.ids
            self.got.append(position)
            self.again += [] if is_new else [position]
            self.ids[position] = delivery.event.id
            if is_new and self.dooms and position % DOOM_EVERY == 0:
                self.doomed.append(position)
                with contextlib.suppress(Disconnected):
                    await delivery.reject("not today", dead=True)
            else:
                delivery.settle_soon()

    def times(self, position):
        """Return how often a position was delivered."""
        return self.got.count(position)

    def firsts(self):
        """Return positions in the order of their first deliveries."""
        return list(dict.fromkeys(self.got))


@contextlib.asynccontextmanager
async def load(feishu):
    """Push events all the time; 300 a second."""
    over = asyncio.Event()

    async def push():
        while not over.is_set():
            report = await pump(feishu, RATE, seconds=0.5)
            assert report.confirmed == report.pushed

    task = asyncio.create_task(push())
    try:
        yield
        assert not task.done(), task.result()
    finally:
        over.set()
        await task


@pytest.fixture
async def feishu():
    settings = SimulatorSettings(app_id=APP_ID, app_secret=APP_SECRET)
    async with Simulator(settings) as running:
        yield running


async def enroll(path, name):
    """Let a consumer come to exist, and leave."""
    async with Consumer(name, path, start="earliest") as consumer:
        await consumer.call("ping")


def by_name(listed):
    return {consumer["consumer"]: consumer for consumer in listed["consumers"]}


async def beside_a_daemon(command, bot, ran):
    """Every command while events come; each is noted in `ran`."""

    async def run(*words):
        ran.append(await command(*words))
        return ran[-1]

    await eventually(lambda: len(bot.doomed) >= 6, 20)
    first, second, third = bot.doomed[:3]

    consumers = by_name((await run("consumers", "list", "--json")).json())
    assert consumers["bot"]["connected"]
    assert consumers["bot"]["dead_letters"] >= 6
    assert consumers["spare"]["pending"] > 6 * DOOM_EVERY - 10

    listed = (await run("dead", "list", "--max", "3", "--json")).json()
    assert [letter["position"] for letter in listed["dead"]] == [first, second, third]
    assert {letter["note"] for letter in listed["dead"]} == {"not today"}
    shown = (await run("dead", "show", str(first), "--json")).json()
    assert shown["event"]["id"] == bot.ids[first]
    table = await run("dead", "show", str(first))
    assert f'"id": "{bot.ids[first]}"' in table.out

    answer = await run("dead", "retry", str(first), str(second), "--json")
    assert answer.json() == {"retried": 2, "left": 0}
    await eventually(lambda: bot.times(first) == bot.times(second) == 2)
    assert (await run("dead", "retry", str(first))).code == 64
    assert (await run("dead", "drop", str(third), "--json")).json() == {"dropped": 1}
    assert (await run("dead", "show", str(third))).code == 64

    held = await run("replay", "spare", "--from", "latest")
    assert (held.code, "the same with --skip" in held.err) == (64, True)
    skipped = (await run("replay", "spare", "--from", "latest", "--skip", "--json")).json()
    assert skipped["skipped"] == skipped["cursor"] > 6 * DOOM_EVERY
    assert (await run("consumers", "forget", "bot")).code == 64
    assert (await run("consumers", "forget", "spare")).code == 0
    assert "spare" not in by_name((await run("consumers", "list", "--json")).json())
    assert bot.times(first) == bot.times(second) == 2, "what was given back came once"

    before = len(bot.again)
    moved = (await run("replay", "bot", "--from", "earliest", "--json")).json()
    assert moved["cursor"] == 0
    await eventually(lambda: len(bot.again) >= before + moved["was"], 20)
    again = [position for position in bot.again[before:] if position <= moved["was"]]
    assert again == list(range(1, moved["was"] + 1)), "all of them again, in order, once"
    sentence = await run("replay", "bot", "--from", "1m")
    assert sentence.out.startswith("bot: next event is ")

    given_back = (await run("dead", "retry", "--all", "--consumer", "bot", "--json")).json()
    assert given_back["left"] == 0
    bot.dooms = False
    assert (await run("dead", "list")).code == 0
    assert (await run("dead", "drop", "--all", "--json")).code == 0


async def test_every_command_beside_a_busy_daemon(tmp_path, feishu):
    """All of them work under load, none touches the journal, and nothing is lost."""
    ran = []
    with DaemonProcess(tmp_path, feishu.domain) as daemon:
        await asyncio.to_thread(daemon.start)
        await feishu.wait_for_links(2, 15)
        bot, path = Bot(str(daemon.socket_path)), str(daemon.socket_path)
        await enroll(path, "spare")
        async with bot.running():
            async with load(feishu):
                await beside_a_daemon(Commands(daemon, tmp_path), bot, ran)
            last = daemon.status()["journal"]["last"]
            await eventually(lambda: len(bot.ids) == last, 20)

    assert last == feishu.stats.as_dict()["pushed"]
    assert bot.firsts() == list(range(1, last + 1)), "all of them, first deliveries in order"
    assert [(each.seen, each.opened) for each in ran] == [(set(), [])] * len(ran)
    assert [each.err for each in ran if each.code == 0] == [""] * sum(not e.code for e in ran)
    assert "Traceback" not in daemon.log()


async def on_its_journal(command, dead, last):
    """Every command with nobody there; returns what ran."""
    listed = await command("dead", "list", "--json")
    assert [letter["position"] for letter in listed.json()["dead"]] == dead
    shown = await command("dead", "show", str(dead[0]))
    assert '"specversion": "1.0"' in shown.out
    consumers = await command("consumers", "list", "--json")
    pending = {name: each["pending"] for name, each in by_name(consumers.json()).items()}
    assert pending == {"bot": 0, "spare": last}
    moved = await command("replay", "bot", "--from", str(last - 9))
    again = f"what its filter names from {last - 9} to {last} comes again"
    assert moved.out == f"bot: next event is {last - 9} (was {last + 1}); {again}\n"
    retried = await command("dead", "retry", str(dead[0]), "--json")
    assert retried.json() == {"retried": 1, "left": 0}
    dropped = await command("dead", "drop", "--all")
    assert dropped.out == f"{len(dead) - 1} events are given up for good\n"
    forgotten = await command("consumers", "forget", "spare", "--json")
    assert forgotten.json() == {}
    return [listed, shown, consumers, moved, retried, dropped, forgotten]


async def test_every_command_on_a_stopped_daemons_journal(tmp_path, feishu):
    """They own the journal while they run, say so, and the next daemon obeys what they did."""
    with DaemonProcess(tmp_path, feishu.domain) as daemon:
        await asyncio.to_thread(daemon.start)
        await feishu.wait_for_links(2, 15)
        bot, path = Bot(str(daemon.socket_path)), str(daemon.socket_path)
        await enroll(path, "spare")
        async with bot.running():
            await pump(feishu, count=DOOM_EVERY * 4 + 5, window=64)
            last = daemon.status()["journal"]["last"]
            await eventually(lambda: len(bot.ids) == last and len(bot.doomed) == 4)
            await eventually(lambda: by_status(daemon)["bot"]["pending"] == 0)
        code, _ = await asyncio.to_thread(daemon.stop)
        assert code == 0

        ran = await on_its_journal(Commands(daemon, tmp_path), bot.doomed, last)

        after = Bot(path, dooms=False)
        await asyncio.to_thread(daemon.start)
        async with after.running():
            wanted = [bot.doomed[0], *range(last - 9, last + 1)]
            await eventually(lambda: len(after.got) >= len(wanted))
            await asyncio.sleep(0.3)  # whatever else might come
        left = daemon.call("dead.list")
        names = by_status(daemon).keys()

    assert sorted(after.got) == wanted
    assert {position: after.ids[position] for position in wanted} == {
        position: bot.ids[position] for position in wanted
    }
    assert (left["dead"], set(names)) == ([], {"bot"})
    for each in ran:
        assert {"journal.db", "journal.db.lock"} <= each.seen, "it did have them open"
        told = each.err.startswith("feishu-ws: no daemon runs (")
        assert told == (not each.out.startswith("{")), each
    assert "Traceback" not in daemon.log()


def by_status(daemon):
    return {consumer["name"]: consumer for consumer in daemon.status()["consumers"]}


async def test_a_daemon_that_hangs_keeps_its_journal(tmp_path, feishu):
    """A command does not wait for ever, takes nothing, and says whose the journal is."""
    with DaemonProcess(tmp_path, feishu.domain) as daemon:
        await asyncio.to_thread(daemon.start)
        command = Commands(daemon, tmp_path)
        os.kill(daemon.process.pid, 19)  # SIGSTOP
        try:
            ran = await command("dead", "drop", "--all")
        finally:
            os.kill(daemon.process.pid, 18)  # SIGCONT
        lived_on = daemon.call("ping")

    assert (ran.code, lived_on) == (75, "pong")
    assert f"is locked by process {daemon.process.pid} (" in ran.err
    assert ran.seen <= {"journal.db.lock"}, "the lock alone was tried"
    assert {Path(path).name for path in ran.opened} == {"journal.db.lock"}


async def test_files_that_a_command_leaves_are_the_daemons(tmp_path, feishu):
    """Root may look at the journal of a stopped daemon without locking its user out."""
    uid = 65534 if os.geteuid() == 0 else os.geteuid()
    with DaemonProcess(tmp_path, feishu.domain) as daemon:
        await asyncio.to_thread(daemon.start)
        await asyncio.to_thread(daemon.stop)
        (tmp_path / "journal.db.lock").unlink()
        os.chown(tmp_path / "journal.db", uid, -1)
        ran = await Commands(daemon, tmp_path)("dead", "drop", "--all")

    assert (ran.code, ran.out) == (0, "no dead letters\n")
    owners = {file.name: file.stat().st_uid for file in tmp_path.glob("journal.db*")}
    assert owners == dict.fromkeys(owners, uid)
    assert "journal.db.lock" in owners
