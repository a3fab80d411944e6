"""SOCKS5, for discovery and WebSocket alike, on a library that few need.

Imported only where a SOCKS proxy is configured. The one place that knows what it raises.

Source: RFC 1928, RFC 1929.
"""

import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import python_socks
from python_socks import ProxyType
from python_socks.async_.asyncio import Proxy

from feishu_ws.faults import Fault, FeishuWsError
from feishu_ws.upstream.attempt import Phase
from feishu_ws.upstream.resolver import Resolver, naming

DEFAULT_PORT: Final = 1080  # Source: RFC 1928 3
PATIENCE_S: Final = 3600.0  # the attempt as a whole has a deadline; the library's would be 60 s

_FOREIGN: Final = (
    python_socks.ProxyError,
    python_socks.ProxyConnectionError,
    python_socks.ProxyTimeoutError,
)

Enter = Callable[[Phase], None]
"""Is told which phase begins."""


async def open_tunnel(
    proxy: str, resolver: Resolver, host: str, port: int, enter: Enter
) -> socket.socket:
    """Return a socket that the proxy has connected to `host`. The caller bounds the time.

    Raises:
        FeishuWsError: `proxy_failed`.
        OSError: The proxy's name does not resolve.
    """
    through = Proxy(**await _place(proxy, resolver, enter))
    with _translated():
        return await through.connect(host, port, timeout=PATIENCE_S)


async def _place(proxy: str, resolver: Resolver, enter: Enter) -> dict[str, Any]:
    """Return where the proxy is and who we are to it, as the library spells it."""
    parts = urlsplit(proxy)
    enter(Phase.DNS)
    with naming(parts.hostname or ""):
        found = await resolver.addresses(parts.hostname or "", parts.port or DEFAULT_PORT)
    enter(Phase.PROXY)
    host, port = found[0][4][:2]
    return {
        "proxy_type": ProxyType.SOCKS5,
        "host": host,
        "port": port,
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
