"""One trial: a lab with a real daemon in it, a fault, and what came of it."""

import asyncio
import contextlib
import json
import sys
import time
from pathlib import Path

from acceptance.natlab import certificates
from acceptance.natlab.feishu import DOMAIN, GATEWAY
from acceptance.natlab.network import SERVER, LabError, Network
from acceptance.natlab.timeline import (
    LOST,
    TAKEN_OVER,
    WINDOW_S,
    Fault,
    Result,
    count_turns,
    ends_since,
    find_births,
    find_ends,
    find_fates,
    last_live,
    live_links,
    read_turns,
)
from processes import DaemonProcess

from feishu_ws.client import Consumer

RATE = 20  # events per second
CALM_S = 1.5  # from live links to the fault: short, so that a ping is as far off as can be
START_S = 60  # many labs start at once on few cores
NOTICE_S = 45  # given up after this; the promise is asserted by the tests
LIVE_S = 60
DRAIN_S = 80  # several repeats by Feishu, and then some
LOOK_EVERY_S = 0.1
CONTROL = "control.sock"


class FeishuProcess:
    """`feishu.py` in the server's namespace, and the way to tell it things."""

    def __init__(self, directory, prefix):
        self._control = directory / CONTROL
        self._log = directory / "feishu.log"
        self._command = [
            *prefix, sys.executable, str(Path(__file__).with_name("feishu.py")),
            str(self._control), str(directory / "server.pem"), SERVER,
        ]  # fmt: skip
        self._process = None
        self._reader = self._writer = None

    async def __aenter__(self):
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._command, stdout=log, stderr=log
            )
        await until(self._control.exists, START_S, "a control socket of the simulated Feishu")
        await until_async(self._connect, START_S, "the simulated Feishu to listen")
        return self

    async def __aexit__(self, *_):
        if self._writer is not None:
            self._writer.close()
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()

    async def _connect(self):
        with contextlib.suppress(OSError):
            self._reader, self._writer = await asyncio.open_unix_connection(
                str(self._control), limit=2**26
            )
            return True
        return False

    async def tell(self, word, *values):
        """Tell it something and return what it says."""
        self._writer.write(json.dumps([word, *values]).encode() + b"\n")
        line = await self._reader.readline()
        if not line:
            raise LabError(f"the simulated Feishu ended: {self._log.read_text()}")
        return json.loads(line)


class Lab:
    """What a scenario acts upon.

    Attributes:
        network: To do harm.
        feishu: To push events, or to have no resolver.
        daemon: The process in the client's namespace.
    """

    def __init__(self, directory, tag, connections, settings):
        self.connections = connections
        self.network = Network(tag)
        self.received = {}
        self.faults = []
        self.began_s = self.healed_s = None
        resolver = directory / "resolv.conf"
        resolver.write_text(f"nameserver {SERVER}\n")
        self._prefix = self.network.prefix(self.network.client, resolver)
        self.daemon = DaemonProcess(
            directory,
            f"https://{DOMAIN}",
            upstream__ca_file=directory / "ca.pem",
            upstream__connections=connections,
            telemetry__listen="",
            log__level="debug",
            **settings,
        )
        self._directory = directory
        self._stack = contextlib.AsyncExitStack()
        self._reading = None

    async def __aenter__(self):
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(self.network)
            prefix = self.network.prefix(self.network.server)
            self.feishu = await stack.enter_async_context(FeishuProcess(self._directory, prefix))
            stack.enter_context(self.daemon)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *exc):
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
        await self._stack.__aexit__(*exc)

    async def start_daemon(self):
        """Start the daemon and a consumer that stamps and settles all it gets."""
        self.daemon.start(prefix=self._prefix, wait=False)
        self._reading = asyncio.create_task(self._read())

    async def _read(self):
        await until(self.daemon.socket_path.exists, START_S, "the daemon's socket")
        async with Consumer("lab", str(self.daemon.socket_path), start="earliest") as consumer:
            async for delivery in consumer:
                self.received.setdefault(delivery.event.id, []).append(time.time())
                delivery.settle_soon()

    # -- what scenarios say ---------------------------------------------------------------

    def begin(self):
        """Note that the harm begins now, though it cannot be noticed yet."""
        self.began_s = self.began_s or time.time()

    @contextlib.asynccontextmanager
    async def fault(self):
        """Do harm inside of this: it counts from when it is done."""
        self.begin()
        since_s = time.time()
        yield
        self.faults.append(Fault(since_s, time.time()))

    def healed(self):
        """Note that it ends now."""
        self.healed_s = time.time()

    def turns(self):
        """Return how the links came and went."""
        if self.daemon.process.poll() is not None:
            raise LabError(f"the daemon ended:\n{self.daemon.log()}")
        return read_turns(self.daemon.log_lines())

    async def noticed(self, links=None):
        """Wait until so many links (all) are lost or replaced; go on if they never are."""
        wanted = self.connections if links is None else links
        with contextlib.suppress(LabError):
            await until(
                lambda: len(ends_since(self.turns(), self.faults[-1].since_s)) >= wanted, NOTICE_S
            )

    async def live(self, limit_s=LIVE_S):
        """Wait until all links are live; go on if they never are."""
        with contextlib.suppress(LabError):
            await until(lambda: len(live_links(self.turns())) == self.connections, limit_s)

    # -- the end --------------------------------------------------------------------------

    async def drain(self):
        """Push to the end of the window, then wait until everything has arrived."""
        await asyncio.sleep(max(0, self.began_s + WINDOW_S - time.time()))
        await self.feishu.tell("pace", 0)

        async def is_done():
            count = await self.feishu.tell("count")
            return count["unconfirmed"] == 0 and len(self.received) == count["pushed"]

        with contextlib.suppress(LabError):
            await until_async(is_done, DRAIN_S)

    async def result(self, scenario):
        """Return what came of it."""
        turns = self.turns()
        report = await self.feishu.tell("report")
        if scenario.is_cold:
            ends = find_births(turns, self.healed_s)
        else:
            ends = find_ends(turns, self.faults, self.healed_s)
        return Result(
            scenario.name,
            self.connections,
            ends,
            count_turns(turns, LOST),
            count_turns(turns, TAKEN_OVER),
            find_fates(
                report["events"], self.received, self.began_s, last_live(turns, self.began_s)
            ),
            is_healed=self.healed_s is not None,
            machine_s=turns[0].took_s if turns else 0.0,
            log=self.daemon.log(),
        )


async def until(holds, limit_s, what=""):
    """Wait until `holds()`.

    Raises:
        LabError: It did not in time.
    """

    async def ask():
        return holds()

    await until_async(ask, limit_s, what)


async def until_async(holds, limit_s, what=""):
    """Wait until `await holds()`; otherwise as `until`."""
    end_s = time.monotonic() + limit_s
    while not await holds():
        if time.monotonic() > end_s:
            raise LabError(f"waited {limit_s} s for {what}")
        await asyncio.sleep(LOOK_EVERY_S)


async def run_trial(scenario, connections, directory):
    """Build a lab, let the scenario act, and return the result."""
    directory.mkdir(parents=True)
    certificates.make(directory, [DOMAIN, GATEWAY])
    tag = f"{scenario.name}{connections}"
    async with Lab(directory, tag, connections, scenario.settings) as lab:
        if scenario.is_cold:
            await scenario.act(lab)
        else:
            await lab.start_daemon()
            await until(
                lambda: len(live_links(lab.turns())) == connections, START_S, "links to be live"
            )
            await lab.feishu.tell("pace", scenario.rate)
            await asyncio.sleep(CALM_S)
            await scenario.act(lab)
        await lab.live()
        await lab.drain()
        return await lab.result(scenario)
