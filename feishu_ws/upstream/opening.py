"""Opens the WebSocket of an endpoint: name, TCP or proxy, TLS, upgrade.

The one place that knows what these raise.
"""

import socket
import ssl
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import urlsplit

import aiohappyeyeballs
from websockets.asyncio.client import connect
from websockets.exceptions import (
    InvalidHandshake,
    InvalidProxy,
    InvalidStatus,
    InvalidURI,
    ProxyError,
    WebSocketException,
)

from feishu_ws.faults import Fault, FeishuWsError
from feishu_ws.upstream.attempt import USER_AGENT, Attempt, Phase
from feishu_ws.upstream.channel import MAX_FRAME, QUIET, Channel, Sink
from feishu_ws.upstream.proxy import choose_proxy
from feishu_ws.upstream.resolver import Resolver
from feishu_ws.upstream.trust import Trust
from feishu_ws.wire.endpoint import Endpoint, parse_handshake_refusal

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

NEXT_ADDRESS_AFTER_S: Final = 0.25  # Source: RFC 8305 5, "Connection Attempt Delay"
DEFAULT_PORTS: Final = {"wss": 443, "ws": 80, "http": 80}

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
            proxy = choose_proxy(self._proxy, endpoint.url)
            if proxy is None:
                await self._direct(endpoint, sink, attempt)
            else:
                await self._through(proxy, endpoint, sink, attempt)
        except _FOREIGN as exc:
            raise _translate(exc, attempt) from exc

    async def _direct(self, endpoint: Endpoint, sink: Sink, attempt: Attempt) -> None:
        host, port = _place(endpoint.url)
        attempt.enter(Phase.DNS)
        addresses = await self._resolver.addresses(host, port)
        attempt.enter(Phase.TCP)
        sock = await aiohappyeyeballs.start_connection(
            cast("list[aiohappyeyeballs.AddrInfoType]", list(addresses)),
            happy_eyeballs_delay=NEXT_ADDRESS_AFTER_S,
            interleave=1,
        )
        try:
            await self._upgrade(endpoint, sink, sock=sock, proxy=None)
        except BaseException:
            if attempt.phase is Phase.TCP:  # nobody has taken it over
                sock.close()
            raise

    async def _through(self, proxy: str, endpoint: Endpoint, sink: Sink, attempt: Attempt) -> None:
        host, port = _place(proxy)
        attempt.enter(Phase.DNS)
        address = (await self._resolver.addresses(host, port))[0]
        attempt.enter(Phase.PROXY)
        await self._upgrade(endpoint, sink, proxy=_at_address(proxy, address[0], address[4]))

    async def _upgrade(self, endpoint: Endpoint, sink: Sink, **how: Any) -> None:
        if endpoint.url.startswith("wss:"):
            how["ssl"] = self._trust.context()
        await _Connect(
            endpoint.url,
            compression=None,
            user_agent_header=USER_AGENT,
            open_timeout=None,
            max_size=MAX_FRAME,
            logger=QUIET,
            create_connection=cast("type[ClientConnection]", partial(_make_channel, sink)),
            **how,
        )


def _make_channel(sink: Sink, protocol: Any, **_: object) -> Channel:
    return Channel(sink, protocol)


def _place(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or DEFAULT_PORTS[parts.scheme]


def _at_address(proxy: str, family: int, address: tuple[Any, ...]) -> str:
    """Return the proxy's URL with an address for its name.

    The library would look the name up on the loop's executor, see `resolver.py`.
    """
    parts = urlsplit(proxy)
    user, at, _ = parts.netloc.rpartition("@")
    host = f"[{address[0]}]" if family == socket.AF_INET6 else address[0]
    return parts._replace(netloc=f"{user}{at}{host}:{address[1]}").geturl()


def _translate(exc: Exception, attempt: Attempt) -> FeishuWsError:
    if isinstance(exc, InvalidStatus):
        headers = dict(exc.response.headers.raw_items())
        return parse_handshake_refusal(exc.response.status_code, headers)
    fault, attempt.phase = _judge(exc, attempt.phase)
    return FeishuWsError(fault, f"{_words(exc)}, in phase {attempt.phase}")


def _judge(exc: Exception, phase: Phase) -> tuple[Fault, Phase]:
    match exc:
        case ProxyError():
            return Fault.PROXY_FAILED, Phase.PROXY
        case InvalidProxy():
            return Fault.CONFIG_INVALID, Phase.PROXY
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
        case InvalidURI(msg=words) | InvalidProxy(msg=words):
            return f"a URL that cannot be opened: {words}"
        case ssl.SSLCertVerificationError(verify_message=words):
            return words
        case OSError(strerror=str(words)) if words:
            return words
        case _:
            return str(exc) or type(exc).__name__
