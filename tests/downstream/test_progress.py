"""The rules of delivery: tables, and a machine that compares them with brute force."""

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from feishu_ws.downstream.progress import Progress, Verdict
from feishu_ws.downstream.settings import MAX_REJECTED, DeliverySettings
from feishu_ws.downstream.stuck import STUCK_CONNECTIONS
from feishu_ws.model import Attempt, ConsumerRecord, DeadLetter, Envelope, Event, Filter

SETTINGS = DeliverySettings(max_attempts=3, ack_timeout_s=60, window=4)


def event(position, kind="a"):
    return Event(Envelope(type=kind), b"", 1000, position=position)


def progress(cursor=0, settings=SETTINGS, **more):
    return Progress(ConsumerRecord("bot", Filter(), cursor, **more), settings)


def handed(count, settings=SETTINGS):
    """Return a progress with the first positions in flight since 0 s."""
    made = progress(settings=settings)
    for position in range(1, count + 1):
        made.hand(event(position), 0.0)
    return made


def again(made, now_s):
    """Hand over again what is due; return the positions."""
    found = []
    while made.has_window() and (position := made.next_again(now_s)) is not None:
        made.hand(event(position), now_s)
        found.append(position)
    return found


class TestTakeBack:
    """A part of the consumer went away."""

    def test_what_it_had_goes_out_again(self):
        """The named ones that are in flight are due at once; nothing is counted or isolated."""
        made = handed(4)
        made.settle([2], None, 1.0)
        made.take_back([1, 2, 3, 99], 2.0)

        assert again(made, 2.0) == [1, 3]
        assert made.in_flight == 3
        assert (made.attempts, made.is_isolated) == ({}, False)

    def test_the_timer_is_for_what_is_left(self):
        """What was taken back is not the oldest in flight any more."""
        made = handed(2)
        made.take_back([1], 5.0)
        made.hand(event(1), 7.0)

        assert made.expire(0.0 + SETTINGS.ack_timeout_s) is None
        assert made.expire(7.0 + SETTINGS.ack_timeout_s)[0] == 1

    def test_what_was_rejected_waits_on(self):
        """What waits to be tried again is not in flight, so nobody takes it back."""
        made = handed(1)
        made.reject(1, 30.0, "no", 0.0, 0)
        made.take_back([1], 1.0)

        assert again(made, 29.0) == []


class TestWindow:
    """How much may be in flight."""

    def test_the_window_is_what_is_in_flight(self):
        """Deliveries fill the window and settles free it."""
        made = handed(4)
        full = made.has_window()
        made.settle([3], None, 1.0)

        assert (full, made.has_window(), made.in_flight) == (False, True, 3)

    def test_the_hello_may_ask_for_its_own(self):
        """What the consumer asked for counts instead of the setting."""
        made = handed(3)
        made.asked_window = 3

        assert (made.window, made.has_window()) == (3, False)

    def test_a_live_callback_is_outside_the_window(self):
        """Callbacks handed over at once take no room, and give none back."""
        made = handed(3)
        for position in (7, 8, 9):
            made.hand(event(position), 0.0, is_live=True)
        before = made.has_window()
        made.settle([7, 8], None, 1.0)
        made.hand(event(4), 1.0)

        assert (before, made.has_window(), made.in_flight) == (True, False, 5)

    def test_a_late_callback_is_inside_the_window(self):
        """Once it comes again, it is a delivery like any other."""
        made = handed(3)
        made.hand(event(9), 0.0, is_live=True)
        made.superseded(1.0)

        assert again(made, 1.0) == [1, 2, 3, 9]
        assert not made.has_window()

    def test_a_rejected_event_leaves_the_window(self):
        """While it waits, another may be delivered."""
        made = handed(4)
        made.reject(2, 10, "", 0.0, 0)

        assert (made.has_window(), made.in_flight) == (True, 3)

    def test_too_many_rejected_ones_pause_first_deliveries(self):
        """At the limit nothing new is read; one that is handed again or settled makes room."""
        made = handed(MAX_REJECTED, DeliverySettings(window=4096))
        for position in range(1, MAX_REJECTED + 1):
            made.reject(position, 10, "", 0.0, 0)
        full = made.may_read_on()
        made.settle([5], None, 0.0)
        settled = made.may_read_on()
        made.hand(event(MAX_REJECTED + 1), 0.0)
        made.reject(MAX_REJECTED + 1, 10, "", 0.0, 0)
        made.hand(event(6), 10.0)

        assert (full, settled, made.may_read_on()) == (False, True, True)


class TestSettle:
    """What a settle means."""

    def test_only_what_was_delivered_counts(self):
        """Positions that were not delivered, or are settled, are ignored."""
        made = handed(3)
        first = made.settle([2, 7, -1], None, 0.0)
        second = made.settle([2], None, 0.0)

        assert ([h.position for h in first], second) == ([2], [])

    def test_through_is_everything_delivered_up_to_there(self):
        """A settle `through` names deliveries, not numbers."""
        made = handed(4)

        assert [h.position for h in made.settle([], 3, 0.0)] == [1, 2, 3]
        assert [h.position for h in made.settle([], 99, 0.0)] == [4]

    def test_through_leaves_alone_what_is_to_come_again(self):
        """What the consumer rejected is with it no more; settling it takes its number."""
        made = handed(3)
        made.reject(2, 10, "", 0.0, 0)
        through = [h.position for h in made.settle([], 3, 1.0)]

        assert through == [1, 3]
        assert again(made, 10.0) == [2]

    def test_a_rejected_event_may_be_settled_by_number(self):
        """Settled while it waits, it does not come again."""
        made = handed(2)
        made.reject(2, 10, "", 0.0, 0)

        assert [h.position for h in made.settle([2], None, 1.0)] == [2]
        assert again(made, 10.0) == []

    def test_a_callback_settled_live_is_not_read_again(self):
        """What was settled ahead of the backlog is done when reading gets there."""
        made = progress()
        made.hand(event(5), 0.0, is_live=True)
        made.settle([5], None, 0.0)

        assert [made.is_done(p) for p in (4, 5, 6)] == [False, True, False]

    def test_what_was_settled_before_a_restart_is_done(self):
        """Spans above the cursor are known from the record."""
        made = progress(3, ahead=((5, 6),))

        assert [made.is_done(p) for p in range(3, 8)] == [True, False, True, True, False]


class TestReject:
    """Again later."""

    @pytest.mark.parametrize(
        ("asked_s", "waited_s"), [(0, 0), (7.5, 7.5), (3600, 3600), (None, 1.0)]
    )
    def test_it_waits_as_long_as_it_was_asked(self, asked_s, waited_s):
        """Without a wish the first wait is a second."""
        made = handed(1)
        verdict, attempt = made.reject(1, asked_s, "why", 100.0, 5_000)
        just_before = again(made, 100.0 + waited_s - 0.001) if waited_s else []

        assert (verdict, attempt) == (
            Verdict.AGAIN,
            Attempt(1, 5_000 + round(waited_s * 1000), "why"),
        )
        assert (just_before, again(made, 100.0 + waited_s)) == ([], [1])

    def test_waits_double_up_to_five_minutes(self):
        """1, 2, 4 … s and never more than 300, however many attempts there are."""
        made = handed(1, DeliverySettings(max_attempts=3000))
        waits = []
        for _ in range(2000):
            _, attempt = made.reject(1, None, "", 0.0, 0)
            waits.append(attempt.not_before_ms / 1000)
            made.hand(event(1), 0.0)

        assert waits[:10] == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300]
        assert set(waits[10:]) == {300}

    def test_each_delivery_says_how_often_it_was_tried(self):
        """The attempt number is one more than the attempts counted."""
        made = handed(1)
        made.reject(1, 0, "", 0.0, 0)

        assert made.hand(event(1), 0.0) == 2

    def test_the_last_attempt_is_buried(self):
        """At `max_attempts` the verdict is to bury it."""
        made = handed(1)
        verdicts = []
        for _ in range(SETTINGS.max_attempts):
            verdicts.append(made.reject(1, 0, "", 0.0, 0)[0])
            again(made, 0.0)

        assert verdicts == [Verdict.AGAIN, Verdict.AGAIN, Verdict.BURY]

    def test_a_restart_does_not_shorten_the_wait(self):
        """An event rejected before a restart waits out its time, and at most an hour."""
        known = {1: Attempt(1, 61_000), 2: Attempt(1, 0), 3: Attempt(1, 10**12)}
        made = progress(attempts=known)
        made.postpone(event(1), made.wait_s(1, 1_000), 0.0)

        assert [made.wait_s(p, 1_000) for p in (1, 2, 3, 4)] == [60, 0, 3600, 0]
        assert (made.read_through, made.is_done(1), made.in_flight) == (1, True, 0)
        assert (again(made, 59.0), again(made, 60.0), made.attempt(1)) == ([], [1], 2)


class TestTimer:
    """Only the oldest delivery has a timer."""

    def test_a_consumer_that_settles_nothing_is_not_counted(self):
        """The delivery comes again with the same number."""
        made = handed(2)

        assert made.expire(59.9) is None
        assert made.expire(60.0) == (1, Verdict.AGAIN, None)
        assert (again(made, 60.0), made.attempt(1)) == ([1], 1)

    def test_a_consumer_that_settled_something_else_is_counted(self):
        """The oldest was passed by: an attempt."""
        made = handed(2)
        made.settle([2], None, 30.0)

        position, verdict, attempt = made.expire(60.0)

        assert (position, verdict, attempt.count) == (1, Verdict.AGAIN, 1)

    def test_what_was_settled_before_it_became_the_oldest_does_not_count(self):
        """The settle that made it the oldest says nothing about it."""
        made = handed(2)
        made.settle([1], None, 30.0)

        assert made.expire(89.9) is None
        assert made.expire(90.0) == (2, Verdict.AGAIN, None)

    def test_what_the_filter_passed_over_does_not_count(self):
        """Passing over is not settling."""
        made = handed(1)
        made.pass_over(9)

        assert made.expire(60.0) == (1, Verdict.AGAIN, None)

    def test_it_runs_from_when_a_delivery_became_the_oldest(self):
        """A delivery that waited behind another has its whole time."""
        made = handed(1)
        made.hand(event(2), 10.0)
        made.settle([1], None, 50.0)

        assert made.due_s(50.0) == 110.0

    def test_a_new_delivery_of_the_oldest_begins_anew(self):
        """The timer runs from the delivery, not from the first one."""
        made = handed(2)
        made.expire(60.0)
        made.hand(event(1), 61.0)

        assert (made.expire(120.9), made.expire(121.0)) == (None, (1, Verdict.AGAIN, None))

    def test_timeouts_end_with_the_dead_letters(self):
        """A delivery that keeps being passed by is buried at `max_attempts`."""
        made = handed(1)
        verdicts = []
        for number in range(SETTINGS.max_attempts):
            made.hand(event(10 + number), 60.0 * number)
            made.settle([10 + number], None, 60.0 * number + 1)
            verdicts.append(made.expire(60.0 * (number + 1))[1])
            again(made, 60.0 * (number + 1))

        assert verdicts == [Verdict.AGAIN, Verdict.AGAIN, Verdict.BURY]

    def test_nothing_due_means_no_deadline(self):
        """Without deliveries there is nothing to wait for."""
        made = progress()

        assert (made.due_s(0.0), made.expire(1e9), made.oldest_received_ms()) == (None, None, None)

    def test_the_deadline_is_the_nearest_of_all(self):
        """A rejected event that is due sooner comes before the timer."""
        made = handed(2)
        made.reject(2, 5, "", 0.0, 0)

        assert (made.due_s(0.0), made.due_s(5.0)) == (5.0, 60.0)


class TestConnections:
    """Consumers that come and go."""

    def test_the_lowest_comes_again_first(self):
        """What was put back last is not behind what waited longer: the oldest is the suspect."""
        made = handed(3)
        made.disconnected(1.0)
        made.hand(event(1), 1.0)
        made.disconnected(2.0)

        assert again(made, 2.0) == [1, 2, 3]

    def test_a_disconnect_counts_nothing(self):
        """Everything in flight comes again with its number."""
        made = handed(3)

        assert made.disconnected(1.0) is None
        assert (again(made, 1.0), [made.attempt(p) for p in (1, 2, 3)]) == ([1, 2, 3], [1, 1, 1])

    def test_three_connections_stuck_on_one_event_isolate_it(self):
        """The window is 1, and from then on a disconnect counts."""
        made = handed(3)
        counted = []
        for _ in range(STUCK_CONNECTIONS + 1):
            counted.append(made.disconnected(1.0))
            again(made, 1.0)

        assert counted[:STUCK_CONNECTIONS] == [None] * STUCK_CONNECTIONS
        assert counted[STUCK_CONNECTIONS] == (1, Attempt(1, reason="consumer went away"))
        assert (made.window, made.in_flight) == (1, 1)

    def test_a_supersede_ends_a_connection_too(self):
        """Three successors that found the same oldest delivery isolate it; none is an attempt."""
        made = handed(2)
        for _ in range(STUCK_CONNECTIONS):
            made.superseded(1.0)
            again(made, 1.0)

        assert (made.is_isolated, made.attempt(1)) == (True, 1)

    def test_settling_others_does_not_hide_the_one_that_kills(self):
        """A consumer that settles later events and dies on the oldest is isolated all the same."""
        made = handed(1)
        for number in range(STUCK_CONNECTIONS):
            made.hand(event(10 + number), 1.0)
            made.settle([10 + number], None, 1.0)
            made.disconnected(1.0)
            again(made, 1.0)

        assert made.is_isolated

    def test_a_settle_ends_the_isolation(self):
        """As soon as anything settles, the whole window is back."""
        made = handed(2)
        for _ in range(STUCK_CONNECTIONS):
            made.disconnected(1.0)
            again(made, 1.0)
        made.settle([1], None, 2.0)

        assert (made.is_isolated, made.window, made.disconnected(3.0)) == (False, 4, None)

    def test_different_events_do_not_add_up(self):
        """Three connections that each settled the oldest of the one before are healthy."""
        made = handed(4)
        for position in (1, 2, 3):
            made.disconnected(1.0)
            again(made, 1.0)
            made.settle([position], None, 1.0)

        assert not made.is_isolated

    def test_an_isolated_event_dies_of_its_consumer(self):
        """Disconnects alone bring it to `max_attempts`."""
        made = handed(1)
        counts = []
        for _ in range(STUCK_CONNECTIONS + SETTINGS.max_attempts):
            counted = made.disconnected(1.0)
            counts.append(counted[1].count if counted else 0)
            again(made, 1.0)

        assert counts == [0, 0, 0, 1, 2, 3]

    def test_a_rejected_event_goes_on_waiting(self):
        """A reconnect does not bring it sooner."""
        made = handed(2)
        made.reject(1, 10, "", 0.0, 0)
        made.disconnected(1.0)

        assert (again(made, 1.0), again(made, 10.0)) == ([2], [1])


class TestCallbacks:
    """Handed over ahead of the backlog."""

    @pytest.mark.parametrize(
        ("happens", "may"),
        [
            (lambda _: None, False),
            (lambda made: made.superseded(1.0), True),
            (lambda made: made.reject(5, 10, "", 0.0, 0), False),
            (lambda made: made.settle([5], None, 1.0), False),
        ],
    )
    def test_whether_it_may_be_handed_over_at_once_again(self, happens, may):
        """Not what is in flight, rejected or settled; only what a connection left behind."""
        made = progress()
        first = made.may_go_live(5)
        made.hand(event(5), 0.0, is_live=True)
        happens(made)

        assert (first, made.may_go_live(5)) == (True, may)

    def test_reading_goes_past_it(self):
        """What is out does not move what was read, and needs no first delivery."""
        made = progress()
        made.hand(event(5), 0.0, is_live=True)

        assert (made.read_through, made.is_done(5), made.in_flight) == (0, True, 1)


class TestFilter:
    """A changed filter applies from the cursor on."""

    def test_what_was_passed_over_above_the_cursor_is_looked_at_again(self):
        """An open delivery keeps later events open to a new filter."""
        made = handed(1)
        made.pass_over(2)
        made.hand(event(3), 0.0)
        made.settle([3], None, 0.0)
        made.refilter(0, Filter().compile(), 1.0)

        assert (made.read_through, [made.is_done(p) for p in (1, 2, 3)]) == (0, [True, False, True])
        assert again(made, 1.0) == [1]

    def test_the_window_is_not_widened(self):
        """What was in flight goes out again within the same window."""
        made = handed(4)
        made.refilter(0, Filter().compile(), 1.0)

        assert (again(made, 1.0), made.has_window(), made.in_flight) == ([1, 2, 3, 4], False, 4)

    def test_a_settle_of_what_is_not_wanted_any_more_counts(self):
        """The old connection may settle it; it does not go out again."""
        made = progress()
        made.hand(event(1, "a"), 0.0)
        made.hand(event(2, "b"), 0.0)
        made.refilter(0, Filter(("b",)).compile(), 1.0)
        due = again(made, 1.0)
        settled = [h.position for h in made.settle([1], None, 1.0)]

        assert (due, settled, made.is_done(1)) == ([2], [1], True)

    def test_what_was_settled_stays_settled(self):
        """A settle the journal does not have yet is not forgotten."""
        made = handed(3)
        made.settle([1, 3], None, 0.0)
        made.refilter(0, Filter().compile(), 1.0)

        assert [made.is_done(p) for p in (1, 2, 3)] == [True, True, True]
        assert again(made, 1.0) == [2]


def letter(position, kind="a"):
    return DeadLetter("bot", position, "expired", "", 0, 0, 1000, Envelope(type=kind), 2)


class TestRevived:
    """An operator gave a dead letter back."""

    def test_it_goes_out_again_as_if_never_tried(self):
        """It is due at once with attempt 1, within the window, and settling it closes the hole."""
        made = handed(3)
        for position in (1, 2, 3):
            made.bury(position, 0.0)
        made.revive(letter(2), 5.0)
        due = again(made, 5.0)
        attempt = made.attempt(2)
        made.settle([2], None, 6.0)

        assert (due, attempt, made.in_flight, made.is_done(2)) == ([2], 1, 0, True)

    def test_it_is_never_too_old_until_it_is_settled(self):
        """Neither at its first nor at a later attempt."""
        made = handed(2)
        for position in (1, 2):
            made.bury(position, 0.0)
        made.revive(letter(2), 5.0)
        again(made, 5.0)
        made.reject(2, 1, "", 6.0, 0)
        before = made.is_ageless(1), made.is_ageless(2)
        again(made, 7.0)
        made.settle([2], None, 8.0)

        assert (before, made.is_ageless(2)) == ((False, True), False)

    def test_a_restart_knows_it_by_its_attempt(self):
        """What the journal has as tried 0 times came back from the dead letters."""
        made = progress(attempts={3: Attempt(0), 4: Attempt(1)})

        assert [made.is_ageless(p) for p in (2, 3, 4)] == [False, True, False]

    @pytest.mark.parametrize(("positions", "through"), [((), 2), ((1,), None)])
    def test_it_is_not_settled_before_it_went_out(self, positions, through):
        """A late word on the delivery that failed does not swallow what an operator gave back."""
        made = handed(2)
        made.bury(1, 0.0)
        made.revive(letter(1), 1.0)
        made.settle(positions, through, 1.0)
        due = again(made, 1.0)
        settled = made.settle([1], None, 2.0)

        assert (due, [h.position for h in settled]) == ([1], [1])

    @pytest.mark.parametrize("is_out", [True, False])
    def test_one_that_is_out_or_unread_keeps_its_place(self, is_out):
        """A consumer that was moved back gets it anyway, once."""
        made = progress()
        if is_out:
            made.hand(event(1), 0.0)
        made.revive(letter(1), 1.0)

        assert (again(made, 1.0), made.in_flight, made.is_ageless(1)) == ([], int(is_out), True)
        assert made.is_done(1) is is_out

    def test_a_new_filter_reads_it_again_from_its_place(self):
        """The hole it left is where reading goes on; one that is not wanted stays away."""
        made = handed(4)
        for position in (1, 2, 3, 4):
            made.bury(position, 0.0)
        made.revive(letter(2, "b"), 1.0)
        made.revive(letter(3), 1.0)
        made.refilter(1, Filter(("a",)).compile(), 2.0)

        assert (made.read_through, again(made, 2.0)) == (1, [3])


class TestMoved:
    """An operator moved the consumer."""

    def test_it_stands_elsewhere_with_an_empty_window(self):
        """Nothing is out; the window it asked for and attempts above the cursor are kept."""
        made = handed(4)
        made.asked_window = 4
        for position in (1, 4):
            made.reject(position, 0, "", 1.0, 0)
        moved = made.moved(2)

        assert (moved.read_through, moved.in_flight, moved.window) == (2, 0, 4)
        assert list(moved.attempts) == [4]
        assert [moved.is_done(p) for p in (1, 2, 3, 4)] == [True, True, False, False]

    def test_the_first_settle_is_about_the_old_delivery(self):
        """It does not settle the repeated one; the second does."""
        made = handed(2).moved(0)
        for position in (1, 2):
            made.hand(event(position), 1.0)
        first = made.settle([1, 1], None, 2.0)
        second = made.settle([1], None, 3.0)

        assert (first, [h.position for h in second]) == ([], [1])

    def test_all_up_to_an_old_delivery_settles_nothing_new(self):
        """A consumer that settles by `through` has its old deliveries done first."""
        made = handed(3).moved(0)
        for position in (1, 2, 3):
            made.hand(event(position), 1.0)
        found = [[h.position for h in made.settle((), through, 2.0)] for through in (2, 3, 1, 2, 3)]

        assert found == [[], [], [1], [2], [3]]

    @pytest.mark.parametrize("ends", ["superseded", "disconnected"])
    def test_the_next_connection_owes_nothing_to_the_old_deliveries(self, ends):
        """Its first settle counts."""
        made = handed(1).moved(0)
        getattr(made, ends)(1.0)
        made.hand(event(1), 1.0)

        assert [h.position for h in made.settle([1], None, 2.0)] == [1]

    def test_what_waited_to_come_again_is_no_old_delivery(self):
        """The consumer gave it back, so its next word on it is about what it gets then."""
        made = handed(1)
        made.reject(1, 5, "", 1.0, 0)
        moved = made.moved(0)
        moved.hand(event(1), 1.0)

        assert [h.position for h in moved.settle([1], None, 2.0)] == [1]


def test_what_is_settled_is_not_read():
    """Reading goes from hole to hole, however much lies between; what is out is no hole."""
    made = progress(ahead=((2, 1000), (1003, 5000)))
    made.hand(event(1), 0.0)
    made.hand(event(1001), 0.0, is_live=True)
    found = []
    for position in (2, 1001, 1004):
        assert made.is_done(position)
        made.skip_done(position)
        found.append(made.read_through)

    assert found == [1000, 1001, 5000]


def test_memory_is_bounded_by_what_is_out():
    """A consumer that rejects and settles for ever leaves nothing behind."""
    made = progress()
    made.hand(event(1), 0.0)
    for position in range(2, 5000):
        made.hand(event(position), 0.0)
        made.reject(position, 3600, "", 0.0, 0)
        made.settle([position], None, 0.0)

    assert len(made._due) < 200
    assert len(made._order) < 200
    assert len(made._ripe) < 200
    assert len(made.attempts) == 0


KINDS = ("a", "b", "c")
FILTERS = [("*",), ("a",), ("b", "c"), ("a", "c"), ()]


class Machine(RuleBasedStateMachine):
    """Progress against a model that recomputes everything from plain sets.

    Invariant: first deliveries ascend; nothing settled goes out; what is in flight fits
    the window; everything read is settled, passed over or out; attempts are counted by
    rejects, by timeouts with a settle meanwhile, and by disconnects while isolated, and
    by nothing else. In the end everything the filter names was delivered and settled.
    """

    def __init__(self):
        super().__init__()
        self.progress = progress()
        self.wanted = Filter()
        self.kinds = []
        self.now = 0.0
        self.settled = set()
        self.flight = {}  # position: is it live
        self.waiting = {}  # position: (due, was it rejected)
        self.counts = {}
        self.first_read = 0
        self.passed = set()
        self.oldest = None
        self.since = 0.0
        self.meanwhile = False
        self.stuck_at, self.stuck = None, 0
        self.isolated = False
        self.stale = set()
        self.revived = set()  # and not sent since

    # -- the model ------------------------------------------------------------------------

    def names(self, position):
        return self.wanted.compile().names(Envelope(type=self.kinds[position - 1]))

    def cursor(self):
        """Everything up to here is settled, or was passed over."""
        at = 0
        while at + 1 in self.settled | self.passed:
            at += 1
        return at

    def track(self):
        oldest = min(self.flight, default=None)
        if oldest != self.oldest:
            self.oldest, self.since, self.meanwhile = oldest, self.now, False

    def window(self):
        return 1 if self.isolated else SETTINGS.window

    def note_sent(self, position, attempt, *, live=False):
        assert position not in self.settled
        assert position not in self.flight
        assert attempt == 1 + self.counts.get(position, 0)
        self.waiting.pop(position, None)
        self.revived.discard(position)
        self.flight[position] = live
        self.track()

    def note_stuck(self):
        if self.oldest is not None:
            self.stuck = self.stuck + 1 if self.oldest == self.stuck_at else 1
            self.stuck_at = self.oldest
            self.isolated = self.isolated or self.stuck >= STUCK_CONNECTIONS

    def take_back_all(self):
        self.waiting |= dict.fromkeys(self.flight, (self.now, False))
        self.flight = {}
        self.track()

    def count(self, position):
        self.counts[position] = self.counts.get(position, 0) + 1
        return self.counts[position]

    # -- what happens ---------------------------------------------------------------------

    @rule(kinds=st.lists(st.sampled_from(KINDS), min_size=1, max_size=6))
    def publish(self, kinds):
        self.kinds += kinds

    @rule()
    def pump(self):
        """Send as the dispatcher does."""
        while self.progress.has_window():
            position = self.progress.next_again(self.now)
            if position is not None:
                assert position == min(p for p, (due, _) in self.waiting.items() if due <= self.now)
                self.send(position)
            elif not self.read_on():
                break
        room = sum(not live for live in self.flight.values()) < self.window()
        if room:  # nothing that may go was left behind
            assert all(due > self.now for due, _ in self.waiting.values())
            assert self.progress.read_through == len(self.kinds)

    def send(self, position):
        attempt = self.progress.hand(event(position, self.kinds[position - 1]), self.now)
        self.note_sent(position, attempt)

    def read_on(self):
        position = self.progress.read_through + 1
        if position > len(self.kinds):
            return False
        if self.progress.is_done(position):
            assert position in self.settled | self.flight.keys() | self.waiting.keys()
            self.progress.skip_done(position)
        elif not self.names(position):
            self.progress.pass_over(position)
            self.passed.add(position)
        else:
            assert position > self.first_read
            self.first_read = position
            self.send(position)
        return True

    @rule(kind=st.sampled_from(KINDS))
    def publish_callback(self, kind):
        self.kinds.append(kind)
        position = len(self.kinds)
        if self.names(position):
            assert self.progress.may_go_live(position)
            attempt = self.progress.hand(event(position, kind), self.now, is_live=True)
            self.note_sent(position, attempt, live=True)

    @rule(data=st.data())
    def settle(self, data):
        known = st.integers(1, len(self.kinds) + 3)
        positions = data.draw(st.lists(known, max_size=4))
        through = data.draw(st.none() | known)
        out = (self.flight.keys() | self.waiting.keys()) - self.revived
        asked = (positions, through)
        positions, through = self.absorb(set(positions), through)
        expected = {p for p in positions if p in out}
        if through is not None:
            rejected = {p for p, (_, was) in self.waiting.items() if was}
            expected |= {p for p in out - rejected if p <= through}
        done = self.progress.settle(*asked, self.now)

        assert {h.position for h in done} >= expected
        extra = {h.position for h in done} - expected
        assert not any(self.names(p) for p in extra)  # of before a change of the filter
        self.forget({h.position for h in done})

    def absorb(self, positions, through):
        """Return what a settle says of deliveries since the last move."""
        old, self.stale = self.stale, self.stale - positions
        if through is not None and self.stale:
            reached = {p for p in self.stale if p <= through}
            is_about_old = reached and through <= max(self.stale)
            self.stale -= reached
            through = None if is_about_old else through
        return positions - old, through

    def forget(self, positions):
        self.settled |= positions
        for position in positions:
            self.flight.pop(position, None)
            self.waiting.pop(position, None)
            self.counts.pop(position, None)
        if positions:
            self.isolated = False
            self.meanwhile = True
            self.track()

    @precondition(lambda self: self.flight)
    @rule(data=st.data(), wait=st.sampled_from([0, 1, 30, None]))
    def reject(self, data, wait):
        position = data.draw(st.sampled_from(sorted(self.flight)))
        verdict, attempt = self.progress.reject(position, wait, "", self.now, 0)
        count = self.count(position)

        assert attempt.count == count
        assert (verdict is Verdict.BURY) == (count >= SETTINGS.max_attempts)
        if verdict is Verdict.BURY:
            self.bury(position)
        else:
            wait = 2.0 ** (count - 1) if wait is None else wait
            del self.flight[position]
            self.waiting[position] = (self.now + wait, True)
            self.track()

    def bury(self, position):
        self.progress.bury(position, self.now)
        self.flight.pop(position, None)
        self.waiting.pop(position, None)
        self.counts.pop(position, None)
        self.settled.add(position)
        self.track()

    @precondition(lambda self: any(self.names(p) for p in self.settled))
    @rule(data=st.data())
    def revive(self, data):
        """Something that died is given back."""
        self.settled |= {p for p in self.passed if p <= self.cursor()}
        position = data.draw(st.sampled_from(sorted(p for p in self.settled if self.names(p))))
        self.progress.revive(letter(position, self.kinds[position - 1]), self.now)
        self.settled.discard(position)
        self.passed.discard(position)
        self.counts.pop(position, None)
        self.waiting[position] = (self.now, True)
        self.revived.add(position)

    @rule(data=st.data())
    def move(self, data):
        """The consumer is made to stand elsewhere."""
        cursor = data.draw(st.integers(0, len(self.kinds)))
        self.progress = self.progress.moved(cursor)
        self.stale |= self.flight.keys()
        self.settled = set(range(1, cursor + 1))
        self.flight, self.waiting, self.passed, self.first_read = {}, {}, set(), cursor
        self.revived = set()
        self.counts = {p: n for p, n in self.counts.items() if p > cursor}
        self.oldest, self.stuck_at, self.stuck, self.isolated = None, None, 0, False

    @rule(seconds=st.sampled_from([0.5, 10, 29, 61]))
    def time_passes(self, seconds):
        self.now += seconds
        expired = self.progress.expire(self.now)
        is_due = self.oldest is not None and self.now >= self.since + SETTINGS.ack_timeout_s
        assert (expired is not None) == is_due
        if expired is None:
            return
        position, verdict, attempt = expired
        assert position == self.oldest
        assert (attempt is not None) == self.meanwhile
        if attempt is not None:
            assert attempt.count == self.count(position)
        if verdict is Verdict.BURY:
            self.bury(position)
        else:
            del self.flight[position]
            self.waiting[position] = (self.now, False)
            self.track()

    @rule()
    def disconnect(self):
        expected = self.oldest if self.isolated else None
        counted = self.progress.disconnected(self.now)
        self.stale = set()
        assert (counted[0] if counted else None) == expected
        self.note_stuck()
        self.take_back_all()
        if counted and self.count(counted[0]) >= SETTINGS.max_attempts:
            self.bury(counted[0])

    @rule()
    def supersede(self):
        self.progress.superseded(self.now)
        self.stale = set()
        self.note_stuck()
        self.take_back_all()

    @rule(types=st.sampled_from(FILTERS))
    def refilter(self, types):
        self.wanted = Filter(types)
        self.progress.refilter(0, self.wanted.compile(), self.now)
        self.take_back_all()
        cursor = self.cursor()
        self.first_read = cursor
        self.passed = {p for p in self.passed if p <= cursor}
        self.waiting = {p: w for p, w in self.waiting.items() if self.names(p)}

    # -- what always holds ----------------------------------------------------------------

    @invariant()
    def agree(self):
        made = self.progress
        assert made.in_flight == len(self.flight)
        assert made.window == self.window()
        in_window = sum(not live for live in self.flight.values())
        assert made.has_window() == (in_window < self.window())
        read = set(range(1, made.read_through + 1))
        assert read <= self.settled | self.passed | self.flight.keys() | self.waiting.keys()

    @invariant()
    def the_next_deadline_is_known(self):
        moments = [due for due, _ in self.waiting.values() if due > self.now]
        if self.oldest is not None:
            moments.append(self.since + SETTINGS.ack_timeout_s)
        found = self.progress.due_s(self.now)
        if moments:
            assert found <= min(moments)

    def teardown(self):
        """Whatever happened, in the end everything named is delivered and settled."""
        for _ in range(200):
            self.now += 301
            self.pump()
            if not self.flight and not self.waiting:
                break
            done = self.progress.settle(list(self.flight), None, self.now)
            self.forget({h.position for h in done})
        assert not self.flight
        assert not self.waiting
        assert self.cursor() == len(self.kinds)
        assert all(p in self.settled or not self.names(p) or p in self.passed
                   for p in range(1, len(self.kinds) + 1))  # fmt: skip


TestMachine = Machine.TestCase
TestMachine.settings = hypothesis_settings(max_examples=120, stateful_step_count=40, deadline=None)
