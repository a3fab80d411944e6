"""TCP: every address of the first hop on its own, not only the one that wins the race."""

import asyncio
import errno
import os
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from feishu_ws.cli.examine.finding import Finding, fail, ok, warn
from feishu_ws.cli.examine.names import Address
from feishu_ws.cli.examine.place import Place, Route
from feishu_ws.faults import Fault

DEADLINE_S: Final = 4.0  # a lost SYN is sent again after 1 and after 3 s
MOST: Final = 8  # addresses that are tried
RESET: Final = "connection reset"
NO_WAY: Final = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL})


@dataclass(frozen=True, slots=True)
class Try:
    """One address; `error` is None if it took the connection, a TimeoutError if it said nothing."""

    family: int
    place: Place
    took_s: float
    error: OSError | None = None

    @property
    def is_filtered(self) -> bool:
        """Whether nothing came back at all."""
        return isinstance(self.error, TimeoutError)

    @property
    def is_no_family(self) -> bool:
        """Whether this machine has no IPv6 to begin with."""
        error = self.error
        return self.family == socket.AF_INET6 and error is not None and error.errno in NO_WAY


async def knock(addresses: Iterable[Address]) -> list[Try]:
    """Connect to all of them at once."""
    some = list(addresses)[:MOST]
    return list(await asyncio.gather(*(_knock(family, where) for family, where in some)))


async def _knock(family: int, where: tuple[Any, ...]) -> Try:
    loop = asyncio.get_running_loop()
    began = loop.time()
    error = None
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setblocking(False)  # noqa: FBT003 the library's signature
    try:
        async with asyncio.timeout(DEADLINE_S):
            await loop.sock_connect(sock, where)
    except OSError as exc:
        error = exc
    finally:
        sock.close()
    return Try(family, Place(str(where[0]), int(where[1])), loop.time() - began, error)


def judge(tries: Sequence[Try], route: Route) -> Finding:
    """Return how the first hop is reached."""
    seen = "; ".join(_words(each) for each in tries)
    facts = {"addresses": [_facts(each) for each in tries]}
    if route.proxy is not None:
        seen = f"the proxy {seen}"
    if all(each.error is not None for each in tries):
        return _judge_failure(tries, route, seen, facts)
    if any(each.error is not None and not each.is_no_family for each in tries):
        hint = "the daemon uses the others; ask why that address fails"
        return warn(seen, Fault.CONNECT_FAILED, hint, **facts)
    return ok(seen, **facts)


def _judge_failure(tries: Sequence[Try], route: Route, seen: str, facts: dict[str, Any]) -> Finding:
    is_filtered = any(each.is_filtered for each in tries)
    if route.proxy is not None:
        fault = Fault.CONNECT_TIMEOUT if is_filtered else Fault.PROXY_FAILED
        return fail(fault, seen, "start the proxy, or mend upstream.proxy", **facts)
    fault = Fault.CONNECT_TIMEOUT if is_filtered else Fault.CONNECT_FAILED
    return fail(fault, seen, _hint(tries, route), **facts)


def _hint(tries: Sequence[Try], route: Route) -> str:
    if route.unused:
        return f'${route.unused} names a proxy: set upstream.proxy = "env"'
    port = route.hop.port
    if any(each.is_filtered for each in tries):
        return f"let the firewall pass outbound TCP {port}, or set upstream.proxy"
    if all(each.error is not None and each.error.errno in NO_WAY for each in tries):
        return "look at address and route of this machine: ip addr; ip route"
    return f"check app.domain, and that no firewall rejects outbound TCP {port}"


def _words(each: Try) -> str:
    if each.error is None:
        return f"{each.place} in {each.took_s * 1000:.0f} ms"
    if each.is_filtered:
        return f"{each.place} silent for {each.took_s:.1f} s"
    return f"{each.place} {reason(each.error)}"


def reason(error: OSError) -> str:
    """Return the system's words for an error, without the address asyncio adds."""
    if error.errno:
        return os.strerror(error.errno).lower()
    return str(error) or RESET  # asyncio raises a ConnectionResetError without words


def _facts(each: Try) -> dict[str, Any]:
    error = None if each.error is None else "timeout" if each.is_filtered else reason(each.error)
    return {"address": str(each.place), "ms": round(each.took_s * 1000), "error": error}
