"""What may be removed, and in which order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feishu_ws.journal.ledger import ConsumerState
from feishu_ws.journal.retention import (
    ROOM_MAX_BYTES,
    ROW_BYTES,
    Rank,
    clock_is_sane,
    is_odd,
    rank,
    room_target,
    take,
)
from feishu_ws.journal.store import Head
from feishu_ws.model import Envelope, Filter


def holder(*, declared=False, connected=False):
    """Return a consumer that holds an event."""
    state = ConsumerState("bot", Filter(), 0)
    state.declared, state.connected = declared, connected
    return state


@pytest.mark.parametrize(
    ("holders", "is_dead", "expected"),
    [
        ([], False, Rank.UNHELD),
        ([], True, Rank.DEAD),
        ([holder()], False, Rank.ABSENT),
        ([holder()], True, Rank.ABSENT),
        ([holder(), holder(connected=True)], False, Rank.HELD),
        ([holder(declared=True)], True, Rank.HELD),
    ],
)
def test_the_order(holders, is_dead, expected):
    """Unheld, dead letters, absent consumers' events, then held ones."""
    assert rank(holders, is_dead=is_dead) is expected


def test_ranks_ascend():
    """The lowest rank goes first."""
    assert sorted(Rank) == [Rank.UNHELD, Rank.DEAD, Rank.ABSENT, Rank.HELD]


@given(st.lists(st.integers(0, 5000), max_size=30), st.integers(0, 40_000))
def test_take_is_the_shortest_start_that_suffices(sizes, wanted):
    """Rows are taken from the front until they reach the size, at least one, never more than needed."""
    rows = [Head(n, 0, Envelope(), size=size) for n, size in enumerate(sizes)]
    taken = take(wanted, rows)
    weigh = [row.size + ROW_BYTES for row in taken]

    assert taken == rows[: len(taken)]
    assert bool(taken) == bool(rows)
    assert sum(weigh) >= wanted or len(taken) == len(rows)
    assert len(taken) <= 1 or sum(weigh[:-1]) < wanted


@given(st.integers(1024, 2**40))
def test_the_target_is_a_little_below_the_limit(max_bytes):
    """Between target and limit there is some room, in a large journal not more than is useful."""
    assert 0 < max_bytes - room_target(max_bytes) <= min(max_bytes, ROOM_MAX_BYTES)


def test_ages_need_a_clock_that_is_not_behind():
    """A wall clock behind the newest event cannot tell ages."""
    assert (clock_is_sane(9, 10), clock_is_sane(10, 10)) == (False, True)


def test_odd_rows():
    """A row is odd if it is older than allowed or younger than now."""
    assert [is_odd(at, 5, 8) for at in (4, 5, 8, 9)] == [True, False, False, True]
