"""What a daemon holds of the machine, sampled while something is done to it."""

import asyncio
import contextlib
import os
import signal
import statistics
import time
from dataclasses import dataclass
from pathlib import Path

from processes import DaemonProcess

HOOKS = Path(__file__).parent / "hooks"
THREADS_THAT_COME_AND_GO = 4  # lookups of names; `resolver.MAX_IN_FLIGHT`
SPARE_FDS = 8  # connections that are just being closed
SPARE_TASKS = 2  # an attempt and a hello that are under way


class WatchedDaemon(DaemonProcess):
    """A daemon that writes down the number of its tasks when it gets SIGUSR2."""

    def __init__(self, directory, domain, **settings):
        super().__init__(directory, domain, **settings)
        self._tasks_path = self.directory / "tasks"
        paths = (str(HOOKS), self.env.get("PYTHONPATH"))
        self.env["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
        self.env["SOAK_TASKS"] = str(self._tasks_path)

    def tasks(self):
        """Return how many tasks its loop has."""
        self._tasks_path.unlink(missing_ok=True)
        self.process.send_signal(signal.SIGUSR2)
        until = time.monotonic() + 10
        while time.monotonic() < until:
            with contextlib.suppress(FileNotFoundError, ValueError):
                return int(self._tasks_path.read_text())
            time.sleep(0.01)
        raise AssertionError(f"the daemon's loop does not run:\n{self.log()[-2000:]}")


def read_kb(proc, name):
    """Return a size that the kernel keeps of a process."""
    lines = (proc / "status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(name + ":")).split()[1])


@dataclass(frozen=True)
class Sample:
    """One moment."""

    at_s: float
    rss_mb: float
    peak_mb: float
    fds: int
    threads: int
    tasks: int


class Meter:
    """Samples a daemon until it is told to stop."""

    def __init__(self, daemon, every_s):
        self._daemon = daemon
        self._every_s = every_s
        self._task = None
        self.samples = []

    async def __aenter__(self):
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_):
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self.samples.append(await asyncio.to_thread(self.sample))

    async def _run(self):
        while True:
            self.samples.append(await asyncio.to_thread(self.sample))
            await asyncio.sleep(self._every_s)

    def sample(self):
        """Return how things are now."""
        proc = Path(f"/proc/{self._daemon.process.pid}")
        return Sample(
            time.monotonic(),
            read_kb(proc, "VmRSS") * 1024 / 1e6,
            read_kb(proc, "VmHWM") * 1024 / 1e6,
            len(list((proc / "fd").iterdir())),
            len(list((proc / "task").iterdir())),
            self._daemon.tasks(),
        )

    def growth_mb(self):
        """Return by how much resident memory grew over the second half, as its trend says."""
        half = self.samples[len(self.samples) // 2 :]
        times = [each.at_s for each in half]
        if len(half) < 2:
            return 0.0
        slope = statistics.linear_regression(times, [each.rss_mb for each in half]).slope
        return slope * (times[-1] - times[0])

    def check(self, before, *, growth_mb, peak_mb):
        """Fail unless memory is flat and below its peak, and nothing else was left behind.

        Args:
            before: A sample from before anything was done.
            growth_mb: What the trend of the second half may gain.
            peak_mb: What it may have held at any moment since its start.
        """
        after = self.samples[-1]
        assert after.peak_mb <= peak_mb, self.figures(before)
        assert self.growth_mb() <= growth_mb, self.figures(before)
        assert after.fds <= before.fds + SPARE_FDS, self.figures(before)
        assert after.threads <= before.threads + THREADS_THAT_COME_AND_GO, self.figures(before)
        assert after.tasks <= before.tasks + SPARE_TASKS, self.figures(before)

    def figures(self, before):
        """Say what was seen, for people."""
        after, middle = self.samples[-1], self.samples[len(self.samples) // 2]
        lasted_s = after.at_s - self.samples[0].at_s
        rss = " -> ".join(f"{each.rss_mb:.1f}" for each in (before, middle, after))
        return (
            f"{lasted_s:.0f} s, {len(self.samples)} samples; resident MB before, half way, after:"
            f" {rss}, peak {after.peak_mb:.1f}, trend of the second half {self.growth_mb():+.2f};"
            f" fds {before.fds} -> {after.fds}, threads {before.threads} -> {after.threads},"
            f" tasks {before.tasks} -> {after.tasks}"
        )
