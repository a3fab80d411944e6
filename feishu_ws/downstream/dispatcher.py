"""Hands events to consumers: every consumer a cursor, live from memory, behind from disk.

The rules are in `progress.py`, who reads in `seats.py`; this file carries them out.
Invariants:

- No consumer waits for another, and nothing upstream waits for any of them.
- A settle changes the journal only for positions this consumer was handed.
- Reads of one consumer: at most one at a time, at most one batch in memory.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from feishu_ws.clock import Clock
from feishu_ws.downstream.progress import Verdict
from feishu_ws.downstream.recent import Batch, Recent
from feishu_ws.downstream.seats import Outlet, Seat, Seats
from feishu_ws.downstream.settings import DeliverySettings
from feishu_ws.faults import Fault, FeishuWsError
from feishu_ws.happenings import (
    ConsumerConnected,
    ConsumerDisconnected,
    ConsumerFaulted,
    EventBuried,
    Observer,
)
from feishu_ws.journal.contract import Journal
from feishu_ws.model import Attempt, DeadReason, Event
from feishu_ws.tally import Tally
from feishu_ws.wire.native import Code, HelloParams, RpcError

MAX_REASON_BYTES: Final = 256  # of a reject, CONTRACT 5
READ_AGAIN_S: Final = 1.0  # after the journal could not be read


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
        self._recent = Recent(journal.last)
        self._awaited: dict[int, Callable[[bytes], None]] = {}
        self.seats = Seats(journal, settings, clock=clock, observe=observe)
        journal.subscribe(self._publish)

    def reconfigure(self, settings: DeliverySettings) -> None:
        """Apply changed settings (SIGHUP)."""
        self._settings = self.seats.settings = settings
        for seat in self.seats.all():
            seat.progress.settings = settings

    # -- consumers come and go ------------------------------------------------------------

    async def attach(self, outlet: Outlet, hello: HelloParams) -> tuple[Seat, int]:
        """Give a connection its seat; return it and the cursor. Deliveries begin with `start`.

        Raises:
            RpcError: Bad params, a conflict, or too many consumers.
        """
        return await self.seats.take(outlet, hello)

    def start(self, seat: Seat, outlet: Outlet, uid: int | None) -> None:
        """Begin to deliver; called after the hello was answered."""
        if seat.durable and seat.outlet is not outlet:  # superseded while it was answered
            return
        seat.outlet = outlet
        behind = max(self._journal.last - seat.progress.read_through, 0)
        self._observe(
            ConsumerConnected(seat.name, seat.durable, seat.progress.read_through, behind, uid)
        )
        self._pump(seat)

    def detach(self, seat: Seat, outlet: Outlet, cause: str) -> None:
        """A connection ended."""
        if seat.outlet is not outlet:
            return
        seat.outlet = None
        self.seats.taps.discard(seat)
        unsettled = seat.progress.in_flight
        if seat.durable:
            self._count_disconnect(seat)
            self._flush_passed(seat)
            self._journal.seen(seat.name, self._clock.wall_ms(), connected=False)
        self._observe(ConsumerDisconnected(seat.name, cause, unsettled, seat.durable))

    def _count_disconnect(self, seat: Seat) -> None:
        was_isolated = seat.progress.is_isolated
        counted = seat.progress.disconnected(self._clock.monotonic())
        if seat.progress.is_isolated and not was_isolated:
            detail = "three connections in a row ended on the same event; now one event at a time"
            self._observe(ConsumerFaulted(seat.name, Fault.CONSUMER_POISONED, detail))
        if counted is not None:
            position, attempt = counted
            is_last = attempt.count >= self._settings.max_attempts
            self._note(seat, position, Verdict.BURY if is_last else Verdict.AGAIN, attempt)

    # -- what consumers say ---------------------------------------------------------------

    def settle(self, seat: Seat, positions: Iterable[int], through: int | None) -> list[int]:
        """Settle what was delivered; return the positions the journal must be told of."""
        now_ms, now_s = self._clock.wall_ms(), self._clock.monotonic()
        done = seat.progress.settle(positions, through, now_s)
        for handed in done:
            self._tally.events_delivered[handed.envelope.type] += 1
            self._tally.consumer_ack_duration.observe(now_s - handed.at_s)
            self._tally.event_delivery_duration.observe((now_ms - handed.received_ms) / 1000)
        if done:
            self._pump(seat)
        return [handed.position for handed in done]

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
        if not seat.progress.is_out(position):
            raise RpcError(
                Code.UNKNOWN_POSITION, f"position {position} is not delivered and unsettled here"
            )
        reason = reason.encode("utf-8", "replace")[:MAX_REASON_BYTES].decode("utf-8", "ignore")
        verdict, attempt = seat.progress.reject(
            position, retry_in_s, reason, self._clock.monotonic(), self._clock.wall_ms()
        )
        if dead:
            written = self._bury(seat, position, DeadReason.REJECTED, attempt)
        else:
            written = self._note(seat, position, verdict, attempt)
        self._pump(seat)
        return written

    def _note(
        self, seat: Seat, position: int, verdict: Verdict, attempt: Attempt
    ) -> asyncio.Future[None]:
        if verdict is Verdict.BURY:
            return self._bury(seat, position, DeadReason.MAX_ATTEMPTS, attempt)
        return self._journal.note_attempt(seat.name, position, attempt)

    def _bury(
        self, seat: Seat, position: int, reason: str, attempt: Attempt
    ) -> asyncio.Future[None]:
        seat.progress.bury(position, self._clock.monotonic())
        self._tally.events_dead_lettered[reason] += 1
        self._observe(EventBuried(seat.name, position, reason, attempt.count))
        return self._journal.bury(seat.name, position, reason, attempt)

    # -- callbacks ------------------------------------------------------------------------

    def await_reply(self, position: int, on_reply: Callable[[bytes], None]) -> None:
        """Call `on_reply` with the first reply to a callback."""
        self._awaited[position] = on_reply

    def stop_awaiting(self, position: int) -> None:
        """The deadline of a callback passed: what comes now is late."""
        self._awaited.pop(position, None)

    def reply(self, seat: Seat, position: int, data: bytes) -> bool:
        """Give the answer to a callback; False if it is late, unknown or not the first."""
        on_reply = self._awaited.get(position) if seat.progress.is_out(position) else None
        if on_reply is None:
            return False
        del self._awaited[position]
        on_reply(data)
        return True

    # -- delivering -----------------------------------------------------------------------

    def _publish(self, events: Sequence[Event]) -> None:
        """Take in events that were just committed."""
        for event in events:
            self._recent.add(event)
            if event.envelope.is_callback:
                self._hand_callback(event)
        for seat in self.seats.all():
            if seat.outlet is not None:
                self._pump(seat)

    def _hand_callback(self, event: Event) -> None:
        """Hand a callback over at once, ahead of the backlog and outside the window."""
        reply_by_ms = event.received_ms + round(self._settings.callback_timeout_s * 1000)
        if self._clock.wall_ms() >= reply_by_ms:
            return
        now_s = self._clock.monotonic()
        for seat in self.seats.durable.values():
            if seat.outlet is not None and seat.wanted.names(event.envelope):
                attempt = seat.progress.hand(event, now_s, is_live=True)
                seat.outlet.deliver(event, attempt, reply_by_ms, late=False)
                self._arm(seat)

    def resume(self, seat: Seat) -> None:
        """The outlet has room again."""
        self._pump(seat)

    def _pump(self, seat: Seat) -> None:
        """Send what may be sent; ask the disk for what is not in memory."""
        if seat.is_pumping:  # an outlet that answers while it is spoken to
            return
        seat.is_pumping = True
        try:
            while seat.outlet is not None and seat.outlet.has_room() and self._step(seat):
                pass
        finally:
            seat.is_pumping = False
        self._arm(seat)

    def _step(self, seat: Seat) -> bool:
        """Send or pass over one event; False when nothing can be done now."""
        progress = seat.progress
        if not progress.has_window():
            return False
        again = progress.next_again(self._clock.monotonic())
        if again is not None:
            return self._send_again(seat, again)
        if not progress.may_read_on() or progress.read_through >= self._recent.last:
            return False
        event = self._after(seat, progress.read_through)
        if event is None:
            self._read(seat, progress.read_through)
            return False
        progress.pass_over(event.position - 1)  # numbers that do not exist any more
        self._send_first(seat, event)
        return True

    def _after(self, seat: Seat, position: int) -> Event | None:
        """Return the event that follows `position`, if memory can tell."""
        event = self._recent.get(position + 1)
        if event is None and seat.batch is not None:
            event = seat.batch.first_above(position)
            if event is None:
                seat.batch = None
        return event

    def _send_first(self, seat: Seat, event: Event) -> None:
        progress = seat.progress
        if progress.is_done(event.position):
            progress.skip_done(event.position)
        elif not seat.wanted.names(event.envelope):
            progress.pass_over(event.position)
        elif self._is_expired(event) and seat.durable:
            progress.hand(event, self._clock.monotonic())
            self._bury(seat, event.position, DeadReason.EXPIRED, Attempt(0))
        else:
            self._send(seat, event)

    def _send_again(self, seat: Seat, position: int) -> bool:
        event = self._after(seat, position - 1)
        if event is None:
            self._read(seat, position - 1)
            return False
        if event.position != position:  # removed for space meanwhile
            seat.progress.bury(position, self._clock.monotonic())
        elif self._is_expired(event):
            known = seat.progress.attempts.get(position, Attempt(0))
            self._bury(seat, position, DeadReason.EXPIRED, known)
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
            seat.progress.take_passed()
        seat.outlet.deliver(event, attempt, None, late=event.envelope.is_callback)

    def _is_expired(self, event: Event) -> bool:
        limit_s = self._settings.max_age_s
        if event.envelope.is_callback:
            limit_s = self._settings.late_callback_s
        return bool(limit_s) and self._clock.wall_ms() - event.received_ms > limit_s * 1000

    # -- reading what is not in memory ----------------------------------------------------

    def _read(self, seat: Seat, after: int) -> None:
        if seat.reading is None:
            seat.reading = asyncio.get_running_loop().create_task(
                self._fill(seat, after), name=f"read-{seat.name}"
            )

    async def _fill(self, seat: Seat, after: int) -> None:
        """Read one batch above `after`, then go on sending."""
        progress = seat.progress
        try:
            reading = await self._journal.read(after)
        except FeishuWsError:  # the journal counts it and shows it as its fault
            await self._clock.sleep(READ_AGAIN_S)
        else:
            if progress is seat.progress:  # else the cursor moved meanwhile
                seat.batch = Batch(after, reading)
                if not reading.events:
                    self._note_end(seat, after, reading.through)
        seat.reading = None
        self._pump(seat)

    def _note_end(self, seat: Seat, after: int, through: int) -> None:
        """There is nothing above `after`: what was expected there was removed."""
        progress = seat.progress
        if after >= progress.read_through:
            progress.pass_over(through)
        elif progress.is_out(after + 1):
            progress.bury(after + 1, self._clock.monotonic())

    # -- time -----------------------------------------------------------------------------

    def _arm(self, seat: Seat) -> None:
        """See to it that the seat is looked at when its next deadline comes."""
        now_s = self._clock.monotonic()
        due_s = seat.progress.due_s(now_s)
        if due_s is None or seat.outlet is None:
            return
        loop = asyncio.get_running_loop()
        at = loop.time() + max(due_s - now_s, 0.0)
        if seat.timer is not None:
            if seat.timer.when() <= at:
                return
            seat.timer.cancel()
        seat.timer = loop.call_at(at, self._tick, seat)

    def _tick(self, seat: Seat) -> None:
        seat.timer = None
        if seat.outlet is None:
            return
        expired = seat.progress.expire(self._clock.monotonic())
        if expired is not None:
            position, verdict, attempt = expired
            if attempt is not None:
                self._note(seat, position, verdict, attempt)
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
            outlet, seat.outlet = seat.outlet, None
            if seat.timer is not None:
                seat.timer.cancel()
            if outlet is not None:
                self._flush_passed(seat)
                outlet.bye(reason)
