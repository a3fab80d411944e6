"""Opens the WebSocket of an endpoint: name, TCP or proxy, TLS, upgrade.

The one place that knows what these raise.
"""

import socket
import ssl
from collections.abc import Collection
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import urlsplit

from websockets.asyncio.client import connect
from websockets.exceptions import (
    InvalidHandshake,
    InvalidStatus,
    InvalidURI,
    WebSocketException,
)

from feishu_ws.faults import Fault, FeishuWsError
from feishu_ws.secret import conceal
from feishu_ws.upstream.attempt import USER_AGENT, Attempt, Phase
from feishu_ws.upstream.channel import MAX_FRAME, QUIET, Channel, Sink
from feishu_ws.upstream.proxy import choose_proxy
from feishu_ws.upstream.resolver import Resolver
from feishu_ws.upstream.trust import Trust
from feishu_ws.upstream.tunnel import dial, open_tunnel
from feishu_ws.wire.endpoint import Endpoint, parse_handshake_refusal

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

DEFAULT_PORTS: Final = {"wss": 443, "ws": 80}
WORDS_SHOWN: Final = 200  # characters; some of the library's words repeat a header of the answer

_FAULT_OF_PHASE: Final = {
    Phase.DISCOVERY: Fault.DISCOVERY_FAILED,
    Phase.DNS: Fault.DNS_FAILED,
    Phase.TCP: Fault.CONNECT_FAILED,
    Phase.PROXY: Fault.PROXY_FAILED,
    Phase.TLS: Fault.TLS_FAILED,
    Phase.HANDSHAKE: Fault.HANDSHAKE_REFUSED,
}
"""What it means that the operating system ended a phase with an error."""


_FOREIGN: Final = (
    WebSocketException,
    OSError,
    EOFError,
    ValueError,  # a host that no certificate could name
    AssertionError,  # of the library, where a peer speaks before it is asked
)
"""What opening raises, between all its layers."""


class _Connect(connect):
    """The library's opening, but the ticket goes to no other host than Feishu named."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


class Opening:
    """Opens WebSockets; keeps nothing between two of them."""

    def __init__(self, proxy: str, resolver: Resolver, trust: Trust) -> None:
        self._proxy = proxy
        self._resolver = resolver
        self._trust = trust

    async def open(self, endpoint: Endpoint, sink: Sink, attempt: Attempt) -> None:
        """Open the WebSocket; `sink` is told of its channel. The caller bounds the time.

        Raises:
            FeishuWsError: Why it did not open; `attempt.phase` says where.
        """
        try:
            sock = await self._tcp(endpoint, attempt)
            connected = attempt.phase
            try:
                await self._upgrade(endpoint, sink, sock)
            except BaseException:
                if attempt.phase is connected:  # nobody has taken it over
                    sock.close()
                raise
        except _FOREIGN as exc:
            raise _translate(exc, attempt, endpoint.secrets) from exc

    async def _tcp(self, endpoint: Endpoint, attempt: Attempt) -> socket.socket:
        """Return a connection to the host of the WebSocket, directly or through the proxy."""
        host, port = _place(endpoint.url)
        proxy = choose_proxy(self._proxy, endpoint.url)
        if proxy is None:
            return await dial(self._resolver, host, port, attempt, Phase.TCP)
        return await open_tunnel(proxy, self._resolver, host, port, attempt)

    async def _upgrade(self, endpoint: Endpoint, sink: Sink, sock: socket.socket) -> None:
        await _Connect(
            endpoint.url,
            compression=None,
            user_agent_header=USER_AGENT,
            open_timeout=None,
            max_size=MAX_FRAME,
            logger=QUIET,
            create_connection=cast("type[ClientConnection]", partial(_make_channel, sink)),
            sock=sock,
            proxy=None,
            ssl=self._trust.context() if endpoint.url.startswith("wss:") else None,
        )


def _make_channel(sink: Sink, protocol: Any, **_: object) -> Channel:
    return Channel(sink, protocol)


def _place(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or DEFAULT_PORTS[parts.scheme]


def _translate(exc: Exception, attempt: Attempt, secrets: Collection[str]) -> FeishuWsError:
    if isinstance(exc, InvalidStatus):
        headers = {name: _read(value) for name, value in exc.response.headers.raw_items()}
        return parse_handshake_refusal(exc.response.status_code, headers, secrets)
    fault, attempt.phase = _judge(exc, attempt.phase)
    words = conceal(_words(exc), secrets)[:WORDS_SHOWN]
    return FeishuWsError(fault, f"{words}, in phase {attempt.phase}")


def _read(value: str) -> str:
    """Return a header as its sender meant it; the library keeps what is no ASCII as bytes."""
    return value.encode("ascii", "surrogateescape").decode("utf-8", "replace")


def _judge(exc: Exception, phase: Phase) -> tuple[Fault, Phase]:
    match exc:
        case InvalidURI():
            return Fault.DISCOVERY_MALFORMED, Phase.DISCOVERY
        case InvalidHandshake():
            return Fault.HANDSHAKE_REFUSED, Phase.HANDSHAKE
        case ssl.SSLError():
            return Fault.TLS_FAILED, Phase.TLS
        case _:
            return _FAULT_OF_PHASE[phase], phase


def _words(exc: Exception) -> str:
    """Return what happened, without any URL: Feishu's and the proxy's hold secrets."""
    match exc:
        case InvalidURI(msg=words):
            return f"a URL that cannot be opened: {words}"
        case ssl.SSLCertVerificationError(verify_message=words):
            return words
        case OSError(strerror=str(words)) if words:
            return words
        case _:
            return str(exc) or type(exc).__name__
