"""Discovery: asks Feishu where the WebSocket is. A fresh URL for every attempt.

Importing aiohttp costs about 0.1 s and 9 MB on top of the rest; the daemon needs it
anyway for its own HTTP, and nothing but the fleet imports this file.

Source of the request: lark-oapi 1.7.5 ws/client.py:252-309.
"""

import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import partial
from types import SimpleNamespace
from typing import Any, Final, cast

import aiohttp
import msgspec

from feishu_ws.clock import Clock
from feishu_ws.faults import Fault, FeishuWsError
from feishu_ws.happenings import DiscoveryAnswered, Observer
from feishu_ws.secret import REDACTED
from feishu_ws.upstream.attempt import USER_AGENT, Attempt, Phase
from feishu_ws.upstream.proxy import choose_proxy, is_socks
from feishu_ws.upstream.resolver import Resolver
from feishu_ws.upstream.settings import Credentials, UpstreamSettings
from feishu_ws.upstream.trust import Trust
from feishu_ws.wire.endpoint import DISCOVERY_PATH, HTTP_OK, Endpoint, parse_discovery

MAX_BODY: Final = 64 * 1024  # an answer has some 500 bytes
DATE_RESOLUTION_S: Final = 1.0  # of the HTTP Date header, which rounds down
TRANSPORT: Final = "transport"

HEADERS: Final = {"Content-Type": "application/json", "locale": "zh", "User-Agent": USER_AGENT}


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


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
            endpoint = parse_discovery(
                answer.status, answer.body, answer.headers, credentials.domain
            )
        except FeishuWsError as exc:
            code = _label(answer, exc)
            raise _conceal(exc, credentials.secret.reveal()) from None
        finally:
            took_s = self._clock.monotonic() - began_s
            offset_s = _clock_offset(answer, began_ms, took_s)
            self._observe(DiscoveryAnswered(code, took_s, offset_s))
        return endpoint

    async def _post(self, credentials: Credentials, attempt: Attempt) -> _Answer:
        url = credentials.domain.rstrip("/") + DISCOVERY_PATH
        proxy = choose_proxy(self._settings.proxy, url)
        secret = credentials.secret.reveal()
        request = msgspec.json.encode({"AppID": credentials.app_id, "AppSecret": secret})
        try:
            async with (
                self._session(attempt, proxy) as session,
                session.post(
                    url,
                    data=request,
                    headers=HEADERS,
                    allow_redirects=False,
                    proxy=None if is_socks(proxy) else proxy,
                    ssl=self._trust.context() if url.startswith("https:") else True,
                ) as response,
            ):
                body = await _read(response)
        except (aiohttp.ClientError, OSError, ValueError) as exc:
            raise _translate(exc, attempt) from exc
        return _Answer(response.status, response.headers, body)

    @asynccontextmanager
    async def _session(
        self, attempt: Attempt, proxy: str | None
    ) -> AsyncIterator[aiohttp.ClientSession]:
        async with aiohttp.ClientSession(
            connector=await self._connector(attempt, proxy),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),  # the attempt as a whole has a deadline
            trace_configs=[] if is_socks(proxy) else [_trace(attempt)],
        ) as session:
            yield session

    async def _connector(self, attempt: Attempt, proxy: str | None) -> aiohttp.BaseConnector:
        if proxy is not None and is_socks(proxy):
            from feishu_ws.upstream.socks import make_connector  # two libraries that few need

            return await make_connector(proxy, self._resolver, partial(_enter, attempt))
        return aiohttp.TCPConnector(
            resolver=cast("aiohttp.abc.AbstractResolver", self._resolver),
            use_dns_cache=False,
            force_close=True,
        )


def _enter(attempt: Attempt, phase: Phase) -> None:
    """Say where the request is; its time is discovery's, whatever part of it."""
    attempt.phase = phase


def _trace(attempt: Attempt) -> aiohttp.TraceConfig:
    """Return a trace that keeps `attempt.phase` where the request is."""

    def enters(phase: Phase) -> Any:
        async def enter(_: aiohttp.ClientSession, __: SimpleNamespace, ___: object) -> None:
            _enter(attempt, phase)

        return enter

    trace = aiohttp.TraceConfig()
    trace.on_connection_create_start.append(enters(Phase.TCP))
    trace.on_dns_resolvehost_start.append(enters(Phase.DNS))
    trace.on_dns_resolvehost_end.append(enters(Phase.TCP))
    trace.on_connection_create_end.append(enters(Phase.DISCOVERY))
    return trace


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """Read the body, or raise when it is longer than any endpoint."""
    body = bytearray()
    async for chunk in response.content.iter_chunked(MAX_BODY):
        body += chunk
        if len(body) > MAX_BODY:
            raise FeishuWsError(
                Fault.DISCOVERY_MALFORMED,
                f"discovery was answered with more than {MAX_BODY} bytes, expected some hundred",
            )
    return bytes(body)


def _translate(exc: Exception, attempt: Attempt) -> FeishuWsError:
    """Turn what aiohttp raises into our words; the only place that knows its exceptions."""
    fault, attempt.phase = _judge(exc, attempt.phase)
    return FeishuWsError(fault, f"discovery: {_words(exc)}, in phase {attempt.phase}")


def _judge(exc: Exception, phase: Phase) -> tuple[Fault, Phase]:
    match exc:
        case aiohttp.ClientConnectorDNSError():
            return Fault.DNS_FAILED, Phase.DNS
        case aiohttp.ClientProxyConnectionError() | aiohttp.ClientHttpProxyError():
            return Fault.PROXY_FAILED, Phase.PROXY
        case aiohttp.ClientSSLError() | ssl.SSLError():
            return Fault.TLS_FAILED, Phase.TLS
        case aiohttp.ClientConnectorError():
            return Fault.CONNECT_FAILED, Phase.TCP
        case _ if phase is Phase.DNS:
            return Fault.DNS_FAILED, Phase.DNS
        case _:
            return Fault.DISCOVERY_FAILED, Phase.DISCOVERY


def _words(exc: Exception) -> str:
    """Return what happened without the URL that aiohttp likes to add."""
    match exc:
        case aiohttp.ClientHttpProxyError(status=status):
            return f"the proxy answered {status}"
        case aiohttp.ClientConnectorCertificateError(certificate_error=inner):
            return str(inner)
        case aiohttp.ClientConnectorError(os_error=inner):
            return inner.strerror or str(inner) or type(inner).__name__
        case OSError(strerror=str(words)) if words:
            return words
        case _:
            return type(exc).__name__


def _conceal(exc: FeishuWsError, secret: str) -> FeishuWsError:
    """Return the error without the secret: a captive portal may echo the request."""
    if not secret or secret not in exc.detail:
        return exc
    detail = exc.detail.replace(secret, REDACTED)
    return FeishuWsError(exc.fault, detail, code=exc.code, retry_after_s=exc.retry_after_s)


def _label(answer: _Answer | None, exc: FeishuWsError) -> str:
    """Return what a failed discovery is counted as; an HTTP status is no code of Feishu's."""
    if answer is None:
        return TRANSPORT
    return "http" if answer.status != HTTP_OK else str(exc.code or "malformed")


def _clock_offset(answer: _Answer | None, began_ms: int, took_s: float) -> float | None:
    """Return Feishu's clock minus ours, taken at the middle of the request."""
    if answer is None:
        return None
    try:
        theirs_s = parsedate_to_datetime(answer.headers.get("Date", "")).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
    return theirs_s + DATE_RESOLUTION_S / 2 - (began_ms / 1000 + took_s / 2)
