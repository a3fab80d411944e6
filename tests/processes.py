"""Real processes for tests: a daemon, and a consumer that writes down what it saw."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

APP_ID = "cli_a1b2c3d4e5f60718"
APP_SECRET = "simulated-secret"
START_S = 15.0


class DaemonProcess:
    """`feishu-ws run` in a directory of its own, configured by environment."""

    def __init__(self, directory, domain, **settings):
        self.directory = Path(directory)
        self.socket_path = self.directory / "events.sock"
        self.log_path = self.directory / "daemon.log"
        self.process = None
        self.port = free_port()
        self.env = {
            **{k: v for k, v in os.environ.items() if not k.startswith("FEISHU_WS_")},
            "FEISHU_WS_APP__ID": APP_ID,
            "FEISHU_WS_APP__SECRET": APP_SECRET,
            "FEISHU_WS_APP__DOMAIN": domain,
            "FEISHU_WS_JOURNAL__PATH": str(self.directory / "journal.db"),
            "FEISHU_WS_SOCKET__PATH": str(self.socket_path),
            "FEISHU_WS_TELEMETRY__LISTEN": f"127.0.0.1:{self.port}",
            "FEISHU_WS_LOOKALIKE__LISTEN": "",
            "FEISHU_WS_LOG__FORMAT": "json",
            **{f"FEISHU_WS_{key}".upper(): str(value) for key, value in settings.items()},
        }

    def start(self, *, prefix=(), wait=True, pass_fds=()):
        """Start it; with `wait`, return once the socket answers."""
        command = [*prefix, sys.executable, "-m", "feishu_ws", "run"]
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=pass_fds,
            )
        if wait:
            self.wait_until_answering()
        return self

    def wait_until_answering(self, timeout_s=START_S):
        """Wait until the socket answers a ping."""
        until = time.monotonic() + timeout_s
        while time.monotonic() < until:
            if self.process.poll() is not None:
                raise AssertionError(f"daemon ended with {self.process.returncode}:\n{self.log()}")
            with contextlib.suppress(OSError):
                if self.call("ping") == "pong":
                    return
            time.sleep(0.02)
        raise AssertionError(f"daemon does not answer after {timeout_s} s:\n{self.log()}")

    def call(self, method, params=None):
        """Call a method of the native socket on a connection of its own."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.settimeout(5)
            client.connect(str(self.socket_path))
            request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params or {}}
            client.sendall(json.dumps(request).encode() + b"\n")
            line = client.makefile("rb").readline()
        if not line:
            raise OSError("closed without an answer")
        answer = json.loads(line)
        assert "result" in answer, answer
        return answer["result"]

    def status(self):
        """Return the status object."""
        return self.call("status")

    def get(self, path):
        """Return (HTTP status, body) of a page."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as refused:
            return refused.code, refused.read()

    def kill(self):
        """SIGKILL, and wait for the end."""
        self.process.kill()
        self.process.wait()

    def stop(self, number=signal.SIGTERM, timeout_s=10):
        """Signal it and return (exit code, seconds it took)."""
        began = time.monotonic()
        self.process.send_signal(number)
        code = self.process.wait(timeout_s)
        return code, time.monotonic() - began

    def log(self):
        """Return all it wrote."""
        return self.log_path.read_text() if self.log_path.exists() else ""

    def log_lines(self, event=None):
        """Return its JSON log lines, of one event only if asked."""
        lines = [json.loads(line) for line in self.log().splitlines() if line.startswith("{")]
        return [line for line in lines if event is None or line["event"] == event]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process is not None and self.process.poll() is None:
            self.kill()


class ConsumerProcess:
    """A consumer that notes every delivery (`R position id`) and settle result (`S position`)."""

    def __init__(self, directory, socket_path, name="bot"):
        self.log_path = Path(directory) / f"{name}.notes"
        self._arguments = [str(socket_path), name, str(self.log_path)]
        self.process = None

    def start(self):
        """Start it."""
        script = Path(__file__).parent / "consumer_process.py"
        self.process = subprocess.Popen(
            [sys.executable, str(script), *self._arguments], stdin=subprocess.DEVNULL
        )
        return self

    def kill(self):
        """SIGKILL, and wait for the end."""
        self.process.kill()
        self.process.wait()

    def notes(self):
        """Return what it noted, as (kind, position, event id) in order."""
        notes = []
        if not self.log_path.exists():
            return notes
        for line in self.log_path.read_text().splitlines():
            fields = line.split()
            if len(fields) == 3:  # a note cut short by SIGKILL says nothing
                notes.append((fields[0], int(fields[1]), fields[2]))
        return notes

    def received(self):
        """Return the positions it received, in order."""
        return [position for kind, position, _ in self.notes() if kind == "R"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process is not None and self.process.poll() is None:
            self.kill()


class ServingProcess(ConsumerProcess):
    """A consumer that serves handlers; see `serving_process.py` for what they may be told."""

    def __init__(self, directory, socket_path, name="bot", **told):
        super().__init__(directory, socket_path, name)
        self._told = told

    def start(self, **told):
        """Start it, told differently if need be."""
        script = Path(__file__).parent / "serving_process.py"
        words = [*self._arguments, json.dumps(self._told | told)]
        self.process = subprocess.Popen(
            [sys.executable, str(script), *words], stdin=subprocess.DEVNULL
        )
        return self

    def noted(self, kind):
        """Return its notes of one kind, without the kind."""
        text = self.log_path.read_text() if self.log_path.exists() else ""
        lines = [line.partition(" ") for line in text.splitlines()]
        return [rest for first, _, rest in lines if first == kind]


def free_port():
    """Return a TCP port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
