"""Tunnels through a proxy to the host of a WebSocket: HTTP CONNECT, or SOCKS5.

Either way the proxy looks up the name behind it; its own name goes through our
resolver. CONNECT is done here: websockets 15 takes no answer of HTTP/1.0, which is what
tinyproxy gives, and python-socks 3 takes whatever one `recv` brings for the whole head.

Source: RFC 9110 9.3.6 (CONNECT), RFC 7617 (Basic).
"""

import asyncio
import socket
from base64 import b64encode
from errno import ETIMEDOUT
from http import HTTPStatus
from typing import Final, NamedTuple, cast
from urllib.parse import SplitResult, unquote, urlsplit

import aiohappyeyeballs

from feishu_ws.faults import Fault, FeishuWsError
from feishu_ws.upstream.attempt import USER_AGENT, Attempt, Phase
from feishu_ws.upstream.proxy import is_socks
from feishu_ws.upstream.resolver import Resolver, naming

NEXT_ADDRESS_AFTER_S: Final = 0.25  # Source: RFC 8305 5, "Connection Attempt Delay"
TCP_TIMEOUT_S: Final = 5.0  # then a SYN is repeated only every 4 to 8 s; a new attempt is sooner
HTTP_PORT: Final = 80
MAX_HEAD: Final = 16 * 1024  # of the proxy's answer; some add cookies and notices
_HEAD_ENDS: Final = b"\r\n\r\n"
_TUNNEL_IS_UP: Final = range(200, 300)
_UNAUTHORIZED: Final = frozenset({401, 407})  # tinyproxy says 401, RFC 9110 says 407


class Target(NamedTuple):
    """Where a tunnel leads."""

    host: str
    port: int

    @property
    def authority(self) -> str:
        """As a request line names it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


async def dial(
    resolver: Resolver, host: str, port: int, attempt: Attempt, then: Phase
) -> socket.socket:
    """Return a TCP connection to any address of `host`; `then` is the phase of connecting.

    Raises:
        OSError: The name does not resolve, or nobody answers.
    """
    attempt.enter(Phase.DNS)
    with naming(host):
        found = await resolver.addresses(host, port)
    attempt.enter(then)
    try:
        async with asyncio.timeout(TCP_TIMEOUT_S):
            return await aiohappyeyeballs.start_connection(
                cast("list[aiohappyeyeballs.AddrInfoType]", list(found)),
                happy_eyeballs_delay=NEXT_ADDRESS_AFTER_S,
                interleave=1,
            )
    except TimeoutError as exc:
        raise TimeoutError(ETIMEDOUT, f"no answer within {TCP_TIMEOUT_S:g} s") from exc


async def open_tunnel(
    proxy: str, resolver: Resolver, host: str, port: int, attempt: Attempt
) -> socket.socket:
    """Return a socket that the proxy has connected to `host`. The caller bounds the time.

    Raises:
        FeishuWsError: `proxy_failed`.
        OSError: The proxy's name does not resolve, or nobody answers there.
    """
    target = Target(host, port)
    if is_socks(proxy):
        from feishu_ws.upstream import socks  # a library that few need

        return await socks.open_tunnel(proxy, resolver, host, port, attempt)
    parts = urlsplit(proxy)
    sock = await dial(resolver, parts.hostname or "", parts.port or HTTP_PORT, attempt, Phase.PROXY)
    try:
        await _ask_for_tunnel(sock, target, parts)
    except BaseException:
        sock.close()
        raise
    return sock


async def _ask_for_tunnel(sock: socket.socket, target: Target, proxy: SplitResult) -> None:
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(sock, encode_connect(target, proxy))
    head = bytearray()
    while _HEAD_ENDS not in head:
        piece = await loop.sock_recv(sock, MAX_HEAD)
        head += piece
        if not piece or len(head) > MAX_HEAD:
            seen = f"{len(head)} bytes without an end" if head else "nothing"
            raise _failed(f"the proxy answered CONNECT with {seen}")
    check_answer(bytes(head))


def encode_connect(target: Target, proxy: SplitResult) -> bytes:
    """Return the request for a tunnel, with the proxy's login if its URL has one."""
    lines = [
        f"CONNECT {target.authority} HTTP/1.1",
        f"Host: {target.authority}",
        f"User-Agent: {USER_AGENT}",
    ]
    if proxy.username is not None:
        login = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
        lines.append(f"Proxy-Authorization: Basic {b64encode(login.encode()).decode()}")
    return "\r\n".join([*lines, "", ""]).encode()


def check_answer(head: bytes) -> None:
    """Return if a proxy's answer to CONNECT opens the tunnel.

    Its own words are not repeated: some echo the request, and the login with it.

    Args:
        head: All that came until the head's end.

    Raises:
        FeishuWsError: `proxy_failed`.
    """
    line, _, rest = head.partition(b"\r\n")
    version, _, said = line.decode("latin-1").partition(" ")
    code = said[:3]
    if not version.startswith("HTTP/1.") or not code.isdecimal():
        raise _failed(f"what listens there is no HTTP proxy: it began with {line[:8]!r}")
    if int(code) in _UNAUTHORIZED:
        detail = f"the proxy answered {code}: user or password in its URL are not right"
        raise _failed(detail, int(code))
    if int(code) not in _TUNNEL_IS_UP:
        raise _failed(f"the proxy answered {code} {_phrase(int(code))}to CONNECT", int(code))
    if not (_HEAD_ENDS + rest).endswith(_HEAD_ENDS):
        raise _failed("the proxy sent something before Feishu could")


def _phrase(code: int) -> str:
    known = {status.value: f"({status.phrase}) " for status in HTTPStatus}
    return known.get(code, "")


def _failed(detail: str, status: int | None = None) -> FeishuWsError:
    return FeishuWsError(Fault.PROXY_FAILED, f"{detail}, in phase {Phase.PROXY}", code=status)
