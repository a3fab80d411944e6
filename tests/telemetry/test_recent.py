"""The ring of recent losses."""

import pytest

from feishu_ws import happenings as h
from feishu_ws.clock import ManualClock
from feishu_ws.faults import CATALOGUE, Fault
from feishu_ws.model import LinkLife, Tried
from feishu_ws.telemetry.facts import Loss
from feishu_ws.telemetry.recent import KEPT, RecentLosses


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def recent(clock):
    return RecentLosses(clock)


def lost(link=0, detail="reset by peer"):
    return h.LinkLost(link, Fault.CONNECTION_LOST, detail, lived_s=12.5, retry_in_s=0.2)


def failed(link=0, fault=Fault.DNS_FAILED, detail=""):
    return h.LinkFailed(link, fault, "dns", detail, failures=1, retry_in_s=1)


def test_a_loss_is_kept_with_its_time_and_cause(clock, recent):
    """An entry says when, which link, why, and how long it had lived."""
    recent.observe(lost(1))
    assert recent.losses() == (
        Loss(clock.wall_ms(), 1, Fault.CONNECTION_LOST, 12.5, "reset by peer"),
    )


def test_a_stop_among_attempts_is_none(recent):
    """The daemon was stopped while a link was away: what it tried is told, the stop is not."""
    tried = (
        Tried(Fault.DNS_FAILED, "dns", None, 3, 1, 2),
        Tried(Fault.LOCAL_STOP, "", None, 1, 3, 3),
    )
    recent.resume([LinkLife(0, 0, Fault.PONG_OVERDUE, 5.0, tried=tried)])
    assert [loss.fault for loss in recent.losses()] == [Fault.DNS_FAILED, Fault.PONG_OVERDUE]


def test_newest_first_and_bounded(recent):
    """Only the last ones are kept."""
    for i in range(KEPT + 5):
        recent.observe(lost(i))
    assert [loss.link for loss in recent.losses()] == list(range(KEPT + 4, 4, -1))


def test_attempts_that_fail_alike_are_one_entry(clock, recent):
    """An outage does not push out what led to it; the first failure is dated."""
    recent.observe(lost(0))
    began_ms = clock.wall_ms()
    for i in range(100):
        recent.observe(failed(0, detail=f"try {i}"))
        recent.observe(failed(1))
        clock.advance(5)
    assert [(loss.link, loss.times) for loss in recent.losses()] == [(1, 100), (0, 100), (0, 1)]
    assert {loss.at_ms for loss in recent.losses()} == {began_ms}
    assert recent.losses()[1].detail == "try 99"


def test_another_fault_is_another_entry(recent):
    """What changes is told apart, also when it changes back."""
    for fault in (Fault.DNS_FAILED, Fault.CONNECT_FAILED, Fault.DNS_FAILED):
        recent.observe(failed(0, fault))
    assert [loss.times for loss in recent.losses()] == [1, 1, 1]


def test_details_are_redacted(recent):
    """A query that slipped into a detail does not get into the status."""
    recent.observe(lost(detail="GET wss://h/ws?ticket=s3cr3t failed"))
    assert "s3cr3t" not in recent.losses()[0].detail


def test_other_happenings_are_ignored(recent):
    """Only losses and failures are kept."""
    recent.observe(h.StormBegan())
    assert recent.losses() == ()


def test_a_suspect_link_that_was_replaced_is_shown(recent):
    """What would have been a loss is one for whoever looks for the cause; a rotation is not."""
    recent.observe(h.LinkReplaced(0, Fault.ROTATED, 3600.0))
    recent.observe(h.LinkReplaced(1, Fault.LINK_SUSPECT, 12.5))
    assert [(loss.link, loss.fault) for loss in recent.losses()] == [(1, Fault.LINK_SUSPECT)]


def test_what_was_before_a_restart_is_shown(recent):
    """Losses and failed attempts of the flight record come back; orderly ends are none."""
    tried = (Tried(Fault.DNS_FAILED, "dns", None, 7, 2000, 9000),)
    recent.resume(
        [
            LinkLife(0, 1000, Fault.CONNECTION_LOST, 12.5, "reset by peer", tried=tried),
            LinkLife(1, 1500, Fault.LOCAL_STOP, 3600.0),
            LinkLife(1, 1600, Fault.ROTATED, 3600.0),
            LinkLife(1, 1700, Fault.LOCAL_STOP, None),
        ]
    )
    recent.observe(lost(1))

    assert [(loss.link, loss.at_ms, loss.times) for loss in recent.losses()[1:]] == [
        (0, 2000, 7),
        (0, 1000, 1),
    ]
    assert recent.losses()[2] == Loss(1000, 0, Fault.CONNECTION_LOST, 12.5, "reset by peer")
    assert recent.losses()[0].link == 1


def test_what_was_before_a_restart_says_what_was_seen(recent):
    """The first attempt's own words where they were kept, else where it failed and Feishu's code."""
    dns = Tried(Fault.DNS_FAILED, "dns", None, 7, 2000, 9000)
    busy = Tried(Fault.FEISHU_BUSY, "discovery", 1, 1, 9500, 9500)
    recent.resume(
        [
            LinkLife(0, 1000, Fault.DNS_FAILED, None, "h: no such name", tried=(dns, busy)),
            LinkLife(1, 1500, Fault.CONNECTION_LOST, 12.5, "reset", tried=(dns,)),
        ]
    )
    assert {loss.detail for loss in recent.losses()} == {
        "h: no such name",
        f"{CATALOGUE[Fault.FEISHU_BUSY].title}: code 1, in phase discovery",
        f"{CATALOGUE[Fault.DNS_FAILED].title}: in phase dns",
        "reset",
    }
