"""`feishu-ws demo`: the whole thing with real processes, and nothing left behind."""

import asyncio
import json
import os
import signal
import tempfile
from pathlib import Path

import pytest


@pytest.fixture
def temporary():
    """Where the demo puts its files; short, for the sake of the socket's path."""
    with tempfile.TemporaryDirectory(prefix="t-", dir="/tmp") as name:
        yield Path(name)


def _children(pid):
    """Return the live processes that `pid` started, by what they run."""
    found = {}
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        words = Path(f"/proc/{child}/cmdline").read_bytes().decode().split("\0")
        found["simulate" if "simulate" in words else words[-2]] = int(child)
    return found


def _are_gone(children):
    return not [pid for pid in children.values() if Path(f"/proc/{pid}").exists()]


async def _until_event(process):
    """Read until the first event; return the lines before it."""
    lines = []
    async with asyncio.timeout(30):
        while line := (await process.stdout.readline()).decode():
            lines.append(line.rstrip())
            if "      1  " in line:
                return lines
    raise AssertionError(f"no event came: {lines} {(await process.stderr.read()).decode()}")


async def test_it_ends_by_itself_after_so_many_events(command, temporary):
    """Events one line each, a cut link in between, a summary; no file and no process stays."""
    code, out, err = await command("demo", "--events", "20", "--rate", "10", TMPDIR=str(temporary))

    lines = out.splitlines()
    assert (code, err) == (0, "")
    for name in ("feishu", "status", "metrics", "socket"):
        assert any(line.split()[0] == name for line in lines[1:5])
    assert [line for line in lines if "Feishu cuts one of the links" in line]
    assert lines[-1].startswith("received 20, settled 20, duplicates stopped ")
    assert not lines[-1].startswith("received 20, settled 20, duplicates stopped 0")
    assert lines[-1].endswith(" s after the start")
    assert list(temporary.iterdir()) == []


async def test_for_programs_events_are_params_and_the_end_is_a_summary(command, temporary):
    """A line of JSON each; --for ends it too."""
    code, out, err = await command("--json", "demo", "--for", "2.5", TMPDIR=str(temporary))

    *events, last = map(json.loads, out.splitlines())
    assert (code, err) == (0, "")
    assert [event["position"] for event in events] == list(range(1, len(events) + 1))
    assert last["summary"]["settled"] == len(events) > 0
    assert last["summary"]["first_event_s"] > 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_it_in_good_order(start, temporary, number):
    """A summary, exit 0, and nothing left behind."""
    process = await start("demo", TMPDIR=str(temporary))
    await _until_event(process)
    children = _children(process.pid)
    process.send_signal(number)

    out, err = await asyncio.wait_for(process.communicate(), 20)

    assert (process.returncode, err) == (0, b"")
    assert out.decode().splitlines()[-1].startswith("received ")
    assert set(children) == {"simulate", "run"}
    assert _are_gone(children)
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize(
    ("victim", "name"), [("run", "the daemon"), ("simulate", "the simulated Feishu")]
)
async def test_the_death_of_a_part_is_told_with_its_last_words(start, temporary, victim, name):
    """Exit 70, what it wrote, and the other part is ended too."""
    process = await start("demo", TMPDIR=str(temporary))
    await _until_event(process)
    children = _children(process.pid)
    os.kill(children[victim], signal.SIGKILL)

    _, err = await asyncio.wait_for(process.communicate(), 20)

    assert process.returncode == 70
    assert f"feishu-ws: {name} ended with -9, expected it to go on\n" in err.decode()
    assert ("daemon.started" in err.decode()) == (victim == "run")
    assert _are_gone(children)
    assert list(temporary.iterdir()) == []


async def test_a_long_temporary_directory_is_no_obstacle(command, tmp_path):
    """A socket's path has 107 bytes, whatever $TMPDIR says."""
    far = tmp_path / ("x" * 90)
    far.mkdir()

    code, _, err = await command("demo", "--events", "1", TMPDIR=str(far))

    assert (code, err) == (0, "")
