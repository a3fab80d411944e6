"""Who reads: consumers by name, their place in the journal, and who holds it.

A seat outlives its connections. A durable consumer has one seat; a second
connection with its name turns the first one out. Non-durable consumers (`tail`)
get a seat each and leave nothing behind.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final, Protocol

from feishu_ws.clock import Clock
from feishu_ws.downstream.progress import Progress
from feishu_ws.downstream.recent import Batch
from feishu_ws.downstream.settings import (
    CONFLICT_S,
    MAX_CONSUMERS,
    MAX_POSITION,
    MAX_TYPE_CHARS,
    MAX_TYPES,
    MAX_WINDOW,
    SUPERSEDES_PER_MINUTE,
    DeliverySettings,
)
from feishu_ws.faults import Fault
from feishu_ws.happenings import ConsumerDisconnected, ConsumerFaulted, Observer
from feishu_ws.journal.contract import Journal
from feishu_ws.model import ConsumerRecord, Event, Filter
from feishu_ws.wire.native import Code, HelloParams, RpcError, is_consumer_name

GO_ON_S: Final = 0.1  # by then the newcomer has the seat; if it left, the one before goes on
_STARTS: Final = f"resume, latest, earliest or a position from 1 to {MAX_POSITION}"


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
    """A consumer in this process, connected or not.

    Attributes:
        batch: What was read from the disk and not sent yet.
        timer_at: When it fires, on the loop's clock; uvloop's handles do not always know.
        replay_through: Up to here it was told to read again; what is old is sent all the same.
        is_pumping: It is being sent to just now.
        is_queued: It will be sent to in the loop's next turn.
    """

    def __init__(self, name: str, wanted: Filter, progress: Progress, *, durable: bool) -> None:
        self.name = name
        self.wanted = wanted.compile()
        self.progress = progress
        self.durable = durable
        self.outlet: Outlet | None = None
        self.batch: Batch | None = None
        self.reading: asyncio.Task[None] | None = None
        self.timer: asyncio.Handle | None = None
        self.timer_at = 0.0
        self.replay_through = 0
        self.is_pumping = False
        self.is_queued = False
        self.supersedes: deque[float] = deque()
        self.conflict_until_s = 0.0


class Seats:
    """All seats, and the rules of taking one."""

    def __init__(
        self,
        journal: Journal,
        settings: DeliverySettings,
        *,
        clock: Clock,
        observe: Observer,
        wake: Callable[[Seat], None],
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._observe = observe
        self._wake = wake
        self.settings = settings
        self.durable: dict[str, Seat] = {}
        self.taps: set[Seat] = set()
        self._preparing: dict[str, asyncio.Task[None]] = {}

    def all(self) -> list[Seat]:
        """Return every seat, durable ones first."""
        return [*self.durable.values(), *self.taps]

    def reconfigure(self, settings: DeliverySettings) -> None:
        """Apply changed settings (SIGHUP), and the filters of declared consumers."""
        self.settings = settings
        for seat in self.all():
            seat.progress.settings = settings
            self._wake(seat)  # the window may be larger, a deadline sooner
        for seat in self.durable.values():
            told = self._journal.settle(seat.name, ())  # done after what it was told before
            told.add_done_callback(partial(self._follow, seat))

    def _follow(self, seat: Seat, _: asyncio.Future[None]) -> None:
        """Take over the filter the journal has."""
        record = self._journal.consumers().get(seat.name)
        if record is not None and record.filter != seat.wanted.filter:
            self._renew(seat, is_moved=False)
            self._wake(seat)

    async def take(self, outlet: Outlet, hello: HelloParams) -> tuple[Seat, int | None]:
        """Give a connection its seat; return it and the cursor, None where none is kept.

        Raises:
            RpcError: `INVALID_PARAMS`, `CONSUMER_CONFLICT` or `FULL`.
            FeishuWsError: The journal cannot be read.
        """
        _check(hello)
        if not hello.durable:
            return await self._take_tap(outlet, hello), None
        self._check_quarrel(hello.consumer)
        await self._prepare(hello)
        seat = self._seat(hello.consumer)
        self._turn_out(seat)
        seat.outlet = outlet
        seat.progress.asked_window = hello.window
        self._journal.seen(seat.name, self._clock.wall_ms(), connected=True)
        return seat, self._journal.consumers()[seat.name].cursor

    async def _take_tap(self, outlet: Outlet, hello: HelloParams) -> Seat:
        cursor = await self._cursor(hello.start)
        wanted = _wanted(Filter(), hello)
        record = ConsumerRecord(hello.consumer, wanted, cursor)
        seat = Seat(hello.consumer, wanted, Progress(record, self.settings), durable=False)
        seat.outlet = outlet
        self.taps.add(seat)
        return seat

    def _seat(self, name: str) -> Seat:
        """Return the seat of a consumer the journal knows."""
        seat = self.durable.get(name)
        if seat is None:
            record = self._journal.consumers()[name]
            seat = Seat(name, record.filter, Progress(record, self.settings), durable=True)
            self.durable[name] = seat
        return seat

    # -- what a hello changes in the journal ------------------------------------------------

    async def _prepare(self, hello: HelloParams) -> None:
        """Make durable what the hello wishes; one hello of a name at a time.

        Raises:
            RpcError: `FULL`.
            FeishuWsError: The journal cannot be read.
        """
        name = hello.consumer
        while (busy := self._preparing.get(name)) is not None:
            await asyncio.wait([busy])
        known = self._journal.consumers().get(name)
        if (
            known is not None
            and not _moves(known, hello)
            and _wanted(known.filter, hello) == known.filter
        ):
            return
        if (
            known is None
            and len(self._journal.consumers().keys() | self._preparing) >= MAX_CONSUMERS
        ):
            raise RpcError(Code.FULL, f"there are {MAX_CONSUMERS} consumers, the most there can be")
        # A task of its own: memory must follow the journal even if the client leaves meanwhile.
        task = asyncio.get_running_loop().create_task(self._enroll(hello), name=f"enroll-{name}")
        self._preparing[name] = task
        task.add_done_callback(lambda done: self._prepared(name, done))
        await asyncio.wait([task])
        task.result()

    def _prepared(self, name: str, task: asyncio.Task[None]) -> None:
        del self._preparing[name]
        if not task.cancelled():
            task.exception()  # raised where it is awaited; nobody may, if the client left

    async def _enroll(self, hello: HelloParams) -> None:
        name = hello.consumer
        known = self._journal.consumers().get(name)
        wanted = _wanted(known.filter if known else Filter(), hello)
        cursor = await self._cursor(hello.start) if _moves(known, hello) else None
        declared = known is not None and known.declared
        await self._journal.enroll(name, wanted, cursor, declared=declared)
        self._clear_forgotten()
        seat = self._seat(name)
        self._renew(seat, is_moved=cursor is not None)
        if known is not None and cursor is not None:
            seat.replay_through = self._journal.last
        asyncio.get_running_loop().call_later(GO_ON_S, self._wake, seat)

    def _clear_forgotten(self) -> None:
        """Keep no seat of consumers the journal does not know any more."""
        known = self._journal.consumers()
        for name in [n for n, s in self.durable.items() if n not in known and s.outlet is None]:
            del self.durable[name]

    def _renew(self, seat: Seat, *, is_moved: bool) -> None:
        """Filter or cursor changed: read again from the cursor the journal now has."""
        record = self._journal.consumers()[seat.name]
        seat.wanted = record.filter.compile()
        if is_moved:
            seat.progress = Progress(record, self.settings)
        else:
            seat.progress.refilter(record.cursor, seat.wanted, self._clock.monotonic())

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

    def _check_quarrel(self, name: str) -> None:
        """Refuse a newcomer where the connections of a name keep ending one another.

        Raises:
            RpcError: `CONSUMER_CONFLICT`.
        """
        seat = self.durable.get(name)
        if seat is None or seat.outlet is None:
            return
        now_s = self._clock.monotonic()
        while seat.supersedes and seat.supersedes[0] <= now_s - CONFLICT_S:
            seat.supersedes.popleft()
        if len(seat.supersedes) >= SUPERSEDES_PER_MINUTE:
            seat.supersedes.clear()
            seat.conflict_until_s = now_s + CONFLICT_S
            detail = f"taken over {SUPERSEDES_PER_MINUTE} times in {CONFLICT_S:.0f} s"
            self._observe(ConsumerFaulted(name, Fault.CONSUMER_CONFLICT, detail))
        if now_s < seat.conflict_until_s:
            raise RpcError(
                Code.CONSUMER_CONFLICT,
                f"consumer {name} was taken over more than {SUPERSEDES_PER_MINUTE} times in"
                f" {CONFLICT_S:.0f} s; give every process a name of its own",
            )

    def _turn_out(self, seat: Seat) -> None:
        """End the connection that holds the seat, unless that happens too often."""
        self._check_quarrel(seat.name)
        if seat.outlet is None:
            return
        now_s = self._clock.monotonic()
        seat.supersedes.append(now_s)
        unsettled = seat.progress.in_flight
        outlet, seat.outlet = seat.outlet, None
        with self.watching(seat):
            seat.progress.superseded(now_s)
        self._observe(ConsumerDisconnected(seat.name, "superseded", unsettled))
        outlet.bye("superseded")

    @contextmanager
    def watching(self, seat: Seat) -> Iterator[None]:
        """Report it if what is done within makes the consumer get one event at a time."""
        was_isolated = seat.progress.is_isolated
        yield
        if seat.progress.is_isolated and not was_isolated:
            detail = "three connections in a row ended on the same event; now one event at a time"
            self._observe(ConsumerFaulted(seat.name, Fault.CONSUMER_POISONED, detail))


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
    _check_types(hello.types or [])
    start = hello.start
    if start not in ("resume", "latest", "earliest") and not (
        isinstance(start, int) and 1 <= start <= MAX_POSITION
    ):
        raise RpcError(Code.INVALID_PARAMS, f"params.start is {start!r}, expected {_STARTS}")
    if hello.window is not None and not 1 <= hello.window <= MAX_WINDOW:
        raise RpcError(
            Code.INVALID_PARAMS, f"params.window is {hello.window}, expected 1 to {MAX_WINDOW}"
        )


def _check_types(types: list[str]) -> None:
    """Refuse a filter that would take long to compile, now and at every start.

    Raises:
        RpcError: `INVALID_PARAMS`.
    """
    longest = max(map(len, types), default=0)
    if len(types) > MAX_TYPES or longest > MAX_TYPE_CHARS:
        raise RpcError(
            Code.INVALID_PARAMS,
            f"params.types has {len(types)} globs, the longest of {longest} characters,"
            f" expected up to {MAX_TYPES} of up to {MAX_TYPE_CHARS}",
        )


def _moves(known: ConsumerRecord | None, hello: HelloParams) -> bool:
    """Whether a hello says where its consumer stands; one that resumes stands where it stood."""
    return known is None or (hello.force and hello.start != "resume")


def _wanted(known: Filter, hello: HelloParams) -> Filter:
    """Return the filter a hello asks for; chats and ignore_own come from the configuration."""
    if hello.types is None:
        return known
    return Filter(tuple(hello.types), known.chats, known.ignore_own)
