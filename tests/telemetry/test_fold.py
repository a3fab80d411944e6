"""Counts fold into a closed set and never fall."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from feishu_ws.telemetry.fold import Folded

words = st.sampled_from(["a", "b", "c", "other", "x" * 300, "\n", ""])
steps = st.lists(st.tuples(st.sets(words), st.lists(words)), max_size=8)


def test_allowed_values_exist_from_zero():
    """A series exists before its first count."""
    assert Folded(["a", "other"]).totals == {"a": 0, "other": 0}


def test_unknown_values_count_as_other():
    """What is not allowed is other, and is reported once."""
    folded = Folded(["a", "other"])
    raw = Counter({"a": 2, "evil": 3})
    assert folded.take(raw) == 3
    assert folded.totals == {"a": 2, "other": 3}
    assert folded.take(raw) == 0


def test_a_value_allowed_later_starts_at_what_comes_after():
    """A reload that adds a type leaves `other` as it was."""
    folded = Folded(["other"])
    folded.take({"new": 5})
    folded.allow(["new", "other"])
    folded.take({"new": 7})
    assert folded.totals == {"new": 2, "other": 5}


def test_a_value_no_longer_allowed_keeps_its_series():
    """A reload that takes a type away does not make a counter fall."""
    folded = Folded(["old", "other"])
    folded.take({"old": 5})
    folded.allow(["other"])
    folded.take({"old": 6})
    assert folded.totals == {"old": 5, "other": 1}


@given(steps)
def test_nothing_is_lost_and_nothing_falls(steps):
    """Whatever the sets are, the sum is what was counted and no total falls."""
    folded, raw = Folded(["other"]), Counter()
    before: dict[str, float] = {}
    for allowed, counted in steps:
        folded.allow(allowed | {"other"})
        raw.update(counted)
        folded.take(raw)
        assert sum(folded.totals.values()) == raw.total()
        assert all(folded.totals[value] >= count for value, count in before.items())
        before = dict(folded.totals)
