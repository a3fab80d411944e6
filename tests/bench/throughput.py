"""Events per second, CPU and memory of a real daemon between simulator and consumer.

`make bench` prints a table. Simulator and consumer share this process, the daemon has
its own; everything on loopback without TLS. Compare figures of one run only.
"""

import asyncio
import os
import platform
import tempfile
import time
from pathlib import Path

from processes import APP_ID, APP_SECRET, DaemonProcess

from feishu_ws.simulator.load import pump
from feishu_ws.simulator.server import Simulator
from feishu_ws.simulator.settings import SimulatorSettings

PHASES = ((1, 2_000), (64, 30_000), (1024, 30_000))
PACED = ((100, 10), (1000, 10))


def cpu_s(pid):
    """Return user and system CPU seconds of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rss_mb(pid):
    """Return resident megabytes of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


class Reader:
    """A consumer as lean as can be: counts lines and settles everything at once."""

    def __init__(self, path):
        self.path = path
        self.count = 0

    async def run(self):
        """Read until cancelled."""
        reader, writer = await asyncio.open_unix_connection(self.path, limit=2**24)
        writer.write(
            b'{"jsonrpc":"2.0","id":1,"method":"hello","params":{"consumer":"bench","start":"earliest"}}\n'
        )
        rest = b""
        while data := await reader.read(2**20):
            *lines, rest = (rest + data).split(b"\n")
            last = 0
            for line in lines:
                if line.startswith(b'{"jsonrpc":"2.0","method":"event"'):
                    self.count += 1
                    at = line.index(b'"position":') + 11
                    last = int(line[at : line.index(b",", at)])
            if last:
                writer.write(
                    b'{"jsonrpc":"2.0","method":"settle","params":{"through":%d}}\n' % last
                )

    async def reach(self, count):
        """Wait until so many events came."""
        while self.count < count:
            await asyncio.sleep(0.002)


async def main():
    """Measure and print."""
    settings = SimulatorSettings(app_id=APP_ID, app_secret=APP_SECRET, checked_share=0.01)
    with tempfile.TemporaryDirectory() as directory:
        async with Simulator(settings) as feishu:
            with DaemonProcess(directory, feishu.domain, upstream__connections=1) as daemon:
                began = time.monotonic()
                daemon.start(wait=False)
                await feishu.wait_for_links(1, 15)
                start_s = time.monotonic() - began
                await asyncio.to_thread(daemon.wait_until_answering)
                await measure(feishu, daemon, start_s)


async def measure(feishu, daemon, start_s):
    """Run every phase."""
    pid = daemon.process.pid
    print(
        f"Python {platform.python_version()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    )
    print(f"start to first link live: {start_s:.2f} s; resident idle: {rss_mb(pid):.1f} MB")
    reader = Reader(str(daemon.socket_path))
    reading = asyncio.create_task(reader.run())
    print(
        "\n| load | events/s | CPU per event | confirm p50 / p99 | resident |\n|---|---|---|---|---|"
    )
    for window, count in PHASES:
        await phase(feishu, pid, reader, f"{window} unconfirmed", count=count, window=window)
    for rate, seconds in PACED:
        await phase(feishu, pid, reader, f"paced {rate}/s", rate=rate, seconds=seconds)
    reading.cancel()


async def phase(feishu, pid, reader, name, **load):
    """Run one load and print its row."""
    before_s, began, had = cpu_s(pid), time.monotonic(), reader.count
    report = await pump(feishu, **load)
    await reader.reach(had + report.pushed)
    took_s = time.monotonic() - began
    cpu_us = (cpu_s(pid) - before_s) / report.pushed * 1e6
    p50, p99 = report.quantile_s(0.5) * 1000, report.quantile_s(0.99) * 1000
    rate = report.pushed / took_s
    print(
        f"| {name} | {rate:,.0f} | {cpu_us:.0f} µs | {p50:.1f} / {p99:.1f} ms | {rss_mb(pid):.0f} MB |"
    )


if __name__ == "__main__":
    asyncio.run(main())
