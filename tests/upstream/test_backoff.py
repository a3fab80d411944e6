"""Every wait, as a table and as bounds that always hold."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tenacity import AsyncRetrying, Future, RetryCallState

from feishu_ws.faults import CATALOGUE, Fault, FeishuWsError, Remedy
from feishu_ws.upstream.attempt import Phase
from feishu_ws.upstream.backoff import Ending, LinkEndedError, LinkWait, Streak
from feishu_ws.upstream.settings import UpstreamSettings
from feishu_ws.wire.session import ServerTimings

SETTINGS = UpstreamSettings()
TIMINGS = ServerTimings(90, -1, 90, 25)


class Top:
    """A source of randomness that always gives the most."""

    def uniform(self, _, high):
        return high


def wait(ending, streak, rng=None):
    state = RetryCallState(AsyncRetrying(), None, (), {})
    state.outcome = Future(1)
    state.outcome.set_exception(LinkEndedError(ending, streak))
    return LinkWait(SETTINGS, rng or Top())(state)


def ending(fault, phase=Phase.DISCOVERY, **more):
    error = FeishuWsError(fault, "x", retry_after_s=more.pop("retry_after_s", None))
    reached = more.pop("is_reached", CATALOGUE[fault].reaches_feishu)
    return Ending(error, phase, reached, timings=TIMINGS, **more)


def waits(endings, rng=None):
    """The waits after each of `endings` in a row."""
    streak, found = Streak(), []
    for each in endings:
        streak = streak.after(each, SETTINGS.settled_s)
        found.append(wait(each, streak, rng))
    return found


def lost(fault=Fault.CONNECTION_LOST, **more):
    return ending(fault, None, **more)


def test_unreachable():
    """First at once, then up to twice as long each time, never over the smaller cap."""
    assert waits([ending(Fault.DNS_FAILED)] * 7) == [0, 0.5, 1, 2, 4, 5, 5]


def test_answered():
    """Once Feishu answered, the larger cap holds."""
    assert waits([ending(Fault.FEISHU_BUSY)] * 10) == [0, 0.5, 1, 2, 4, 8, 16, 32, 60, 60]


def test_fresh_when_it_is_reached_again():
    """A long time without a network does not make the first refusals wait longer."""
    down = [ending(Fault.CONNECT_FAILED)] * 50
    assert waits([*down, ending(Fault.FEISHU_BUSY), ending(Fault.FEISHU_BUSY)])[-2:] == [0, 0.5]


def test_timeout_after_discovery_counts_as_answered():
    """A timeout of the WebSocket after discovery answered is Feishu's, not the network's."""
    late = ending(Fault.CONNECT_TIMEOUT, Phase.HANDSHAKE, is_reached=True)
    assert waits([late] * 9)[-1] == 60


def test_short_lives_do_not_reset():
    """A link that flaps backs off; one that lasted begins afresh."""
    assert waits([lost(lived_s=59.9)] * 4) == [0, 0.5, 1, 2]
    assert waits([lost(lived_s=1)] * 4 + [lost(lived_s=60)])[-1] == 0


def test_hold_ramp():
    """A refusal is held 15, 30, 60 … 900 s, exactly."""
    refused = ending(Fault.CREDENTIALS_REFUSED)
    assert waits([refused] * 8, Random(1)) == [15, 30, 60, 120, 240, 480, 900, 900]
    assert waits([refused, refused, lost(), refused])[-1] == 15


def test_connection_limit():
    """At the limit: within 60 s with no live link, at most once a minute with one."""
    alone = ending(Fault.CONNECTION_LIMIT)
    surplus = [ending(Fault.CONNECTION_LIMIT, limit_wait_s=turn) for turn in (60, 180, 240)]
    assert waits([alone] * 5) == [15, 30, 60, 60, 60]
    assert waits(surplus) == [60, 180, 240]


def test_mass_reconnect_is_spread():
    """After an announced mass reconnect the waits are what Feishu orders, under our own cap."""
    bye = lost(Fault.CLOSED_BY_FEISHU, lived_s=1000, is_mass_close=True)
    busy = ending(Fault.FEISHU_BUSY)
    assert waits([bye, busy, busy]) == [25, 60, 60]
    assert 0 <= waits([bye], Random(3))[0] <= 25


def test_spread_spares_nobody_when_nobody_is_reached():
    """What reaches nobody during a spread is retried like any other."""
    bye = lost(Fault.CLOSED_BY_FEISHU, lived_s=1000, is_mass_close=True)
    down = ending(Fault.CONNECT_FAILED)
    assert waits([bye, down, down]) == [25, 0, 0.5]


def test_spread_ends_with_the_next_life():
    """An ordinary loss later is retried at once."""
    bye = lost(Fault.CLOSED_BY_FEISHU, lived_s=1000, is_mass_close=True)
    assert waits([bye, lost(lived_s=1000)])[-1] == 0


@pytest.mark.parametrize("fault", [Fault.RATE_LIMITED, Fault.DISCOVERY_FAILED])
def test_what_was_asked_for(fault):
    """Never less than the other side asked for."""
    assert waits([ending(fault, retry_after_s=42.0)]) == [42]
    assert waits([ending(fault, retry_after_s=0.1)] * 9)[-1] == 60


def test_failures_are_counted():
    """Attempts in a row are counted, and a life ends the count."""
    streak = Streak()
    for each in [ending(Fault.DNS_FAILED), ending(Fault.FEISHU_BUSY)]:
        streak = streak.after(each, 60)
    assert (streak.failures, streak.answered, streak.unanswered) == (2, 1, 1)
    assert streak.after(lost(lived_s=1), 60).failures == 0


@given(
    st.lists(
        st.builds(
            ending,
            st.sampled_from([each for each in Fault if CATALOGUE[each].remedy is not Remedy.ABORT]),
            st.none() | st.sampled_from(list(Phase)),
            is_reached=st.booleans(),
            lived_s=st.floats(0, 1e6),
            is_mass_close=st.booleans(),
            limit_wait_s=st.none() | st.floats(0, 600),
            retry_after_s=st.none() | st.floats(0, 900),
        ),
        min_size=1,
        max_size=60,
    ),
    st.integers(0, 2**32),
)
def test_always_within_bounds(endings, seed):
    """Whatever happens in whatever order, the next attempt is never over 900 s away."""
    for each, seconds in zip(endings, waits(endings, Random(seed)), strict=True):
        assert 0 <= seconds <= 900
        if not each.is_reached and not each.is_held and each.error.retry_after_s is None:
            assert seconds <= SETTINGS.backoff_unreachable_max_s
