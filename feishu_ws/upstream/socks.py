"""SOCKS5, for discovery and WebSocket alike, on a library that few need.

Imported only where a SOCKS proxy is configured. The one place that knows what it raises.

Source: RFC 1928, RFC 1929.
"""

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, cast
from urllib.parse import SplitResult, unquote, urlsplit

import python_socks
from python_socks import ProxyType
from python_socks.async_.asyncio import Proxy

from feishu_ws.faults import Fault, FeishuWsError
from feishu_ws.upstream.attempt import Attempt, Phase
from feishu_ws.upstream.resolver import Resolver
from feishu_ws.upstream.tunnel import dial

DEFAULT_PORT: Final = 1080  # Source: RFC 1928 3
PATIENCE_S: Final = 3600.0  # the attempt as a whole has a deadline; the library's would be 60 s

_FOREIGN: Final = (
    python_socks.ProxyError,
    python_socks.ProxyConnectionError,
    python_socks.ProxyTimeoutError,
)


async def open_tunnel(
    proxy: str, resolver: Resolver, host: str, port: int, attempt: Attempt
) -> socket.socket:
    """Return a socket that the proxy has connected to `host`. The caller bounds the time.

    Raises:
        FeishuWsError: `proxy_failed`.
        OSError: The proxy's name does not resolve, or nobody answers there.
    """
    parts = urlsplit(proxy)
    place = (parts.hostname or "", parts.port or DEFAULT_PORT)
    sock = await dial(resolver, *place, attempt, Phase.PROXY)
    through = Proxy(**_as_spelt(parts, place), forward=cast("Proxy", _Connected(sock)))
    with _translated():
        return await through.connect(host, port, timeout=PATIENCE_S)


class _Connected:
    """For the library, which would try one address of the proxy and no other."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    async def connect(self, **_: object) -> socket.socket:
        """Return the connection to the proxy; the library closes it where it fails."""
        return self._sock


def _as_spelt(parts: SplitResult, place: tuple[str, int]) -> dict[str, Any]:
    """Return where the proxy is and who we are to it, as the library spells it."""
    return {
        "proxy_type": ProxyType.SOCKS5,
        "host": place[0],
        "port": place[1],
        "username": None if parts.username is None else unquote(parts.username),
        "password": None if parts.username is None else unquote(parts.password or ""),
        "rdns": True,
    }


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except _FOREIGN as exc:
        detail = f"the SOCKS proxy opened no tunnel: {exc}, in phase {Phase.PROXY}"
        raise FeishuWsError(Fault.PROXY_FAILED, detail) from exc
    except ssl.SSLError:
        raise  # of whoever is behind the proxy
    except (OSError, EOFError) as exc:  # in the middle
        detail = f"the SOCKS proxy hung up: {exc}, in phase {Phase.PROXY}"
        raise FeishuWsError(Fault.PROXY_FAILED, detail) from exc
