"""Commands as real processes, and a fake daemon for those that talk to one."""

import asyncio
import os
import sys
from pathlib import Path

import pytest
from cli.stopped import Stopped, own_environment
from client.fake_daemon import FakeDaemon

from feishu_ws.cli.main import execute

ROOT = Path(__file__).parents[2]


def clean_environment(**more):
    """Return this environment without any of ours, with what is given."""
    env = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("FEISHU_WS_", "XDG_")) and name != "NO_COLOR"
    }
    return env | {"PYTHONPATH": str(ROOT), "TZ": "UTC", "PYTHONWARNINGS": "error"} | more


@pytest.fixture
def start(tmp_path):
    """A function that starts a command in an empty directory."""

    async def start(*words, **env):
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "feishu_ws",
            *words,
            cwd=tmp_path,
            env=clean_environment(HOME=str(tmp_path), **env),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )

    return start


@pytest.fixture
def command(start):
    """A function that runs a command and returns exit code, stdout and stderr."""

    async def run(*words, **env):
        process = await start(*words, **env)
        async with asyncio.timeout(30):
            out, err = await process.communicate()
        return process.returncode, out.decode(), err.decode()

    return run


@pytest.fixture
async def daemon(tmp_path):
    """A fake daemon that listens."""
    async with FakeDaemon(tmp_path / "e.sock") as fake:
        yield fake


@pytest.fixture
def here(monkeypatch, capsys):
    """A function that runs a command in this process: exit code, stdout and stderr."""

    async def run(*words):
        before = os.umask(0o022)
        try:
            code = await asyncio.to_thread(execute, list(words))
        finally:
            os.umask(before)
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.fixture
async def stopped(tmp_path, monkeypatch):
    """A journal whose daemon is stopped, and an environment that names it."""
    found = await Stopped(tmp_path).make()
    own_environment(monkeypatch, tmp_path, found.env)
    return found
