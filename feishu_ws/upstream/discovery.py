"""Discovery: asks Feishu where the WebSocket is. A fresh URL for every attempt.

The request goes the way the WebSocket will go: our resolver, our proxy, our trust.

Source of the request: lark-oapi 1.7.5 ws/client.py:252-309.
"""

import asyncio
import socket
import ssl
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import urlsplit

import msgspec

from feishu_ws.clock import Clock
from feishu_ws.faults import Fault, FeishuWsError
from feishu_ws.happenings import DiscoveryAnswered, Observer
from feishu_ws.upstream.attempt import USER_AGENT, Attempt, Phase
from feishu_ws.upstream.exchange import Answer, NoAnswerError, post
from feishu_ws.upstream.proxy import choose_proxy
from feishu_ws.upstream.resolver import Resolver
from feishu_ws.upstream.settings import Credentials, UpstreamSettings
from feishu_ws.upstream.trust import Trust
from feishu_ws.upstream.tunnel import dial, open_tunnel
from feishu_ws.wire.endpoint import (
    DISCOVERY_PATH,
    FAULT_BY_CODE,
    HTTP_OK,
    Endpoint,
    parse_discovery,
)

MAX_BODY: Final = 64 * 1024  # an answer has some 500 bytes
DATE_RESOLUTION_S: Final = 1.0  # of the HTTP Date header, which rounds down
TRANSPORT: Final = "transport"
PORTS: Final = {"https": 443, "http": 80}

HEADERS: Final = {"Content-Type": "application/json", "locale": "zh", "User-Agent": USER_AGENT}

_FAULT_OF_PHASE: Final = {
    Phase.DISCOVERY: Fault.DISCOVERY_FAILED,
    Phase.DNS: Fault.DNS_FAILED,
    Phase.TCP: Fault.CONNECT_FAILED,
    Phase.PROXY: Fault.PROXY_FAILED,
    Phase.TLS: Fault.TLS_FAILED,
}
"""What it means that the operating system ended a phase with an error."""


class Discovery:
    """Asks for an endpoint; keeps nothing between two questions."""

    def __init__(
        self,
        settings: UpstreamSettings,
        resolver: Resolver,
        trust: Trust,
        observe: Observer,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._resolver = resolver
        self._trust = trust
        self._observe = observe
        self._clock = clock

    async def ask(self, credentials: Credentials, attempt: Attempt) -> Endpoint:
        """Return a fresh endpoint. The caller bounds the time.

        Raises:
            FeishuWsError: Of the transport, or what `parse_discovery` says.
        """
        began_s, began_ms = self._clock.monotonic(), self._clock.wall_ms()
        code, answer = TRANSPORT, None
        try:
            answer = await self._post(credentials, attempt)
            code = "0"
            endpoint = _read(answer, credentials)
        except FeishuWsError as exc:
            code = _label(answer, exc)
            raise
        finally:
            took_s = self._clock.monotonic() - began_s
            offset_s = _clock_offset(answer, began_ms, took_s)
            self._observe(DiscoveryAnswered(code, took_s, offset_s))
        return endpoint

    async def _post(self, credentials: Credentials, attempt: Attempt) -> Answer:
        url = credentials.domain.rstrip("/") + DISCOVERY_PATH
        secret = credentials.secret.reveal()
        request = msgspec.json.encode({"AppID": credentials.app_id, "AppSecret": secret})
        try:
            reader, writer = await self._connect(url, attempt)
            try:
                answer = await post(reader, writer, url, HEADERS, request, MAX_BODY)
            finally:
                writer.transport.abort()  # nothing is left to be said, and TLS would wait for it
        except (OSError, NoAnswerError, ValueError) as exc:
            raise _translate(exc, attempt) from exc
        return answer

    async def _connect(
        self, url: str, attempt: Attempt
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Return a connection to the host of `url`, with TLS where the URL says so."""
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or PORTS[parts.scheme]
        trust = self._trust.context() if parts.scheme == "https" else None
        sock = await self._tcp(url, host, port, attempt)
        if trust is not None:
            attempt.enter(Phase.TLS)
        opened = await asyncio.open_connection(
            sock=sock, ssl=trust, server_hostname=host if trust is not None else None
        )
        attempt.enter(Phase.DISCOVERY)
        return opened

    async def _tcp(self, url: str, host: str, port: int, attempt: Attempt) -> socket.socket:
        proxy = choose_proxy(self._settings.proxy, url)
        if proxy is None:
            return await dial(self._resolver, host, port, attempt, Phase.TCP)
        return await open_tunnel(proxy, self._resolver, host, port, attempt)


def _read(answer: Answer, credentials: Credentials) -> Endpoint:
    """Return the endpoint in an answer; a captive portal may echo the request, secret and all."""
    if (
        answer.status == HTTP_OK and len(answer.body) > MAX_BODY
    ):  # of an error the beginning will do
        detail = f"discovery was answered with more than {MAX_BODY} bytes, expected some hundred"
        raise FeishuWsError(Fault.DISCOVERY_MALFORMED, detail)
    secrets = (credentials.secret.reveal(),)
    return parse_discovery(answer.status, answer.body, answer.headers, credentials.domain, secrets)


def _translate(exc: Exception, attempt: Attempt) -> FeishuWsError:
    if isinstance(exc, ssl.SSLError):
        attempt.phase = Phase.TLS
    fault = _FAULT_OF_PHASE[attempt.phase]
    return FeishuWsError(fault, f"discovery: {_words(exc)}, in phase {attempt.phase}")


def _words(exc: Exception) -> str:
    match exc:
        case ssl.SSLCertVerificationError(verify_message=words):
            return words
        case OSError(strerror=str(words)) if words:
            return words
        case _:
            return str(exc) or type(exc).__name__


def _label(answer: Answer | None, exc: FeishuWsError) -> str:
    """Return what a failed discovery is counted as, one of a few words and of the known codes.

    An HTTP status is no code of Feishu's; a code that nobody knows may be another every time.
    """
    if answer is None:
        return TRANSPORT
    if answer.status != HTTP_OK:
        return "http"
    if exc.code is None:
        return "malformed"
    return str(exc.code) if exc.code in FAULT_BY_CODE else "unknown"


def _clock_offset(answer: Answer | None, began_ms: int, took_s: float) -> float | None:
    """Return Feishu's clock minus ours, taken at the middle of the request."""
    if answer is None:
        return None
    try:
        theirs_s = parsedate_to_datetime(answer.headers.get("date", "")).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
    return theirs_s + DATE_RESOLUTION_S / 2 - (began_ms / 1000 + took_s / 2)
