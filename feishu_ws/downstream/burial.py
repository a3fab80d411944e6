"""The way into the dead letters: attempts that are counted, and the last one."""

import asyncio

from feishu_ws.clock import Clock
from feishu_ws.downstream.handed import Verdict
from feishu_ws.downstream.seat import Seat
from feishu_ws.happenings import EventBuried, Observer
from feishu_ws.journal.contract import Journal
from feishu_ws.model import Attempt, DeadReason
from feishu_ws.tally import Tally


class Burial:
    """Tells the journal of attempts and buries what had its last one."""

    def __init__(self, journal: Journal, *, clock: Clock, tally: Tally, observe: Observer) -> None:
        self._journal = journal
        self._clock = clock
        self._tally = tally
        self._observe = observe

    def note(
        self, seat: Seat, position: int, verdict: Verdict, attempt: Attempt
    ) -> asyncio.Future[None]:
        """Make a counted attempt durable, or bury the event with it."""
        if verdict is Verdict.BURY:
            return self.bury(seat, position, DeadReason.MAX_ATTEMPTS, attempt)
        return self._journal.note_attempt(seat.name, position, attempt)

    def expire(self, seat: Seat, position: int) -> None:
        """Bury what is too old, with the attempts it had."""
        known = seat.progress.attempts.get(position, Attempt(0))
        self.bury(seat, position, DeadReason.EXPIRED, known)

    def bury(
        self, seat: Seat, position: int, reason: str, attempt: Attempt
    ) -> asyncio.Future[None]:
        """Move an event to the dead letters of a consumer."""
        seat.progress.bury(position, self._clock.monotonic())
        self._tally.events_dead_lettered[reason] += 1
        self._observe(EventBuried(seat.name, position, reason, attempt.count))
        return self._journal.bury(seat.name, position, reason, attempt)
