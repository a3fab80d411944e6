"""Delays packets where the kernel has no netem: `python hop.py DELAY_MS JITTER_MS`.

Runs inside the hop's namespace, until SIGTERM. What is forwarded is routed into a TUN
device, held here for a while and written back; rules keep it from coming round again.
The order of packets is kept per direction. It is a hop of its own since a packet that
passes one connection tracking twice is not translated.
"""

import fcntl
import heapq
import os
import random
import select
import signal
import struct
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

TUNSETIFF = 0x400454CA
IFF_TUN = 0x0001
IFF_NO_PI = 0x1000
PACKET = 65536
LAN = "10.91.0.0/16"
OUT, IN = "to_server", "to_client"

SET_UP = f"""\
link set {OUT} up
link set {IN} up
rule add pref 69 iif lan to {LAN} lookup main
rule add pref 70 iif lan lookup 71
rule add pref 71 iif core to {LAN} lookup 72
route add default dev {OUT} table 71
route add default dev {IN} table 72
"""
TAKE_DOWN = "rule del pref 69\nrule del pref 70\nrule del pref 71\n"


def open_tun(name):
    """Return a TUN device that gives and takes bare IP packets."""
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    request = struct.pack("16sH", name.encode(), IFF_TUN | IFF_NO_PI)
    fcntl.ioctl(device, TUNSETIFF, request)
    return device


def ip(lines):
    """Give lines to `ip -batch`."""
    subprocess.run(["ip", "-batch", "-"], input=lines.encode(), check=True)


def allow_asymmetry():
    """Let packets come back from where they did not go."""
    for name in ("all", "lan", "core", OUT, IN):
        Path(f"/proc/sys/net/ipv4/conf/{name}/rp_filter").write_text("0")


class Held:
    """Packets on their way, by when they are due."""

    def __init__(self, delay_s, jitter_s):
        self._delay_s = delay_s
        self._jitter_s = jitter_s
        self._last_s = {}
        self._queue = []
        self._count = 0

    def take(self, device, now_s):
        """Take all packets a device has."""
        with suppress(BlockingIOError):
            while True:
                packet = os.read(device, PACKET)
                wanted_s = now_s + self._delay_s + random.uniform(-1, 1) * self._jitter_s
                due_s = max(self._last_s.get(device, 0), wanted_s)
                self._last_s[device] = due_s
                self._count += 1
                heapq.heappush(self._queue, (due_s, self._count, device, packet))

    def release(self):
        """Write back what is due; return the seconds until the next."""
        while self._queue and self._queue[0][0] <= time.monotonic():
            _, _, device, packet = heapq.heappop(self._queue)
            with suppress(OSError):
                os.write(device, packet)
        return max(0, self._queue[0][0] - time.monotonic()) if self._queue else 1


def main(delay_ms, jitter_ms):
    """Delay until told to stop."""
    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(True))
    devices = [open_tun(name) for name in (OUT, IN)]
    ip(SET_UP)
    allow_asymmetry()
    held = Held(delay_ms / 1000, jitter_ms / 1000)
    print("up", flush=True)
    while not stop:
        ready, _, _ = select.select(devices, [], [], held.release())
        for device in ready:
            held.take(device, time.monotonic())
    ip(TAKE_DOWN)


if __name__ == "__main__":
    main(float(sys.argv[1]), float(sys.argv[2]))
