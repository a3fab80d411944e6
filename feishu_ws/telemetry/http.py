"""The telemetry endpoint: a handful of pages over HTTP, on loopback or a Unix socket.

Every connection carries one request and is bounded in time; their number, the size
of a request's head and of its body (none) are bounded too. Pages are plain functions
that compute from memory: nothing here waits for the rest of the daemon.
"""

import asyncio
import logging
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from aiohttp import web
from aiohttp.http import HttpProcessingError

from feishu_ws.happenings import ClientRefused, Observer, ignore
from feishu_ws.telemetry.bind import BACKLOG, bind, where
from feishu_ws.telemetry.listen import is_for, own_name, parse_listen

MAX_CLIENTS: Final = 64
HEAD_TIMEOUT_S: Final = 5.0  # for a whole request; Prometheus sends its own at once
ANSWER_TIMEOUT_S: Final = 5.0  # for taking the answer; 50 kB need far less
MAX_LINE_BYTES: Final = 4096  # request line, and each header field
MAX_FIELDS: Final = 64
STOP_TIMEOUT_S: Final = 0.2  # aiohttp takes it twice; a stop of the daemon has 3 s in all


@dataclass(frozen=True, slots=True)
class Asked:
    """What a page may know of the request."""

    accept: str = ""
    takes_gzip: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What a page gives."""

    body: bytes
    content_type: str = "text/plain; charset=utf-8"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


Page = Callable[[Asked], Answer]


class HttpServer:
    """Serves `pages` by path.

    Args:
        listen: `HOST:PORT` or `unix:PATH`; port 0 takes any free one.
        pages: By path; what is not in there is 404.
        observe: Told of clients that are turned away.
        passed: A listening socket to use instead (systemd); it is not removed at the end.

    Raises:
        FeishuWsError: `config_invalid`, `listen` is not understood.
    """

    def __init__(
        self,
        listen: str,
        pages: Mapping[str, Page],
        *,
        observe: Observer = ignore,
        passed: socket.socket | None = None,
    ) -> None:
        self._listen = parse_listen(listen)
        self._pages = pages
        self._observe = observe
        self._passed = passed
        self._own_name = own_name()
        self._server: asyncio.Server | None = None
        self._http: web.Server | None = None
        self._made: Path | None = None

    @property
    def address(self) -> str:
        """Where it listens, as `telemetry.listen` is written; the real port once started."""
        return str(self._listen)

    async def start(self) -> None:
        """Begin to listen.

        Raises:
            FeishuWsError: `port_in_use`, saying whose; `socket_failed`; `config_invalid`.
        """
        if self._passed is None:
            listener = bind(self._listen)
            self._made = Path(self._listen.path) if self._listen.path else None
        else:
            listener = self._passed
        self._listen = where(listener)
        self._http = web.Server(
            self._handle,
            access_log=None,
            logger=_library_log(),
            keepalive_timeout=HEAD_TIMEOUT_S,  # also bounds the first request's head
            max_line_size=MAX_LINE_BYTES,
            max_field_size=MAX_LINE_BYTES,
            max_headers=MAX_FIELDS,
            lingering_time=0,  # bodies are not waited for
        )
        loop = asyncio.get_running_loop()
        is_unix = listener.family == socket.AF_UNIX
        create = loop.create_unix_server if is_unix else loop.create_server
        self._server = await create(self._admit, sock=listener, backlog=BACKLOG)

    async def stop(self) -> None:
        """Stop listening and cut what is left after `STOP_TIMEOUT_S`; harmless twice."""
        if self._server is None or self._http is None:
            return
        self._server.close()
        await self._http.shutdown(STOP_TIMEOUT_S)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._server.wait_closed(), STOP_TIMEOUT_S)
        if self._made is not None:
            self._made.unlink(missing_ok=True)
        self._server = self._http = self._made = None

    def _admit(self) -> asyncio.Protocol:
        """Make the protocol of a new connection."""
        if self._http is None or len(self._http.connections) >= MAX_CLIENTS:
            self._observe(ClientRefused("full"))
            return _Refused()
        return self._http()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request; the connection ends with it."""
        if request.transport is not None:
            loop = asyncio.get_running_loop()
            loop.call_later(ANSWER_TIMEOUT_S, request.transport.abort)
        answer = self._decide(request)
        response = web.Response(body=answer.body, status=answer.status)
        response.headers["Content-Type"] = answer.content_type
        response.headers["Cache-Control"] = "no-store"
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers.update(answer.headers)
        response.force_close()
        return response

    def _decide(self, request: web.BaseRequest) -> Answer:
        headers = request.headers
        if "Origin" in headers or not is_for(self._listen, headers.get("Host"), self._own_name):
            self._observe(ClientRefused("host"))
            return Answer(b"403: Host is not this listener's, or there is an Origin\n", status=403)
        if request.method != "GET":
            return Answer(b"405: only GET\n", status=405, headers={"Allow": "GET"})
        page = self._pages.get(request.path)
        if page is None:
            return Answer(f"404: try {' '.join(self._pages)}\n".encode(), status=404)
        takes_gzip = _takes_gzip(headers.get("Accept-Encoding", ""))
        return page(Asked(headers.get("Accept", ""), takes_gzip))


class _Refused(asyncio.Protocol):
    """Hangs up at once."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


def _takes_gzip(accept_encoding: str) -> bool:
    for offer in accept_encoding.lower().split(","):
        coding, _, weight = offer.partition(";")
        if coding.strip() == "gzip":
            return weight.replace(" ", "") not in {"q=0", "q=0.0", "q=0.00", "q=0.000"}
    return False


def _library_log() -> logging.Logger:
    """Return aiohttp's log without what clients send wrong: that is not our defect."""
    log = logging.getLogger("feishu_ws.telemetry.http")
    log.addFilter(_is_ours)
    return log


def _is_ours(record: logging.LogRecord) -> bool:
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))
