"""What each request to the lookalike gets. Imported with the first, as aiohttp is.

A page in a browser can make that browser ask a loopback port: so a `Host` other than
the listener's, and any `Origin`, are turned away before anything else.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, Protocol

from aiohttp import HttpVersion11, hdrs, web
from aiohttp.http_exceptions import HttpProcessingError

from feishu_ws.clock import Clock
from feishu_ws.downstream.lookalike.crowd import Crowd
from feishu_ws.downstream.lookalike.door import WEBSOCKET_PATH, Door
from feishu_ws.downstream.lookalike.frames import MAX_ANSWER_BYTES
from feishu_ws.downstream.lookalike.link import CLOSE_S, Link
from feishu_ws.faults import Fault, FeishuWsError
from feishu_ws.happenings import ClientRefused, Observer
from feishu_ws.wire.endpoint import DISCOVERY_PATH
from feishu_ws.wire.forwarding import BAD_REQUEST, NOT_ALLOWED, UNAUTHORIZED, Inquiry, Reply, say

HEAD_BYTES: Final = 16 * 1024  # of one header; of all of them four times that
HEADERS: Final = 64
IDLE_S: Final = 75.0  # of a connection between requests, and until its first
BODY_S: Final = 30.0  # for the next piece of a body; a busy bot may stand still for so long
TAKE_S: Final = 30.0  # for a client to take a piece of its answer
MAX_DISCOVERY: Final = 64 * 1024
FORBIDDEN: Final = 403
STOPPING: Final = 503
SWITCHING: Final = 101

Forward = Callable[[Inquiry], AbstractAsyncContextManager[Reply]]
"""Passes a request on, or refuses it; never raises but while the reply's body is read."""

_NOT_FOR_US: Final = say(
    FORBIDDEN, FORBIDDEN, "feishu-ws: Host is not this listener's, or there is an Origin"
)
_NOT_POST: Final = say(NOT_ALLOWED, NOT_ALLOWED, "feishu-ws: discovery takes POST")
_NO_UPGRADE: Final = say(BAD_REQUEST, BAD_REQUEST, "feishu-ws: expected a WebSocket handshake")
_BAD_BODY: Final = say(BAD_REQUEST, BAD_REQUEST, "feishu-ws: the body is too long, or late")
_BYE: Final = say(STOPPING, STOPPING, "feishu-ws: the daemon stops")


class House(Protocol):
    """What requests are answered with; `Lookalike` is one."""

    door: Door
    crowd: Crowd
    forward: Forward
    is_for_us: Callable[[str | None], bool]
    is_stopping: bool

    def note_request(self, protocol: asyncio.BaseProtocol) -> None:
        """Take note that the head of a request came over a connection."""
        ...


class Reception:
    """Answers requests."""

    def __init__(self, house: House, *, clock: Clock, observe: Observer) -> None:
        self._house = house
        self._clock = clock
        self._observe = observe

    def server(self) -> web.Server:
        """Return what makes a protocol for each connection."""
        return web.Server(
            self.serve,
            handler_cancellation=True,
            access_log=None,
            logger=_Defects(),
            keepalive_timeout=IDLE_S,
            max_line_size=HEAD_BYTES,
            max_field_size=HEAD_BYTES,
            max_headers=HEADERS,
            auto_decompress=False,  # bodies go on as they come
            lingering_time=0.5,
        )

    async def serve(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        self._house.note_request(request.protocol)
        if hdrs.ORIGIN in request.headers or not self._is_for_us(request):
            self._observe(ClientRefused("host"))
            return _respond(_NOT_FOR_US)
        if self._house.is_stopping:
            return _respond(_BYE)
        path = request.raw_path.partition("?")[0]
        if path == DISCOVERY_PATH:
            return await self._discover(request)
        if path == WEBSOCKET_PATH:
            return await self._upgrade(request)
        return await self._forward(request)

    def _is_for_us(self, request: web.BaseRequest) -> bool:
        hosts = request.headers.getall(hdrs.HOST, [])
        return len(hosts) == 1 and self._house.is_for_us(hosts[0])

    # -- discovery and the WebSocket ------------------------------------------------------

    async def _discover(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.method != hdrs.METH_POST:
            return _respond(_NOT_POST)
        try:
            body = await _read(request, MAX_DISCOVERY)
        except FeishuWsError:
            return _respond(_BAD_BODY)
        authority = request.headers[hdrs.HOST]
        reply, is_known = self._house.door.discover(body, authority, self._clock.monotonic())
        if not is_known:
            self._observe(ClientRefused("secret"))
        return _respond(reply)

    async def _upgrade(self, request: web.BaseRequest) -> web.StreamResponse:
        if hdrs.SEC_WEBSOCKET_PROTOCOL in request.headers or not _is_handshake(request):
            return _respond(_NO_UPGRADE)
        _, _, query = request.raw_path.partition("?")
        crowd = self._house.crowd
        refusal = self._house.door.admit(query, crowd.size, self._clock.monotonic())
        if refusal is not None:
            return _respond(refusal)
        socket = web.WebSocketResponse(
            timeout=CLOSE_S, compress=False, max_msg_size=MAX_ANSWER_BYTES
        )
        await socket.prepare(request)
        assert request.transport is not None
        await Link(socket, request.transport, crowd, self._observe).serve()
        return socket

    # -- everything else ------------------------------------------------------------------

    async def _forward(self, request: web.BaseRequest) -> web.StreamResponse:
        expects = request.headers.get(hdrs.EXPECT, "")
        inquiry = Inquiry(
            request.method,
            request.raw_path,
            tuple(request.headers.items()),
            request.content_length if request.can_read_body else 0,
            _pieces(request, is_awaited=expects.lower() == "100-continue"),
        )
        async with self._house.forward(inquiry) as reply:
            if reply.status == UNAUTHORIZED:
                self._observe(ClientRefused("secret"))
            if isinstance(reply.body, bytes):
                return _respond(reply)
            return await self._stream(request, reply, reply.body)

    async def _stream(
        self, request: web.BaseRequest, reply: Reply, pieces: AsyncIterator[bytes]
    ) -> web.StreamResponse:
        response = web.StreamResponse(status=reply.status, headers=_headers(reply))
        if response.content_length is None and request.version >= HttpVersion11:
            response.enable_chunked_encoding()
        await response.prepare(request)
        try:
            async for piece in pieces:
                async with asyncio.timeout(TAKE_S):
                    await response.write(piece)
            await response.write_eof()
        except (FeishuWsError, TimeoutError):  # half an answer must not look like a whole one
            if request.transport is not None:
                request.transport.abort()
        return response


def _is_handshake(request: web.BaseRequest) -> bool:
    return web.WebSocketResponse().can_prepare(request).ok


def _headers(reply: Reply) -> list[tuple[str, str]]:
    return list(reply.headers)


def _respond(reply: Reply) -> web.Response:
    assert isinstance(reply.body, bytes)
    return web.Response(status=reply.status, headers=_headers(reply), body=reply.body)


async def _read(request: web.BaseRequest, most: int) -> bytes:
    """Return a body whole.

    Raises:
        FeishuWsError: `client_refused`, it is too long or does not come.
    """
    body = bytearray()
    async for piece in _pieces(request, is_awaited=False):
        body += piece
        if len(body) > most:
            raise FeishuWsError(Fault.CLIENT_REFUSED, f"a body of more than {most} bytes")
    return bytes(body)


async def _pieces(request: web.BaseRequest, *, is_awaited: bool) -> AsyncIterator[bytes]:
    """Give a body as it comes.

    Args:
        request: Whose.
        is_awaited: The client waits to be told that its body is wanted.

    Raises:
        FeishuWsError: `client_refused`, it does not come.
    """
    if is_awaited and request.transport is not None:
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    while True:
        try:
            async with asyncio.timeout(BODY_S):
                piece = await request.content.readany()
        except (TimeoutError, web.RequestPayloadError) as error:
            detail = "the rest of a request's body did not come"
            raise FeishuWsError(Fault.CLIENT_REFUSED, detail) from error
        if not piece:
            return
        yield piece


class _Defects:
    """What aiohttp logs: our defects go to the loop, clients' nonsense nowhere."""

    def exception(self, message: str, *args: Any, exc_info: Any = None) -> None:
        """Something was raised while a request was read or served."""
        del args
        if isinstance(exc_info, Exception) and not isinstance(exc_info, HttpProcessingError):
            context = {
                "message": f"lookalike: {message.partition(' from ')[0]}",
                "exception": exc_info,
            }
            asyncio.get_running_loop().call_exception_handler(context)

    def debug(self, *_: Any, **__: Any) -> None:
        """Nobody wants to know."""

    warning = error = info = debug
