"""What waits to be sent: order, turns, limits."""

import random
from collections import Counter, defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feishu_ws.openapi.limits import Limits, Window
from feishu_ws.openapi.queues import FullError, Queues

FREE = Limits(0, 0, 0)


def drain(queues, now_s=0.0, *, took_s=0.0):
    """Send everything on a clock of its own; return (when, line, item) of each."""
    sent = []
    while queues.ready_at() != float("inf"):
        now_s = max(now_s, queues.ready_at())
        found = queues.take(now_s)
        assert found is not None
        sent.append((now_s, *found))
        queues.finish(found[0], now_s + took_s)
    return sent


def most_within(times, period_s):
    """Return the most of `times` in any span shorter than `period_s`."""
    times = sorted(times)
    return max(sum(1 for t in times if start <= t < start + period_s) for start in times)


def test_order():
    """One receiver's items go in order, receivers take turns."""
    queues = Queues(FREE)
    for item in range(3):
        for line in "ab":
            queues.add(line, item)
    assert [(line, item) for _, line, item in drain(queues)] == [
        ("a", 0), ("b", 0), ("a", 1), ("b", 1), ("a", 2), ("b", 2),
    ]  # fmt: skip


def test_one_at_a_time():
    """The next for a receiver waits until the one before is done."""
    queues = Queues(FREE)
    queues.add("a", 1)
    queues.add("a", 2)
    assert queues.take(0.0) == ("a", 1)
    assert queues.take(99.0) is None
    assert queues.ready_at() == float("inf")
    queues.finish("a", 99.0)
    assert queues.take(99.0) == ("a", 2)


def test_put_back():
    """What Feishu did not take goes again before all others for its receiver, and delays no other."""
    queues = Queues(FREE)
    queues.add("a", 1)
    queues.add("a", 2)
    queues.add("b", 3)
    assert queues.take(0.0) == ("a", 1)
    queues.put_back("a", 1, until_s=5.0)
    assert [(at, item) for at, _, item in drain(queues)] == [(0.0, 3), (5.0, 1), (5.0, 2)]


def test_hold():
    """Where Feishu asks the app to wait, nothing goes before."""
    queues = Queues(FREE)
    queues.add("a", 1)
    queues.hold(7.0)
    assert queues.take(6.9) is None
    assert queues.ready_at() == 7.0
    assert queues.take(7.0) == ("a", 1)


def test_full():
    """One more than may wait is refused; what goes again is not."""
    queues = Queues(Limits(0, 0, 0, queued=2))
    queues.add("a", 1)
    queues.check_room("b")
    queues.add("b", 2)
    with pytest.raises(FullError):
        queues.check_room("c")
    assert queues.take(0.0) == ("a", 1)
    queues.check_room("c")
    queues.add("c", 3)
    queues.put_back("a", 1, 0.0)
    assert len(queues) == 3


def test_one_receiver_leaves_room_for_others():
    """A receiver that takes nothing fills a tenth of the places, and no more."""
    queues = Queues(Limits())
    for item in range(1000):
        queues.check_room("stuck")
        queues.add("stuck", item)
    with pytest.raises(FullError, match="this receiver"):
        queues.check_room("stuck")
    queues.check_room("other")
    assert Limits(queued=50).queued_per_chat == 50
    assert Limits(queued=500).queued_per_chat == 100


def test_documented_rates():
    """10,000 messages, some for busy chats: no window over its limit, and all go once."""
    rng = random.Random(7)
    limits = Limits()
    queues = Queues(limits)
    wanted = [(f"chat{min(rng.randrange(400), rng.randrange(400))}", n) for n in range(10_000)]
    for line, item in wanted:
        queues.add(line, item)
    sent = drain(queues)
    assert Counter(item for _, _, item in sent) == Counter(item for _, item in wanted)
    times = [at for at, _, _ in sent]
    assert most_within(times[:3000], 1.0) <= limits.per_app_per_s
    assert all(b - a >= 60.0 for a, b in zip(times, times[limits.per_app_per_min :], strict=False))
    by_line = defaultdict(list)
    for at, line, _ in sent:
        by_line[line].append(at)
    assert all(most_within(each, 1.0) <= limits.per_chat_per_s for each in by_line.values())
    assert times[-1] <= 10_000 / limits.per_app_per_min * 60  # and not slower than it may


def test_busy_chat_delays_no_other():
    """A chat with a thousand messages costs another chat's only one no wait."""
    queues = Queues(Limits())
    for item in range(1000):
        queues.add("busy", item)
    queues.add("quiet", "x")
    assert next(at for at, line, _ in drain(queues) if line == "quiet") == 0.0


def test_those_that_waited_are_not_passed():
    """A receiver whose turn has come is not overtaken by ever new ones."""
    queues = Queues(Limits(per_chat_per_s=1, per_app_per_s=0, per_app_per_min=0))
    queues.add("old", 1)
    queues.add("old", 2)
    assert queues.take(0.0) == ("old", 1)
    queues.finish("old", 0.0)
    assert queues.take(0.5) is None
    queues.add("new0", 0)
    assert queues.take(1.0)[0] in {"old", "new0"}
    queues.add("new1", 0)
    assert {queues.take(1.0)[0], queues.take(1.0)[0]} & {"old", "new0"}
    assert queues.take(1.0) is None


def test_memory():
    """Receivers that nothing is known of any more cost nothing."""
    queues = Queues(Limits(per_app_per_s=0, per_app_per_min=0))
    for number in range(1000):
        queues.add(f"chat{number}", number)
    drain(queues)
    queues.tidy(0.5)
    assert queues.lines == 1000
    queues.tidy(1.0)
    assert queues.lines == 0


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 3), st.booleans()), max_size=60),
    st.integers(1, 3),
    st.integers(0, 6),
)
def test_any_order(steps, per_chat, per_app):
    """However items come and go again: each goes, in order, and no window is over its limit."""
    queues = Queues(Limits(per_chat, per_app, 0))
    now_s, left, sent, tries = 0.0, {}, [], defaultdict(list)
    for number, (line, wait_s, again) in enumerate(steps):
        queues.add(line, number)
        left[number] = again
        now_s += wait_s / 10
    while queues.ready_at() != float("inf"):
        now_s = max(now_s, queues.ready_at())
        line, number = queues.take(now_s)
        tries[line].append(now_s)
        if left.pop(number):
            left[number] = False
            queues.put_back(line, number, now_s + 0.25)
        else:
            sent.append((line, number))
            queues.finish(line, now_s)
    for name in "abc":
        mine = [number for line, number in sent if line == name]
        assert mine == sorted(mine)
        assert not tries[name] or most_within(tries[name], 1.0) <= per_chat
    assert len(sent) == len(steps)
    everything = [at for each in tries.values() for at in each]
    assert not (everything and per_app) or most_within(everything, 1.0) <= per_app


def test_window_without_limit():
    """0 is no limit."""
    window = Window(0, 1.0)
    for _ in range(100):
        assert window.ready_at() == float("-inf")
        window.take(0.0)
    assert window.is_idle(0.0)
