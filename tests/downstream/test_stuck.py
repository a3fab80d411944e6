"""Connections that end on the same delivery, one after another."""

from hypothesis import given
from hypothesis import strategies as st

from feishu_ws.downstream.stuck import STUCK_CONNECTIONS, Stuck


@given(st.lists(st.integers(1, 3), max_size=30))
def test_only_the_same_delivery_in_a_row_counts(oldest):
    """Too often is: the last ones were all the same, and there were enough of them."""
    stuck = Stuck()
    found = [stuck.note(position) for position in oldest]

    tails = [oldest[max(0, at - STUCK_CONNECTIONS + 1) : at + 1] for at in range(len(oldest))]
    assert found == [len(t) == STUCK_CONNECTIONS and len(set(t)) == 1 for t in tails]
