"""Who reads: consumers by name, their place in the journal, and who holds it.

A seat outlives its connections. A durable consumer has one seat; a second
connection with its name turns the first one out. Non-durable consumers (`tail`)
get a seat each and leave nothing behind.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

from feishu_ws.clock import Clock
from feishu_ws.downstream import lost, replay
from feishu_ws.downstream.hello import check_hello, is_move, wanted_by
from feishu_ws.downstream.progress import Progress
from feishu_ws.downstream.seat import Outlet, Seat
from feishu_ws.downstream.settings import (
    CONFLICT_S,
    MAX_CONSUMERS,
    SUPERSEDES_PER_MINUTE,
    DeliverySettings,
)
from feishu_ws.faults import Fault, FeishuWsError
from feishu_ws.happenings import (
    ConsumerDisconnected,
    ConsumerFaulted,
    ConsumerForgotten,
    Observer,
)
from feishu_ws.journal.contract import Journal
from feishu_ws.model import ConsumerRecord, Filter
from feishu_ws.wire.native import Code, HelloParams, RpcError

GO_ON_S: Final = 0.1  # by then the newcomer has the seat; if it left, the one before goes on


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
        self._changing: dict[str, asyncio.Task[None]] = {}

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
            seat.begin_pause()  # the journal was told of other filters before
            told = self._journal.settle(seat.name, ())  # done after what it was told before
            told.add_done_callback(partial(self._told, seat))

    def _told(self, seat: Seat, _: asyncio.Future[None]) -> None:
        self._follow(seat.name)
        seat.end_pause()
        self._wake(seat)

    def _follow(self, name: str) -> None:
        """Take over the filter the journal has, unless it is about to change."""
        seat, record = self.durable.get(name), self._journal.consumers().get(name)
        if seat is None or record is None or name in self._changing:
            return
        if record.filter != seat.wanted.filter:
            self._renew(seat)
            self._wake(seat)

    async def take(self, outlet: Outlet, hello: HelloParams) -> tuple[Seat, int | None]:
        """Give a connection its seat; return it and the cursor, None where none is kept.

        Raises:
            RpcError: `INVALID_PARAMS`, `CONSUMER_CONFLICT` or `FULL`.
            FeishuWsError: The journal cannot be read.
        """
        check_hello(hello)
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
        wanted = wanted_by(Filter(), hello)
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
            seat.replay_through = replay.ordered_through(self._journal, name)
            self.durable[name] = seat
        return seat

    # -- what changes in the journal --------------------------------------------------------

    async def _turn(self, name: str) -> None:
        """Wait until nothing is changed about a consumer; then `_change` has to follow at once."""
        while (busy := self._changing.get(name)) is not None:
            await asyncio.wait([busy])

    async def _change(self, name: str, change: Coroutine[Any, Any, None]) -> None:
        """Change something about a consumer, to the end, also if nobody waits for it any more.

        Raises:
            FeishuWsError: The journal cannot be read, or ended before it was durable.
        """
        task = asyncio.get_running_loop().create_task(change, name=f"change-{name}")
        self._changing[name] = task
        task.add_done_callback(partial(self._changed, name))
        await asyncio.wait([task])
        if task.cancelled():
            raise FeishuWsError(Fault.LOCAL_STOP, "the journal was closed before it was durable")
        task.result()

    def _changed(self, name: str, task: asyncio.Task[None]) -> None:
        del self._changing[name]
        if not task.cancelled():
            task.exception()  # raised where it is awaited; nobody may, if the client left
        if name in self.durable:
            self._follow(name)

    async def _prepare(self, hello: HelloParams) -> None:
        """Make durable what the hello wishes.

        Raises:
            RpcError: `FULL`.
            FeishuWsError: The journal cannot be read.
        """
        name = hello.consumer
        await self._turn(name)
        known = self._journal.consumers().get(name)
        if known is None:
            if len(self._journal.consumers().keys() | self._changing) >= MAX_CONSUMERS:
                raise RpcError(
                    Code.FULL, f"there are {MAX_CONSUMERS} consumers, the most there can be"
                )
            await self._change(name, self._enroll(hello))
        elif is_move(known, hello):
            await self._change(name, self._move_as(known, hello))
        elif wanted_by(known.filter, hello) != known.filter:
            await self._change(name, self._refilter(known, wanted_by(known.filter, hello)))

    async def _enroll(self, hello: HelloParams) -> None:
        """Make a consumer exist."""
        name = hello.consumer
        cursor = await self._cursor(hello.start)
        if hello.start == "resume":
            now_ms, hours = self._clock.wall_ms(), self.settings.forget_after_hours
            cursor = lost.begin(self._journal, cursor, now_ms, hours)
        self._clear_forgotten()
        declared = name in dict(self.settings.consumers)  # just now, by a reload
        await self._journal.enroll(name, wanted_by(Filter(), hello), cursor, declared=declared)

    async def _refilter(self, known: ConsumerRecord, wanted: Filter) -> None:
        """Let a consumer have another filter, and read again from its cursor."""
        await self._rewrite(known, wanted)
        self._wake_later(known.name)

    async def _rewrite(self, known: ConsumerRecord, wanted: Filter) -> None:
        seat = self._seat(known.name)
        with seat.paused():
            await self._journal.enroll(known.name, wanted, None, declared=known.declared)
            self._renew(seat)

    async def _move_as(self, known: ConsumerRecord, hello: HelloParams) -> None:
        """Move a consumer to where a hello says, which may bring another filter."""
        cursor = await self._cursor(hello.start)
        wanted = wanted_by(known.filter, hello)
        if wanted != known.filter:
            await self._rewrite(known, wanted)
        await self._move(known.name, cursor)
        self._wake_later(known.name)

    def _wake_later(self, name: str) -> None:
        """By then the newcomer has the seat; if it left, the one before goes on."""
        asyncio.get_running_loop().call_later(GO_ON_S, self._wake, self._seat(name))

    async def move(self, name: str, cursor: int) -> int:
        """Let a consumer stand at `cursor` and read on from there, at once if it is connected.

        Returns the cursor that it had.

        Raises:
            RpcError: `INVALID_PARAMS`: there is no such consumer.
            FeishuWsError: The journal ended before it was durable.
        """
        await self._turn(name)
        known = self._journal.consumers().get(name)
        if known is None:
            raise unknown(name, self._journal)
        await self._change(name, self._move(name, cursor))
        seat = self.durable.get(name)
        if seat is not None:
            self._wake(seat)
        return known.cursor

    async def _move(self, name: str, cursor: int) -> None:
        """Memory moves at once: what is settled from now on was delivered before the move."""
        through = replay.order(self._journal, name, cursor)
        moved = self._journal.move(name, cursor)
        seat = self.durable.get(name)
        if seat is None:
            await moved
            return
        seat.progress = seat.progress.moved(cursor)
        seat.batch = None
        seat.replay_through = through
        with seat.paused():
            await moved

    async def forget(self, name: str, reason: str) -> None:
        """Remove a consumer that is neither declared nor connected.

        Args:
            name: Which.
            reason: `asked` or `absent`.

        Raises:
            RpcError: `INVALID_PARAMS`, `CONSUMER_CONFLICT`.
            FeishuWsError: The journal ended before it was durable.
        """
        await self._turn(name)
        known = self._journal.consumers().get(name)
        if known is None:
            raise unknown(name, self._journal)
        if known.declared or name in dict(self.settings.consumers):
            raise RpcError(
                Code.CONSUMER_CONFLICT,
                f"consumer {name} is declared; remove it from delivery.consumers first",
            )
        if self.is_connected(name):
            raise RpcError(Code.CONSUMER_CONFLICT, f"consumer {name} is connected; stop it first")
        await self._change(name, self._forget(name))
        self._observe(ConsumerForgotten(name, reason))

    async def _forget(self, name: str) -> None:
        replay.forget(self._journal, name)
        await self._journal.forget(name)
        self._clear_forgotten()

    def is_connected(self, name: str) -> bool:
        """Whether a durable consumer of this name is connected."""
        seat = self.durable.get(name)
        return seat is not None and seat.outlet is not None

    def _clear_forgotten(self) -> None:
        """Keep no seat of consumers the journal does not know any more."""
        known = self._journal.consumers()
        for name in [n for n, s in self.durable.items() if n not in known and s.outlet is None]:
            del self.durable[name]

    def _renew(self, seat: Seat) -> None:
        """The filter changed: read again from the cursor the journal now has."""
        record = self._journal.consumers()[seat.name]
        seat.wanted = record.filter.compile()
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
            stuck = seat.progress.stuck.at
            detail = (
                f"three connections in a row ended on position {stuck}; now one event at a time"
            )
            self._observe(ConsumerFaulted(seat.name, Fault.CONSUMER_POISONED, detail))


def unknown(name: str, journal: Journal) -> RpcError:
    """Return the refusal of a name that is no consumer's."""
    known = ", ".join(sorted(journal.consumers())) or "none"
    return RpcError(Code.INVALID_PARAMS, f"there is no consumer {name[:64]!r}; there are: {known}")
