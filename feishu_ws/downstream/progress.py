"""What one consumer was handed and has not settled: the rules of CONTRACT 4 and 5. Pure.

Positions only, no bodies, so a consumer that takes everything and settles nothing
costs a few bytes per delivery. Time is an argument, in seconds of a monotonic clock.

A position is in exactly one place:

    unread → in flight → settled
               │  ▲
               ▼  │
            due again    (rejected, timed out, or its connection ended; or revived)

Invariant: every position up to `read_through` is settled, passed over or out.
"""

import heapq
from collections.abc import Iterable, Iterator
from typing import Final

from feishu_ws.downstream.done import Done
from feishu_ws.downstream.handed import Handed, Verdict, retry_wait_s
from feishu_ws.downstream.settings import MAX_REJECTED, DeliverySettings
from feishu_ws.downstream.stale import Stale
from feishu_ws.downstream.stuck import Stuck
from feishu_ws.model import Attempt, CompiledFilter, ConsumerRecord, DeadLetter, Event, Filter, Span
from feishu_ws.wire.native import MAX_RETRY_IN_S

_SLACK: Final = 64  # stale entries a heap may hold besides one per delivery


class Progress:
    """The state of one consumer across its connections."""

    def __init__(self, record: ConsumerRecord, settings: DeliverySettings) -> None:
        self.settings = settings
        self.read_through = record.cursor
        self.attempts: dict[int, Attempt] = dict(record.attempts)
        self.asked_window: int | None = None
        self.is_isolated = False
        self.stale = Stale()
        self._revived = {p for p, attempt in record.attempts.items() if not attempt.count}
        self._out: dict[int, Handed] = {}
        self._unwanted: dict[int, Handed] = {}  # were out when a new filter did not name them
        self._done = Done(record.cursor, record.ahead)
        self._due: list[tuple[float, int]] = []  # heap of what waits for its time
        self._ripe: list[int] = []  # heap of positions whose time has come
        self._order: list[int] = []  # heap of positions in flight; stale entries in all three
        self._in_window = 0
        self._in_flight = 0
        self._rejected = 0
        self._oldest: int | None = None
        self._oldest_since_s = 0.0
        self._settled_meanwhile = False
        self.stuck = Stuck()

    def moved(self, cursor: int) -> "Progress":
        """Return the progress of the same consumer, connected or not, that stands at `cursor`."""
        attempts = {p: attempt for p, attempt in self.attempts.items() if p > cursor}
        moved = Progress(ConsumerRecord("", Filter(), cursor, attempts=attempts), self.settings)
        moved.asked_window = self.asked_window
        moved.stale = Stale([*self.stale, *(p for p, h in self._out.items() if h.due_s is None)])
        moved._revived |= {p for p in self._revived if p > cursor}
        return moved

    def refilter(self, cursor: int, wanted: CompiledFilter, now_s: float) -> None:
        """Take a new filter, which applies from the cursor on.

        What is out and not wanted any more does not go out again, but a settle of it counts.

        Args:
            cursor: Where the journal says the consumer stands.
            wanted: The new filter.
            now_s: What is in flight goes out again from now on.
        """
        self._put_all_back(now_s)
        self._done.begin_again(cursor)
        self.read_through = self._done.cursor
        self._unwanted = {p: h for p, h in self._out.items() if not wanted.names(h.envelope)}
        for position, handed in self._unwanted.items():
            del self._out[position]
            self._rejected -= handed.is_rejected
            handed.is_rejected = False

    # -- what may go out ------------------------------------------------------------------

    @property
    def window(self) -> int:
        """How many deliveries may be in flight, live callbacks aside."""
        return 1 if self.is_isolated else self.asked_window or self.settings.window

    @property
    def in_flight(self) -> int:
        """How many deliveries the consumer has and has not settled."""
        return self._in_flight

    def has_window(self) -> bool:
        """Whether another delivery may go out."""
        return self._in_window < self.window

    def may_read_on(self) -> bool:
        """Whether first deliveries go on: not while too many rejected ones wait."""
        return self._rejected < MAX_REJECTED

    def next_again(self, now_s: float) -> int | None:
        """Return the lowest position that is due to go out again, None if none is."""
        self._ripen(now_s)
        while self._ripe and not self._is_due(self._ripe[0], now_s):
            heapq.heappop(self._ripe)
        return self._ripe[0] if self._ripe else None

    def _is_due(self, position: int, now_s: float) -> bool:
        handed = self._out.get(position)
        return handed is not None and handed.due_s is not None and handed.due_s <= now_s

    def is_done(self, position: int) -> bool:
        """Whether an unread position needs no first delivery."""
        return position in self._out or position in self._done

    def is_out(self, position: int) -> bool:
        """Whether a position was delivered and is not settled, perhaps before a move or a filter."""
        return position in self._out or position in self._unwanted or position in self.stale

    def holds_callback(self, position: int) -> bool:
        """Whether a callback was delivered and is not settled."""
        handed = self._out.get(position) or self._unwanted.get(position)
        return handed is not None and handed.envelope.is_callback

    def is_in_flight(self, position: int) -> bool:
        """Whether the consumer has a position now: delivered, not settled and not taken back."""
        handed = self._out.get(position)
        return handed is not None and handed.due_s is None

    def may_go_live(self, position: int) -> bool:
        """Whether a callback may be handed over at once: not if settled, in flight or rejected."""
        handed = self._out.get(position)
        if handed is None:
            return position not in self._done
        return handed.due_s is not None and not handed.is_rejected

    def pass_over(self, through: int) -> None:
        """Everything unread up to `through` is not for this consumer, or does not exist."""
        if through > self.read_through:
            self._done.pass_over(self.read_through + 1, through)
            self.read_through = through

    def doubt_passed(self) -> None:
        """Another filter may want what was passed over and the cursor has not reached."""
        self._done.forget_passed()

    def read_again(self) -> None:
        """Read on from the cursor; what is out or settled is not sent again."""
        self.read_through = self._done.cursor

    def skip_done(self, position: int) -> None:
        """Read past a position that is settled or out already, and past all settled that follow."""
        self.read_through = max(position, self._done.run_end(position))

    def take_passed(self) -> list[Span]:
        """Return what was passed over and reached by the cursor since the last call."""
        return self._done.take_reached()

    @property
    def passed_spans(self) -> int:
        """How many spans `take_passed` would return."""
        return self._done.reached

    def wait_s(self, position: int, now_ms: int) -> float:
        """Return how long an event rejected before a restart has to wait still."""
        known = self.attempts.get(position)
        left_ms = known.not_before_ms - now_ms if known else 0
        return min(max(left_ms / 1000, 0.0), MAX_RETRY_IN_S)  # a clock that stepped back adds hours

    def postpone(self, event: Event, wait_s: float, now_s: float) -> None:
        """Let an event wait that was rejected before a restart."""
        position = event.position
        self.read_through = max(self.read_through, position)
        self._out[position] = Handed(
            position,
            event.envelope,
            now_s,
            event.received_ms,
            due_s=now_s + wait_s,
            is_rejected=True,
        )
        self._rejected += 1
        self._push_due(now_s + wait_s, position)

    def hand(self, event: Event, now_s: float, *, is_live: bool = False) -> int:
        """Note that an event goes out now; return its attempt number."""
        position = event.position
        before = self._out.get(position)
        if before is not None:
            self._rejected -= before.is_rejected
        elif not is_live:
            self.read_through = max(self.read_through, position)
        self._out[position] = Handed(
            position, event.envelope, now_s, event.received_ms, is_live=is_live
        )
        self._in_flight += 1
        self._in_window += not is_live
        self._push_order(position)
        self._watch_oldest(now_s)
        return self.attempt(position)

    def revive(self, letter: DeadLetter, now_s: float) -> None:
        """Take an event back from the dead letters: it goes out again as if never tried.

        One that is unread, or out again because its consumer was moved, keeps its place.
        """
        position = letter.position
        self.attempts[position] = Attempt(0)
        self._revived.add(position)
        if position in self._out or position not in self._done:
            return
        self._done.revive(position)
        self._out[position] = Handed(
            position, letter.envelope, now_s, letter.received_ms, due_s=now_s, is_rejected=True,
            is_revived=True,
        )  # fmt: skip
        self._rejected += 1
        self._push_due(now_s, position)

    def is_ageless(self, position: int) -> bool:
        """Whether an operator gave an event back, so that it is never too old.

        A restart forgets that once an attempt was counted.
        """
        return position in self._revived

    def attempt(self, position: int) -> int:
        """Return the attempt number: 1 + attempts counted so far."""
        known = self.attempts.get(position)
        return 1 + (known.count if known else 0)

    # -- what comes back ------------------------------------------------------------------

    def settle(self, positions: Iterable[int], through: int | None, now_s: float) -> list[Handed]:
        """Settle what was delivered; return what this settles now. The rest is ignored."""
        out, named = self._out, self.stale.fresh(positions)
        wanted = {p for p in named if (p in out and not out[p].is_revived) or p in self._unwanted}
        if through is not None and not self.stale.absorb_through(through):
            wanted.update(self._delivered_through(through))
        settled = [done for p in sorted(wanted) if (done := self._remove(p)) is not None]
        if settled:
            self.is_isolated = False
            self._settled_meanwhile = True
            self._watch_oldest(now_s)
        return settled

    def _delivered_through(self, through: int) -> Iterator[int]:
        """What a settle `through` means: not what was taken back to come again later."""
        yield from (p for p, h in self._out.items() if p <= through and not h.is_rejected)
        yield from (p for p in self._unwanted if p <= through)

    def _remove(self, position: int) -> Handed | None:
        done = self._out.pop(position, None) or self._unwanted.pop(position, None)
        if done is None:
            return None
        self._leave(done)
        self._rejected -= done.is_rejected
        self.attempts.pop(position, None)
        self._revived.discard(position)
        self._done.settle(position)
        return done

    def _leave(self, handed: Handed) -> None:
        """A delivery that was in flight is not any more."""
        if handed.due_s is None:
            self._in_flight -= 1
            self._in_window -= not handed.is_live

    def reject(
        self, position: int, retry_in_s: float | None, reason: str, now_s: float, now_ms: int
    ) -> tuple[Verdict, Attempt]:
        """Count an attempt and let it wait, or say that it has to be buried."""
        attempt = self._count(position, reason)
        if attempt.count >= self.settings.max_attempts:
            return Verdict.BURY, attempt
        wait_s = retry_wait_s(attempt.count) if retry_in_s is None else retry_in_s
        attempt = Attempt(attempt.count, now_ms + round(wait_s * 1000), reason)
        self.attempts[position] = attempt
        handed = self._out[position]
        self._rejected += not handed.is_rejected
        handed.is_rejected = True
        self._put_back(handed, now_s + wait_s)
        self._watch_oldest(now_s)
        return Verdict.AGAIN, attempt

    def _count(self, position: int, reason: str) -> Attempt:
        attempt = Attempt(self.attempt(position), reason=reason)
        self.attempts[position] = attempt
        return attempt

    def bury(self, position: int, now_s: float) -> None:
        """Note that a position went to the dead letters, or does not exist any more."""
        self._remove(position)
        self._watch_oldest(now_s)

    def _put_back(self, handed: Handed, due_s: float) -> None:
        self._leave(handed)
        handed.due_s = due_s
        self._push_due(due_s, handed.position)

    # -- heaps ----------------------------------------------------------------------------

    def _push_due(self, due_s: float, position: int) -> None:
        heapq.heappush(self._due, (due_s, position))
        if len(self._due) > 2 * len(self._out) + _SLACK:
            out = self._out.values()
            self._due = [(h.due_s, h.position) for h in out if h.due_s is not None]
            heapq.heapify(self._due)

    def _ripen(self, now_s: float) -> None:
        while self._due and self._due[0][0] <= now_s:
            heapq.heappush(self._ripe, heapq.heappop(self._due)[1])
        if len(self._ripe) > 2 * len(self._out) + _SLACK:
            self._ripe = sorted(p for p in self._out if self._is_due(p, now_s))

    def _push_order(self, position: int) -> None:
        heapq.heappush(self._order, position)
        if len(self._order) > 2 * len(self._out) + _SLACK:
            self._order = sorted(p for p, h in self._out.items() if h.due_s is None)

    # -- the timer of the oldest ----------------------------------------------------------

    def _watch_oldest(self, now_s: float) -> None:
        while self._order and not self.is_in_flight(self._order[0]):
            heapq.heappop(self._order)
        oldest = self._order[0] if self._order else None
        if oldest != self._oldest:
            self._oldest = oldest
            self._oldest_since_s = now_s
            self._settled_meanwhile = False

    def oldest_received_ms(self) -> int | None:
        """Return when the oldest delivery in flight arrived from Feishu."""
        return None if self._oldest is None else self._out[self._oldest].received_ms

    def due_s(self, now_s: float) -> float | None:
        """Return when `expire` or `next_again` will have something to do, None if never.

        What is due already waits for room or window, and is sent when there is some.
        """
        self._ripen(now_s)
        moments = [self._due[0][0]] if self._due else []
        if self._oldest is not None:
            moments.append(self._oldest_since_s + self.settings.ack_timeout_s)
        return min(moments, default=None)

    def expire(self, now_s: float) -> tuple[int, Verdict, Attempt | None] | None:
        """Return the oldest delivery if its time is up, and put it back.

        The attempt is None if it was not counted: the consumer settled nothing else
        meanwhile, so it is slow or away, and the event is not to blame.
        """
        position = self._oldest
        if position is None or now_s < self._oldest_since_s + self.settings.ack_timeout_s:
            return None
        attempt = self._count(position, "ack timeout") if self._settled_meanwhile else None
        self._oldest = None
        if attempt is not None and attempt.count >= self.settings.max_attempts:
            return position, Verdict.BURY, attempt
        self._put_back(self._out[position], now_s)
        self._watch_oldest(now_s)
        return position, Verdict.AGAIN, attempt

    # -- connections ----------------------------------------------------------------------

    def superseded(self, now_s: float) -> None:
        """Another connection takes over: what is in flight goes to it at once."""
        if self._oldest is not None:
            self.is_isolated |= self.stuck.note(self._oldest)
        self.stale = Stale()
        self._put_all_back(now_s)

    def disconnected(self, now_s: float) -> tuple[int, Attempt] | None:
        """The connection ended; return the delivery and attempt this counts for, if it does."""
        oldest = self._oldest
        counted = None
        if oldest is not None:
            if self.is_isolated:
                counted = oldest, self._count(oldest, "consumer went away")
            self.is_isolated |= self.stuck.note(oldest)
        self.stale = Stale()
        self._put_all_back(now_s)
        return counted

    def take_back(self, positions: Iterable[int], now_s: float) -> None:
        """What of this is in flight goes out again: whoever had it is gone. Counts no attempt."""
        for position in positions:
            if self.is_in_flight(position):
                self._put_back(self._out[position], now_s)
        self._watch_oldest(now_s)

    def _put_all_back(self, now_s: float) -> None:
        for handed in self._out.values():
            if handed.due_s is None:
                self._put_back(handed, now_s)
        self._watch_oldest(now_s)
