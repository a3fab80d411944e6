"""Hands events to consumers: every consumer a cursor, live from memory, behind from disk.

The rules are in `progress.py`, who reads in `seats.py`, what there is to read in
`supply.py`; this file carries them out.
Invariants:

- No consumer waits for another, and nothing upstream waits for any of them.
- A settle changes the journal only for positions this consumer was handed.
"""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Final

from feishu_ws.clock import Clock
from feishu_ws.downstream.ages import Ages
from feishu_ws.downstream.burial import Burial
from feishu_ws.downstream.callbacks import Callbacks, OnAnswer
from feishu_ws.downstream.handed import Verdict
from feishu_ws.downstream.seat import Outlet, Seat
from feishu_ws.downstream.seats import Seats
from feishu_ws.downstream.settings import DeliverySettings
from feishu_ws.downstream.supply import Supply
from feishu_ws.happenings import ConsumerConnected, ConsumerDisconnected, Observer
from feishu_ws.journal.contract import Journal
from feishu_ws.model import DeadLetter, DeadReason, Event
from feishu_ws.tally import Tally
from feishu_ws.wire.native import Code, HelloParams, RpcError

MAX_REASON_BYTES: Final = 256  # of a reject, CONTRACT 5
STEPS_PER_TURN: Final = 256  # events for one consumer before the loop has its turn: some 5 ms
SHORTEST_WAIT_S: Final = 0.001  # uvloop counts whole milliseconds, and may be one early
MAX_UNTOLD: Final = 256  # passed spans the journal is not told of; a settle takes them along


class Dispatcher:
    """Carries every consumer's progress forward."""

    def __init__(
        self,
        journal: Journal,
        settings: DeliverySettings,
        *,
        clock: Clock,
        tally: Tally,
        observe: Observer,
    ) -> None:
        self._journal = journal
        self._settings = settings
        self._clock = clock
        self._tally = tally
        self._observe = observe
        self._supply = Supply(journal, clock=clock, go_on=self._pump)
        self._callbacks = Callbacks(tally)
        self._ages = Ages(settings, clock=clock)
        self._burial = Burial(journal, clock=clock, tally=tally, observe=observe)
        self.seats = Seats(journal, settings, clock=clock, observe=observe, wake=self._go_on)
        journal.subscribe(self._publish)

    def reconfigure(self, settings: DeliverySettings) -> None:
        """Apply changed settings (SIGHUP); after the journal was told of its own."""
        self._settings = self._ages.settings = settings
        self.seats.reconfigure(settings)

    @property
    def may_expire(self) -> bool:
        """Whether the wall clock can be trusted; while not, nothing is too old (CONTRACT 8)."""
        return self._ages.may_expire

    @may_expire.setter
    def may_expire(self, may: bool) -> None:
        self._ages.may_expire = may

    # -- consumers come and go ------------------------------------------------------------

    async def attach(self, outlet: Outlet, hello: HelloParams) -> tuple[Seat, int | None]:
        """Give a connection its seat; return it and the cursor. Deliveries begin with `start`.

        Raises:
            RpcError: Bad params, a conflict, or too many consumers.
            FeishuWsError: The journal cannot be read.
        """
        return await self.seats.take(outlet, hello)

    def start(self, seat: Seat, outlet: Outlet, uid: int | None) -> None:
        """Begin to deliver; called after the hello was answered."""
        if seat.outlet is not outlet:  # superseded while it was answered
            return
        cursor, behind = self._standing(seat)
        self._observe(ConsumerConnected(seat.name, seat.durable, cursor, behind, uid))
        self._go_on(seat)

    def _standing(self, seat: Seat) -> tuple[int, int]:
        """Return where a consumer stands and how much waits for it, as `status` has it."""
        known = self._journal.consumers().get(seat.name) if seat.durable else None
        if known is not None:
            return known.cursor, known.pending
        cursor = seat.progress.read_through
        return cursor, max(self._journal.last - cursor, 0)

    def detach(self, seat: Seat, outlet: Outlet, cause: str) -> None:
        """A connection ended."""
        if seat.outlet is not outlet:
            return
        unsettled = seat.progress.in_flight
        if seat.durable:
            self._count_disconnect(seat)
        self._vacate(seat, cause, unsettled)

    def take_back(self, seat: Seat, positions: Iterable[int]) -> None:
        """A part of a consumer went away: what it had goes to the rest of it."""
        seat.progress.take_back(positions, self._clock.monotonic())
        self._pump(seat)

    def _vacate(self, seat: Seat, cause: str, unsettled: int) -> None:
        seat.outlet = None
        seat.batch = None
        self.seats.taps.discard(seat)
        if seat.timer is not None:
            seat.timer.cancel()
            seat.timer = None
        if seat.durable:
            self._flush_passed(seat)
            self._journal.seen(seat.name, self._clock.wall_ms(), connected=False)
        self._observe(ConsumerDisconnected(seat.name, cause, unsettled, seat.durable))

    def _count_disconnect(self, seat: Seat) -> None:
        with self.seats.watching(seat):
            counted = seat.progress.disconnected(self._clock.monotonic())
        if counted is not None:
            position, attempt = counted
            is_last = attempt.count >= self._settings.max_attempts
            self._burial.note(seat, position, Verdict.BURY if is_last else Verdict.AGAIN, attempt)

    # -- what consumers say ---------------------------------------------------------------

    def settle(self, seat: Seat, positions: Iterable[int], through: int | None) -> list[int]:
        """Settle what was delivered; return the positions the journal must be told of."""
        now_ms, now_s = self._clock.wall_ms(), self._clock.monotonic()
        done = seat.progress.settle(positions, through, now_s)
        for handed in done:
            self._tally.events_delivered[handed.envelope.type] += 1
            self._tally.consumer_ack_duration.observe(now_s - handed.at_s)
            self._tally.event_delivery_duration.observe((now_ms - handed.received_ms) / 1000)
        settled = [handed.position for handed in done]
        if settled:
            self._decline(settled)
            self._pump(seat)
        return settled

    def make_durable(self, seat: Seat, positions: Sequence[int]) -> asyncio.Future[None] | None:
        """Settle in the journal; return what to wait for, None without a cursor to move."""
        if not seat.durable:
            return None
        return self._journal.settle(seat.name, positions, seat.progress.take_passed())

    def make_durable_soon(self, seat: Seat, positions: Sequence[int]) -> None:
        """Settle in the journal; durable within 50 ms."""
        if seat.durable and positions:
            self._journal.settle_soon(seat.name, positions, seat.progress.take_passed())

    def reject(
        self, seat: Seat, position: int, reason: str, retry_in_s: float | None, *, dead: bool
    ) -> asyncio.Future[None]:
        """Take a delivery back: again later, or never.

        Raises:
            RpcError: `UNKNOWN_POSITION` if it is not out.
        """
        if seat.progress.stale.absorb(position):  # it comes again anyway
            return self._journal.settle(seat.name, ())
        if not seat.progress.is_in_flight(position):
            raise RpcError(
                Code.UNKNOWN_POSITION, f"position {position} is not delivered and unsettled here"
            )
        reason = reason.encode("utf-8", "replace")[:MAX_REASON_BYTES].decode("utf-8", "ignore")
        verdict, attempt = seat.progress.reject(
            position, retry_in_s, reason, self._clock.monotonic(), self._clock.wall_ms()
        )
        if dead:
            written = self._burial.bury(seat, position, DeadReason.REJECTED, attempt)
        else:
            written = self._burial.note(seat, position, verdict, attempt)
        self._decline([position])  # where it was buried
        self._pump(seat)
        return written

    # -- what operators order -------------------------------------------------------------

    def revive(self, name: str, letters: Sequence[DeadLetter]) -> asyncio.Future[list[int]]:
        """Give dead letters back to their consumer; return when that is durable."""
        written = self._journal.revive(name, [letter.position for letter in letters])
        seat = self.seats.durable.get(name)
        if seat is not None:
            now_s = self._clock.monotonic()
            for letter in letters:
                seat.progress.revive(letter, now_s)
            self._pump(seat)
        return written

    def count_dropped_dead(self, count: int) -> None:
        """Count dead letters that an operator removed for good."""
        self._tally.events_discarded["dead_letter"] += count

    # -- callbacks ------------------------------------------------------------------------

    def await_reply(self, event: Event, on_answer: OnAnswer) -> None:
        """Call `on_answer` with the first reply to a callback; see `callbacks.py`."""
        self._callbacks.expect(event, on_answer)

    def stop_awaiting(self, position: int) -> None:
        """The deadline of a callback passed: what comes now is late."""
        self._callbacks.give_up(position)

    def reply(self, seat: Seat, position: int, data: bytes) -> bool:
        """Give the answer to a callback; False if it is late, unknown or not the first."""
        return self._callbacks.reply(seat, position, data)

    def _decline(self, positions: Sequence[int]) -> None:
        """A consumer is done with `positions`, and said no word on those that are awaited."""
        self._callbacks.decline(positions, self.seats.durable.values())

    def _go_on(self, seat: Seat) -> None:
        """Hand over the callbacks that may still be answered, then what else there is."""
        if seat.durable and seat.outlet is not None and not seat.pauses:
            for event in self._callbacks.events():
                self._hand_live(seat, event)
        self._pump(seat)

    # -- delivering -----------------------------------------------------------------------

    def _publish(self, events: Sequence[Event]) -> None:
        """Take in events that were just committed."""
        for event in events:
            self._supply.add(event)
            if event.envelope.is_callback:
                self._hand_callback(event)
        for seat in self.seats.all():
            if seat.outlet is not None:
                self._pump(seat)
        for event in events:
            event.body = None  # encoded once for all who had room; kept, it doubles what is recent

    def _hand_callback(self, event: Event) -> None:
        """Hand a callback over at once, ahead of the backlog and outside the window."""
        if self._ages.is_in_time(event):
            for seat in self.seats.durable.values():
                if seat.outlet is not None:
                    self._hand_live(seat, event)

    def _hand_live(self, seat: Seat, event: Event) -> None:
        position = event.position
        if not (seat.wanted.names(event.envelope) and seat.progress.may_go_live(position)):
            return
        if position <= seat.replay_through:  # a replay never asks for a reply
            return
        assert seat.outlet is not None
        now_s = self._clock.monotonic()
        attempt = seat.progress.hand(event, now_s, is_live=True)
        seat.outlet.deliver(event, attempt, self._ages.reply_by_ms(event), late=False)
        self._arm(seat, now_s)

    def resume(self, seat: Seat) -> None:
        """The outlet has room again."""
        self._pump(seat)

    def _pump(self, seat: Seat) -> None:
        """Send what may be sent; ask the disk for what is not in memory."""
        if seat.is_pumping or seat.pauses:  # an outlet that answers while it is spoken to
            return
        seat.is_pumping = True
        steps = 0
        now_s = self._clock.monotonic()
        try:
            while seat.outlet is not None and seat.outlet.has_room() and steps < STEPS_PER_TURN:
                if not self._step(seat, now_s):
                    break
                steps += 1
        finally:
            seat.is_pumping = False
        if steps == STEPS_PER_TURN and not seat.is_queued:
            seat.is_queued = True
            asyncio.get_running_loop().call_soon(self._pump_on, seat)
        if seat.progress.passed_spans > MAX_UNTOLD:
            self._flush_passed(seat)
        self._arm(seat, now_s)  # that very moment: what became due since is still to come

    def _pump_on(self, seat: Seat) -> None:
        seat.is_queued = False
        self._pump(seat)

    def _step(self, seat: Seat, now_s: float) -> bool:
        """Send or pass over one event; False when nothing can be done now."""
        progress = seat.progress
        if not progress.has_window():
            return False
        again = progress.next_again(now_s)
        if again is not None:
            return self._send_again(seat, again)
        if not progress.may_read_on() or progress.read_through >= self._supply.last:
            return False
        event = self._supply.after(seat, progress.read_through)
        if event is None:
            return False
        progress.pass_over(event.position - 1)  # numbers that do not exist any more
        self._send_first(seat, event)
        return True

    def _send_first(self, seat: Seat, event: Event) -> None:
        progress, position = seat.progress, event.position
        if progress.is_done(position):
            progress.skip_done(position)
        elif not seat.wanted.names(event.envelope):
            progress.pass_over(position)
        elif wait_s := progress.wait_s(position, self._clock.wall_ms()):
            progress.postpone(event, wait_s, self._clock.monotonic())
        elif self._ages.is_expired(seat, event):
            progress.hand(event, self._clock.monotonic())
            self._burial.expire(seat, position)
        else:
            self._send(seat, event)

    def _send_again(self, seat: Seat, position: int) -> bool:
        event = self._supply.after(seat, position - 1)
        if event is None:
            return False
        if event.position != position:  # removed for space meanwhile
            seat.progress.bury(position, self._clock.monotonic())
        elif self._ages.is_expired(seat, event):
            self._burial.expire(seat, position)
        else:
            self._tally.events_redelivered += 1
            self._send(seat, event)
        return True

    def _send(self, seat: Seat, event: Event) -> None:
        assert seat.outlet is not None
        now_s = self._clock.monotonic()
        attempt = seat.progress.hand(event, now_s)
        if not seat.durable:  # no cursor, so nothing to settle and no window
            seat.progress.bury(event.position, now_s)
        is_awaited = event.position in self._callbacks
        reply_by_ms, late = self._ages.timing(seat, event, is_awaited=is_awaited)
        seat.outlet.deliver(event, attempt, reply_by_ms, late=late)

    # -- time -----------------------------------------------------------------------------

    def _arm(self, seat: Seat, now_s: float) -> None:
        """See to it that the seat is looked at when its next deadline after `now_s` comes."""
        due_s = seat.progress.due_s(now_s)
        if due_s is None or seat.outlet is None:
            return
        loop = asyncio.get_running_loop()
        at = loop.time() + max(due_s - now_s, SHORTEST_WAIT_S)
        if seat.timer is not None:
            if seat.timer_at <= at:
                return
            seat.timer.cancel()
        seat.timer, seat.timer_at = loop.call_at(at, self._tick, seat), at

    def _tick(self, seat: Seat) -> None:
        seat.timer = None
        if seat.outlet is None:
            return
        expired = seat.progress.expire(self._clock.monotonic())
        if expired is not None:
            position, verdict, attempt = expired
            if attempt is not None:
                self._burial.note(seat, position, verdict, attempt)
        self._pump(seat)

    def _flush_passed(self, seat: Seat) -> None:
        passed = seat.progress.take_passed()
        if passed and seat.durable:
            self._journal.settle_soon(seat.name, (), passed)

    @property
    def last(self) -> int:
        """The newest position."""
        return self._journal.last

    # -- facts and the end ----------------------------------------------------------------

    def connected(self) -> int:
        """Return how many consumers are connected, durable or not."""
        return sum(seat.outlet is not None for seat in self.seats.all())

    def say_bye(self, reason: str) -> None:
        """Tell every consumer that this is the end; settles are still taken."""
        for seat in self.seats.all():
            if seat.reading is not None:
                seat.reading.cancel()
                seat.reading = None
            outlet, unsettled = seat.outlet, seat.progress.in_flight
            if outlet is not None:
                self._vacate(seat, reason, unsettled)
                outlet.bye(reason)
