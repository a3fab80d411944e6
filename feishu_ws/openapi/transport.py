"""Requests to Feishu over a pool of connections. The one place that knows aiohttp.

aiohttp is imported with the first request: it costs eleven megabytes, and a daemon
that only reads never needs it. Names go through the daemon's resolver, TLS through its
trust, proxies are those of the long connection. Redirects are never followed: a token
would go along.
"""

import socket
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from feishu_ws import __version__
from feishu_ws.faults import Fault, FeishuWsError
from feishu_ws.wire.answers import Answer

if TYPE_CHECKING:
    import aiohttp
    from multidict import CIMultiDictProxy

USER_AGENT: Final = f"feishu-ws/{__version__}"
CONNECT_S: Final = 5.0  # TCP and TLS, or the way through a proxy
CONNECTIONS: Final = 100  # at once; Feishu takes 50 messages a second
KEEPALIVE_S: Final = 60.0
READ_PIECE: Final = 64 * 1024
_SOCKS: Final = ("socks5:", "socks5h:")


class Names(Protocol):
    """Looks up names, as aiohttp asks for it."""

    async def resolve(
        self, host: str, port: int = 0, family: int = socket.AF_UNSPEC
    ) -> list[dict[str, Any]]:
        """Return the addresses of a name; raises OSError."""
        ...

    async def close(self) -> None:
        """Release what is held."""
        ...


@dataclass(frozen=True, slots=True)
class Way:
    """How Feishu is reached.

    Attributes:
        proxy_for: Returns the proxy for a URL, None for none; may raise FeishuWsError.
        trust: Returns whom TLS trusts; may raise FeishuWsError.
    """

    names: Names
    proxy_for: Callable[[str], str | None]
    trust: Callable[[], ssl.SSLContext]


@dataclass(slots=True)
class Incoming:
    """An answer whose body is still on its way."""

    status: int
    headers: "CIMultiDictProxy[str]"
    _content: "aiohttp.StreamReader"

    async def pieces(self) -> AsyncIterator[bytes]:
        """Give the body as it comes.

        Raises:
            FeishuWsError: `api_failed`, it broke off.
        """
        from feishu_ws.openapi.trouble import translated

        with translated():
            while piece := await self._content.read(READ_PIECE):
                yield piece

    async def read(self, most: int) -> bytes:
        """Return the whole body.

        Raises:
            FeishuWsError: `api_failed`, it broke off or has more than `most` bytes.
        """
        body = bytearray()
        async for piece in self.pieces():
            body += piece
            if len(body) > most:
                raise FeishuWsError(
                    Fault.API_FAILED,
                    f"the answer has more than {most} bytes, the most there may be",
                )
        return bytes(body)


class Transport:
    """Sends requests; makes the pool with the first one."""

    def __init__(self, domain: str, way: Way) -> None:
        self._domain = domain
        self._way = way
        self._session: aiohttp.ClientSession | None = None

    async def ask(
        self,
        method: str,
        target: str,
        headers: Sequence[tuple[str, str]],
        body: bytes,
        *,
        timeout_s: float,
        most: int,
    ) -> Answer:
        """Return the whole answer, its body decompressed.

        Raises:
            UnsentError: No connection came about.
            FeishuWsError: `api_failed`; Feishu may have obeyed.
        """
        async with self.open(method, target, headers, body, timeout_s=timeout_s) as incoming:
            content = await incoming.read(most)
            return Answer(incoming.status, dict(incoming.headers), content)

    @asynccontextmanager
    async def open(
        self,
        method: str,
        target: str,
        headers: Sequence[tuple[str, str]],
        body: bytes | AsyncIterator[bytes],
        *,
        timeout_s: float,
        verbatim: bool = False,
    ) -> AsyncIterator[Incoming]:
        """Send a request and give its answer, body to follow.

        Args:
            method: HTTP's.
            target: Path and query, as the request line is to name them.
            headers: All of them; none is made up but Host and those of the body's length.
            body: Bytes, or pieces as they come.
            timeout_s: For all of it, the body of the answer included.
            verbatim: Whether a compressed body stays so, and a JSON body its own type.

        Raises:
            UnsentError: No connection came about.
            FeishuWsError: `api_failed`; Feishu may have obeyed.
        """
        import aiohttp
        from yarl import URL

        from feishu_ws.openapi.trouble import translated

        session = self._opened()
        url = self._domain + target
        proxy = self._way.proxy_for(url)
        with translated():
            async with session.request(
                method,
                URL(url, encoded=True),
                headers=list(headers),
                data=body or None,
                allow_redirects=False,
                proxy=proxy if proxy and not proxy.startswith(_SOCKS) else None,
                timeout=aiohttp.ClientTimeout(timeout_s, sock_connect=CONNECT_S),
                auto_decompress=not verbatim,
                skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
            ) as response:
                yield Incoming(response.status, response.headers, response.content)

    def _opened(self) -> "aiohttp.ClientSession":
        if self._session is None:
            import aiohttp

            self._session = aiohttp.ClientSession(
                connector=self._connector(), cookie_jar=aiohttp.DummyCookieJar()
            )
        return self._session

    def _connector(self) -> "aiohttp.BaseConnector":
        from aiohttp import TCPConnector

        options: dict[str, Any] = {"limit": CONNECTIONS, "keepalive_timeout": KEEPALIVE_S}
        if self._domain.startswith("https:"):
            options["ssl"] = self._way.trust()
        proxy = self._way.proxy_for(self._domain)
        if proxy is None or not proxy.startswith(_SOCKS):
            return TCPConnector(resolver=self._way.names, **options)  # type: ignore[arg-type]
        from aiohttp_socks import ProxyConnector

        url = "socks5:" + proxy.partition(":")[2]
        return ProxyConnector.from_url(url, rdns=True, **options)

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None
