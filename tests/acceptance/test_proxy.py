"""The whole daemon through proxies that nobody here wrote: tinyproxy and microsocks."""

import asyncio
import contextlib
import shutil
import signal
import socket
import subprocess
import time

import pytest
from processes import APP_ID, APP_SECRET, DaemonProcess, free_port

from feishu_ws.simulator.load import pump
from feishu_ws.simulator.server import Simulator
from feishu_ws.simulator.settings import SimulatorSettings

USER, PASSWORD = "operator", "pl4nted-pw"
EVENTS = 200


@pytest.fixture
async def feishu():
    settings = SimulatorSettings(app_id=APP_ID, app_secret=APP_SECRET)
    async with Simulator(settings) as running:
        yield running


class ProxyProcess:
    """A proxy on a free port; what it wrote says whom it served."""

    def __init__(self, directory, scheme, *, password):
        self.scheme = scheme
        self.port = free_port()
        self.log_path = directory / "proxy.log"
        self._directory = directory
        self._password = password
        self.process = None

    def url(self, password=PASSWORD):
        login = f"{USER}:{password}@" if self._password else ""
        return f"{self.scheme}://{login}127.0.0.1:{self.port}"

    def _command(self):
        if self.scheme == "socks5":
            login = ["-u", USER, "-P", PASSWORD] if self._password else []
            return [find("microsocks"), "-i", "127.0.0.1", "-p", str(self.port), *login]
        config = self._directory / "tinyproxy.conf"
        lines = [
            f"Port {self.port}",
            "Listen 127.0.0.1",
            "Timeout 600",
            "MaxClients 20",
            "LogLevel Connect",
            *([f"BasicAuth {USER} {PASSWORD}"] if self._password else []),
        ]
        config.write_text("\n".join(lines) + "\n")
        return [find("tinyproxy"), "-d", "-c", str(config)]

    def start(self):
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(self._command(), stdout=log, stderr=log)
        until = time.monotonic() + 10
        while time.monotonic() < until:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
                return self
            time.sleep(0.02)
        raise AssertionError(f"the proxy does not listen: {self.log_path.read_text()}")

    def stop(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def served(self):
        """Return how often it wrote of a connection to somebody."""
        word = "connected to" if self.scheme == "socks5" else "Established connection to host"
        return self.log_path.read_text().count(word)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()


def find(command):
    """Return where a command is; a test that cannot run must say so."""
    found = shutil.which(command)
    assert found, f"{command} is not installed, expected the Debian package of that name"
    return found


@pytest.mark.parametrize("password", [False, True], ids=["open", "password"])
@pytest.mark.parametrize("scheme", ["http", "socks5"])
async def test_through_a_real_proxy(tmp_path, feishu, scheme, password):
    """Discovery and both links go through the proxy; it dies and comes back, nothing is lost."""
    with (
        ProxyProcess(tmp_path, scheme, password=password) as proxy,
        DaemonProcess(tmp_path, feishu.domain, upstream__proxy=proxy.url()) as daemon,
    ):
        await asyncio.to_thread(daemon.start)
        await feishu.wait_for_links(2, 15)
        await pump(feishu, 500, count=EVENTS, settle_s=20)
        served = proxy.served()
        await asyncio.to_thread(proxy.stop)
        await feishu.wait_for_links(0, 15)
        await asyncio.to_thread(proxy.start)
        began = time.monotonic()
        await feishu.wait_for_links(2, 15)
        back_s = time.monotonic() - began
        await pump(feishu, 500, count=EVENTS, settle_s=20)
        last = daemon.status()["journal"]["last"]
        log = daemon.log()
    assert served >= 4  # for each link: discovery, and the WebSocket
    assert last == 2 * EVENTS
    assert back_s < 10  # nothing answered meanwhile, so no wait was longer than 5 s
    assert PASSWORD not in log
    assert {line["fault"] for line in daemon.log_lines("link.failed")} <= {"proxy_failed"}


@pytest.mark.parametrize("scheme", ["http", "socks5"])
async def test_the_wrong_password(tmp_path, feishu, scheme):
    """A proxy that does not know us is named, without the password.

    tinyproxy says 401 where it should say 407: for the plain HTTP of this simulator that
    cannot be told from Feishu's own answer, for CONNECT it can.
    """
    with (
        ProxyProcess(tmp_path, scheme, password=True) as proxy,
        DaemonProcess(
            tmp_path, feishu.domain, upstream__proxy=proxy.url("wr0ng-pw"), upstream__connections=1
        ) as daemon,
    ):
        await asyncio.to_thread(daemon.start)
        until = time.monotonic() + 15
        while not daemon.log_lines("link.failed") and time.monotonic() < until:
            await asyncio.sleep(0.05)
        [failed, *_] = daemon.log_lines("link.failed")
        log = daemon.log()
    assert failed["fault"] == "proxy_failed" or "HTTP 401" in failed["detail"]
    assert "wr0ng-pw" not in log
    assert feishu.stats.as_dict()["links_opened"] == 0


async def test_no_proxy_goes_past_it(tmp_path, feishu):
    """What NO_PROXY names is reached directly, though the proxy is dead."""
    with DaemonProcess(
        tmp_path, feishu.domain, upstream__proxy=f"socks5://127.0.0.1:{free_port()}"
    ) as daemon:
        daemon.env["NO_PROXY"] = "127.0.0.1"
        await asyncio.to_thread(daemon.start)
        await feishu.wait_for_links(2, 15)


async def test_the_environment_names_it(tmp_path, feishu):
    """With `env` the proxy of HTTP_PROXY serves discovery and WebSocket alike."""
    with (
        ProxyProcess(tmp_path, "http", password=True) as proxy,
        DaemonProcess(tmp_path, feishu.domain, upstream__proxy="env") as daemon,
    ):
        daemon.env["http_proxy"] = proxy.url()
        await asyncio.to_thread(daemon.start)
        await feishu.wait_for_links(2, 15)
        served = proxy.served()
    assert served >= 4
