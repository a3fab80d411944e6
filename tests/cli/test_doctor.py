"""`feishu-ws doctor` as a command: lines, colours, questions, exit codes."""

import asyncio
import contextlib
import json
import os
import pty
import re
import signal
import sys

import pytest
from cli.conftest import clean_environment

from feishu_ws.cli.examine.finding import Step
from feishu_ws.simulator.server import Simulator

ESCAPE = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


@pytest.fixture
async def feishu():
    async with Simulator() as running:
        yield running


def settings(feishu, directory):
    return {
        "FEISHU_WS_APP__ID": feishu.settings.app_id,
        "FEISHU_WS_APP__SECRET": feishu.settings.app_secret,
        "FEISHU_WS_APP__DOMAIN": feishu.domain,
        "FEISHU_WS_JOURNAL__PATH": str(directory / "journal.db"),
        "FEISHU_WS_SOCKET__PATH": str(directory / "e.sock"),
        "FEISHU_WS_TELEMETRY__LISTEN": "",
    }


async def test_in_a_pipe(command, feishu, tmp_path):
    """A line for each step, aligned, without colour; the last one says what it comes from."""
    code, out, err = await command("doctor", **settings(feishu, tmp_path))

    head, *lines, last = out.splitlines()
    assert (code, err) == (0, "")
    assert head.startswith("feishu-ws 0")
    assert [line[6:15].strip() for line in lines] == list(Step)
    assert {line[:4].strip() for line in lines} == {"ok", "warn", "skip"}
    assert {line[4:6] + line[15:17] for line in lines} == {"    "}
    assert last == "no fault found, but look at socket"
    assert "\x1b" not in out


async def test_a_fault_decides_the_exit_code(command, feishu, tmp_path):
    """And is named in the last line."""
    feishu.refuse_discovery(403)
    code, out, _ = await command("doctor", **settings(feishu, tmp_path))
    assert code == 77
    assert out.splitlines()[-1].startswith("fault: access_refused at discovery: ")


async def test_for_programs(command, feishu, tmp_path):
    """One object, before or after the command's name."""
    env = settings(feishu, tmp_path)
    for words in (["--json", "doctor"], ["doctor", "--json"]):
        code, out, err = await command(*words, **env)
        report = json.loads(out)
        assert (code, err, report["exit"], report["fault"]) == (0, "", 0, None)
        assert [each["step"] for each in report["steps"]] == list(Step)
    assert feishu.stats.links_opened == 0


async def test_told_to_connect(command, feishu, tmp_path):
    """It does without asking, once."""
    code, out, _ = await command("doctor", "--connect", **settings(feishu, tmp_path))
    assert code == 0
    assert "opened, answered and closed" in out
    assert feishu.stats.links_opened == 1


async def test_a_configuration_that_cannot_be_read(command):
    """What does not depend on it is looked at all the same."""
    code, out, err = await command("doctor", "--config", "/no/such.toml")
    lines = {line[6:15].strip(): line for line in out.splitlines()}
    assert (code, err) == (78, "")
    assert lines["config"].startswith("fail")
    assert "the configuration cannot be read" in lines["dns"]


class Terminal:
    """doctor on a terminal of its own."""

    def __init__(self, directory, **env):
        self._directory = directory
        self._env = clean_environment(HOME=str(directory), COLUMNS="100", **env)
        self.shown = ""

    async def __aenter__(self):
        self._master, slave = pty.openpty()
        os.set_blocking(self._master, False)
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "feishu_ws", "doctor",
            cwd=self._directory, env=self._env,
            stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
        )  # fmt: skip
        os.close(slave)
        return self

    async def __aexit__(self, *_):
        if self.process.returncode is None:
            self.process.kill()
            await self.process.wait()
        os.close(self._master)

    async def read_until(self, words):
        """Read until `words` are shown."""
        async with asyncio.timeout(30):
            while words not in self.shown:
                self._read()
                await asyncio.sleep(0.02)

    def _read(self):
        with contextlib.suppress(OSError):  # nothing yet, or the other end is closed
            self.shown += os.read(self._master, 65_536).decode()

    def type(self, text):
        os.write(self._master, text.encode())

    async def end(self):
        """Return the exit code once it has ended; `shown` is complete then."""
        async with asyncio.timeout(30):
            while self.process.returncode is None:
                self._read()
                await asyncio.sleep(0.02)
        self._read()
        return self.process.returncode

    @property
    def lines(self):
        """What stays to be seen."""
        left = [line.rpartition("\x1b[K")[2] for line in self.shown.splitlines()]
        return [ESCAPE.sub("", line) for line in left]


@pytest.mark.parametrize(("answer", "links"), [("y\n", 1), ("\n", 0), ("no\n", 0), ("\x04", 0)])
async def test_on_a_terminal_it_asks(feishu, tmp_path, answer, links):
    """Only a plain yes opens a link; what was found before is on the screen by then."""
    async with Terminal(tmp_path, TERM="xterm", **settings(feishu, tmp_path)) as terminal:
        await terminal.read_until("[y/N]")
        before = list(terminal.lines)
        terminal.type(answer)
        code = await terminal.end()

    assert (code, feishu.stats.links_opened) == (0, links)
    assert any(line.startswith("ok    discovery") for line in before)
    assert "\x1b[32mok  \x1b[0m  \x1b[36mtcp" in terminal.shown
    assert "looking at dns" in terminal.shown
    broken = [line for line in terminal.lines if str(tmp_path) not in line]  # a path stays whole
    assert max(map(len, broken)) <= 100


async def test_an_interrupt_at_the_question(feishu, tmp_path):
    """One Ctrl-C ends it."""
    async with Terminal(tmp_path, TERM="xterm", **settings(feishu, tmp_path)) as terminal:
        await terminal.read_until("[y/N]")
        terminal.process.send_signal(signal.SIGINT)
        code = await terminal.end()
    assert (code, feishu.stats.links_opened) == (130, 0)


async def test_a_dumb_terminal(feishu, tmp_path):
    """It is asked too, and gets no escape."""
    async with Terminal(tmp_path, TERM="dumb", **settings(feishu, tmp_path)) as terminal:
        await terminal.read_until("[y/N]")
        terminal.type("\n")
        await terminal.end()
    assert "\x1b" not in terminal.shown
