"""Which deliveries wait for an answer, which for their next attempt. No I/O, no clock.

An event is sent again when it was refused (500), not answered within the deadline, or
its link died: with the same body and a new message_id. A 200 for any of its
transmissions confirms it, also a late one. Bounded by `held_bytes`; what is finished is
forgotten but for a short tail, so that a second answer can be told from a foreign one.
"""

import heapq
from collections import OrderedDict, deque
from typing import Final, NamedTuple

import msgspec

from feishu_ws.simulator.delivery import Delivery, Stage
from feishu_ws.simulator.settings import SimulatorSettings
from feishu_ws.simulator.stats import SimulatorStats
from feishu_ws.simulator.transmission import Transmission

REMEMBERED: Final = 4096  # transmissions of finished deliveries
HEAP_SLACK: Final = 1024  # late confirmations leave entries behind; then they are swept


class Attempt:
    """One transmission of a delivery, until it is answered."""

    __slots__ = (
        "answered", "delivery", "echo", "link", "message_id", "sent_s", "seq_id", "strays",
    )  # fmt: skip

    def __init__(self, delivery: Delivery, link: int, sending: Transmission, sent_s: float) -> None:
        self.delivery = delivery
        self.link = link
        self.message_id = sending.message_id
        self.seq_id = sending.seq_id
        self.echo = sending.echo
        self.strays = sending.strays
        self.sent_s = sent_s
        self.answered = False

    @property
    def is_latest(self) -> bool:
        """Whether nothing was sent for its delivery since."""
        return self.delivery.message_ids[-1] == self.message_id


class _Due(NamedTuple):
    at_s: float
    serial: int
    delivery: Delivery


class Redelivery:
    """The book of unfinished deliveries."""

    def __init__(self, settings: SimulatorSettings, stats: SimulatorStats) -> None:
        self._settings = settings
        self._stats = stats
        self._unfinished: OrderedDict[int, Delivery] = OrderedDict()
        self._attempts: dict[str, Attempt] = {}
        self._remembered: OrderedDict[str, Attempt] = OrderedDict()
        self._deadlines: deque[Attempt] = deque()
        self._resting: list[_Due] = []
        self._held_bytes = 0
        self.log: dict[str, bool] = {}

    # -- events in -----------------------------------------------------------------------

    def take(self, delivery: Delivery) -> None:
        """Enter a new delivery; over `held_bytes` the oldest are given up for it."""
        self._unfinished[delivery.serial] = delivery
        self._held_bytes += len(delivery.payload)
        self._stats.pushed += 1
        self._stats.unconfirmed += 1
        if self._settings.keep_log:
            delivery.event_id = read_event_id(delivery.payload) or f"serial:{delivery.serial}"
            self.log.setdefault(delivery.event_id, False)
        while self._held_bytes > self._settings.held_bytes and len(self._unfinished) > 1:
            self._give_up(next(iter(self._unfinished.values())))

    def note_sent(self, attempt: Attempt) -> None:
        """Enter a transmission that just went out."""
        delivery = attempt.delivery
        delivery.move(Stage.SENT)
        delivery.attempts += 1
        delivery.link = attempt.link
        delivery.message_ids.append(attempt.message_id)
        if delivery.first_sent_s is None:
            delivery.first_sent_s = attempt.sent_s
        self._attempts[attempt.message_id] = attempt
        self._deadlines.append(attempt)
        self._stats.sent += 1

    def note_offline(self, delivery: Delivery, now_s: float) -> None:
        """Enter an attempt that found no live link ("app not online")."""
        delivery.attempts += 1
        self._stats.offline += 1
        self._rest(delivery, now_s)

    def lose_link(self, link: int, now_s: float) -> None:
        """Everything unanswered on that link goes to its next attempt."""
        orphans = [d for d in self._unfinished.values() if d.link == link and d.stage is Stage.SENT]
        self._stats.orphaned += len(orphans)
        for delivery in orphans:
            self._rest(delivery, now_s)

    # -- answers -------------------------------------------------------------------------

    def find(self, message_id: str) -> Attempt | None:
        """Return the transmission with that id, None if it is unknown or long forgotten."""
        return self._attempts.get(message_id) or self._remembered.get(message_id)

    def answer(self, attempt: Attempt, code: int, data: bytes | None, now_s: float) -> None:
        """Enter the answer to a transmission."""
        attempt.answered = True
        delivery = attempt.delivery
        took_s = now_s - attempt.sent_s
        if took_s > self._settings.ack_deadline_s:
            self._stats.late += 1
        delivery.note_answer(code, data)
        if code == 200:
            self._confirm(delivery, took_s, now_s)
        else:
            self._refuse(attempt, now_s)
        self._trim_deadlines()

    def _confirm(self, delivery: Delivery, took_s: float, now_s: float) -> None:
        self._stats.ack_latency.observe(took_s)
        if delivery.is_confirmed:
            return
        if delivery.given_up:
            self._stats.given_up -= 1
            self._stats.unconfirmed += 1
        delivery.ack_latency_s, delivery.confirmed_s = took_s, now_s
        self._finish(delivery, Stage.CONFIRMED)
        self._stats.confirmed += 1
        if self._settings.keep_log:
            self.log[delivery.event_id] = True

    def _refuse(self, attempt: Attempt, now_s: float) -> None:
        self._stats.refused += 1
        if attempt.delivery.stage is Stage.SENT and attempt.is_latest:
            self._rest(attempt.delivery, now_s)

    # -- time ----------------------------------------------------------------------------

    def expire(self, now_s: float) -> None:
        """Whatever was not answered within the deadline goes to its next attempt."""
        horizon_s = now_s - self._settings.ack_deadline_s
        while self._deadlines and self._deadlines[0].sent_s < horizon_s:
            attempt = self._deadlines.popleft()
            if attempt.answered:
                continue
            self._stats.unanswered += 1
            if attempt.delivery.stage is Stage.SENT and attempt.is_latest:
                self._rest(attempt.delivery, now_s)
        self._trim_deadlines()

    def pop_due(self, now_s: float) -> list[Delivery]:
        """Return the deliveries whose next attempt is due."""
        due = []
        while self._resting and self._resting[0].at_s <= now_s:
            delivery = heapq.heappop(self._resting).delivery
            if delivery.stage is Stage.RESTING:
                due.append(delivery)
        return due

    # -- inside --------------------------------------------------------------------------

    def _trim_deadlines(self) -> None:
        """Let go of answered transmissions early: each holds on to its delivery."""
        while self._deadlines and self._deadlines[0].answered:
            self._deadlines.popleft()

    def _rest(self, delivery: Delivery, now_s: float) -> None:
        wait_s = self._settings.retry_wait_s(delivery.attempts) if delivery.redeliver else None
        if wait_s is None:
            self._give_up(delivery)
            return
        delivery.move(Stage.RESTING)
        heapq.heappush(self._resting, _Due(now_s + wait_s, delivery.serial, delivery))
        if len(self._resting) > HEAP_SLACK + 2 * len(self._unfinished):
            self._resting = [due for due in self._resting if due.delivery.stage is Stage.RESTING]
            heapq.heapify(self._resting)

    def _give_up(self, delivery: Delivery) -> None:
        self._finish(delivery, Stage.GIVEN_UP)
        self._stats.given_up += 1

    def _finish(self, delivery: Delivery, stage: Stage) -> None:
        delivery.move(stage)
        self._stats.unconfirmed -= 1
        if self._unfinished.pop(delivery.serial, None) is not None:
            self._held_bytes -= len(delivery.payload)
            delivery.payload = b""
            self._remember(delivery)
        delivery.wake()
        if delivery.watch is not None:
            watch, delivery.watch = delivery.watch, None
            watch(delivery)

    def _remember(self, delivery: Delivery) -> None:
        for message_id in delivery.message_ids:
            self._remembered[message_id] = self._attempts.pop(message_id)
        while len(self._remembered) > REMEMBERED:
            self._remembered.popitem(last=False)


class _Header(msgspec.Struct):
    event_id: str = ""


class _Ids(msgspec.Struct):
    header: _Header = msgspec.field(default_factory=_Header)
    uuid: str = ""


_ids: Final = msgspec.json.Decoder(_Ids)


def read_event_id(payload: bytes) -> str:
    """Return `header.event_id` (v2) or `uuid` (v1); "" where there is neither."""
    try:
        found = _ids.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    return found.header.event_id or found.uuid
