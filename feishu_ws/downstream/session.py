"""One client of the native socket: its lines in, its answers and deliveries out.

Deliveries of one loop turn leave in one write. A client that does not read is not
waited for: deliveries pause at `MAX_UNSENT`, and if its own answers pile up beyond
that it is told `slow` and closed.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, cast

import msgspec

from feishu_ws import __version__
from feishu_ws.downstream.dispatcher import Dispatcher
from feishu_ws.downstream.seats import Seat
from feishu_ws.events.cloudevent import encode_body
from feishu_ws.events.times import rfc3339_ms
from feishu_ws.happenings import ClientRefused, Observer
from feishu_ws.model import Event
from feishu_ws.wire import native
from feishu_ws.wire.native import Call, Code, NotJsonError, RpcError

MAX_UNSENT: Final = 8 * 1024 * 1024
LOW_UNSENT: Final = 1024 * 1024  # deliveries go on below this
BYE_S: Final = 1.0  # how long settles are read after the bye
_EMPTY: Final = msgspec.Raw(b"{}")

Status = Callable[[], dict[str, Any]]


class Session(asyncio.Protocol):
    """A connected client, an `Outlet` once it said hello."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        *,
        app_id: str,
        journal_id: str,
        status: Status,
        observe: Observer,
        admit: Callable[["Session"], str | None],
        dismiss: Callable[["Session"], None],
    ) -> None:
        self._dispatcher = dispatcher
        self._app_id = app_id
        self._journal_id = journal_id
        self._status = status
        self._observe = observe
        self._admit = admit
        self._dismiss = dismiss
        self._seat: Seat | None = None
        self._cause = "closed"
        self._buffer = bytearray()
        self._out: list[bytes] = []
        self._is_flushing = False
        self._is_paused = False
        self._is_leaving = False
        self._is_greeting = False
        self._closing: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.uid: int | None = None

    # -- the connection -------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Admit the client or close it at once."""
        self._loop = asyncio.get_running_loop()
        self._transport = cast("asyncio.Transport", transport)
        refusal = self._admit(self)
        if refusal is not None:
            self._observe(ClientRefused(refusal, self.uid))
            self._is_leaving = True
            self._transport.abort()
            return
        self._transport.set_write_buffer_limits(high=MAX_UNSENT, low=LOW_UNSENT)

    @property
    def transport(self) -> asyncio.Transport:
        """The connection itself."""
        return self._transport

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        del exc
        self._is_leaving = True
        self._out.clear()
        if self._closing is not None:
            self._closing.cancel()
        if self._seat is not None:
            self._dispatcher.detach(self._seat, self, self._cause)
        self._dismiss(self)

    def pause_writing(self) -> None:
        """More than `MAX_UNSENT` waits in the transport."""
        self._is_paused = True

    def resume_writing(self) -> None:
        """The client reads again."""
        self._is_paused = False
        if self._seat is not None:
            self._dispatcher.resume(self._seat)

    def data_received(self, data: bytes) -> None:
        """Take complete lines out of what came."""
        self._buffer += data
        if b"\n" not in data:
            if len(self._buffer) > native.MAX_LINE_TO_DAEMON:
                self._end("protocol")
            return
        *lines, rest = bytes(self._buffer).split(b"\n")
        self._buffer = bytearray(rest)
        for line in lines:
            if self._transport.is_closing():
                return
            if len(line) > native.MAX_LINE_TO_DAEMON:
                self._end("protocol")
                return
            if line.strip():
                self._line(line)

    # -- lines in -------------------------------------------------------------------------

    def _line(self, line: bytes) -> None:
        try:
            call = native.parse_call(line)
        except NotJsonError as error:
            self._send(native.encode_error(None, RpcError(Code.PARSE_ERROR, f"no JSON: {error}")))
            self._end("protocol")
            return
        except RpcError as error:
            answer_to, error.data = error.data, None
            self._send(native.encode_error(answer_to, error))
            return
        try:
            self._obey(call)
        except RpcError as error:
            self._refuse(call, error)

    def _obey(self, call: Call) -> None:
        method = _METHODS.get(call.method)
        if method is None:
            raise RpcError(Code.METHOD_NOT_FOUND, f"no method {call.method[:64]!r}")
        method(self, call)

    def _refuse(self, call: Call, error: RpcError) -> None:
        if call.wants_result:
            self._send(native.encode_error(call.id, error))

    def _result(self, call: Call, result: Any) -> None:
        if call.wants_result:
            self._send(native.encode_result(call.id, result))

    def _result_after(self, call: Call, durable: Awaitable[None] | None) -> None:
        """Answer once it is durable."""
        if durable is None:
            self._result(call, _EMPTY)
            return
        asyncio.ensure_future(durable).add_done_callback(lambda _: self._result(call, _EMPTY))

    def _seated(self) -> Seat:
        if self._seat is None:
            raise RpcError(Code.NOT_GREETED, "say hello first")
        return self._seat

    def _hello(self, call: Call) -> None:
        if self._seat is not None or self._is_greeting:
            raise RpcError(Code.INVALID_REQUEST, "hello was said on this connection already")
        params = native.decode_params(call.params, native.HelloParams)
        self._is_greeting = True
        task = self._loop.create_task(self._greet(call, params), name="hello")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _greet(self, call: Call, params: native.HelloParams) -> None:
        try:
            seat, cursor = await self._dispatcher.attach(self, params)
        except RpcError as error:
            self._refuse(call, error)
            return
        finally:
            self._is_greeting = False
        self._seat = seat
        if self._transport.is_closing() and seat.durable:  # it left before we were done
            self._dispatcher.detach(seat, self, "closed")
            return
        self._result(
            call,
            {
                "protocol": native.PROTOCOL,
                "version": __version__,
                "app_id": self._app_id,
                "journal": self._journal_id,
                "position": self._dispatcher.last,
                "cursor": cursor,
            },
        )
        self._dispatcher.start(seat, self, self.uid)

    def _settle(self, call: Call) -> None:
        seat = self._seated()
        params = native.decode_params(call.params, native.SettleParams)
        positions = self._dispatcher.settle(seat, params.positions, params.through)
        if call.wants_result:
            self._result_after(call, self._dispatcher.make_durable(seat, positions))
        else:
            self._dispatcher.make_durable_soon(seat, positions)

    def _reject(self, call: Call) -> None:
        seat = self._seated()
        params = native.decode_params(call.params, native.RejectParams)
        wait_s = params.retry_in_s
        if wait_s is not None and not 0 <= wait_s <= native.MAX_RETRY_IN_S:
            raise RpcError(
                Code.INVALID_PARAMS,
                f"params.retry_in_s is {wait_s}, expected 0 to {native.MAX_RETRY_IN_S}",
            )
        if seat.outlet is not self:
            raise RpcError(Code.UNKNOWN_POSITION, "this connection was superseded")
        written = self._dispatcher.reject(
            seat, params.position, params.reason, wait_s, dead=params.dead
        )
        self._result_after(call, written if seat.durable else None)

    def _reply(self, call: Call) -> None:
        seat = self._seated()
        params = native.decode_params(call.params, native.ReplyParams)
        is_first = self._dispatcher.reply(seat, params.position, bytes(params.data))
        positions = self._dispatcher.settle(seat, (params.position,), None)
        self._dispatcher.make_durable_soon(seat, positions)
        if not is_first:
            raise RpcError(
                Code.LATE_CALLBACK, f"position {params.position} waits for no reply (any more)"
            )
        self._result(call, _EMPTY)

    def _ping(self, call: Call) -> None:
        self._result(call, "pong")

    def _tell_status(self, call: Call) -> None:
        self._result(call, self._status())

    # -- lines out ------------------------------------------------------------------------

    def deliver(self, event: Event, attempt: int, reply_by_ms: int | None, *, late: bool) -> None:
        """Send an event; see `Outlet`."""
        if event.body is None:
            event.body = encode_body(event, self._app_id)
        reply_by = None if reply_by_ms is None else rfc3339_ms(reply_by_ms)
        self._send(native.event_line(event.position, attempt, reply_by, event.body, late=late))

    def has_room(self) -> bool:
        """Whether deliveries may go on; see `Outlet`."""
        return not (self._is_paused or self._is_leaving)

    def bye(self, reason: str) -> None:
        """Say goodbye, stop sending, and read settles for a moment more; see `Outlet`."""
        self._cause = reason
        self._end(reason)

    def _send(self, line: bytes) -> None:
        if self._is_leaving:
            return
        self._out.append(line)
        if not self._is_flushing:
            self._is_flushing = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._is_flushing = False
        if not self._out or self._transport.is_closing():
            return
        self._transport.write(b"".join(self._out))
        self._out.clear()
        if self._transport.get_write_buffer_size() > 2 * MAX_UNSENT and not self._is_leaving:
            self._observe(ClientRefused("slow", self.uid))
            self._cause = "slow"
            self._transport.abort()  # it reads nothing, so a bye would not be read either

    def _end(self, reason: str) -> None:
        """Send a bye, close our side, and leave for good a moment later."""
        if self._is_leaving:
            return
        if self._cause == "closed":
            self._cause = reason
        self._send(native.encode_call("bye", {"reason": reason}))
        self._flush()
        self._is_leaving = True
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self._closing = self._loop.call_later(BYE_S, self._transport.abort)


_METHODS: Final[dict[str, Callable[[Session, Call], None]]] = {
    "hello": Session._hello,  # noqa: SLF001 the table of this very class
    "settle": Session._settle,  # noqa: SLF001
    "reject": Session._reject,  # noqa: SLF001
    "reply": Session._reply,  # noqa: SLF001
    "ping": Session._ping,  # noqa: SLF001
    "status": Session._tell_status,  # noqa: SLF001
}
