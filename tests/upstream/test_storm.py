"""The token bucket against its promise, and when it is called a storm."""

from hypothesis import given
from hypothesis import strategies as st

from feishu_ws.happenings import StormBegan, StormEnded
from feishu_ws.upstream.storm import StormBreaker, TokenBucket


@given(st.integers(1, 30), st.floats(0.5, 60), st.lists(st.floats(0, 40), max_size=200))
def test_never_more_than_promised(capacity, refill, gaps):
    """In any time t at most capacity + t / refill attempts are let through."""
    bucket = TokenBucket(capacity, refill, 100.0)
    now, taken = 100.0, 0
    for gap in gaps:
        now += gap
        while bucket.take(now):
            taken += 1
        assert taken <= capacity + (now - 100) / refill + 1e-6


@given(st.integers(1, 5), st.floats(0.5, 60), st.floats(0, 1e9))
def test_wait_is_enough(capacity, refill, start):
    """After the wait that was named there is a token."""
    bucket = TokenBucket(capacity, refill, start)
    while bucket.take(start):
        pass
    wait = bucket.wait_s(start)
    assert 0 < wait <= refill * 1.000001
    assert bucket.take(start + wait)


def test_give_back():
    """A token that was given back can be taken again; there are never more than fit."""
    bucket = TokenBucket(2, 15, 0)
    assert bucket.take(0)
    bucket.give_back(0)
    bucket.give_back(0)
    assert [bucket.take(0) for _ in range(3)] == [True, True, False]


def test_clock_that_stands_still():
    """Time that does not pass, or seems to go back, brings nothing."""
    bucket = TokenBucket(1, 15, 100)
    assert bucket.take(100)
    assert not bucket.take(50)
    assert bucket.tokens(50) == 0


def test_storm_begins_and_ends_once():
    """A storm lasts from the last token until two are there, however links take them."""
    seen = []
    breaker = StormBreaker(TokenBucket(3, 15, 0), 3, seen.append)
    assert [breaker.take(0) for _ in range(3)] == [0, 0, 0]
    assert breaker.take(0) == 15
    assert seen == [StormBegan()]
    breaker.tick(16)
    assert breaker.take(16) == 0
    breaker.tick(17)
    assert seen == [StormBegan()]
    assert breaker.is_active
    breaker.tick(46)
    assert seen == [StormBegan(), StormEnded()]
    assert not breaker.is_active


def test_attempts_that_reach_nobody_are_no_storm():
    """A token that comes back at once ends what taking it began."""
    seen = []
    breaker = StormBreaker(TokenBucket(1, 15, 0), 1, seen.append)
    for now in range(5):
        assert breaker.take(now) == 0
        breaker.give_back(now)
    assert not breaker.is_active
    assert len(seen) % 2 == 0
