"""`feishu-ws simulate`: says how to get there, what happens, and how it went."""

import asyncio
import json
import signal
import socket

import pytest

from feishu_ws.cli.scenarios import SCENARIOS
from feishu_ws.config.keys import KEYS
from feishu_ws.simulator.scenario import load_scenario, parse_scenario, summaries


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


def test_the_scenarios_told_are_those_shipped():
    """Names and summaries are what the files say, in the same order."""
    assert list(SCENARIOS.items()) == list(summaries().items())


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_scenario_advises_settings_that_exist(name):
    """What it tells a daemon to have set can be set, to that value."""
    for key, value in load_scenario(name).daemon.items():
        assert KEYS[key].kind.parse(value) == value


async def test_scenarios_are_listed(command):
    """Every name with its summary, by --scenario list and by --help; as JSON for programs."""
    code, out, err = await command("simulate", "--scenario", "list")
    _, usage, _ = await command("simulate", "--help")
    _, listed, _ = await command("--json", "simulate", "--scenario", "list")

    assert (code, err) == (0, "")
    assert json.loads(listed) == SCENARIOS
    assert out in usage
    for name, summary in SCENARIOS.items():
        assert f"{name} " in out
        assert summary in out


async def test_a_scenario_can_be_shown_and_made_ones_own(command, tmp_path):
    """What --show prints is a scenario that can be read from a file."""
    _, shown, _ = await command("simulate", "--scenario", "tour", "--show")
    assert parse_scenario(shown, "here").name == "tour"

    mine = tmp_path / "mine.toml"
    mine.write_text(shown.replace("at_s = 5\n", "at_s = 5\nwhen = 5\n", 1))
    code, _, err = await command("simulate", "--scenario", str(mine))

    assert code == 78
    assert f"{mine}: mishap 1 (reset) has key 'when', expected one of at_s, every_s, links" in err
    assert "--scenario tour --show explains every key" in err


async def test_it_tells_what_goes_on_and_when(command, tmp_path):
    """Each mishap with what it does, frequent ones once, and the settings worth having."""
    mine = tmp_path / "mine.toml"
    mine.write_text(
        'name = "mine"\nsummary = "s"\ndaemon = { "upstream.settled_s" = 5 }\n[mix]\n"v1.*" = 1\n'
        '[[mishap]]\nkind = "close"\nevery_s = 0.05\ncode = 1001\n'
        '[[mishap]]\nkind = "lose_acks"\nfor_s = 9\n'
    )
    words = ["simulate", "--listen", "127.0.0.1:0", "--events", "30", "--rate", "100"]
    _, out, _ = await command(*words, "--scenario", str(mine))

    lines = out.splitlines()
    assert "  FEISHU_WS_UPSTREAM__SETTLED_S=5 \\" in lines
    (closed,) = [line for line in lines if "close" in line]
    assert closed.endswith('0.0 s  mishap: close code=1001 reason="bye" every 0.05 s')
    assert any(line.endswith("s  mishap: lose_acks share=1 for 9 s") for line in lines)
    assert lines[-1].startswith("in all: pushed 30  confirmed 0  unconfirmed 30  given_up 0")
    assert "offline 30" in lines[-1]


async def test_an_unknown_scenario_gets_the_nearest(command):
    """Exit 78, the name that was perhaps meant, and how to see all."""
    code, _, err = await command("simulate", "--scenario", "strom")
    assert code == 78
    assert "the nearest known name is 'storm'" in err
    assert "feishu-ws simulate --scenario list" in err
