"""The daemon's way to a host, gone as far as TLS and no further: nothing is asked there.

One exception: where the certificate is not trusted a second connection trusts anybody,
reads whose it is, and asks for the time with a HEAD request that tells nothing of us.
"""

import asyncio
import socket
import ssl
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

from cryptography import x509
from cryptography.x509.oid import ExtensionOID, NameOID

from feishu_ws.cli.examine.place import is_encrypted, place_of
from feishu_ws.clock import SystemClock
from feishu_ws.upstream.attempt import USER_AGENT, Attempt, Phase
from feishu_ws.upstream.proxy import choose_proxy
from feishu_ws.upstream.resolver import Resolver
from feishu_ws.upstream.trust import Trust
from feishu_ws.upstream.tunnel import dial, open_tunnel

MAX_HEAD: Final = 16 * 1024
SHOWN_NAMES: Final = 3


@dataclass(frozen=True, slots=True)
class Peer:
    """Who answered, and by what right.

    Attributes:
        issuer: Who signed the certificate, as a person would say it.
        names: The hosts it is for, the first few.
        version: Of TLS.
        took_s: Of the handshake alone.
    """

    issuer: str
    names: tuple[str, ...]
    not_before: datetime
    not_after: datetime
    version: str = ""
    took_s: float = 0.0


class Passage:
    """Opens sockets and looks at certificates; keeps nothing between two of them."""

    def __init__(self, proxy: str, resolver: Resolver, trust: Trust) -> None:
        self._proxy = proxy
        self._resolver = resolver
        self._trust = trust

    async def open(self, url: str) -> socket.socket:
        """Return a connection to a URL's host, through the proxy where there is one.

        Raises:
            FeishuWsError: `proxy_failed`, `config_invalid`.
            OSError: As the system answers.
        """
        place, attempt = place_of(url), Attempt(0, SystemClock())
        proxy = choose_proxy(self._proxy, url)
        if proxy is None:
            return await dial(self._resolver, place.host, place.port, attempt, Phase.TCP)
        return await open_tunnel(proxy, self._resolver, place.host, place.port, attempt)

    async def connect(self, url: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Return streams to a URL's host, trusted as the daemon trusts.

        Raises:
            FeishuWsError: `config_invalid`: the trust anchor cannot be read; or as `open`.
            OSError: The handshake failed; of `ssl` or of the system.
        """
        context = self._trust.context() if is_encrypted(url) else None
        return await _streams(await self.open(url), context, place_of(url).host)

    async def greet(self, url: str) -> Peer:
        """Return who is at a URL's host, trusted as the daemon trusts; raises as `connect`."""
        context = self._trust.context()
        sock = await self.open(url)
        loop = asyncio.get_running_loop()
        began = loop.time()
        _, writer = await _streams(sock, context, place_of(url).host)
        try:
            return _peer(writer.get_extra_info("ssl_object"), loop.time() - began)
        finally:
            writer.transport.abort()

    async def look_closer(self, url: str) -> tuple[Peer | None, float | None]:
        """Return who is there, trusted or not, and its clock minus ours; None where unknown."""
        with suppress(OSError, ValueError):
            sock = await self.open(url)
            host = place_of(url).host
            reader, writer = await _streams(sock, _trusting_anybody(), host)
            try:
                peer = _peer(writer.get_extra_info("ssl_object"), 0.0)
                return peer, await _ask_time(reader, writer, host)
            finally:
                writer.transport.abort()
        return None, None


async def _streams(
    sock: socket.socket, context: ssl.SSLContext | None, host: str
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    name = host if context is not None else None
    try:
        return await asyncio.open_connection(
            sock=sock, ssl=context, server_hostname=name, limit=MAX_HEAD
        )
    except BaseException:
        sock.close()
        raise


def _trusting_anybody() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # only looked at; nothing of ours is sent
    return context


async def _ask_time(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str
) -> float | None:
    clock = SystemClock()
    request = f"HEAD / HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {USER_AGENT}\r\n\r\n"
    writer.write(request.encode())
    with suppress(OSError, EOFError, asyncio.LimitOverrunError):
        head = await reader.readuntil(b"\r\n\r\n")
        return read_offset(head, clock.wall_ms())
    return None


def read_offset(head: bytes, now_ms: int) -> float | None:
    """Return the `Date` of an HTTP answer minus now in seconds, None without one."""
    for line in head.decode("latin-1").split("\r\n"):
        name, _, value = line.partition(":")
        if name.lower() == "date":
            with suppress(ValueError, TypeError, OverflowError):
                return parsedate_to_datetime(value.strip()).timestamp() + 0.5 - now_ms / 1000
    return None


def _peer(tls: Any, took_s: float) -> Peer:
    certificate = x509.load_der_x509_certificate(tls.getpeercert(binary_form=True))
    return Peer(
        _common_name(certificate.issuer),
        tuple(_names(certificate))[:SHOWN_NAMES],
        certificate.not_valid_before_utc,
        certificate.not_valid_after_utc,
        tls.version() or "",
        took_s,
    )


def _common_name(name: x509.Name) -> str:
    """Return organisation and common name, the parts that tell who it is."""
    parts = [
        str(each.value)
        for oid in (NameOID.ORGANIZATION_NAME, NameOID.COMMON_NAME)
        for each in name.get_attributes_for_oid(oid)
    ]
    return " ".join(dict.fromkeys(parts)) or "nobody named"


def _names(certificate: x509.Certificate) -> list[str]:
    try:
        found = certificate.extensions.get_extension_for_oid(
            ExtensionOID.SUBJECT_ALTERNATIVE_NAME
        ).value
    except x509.ExtensionNotFound:
        return []
    assert isinstance(found, x509.SubjectAlternativeName)
    hosts = [str(each) for each in found.get_values_for_type(x509.DNSName)]
    return hosts + [str(each) for each in found.get_values_for_type(x509.IPAddress)]
