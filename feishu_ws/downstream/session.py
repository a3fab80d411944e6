"""One client of the native socket: what its lines mean, its answers and deliveries.

Source of the protocol: CONTRACT 5. A line that is not JSON, or too long, ends this
client; everything else is answered with an error object.
"""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

import msgspec

from feishu_ws import __version__
from feishu_ws.downstream.connection import Connection
from feishu_ws.downstream.desk import Desk, Errand
from feishu_ws.downstream.dispatcher import Dispatcher
from feishu_ws.downstream.outward import Office, Work, find_work
from feishu_ws.downstream.seat import Seat
from feishu_ws.events.cloudevent import encode_body
from feishu_ws.events.times import rfc3339_ms
from feishu_ws.faults import FeishuWsError
from feishu_ws.happenings import ClientRefused, Observer
from feishu_ws.model import Event
from feishu_ws.wire import native
from feishu_ws.wire.native import Call, Code, NotJsonError, RpcError

MAX_UNANSWERED: Final = 256  # requests of one client that wait for the disk; then it is not read
CLOSED: Final = "closed"
_AFTER_BYE: Final = frozenset({"settle", "reply", "reject"})
_EMPTY: Final = msgspec.Raw(b"{}")

Status = Callable[[], dict[str, Any]]


class Session(Connection):
    """A connected client, an `Outlet` once it said hello."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        desk: Desk,
        *,
        app_id: str,
        journal_id: str,
        status: Status,
        observe: Observer,
        office: Office | None,
        admit: Callable[["Session"], RpcError | None],
        dismiss: Callable[["Session"], None],
    ) -> None:
        super().__init__()
        self._dispatcher = dispatcher
        self._desk = desk
        self._app_id = app_id
        self._journal_id = journal_id
        self._status = status
        self._observe = observe
        self._office = office
        self._admit = admit
        self._dismiss = dismiss
        self._seat: Seat | None = None
        self._greeting: asyncio.Task[None] | None = None
        self._has_errand = False
        self._unanswered = 0
        self._said = 0
        self.uid: int | None = None

    # -- the connection -------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Admit the client or close it at once."""
        super().connection_made(transport)
        refusal = self._admit(self)
        if refusal is None:
            return
        if refusal.code == Code.FULL:
            self.leave(native.encode_error(None, refusal))
            self.transport.close()
        else:
            self.is_leaving = True
            self.transport.abort()

    def on_lost(self) -> None:
        """The client is gone; what it asked for last is not worth waiting for."""
        if self._greeting is not None:
            self._greeting.cancel()
        self._give_up_seat()
        self._dismiss(self)

    def on_half_close(self) -> None:
        """It can settle nothing any more, so it gets no more deliveries."""
        self._give_up_seat()

    def on_too_long(self) -> None:
        """End a client that sends no lines."""
        text = f"a line is longer than {native.MAX_LINE_TO_DAEMON} bytes"
        self._end_protocol(RpcError(Code.INVALID_REQUEST, text))

    def on_slow(self) -> None:
        """End a client that asks and does not read."""
        self._observe(ClientRefused("slow", self.uid))
        self._end("slow")

    def on_room(self) -> None:
        """Deliver on."""
        if self._seat is not None:
            self._dispatcher.resume(self._seat)

    def is_busy(self) -> bool:
        """Whether enough of its requests wait for the disk; admin methods go one by one."""
        return self._has_errand or self._unanswered >= MAX_UNANSWERED

    def owes_answers(self) -> bool:
        """Whether a request is still to be answered."""
        return self._unanswered + self._said > 0

    # -- the end --------------------------------------------------------------------------

    def bye(self, reason: str) -> None:
        """Say goodbye, stop sending, and read settles for a moment more; see `Outlet`."""
        self.leave(native.encode_call("bye", {"reason": reason}))

    def _end(self, reason: str) -> None:
        """Say goodbye of our own accord: the seat is free at once."""
        self._give_up_seat(reason)
        self.bye(reason)

    def _end_protocol(self, error: RpcError) -> None:
        if not self.is_leaving:
            self._observe(ClientRefused("line", self.uid))
        self.send(native.encode_error(None, error))
        self._end("protocol")

    def _give_up_seat(self, cause: str = CLOSED) -> None:
        if self._seat is not None:
            self._dispatcher.detach(self._seat, self, cause)

    # -- lines in -------------------------------------------------------------------------

    def handle(self, line: bytes) -> None:
        """Obey one line."""
        try:
            call = native.parse_call(line)
        except NotJsonError as error:
            self._end_protocol(RpcError(Code.PARSE_ERROR, f"no JSON: {error}"))
            return
        except RpcError as error:
            self.send(native.encode_error(error.rpc_id, error))
            return
        if self.is_leaving and call.method not in _AFTER_BYE:
            return
        try:
            self._obey(call)
        except RpcError as error:
            self._refuse(call, error)

    def _obey(self, call: Call) -> None:
        method = _METHODS.get(call.method)
        if method is not None:
            method(self, call)
            return
        work = find_work(self._office, call)
        if work is not None:  # many at once, and what they wait for keeps nobody from settling
            self._said += 1
            self._desk.run(self._say(call, work))
            return
        errand = self._desk.accept(call, self.uid)
        if errand is None:
            raise RpcError(Code.METHOD_NOT_FOUND, f"no method {call.method[:64]!r}")
        self._has_errand = True
        self._unanswered += 1
        self._desk.run(self._carry_out(call, errand))

    def _refuse(self, call: Call, error: RpcError) -> None:
        if call.wants_result:
            self.send(native.encode_error(call.id, error))

    def _result(self, call: Call, result: Any) -> None:
        if call.wants_result:
            self.send(native.encode_result(call.id, result))

    def _result_after(
        self, call: Call, durable: asyncio.Future[None] | None, error: RpcError | None = None
    ) -> None:
        """Answer, with `error` if there is one, once it is durable."""
        if durable is None:
            self._conclude(call, error)
            return
        self._unanswered += 1
        durable.add_done_callback(partial(self._now_durable, call, error))

    def _now_durable(
        self, call: Call, error: RpcError | None, durable: asyncio.Future[None]
    ) -> None:
        self._unanswered -= 1
        if not durable.cancelled():
            self._conclude(call, error)
        self.go_on()

    def _conclude(self, call: Call, error: RpcError | None) -> None:
        if error is None:
            self._result(call, _EMPTY)
        else:
            self._refuse(call, error)

    def _seated(self) -> Seat:
        if self._seat is None:
            raise RpcError(Code.NOT_GREETED, "say hello first")
        return self._seat

    # -- hello ----------------------------------------------------------------------------

    def _hello(self, call: Call) -> None:
        if self._seat is not None or self._greeting is not None:
            raise RpcError(Code.INVALID_REQUEST, "hello was said on this connection already")
        params = native.decode_params(call.params, native.HelloParams)
        self._unanswered += 1
        self._greeting = self._loop.create_task(self._greet(call, params), name="hello")

    async def _greet(self, call: Call, params: native.HelloParams) -> None:
        try:
            seat, cursor = await self._dispatcher.attach(self, params)
        except RpcError as error:
            self._refuse(call, error)
        except FeishuWsError as error:
            self._refuse(call, _internal(error))
        else:
            self._take_seat(call, seat, cursor)
        finally:
            self._greeting = None
            self._unanswered -= 1
            self.go_on()

    def _take_seat(self, call: Call, seat: Seat, cursor: int | None) -> None:
        self._seat = seat
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
        if self.is_leaving or self.is_half_closed:  # it left while it was answered
            self._give_up_seat()
        else:
            self._dispatcher.start(seat, self, self.uid)

    # -- the other methods ----------------------------------------------------------------

    def _settle(self, call: Call) -> None:
        seat = self._seated()
        params = native.decode_params(call.params, native.SettleParams)
        settled = self._dispatcher.settle(seat, params.positions, params.through)
        self._answer_settled(call, seat, settled)

    def _answer_settled(
        self, call: Call, seat: Seat, settled: Sequence[int], error: RpcError | None = None
    ) -> None:
        """A request is answered when the settle is durable; that of a notification is so soon."""
        if call.wants_result:
            self._result_after(call, self._dispatcher.make_durable(seat, settled), error)
        else:
            self._dispatcher.make_durable_soon(seat, settled)

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
        self._result_after(call, written)

    def _reply(self, call: Call) -> None:
        seat = self._seated()
        params = native.decode_params(call.params, native.ReplyParams)
        if len(bytes(params.data)) > native.MAX_REPLY_BYTES:
            raise RpcError(
                Code.INVALID_PARAMS,
                f"params.data has {len(bytes(params.data))} bytes, expected at most"
                f" {native.MAX_REPLY_BYTES}: Feishu would close the link over it",
            )
        is_first = self._dispatcher.reply(seat, params.position, bytes(params.data))
        settled = self._dispatcher.settle(seat, (params.position,), None)
        late = f"position {params.position} waits for no reply (any more)"
        error = None if is_first else RpcError(Code.LATE_CALLBACK, late)
        self._answer_settled(call, seat, settled, error)

    async def _carry_out(self, call: Call, errand: Errand) -> None:
        """Answer an admin method; the client may be gone by then."""
        try:
            await self._answer(call, errand)
        finally:
            self._has_errand = False
            self._unanswered -= 1
            self.go_on()

    async def _say(self, call: Call, work: Work) -> None:
        """Answer `send` or `api`; the client may be gone by then."""
        try:
            await self._answer(call, work)
        finally:
            self._said -= 1
            self.go_on()

    async def _answer(self, call: Call, work: Work) -> None:
        try:
            self._result(call, await work())
        except RpcError as error:
            self._refuse(call, error)
        except FeishuWsError as error:
            self._refuse(call, _internal(error))
        except BaseException:  # a defect: who runs the task tells of it, the client waits for us
            self._refuse(call, RpcError(Code.INTERNAL_ERROR, "a defect, see the daemon's log"))
            raise

    def _ping(self, call: Call) -> None:
        self._result(call, "pong")

    def _tell_status(self, call: Call) -> None:
        self._result(call, self._status())

    # -- deliveries -----------------------------------------------------------------------

    def deliver(self, event: Event, attempt: int, reply_by_ms: int | None, *, late: bool) -> None:
        """Send an event; see `Outlet`."""
        if event.body is None:
            event.body = encode_body(event, self._app_id)
        reply_by = None if reply_by_ms is None else rfc3339_ms(reply_by_ms)
        self.send(native.event_line(event.position, attempt, reply_by, event.body, late=late))


def _internal(error: FeishuWsError) -> RpcError:
    """Return the error object of a fault; clients read the word for it from its data."""
    data = {"fault": error.fault.value}
    return RpcError(Code.INTERNAL_ERROR, f"{error.fault}: {error.detail}", data)


_METHODS: Final[dict[str, Callable[[Session, Call], None]]] = {
    "hello": Session._hello,  # noqa: SLF001 the table of this very class
    "settle": Session._settle,  # noqa: SLF001
    "reject": Session._reject,  # noqa: SLF001
    "reply": Session._reply,  # noqa: SLF001
    "ping": Session._ping,  # noqa: SLF001
    "status": Session._tell_status,  # noqa: SLF001
}
