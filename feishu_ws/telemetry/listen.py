"""Where HTTP is listened for, and which requests are meant for it. Pure but for `own_name`.

A page in a browser can make that browser ask a loopback port; it cannot choose the
`Host` it asks for, only point a name of its own there. So the `Host` must be the
listener's, and an `Origin` is never welcome (CONTRACT 6).
"""

import ipaddress
import re
import socket
from dataclasses import dataclass
from typing import Final

from feishu_ws.faults import Fault, FeishuWsError

_LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_NAME_WITHOUT_DOT: Final = re.compile(r"[a-z0-9_-]+")
_HTTP_PORT: Final = "80"  # what a Host header without a port means
_HIGHEST_PORT: Final = "65535"


@dataclass(frozen=True, slots=True)
class Listen:
    """An address to listen on: a host and port, or the path of a Unix socket."""

    host: str = ""
    port: int = 0
    path: str = ""

    def __str__(self) -> str:
        if self.path:
            return f"unix:{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def parse_listen(text: str) -> Listen:
    """Read `HOST:PORT`, `[IPV6]:PORT` or `unix:PATH`.

    Raises:
        FeishuWsError: `config_invalid`, it is none of these.
    """
    if text.startswith("unix:"):
        path = text.removeprefix("unix:")
        if path:
            return Listen(path=path)
    else:
        host, digits = _split(text)
        port = _port(digits)
        if host and port is not None:
            return Listen(host, port)
    raise FeishuWsError(
        Fault.CONFIG_INVALID,
        f'telemetry.listen is {text!r}, expected HOST:PORT, [IPV6]:PORT, unix:PATH or ""',
    )


def _split(text: str) -> tuple[str, str]:
    """Split `HOST[:PORT]`; "" for a port that is absent."""
    host, colon, port = text.rpartition(":")
    if not colon or (text.startswith("[") and text.endswith("]")):
        host, port = text, ""
    return host.removeprefix("[").removesuffix("]"), port


def _port(digits: str) -> int | None:
    """Return the port, None where it is none."""
    is_number = digits.isascii() and digits.isdecimal() and len(digits) <= len(_HIGHEST_PORT)
    return int(digits) if is_number and int(digits) <= int(_HIGHEST_PORT) else None


def is_for(listen: Listen, host_header: str | None, own_name: str = "") -> bool:
    """Whether a request with this `Host` is meant for the listener.

    A Unix socket is out of a browser's reach: any `Host` will do. A listener on all
    addresses answers to addresses, to `own_name`, and to names without a dot (as
    containers have), none of which a stranger can register; ports may be mapped there.
    """
    if listen.path:
        return True
    if not host_header:
        return False
    host, digits = _split(host_header.lower())
    port = _port(digits or _HTTP_PORT)
    if _is_wildcard(listen.host):
        is_known = _is_address(host) or host == own_name.lower()
        return port is not None and (is_known or bool(_NAME_WITHOUT_DOT.fullmatch(host)))
    if port != listen.port:
        return False
    return host == listen.host.lower() or (_is_loopback(listen.host) and host in _LOOPBACK_NAMES)


def _is_wildcard(host: str) -> bool:
    return _is_address(host) and ipaddress.ip_address(host).is_unspecified


def _is_loopback(host: str) -> bool:
    return host == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def own_name() -> str:
    """Return this machine's name; asks the kernel, not the resolver."""
    return socket.gethostname()
