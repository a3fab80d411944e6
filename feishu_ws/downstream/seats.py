"""Who reads: consumers by name, their place in the journal, and who holds it.

A seat outlives its connections. A durable consumer has one seat; a second
connection with its name turns the first one out. Non-durable consumers (`tail`)
get a seat each and leave nothing behind.
"""

import asyncio
from collections import deque
from typing import Final, Protocol

from feishu_ws.clock import Clock
from feishu_ws.downstream.progress import Progress
from feishu_ws.downstream.recent import Batch
from feishu_ws.downstream.settings import (
    CONFLICT_S,
    MAX_CONSUMERS,
    MAX_WINDOW,
    SUPERSEDES_PER_MINUTE,
    DeliverySettings,
)
from feishu_ws.faults import Fault
from feishu_ws.happenings import ConsumerDisconnected, ConsumerFaulted, Observer
from feishu_ws.journal.contract import Journal
from feishu_ws.model import ConsumerRecord, Event, Filter
from feishu_ws.wire.native import Code, HelloParams, RpcError, is_consumer_name

_STARTS: Final = "resume, latest, earliest or a position >= 1"


class Outlet(Protocol):
    """Where deliveries go: one connection of a consumer."""

    def deliver(self, event: Event, attempt: int, reply_by_ms: int | None, *, late: bool) -> None:
        """Send an event; never blocks."""
        ...

    def has_room(self) -> bool:
        """Whether more may be sent; when it is true again, `Dispatcher.resume` is called."""
        ...

    def bye(self, reason: str) -> None:
        """Say goodbye; settles are still read for a while."""
        ...


class Seat:
    """A consumer in this process, connected or not."""

    def __init__(self, name: str, wanted: Filter, progress: Progress, *, durable: bool) -> None:
        self.name = name
        self.wanted = wanted.compile()
        self.progress = progress
        self.durable = durable
        self.outlet: Outlet | None = None
        self.batch: Batch | None = None
        self.reading: asyncio.Task[None] | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.is_pumping = False
        self.supersedes: deque[float] = deque()
        self.conflict_until_s = 0.0


class Seats:
    """All seats, and the rules of taking one."""

    def __init__(
        self, journal: Journal, settings: DeliverySettings, *, clock: Clock, observe: Observer
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._observe = observe
        self.settings = settings
        self.durable: dict[str, Seat] = {}
        self.taps: set[Seat] = set()

    def all(self) -> list[Seat]:
        """Return every seat, durable ones first."""
        return [*self.durable.values(), *self.taps]

    async def take(self, outlet: Outlet, hello: HelloParams) -> tuple[Seat, int]:
        """Give a connection its seat; return it and the cursor.

        Raises:
            RpcError: `INVALID_PARAMS`, `CONSUMER_CONFLICT` or `FULL`.
        """
        _check(hello)
        if not hello.durable:
            return await self._take_tap(hello)
        self._check_conflict(hello.consumer)
        seat = await self._find(hello)
        self._turn_out(seat)
        seat.outlet = outlet
        seat.progress.asked_window = hello.window
        self._journal.seen(seat.name, self._clock.wall_ms(), connected=True)
        return seat, self._journal.consumers()[seat.name].cursor

    async def _take_tap(self, hello: HelloParams) -> tuple[Seat, int]:
        cursor = await self._cursor(hello.start)
        wanted = _wanted(Filter(), hello)
        record = ConsumerRecord(hello.consumer, wanted, cursor)
        seat = Seat(hello.consumer, wanted, Progress(record, self.settings), durable=False)
        self.taps.add(seat)
        return seat, cursor

    async def _find(self, hello: HelloParams) -> Seat:
        """Find or make a durable seat, after what the hello wishes is durable."""
        known = self._journal.consumers().get(hello.consumer)
        if known is None and len(self._journal.consumers()) >= MAX_CONSUMERS:
            raise RpcError(Code.FULL, f"there are {MAX_CONSUMERS} consumers, the most there can be")
        wanted = _wanted(known.filter if known else Filter(), hello)
        cursor = await self._cursor(hello.start) if known is None or hello.force else None
        if known is None or cursor is not None or wanted != known.filter:
            declared = known is not None and known.declared
            await self._journal.enroll(hello.consumer, wanted, cursor, declared=declared)
            self._renew(hello.consumer, is_moved=cursor is not None)
        seat = self.durable.get(hello.consumer)
        if seat is None:
            record = self._journal.consumers()[hello.consumer]
            seat = Seat(hello.consumer, wanted, Progress(record, self.settings), durable=True)
            self.durable[hello.consumer] = seat
        return seat

    def _renew(self, name: str, *, is_moved: bool) -> None:
        """Filter or cursor changed: read again from the cursor the journal now has."""
        seat = self.durable.get(name)
        if seat is None:
            return
        record = self._journal.consumers()[name]
        before, seat.progress = seat.progress, Progress(record, self.settings)
        seat.wanted = record.filter.compile()
        seat.batch = None
        if not is_moved:
            seat.progress.inherit(before, seat.wanted, self._clock.monotonic())

    async def _cursor(self, start: str | int) -> int:
        """Return the cursor for a `start`: everything up to it counts as settled."""
        if isinstance(start, int):
            return start - 1
        if start == "latest":
            return self._journal.last
        if start == "earliest":
            return 0
        window_ms = round(self.settings.new_consumer_window_s * 1000)
        return await self._journal.position_at(self._clock.wall_ms() - window_ms)

    # -- several connections with one name --------------------------------------------------

    def _check_conflict(self, name: str) -> None:
        seat = self.durable.get(name)
        if seat is not None and seat.outlet is not None:
            self._check_quarrel(seat)

    def _check_quarrel(self, seat: Seat) -> None:
        if self._clock.monotonic() < seat.conflict_until_s:
            raise RpcError(
                Code.CONSUMER_CONFLICT,
                f"consumer {seat.name} was taken over more than {SUPERSEDES_PER_MINUTE} times in"
                f" {CONFLICT_S:.0f} s; give every process a name of its own",
            )

    def _turn_out(self, seat: Seat) -> None:
        """End the connection that holds the seat, unless that happens too often."""
        if seat.outlet is None:
            return
        now_s = self._clock.monotonic()
        while seat.supersedes and seat.supersedes[0] <= now_s - CONFLICT_S:
            seat.supersedes.popleft()
        if len(seat.supersedes) >= SUPERSEDES_PER_MINUTE:
            seat.supersedes.clear()
            seat.conflict_until_s = now_s + CONFLICT_S
            detail = f"taken over {SUPERSEDES_PER_MINUTE} times in {CONFLICT_S:.0f} s"
            self._observe(ConsumerFaulted(seat.name, Fault.CONSUMER_CONFLICT, detail))
            self._check_quarrel(seat)
        seat.supersedes.append(now_s)
        unsettled = seat.progress.in_flight
        outlet, seat.outlet = seat.outlet, None
        seat.progress.superseded(now_s)
        self._observe(ConsumerDisconnected(seat.name, "superseded", unsettled))
        outlet.bye("superseded")


def _check(hello: HelloParams) -> None:
    """Refuse params that make no sense.

    Raises:
        RpcError: `INVALID_PARAMS`, naming the field, what was seen and expected.
    """
    if not is_consumer_name(hello.consumer):
        raise RpcError(
            Code.INVALID_PARAMS,
            f"params.consumer is {hello.consumer[:80]!r}, expected 1 to 64 of a-z 0-9 _ . -",
        )
    start = hello.start
    if start not in ("resume", "latest", "earliest") and not (
        isinstance(start, int) and start >= 1
    ):
        raise RpcError(Code.INVALID_PARAMS, f"params.start is {start!r}, expected {_STARTS}")
    if hello.window is not None and not 1 <= hello.window <= MAX_WINDOW:
        raise RpcError(
            Code.INVALID_PARAMS, f"params.window is {hello.window}, expected 1 to {MAX_WINDOW}"
        )


def _wanted(known: Filter, hello: HelloParams) -> Filter:
    """Return the filter a hello asks for; chats and ignore_own come from the configuration."""
    if hello.types is None:
        return known
    return Filter(tuple(hello.types), known.chats, known.ignore_own)
