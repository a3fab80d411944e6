"""Settled, or passed over by the filter."""

from hypothesis import given
from hypothesis import strategies as st

from feishu_ws.downstream.done import MAX_HOLES, Done

STEPS = st.lists(st.sampled_from(["settled", "passed", "open"]), max_size=40)


def test_what_is_passed_over_at_the_cursor_is_told_at_once():
    """A span at the cursor counts as settled, and neighbours are told as one."""
    done = Done(3, ())
    done.pass_over(4, 6)
    done.pass_over(7, 7)

    assert (done.cursor, done.reached, done.take_reached()) == (7, 1, [(4, 7)])
    assert done.take_reached() == []


def test_what_is_passed_over_ahead_waits_for_the_cursor():
    """A span behind an open position is not settled until the cursor is there."""
    done = Done(0, ())
    done.pass_over(2, 3)
    before = (2 in done, done.take_reached())
    done.settle(1)

    assert before == (False, [])
    assert (2 in done, done.cursor, done.take_reached()) == (True, 3, [(2, 3)])


def test_looking_anew_forgets_what_the_cursor_has_not_reached():
    """After a change of the filter only what is settled, or lies below the cursor, is done."""
    done = Done(0, ())
    done.pass_over(2, 2)
    done.settle(3)
    done.begin_again(0)

    assert [p in done for p in (1, 2, 3)] == [False, False, True]


def test_the_journal_may_be_further():
    """Where the journal's cursor is ahead, everything up to it is done."""
    done = Done(0, ((5, 6),))
    done.begin_again(4)

    assert done.cursor == 6


def test_too_many_holes_are_settled_from_the_lowest_on():
    """However long the oldest delivery stays open, what is remembered above it is bounded."""
    done = Done(0, ())
    for position in range(2, 2 * MAX_HOLES + 22, 2):  # 1 stays open, odd ones are settled
        done.pass_over(position, position)
        done.settle(position + 1)

    told = done.take_reached()

    assert len(told) == 10
    assert (2 in done, 2 * MAX_HOLES + 20 in done, done.cursor) == (True, False, 0)


@given(STEPS)
def test_it_agrees_with_the_plain_definition(steps):
    """Done = settled, or passed over with nothing open below; told = exactly the passed ones done."""
    done = Done(0, ())
    for position, step in enumerate(steps, start=1):
        if step == "passed":
            done.pass_over(position, position)
        elif step == "settled":
            done.settle(position)

    prefix = steps.index("open") if "open" in steps else len(steps)
    expected = [step == "settled" or p < prefix for p, step in enumerate(steps)]
    told = {p for first, last in done.take_reached() for p in range(first, last + 1)}

    assert [p in done for p in range(1, len(steps) + 1)] == expected
    assert told == {p + 1 for p, step in enumerate(steps[:prefix]) if step == "passed"}


def test_what_was_settled_may_be_open_again():
    """A hole below the cursor holds it back until it is settled; what lies above stays done."""
    done = Done(9, ())
    done.revive(4)
    before = (done.cursor, 4 in done, 5 in done, done.run_end(1), done.run_end(4), done.run_end(5))
    done.settle(4)

    assert before == (3, False, True, 3, 3, 9)
    assert (done.cursor, done.run_end(1)) == (9, 9)


def test_a_hole_holds_back_what_was_passed_over():
    """What the filter passed over above a hole counts once the cursor gets there."""
    done = Done(5, ())
    done.pass_over(7, 8)
    done.revive(3)
    done.settle(6)
    early = done.take_reached()
    done.settle(3)

    assert (early, done.take_reached(), done.cursor) == ([], [(7, 8)], 8)
