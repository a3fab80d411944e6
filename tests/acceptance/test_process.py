"""The real process: signals, exit codes, sockets passed in, and what it must not import."""

import asyncio
import json
import os
import signal
import socket
from pathlib import Path

import pytest
from processes import APP_ID, APP_SECRET, DaemonProcess
from support import eventually

from feishu_ws.simulator import corpus
from feishu_ws.simulator.load import pump
from feishu_ws.simulator.server import Simulator
from feishu_ws.simulator.settings import SimulatorSettings

NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
async def feishu():
    settings = SimulatorSettings(
        app_id=APP_ID, app_secret=APP_SECRET, redelivery_s=(1.0,) * 60, keep_log=True
    )
    async with Simulator(settings) as running:
        yield running


async def test_sigterm_under_load(tmp_path, feishu):
    """SIGTERM under load ends with 0 within 3 s, and nothing confirmed is missing."""
    with DaemonProcess(tmp_path, feishu.domain, delivery__consumers='["bot"]') as daemon:
        await asyncio.to_thread(daemon.start)
        await feishu.wait_for_links(2, 15)
        pushing = asyncio.create_task(pump(feishu, 1000, seconds=2, settle_s=30))
        await asyncio.sleep(1)
        code, took_s = await asyncio.to_thread(daemon.stop)
        await asyncio.to_thread(daemon.start)
        await pushing
        await feishu.wait_until_quiet(30)
        status = daemon.status()

    assert (code, took_s < 3.0) == (0, True)
    assert status["journal"]["last"] == feishu.stats.as_dict()["pushed"]
    assert status["consumers"][0]["pending"] == status["journal"]["last"]
    assert "Traceback" not in daemon.log()


async def test_a_boot_without_network(tmp_path, feishu):
    """Without Feishu the daemon is up and says not ready; it goes live when Feishu is there."""
    await feishu.stop_listening()
    with DaemonProcess(tmp_path, feishu.domain) as daemon:
        await asyncio.to_thread(daemon.start)
        await asyncio.sleep(2)
        down = daemon.get("/readyz")
        await feishu.start_listening()
        await feishu.wait_for_links(1, 10)
        await eventually(lambda: daemon.get("/readyz")[0] == 200)

    assert down[0] == 503
    assert json.loads(down[1]) == {"ready": False, "fault": "connect_failed"}


async def test_a_second_daemon_is_refused(tmp_path, feishu):
    """The journal's owner is named and the second process ends with 75."""
    with (
        DaemonProcess(tmp_path, feishu.domain) as first,
        DaemonProcess(tmp_path, feishu.domain) as second,
    ):
        await asyncio.to_thread(first.start)
        second.log_path = tmp_path / "second.log"
        second.start(wait=False)
        code = await asyncio.to_thread(second.process.wait, 15)
        still_there = first.call("ping")

    assert (code, still_there) == (75, "pong")
    assert f"process {first.process.pid}" in second.log()


async def test_a_taken_socket_is_refused(tmp_path, feishu):
    """Another journal on the same socket ends with 75, and the first goes on."""
    with (
        DaemonProcess(tmp_path, feishu.domain) as first,
        DaemonProcess(tmp_path, feishu.domain, journal__path=tmp_path / "other.db") as second,
    ):
        await asyncio.to_thread(first.start)
        second.log_path = tmp_path / "second.log"
        second.start(wait=False)
        code = await asyncio.to_thread(second.process.wait, 15)
        still_there = first.call("ping")

    assert (code, still_there) == (75, "pong")
    assert str(first.process.pid) in second.log()


def test_a_bad_configuration(tmp_path):
    """Every error is named, nothing is started, and the end is 78."""
    with DaemonProcess(
        tmp_path, NOWHERE, upstream__connections=99, journal__max_bites=1, log__level="loud"
    ) as daemon:
        daemon.start(wait=False)
        code = daemon.process.wait(15)

    assert code == 78
    for word in ("upstream.connections", "MAX_BITES", "MAX_BYTES", "log.level"):
        assert word in daemon.log()
    assert not (tmp_path / "journal.db").exists()


@pytest.mark.timeout(120)
async def test_credentials_that_never_worked(tmp_path, feishu):
    """Three refusals of credentials that never worked end with 77, after 0, 15 and 45 s."""
    with DaemonProcess(tmp_path, feishu.domain, app__secret="wrong") as daemon:
        began = asyncio.get_running_loop().time()
        await asyncio.to_thread(daemon.start)
        code = await asyncio.to_thread(daemon.process.wait, 80)
        took_s = asyncio.get_running_loop().time() - began

    assert code == 77
    assert 44 < took_s < 60
    assert "wrong" not in daemon.log().replace("went wrong", "")


async def test_sighup(tmp_path, feishu):
    """SIGHUP takes over what may change, names what needs a restart, and refuses nonsense."""
    file = tmp_path / "config.toml"
    with DaemonProcess(tmp_path, feishu.domain) as daemon:
        daemon.env["FEISHU_WS_CONFIG"] = str(file)
        del daemon.env["FEISHU_WS_LOG__FORMAT"]
        file.write_text('[log]\nformat = "json"\n')
        await asyncio.to_thread(daemon.start)
        file.write_text('[log]\nformat = "json"\nlevel = "debug"\n[journal]\nmax_bytes = 999999\n')
        daemon.process.send_signal(signal.SIGHUP)
        await eventually(lambda: daemon.log_lines("config.reloaded"))
        file.write_text("[log]\nlevel = 7\n")
        daemon.process.send_signal(signal.SIGHUP)
        await eventually(lambda: daemon.log_lines("config.rejected"))
        still_there = daemon.call("ping")

    (reloaded,) = daemon.log_lines("config.reloaded")
    assert (reloaded["changed"], reloaded["needs_restart"]) == (
        ["log.level"],
        ["journal.max_bytes"],
    )
    assert "log.level" in str(daemon.log_lines("config.rejected")[0]["errors"])
    assert still_there == "pong"


async def test_passed_sockets_and_readiness(tmp_path, feishu):
    """A socket from the service manager is served and named, READY is said, the file stays."""
    path = tmp_path / "passed.sock"
    notify_path = tmp_path / "notify.sock"
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify,
        DaemonProcess(tmp_path, feishu.domain) as daemon,
    ):
        listener.bind(str(path))
        listener.listen()
        notify.bind(str(notify_path))
        notify.settimeout(15)
        os.dup2(listener.fileno(), 3, inheritable=True)
        daemon.env |= {
            "LISTEN_FDS": "1",
            "LISTEN_FDNAMES": "events",
            "NOTIFY_SOCKET": str(notify_path),
        }
        daemon.start(prefix=["sh", "-c", 'LISTEN_PID=$$ exec "$@"', "sh"], wait=False, pass_fds=[3])
        ready = await asyncio.to_thread(notify.recv, 4096)
        daemon.socket_path = path
        answer = daemon.call("ping")
        await asyncio.to_thread(daemon.stop)

    assert (answer, b"READY=1" in ready) == ("pong", True)
    assert daemon.log_lines("daemon.started")[0]["socket"] == str(path)
    assert path.exists()


async def test_what_is_heavy_is_not_imported(tmp_path, feishu):
    """A daemon that has seen traffic, metrics and status does without what costs megabytes."""
    with DaemonProcess(tmp_path, feishu.domain) as daemon:
        daemon.env["PYTHONPROFILEIMPORTTIME"] = "1"
        await asyncio.to_thread(daemon.start)
        await feishu.wait_for_links(2, 15)
        assert await feishu.push(corpus.text_message(0)).confirmed() == (200, None)
        for page in ("/metrics", "/livez", "/readyz", "/status", "/"):
            assert daemon.get(page)[0] == 200
        await asyncio.to_thread(daemon.stop)

    imported = daemon.log()
    assert "websockets" in imported
    for heavy in ("lark_oapi", "aiohttp", "cryptography", "feishu_ws.simulator"):
        assert heavy not in imported


async def test_secrets_and_content_stay_inside(tmp_path, feishu):
    """Neither the secret, a ticket nor message text is in logs, metrics, status or arguments."""
    with DaemonProcess(tmp_path, feishu.domain, log__level="debug") as daemon:
        await asyncio.to_thread(daemon.start)
        await feishu.wait_for_links(2, 15)
        delivery = feishu.push(corpus.text_message(0, text="planted-content-4711"))
        assert await delivery.confirmed() == (200, None)
        feishu.links[0].reset()
        await asyncio.sleep(1)
        pages = b"".join(daemon.get(page)[1] for page in ("/metrics", "/status", "/"))
        arguments = Path(f"/proc/{daemon.process.pid}/cmdline").read_bytes()
        await asyncio.to_thread(daemon.stop)

    shown = daemon.log().encode() + pages + arguments
    for planted in (APP_SECRET.encode(), b"planted-content-4711", b"ticket=", b"access_key="):
        assert planted not in shown


async def test_a_consumer_made_of_socat(tmp_path, feishu):
    """The README's consumer without Python greets, and gets events as lines of JSON."""
    hello = '{"jsonrpc":"2.0","id":1,"method":"hello","params":{"consumer":"try","durable":false}}'
    with DaemonProcess(tmp_path, feishu.domain) as daemon:
        await asyncio.to_thread(daemon.start)
        await feishu.wait_for_links(1, 15)
        socat = await asyncio.create_subprocess_shell(
            f"(echo '{hello}'; sleep 60) | socat - UNIX-CONNECT:{daemon.socket_path}",
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        try:
            greeting = json.loads(await asyncio.wait_for(socat.stdout.readline(), 10))
            feishu.push(corpus.text_message(0, text="hello"))
            line = json.loads(await asyncio.wait_for(socat.stdout.readline(), 10))
        finally:
            os.killpg(socat.pid, signal.SIGKILL)
            await socat.wait()

    assert greeting["result"]["protocol"] == 1
    assert line["params"]["message"]["text"] == "hello"
