"""The telemetry endpoint: a handful of pages over HTTP, on loopback or a Unix socket.

Every connection carries one request and is bounded in time; their number and the size
of a request's head are bounded too, and no body is read. Pages are plain functions
that compute from memory: nothing here waits for the rest of the daemon.

h11 reads requests; a web framework would cost ten times its memory, for five pages.
"""

import asyncio
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from pathlib import Path
from typing import Final, cast
from urllib.parse import urlsplit

import h11

from feishu_ws.happenings import ClientRefused, Observer, ignore
from feishu_ws.telemetry.bind import BACKLOG, bind, where
from feishu_ws.telemetry.listen import is_for, own_name, parse_listen

MAX_CLIENTS: Final = 64
HEAD_TIMEOUT_S: Final = 5.0  # for a whole request; Prometheus sends its own at once
ANSWER_TIMEOUT_S: Final = 5.0  # for taking the answer; 50 kB need far less
MAX_HEAD_BYTES: Final = 16 * 1024  # a browser sends the cookies of every other local page
MAX_FIELDS: Final = 64
STOP_TIMEOUT_S: Final = 0.2  # for answers that are on their way; a stop of the daemon has 3 s


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

_DEFECT: Final = Answer(b"500: the daemon's log says why\n", status=500)
_TOO_MANY_FIELDS: Final = Answer(f"431: more than {MAX_FIELDS} fields\n".encode(), status=431)
_NOT_FOR_US: Final = Answer(
    b"403: Host is not this listener's, or there is an Origin\n", status=403
)
_NOT_GET: Final = Answer(b"405: only GET\n", status=405, headers={"Allow": "GET"})


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
        self._clients: set[_Client] = set()
        self._made: Path | None = None

    @property
    def address(self) -> str:
        """Where it listens, as `telemetry.listen` is written; the real port once started."""
        return str(self._listen)

    @property
    def clients(self) -> int:
        """How many connections there are."""
        return len(self._clients)

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
        loop = asyncio.get_running_loop()
        is_unix = listener.family == socket.AF_UNIX
        create = loop.create_unix_server if is_unix else loop.create_server
        self._server = await create(self._admit, sock=listener, backlog=BACKLOG)

    async def stop(self) -> None:
        """Stop listening and cut what is left after `STOP_TIMEOUT_S`; harmless twice."""
        if self._server is None:
            return
        self._server.close()
        for client in list(self._clients):
            client.hang_up()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._server.wait_closed(), STOP_TIMEOUT_S)
        for client in list(self._clients):
            client.abort()
        if self._made is not None:
            self._made.unlink(missing_ok=True)
        self._server = self._made = None

    def _admit(self) -> asyncio.Protocol:
        """Make the protocol of a new connection."""
        if len(self._clients) >= MAX_CLIENTS:
            self._observe(ClientRefused("full"))
            return _Refused()
        return _Client(self._decide, self._clients)

    def _decide(self, request: h11.Request) -> Answer:
        headers = {name.decode(): value.decode("latin-1") for name, value in request.headers}
        if len(request.headers) > MAX_FIELDS:
            return _TOO_MANY_FIELDS
        if "origin" in headers or not is_for(self._listen, headers.get("host"), self._own_name):
            self._observe(ClientRefused("host"))
            return _NOT_FOR_US
        if request.method != b"GET":
            return _NOT_GET
        page = self._pages.get(_path(request.target.decode()))
        if page is None:
            return Answer(f"404: try {' '.join(self._pages)}\n".encode(), status=404)
        takes_gzip = _takes_gzip(headers.get("accept-encoding", ""))
        return page(Asked(headers.get("accept", ""), takes_gzip))


class _Client(asyncio.Protocol):
    """One connection: one request, one answer, each within its time.

    Args:
        decide: Gives the answer.
        clients: Where this one is, as long as it is connected.
    """

    def __init__(self, decide: Callable[[h11.Request], Answer], clients: "set[_Client]") -> None:
        self._decide = decide
        self._clients = clients
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD_BYTES)
        self._loop = asyncio.get_running_loop()
        self._is_decided = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the request, but not for long."""
        self._transport = cast("asyncio.Transport", transport)
        self._clients.add(self)
        self._deadline = self._loop.call_later(HEAD_TIMEOUT_S, self._transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        del exc
        self._deadline.cancel()
        self._clients.discard(self)

    def data_received(self, data: bytes) -> None:
        """Take a part of the request's head; what comes after it is not looked at."""
        if self._is_decided:
            return
        self._http.receive_data(data)
        try:
            request = self._http.next_event()
        except h11.RemoteProtocolError as exc:
            self._is_decided = True
            status = exc.error_status_hint
            self._answer(Answer(f"{status}: this is no request\n".encode(), status=status))
            return
        if isinstance(request, h11.Request):
            self._is_decided = True
            # A turn of its own: what a page raises is the loop's to report, not the transport's.
            self._loop.call_soon(self._serve, request)

    def _serve(self, request: h11.Request) -> None:
        answer = _DEFECT
        try:
            answer = self._decide(request)
        finally:
            self._answer(answer)

    def _answer(self, answer: Answer) -> None:
        """Send the answer and hang up, within `ANSWER_TIMEOUT_S`."""
        if self._transport.is_closing():
            return
        self._deadline.cancel()
        self._deadline = self._loop.call_later(ANSWER_TIMEOUT_S, self._transport.abort)
        self._transport.write(_head(answer) + answer.body)
        self._transport.close()

    def hang_up(self) -> None:
        """End the connection once what was written has gone out."""
        self._transport.close()

    def abort(self) -> None:
        """End the connection now."""
        self._transport.abort()


class _Refused(asyncio.Protocol):
    """Hangs up at once."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


def _head(answer: Answer) -> bytes:
    """Return the answer's head."""
    fields = {
        "Content-Type": answer.content_type,
        "Content-Length": str(len(answer.body)),
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        **answer.headers,
        "Date": formatdate(usegmt=True),
        "Connection": "close",
    }
    reason = HTTPStatus(answer.status).phrase
    lines = [f"HTTP/1.1 {answer.status} {reason}", *map(": ".join, fields.items()), "", ""]
    return "\r\n".join(lines).encode("ascii")


def _path(target: str) -> str:
    """Return the path of a request's target, which may also be a whole URL (RFC 9112 3.2.2)."""
    return target.partition("?")[0] if target.startswith("/") else urlsplit(target).path


def _takes_gzip(accept_encoding: str) -> bool:
    for offer in accept_encoding.lower().split(","):
        coding, _, weight = offer.partition(";")
        if coding.strip() == "gzip":
            return weight.replace(" ", "") not in {"q=0", "q=0.0", "q=0.00", "q=0.000"}
    return False
