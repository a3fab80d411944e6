"""DNS: what the name of the first hop resolves to, how fast, and who answered."""

import asyncio
import ipaddress
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from feishu_ws.cli.examine.finding import Finding, fail, ok, warn
from feishu_ws.cli.examine.place import Place
from feishu_ws.faults import Fault
from feishu_ws.upstream.resolver import AddressInfo, Resolver

DEADLINE_S: Final = 5.0  # glibc asks a nameserver for 5 s before it tries the next
SLOW_S: Final = 1.0
SHOWN: Final = 3  # addresses of a family
RESOLV_CONF: Final = Path("/etc/resolv.conf")
FEISHU: Final = (".feishu.cn", ".larksuite.com", ".larkoffice.com")
FAKE_IPS: Final = ipaddress.ip_network("198.18.0.0/15")
"""What proxy programs that pose as the resolver answer with. Source: RFC 2544, observed."""

Address = tuple[int, tuple[Any, ...]]
"""Family and socket address."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the resolver said.

    Attributes:
        addresses: In its order; none where it failed.
        error: Why it failed, None if it did not, or said nothing in time.
    """

    place: Place
    took_s: float
    addresses: tuple[Address, ...] = ()
    error: OSError | None = None


async def ask(resolver: Resolver, place: Place) -> Answer:
    """Resolve as the daemon does, but not for longer than `DEADLINE_S`."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    found: Sequence[AddressInfo] = ()
    error = None
    try:
        async with asyncio.timeout(DEADLINE_S):
            found = await resolver.addresses(place.host, place.port)
    except TimeoutError:
        error = None
    except OSError as exc:
        error = exc
    addresses = dict.fromkeys((each[0], each[4]) for each in found)
    return Answer(place, loop.time() - began, tuple(addresses), error)


def nameservers(path: Path = RESOLV_CONF) -> list[str]:
    """Return the nameservers this machine asks; none where the file cannot be read."""
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError:
        return []
    rows = (line.split() for line in lines)
    return [row[1] for row in rows if len(row) > 1 and row[0] == "nameserver"]


def judge(answer: Answer, servers: Sequence[str]) -> Finding:
    """Return how the name resolves."""
    if not answer.addresses:
        return _judge_failure(answer, servers)
    host = answer.place.host
    shown = [str(each[0]) for _, each in answer.addresses]
    took = f"{answer.took_s * 1000:.0f} ms"
    facts: dict[str, Any] = {
        "addresses": shown,
        "ms": round(answer.took_s * 1000),
        "nameservers": list(servers),
    }
    if shown == [host]:
        return ok(f"{host} is an address, there is no name to resolve", **facts)
    seen = f"{host}: {_families(answer.addresses)} in {took}"
    if oddity := _oddity(host, shown):
        return warn(f"{seen}; {oddity}", hint="look at /etc/hosts and at the resolver", **facts)
    if all(ipaddress.ip_address(each) in FAKE_IPS for each in shown):
        return ok(f"{seen}; from a proxy program that poses as the resolver", **facts)
    if answer.took_s > SLOW_S:
        slow = f"the nameserver is slow: {_named(servers)}"
        return warn(seen, hint=slow, **facts)
    return ok(seen, **facts)


def _families(addresses: Sequence[Address]) -> str:
    """Return the addresses by family."""
    parts = []
    for family, name in ((socket.AF_INET, "IPv4"), (socket.AF_INET6, "IPv6")):
        found = [str(each[0]) for kind, each in addresses if kind == family]
        if found:
            more = ", …" if len(found) > SHOWN else ""
            parts.append(f"{len(found)} {name} ({', '.join(found[:SHOWN])}{more})")
    return ", ".join(parts)


def is_feishu(host: str) -> bool:
    """Whether a host is Feishu's own, and not a private one or a proxy."""
    return f".{host}".endswith(FEISHU)


def _oddity(host: str, addresses: Sequence[str]) -> str:
    """Return what is odd about Feishu's name leading here, "" for any other name."""
    found = [ipaddress.ip_address(each.partition("%")[0]) for each in addresses]
    if not is_feishu(host) or not all(each.is_private for each in found):
        return ""
    if all(each in FAKE_IPS for each in found):
        return ""
    return "no address of Feishu's: something answers in its place"


def _judge_failure(answer: Answer, servers: Sequence[str]) -> Finding:
    host, error = answer.place.host, answer.error
    facts: dict[str, Any] = {
        "addresses": [],
        "ms": round(answer.took_s * 1000),
        "nameservers": list(servers),
    }
    asked = _named(servers)
    if error is None:
        seen = f"{host}: no answer in {answer.took_s:.1f} s from {asked}"
        return fail(Fault.DNS_FAILED, seen, _mend(host, servers), **facts)
    words = error.strerror or str(error)
    seen = f"{host}: {words}, after {answer.took_s * 1000:.0f} ms, from {asked}"
    if error.errno in {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", -5)}:
        return fail(Fault.DNS_FAILED, seen, _mend_unknown(host), **facts)
    return fail(Fault.DNS_FAILED, seen, _mend(host, servers), **facts)


def _named(servers: Sequence[str]) -> str:
    if not servers:
        return "no nameserver: /etc/resolv.conf names none"
    return f"nameserver{'s' if len(servers) > 1 else ''} {', '.join(servers)}"


def _mend_unknown(host: str) -> str:
    if is_feishu(host):
        return f"ask why that nameserver does not know it, use another: getent hosts {host}"
    return f"look for a typo in {host}; else the nameserver filters it: getent hosts {host}"


def _mend(host: str, servers: Sequence[str]) -> str:
    if any(each.startswith("127.0.0.5") for each in servers):
        return f"resolvectl status; then getent hosts {host}"
    return f"put a nameserver that answers into /etc/resolv.conf; then getent hosts {host}"
