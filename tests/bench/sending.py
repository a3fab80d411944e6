"""`python -m bench --sends`: messages a second to a Feishu on this machine, limits off.

The candidates take turns in every round, so that what else the machine does is shared:
the official SDK's `acreate`, aiohttp with a pool and nothing else, the daemon by its
socket, and the daemon keeping each message until its outcome is known.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from bench import machine
from bench.report import TO, rows_of
from processes import DaemonProcess

HERE = Path(__file__).parent
WAYS = ("sdk", "bare", "daemon", "durable")
TITLES = {
    "sdk": "Python SDK, acreate",
    "bare": "aiohttp, pooled",
    "daemon": "**feishu-ws, send**",
    "durable": "**feishu-ws, send durable**",
}
AT_ONCE = 64
COUNTS = {"sdk": 600, "bare": 6000, "daemon": 6000, "durable": 6000}
QUICK_SHARE = 0.3
BAR = 1000.0  # sends a second through the daemon
FREE = {
    "openapi__per_chat_per_s": 0,
    "openapi__per_app_per_s": 0,
    "openapi__per_app_per_min": 0,
    "openapi__census_s": 0,
}


def measure(rounds, scale=1.0):
    """Return by way a list of (sends/s, CPU us per send of the sender, of the daemon)."""
    found = {way: [] for way in WAYS}
    with tempfile.TemporaryDirectory() as place, _server() as port:
        domain = f"http://127.0.0.1:{port}"
        daemon = DaemonProcess(place, domain, **FREE).start()
        try:
            for number in range(rounds):
                for way in WAYS if number % 2 == 0 else WAYS[::-1]:
                    found[way].append(_turn(way, domain, daemon, scale))
        finally:
            daemon.stop()
    return found


class _server:  # noqa: N801 - a context manager
    def __enter__(self):
        self.process = subprocess.Popen(
            [sys.executable, HERE / "rest_server.py"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        return int(self.process.stdout.readline())

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(5)


def _turn(way, domain, daemon, scale):
    count = max(round(COUNTS[way] * scale), AT_ONCE)
    is_ours = way in {"daemon", "durable"}
    target = str(daemon.socket_path) if is_ours else domain
    before_s = machine.cpu_s([daemon.process.pid])
    done = subprocess.run(
        [sys.executable, HERE / "peers/sends.py", way, target, str(count), str(AT_ONCE)],
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    spent_s = machine.cpu_s([daemon.process.pid]) - before_s
    result = json.loads(done.stdout)
    daemon_us = spent_s / count * 1e6 if is_ours else 0.0
    return count / result["seconds"], result["cpu_s"] / count * 1e6, daemon_us


def sending(rounds, *, is_quick=False):
    """Measure; return the lines of a table, and whether the bar is met."""
    found = measure(rounds, QUICK_SHARE if is_quick else 1.0)
    table = [["", "sends/s", "CPU of the sender", "CPU of the daemon"]]
    for way, turns in found.items():
        rates, sender, daemon = zip(*turns, strict=True)
        spread = f"{median(rates):,.0f} ({min(rates):,.0f}{TO}{max(rates):,.0f})"
        ours = f"{median(daemon):,.0f} µs" if any(daemon) else ""
        table.append([TITLES[way], spread, f"{median(sender):,.0f} µs", ours])
    holds = median(turn[0] for turn in found["daemon"]) >= BAR
    verdict = "met" if holds else "**missed**"
    return [*rows_of(table), "", f"Bar: {BAR:,.0f} sends/s through the daemon: {verdict}."], holds
