"""`feishu-ws simulate`: says how to get there, what happens, and how it went."""

import asyncio
import json
import signal
import socket

import pytest


async def _line(process):
    return json.loads(await asyncio.wait_for(process.stdout.readline(), 20))


async def test_it_tells_programs_where_it_is_and_sums_up_at_a_signal(start):
    """SIGTERM ends it in good order."""
    process = await start("--json", "simulate", "--listen", "127.0.0.1:0", "--rate", "50")
    listening = await _line(process)
    assert listening["event"] == "listening"
    assert listening["domain"].startswith("http://127.0.0.1:")
    host, _, port = listening["domain"].removeprefix("http://").partition(":")
    socket.create_connection((host, int(port)), 5).close()

    process.send_signal(signal.SIGTERM)

    summary = await _line(process)
    assert summary["event"] == "summary"
    assert summary["pushed"] == summary["unconfirmed"]
    assert await process.wait() == 0


async def test_it_tells_people_how_to_point_a_daemon_at_it(command):
    """Ready to paste; a secret that was given is not repeated."""
    words = ["simulate", "--listen", "127.0.0.1:0", "--events", "1", "--rate", "100"]
    code, out, err = await command(*words, "--secret", "hush", "--app-id", "cli_z")

    assert (code, err) == (0, "")
    assert "simulated Feishu on http://127.0.0.1:" in out
    assert "  FEISHU_WS_APP__ID=cli_z \\\n" in out
    assert "hush" not in out
    assert out.splitlines()[-1].startswith("in all: pushed 1  confirmed 0  unconfirmed 1")


@pytest.mark.parametrize("as_json", [False, True])
async def test_a_port_that_is_taken_is_told(command, as_json):
    """Exit 75, and what to do here."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        code, _, err = await command("simulate", "--listen", where, *["--json"] * as_json)

    assert code == 75
    assert where in err
    assert "name another address with --listen" in err
