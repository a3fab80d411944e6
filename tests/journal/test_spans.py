"""A set of positions as a cursor and spans above it."""

from hypothesis import given
from hypothesis import strategies as st

from feishu_ws.journal.spans import Spans

positions = st.integers(0, 40)
additions = st.lists(st.tuples(positions, positions), max_size=30)


def members(cursor, added):
    """Return the same set, the plain way."""
    found = set(range(1, cursor + 1))
    for first, last in added:
        found.update(range(first, last + 1))
    return found - {0}


@given(positions, additions)
def test_holds_what_a_set_holds(cursor, added):
    """Whatever is added in whatever order, membership is that of a plain set."""
    spans = Spans(cursor)
    for first, last in added:
        spans.add(first, last)

    assert {p for p in range(1, 50) if p in spans} == members(cursor, added)


@given(positions, additions, st.lists(positions, max_size=12))
def test_what_is_removed_is_a_hole(cursor, added, removed):
    """Positions taken out, in or not, are out; everything else stays."""
    spans = Spans(cursor)
    for first, last in added:
        spans.add(first, last)
    for position in removed:
        spans.remove(position)

    assert {p for p in range(1, 50) if p in spans} == members(cursor, added) - set(removed)


@given(positions, additions)
def test_where_a_run_ends(cursor, added):
    """A run ends before the first position that is out; one that is out begins none."""
    spans = Spans(cursor)
    for first, last in added:
        spans.add(first, last)
    out = [p for p in range(1, 99) if p not in spans]

    for position in range(1, 50):
        assert spans.run_end(position) == min(p for p in out if p >= position) - 1


@given(positions, additions, st.lists(positions.filter(bool), max_size=5))
def test_is_as_short_as_can_be(cursor, added, removed):
    """The cursor reaches to the first hole; spans ascend and never touch each other."""
    spans = Spans(cursor)
    for first, last in added:
        spans.add(first, last)
    for position in removed:
        spans.remove(position)
    bounds = [spans.cursor, *(p for span in spans.ahead for p in span)]

    assert spans.cursor + 1 not in spans
    assert all(first <= last for first, last in spans.ahead)
    assert all(b - a > 1 for a, b in zip(bounds[::2], bounds[1::2], strict=False))


@given(positions, additions)
def test_comes_back_from_its_parts(cursor, added):
    """Cursor and spans, stored and read again, are the same set."""
    spans = Spans(cursor)
    for first, last in added:
        spans.add(first, last)
    again = Spans(spans.cursor, spans.ahead)

    assert (again.cursor, again.ahead) == (spans.cursor, spans.ahead)


def test_a_prefix_that_grows_stays_one_number():
    """What is settled in order never becomes a span."""
    spans = Spans(10)
    for position in range(11, 1000):
        spans.add(position, position)

    assert (spans.cursor, spans.ahead) == (999, ())


def test_an_empty_span_adds_nothing():
    """A span that ends before it begins is none."""
    spans = Spans(3)
    spans.add(9, 8)

    assert (spans.cursor, spans.ahead) == (3, ())
