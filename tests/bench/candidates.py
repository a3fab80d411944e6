"""What is compared: how each candidate is started, and where its events come out."""

import asyncio
import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

from acceptance.sdk.install import node, node_sdk
from bench import machine
from bench.consumer import NativeLines, PeerLines
from bench.server import Feishu
from processes import APP_ID, APP_SECRET, DaemonProcess

PEERS = Path(__file__).parent / "peers"
START_S = 60.0  # the SDK's import alone took 14 s on a busy machine
END_S = 5.0
LOOK_S = 0.01
TREE = Path(__file__).resolve().parents[2]

TITLES = {
    "feishu-ws": "feishu-ws",
    "feishu-ws+client": "feishu-ws and a bot on its client library",
    "sdk-typed": "Python SDK, typed event handed on",
    "sdk-lean": "Python SDK, dict handed on",
    "sdk-inproc": "Python SDK, typed event used on the spot",
    "sdk-node": "Node SDK, event handed on",
    "bare": "websockets + SQLite FULL, nothing else",
}


class Candidate:
    """A program between a Feishu and a consumer of its own.

    Attributes:
        feishu: What it takes for Feishu.
        lines: The consumer.
        pids: Its processes.
        start_s: From the start of the first process to the handshake of its link.
    """

    def __init__(self, name, directory):
        self.name = name
        self.directory = Path(directory)
        self.feishu = Feishu()
        self.lines = None
        self.start_s = self.start_cpu_s = 0.0
        self.processes = []
        self.log_path = self.directory / "log"

    async def start(self):
        """Start it and wait for its link."""
        await self.feishu.start()
        began_ns = time.monotonic_ns()
        await self.launch()
        await self.wait_for(self.feishu.connected, "link")
        self.start_s = (self.feishu.connected_ns - began_ns) / 1e9
        self.start_cpu_s = machine.cpu_s(self.pids)
        await self.attach()

    async def launch(self):
        """Start the processes."""
        raise NotImplementedError

    async def attach(self):
        """Connect the consumer, if that comes after the start."""

    async def wait_for(self, event, noun):
        """Wait for an event of its start; a candidate that ended meanwhile says why."""
        until_s = time.monotonic() + START_S
        while not event.is_set():
            if time.monotonic() > until_s or any(p.poll() is not None for p in self.processes):
                raise AssertionError(f"{self.name}: no {noun} after its start:\n{self.log()}")
            await asyncio.sleep(LOOK_S)

    @property
    def pids(self):
        """All its processes, children included."""
        return [pid for process in self.processes for pid in machine.family(process.pid)]

    def spawn(self, command, **env):
        """Start a process that logs to `log`."""
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("FEISHU_WS_")}
        credentials = {
            "FEISHU_WS_APP__ID": APP_ID,
            "FEISHU_WS_APP__SECRET": APP_SECRET,
            "PYTHONPATH": str(TREE),
        }
        with self.log_path.open("ab") as log:
            process = subprocess.Popen(
                [str(part) for part in command],
                env=inherited | credentials | env,
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self.processes.append(process)

    def log(self):
        """Return the end of what it wrote."""
        return self.log_path.read_text()[-2000:] if self.log_path.exists() else ""

    def stop(self):
        """End its processes and its Feishu."""
        for process in reversed(self.processes):
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(END_S)
            if process.poll() is None:
                process.kill()
                process.wait()
        self.feishu.stop()


class Peer(Candidate):
    """A program that hands events on to a socket of ours."""

    def command(self, domain, path):
        """Return the command line."""
        raise NotImplementedError

    def env(self):
        """Return what it needs in its environment."""
        return {}

    async def launch(self):
        path = self.directory / "consumer.sock"
        self.lines = PeerLines(self.feishu.events.event_mark)
        await self.lines.listen(path)
        self.spawn(self.command(self.feishu.domain, path), **self.env())


class PythonSdk(Peer):
    def command(self, domain, path):
        kind = self.name.removeprefix("sdk-")
        return [sys.executable, PEERS / "sdk.py", kind, domain, path]


class NodeSdk(Peer):
    def command(self, domain, path):
        return [node(), PEERS / "sdk_node.js", domain, path]

    def env(self):
        return {"NODE_PATH": str(node_sdk() / "node_modules")}


class Bare(Peer):
    def command(self, domain, path):
        return [sys.executable, PEERS / "bare.py", domain, path, self.directory / "bare.db"]


class Ours(Candidate):
    """The daemon with one link, and a consumer in this process.

    Args:
        tree: Another checkout to run, None for this one.
        runner: Replaces `-m feishu_ws`, for profiles.
    """

    def __init__(self, name, directory, tree=None, runner=("-m", "feishu_ws")):
        super().__init__(name, directory)
        self.tree = tree
        self.runner = runner

    async def launch(self):
        settings = DaemonProcess(
            self.directory, self.feishu.domain, upstream__connections=1, log__level="warning"
        )
        self.socket_path = settings.socket_path
        env = settings.env | {"PYTHONPATH": str(self.tree or TREE)}
        self.spawn([sys.executable, *self.runner, "run"], **env)

    async def attach(self):
        self.lines = NativeLines(self.feishu.events.event_mark)
        await self.lines.connect(self.socket_path)


class OursWithClient(Ours):
    """The daemon and a bot on the consumer library, both counted."""

    async def attach(self):
        path = self.directory / "consumer.sock"
        self.lines = PeerLines(self.feishu.events.event_mark)
        await self.lines.listen(path)
        self.spawn([sys.executable, PEERS / "client.py", path, self.socket_path])
        await self.wait_for(self.lines.connected, "consumer")


KINDS = {
    "feishu-ws": Ours,
    "feishu-ws+client": OursWithClient,
    "sdk-typed": PythonSdk,
    "sdk-lean": PythonSdk,
    "sdk-inproc": PythonSdk,
    "sdk-node": NodeSdk,
    "bare": Bare,
}
