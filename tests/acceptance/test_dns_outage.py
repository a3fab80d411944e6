"""A resolver that says nothing holds up nobody."""

import asyncio
import time

import pytest
from processes import DaemonProcess
from support import eventually

NOWHERE = "192.0.2.1"  # Source: RFC 5737
HANGS_S = 2.0  # longer than anything but a resolver would take
STOP_S = 3.0

SETUP = f"""
ip link set lo up
ip link add here type veth peer name there
ip address add 192.0.2.2/24 dev here
ip link set here up
ip link set there up
ip neighbour add {NOWHERE} lladdr 02:00:00:00:00:01 dev here
mount --bind "$0" /etc/resolv.conf
exec "$@"
"""
"""A network in which names are asked for and nobody answers, not even that nobody is there."""


@pytest.mark.parametrize("options", ["", "options timeout:30 attempts:5\n"])
async def test_sigterm_in_a_dns_outage(tmp_path, options):
    """SIGTERM while a lookup hangs ends with 0 within 3 s; status and readiness answer meanwhile."""
    resolver = tmp_path / "resolv.conf"
    resolver.write_text(f"nameserver {NOWHERE}\n{options}")
    prefix = ["unshare", "--net", "--mount", "sh", "-ec", SETUP, str(resolver)]
    with DaemonProcess(tmp_path, "https://open.feishu.example") as daemon:
        await asyncio.to_thread(daemon.start, prefix=prefix)
        await eventually(lambda: daemon.status()["links"][0]["state"] == "discovering")
        since_s = time.monotonic()
        while time.monotonic() < since_s + HANGS_S:
            asked_s = time.monotonic()
            status = await asyncio.to_thread(daemon.status)
            assert time.monotonic() - asked_s < 1.0
            assert (status["ready"], status["losses"]) == (False, [])
            await asyncio.sleep(0.1)
        assert status["links"][0]["state"] == "discovering", daemon.log()

        code, took_s = await asyncio.to_thread(daemon.stop)

        assert code == 0, daemon.log()
        assert took_s < STOP_S
        assert daemon.log_lines("daemon.stopped") != []
