"""The book of unfinished deliveries, on a clock of its own."""

import random

from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from feishu_ws.simulator.delivery import Delivery, Stage
from feishu_ws.simulator.redelivery import REMEMBERED, Attempt, Redelivery, read_event_id
from feishu_ws.simulator.settings import SimulatorSettings
from feishu_ws.simulator.stats import SimulatorStats
from feishu_ws.simulator.transmission import WHOLE, FrameMaker


class Desk:
    """A book with somebody who sends what it says, at a time that is told."""

    def __init__(self, **changes) -> None:
        self.settings = SimulatorSettings(**changes)
        self.stats = SimulatorStats()
        self.book = Redelivery(self.settings, self.stats)
        self.maker = FrameMaker(self.settings, random.Random(3))
        self.now_s = 100.0

    def take(self, payload: bytes = b"{}", *, redeliver: bool = True) -> Delivery:
        delivery = Delivery(self.stats.pushed + 1, payload, "event", WHOLE, redeliver=redeliver)
        self.book.take(delivery)
        return delivery

    def send(self, delivery: Delivery, link: int = 1) -> Attempt:
        sending = self.maker.encode(delivery.payload, "event", WHOLE, 0)
        attempt = Attempt(delivery, link, sending, self.now_s)
        self.book.note_sent(attempt)
        return attempt

    def answer(self, attempt: Attempt, code: int = 200) -> None:
        self.book.answer(attempt, code, None, self.now_s)

    def wait(self, seconds: float) -> list[Delivery]:
        self.now_s += seconds
        self.book.expire(self.now_s)
        return self.book.pop_due(self.now_s)


def test_a_confirmed_delivery_is_forgotten_with_its_payload():
    """A 200 in time ends it; its latency is kept, its payload is not."""
    desk = Desk()
    delivery = desk.take()
    attempt = desk.send(delivery)
    desk.now_s += 0.25
    desk.answer(attempt)
    assert delivery.is_confirmed
    assert delivery.ack_latency_s == 0.25
    assert delivery.payload == b""
    assert desk.wait(100_000) == []
    assert desk.stats.as_dict()["confirmed"] == 1


def test_silence_is_repeated_on_feishus_schedule_and_then_given_up():
    """Five attempts: at once, then 15 s, 5 min, 1 h and 6 h after the deadline passed."""
    desk = Desk()
    delivery = desk.take()
    for wait_s in (15, 300, 3600, 21600):
        desk.send(delivery)
        assert desk.wait(3.1) == []
        assert desk.wait(wait_s - 0.1) == []
        assert desk.wait(0.2) == [delivery]
    desk.send(delivery)
    desk.wait(3.1)
    assert delivery.given_up
    assert delivery.attempts == 5
    assert desk.stats.unanswered == 5
    assert desk.wait(100_000) == []


def test_a_refusal_is_repeated_without_waiting_for_the_deadline():
    """After a 500 the next attempt comes 15 s later."""
    desk = Desk()
    delivery = desk.take()
    desk.answer(desk.send(delivery), 500)
    assert desk.wait(15) == [delivery]
    desk.answer(desk.send(delivery))
    assert (desk.stats.refused, desk.stats.confirmed) == (1, 1)
    assert delivery.code == 500  # the first answer


def test_a_dead_link_orphans_what_it_carried():
    """Only what was unanswered on that link goes out again."""
    desk = Desk()
    done, orphan, other = (desk.take() for _ in range(3))
    desk.answer(desk.send(done, 1))
    desk.send(orphan, 1)
    desk.send(other, 2)
    desk.book.lose_link(1, desk.now_s)
    assert desk.stats.orphaned == 1
    assert [d.stage for d in (done, orphan, other)] == [
        Stage.CONFIRMED, Stage.RESTING, Stage.SENT,
    ]  # fmt: skip


def test_a_late_200_spares_the_repeat():
    """A 200 after the deadline confirms, counts as late, and nothing goes out again."""
    desk = Desk()
    delivery = desk.take()
    attempt = desk.send(delivery)
    desk.wait(5)
    desk.answer(attempt)
    assert delivery.is_confirmed
    assert (desk.stats.late, desk.stats.confirmed, desk.stats.unanswered) == (1, 1, 1)
    assert desk.wait(100_000) == []


def test_a_late_200_for_the_first_confirms_though_the_repeat_is_out():
    """The client promised to keep it; the answer to the repeat then changes nothing."""
    desk = Desk()
    delivery = desk.take()
    first = desk.send(delivery)
    desk.wait(3.1)
    desk.wait(15)
    second = desk.send(delivery)
    desk.answer(first)
    assert delivery.is_confirmed
    desk.answer(second, 500)
    assert delivery.is_confirmed
    assert desk.stats.confirmed == 1
    assert desk.wait(100_000) == []


def test_a_late_500_does_not_disturb_the_repeat():
    """A 500 for an earlier transmission leaves the one that is out alone."""
    desk = Desk()
    delivery = desk.take()
    first = desk.send(delivery)
    desk.wait(3.1)
    desk.wait(15)
    second = desk.send(delivery)
    desk.answer(first, 500)
    assert delivery.stage is Stage.SENT
    desk.answer(second)
    assert delivery.is_confirmed


def test_a_200_after_giving_up_still_confirms():
    """A promise that comes too late is a promise all the same."""
    desk = Desk(redelivery_s=())
    delivery = desk.take()
    attempt = desk.send(delivery)
    desk.wait(3.1)
    assert desk.stats.given_up == 1
    desk.answer(attempt)
    assert delivery.is_confirmed
    assert (desk.stats.given_up, desk.stats.confirmed, desk.stats.unconfirmed) == (0, 1, 0)


def test_offline_counts_as_an_attempt():
    """Without a link the event waits for its next attempt."""
    desk = Desk()
    delivery = desk.take()
    desk.book.note_offline(delivery, desk.now_s)
    assert delivery.attempts == 1
    assert desk.wait(15) == [delivery]


def test_what_is_not_to_be_repeated_is_given_up_at_once():
    """A callback that nobody answered is over."""
    desk = Desk()
    delivery = desk.take(redeliver=False)
    desk.send(delivery)
    desk.wait(3.1)
    assert delivery.given_up


def test_the_oldest_are_given_up_for_room():
    """Held payloads stay within the bound."""
    desk = Desk(held_bytes=1000)
    deliveries = [desk.take(bytes(300)) for _ in range(5)]
    assert [d.given_up for d in deliveries] == [True, True, False, False, False]
    assert desk.stats.unconfirmed == 3


def test_what_is_finished_leaves_a_bounded_tail():
    """A million finished deliveries would leave no more behind than a few thousand."""
    desk = Desk()
    attempts = []
    for _ in range(REMEMBERED + 10):
        attempt = desk.send(desk.take())
        desk.answer(attempt)
        attempts.append(attempt.message_id)
    assert desk.book.find(attempts[0]) is None
    assert desk.book.find(attempts[-1]) is not None
    assert len(desk.book._remembered) == REMEMBERED
    assert not desk.book._attempts
    assert not desk.book._deadlines
    assert not desk.book._unfinished


def test_late_confirmations_leave_no_heap_behind():
    """Entries of deliveries that were confirmed while resting are swept."""
    desk = Desk()
    for _ in range(3000):
        attempt = desk.send(desk.take())
        desk.answer(attempt, 500)
        desk.answer(attempt, 200)
    assert len(desk.book._resting) < 1100


def test_the_log_knows_every_event():
    """With `keep_log` every event id is there, confirmed or not; without one a serial is."""
    desk = Desk(keep_log=True)
    known = desk.take(b'{"schema":"2.0","header":{"event_id":"e-1"}}')
    desk.take(b"not json")
    desk.answer(desk.send(known))
    assert desk.book.log == {"e-1": True, "serial:2": False}


def test_event_ids_of_both_schemas_are_read():
    """The id is `header.event_id` or `uuid`, and empty where there is neither."""
    assert read_event_id(b'{"header":{"event_id":"a"},"uuid":"b"}') == "a"
    assert read_event_id(b'{"uuid":"b"}') == "b"
    assert read_event_id(b"[]") == ""
    assert read_event_id(b"\xff") == ""


class AnyOrder(RuleBasedStateMachine):
    """Whatever happens in whatever order, the counts add up and nothing is lost."""

    def __init__(self) -> None:
        super().__init__()
        self.desk = Desk(time_scale=10)
        self.deliveries: list[Delivery] = []
        self.attempts: list[Attempt] = []
        self.promised: set[int] = set()

    @rule(link=st.integers(0, 2))
    def push(self, link):
        delivery = self.desk.take()
        self.deliveries.append(delivery)
        self._transmit(delivery, link)

    def _transmit(self, delivery, link):
        if link:
            self.attempts.append(self.desk.send(delivery, link))
        else:
            self.desk.book.note_offline(delivery, self.desk.now_s)

    @precondition(lambda self: self.attempts)
    @rule(pick=st.integers(0, 10_000), code=st.sampled_from([200, 500]))
    def reply(self, pick, code):
        attempt = self.attempts.pop(pick % len(self.attempts))
        if code == 200:
            self.promised.add(attempt.delivery.serial)
        self.desk.answer(attempt, code)

    @rule(link=st.integers(1, 2))
    def die(self, link):
        self.desk.book.lose_link(link, self.desk.now_s)

    @rule(seconds=st.sampled_from([0.5, 3.5, 40.0, 400.0]), link=st.integers(0, 2))
    def wait(self, seconds, link):
        for delivery in self.desk.wait(seconds):
            assert delivery.stage is Stage.RESTING
            self._transmit(delivery, link)

    @invariant()
    def counts_add_up(self):
        stats = self.desk.stats
        assert stats.pushed == len(self.deliveries)
        assert stats.pushed == stats.confirmed + stats.given_up + stats.unconfirmed
        assert stats.confirmed == len(self.promised)
        assert {d.serial for d in self.deliveries if d.is_confirmed} == self.promised
        assert all(d.attempts <= 5 for d in self.deliveries)
        unfinished = [d for d in self.deliveries if not d.is_finished]
        assert stats.unconfirmed == len(unfinished) == len(self.desk.book._unfinished)


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = hypothesis_settings(max_examples=60, stateful_step_count=40, deadline=None)
