"""An official SDK as a process of its own, and the simulated Feishu it is connected to."""

import asyncio
import contextlib
import json
import os
import time

from feishu_ws.simulator.corpus import SAMPLES
from feishu_ws.simulator.server import Simulator
from feishu_ws.simulator.settings import SimulatorSettings

QUICK_CONFIG = {
    "ReconnectCount": -1, "ReconnectInterval": 0.2, "ReconnectNonce": 0, "PingInterval": 0.5,
}  # fmt: skip
"""Seconds. Reconnect at once, then five times a second: the SDKs' own waits are minutes."""

TIME_SCALE = 5000.0  # repeats after 3 ms, 60 ms, 0.72 s and 4.32 s
START_S = 60.0  # for the Python SDK's import on a busy machine
WAIT_S = 20.0

ODD = {name for name, drawn in SAMPLES.items() if not drawn.is_honest}
HONEST = sorted(set(SAMPLES) - ODD)
TYPES = sorted(
    {n for n in HONEST if not n.startswith(("message.", "v1."))} | {"im.message.receive_v1"}
)
OLD_TYPES = sorted(name.removeprefix("v1.") for name in HONEST if name.startswith("v1."))


def simulator():
    """Return a simulated Feishu in a hurry."""
    return Simulator(SimulatorSettings(client_config=QUICK_CONFIG, time_scale=TIME_SCALE, seed=11))


class Peer:
    """A process that runs an SDK; what it says is kept in order.

    Attributes:
        said: Every line it said so far, decoded; `at_s` is when.
        version: What it says of its SDK.
    """

    def __init__(self, feishu, *words, env=None):
        self.feishu = feishu
        self.said = []
        self.version = ""
        self._words = words
        quiet = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
        self._env = quiet | (env or {})
        self._process = None
        self._reader = None
        self._news = asyncio.Event()

    async def __aenter__(self):
        self._process = await asyncio.create_subprocess_exec(
            *self._words,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=self._env,
            limit=2**24,
        )
        self._reader = asyncio.create_task(self._read())
        self.version = (await self.hears("imported", timeout_s=START_S))["version"]
        return self

    async def __aexit__(self, *_):
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
        await self._reader

    async def _read(self):
        while line := await self._process.stdout.readline():
            self.said.append(json.loads(line) | {"at_s": time.monotonic()})
            self._news.set()
        self._news.set()

    # -- what it is told ------------------------------------------------------------------

    async def tell(self, **command):
        """Send a command."""
        self._process.stdin.write(json.dumps(command).encode() + b"\n")
        await self._process.stdin.drain()

    async def start(self):
        """Have it start a client for the simulated app."""
        settings = self.feishu.settings
        await self.tell(
            do="start",
            app_id=settings.app_id,
            app_secret=settings.app_secret,
            domain=self.feishu.domain,
            types=TYPES,
            old_types=OLD_TYPES,
        )

    # -- what it says ---------------------------------------------------------------------

    async def hears(self, said, since=0, timeout_s=WAIT_S):
        """Return the first line of that kind from `since` on."""
        return (await self._lines(1, timeout_s, since, said=said))[0]

    async def handled(self, event_id, times=1):
        """Return what its handlers told of one event, once they told of it so many times."""
        return await self._lines(times, WAIT_S, said="handled", id=event_id)

    async def _lines(self, count, timeout_s, since=0, **fields):
        until = time.monotonic() + timeout_s
        while True:
            found = [line for line in self.said[since:] if fields.items() <= line.items()]
            if len(found) >= count:
                return found
            assert not self._reader.done(), f"the SDK's process ended before it said {fields}"
            left_s = until - time.monotonic()
            assert left_s > 0, (
                f"{fields} only {len(found)} times in {timeout_s} s: {self.said[since:]}"
            )
            self._news.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), left_s)

    async def live(self, timeout_s=WAIT_S):
        """Wait until it is connected and has pinged; return its link."""
        (link,) = await self.feishu.wait_for_links(1, timeout_s)
        return link
