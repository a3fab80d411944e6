"""The machines of a lab as network namespaces, and what can go wrong between them.

client ── hop (delay) ── router (NAT) ── server, which plays the internet.

The router is one as they stand in homes: MASQUERADE, nothing new comes in from outside,
packets without a mapping vanish instead of making one. Nothing of the machine's own
network is changed, and interface names exist inside the namespaces only. Names begin
with `fwl`, the process id of the lab's owner and a tag, so that labs run side by side
and `sweep` can tell what a crash left behind.
"""

import asyncio
import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

SERVER = "203.0.113.10"  # TEST-NET-3
PUBLIC = ("203.0.113.1", "203.0.113.2")
CLIENT = ("10.91.0.2", "10.91.0.77")
GATEWAY = "10.91.0.1"
HTTPS = 443
DNS = 53
NEEDED = {
    "ip": "iproute2",
    "ss": "iproute2",
    "iptables-restore": "iptables",
    "conntrack": "conntrack",
    "mount": "mount",
}
"""Commands, and the Debian packages that bring them."""

OURS = re.compile(r"^fwl(\d+)-")

RULES = """\
*nat
-A POSTROUTING -o wan -j MASQUERADE
COMMIT
*filter
:RESET - [0:0]
:FAULT - [0:0]
-A FORWARD -j RESET
-A FORWARD -j FAULT
-A FORWARD -m conntrack --ctstate INVALID -j DROP
-A FORWARD -i wan -m conntrack --ctstate NEW -j DROP
-A INPUT -i wan -p tcp -j DROP
COMMIT
"""
"""The last keeps the router itself from answering RST to what it has forgotten."""


class LabError(Exception):
    """The lab itself failed, not what is tested in it."""


def check_machine():
    """Fail where a lab cannot be built, saying what is missing."""
    missing = {package for name, package in NEEDED.items() if shutil.which(name) is None}
    if missing:
        raise LabError(f"the lab needs the Debian packages {', '.join(sorted(missing))}")
    if os.geteuid() != 0:
        raise LabError("the lab makes network namespaces and has to run as root")
    if not Path("/dev/net/tun").exists():
        raise LabError("the lab delays packets in a TUN device, and there is no /dev/net/tun")


async def run(*words, stdin=""):
    """Run a command and return what it printed."""
    process = await asyncio.create_subprocess_exec(
        *map(str, words),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate(stdin.encode())
    if process.returncode:
        raise LabError(f"{' '.join(map(str, words))}: {err.decode().strip()}")
    return out.decode()


def remove(name):
    """Kill what runs in a namespace of ours and delete it; no matter if it is gone."""
    words = ["ip", "netns", "pids", name]
    inside = subprocess.run(words, capture_output=True, text=True, check=False)
    for pid in inside.stdout.split():
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)
    subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)


def sweep():
    """Remove the namespaces of labs whose owner is no more."""
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True)
    for line in listed.stdout.splitlines():
        name = line.split()[0]
        ours = OURS.match(name)
        if ours and not Path(f"/proc/{ours[1]}").exists():
            remove(name)


class Network:
    """One lab's namespaces: `client`, `hop`, `router` and `server` are their names."""

    def __init__(self, tag):
        self.client, self.hop, self.router, self.server = self.names = [
            f"fwl{os.getpid()}-{tag}-{role}" for role in ("client", "hop", "router", "server")
        ]
        self.public, self.next_public = PUBLIC
        self.address, self.next_address = CLIENT
        self._delay = None

    async def __aenter__(self):
        await run("ip", "-batch", "-", stdin="".join(f"netns add {n}\n" for n in self.names))
        try:
            await self._build()
        except BaseException:
            self.close()
            raise
        return self

    async def __aexit__(self, *_):
        if self._delay is not None:
            self._delay.kill()
            await self._delay.wait()
        self.close()

    def close(self):
        """Remove everything."""
        for name in self.names:
            remove(name)

    async def _build(self):
        cables = (
            f"link add eth0 netns {self.client} type veth peer name lan netns {self.hop}\n"
            f"link add core netns {self.hop} type veth peer name lan netns {self.router}\n"
            f"link add wan netns {self.router} type veth peer name eth0 netns {self.server}\n"
        )
        await run("ip", "-batch", "-", stdin=cables)
        await self._place(self.client, {"eth0": self.address}, f"default via {GATEWAY}")
        await self._place(self.hop, {"lan": GATEWAY, "core": "10.92.0.2"}, "default via 10.92.0.1")
        await self._place(
            self.router, {"lan": "10.92.0.1", "wan": self.public}, "10.91.0.0/16 via 10.92.0.2"
        )
        await self._place(self.server, {"eth0": SERVER}, None)
        await self.inside(self.router, "iptables-restore", "-w", stdin=RULES)
        for name in (self.hop, self.router):
            await self._set(name, "net/ipv4/ip_forward", 1)
        # Linux would take a packet in mid-stream for a new mapping
        await self._set(self.router, "net/netfilter/nf_conntrack_tcp_loose", 0)

    async def _place(self, name, addresses, route):
        """Give a namespace its addresses and a route."""
        lines = ["link set lo up"]
        for device, address in addresses.items():
            lines += [f"addr add {address}/24 dev {device}", f"link set {device} up"]
        if route:
            lines.append(f"route add {route}")
        await self._ip(name, *lines)

    # -- how it is told -------------------------------------------------------------------

    def prefix(self, name, resolver_file=None):
        """Return the words that make a command run inside, with a resolv.conf of its own."""
        words = ["ip", "netns", "exec", name]
        if resolver_file is not None:  # `ip netns exec` has made a mount namespace
            bind = f'mount --bind {resolver_file} /etc/resolv.conf && exec "$@"'
            words += ["sh", "-c", bind, "sh"]
        return words

    async def inside(self, name, *words, stdin=""):
        """Run a command inside a namespace and return what it printed."""
        return await run(*self.prefix(name), *words, stdin=stdin)

    async def _ip(self, name, *lines):
        await run("ip", "-n", name, "-batch", "-", stdin="".join(f"{each}\n" for each in lines))

    async def _set(self, name, key, value):
        await self.inside(name, "sh", "-c", f"echo {value} > /proc/sys/{key}")

    async def _rules(self, *rules):
        """Add rules, all in one go."""
        text = "".join(f"-A {rule}\n" for rule in rules)
        words = ("iptables-restore", "-w", "--noflush")
        await self.inside(self.router, *words, stdin=f"*filter\n{text}COMMIT\n")

    async def ports(self):
        """Return the client's ports of its established connections."""
        out = await self.inside(self.client, "ss", "-Htn", "state", "established")
        return sorted(int(line.split()[2].rpartition(":")[2]) for line in out.splitlines())

    async def has_forgotten(self):
        """Whether the router knows no established connection to the server."""
        filters = ("-p", "tcp", "--dport", HTTPS, "--state", "ESTABLISHED")
        return not await self.inside(self.router, "conntrack", "-L", *filters)

    # -- faults ---------------------------------------------------------------------------

    async def heal(self):
        """End all faults of the router but `reset`."""
        await self.inside(self.router, "iptables", "-w", "-F", "FAULT")

    async def forget(self):
        """The router loses every mapping: a reboot, a full table, a failover."""
        await self.inside(self.router, "conntrack", "-F")

    async def forget_after(self, seconds):
        """Set how long a mapping lives that nothing uses."""
        key = "net/netfilter/nf_conntrack_tcp_timeout_established"
        await self._set(self.router, key, seconds)

    async def answer_unknown(self):
        """Answer RST to what has no mapping, as AWS and Azure do, instead of silence."""
        await self._rules(
            "FAULT -i lan -p tcp -m conntrack --ctstate INVALID -j REJECT --reject-with tcp-reset"
        )

    async def black_hole(self, direction="both", ports=None):
        """Let packets vanish: `in` (to the client), `out` or both; of some ports only."""
        sides = {"out": ("lan", "--sports"), "in": ("wan", "--dports")}
        wanted = sides.values() if direction == "both" else (sides[direction],)
        await self._rules(
            *(f"FAULT -i {side}{_of(ports, option)} -j DROP" for side, option in wanted)
        )

    async def reset(self, ports=None):
        """Answer RST to what the client sends; from some ports only, or to any TCP."""
        of = _of(ports, "--sports") or " -p tcp"
        await self._rules(f"RESET -i lan{of} -j REJECT --reject-with tcp-reset")

    async def stop_resetting(self):
        """End it, so that the other side may learn of it."""
        await self.inside(self.router, "iptables", "-w", "-F", "RESET")

    async def unreachable(self):
        """Answer ICMP net unreachable to all the client sends."""
        await self._rules("FAULT -i lan -j REJECT --reject-with icmp-net-unreachable")

    async def lose(self, share):
        """Lose a share of the packets in each direction."""
        chance = f"-m statistic --mode random --probability {share}"
        await self._rules(*(f"FAULT -i {side} {chance} -j DROP" for side in ("lan", "wan")))

    async def drop_dns(self):
        """Let questions to the resolver vanish."""
        await self._rules(*(f"FAULT -i lan -p {p} --dport {DNS} -j DROP" for p in ("udp", "tcp")))

    async def change_public_address(self):
        """The provider gives the router another address."""
        await self._ip(self.router, *_instead(self.public, self.next_public, "wan"))
        self.public, self.next_public = self.next_public, self.public
        await self.forget()

    async def change_client_address(self):
        """The client gets another address on the same network."""
        lines = _instead(self.address, self.next_address, "eth0")
        await self._ip(self.client, *lines, f"route replace default via {GATEWAY}")
        self.address, self.next_address = self.next_address, self.address

    async def unplug(self):
        """Take the client's link down, and its route with it."""
        await self._ip(self.client, "link set eth0 down")

    async def plug_in(self):
        """Bring the client's link and route back."""
        await self._ip(self.client, "link set eth0 up", f"route replace default via {GATEWAY}")

    async def slow_down(self, delay_ms, jitter_ms):
        """Hold every packet for a while, in order, in each direction."""
        script = Path(__file__).with_name("hop.py")
        self._delay = await asyncio.create_subprocess_exec(
            *self.prefix(self.hop),
            *(sys.executable, str(script), str(delay_ms), str(jitter_ms)),
            stdout=asyncio.subprocess.PIPE,
        )
        if await self._delay.stdout.readline() != b"up\n":
            raise LabError("the hop that delays packets did not come up")

    async def speed_up(self):
        """Hold packets no longer."""
        self._delay.terminate()
        await self._delay.wait()
        self._delay = None


def _instead(old, new, device):
    """Return what changes an address; the new one goes with the old it is secondary to."""
    return (
        f"addr add {new}/24 dev {device}",
        f"addr del {old}/24 dev {device}",
        f"addr replace {new}/24 dev {device}",
    )


def _of(ports, option):
    """Return the words that keep a rule to some ports."""
    if ports is None:
        return ""
    return f" -p tcp -m multiport {option} {','.join(map(str, ports))}"
