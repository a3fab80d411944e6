"""When each link was live and when none was."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from feishu_ws.downstream.outages import SLACK_MS, Outage, State, Stop, Stretch, course_of
from feishu_ws.faults import Fault
from feishu_ws.model import LinkLife, Tried

NOW = 1_000_000
LIVE, AWAY = State.LIVE, State.AWAY


def life(link, began, ended, back, fault=Fault.CONNECTION_LOST):
    """Return a life by its moments."""
    lived_s = None if began is None else (ended - began) / 1000
    return LinkLife(link, ended, fault, lived_s, back_ms=back)


def begun(link, at):
    """Return the record of a first life in a process."""
    return life(link, None, at - 1, at, Fault.LOCAL_STOP)


def course(lives, fleet=None, since=0):
    """Return the course of links until `NOW`."""
    return course_of(lives, fleet, since, NOW)


def test_one_link_is_away_and_the_other_is_not():
    """That is a loss and no outage."""
    lives = [begun(0, 100_000), begun(1, 100_000), life(0, 100_000, 500_000, 545_000)]
    found = course(lives, {0: 545_000, 1: 100_000})

    assert found.outages == []
    assert found.live_ms == 900_000
    assert found.stretches[0] == [
        Stretch(100_000, 500_000, LIVE), Stretch(500_000, 545_000, AWAY), Stretch(545_000, NOW, LIVE),
    ]  # fmt: skip


def test_both_are_away():
    """An outage begins with the last link to go, has its cause, and ends with the first back."""
    lives = [
        life(0, 100_000, 500_000, 545_000),
        life(1, 100_000, 520_000, 600_000, Fault.PONG_OVERDUE),
    ]
    found = course(lives, {0: 545_000, 1: 600_000})

    assert found.outages == [Outage(520_000, 545_000, 25.0, Fault.PONG_OVERDUE)]
    assert (found.live_ms, found.known_ms) == (875_000, 900_000)


def test_an_outage_that_goes_on():
    """It has no end, and is as long as it has been."""
    found = course([life(0, 100_000, 900_000, None)], {0: None})

    assert found.outages == [Outage(900_000, None, 100.0, Fault.CONNECTION_LOST)]


def test_what_is_not_known_is_not_claimed():
    """Before its first record, and from a crash to the next start, a link may have been anything."""
    before = [life(0, 200_000, 300_000, 310_000)]
    crashed = [begun(1, 250_000), begun(1, 700_000), life(0, 700_000, 800_000, 810_000)]
    found = course([*before, *crashed], {0: 810_000, 1: 700_000})

    assert found.outages == []
    assert found.stretches[0][:3] == [
        Stretch(200_000, 300_000, LIVE), Stretch(300_000, 310_000, AWAY), Stretch(700_000, 800_000, LIVE),
    ]  # fmt: skip


def failing(at, back):
    """Return the record of the first link of a process that had none live before."""
    tried = (Tried(Fault.DNS_FAILED, "dns"),)
    return LinkLife(0, at, Fault.DNS_FAILED, None, tried=tried, back_ms=back)


def test_until_the_first_link_was_live_none_was():
    """The others are not opened before: that is an outage, though nothing tells of them."""
    lives = [failing(100_000, 300_000), begun(1, 305_000)]
    found = course(lives, {0: 300_000, 1: 305_000, 2: None})

    assert found.outages == [Outage(100_000, 300_000, 200.0, Fault.DNS_FAILED)]
    assert (found.live_ms, found.known_ms) == (700_000, 900_000)
    assert found.stretches[1] == [Stretch(305_000, NOW, LIVE)]


def test_a_daemon_that_never_reached_feishu():
    """The outage goes on, however many links are wanted."""
    found = course([failing(900_000, None)], {0: None, 1: None})

    assert found.outages == [Outage(900_000, None, 100.0, Fault.DNS_FAILED)]
    assert found.live_ms == 0


def test_what_is_told_of_another_link_holds():
    """A clock that stepped may put its life there; around it nothing was live."""
    lives = [failing(100_000, 500_000), life(1, 200_000, 300_000, 600_000)]
    found = course(lives, {0: 500_000, 1: 600_000})

    assert [outage.from_ms for outage in found.outages] == [100_000, 300_000]
    assert found.stretches[1][0] == Stretch(200_000, 300_000, LIVE)


def test_nobody_knows_how_it_went_on_after_the_last_record():
    """Without a daemon that says so no link is live; one that was away still is."""
    found = course([life(0, 100_000, 500_000, 545_000), life(1, 100_000, 800_000, None)])

    assert found.stretches[0][-1] == Stretch(500_000, 545_000, AWAY)
    assert found.stretches[1][-1] == Stretch(800_000, NOW, AWAY)
    assert found.outages == []


def test_a_daemon_that_was_stopped():
    """All links ended with it: that is no outage, and no time in which one was live."""
    stop = [life(n, 100_000, 500_000 + n, 530_000 + n, Fault.LOCAL_STOP) for n in (0, 1)]
    found = course(stop, {0: 530_000, 1: 530_001})

    assert found.outages == []
    assert found.stops == [Stop(500_001, 530_000, 29.999)]
    assert (found.live_ms, found.known_ms) == (870_001, 900_000)
    assert [s.state for s in found.stretches[0]] == [LIVE, State.STOPPED, LIVE]


def test_a_daemon_that_is_stopped():
    """The stop goes on; it is told from its begin, whatever was asked for."""
    found = course([life(0, 100_000, 900_000, None, Fault.LOCAL_STOP)], since=950_000)

    assert (found.outages, found.stops) == ([], [Stop(900_000, None, 100.0)])


def test_a_start_that_does_not_reach_feishu():
    """From the first attempt that failed it is an outage, with its cause."""
    tried = (Tried(Fault.DNS_FAILED, "dns", None, 2, 510_000, 520_000),)
    stop = [
        replace(life(0, 100_000, 500_000, 600_000, Fault.LOCAL_STOP), tried=tried),
        life(1, 100_000, 500_000, 600_500, Fault.LOCAL_STOP),
    ]
    found = course(stop, {0: 600_000, 1: 600_500})

    assert found.stops == [Stop(500_000, 510_000, 10.0)]
    assert found.outages == [Outage(510_000, 600_000, 90.0, Fault.DNS_FAILED)]


def test_an_outage_with_a_restart_in_it():
    """The time in which the daemon was stopped is no part of it."""
    tried = (
        Tried(Fault.DNS_FAILED, "dns", None, 3, 201_000, 290_000),
        Tried(Fault.LOCAL_STOP, "", None, 1, 300_000, 300_000),
        Tried(Fault.CONNECT_FAILED, "tcp", None, 3, 400_000, 490_000),
    )
    found = course([replace(life(0, 100_000, 200_000, 500_000), tried=tried)], {0: 500_000})

    assert found.stops == [Stop(300_000, 400_000, 100.0)]
    assert found.outages == [
        Outage(200_000, 300_000, 100.0, Fault.CONNECTION_LOST),
        Outage(400_000, 500_000, 100.0, Fault.CONNECT_FAILED),
    ]


def test_a_stop_before_a_link_was_ever_live():
    """The first link is tried alone; while the daemon is stopped nobody tries."""
    tried = (
        Tried(Fault.DNS_FAILED, "dns", None, 3, 100_000, 190_000),
        Tried(Fault.LOCAL_STOP, "", None, 1, 200_000, 200_000),
    )
    first = LinkLife(0, 100_000, Fault.DNS_FAILED, None, tried=tried, back_ms=300_000)
    found = course([first, begun(1, 301_000)], {0: 300_000, 1: 301_000})

    assert found.outages == [Outage(100_000, 200_000, 100.0, Fault.DNS_FAILED)]
    assert found.stops == [Stop(200_000, 300_000, 100.0)]


def test_a_link_that_is_stopped_alone_hides_no_outage():
    """The daemon runs as long as another link is away."""
    lives = [life(1, 100_000, 500_000, None, Fault.LOCAL_STOP), life(0, 100_000, 600_000, 700_000)]
    found = course(lives, {0: 700_000, 1: None})

    assert found.outages == [Outage(600_000, 700_000, 100.0, Fault.CONNECTION_LOST)]
    assert found.stops == []


def test_a_link_that_is_no_more_does_not_hide_an_outage():
    """A smaller fleet after a crash: what the old link did since does not matter."""
    lives = [begun(0, 100_000), begun(1, 100_000), begun(0, 400_000), life(0, 400_000, 500_000, 600_000)]  # fmt: skip
    found = course(lives, {0: 600_000})

    assert found.outages == [Outage(500_000, 600_000, 100.0, Fault.CONNECTION_LOST)]
    assert State.GONE not in {s.state for each in found.stretches.values() for s in each}


@pytest.mark.parametrize(("gap_ms", "joined"), [(SLACK_MS, True), (SLACK_MS + 1, False)])
def test_a_life_begins_where_the_one_before_was_back(gap_ms, joined):
    """Rounding and a slewed clock leave no gap; a longer one is not known."""
    lives = [life(0, 100_000, 200_000, 210_000), life(0, 210_000 + gap_ms, 300_000, None)]

    begins = [s.from_ms for s in course(lives).stretches[0] if s.state is LIVE]
    assert begins == [100_000, 210_000 if joined else 210_000 + gap_ms]


def test_a_rotation_is_no_gap():
    """A link that was replaced was live all the while."""
    lives = [begun(0, 100_000), life(0, 100_000, 500_000, 500_000, Fault.ROTATED), life(0, 499_000, 800_000, 801_000)]  # fmt: skip
    found = course(lives, {0: 801_000})

    assert [o.from_ms for o in found.outages] == [800_000]
    assert found.live_ms == 899_000


def test_since():
    """Stretches are cut, time is counted from there on; an outage is told from its begin."""
    found = course([life(0, 100_000, 500_000, 700_000)], {0: 700_000}, since=600_000)

    assert found.stretches[0][0] == Stretch(600_000, 700_000, AWAY)
    assert found.outages == [Outage(500_000, 700_000, 200.0, Fault.CONNECTION_LOST)]
    assert (found.live_ms, found.known_ms) == (300_000, 400_000)


@st.composite
def histories(draw):
    """Return lives of links as they are recorded without a crash, and the fleet."""
    lives, fleet = [], {}
    for link in range(draw(st.integers(1, 3))):
        at = draw(st.integers(1, 300)) * 1000
        lives.append(begun(link, at))
        while at is not None:
            ended = at + draw(st.integers(1, 400)) * 1000
            if ended >= NOW:
                break
            back = ended + draw(st.integers(1, 200)) * 1000
            fault = draw(st.sampled_from([Fault.CONNECTION_LOST, Fault.LOCAL_STOP]))
            lives.append(life(link, at, ended, back if back < NOW else None, fault))
            at = back if back < NOW else None
        fleet[link] = at
    lives.sort(key=lambda each: each.ended_ms)
    return lives, fleet


def how(lives, fleet, at_ms):
    """Return how each link was at a moment by what the lives say; None: not known."""
    found = {}
    for link, since in fleet.items():
        found[link] = None
        for each in lives:
            if each.link != link:
                continue
            if (
                each.lived_s is not None
                and each.ended_ms - each.lived_s * 1000 <= at_ms < each.ended_ms
            ):
                found[link] = LIVE
            if each.ended_ms <= at_ms < (each.back_ms or NOW):
                found[link] = State.STOPPED if each.fault is Fault.LOCAL_STOP else AWAY
        if since is not None and at_ms >= since:
            found[link] = LIVE
    return found


@given(histories(), st.integers(0, NOW - 1))
def test_an_outage_is_when_no_link_is_live(history, at_ms):
    """At any moment: outage where links are away, none where one is live or unknown, or all stopped."""
    lives, fleet = history
    links = set(how(lives, fleet, at_ms).values())
    found = course(lives, fleet)
    is_outage, is_stop = (
        any(span.from_ms <= at_ms < (span.to_ms or NOW) for span in spans)
        for spans in (found.outages, found.stops)
    )

    assert is_outage == (links in ({AWAY}, {AWAY, State.STOPPED}))
    assert is_stop == (links == {State.STOPPED})


def tried_at(at):
    """Return an attempt that failed, or a stop."""
    return st.builds(lambda fault: Tried(fault, "", None, 1, at, at), st.sampled_from([Fault.LOCAL_STOP, Fault.DNS_FAILED]))  # fmt: skip


LIVES = st.builds(
    lambda tried, *moments: replace(life(*moments), tried=tuple(tried)),
    st.lists(st.integers(0, NOW * 2).flatmap(tried_at), max_size=3),
    st.integers(0, 2), st.none() | st.integers(0, NOW), st.integers(0, NOW * 2),
    st.none() | st.integers(0, NOW * 2), st.sampled_from([Fault.CONNECTION_LOST, Fault.LOCAL_STOP]),
)  # fmt: skip


@given(st.lists(LIVES), st.none() | st.dictionaries(st.integers(0, 3), st.none() | st.integers(0, NOW * 2)), st.integers(0, NOW))  # fmt: skip
def test_nothing_makes_it_stumble(lives, fleet, since):
    """Whatever a stepped clock wrote: stretches in order, outages in the past, time that adds up."""
    found = course(lives, fleet, since)

    for stretches in found.stretches.values():
        assert all(since <= s.from_ms < s.to_ms <= NOW for s in stretches)
        assert all(a.to_ms <= b.from_ms for a, b in pairwise(stretches))
    assert 0 <= found.live_ms <= found.known_ms <= NOW - since
    assert all(span.lasted_s > 0 for span in (*found.outages, *found.stops))
