"""Happenings become counts and durations."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feishu_ws import happenings as h
from feishu_ws.clock import ManualClock
from feishu_ws.faults import Fault
from feishu_ws.telemetry.counts import Counts


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def counts(clock):
    return Counts(clock)


def live(link=0, **phases):
    return h.LinkLive(link, attempt=1, took_s=0.2, url="wss://h/ws", phases_s=phases)


def lost(link=0, fault=Fault.CONNECTION_LOST, close_code=None, lived_s=9.0):
    return h.LinkLost(link, fault, "", lived_s, retry_in_s=0.5, close_code=close_code)


def test_downtime_grows_until_the_first_link_is_live(clock, counts):
    """Time before the first link is live is downtime, but no outage."""
    clock.advance(3)
    assert counts.downtime_s == 3
    counts.observe(live())
    clock.advance(100)
    assert counts.downtime_s == 3
    assert sum(counts.outage_duration.counts) == 0


def test_losing_one_of_two_links_is_no_downtime(clock, counts):
    """Downtime needs every link to be gone."""
    counts.observe(live(0))
    counts.observe(live(1))
    counts.observe(lost(0))
    clock.advance(7)
    assert counts.downtime_s == 0
    counts.observe(live(0))
    assert counts.reconnect_duration.sum == 7
    assert sum(counts.outage_duration.counts) == 0


def test_losing_the_last_link_is_an_outage(clock, counts):
    """An outage lasts from the last loss to the first link that is live again."""
    for happening in (live(0), live(1), lost(0)):
        counts.observe(happening)
    clock.advance(2)
    counts.observe(lost(1))
    clock.advance(5)
    assert counts.downtime_s == 5
    counts.observe(live(1))
    assert counts.outage_duration.sum == 5
    assert counts.reconnect_duration.sum == 5
    clock.advance(1)
    counts.observe(live(0))
    assert counts.reconnect_duration.sum == 5 + 8
    assert counts.downtime_s == 5


def test_a_rotation_is_neither_downtime_nor_a_reconnect(clock, counts):
    """A link that is replaced before it ends was never away."""
    counts.observe(live(0))
    clock.advance(10)
    counts.observe(live(0))
    counts.observe(lost(0, Fault.ROTATED, 1000))
    clock.advance(10)
    assert counts.downtime_s == 0
    assert sum(counts.reconnect_duration.counts) == 0
    assert counts.disconnects == {"rotated": 1}


def test_a_loss_has_one_cause_and_one_code(clock, counts):
    """Each loss counts once by cause and once by close code, 1006 without a frame."""
    counts.observe(live())
    counts.observe(lost(fault=Fault.PONG_OVERDUE, lived_s=61))
    counts.observe(live())
    counts.observe(lost(fault=Fault.CLOSED_BY_FEISHU, close_code=1001, lived_s=2))
    assert counts.disconnects == {"pong_overdue": 1, "closed_by_feishu": 1}
    assert counts.close_codes == {"1006": 1, "1001": 1}
    assert counts.pong_timeouts == 1
    assert counts.connection_duration.sum == 63
    assert counts.connection_lost_s == clock.wall_ms() / 1000


def test_attempts_count_by_the_phase_that_failed(counts):
    """Attempts and failures are two counters, failures by phase."""
    counts.observe(h.LinkDialed(0, 1))
    counts.observe(h.LinkFailed(0, Fault.DNS_FAILED, "dns", "", failures=1, retry_in_s=1))
    counts.observe(h.LinkDialed(0, 2))
    counts.observe(live(dns=0.01, tcp=0.02))
    assert counts.connect_attempts == 2
    assert counts.connects == 1
    assert counts.connect_failures == {"dns": 1}
    assert counts.connect_phase_duration["tcp"].sum == 0.02


def test_discovery_is_counted_by_code_and_sets_the_clock_offset(counts):
    """An answer without a Date header leaves the last offset in force."""
    counts.observe(h.DiscoveryAnswered("0", took_s=0.1, clock_offset_s=-3.0))
    counts.observe(h.DiscoveryAnswered("transport", took_s=15.0))
    assert counts.endpoint_requests == {"0": 1, "transport": 1}
    assert counts.endpoint_request_duration.sum == 15.1
    assert counts.clock_offset_s == -3.0


def test_a_storm_is_active_between_its_ends(counts):
    """The gauge follows the storm, the counter remembers it."""
    counts.observe(h.StormBegan())
    assert (counts.storm_active, counts.reconnect_storms) == (1, 1)
    counts.observe(h.StormEnded())
    assert (counts.storm_active, counts.reconnect_storms) == (0, 1)


def test_salvages_are_counted(counts):
    """A damaged journal that was replaced is counted."""
    counts.observe(
        h.JournalSalvaged(Fault.JOURNAL_CORRUPT, "why", "/kept", 5, 6, ("bot",), 0, 1, ((2, 3),), 9)
    )
    assert counts.journal_salvages == 1


def test_a_rejected_reload_shows_until_a_good_one(clock, counts):
    """The time of the last good load stays while a bad one is in the way."""
    loaded = counts.config_loaded_s
    clock.advance(10)
    counts.observe(h.ConfigRejected(("bad",)))
    assert (counts.config_ok, counts.config_loaded_s) == (0, loaded)
    counts.observe(h.ConfigReloaded((), ()))
    assert (counts.config_ok, counts.config_loaded_s) == (1, clock.wall_ms() / 1000)


def test_local_clients_are_counted_by_reason(counts):
    """Who went away and who was turned away are told apart by cause."""
    counts.observe(h.ConsumerDisconnected("a", "slow", unsettled=3))
    counts.observe(h.ClientRefused("uid", uid=1000))
    assert counts.consumer_disconnects == {"slow": 1}
    assert counts.clients_refused == {"uid": 1}


def test_what_is_not_counted_changes_nothing(counts):
    """Happenings that no metric is made of are ignored."""
    before = vars(counts).copy()
    counts.observe(h.JournalPruned(5, 5))
    assert vars(counts) == before


steps = st.lists(
    st.tuples(st.integers(0, 3), st.sampled_from(list(Fault)), st.floats(0, 50)), max_size=40
)


@given(steps)
def test_connects_minus_disconnects_are_the_live_links(steps):
    """However links come and go, the counters tell how many live and how long none did."""
    clock = ManualClock()
    counts = Counts(clock)
    up: set[int] = set()
    down_s = 0.0
    for number, fault, wait_s in steps:
        counts.observe(lost(number, fault) if number in up else live(number))
        up ^= {number}
        clock.advance(wait_s)
        down_s += 0 if up else wait_s
    assert counts.connects - sum(counts.disconnects.values()) == len(up)
    assert counts.downtime_s == pytest.approx(down_s, abs=1e-6)


def test_forgotten_consumers_are_counted(counts):
    """Whoever asked for it."""
    for reason in ("asked", "absent"):
        counts.observe(h.ConsumerForgotten("bot", reason))

    assert counts.consumers_forgotten == 2
