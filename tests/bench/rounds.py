"""Rounds of the benchmark: all candidates up, one of them under load, in changing order."""

import asyncio
import contextlib
import datetime as dt
import gc
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

from bench import machine, profiling, report
from bench.candidates import KINDS, TREE, Ours
from bench.turns import Load, calm, is_disturbed, take_turn

FILLING = 50_000  # events before memory is looked at
GENEROUS = 4  # times its even share that a turn may spend on waiting
SETTLED_S = 1.0  # from the last event to looking at memory
CACHE = TREE / ".cache"  # /tmp may be memory, where a commit costs nothing


class Patience:
    """Seconds to spend on waiting for others, over all turns that are still to come."""

    def __init__(self, seconds, turns):
        self.left_s = seconds
        self._turns = turns

    def share(self):
        """Return how long the next turn may wait: some turns need none of it."""
        self._turns -= 1
        return max(0.0, self.left_s) * min(1.0, GENEROUS / (self._turns + 1))


@dataclass(frozen=True)
class Life:
    """What does not depend on the load. `after_mb` is None where 50,000 were not pushed."""

    candidate: str
    round: int
    start_s: float
    start_cpu_s: float
    idle_mb: float
    after_mb: float | None
    end_mb: float
    peak_mb: float


async def run(options):
    """Run all rounds and return what was measured."""
    result = {"about": about(), "candidates": [], "disk_ms": [], "turns": [], "lives": []}
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):  # so that no candidate is left behind
        loop.add_signal_handler(number, task.cancel)
    CACHE.mkdir(exist_ok=True)
    count = len(options.only or KINDS) + len(options.tree)
    turns = options.rounds * len(options.loads) * count
    options.waiting = Patience(options.patience, turns)
    for number in range(options.rounds):
        with tempfile.TemporaryDirectory(prefix="bench-", dir=CACHE) as directory:
            result["disk_ms"].append(machine.disk_ms(directory))
            candidates = choose(options, Path(directory))
            result["candidates"] = [candidate.name for candidate in candidates]
            async with contextlib.AsyncExitStack() as stack:
                if options.profile:
                    await play_profile(options, candidates[0], stack, result)
                else:
                    await play_round(options, candidates, number, stack, result)
    result["about"]["load_after"] = os.getloadavg()[0]
    return result


def choose(options, directory):
    """Return the candidates of a round, each with a directory of its own."""
    runner = profiling.runner(directory / report.OURS) if options.profile else ("-m", "feishu_ws")
    found = []
    for name in options.only or KINDS:
        (directory / name).mkdir()
        kind = KINDS[name]
        extra = {"runner": runner} if issubclass(kind, Ours) else {}
        found.append(kind(name, directory / name, **extra))
    for tree in options.tree:
        name = f"{report.OURS}@{tree.resolve().name}"
        (directory / name).mkdir()
        found.append(Ours(name, directory / name, tree.resolve()))
    return found


async def play_round(options, candidates, number, stack, result):
    """Start all, put every load on each, in an order that changes from round to round."""
    idle_mb, after_mb = {}, {}
    for candidate in candidates:
        say(f"round {number + 1}: starting {candidate.name}")
        stack.callback(candidate.stop)
        await candidate.start()
    await asyncio.sleep(SETTLED_S)
    for candidate in candidates:
        idle_mb[candidate.name] = machine.resident_mb(candidate.pids)
        if number == 0 and options.is_filling:
            say(f"round 1: {FILLING:,} events through {candidate.name}")
            filling = Load("filling", 3600, window=options.warm_up.window, events=FILLING)
            await take_turn(candidate, filling, number)
            await asyncio.sleep(SETTLED_S)
            after_mb[candidate.name] = machine.resident_mb(candidate.pids)
        else:
            await take_turn(candidate, options.warm_up, number)
    order = candidates[number % len(candidates) :] + candidates[: number % len(candidates)]
    for load in options.loads:
        say(f"round {number + 1}: {load.name}")
        for candidate in order:
            result["turns"].append(await take_calm_turn(options.waiting, candidate, load, number))
    for candidate in candidates:
        result["lives"].append(
            asdict(
                Life(
                    candidate.name,
                    number,
                    candidate.start_s,
                    candidate.start_cpu_s,
                    idle_mb[candidate.name],
                    after_mb.get(candidate.name),
                    machine.resident_mb(candidate.pids),
                    machine.peak_mb(candidate.pids),
                )
            )
        )


async def take_calm_turn(patience, candidate, load, number):
    """Take a turn, and again while the machine was busy with others; return the calmest.

    What decides is what others used, never the candidate's own figures.
    """
    began_s, taken = time.monotonic(), []
    until_s = began_s + patience.share()
    while True:
        await calm(until_s)
        taken.append(asdict(await take_turn(candidate, load, number)))
        gc.unfreeze()
        if not is_disturbed(taken[-1]) or time.monotonic() >= until_s:
            break
    patience.left_s -= time.monotonic() - began_s - taken[0]["seconds"]
    return min(taken, key=lambda turn: turn["others"] + turn["stolen"])


async def play_profile(options, daemon, stack, result):
    """Profile the daemon under each load."""
    stack.callback(daemon.stop)
    await daemon.start()
    await take_turn(daemon, options.warm_up, 0)
    result["profile"] = []
    for load in options.loads:
        result["profile"] += await profiling.profile(daemon, load, daemon.directory)


def say(text):
    """Tell how far it is, where somebody looks."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def about():
    """Return when, where and with what this was measured."""
    packages = ("lark-oapi", "websockets", "uvloop", "protobuf", "msgspec")
    command = ["git", "describe", "--always", "--dirty"]
    tree = subprocess.run(
        command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False
    )
    return {
        "when": dt.datetime.now().astimezone().isoformat(timespec="minutes"),
        "commit": tree.stdout.strip(),
        "cpu": next(
            (
                x.split(":")[1].strip()
                for x in Path("/proc/cpuinfo").read_text().splitlines()
                if x.startswith("model name")
            ),
            platform.machine(),
        ),
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "versions": {package: version(package) for package in packages},
        "filesystem": machine.filesystem(CACHE),
        "load_before": os.getloadavg()[0],
    }
