"""From a whole payload to what Feishu is told: open, journal, confirm.

This is the one way in, whatever the payload came over. Invariants:

- 200 is said only after the commit that holds the event (or its first copy).
- Every payload is answered exactly once, at the latest `COMMIT_DEADLINE_S` after its
  receipt; a callback, at the latest `callback_timeout_s` after.
- Nothing here waits for a consumer, except a callback, and that with a deadline.
"""

import asyncio
from collections import deque
from functools import partial
from typing import Final

from feishu_ws.answering import Answering
from feishu_ws.clock import Clock
from feishu_ws.downstream.dispatcher import Dispatcher
from feishu_ws.downstream.settings import DeliverySettings
from feishu_ws.events.envelope import open_envelope
from feishu_ws.events.keys import dedupe_keys
from feishu_ws.faults import Fault
from feishu_ws.happenings import JournalFaulted, JournalRecovered, Observer
from feishu_ws.journal.contract import Journal
from feishu_ws.model import Answer, Event, Outcome, Verdict
from feishu_ws.tally import Tally

COMMIT_DEADLINE_S: Final = 2.8  # Feishu waits 3 s; 0.2 s are left for the way back
SHORTEST_WAIT_S: Final = 0.001  # uvloop counts whole milliseconds, and may be one early
HASTY_CALLBACK_S: Final = 0.8  # of the second in which a stop confirms what was read
OK: Final = 200
AGAIN: Final = 500  # Feishu sends it again: 15 s, 5 min, 1 h, 6 h later


class _Waiting:
    """A payload whose commit is under way.

    Attributes:
        is_answered: Feishu was told.
        is_decided: The journal said what became of it.
    """

    __slots__ = ("answer", "deadline_s", "event", "is_answered", "is_decided")

    def __init__(self, event: Event, answer: Answer, deadline_s: float) -> None:
        self.event = event
        self.answer = answer
        self.deadline_s = deadline_s
        self.is_answered = False
        self.is_decided = False


class Intake:
    """Takes payloads in. `accept` is a `model.Accept`."""

    def __init__(
        self,
        journal: Journal,
        dispatcher: Dispatcher,
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
        self._events: deque[_Waiting] = deque()  # in the order of their deadlines
        self._callbacks: deque[_Waiting] = deque()
        self._undecided = 0
        self._timer: asyncio.Handle | None = None
        self._timer_at = 0.0  # on the loop's clock; uvloop's handles do not always know
        self._slow_since_s: float | None = None
        self._answering = Answering(dispatcher, settings, clock=clock, tally=tally)
        self.unanswered = 0
        """How many payloads wait for their answer."""
        self.last_event_ms = 0
        self.clock_offset_s = 0.0

    def reconfigure(self, settings: DeliverySettings) -> None:
        """Apply changed settings (SIGHUP)."""
        self._settings = self._answering.settings = settings

    def hasten(self) -> None:
        """The daemon stops: no callback is waited for longer than its links are."""
        self._answering.hasten(HASTY_CALLBACK_S)

    def accept(self, payload: bytes, answer: Answer) -> None:
        """Journal a payload and answer it; never blocks, never raises."""
        now_ms = self._clock.wall_ms()
        self.last_event_ms = now_ms
        envelope = open_envelope(payload)
        event = Event(envelope, payload, now_ms, dedupe_keys(envelope, payload))
        self._tally.events_received[envelope.type] += 1
        self.unanswered += 1
        self._undecided += 1
        if envelope.is_callback:
            waiting = _Waiting(event, answer, self._in(self._settings.callback_timeout_s))
            self._callbacks.append(waiting)
            self._journal.append(event, lambda outcome: self._callback_stored(waiting, outcome))
        else:
            waiting = _Waiting(event, answer, self._in(COMMIT_DEADLINE_S))
            self._events.append(waiting)
            self._journal.append(event, lambda outcome: self._event_stored(waiting, outcome))
        if envelope.is_callback or self._timer is None:  # events' deadlines come in order
            self._arm()

    def _in(self, seconds: float) -> float:
        return self._clock.monotonic() + seconds

    def _tell(self, waiting: _Waiting, code: int, data: bytes | None = None) -> None:
        """Answer, unless that was done."""
        if not waiting.is_answered:
            waiting.is_answered = True
            self.unanswered -= 1
            waiting.answer(code, data)

    # -- after the commit -----------------------------------------------------------------

    def _event_stored(self, waiting: _Waiting, outcome: Outcome) -> None:
        self._count(waiting, outcome)
        self._tell(waiting, AGAIN if outcome.verdict is Verdict.REFUSED else OK)
        _forget_decided(self._events)

    def _count(self, waiting: _Waiting, outcome: Outcome) -> None:
        waiting.is_decided = True
        self._undecided -= 1
        if outcome.verdict is Verdict.REFUSED:
            if not waiting.is_answered:
                self._tally.events_refused[outcome.fault or Fault.INTERNAL] += 1
            return
        if outcome.verdict is Verdict.DUPLICATE:
            self._tally.events_duplicate += 1
        else:
            self._tally.events_stored += 1
            self._count_transit(waiting.event)
        if not (waiting.is_answered and self._undecided):  # in time, or the last that was not
            self._note_recovery()

    def _count_transit(self, event: Event) -> None:
        created_ms = event.envelope.created_ms
        if created_ms is None:
            return
        transit_s = (event.received_ms - created_ms) / 1000 + self.clock_offset_s
        self._tally.event_transit_negative += transit_s < 0
        self._tally.event_transit.observe(transit_s)

    # -- callbacks ------------------------------------------------------------------------

    def _callback_stored(self, waiting: _Waiting, outcome: Outcome) -> None:
        self._count(waiting, outcome)
        if outcome.verdict is Verdict.REFUSED:
            self._tell(waiting, AGAIN)
        elif outcome.verdict is Verdict.DUPLICATE:
            self._answering.repeat(waiting.event, partial(self._tell, waiting, OK))
        elif not waiting.is_answered:
            tell = partial(self._tell, waiting, OK)
            self._answering.begin(waiting.event, waiting.deadline_s, tell)
        _forget_decided(self._callbacks)

    # -- deadlines ------------------------------------------------------------------------

    def _arm(self) -> None:
        """See to it that the next deadline is kept."""
        heads = [line[0].deadline_s for line in (self._events, self._callbacks) if line]
        if not heads:
            return
        loop = asyncio.get_running_loop()
        at = loop.time() + max(min(heads) - self._clock.monotonic(), SHORTEST_WAIT_S)
        if self._timer is not None:
            if self._timer_at <= at:
                return
            self._timer.cancel()
        self._timer, self._timer_at = loop.call_at(at, self._sweep), at

    def _sweep(self) -> None:
        """Tell Feishu to send again what was not committed in time."""
        self._timer = None
        now_s = self._clock.monotonic()
        for line in (self._events, self._callbacks):
            while line and (line[0].is_decided or line[0].deadline_s <= now_s):
                waiting = line.popleft()
                if not waiting.is_decided:
                    self._too_slow(waiting, now_s)
        self._arm()

    def _too_slow(self, waiting: _Waiting, now_s: float) -> None:
        self._tally.events_refused[Fault.JOURNAL_SLOW] += 1
        self._tell(waiting, AGAIN)
        if self._slow_since_s is None:
            self._slow_since_s = now_s
            detail = "a commit takes longer than Feishu waits"
            self._observe(JournalFaulted(Fault.JOURNAL_SLOW, detail))

    def _note_recovery(self) -> None:
        if self._slow_since_s is not None:
            lasted_s = self._clock.monotonic() - self._slow_since_s
            self._slow_since_s = None
            self._observe(JournalRecovered(Fault.JOURNAL_SLOW, lasted_s))


def _forget_decided(line: deque[_Waiting]) -> None:
    """Let go of payloads the journal decided on; they come back in about the order they went."""
    while line and line[0].is_decided:
        line.popleft()
