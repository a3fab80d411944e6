"""Events in memory."""

from hypothesis import given
from hypothesis import strategies as st

from feishu_ws.downstream.recent import Batch, Recent
from feishu_ws.model import Envelope, Event, Reading


def event(position, size=10):
    return Event(Envelope(), b"x" * size, 0, position=position)


def test_it_knows_the_newest_position_before_any_event():
    """Right after a start nothing is in memory, and the newest position is the journal's."""
    recent = Recent(7)

    assert (recent.last, recent.get(7), recent.get(8)) == (7, None, None)


def test_a_run_is_found_by_position():
    """Every event of the run is found, and nothing besides it."""
    recent = Recent(7)
    for position in (8, 9, 10):
        recent.add(event(position))

    assert [e and e.position for e in map(recent.get, range(6, 13))] == [
        None, None, 8, 9, 10, None, None,
    ]  # fmt: skip


def test_a_hole_begins_a_new_run():
    """What lies before a gap is forgotten: the run is consecutive."""
    recent = Recent(0)
    for position in (1, 2, 5):
        recent.add(event(position))

    assert (recent.get(2), recent.get(5).position, recent.last) == (None, 5, 5)


@given(st.lists(st.integers(0, 5000), min_size=1, max_size=60), st.integers(1, 20_000))
def test_memory_is_bounded_and_the_newest_always_there(sizes, limit):
    """Whatever the sizes, what is kept is a suffix within the bound, or the newest alone."""
    recent = Recent(0, max_bytes=limit)
    for position, size in enumerate(sizes, start=1):
        recent.add(event(position, size))
    kept = [p for p in range(1, len(sizes) + 1) if recent.get(p) is not None]

    assert kept == list(range(kept[0], len(sizes) + 1))
    assert len(kept) == 1 or sum(len(recent.get(p).payload) for p in kept) <= limit


def test_a_batch_gives_what_follows_a_position():
    """The next event is found across numbers that do not exist any more."""
    batch = Batch(3, Reading([event(5), event(9)], 9))

    assert [e and e.position for e in map(batch.first_above, range(2, 10))] == [
        None, 5, 5, 9, 9, 9, 9, None,
    ]  # fmt: skip
    assert (batch.last, Batch(3, Reading([], 7)).last) == (9, 3)
