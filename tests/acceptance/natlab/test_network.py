"""The lab itself: it comes and goes, leaves nothing behind, and does harm as it says."""

import os
import subprocess

from acceptance.natlab.network import SERVER, Network, check_machine, run, sweep


def namespaces():
    """Return the names of all network namespaces."""
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True)
    return {line.split()[0] for line in listed.stdout.splitlines()}


async def pings(network):
    """Return whether a packet makes it to the server and back within a second."""
    code = (
        "import socket, sys; s = socket.socket(); s.settimeout(1); "
        f"sys.exit(s.connect_ex(('{SERVER}', 443)) != 111)"  # refused: it was there
    )
    done = await network.inside(network.client, "sh", "-c", f'python3 -c "{code}"; echo $?')
    return done.strip() == "0"


async def test_leaves_nothing_behind():
    """Namespaces bear the owner's process id, and are gone with the lab."""
    check_machine()
    async with Network("tidy") as network:
        assert set(network.names) <= namespaces()
        assert all(name.startswith(f"fwl{os.getpid()}-") for name in network.names)
    assert not set(network.names) & namespaces()


async def test_sweeps_what_a_crash_left():
    """Of dead owners nothing is left, processes included; of living ones everything."""
    check_machine()
    dead = subprocess.Popen(["true"])
    dead.wait()
    left = f"fwl{dead.pid}-crash-client"
    async with Network("alive") as network:
        await run("ip", "netns", "add", left)
        inside = subprocess.Popen(["ip", "netns", "exec", left, "sleep", "60"])
        sweep()
        assert inside.wait(5) != 0
        assert left not in namespaces()
        assert set(network.names) <= namespaces()


async def test_black_hole_and_heal():
    """Packets make it to the server, vanish in a black hole, and make it again."""
    check_machine()
    async with Network("hole") as network:
        before = await pings(network)
        await network.black_hole()
        during = await pings(network)
        await network.heal()
        assert (before, during, await pings(network)) == (True, False, True)


async def test_delay():
    """A hop that holds packets lets them through, and stops doing so."""
    check_machine()
    async with Network("slow") as network:
        await network.slow_down(50, 10)
        during = await pings(network)
        await network.speed_up()
        assert (during, await pings(network)) == (True, True)
