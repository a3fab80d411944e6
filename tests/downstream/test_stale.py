"""What is said of deliveries from before a move."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feishu_ws.downstream.stale import Stale


def test_the_first_word_is_about_the_old_delivery():
    """One word on each old delivery is absorbed; the next one is about the repeated one."""
    stale = Stale([4, 5])

    assert [stale.absorb(p) for p in (5, 5, 3, 4, 4)] == [True, False, False, True, False]
    assert list(stale) == []


def test_of_many_the_fresh_ones_count():
    """Named twice in one breath is one word; without old deliveries all are fresh."""
    stale = Stale([4, 5])

    assert sorted(stale.fresh([3, 4, 4, 6])) == [3, 6]
    assert sorted(stale.fresh([4, 5])) == [4]
    assert list(stale.fresh(iter([4, 4]))) == [4, 4]


@pytest.mark.parametrize(
    ("through", "is_absorbed", "left"),
    [(3, False, [4, 6]), (4, True, [6]), (5, True, [6]), (6, True, []), (7, False, [])],
)
def test_all_up_to_somewhere(through, is_absorbed, left):
    """Below the old ones it is about new ones; beyond all of them it is about both."""
    stale = Stale([4, 6])

    assert (stale.absorb_through(through), sorted(stale)) == (is_absorbed, left)


@given(st.sets(st.integers(1, 9)), st.lists(st.tuples(st.booleans(), st.integers(1, 12))))
def test_it_comes_to_an_end(positions, words):
    """Every absorbed word is paid for with an old delivery, so a consumer is never ignored for ever."""
    stale = Stale(positions)
    absorbed = sum(
        stale.absorb_through(p) if is_through else stale.absorb(p) for is_through, p in words
    )

    assert absorbed + len(list(stale)) <= len(positions)
