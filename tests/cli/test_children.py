"""Processes of the demo: what they inherit, and how they end."""

import asyncio
import socket
from pathlib import Path

import pytest

from feishu_ws.cli.children import Child, ChildError, child_environment, free_port
from feishu_ws.faults import Exit


def test_a_child_inherits_no_settings_and_no_service_manager(monkeypatch):
    """Only what it is given configures it; the rest of the environment stays."""
    for name in ("FEISHU_WS_APP__ID", "FEISHU_WS_CONFIG", "NOTIFY_SOCKET", "LISTEN_FDS"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", "/run/credentials/x")
    monkeypatch.setenv("LANG", "C.UTF-8")

    env = child_environment({"LOG__LEVEL": "debug"})

    assert [name for name in env if name.startswith("FEISHU_WS_")] == ["FEISHU_WS_LOG__LEVEL"]
    assert not {"NOTIFY_SOCKET", "LISTEN_FDS", "CREDENTIALS_DIRECTORY"} & set(env)
    assert env["LANG"] == "C.UTF-8"
    assert (Path(env["PYTHONPATH"].split(":")[0]) / "feishu_ws").is_dir()


def test_a_free_port_can_be_listened_on():
    """Nobody has it."""
    with socket.create_server(("127.0.0.1", free_port())) as server:
        assert server.getsockname()[1] > 0


async def test_a_child_is_ended_with_its_context(tmp_path):
    """In good order: it can say its last words."""
    words = ["--json", "simulate", "--listen", "127.0.0.1:0"]
    async with Child("it", words, tmp_path, child_environment({}), is_read=True) as child:
        assert "listening" in await asyncio.wait_for(child.readline(), 20)

    assert "summary" in await child.readline()
    assert await child.readline() == ""


async def test_a_child_that_ends_by_itself_is_an_error_with_its_output(tmp_path):
    """Watching it raises."""
    async with Child("it", ["frobnicate"], tmp_path, child_environment({})) as child:
        with pytest.raises(ChildError) as caught:
            await asyncio.wait_for(child.watch(), 20)

    assert caught.value.detail == "it ended with 64, expected it to go on"
    assert "invalid choice: 'frobnicate'" in caught.value.output
    assert caught.value.spec.exit_code is Exit.INTERNAL


async def test_a_child_that_does_not_end_is_killed(tmp_path, monkeypatch):
    """A demo ends within seconds, whatever hangs."""
    monkeypatch.setattr("feishu_ws.cli.children.END_S", 0.0)
    words = ["--json", "simulate", "--listen", "127.0.0.1:0"]
    async with Child("it", words, tmp_path, child_environment({}), is_read=True) as child:
        await asyncio.wait_for(child.readline(), 20)

    with pytest.raises(ChildError, match="ended with -9"):
        await child.watch()
