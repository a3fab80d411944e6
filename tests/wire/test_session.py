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
    PING_INTERVAL_MAX_S,
    PING_INTERVAL_MIN_S,
    WISH_MAX_S,
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


def keepalive(seed=1, interval=15, timeout=8, app=90, now=0.0):
    return Keepalive(interval, timeout, app, Random(seed), now)


def test_both_pings_first():
    """Right after opening both pings are due."""
    assert keepalive().due(0).actions == (Action.PING, Action.APP_PING)


def test_nothing_twice():
    """What was due counts as done."""
    alive = keepalive()
    alive.due(0)
    assert alive.due(0).actions == ()


@given(st.integers(0, 2**32), st.floats(1, 60), st.floats(5, 600))
def test_jitter_only_sooner(seed, interval, app):
    """Pings come at their interval or up to a tenth sooner, never later."""
    alive = keepalive(seed, interval, 1, app)
    sent = {Action.PING: [], Action.APP_PING: []}
    now = 0.0
    for _ in range(30):
        due = alive.due(now)
        for action in due.actions:
            sent[action].append(now)
        alive.heard(now)
        assert due.wake_s > now
        now = due.wake_s
    for action, longest in ((Action.PING, interval), (Action.APP_PING, app)):
        times = sent[action]
        gaps = [after - before for before, after in itertools.pairwise(times)]
        assert all(longest * (1 - JITTER) - 1e-6 <= gap <= longest + 1e-6 for gap in gaps)


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
    assert alive.awaiting
    alive.heard(7.9)
    assert not alive.awaiting
    assert Action.GIVE_UP not in alive.due(8.1).actions
    assert alive.last_inbound_s == 7.9


def test_wakes_for_the_deadline():
    """The next wake-up is when an answer is late, then when it is too late."""
    alive = keepalive(timeout=2)
    assert alive.due(0).wake_s == 0.8
    assert alive.due(0.8) == Due((Action.SUSPECT,), 2)
    assert alive.due(2).actions == (Action.GIVE_UP,)


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
    assert alive.due(late + 3.2).actions == (Action.SUSPECT,)
    assert alive.due(late + 6).actions == ()
    assert alive.due(late + 8).actions == (Action.GIVE_UP,)


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
    assert alive.due(8).actions == (Action.GIVE_UP,)


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
