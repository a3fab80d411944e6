"""Timings merged from anything, and pings when they are due."""

import itertools
from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feishu_ws.wire.session import (
    JITTER,
    LATE_TICK_S,
    LATEST,
    MACHINE_S,
    PACE,
    PING_INTERVAL_MAX_S,
    PING_INTERVAL_MIN_S,
    PROMISED_S,
    WISH_MAX_S,
    WOBBLE,
    Action,
    Due,
    Keepalive,
    ServerTimings,
    merge_pong_config,
)

NOW = ServerTimings(90, -1, 90, 25)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
KEYS = ["PingInterval", "ReconnectCount", "ReconnectInterval", "ReconnectNonce", "Other"]


@pytest.mark.parametrize(
    ("payload", "timings", "ignored"),
    [
        (b"", NOW, False),
        (b"{}", NOW, False),
        (b'{"PingInterval":30}', ServerTimings(30, -1, 90, 25), False),
        (b'{"ReconnectCount":7,"Unknown":1}', ServerTimings(90, 7, 90, 25), False),
        (b'{"ReconnectNonce":0,"ReconnectInterval":1}', ServerTimings(90, -1, 1, 0), False),
        (b'{"PingInterval":1}', ServerTimings(5, -1, 90, 25), False),
        (b'{"PingInterval":0}', ServerTimings(5, -1, 90, 25), False),
        (b'{"PingInterval":-3}', ServerTimings(5, -1, 90, 25), False),
        (b'{"PingInterval":99999999999999999999999999}', ServerTimings(600, -1, 90, 25), False),
        (b'{"ReconnectInterval":86400}', ServerTimings(90, -1, WISH_MAX_S, 25), False),
        (b'{"PingInterval":true}', NOW, True),
        (b'{"PingInterval":30.0}', NOW, True),
        (b'{"PingInterval":"30"}', NOW, True),
        (b'{"PingInterval":null,"ReconnectNonce":3}', ServerTimings(90, -1, 90, 3), True),
        (b"[]", NOW, True),
        (b"null", NOW, True),
        (b"not json", NOW, True),
        (b"\xff\xfe", NOW, True),
        (b"[" * 5000, NOW, True),
    ],
)
def test_merge(payload, timings, ignored):
    """A pong's config is merged field by field: missing keeps, absurd is ignored or clamped."""
    assert merge_pong_config(NOW, payload) == (timings, ignored)


@given(
    st.dictionaries(st.sampled_from(KEYS), json_values).map(msgspec.json.encode)
    | st.binary(max_size=40)
)
def test_merge_anything(payload):
    """Whatever comes with a pong, the timings in force can be lived with."""
    timings, _ = merge_pong_config(NOW, payload)
    assert PING_INTERVAL_MIN_S <= timings.ping_interval_s <= PING_INTERVAL_MAX_S
    assert 0 <= timings.reconnect_interval_s <= WISH_MAX_S
    assert 0 <= timings.reconnect_nonce_s <= WISH_MAX_S
    assert all(type(getattr(timings, name)) is int for name in timings.__slots__)


SPARE_S = 15 * (1 - LATEST) + PROMISED_S - MACHINE_S
"""What an answer gets beyond the timeout, with an interval of 15 s."""


def keepalive(seed=1, interval=15, timeout=8, app=90, now=0.0, place=0.0):
    return Keepalive(interval, timeout, app, Random(seed), now, place)


def test_both_pings_first():
    """Right after opening both pings are due."""
    assert keepalive().due(0).actions == (Action.PING, Action.APP_PING)


def test_nothing_twice():
    """What was due counts as done."""
    alive = keepalive()
    alive.due(0)
    assert alive.due(0).actions == ()


def run(alive, now, times=30):
    """Answer everything at once; return when each ping went out."""
    sent = {Action.PING: [], Action.APP_PING: []}
    for _ in range(times):
        due = alive.due(now)
        for action in due.actions:
            sent[action].append(now)
        alive.heard(now)
        assert due.wake_s > now
        now = due.wake_s
    return sent


@given(
    st.integers(0, 2**32), st.floats(1, 60), st.floats(5, 600), st.floats(0, 0.9), st.floats(0, 1e6)
)
def test_jitter_only_sooner(seed, interval, app, place, now):
    """Pings come at their interval or up to a tenth sooner, never later; the second may be early."""
    sent = run(keepalive(seed, interval, 1, app, now, place), now)
    for action, longest in ((Action.PING, interval), (Action.APP_PING, app)):
        times = sent[action]
        gaps = [after - before for before, after in itertools.pairwise(times)]
        assert all(gap <= longest + 1e-6 for gap in gaps)
        assert all(longest * (1 - JITTER) - 1e-6 <= gap for gap in gaps[1:])


@given(
    st.integers(0, 2**32), st.integers(2, 10), st.lists(st.floats(0, 1e5), min_size=2, max_size=2)
)
def test_links_keep_their_distance(seed, links, opened):
    """Whenever they were opened, pings of two links stay a part of the pace apart for ever."""
    first, second = (
        run(keepalive(seed + i, 15, 1, 1e9, at, i / links), at, 100)[Action.PING][1:]
        for i, at in enumerate(opened)
    )
    pace = 15 * PACE
    for one, other in itertools.product(first[-5:], second[-5:]):
        phase = (other - one) % pace
        assert abs(phase - pace / links) <= 2 * 15 * WOBBLE + 1e-6


@given(st.integers(0, 2**32), st.floats(0, 100))
def test_death_is_noticed(seed, died):
    """A link that falls silent at any time is given up within interval and timeout."""
    alive = keepalive(seed)
    now, asked = 0.0, 0
    while True:
        due = alive.due(now)
        if Action.GIVE_UP in due.actions:
            break
        if now <= died:
            alive.heard(now)
        now = min(due.wake_s, now + 1)
        asked += 1
        assert asked < 1000
    assert died < now <= died + 15 + 8 + 1


@given(st.integers(0, 2**32), st.floats(0.1, 7.9))
def test_slow_peer_lives(seed, delay):
    """A peer that answers every ping within the timeout is never given up."""
    alive = keepalive(seed)
    now, answer_at = 0.0, None
    while now < 300:
        if answer_at is not None and now >= answer_at:
            alive.heard(now)
            answer_at = None
        due = alive.due(now)
        assert Action.GIVE_UP not in due.actions
        if Action.PING in due.actions and answer_at is None:
            answer_at = now + delay
        now = min(due.wake_s, answer_at or due.wake_s)


def test_any_frame_is_life():
    """Something that came after the ping ends its deadline, whatever it was."""
    alive = keepalive()
    alive.due(0)
    assert alive.awaiting_since_s == 0
    alive.heard(7.9)
    assert alive.awaiting_since_s is None
    assert Action.GIVE_UP not in alive.due(8.1).actions
    assert alive.last_inbound_s == 7.9


def test_wakes_for_the_deadline():
    """The next wake-up is when an answer is late, then when it is too late."""
    alive = keepalive(timeout=2)
    assert alive.due(0).wake_s == 0.8
    assert alive.due(0.8) == Due((Action.SUSPECT,), 2 + SPARE_S)
    assert alive.due(2 + SPARE_S - 0.01).actions == ()
    assert alive.due(2 + SPARE_S).actions == (Action.GIVE_UP,)


def silence(alive, answered):
    """Return what is done at the end of each wait, from an unanswered ping on."""
    now, done = alive.due(0).wake_s, []
    while not done or done[-1][1] != (Action.GIVE_UP,):
        due = alive.due(now, answered)
        done.append((now, due.actions))
        now = due.wake_s
    return done


def test_what_tcp_acknowledged_is_waited_for():
    """Where the peer's TCP took the ping, the whole promise is waited for, and no longer."""
    asked = []
    done = silence(keepalive(app=1e9), lambda since: asked.append(since) or True)
    assert asked == [0]  # once, and about the ping that went unanswered
    assert done[-1] == (15 + 8 + PROMISED_S - MACHINE_S, (Action.GIVE_UP,))
    assert [actions for _, actions in done].count((Action.PING,)) == 1


def test_what_tcp_did_not_acknowledge_is_over():
    """Where the peer's TCP said nothing either, the spare time is all there is."""
    assert silence(keepalive(), lambda _: False)[-1] == (8 + SPARE_S, (Action.GIVE_UP,))


def test_a_strict_probe_asks_no_tcp():
    """A probe with a deadline of its own is not put off: the way out has changed."""
    alive = keepalive()
    alive.due(0)
    alive.heard(1)
    alive.probe(2, 3.5)
    alive.due(2)
    assert alive.due(5.5, lambda _: True).actions == (Action.GIVE_UP,)


@given(st.integers(0, 2**32), st.floats(0.0, 0.99), st.floats(0, 14), st.floats(0.02, 0.12))
def test_an_outage_as_long_as_the_timeout(seed, place, began, rtt):
    """A ping that is sent again every second from the end of an outage of 8 s on is in time."""
    alive = keepalive(seed, place=place, now=100.0)
    alive.due(100)
    alive.heard(100)
    began += 100.01
    now, answer_at = alive.due(100).wake_s, None
    while now < began + 40:
        if answer_at is not None and now >= answer_at:
            alive.heard(now)
            answer_at = None
        due = alive.due(now)
        assert Action.GIVE_UP not in due.actions
        if Action.PING in due.actions and answer_at is None:
            lost = began <= now < began + 8
            answer_at = (began + 8 + 1.0 if lost else now) + rtt
        now = min(due.wake_s, answer_at or due.wake_s)


def test_suspected_once_per_silence():
    """A late answer is told once; what is heard ends the suspicion before it begins."""
    alive = keepalive()
    alive.due(0)
    assert [alive.due(now).actions for now in (3.2, 3.3, 6)] == [(Action.SUSPECT,), (), ()]
    alive.heard(7)
    wake = alive.due(7).wake_s
    alive.due(wake)
    alive.heard(wake + 3)
    assert alive.due(wake + 3.2).actions == ()


@given(st.integers(0, 2**32), st.floats(0.1, 3.1))
def test_prompt_peer_is_not_suspect(seed, delay):
    """A peer that answers every ping before it is late is never suspected."""
    alive = keepalive(seed)
    now, answer_at = 0.0, None
    while now < 300:
        if answer_at is not None and now >= answer_at:
            alive.heard(now)
            answer_at = None
        due = alive.due(now)
        assert Action.SUSPECT not in due.actions
        if Action.PING in due.actions and answer_at is None:
            answer_at = now + delay
        now = min(due.wake_s, answer_at or due.wake_s)


def test_frozen_process_asks_again():
    """A tick far too late pings and starts the deadline anew instead of judging."""
    alive = keepalive()
    wake = alive.due(0).wake_s
    late = wake + LATE_TICK_S + 20
    assert Action.PING in alive.due(late).actions
    assert Action.SUSPECT in alive.due(late + 3.2).actions
    assert alive.due(late + 6).actions == ()
    assert alive.due(late + 8 + SPARE_S).actions == (Action.GIVE_UP,)


def test_probe():
    """A probe pings at once, with its own deadline, and once."""
    alive = keepalive()
    alive.due(0)
    alive.heard(1)
    alive.probe(2, 3.5)
    due = alive.due(2)
    assert (due.actions, round(due.wake_s, 6)) == ((Action.PING,), 3.4)
    assert alive.due(3.5) == Due((Action.SUSPECT,), 5.5)
    assert alive.due(5.5).actions == (Action.GIVE_UP,)


def test_probe_does_not_extend():
    """A probe while a ping is unanswered does not give the link more time."""
    alive = keepalive()
    alive.due(0)
    alive.probe(6)
    alive.due(6)
    assert alive.due(8 + SPARE_S).actions == (Action.GIVE_UP,)


def test_shorter_interval_applies_at_once():
    """A shorter application interval counts from the last application ping."""
    alive = keepalive(interval=600)
    alive.due(0)
    alive.heard(1)
    assert alive.due(1).actions == ()
    alive.set_app_interval(10, 40)
    assert alive.due(40).actions == (Action.APP_PING,)
    alive.set_app_interval(600, 41)
    assert Action.APP_PING in alive.due(50).actions
