"""One thing per subject at a time, in order."""

from hypothesis import given
from hypothesis import strategies as st

from feishu_ws.client.lanes import Lanes


def test_one_at_a_time_is_the_order_of_arrival():
    """With one place subjects do not matter."""
    lanes = Lanes(1)
    began = []
    for number, subject in enumerate("aabac"):
        lanes.add(subject, number, 1)
    while (found := lanes.next()) is not None:
        began.append(found[1])
        assert lanes.next() is None
        lanes.done(found[0])

    assert began == [0, 1, 2, 3, 4]


def test_a_busy_subject_holds_up_nobody_else():
    """Its next waits, those of others begin."""
    lanes = Lanes(3)
    for number, subject in enumerate("aabc"):
        lanes.add(subject, number, 10)
    began = [lanes.next(), lanes.next(), lanes.next(), lanes.next()]
    waiting = lanes.waiting_bytes
    lanes.done("a")

    assert began == [("a", 0), ("b", 2), ("c", 3), None]
    assert (waiting, lanes.next(), lanes.waiting_bytes) == (10, ("a", 1), 0)


@given(
    st.integers(1, 4),
    st.lists(st.one_of(st.sampled_from("abc"), st.integers(0, 5)), max_size=60),
)
def test_whatever_comes_in_every_rule_holds(most, steps):
    """Order within a subject, one of it at a time, at most so many, no place left idle, nothing kept."""
    lanes, added, running, began = Lanes(most), {}, [], {}
    for number, step in enumerate(steps):
        if isinstance(step, str):
            added.setdefault(step, []).append(number)
            lanes.add(step, number, 1)
        elif running:
            lanes.done(running.pop(step % len(running)))
        while (found := lanes.next()) is not None:
            assert found[0] not in running
            running.append(found[0])
            began.setdefault(found[0], []).append(found[1])
        assert len(running) <= most
        waiting = {s: len(added[s]) - len(began.get(s, [])) for s in added}
        assert lanes.waiting_bytes == sum(waiting.values())
        if len(running) < most:
            assert all(s in running for s, count in waiting.items() if count)
    while running:
        lanes.done(running.pop())
        while (found := lanes.next()) is not None:
            running.append(found[0])
            began.setdefault(found[0], []).append(found[1])

    assert began == added
    assert (lanes._waiting, lanes._ready, lanes._running) == ({}, [], set())
