"""All clients of the lookalike as one consumer: the newest gets what is new.

The consumer comes to exist with the first client. Invariants:

- Events go to the newest client only; what an older one has is its own to answer, and
  goes out again to the newest when it leaves or its time is up.
- A client that fails is no reason to close another, nor is being old.
"""

import asyncio
from dataclasses import dataclass
from typing import Final, Protocol

from feishu_ws.clock import Clock
from feishu_ws.downstream.dispatcher import Dispatcher
from feishu_ws.downstream.lookalike.frames import Answer, FrameMaker
from feishu_ws.downstream.lookalike.settings import CONSUMER, LookalikeSettings
from feishu_ws.downstream.seat import Seat
from feishu_ws.faults import FeishuWsError
from feishu_ws.model import Event, Filter
from feishu_ws.wire.native import HelloParams, RpcError

LEAVE_S: Final = 1.0  # how long answers are read after the bye, as on the native socket
GOING_AWAY: Final = 1001
TRY_AGAIN_LATER: Final = 1013
REFUSED: Final = "answered 500"
_SLACK: Final = 256  # what may be remembered of deliveries beyond those in flight


class Client(Protocol):
    """One WebSocket."""

    def send(self, frames: list[bytes]) -> None:
        """Send; never blocks."""
        ...

    def has_room(self) -> bool:
        """Whether more may be sent; when it is true again, `Crowd.resume` is called."""
        ...

    def close(self, code: int, reason: str) -> None:
        """End it in good order."""
        ...


@dataclass(frozen=True, slots=True)
class _Held:
    client: Client
    is_callback: bool


class Crowd:
    """An `Outlet` for as long as there is a client."""

    def __init__(
        self, dispatcher: Dispatcher, settings: LookalikeSettings, frames: FrameMaker, clock: Clock
    ) -> None:
        self._dispatcher = dispatcher
        self._settings = settings
        self._frames = frames
        self._clock = clock
        self._wanted = Filter(types=settings.event_types).compile()
        self._clients: list[Client] = []  # the newest last
        self._leaving: list[Client] = []
        self._held: dict[int, _Held] = {}  # who was last given what
        self._seat: Seat | None = None
        self._is_seated = False
        self._greeting: asyncio.Task[None] | None = None
        self._closing: asyncio.TimerHandle | None = None
        self._why = ""
        self._empty = asyncio.Event()
        self._empty.set()

    @property
    def size(self) -> int:
        """How many clients there are."""
        return len(self._clients) + len(self._leaving)

    # -- clients come and go --------------------------------------------------------------

    def join(self, client: Client) -> None:
        """Take a client in: what is new goes to it from now on.

        Where the journal cannot have the consumer now, the client is told to try again;
        SDKs do within a second.
        """
        self._clients.append(client)
        self._empty.clear()
        if self._is_seated:
            self.resume(client)
        elif self._greeting is None:
            loop = asyncio.get_running_loop()
            self._greeting = loop.create_task(self._attach(), name="lookalike-attach")
            self._greeting.add_done_callback(self._greeted)

    async def _attach(self) -> None:
        hello = HelloParams(
            CONSUMER, types=list(self._settings.event_types), window=self._settings.window
        )
        try:
            self._seat, _ = await self._dispatcher.attach(self, hello)
        except (RpcError, FeishuWsError) as error:
            self._part(TRY_AGAIN_LATER, str(error))
            return
        self._is_seated = True
        self._dispatcher.start(self._seat, self, None)
        if not self._clients:  # they left while it was made
            self._give_up_seat()

    def _greeted(self, greeting: asyncio.Task[None]) -> None:
        self._greeting = None
        if not greeting.cancelled():
            greeting.result()  # a defect is the loop's to report

    def leave(self, client: Client) -> None:
        """A client is gone: what it had goes to the newest of the others."""
        if client in self._leaving:
            self._leaving.remove(client)
        elif client in self._clients:
            self._clients.remove(client)
            self._take_back(client)
        if not self.size:
            self._empty.set()

    def _take_back(self, client: Client) -> None:
        lost = [position for position, held in self._held.items() if held.client is client]
        for position in lost:
            del self._held[position]
        if not self._clients:
            self._give_up_seat()
        elif self._seat is not None and self._is_seated:
            self._dispatcher.take_back(self._seat, lost)

    def _give_up_seat(self) -> None:
        if self._seat is not None and self._is_seated:
            self._is_seated = False
            self._dispatcher.detach(self._seat, self, "closed")
            self._held.clear()

    def resume(self, client: Client) -> None:
        """A client has room (again)."""
        if self._clients and client is self._clients[-1] and self._seat and self._is_seated:
            self._dispatcher.resume(self._seat)

    # -- what clients say -----------------------------------------------------------------

    def take(self, client: Client, answer: Answer) -> None:
        """Settle, reply or reject as a client says."""
        if self._seat is None:
            return
        held = self._held.get(answer.position)
        is_callback = held is not None and held.is_callback
        if answer.is_ok or is_callback:  # Feishu sends no callback twice, and neither do we
            self._settle(self._seat, answer, with_reply=is_callback)
        elif held is not None and held.client is client and self._is_seated:
            self._reject(self._seat, answer.position)
        if not self._in_flight():
            self._close_leaving()

    def _settle(self, seat: Seat, answer: Answer, *, with_reply: bool) -> None:
        position = answer.position
        self._held.pop(position, None)
        if with_reply and answer.is_ok and answer.reply is not None:
            self._dispatcher.reply(seat, position, answer.reply)
        settled = self._dispatcher.settle(seat, (position,), None)
        self._dispatcher.make_durable_soon(seat, settled)

    def _reject(self, seat: Seat, position: int) -> None:
        del self._held[position]
        if seat.progress.is_in_flight(position):
            self._dispatcher.reject(seat, position, REFUSED, None, dead=False)

    # -- what the dispatcher says ---------------------------------------------------------

    def deliver(self, event: Event, attempt: int, reply_by_ms: int | None, *, late: bool) -> None:
        """Send an event to the newest client; see `Outlet`."""
        del attempt, reply_by_ms, late  # Feishu's frames have no place for them
        if not self._clients:  # the last one left while the seat was taken
            return
        if not self._wanted.names(event.envelope):  # a declared filter named it
            asyncio.get_running_loop().call_soon(self._settle_unwanted, event.position)
            return
        newest = self._clients[-1]
        if len(self._held) > 2 * self._settings.window + _SLACK:
            self._forget_settled()
        self._held[event.position] = _Held(newest, event.envelope.is_callback)
        newest.send(self._frames.encode(event, self._clock.wall_ms()))

    def _settle_unwanted(self, position: int) -> None:
        if self._seat is not None:
            self._settle(self._seat, Answer(position, is_ok=True), with_reply=False)

    def has_room(self) -> bool:
        """Whether the newest client takes more."""
        return bool(self._clients) and self._clients[-1].has_room()

    def _forget_settled(self) -> None:
        """Keep what is in flight; the rest died or was settled elsewhere."""
        self._held = {p: held for p, held in self._held.items() if self._is_in_flight(p)}

    def _is_in_flight(self, position: int) -> bool:
        return self._seat is not None and self._seat.progress.is_in_flight(position)

    def _in_flight(self) -> int:
        return 0 if self._seat is None else self._seat.progress.in_flight

    def bye(self, reason: str) -> None:
        """The seat is lost: take the answers that are under way, then close; see `Outlet`."""
        self._is_seated = False
        self._part(GOING_AWAY, reason)

    # -- the end --------------------------------------------------------------------------

    def _part(self, code: int, why: str) -> None:
        """Close all clients that there are, once they answered or had their time for it."""
        self._leaving += self._clients
        self._clients = []
        if code == TRY_AGAIN_LATER or not self._in_flight():
            self._close_leaving(code, why)
        elif self._closing is None:
            self._why = why
            loop = asyncio.get_running_loop()
            self._closing = loop.call_later(LEAVE_S, self._close_leaving)

    def _close_leaving(self, code: int = GOING_AWAY, why: str = "") -> None:
        if self._closing is not None:
            self._closing.cancel()
            self._closing = None
        for client in self._leaving:
            client.close(code, why or self._why)

    async def stop(self, within_s: float) -> None:
        """Send nothing more, take answers for up to `within_s`, close all."""
        if self._greeting is not None:
            self._greeting.cancel()
        self._part(GOING_AWAY, "shutdown")
        try:
            await asyncio.wait_for(self._empty.wait(), within_s)
        except TimeoutError:
            self._close_leaving()
