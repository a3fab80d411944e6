"""Where the daemon's time goes: CPU by thread from /proc, the loop's share by room.

cProfile makes calls of Python functions dearer than they are, about twofold on the whole;
the shares say where to look, the turn without it says what it costs.
"""

import asyncio
import json
import pstats
import re
import signal
from collections import Counter
from pathlib import Path

from bench.machine import TICKS_PER_S
from bench.report import rows_of
from bench.turns import take_turn

PEERS = Path(__file__).parent / "peers"
DUMP_S = 20
TOP = 25
NOT_THE_LOOP = re.compile("profiled.py|signal")


def runner(directory):
    """Return what to start instead of `-m feishu_ws`."""
    return (str(PEERS / "profiled.py"), str(directory))


async def profile(candidate, load, directory):
    """Put a load on the daemon with and without profiler; return markdown lines."""
    process = candidate.processes[0]
    before = threads_s(process.pid)
    plain = await take_turn(candidate, load, 0)
    after = threads_s(process.pid)
    process.send_signal(signal.SIGUSR1)
    slow = await take_turn(candidate, load, 0)
    process.send_signal(signal.SIGUSR1)
    path = directory / "loop.prof"
    async with asyncio.timeout(DUMP_S):
        while not path.exists():
            await asyncio.sleep(0.05)
    stats = pstats.Stats(str(path)).stats
    path.unlink()
    names = json.loads((directory / "threads.json").read_text())
    return [
        "",
        f"### Profile, {load.name}",
        "",
        f"{plain.cpu_us:.0f} µs of CPU per event by thread; {slow.cpu_us:.0f} µs with the profiler.",
        "",
        *rows_of(by_thread(names, before, after, plain.events)),
        "",
        *rows_of(by_room(stats, slow.events)),
        "",
        *rows_of(by_function(stats, slow.events)),
    ]


def threads_s(pid):
    """Return {thread id: CPU seconds} of a process."""
    found = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        fields = (task / "stat").read_text().rsplit(")", 1)[1].split()
        found[task.name] = (int(fields[11]) + int(fields[12])) / TICKS_PER_S
    return found


def by_thread(names, before, after, events):
    """Return a table of CPU per event and thread."""
    spent = Counter({names.get(t, t): s - before.get(t, 0) for t, s in after.items()})
    return [
        ["thread", "µs per event"],
        *([name, f"{s / events * 1e6:.1f}"] for name, s in spent.most_common() if s > 0),
    ]


def by_room(stats, events):
    """Return a table of own time by room; what C functions take counts for who called them."""
    spent, calls = Counter(), Counter()
    for function, (_, count, own_s, _, callers) in stats.items():
        if function[0] == "~":
            for caller, (_, number, seconds, _) in callers.items():
                spent[room(caller)] += seconds
                calls[room(caller)] += number
        else:
            spent[room(function)] += own_s
            calls[room(function)] += count
    total = sum(spent.values())
    return [
        ["room", "share", "µs per event", "calls per event"],
        *(
            [name, f"{s / total:.1%}", f"{s / events * 1e6:.1f}", f"{calls[name] / events:.1f}"]
            for name, s in spent.most_common()
            if s / total > 0.004
        ),
    ]


def by_function(stats, events):
    """Return a table of the functions with most time of their own."""
    ordered = sorted(stats.items(), key=lambda item: -item[1][2])
    ordered = [item for item in ordered if not NOT_THE_LOOP.search(str(item[0]))]
    return [
        ["function", "own µs per event", "calls per event"],
        *(
            [where(function), f"{own_s / events * 1e6:.2f}", f"{count / events:.2f}"]
            for function, (_, count, own_s, _, _) in ordered[:TOP]
        ),
    ]


def room(function):
    """Return the room or library a function belongs to."""
    path = function[0]
    if function[0] == "~":
        return "loop (C)"
    for pattern, name in (
        (r"/feishu_ws/(\w+)/", r"feishu_ws/\1"),
        (r"/feishu_ws/(\w+)\.py", r"feishu_ws/\1"),
        (r"/site-packages/([^/]+)/", r"\1"),
        (r"/python3\.\d+/(\w+)", r"\1"),
    ):
        found = re.search(pattern, path)
        if found:
            return found.expand(name)
    return "other"


def where(function):
    """Return file, line and name of a function, short."""
    path, line, name = function
    if path == "~":
        return f"`{name}`"
    return f"`{'/'.join(Path(path).parts[-2:])}:{line} {name}`"
