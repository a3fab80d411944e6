"""Faults that last, readiness, signs of life."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from telemetry import samples

from feishu_ws import happenings as h
from feishu_ws.faults import CATALOGUE, Fault, Remedy
from feishu_ws.telemetry.facts import ActiveFault, Concern
from feishu_ws.telemetry.health import CONSUMER_FAULT_S, SALVAGE_S, FaultWatch, Heartbeats, ready
from feishu_ws.wire.link import LinkState

SALVAGED = h.JournalSalvaged(
    Fault.JOURNAL_CORRUPT, "why", "/kept", 5, 6, ("bot",), 0, 1, ((2, 3),), 9
)


@pytest.fixture
def watch():
    return FaultWatch()


def failed(link=0, fault=Fault.DNS_FAILED):
    return h.LinkFailed(link, fault, "dns", "", failures=1, retry_in_s=1)


def lost(link=0, fault=Fault.CONNECTION_LOST):
    return h.LinkLost(link, fault, "", lived_s=1, retry_in_s=1)


def live(link=0):
    return h.LinkLive(link, 1, 0.1, "wss://h/ws")


def active(fault, age_s=1e9, concern=Concern.LINK, subject="0"):
    return ActiveFault(fault, concern, subject, age_s)


def shown(watch, now_s):
    return [(f.fault, f.subject, f.age_s) for f in watch.active(now_s)]


def test_a_link_fault_lasts_from_the_loss_to_the_next_life(watch):
    """The word changes with each attempt, the age is that of the absence."""
    watch.observe(lost(), 100)
    watch.observe(failed(), 105)
    assert shown(watch, 110) == [(Fault.DNS_FAILED, "0", 10)]
    watch.observe(live(), 111)
    assert shown(watch, 112) == []


def test_a_meant_end_is_no_fault(watch):
    """Neither a rotation nor our own stop is a problem."""
    watch.observe(lost(0, Fault.ROTATED), 1)
    watch.observe(lost(1, Fault.LOCAL_STOP), 1)
    assert shown(watch, 2) == []


def test_a_short_loss_is_not_visible(watch):
    """A fault is shown once it has lasted as long as the catalogue says."""
    watch.observe(lost(), 0)
    limit = CATALOGUE[Fault.CONNECTION_LOST].visible_after_s
    assert not watch.active(limit - 0.1)[0].is_visible
    assert watch.active(limit)[0].is_visible


def test_the_journal_comes_first_then_what_an_operator_has_to_mend(watch):
    """Order: journal, links that are held, links by age, the rest."""
    watch.observe(h.ConfigRejected(("bad",)), 0)
    watch.observe(h.ConsumerFaulted("a", Fault.CONSUMER_CONFLICT, ""), 0)
    watch.observe(failed(0, Fault.DNS_FAILED), 1)
    watch.observe(failed(1, Fault.CONNECT_FAILED), 0)
    watch.observe(failed(2, Fault.CONNECTION_LIMIT), 5)
    watch.observe(h.JournalFaulted(Fault.DISK_FULL, ""), 9)
    assert [fault for fault, _, __ in shown(watch, 10)] == [
        Fault.DISK_FULL,
        Fault.CONNECTION_LIMIT,
        Fault.CONNECT_FAILED,
        Fault.DNS_FAILED,
        Fault.CONSUMER_CONFLICT,
        Fault.RELOAD_INVALID,
    ]


def test_what_ended_is_gone(watch):
    """Journal and configuration faults end with their recovery."""
    watch.observe(h.JournalFaulted(Fault.DISK_FULL, ""), 0)
    watch.observe(h.ConfigRejected(("bad",)), 0)
    watch.observe(h.JournalRecovered(Fault.DISK_FULL, 3), 3)
    watch.observe(h.ConfigReloaded((), ()), 3)
    assert shown(watch, 4) == []


def test_a_journal_may_know_better_what_to_do(watch):
    """Its own hint is shown in the place of the catalogue's, as long as that fault lasts."""
    watch.observe(h.JournalFaulted(Fault.JOURNAL_IO, "", "restart it"), 0)
    own = watch.active(1)[0].hint
    watch.observe(h.JournalFaulted(Fault.DISK_FULL, ""), 2)

    assert (own, watch.active(3)[0].hint) == ("restart it", CATALOGUE[Fault.DISK_FULL].hint)


def test_a_consumer_fault_fades(watch):
    """It is shown for a while after its last time, since nothing says that it ended."""
    watch.observe(h.ConsumerFaulted("a", Fault.CONSUMER_CONFLICT, ""), 0)
    watch.observe(h.ConsumerFaulted("a", Fault.CONSUMER_CONFLICT, ""), 100)
    assert shown(watch, 100 + CONSUMER_FAULT_S) != []
    assert shown(watch, 101 + CONSUMER_FAULT_S) == []


def test_a_salvage_is_shown_for_a_day(watch):
    """The journal is well again, so it is the daemon's last concern, and it fades by itself."""
    watch.observe(SALVAGED, 0)
    watch.observe(failed(0, Fault.DNS_FAILED), 1)
    assert [f.fault for f in watch.active(5)] == [Fault.DNS_FAILED, Fault.JOURNAL_CORRUPT]
    watch.observe(h.JournalRecovered(Fault.DISK_FULL, 3), 6)
    assert Fault.JOURNAL_CORRUPT in {f.fault for f in watch.active(SALVAGE_S)}
    assert Fault.JOURNAL_CORRUPT not in {f.fault for f in watch.active(SALVAGE_S + 1)}


def test_a_salvage_says_what_became_of_the_events(watch):
    """It was mended already: what is carried over, what is lost and where the old file lies."""
    watch.observe(SALVAGED, 0)
    [told] = watch.active(5)
    assert told.title.endswith("5 events carried over, 2 lost")
    assert "/kept" in told.hint
    assert "restart" not in told.hint


@pytest.mark.parametrize("ends", ["connected", "forgotten"])
def test_what_an_absent_consumer_lost_is_shown_until_it_is_there_or_gone(watch, ends):
    """It lasts however long, beside its other faults; nobody else's coming ends it."""
    watch.observe(h.ConsumerFaulted("a", Fault.CONSUMER_ABSENT, ""), 0)
    watch.observe(h.ConsumerFaulted("a", Fault.CONSUMER_CONFLICT, ""), 10)
    both = {f.fault for f in watch.active(11)}
    watch.observe(h.ConsumerConnected("b", durable=True, cursor=1, behind=0), 20)
    watch.observe(h.ConsumerConnected("a", durable=False, cursor=1, behind=0), 20)
    (lasting,) = watch.active(100_000)
    if ends == "connected":
        watch.observe(h.ConsumerConnected("a", durable=True, cursor=1, behind=0), 100_001)
    else:
        watch.observe(h.ConsumerForgotten("a", "absent"), 100_001)

    assert both == {Fault.CONSUMER_ABSENT, Fault.CONSUMER_CONFLICT}
    assert (lasting.fault, lasting.subject, lasting.age_s) == (Fault.CONSUMER_ABSENT, "a", 100_000)
    assert watch.active(100_002) == ()


def test_consumer_names_take_bounded_memory(watch):
    """A client that makes up names cannot fill the watch."""
    for i in range(10_000):
        watch.observe(h.ConsumerFaulted(f"c{i}", Fault.CONSUMER_CONFLICT, ""), 0)
    assert len(watch.active(1)) <= 64


@given(st.lists(st.tuples(st.sampled_from(["lost", "failed", "live"]), st.integers(0, 2))))
def test_a_link_has_a_fault_exactly_while_it_is_down(steps):
    """Whatever the order of events, the watch knows which links are down."""
    watch, down = FaultWatch(), set()
    for at_s, (kind, link) in enumerate(steps):
        made = {"lost": lost, "failed": failed, "live": live}[kind](link)
        watch.observe(made, at_s)
        down = down - {link} if kind == "live" else down | {link}
    assert {int(f.subject) for f in watch.active(1e6)} == down


def test_ready_with_a_live_link_and_a_journal():
    """One live link and a journal that takes writes are enough."""
    one_down = (samples.link(0), samples.link(1, LinkState.BACKOFF))
    assert ready(samples.facts()) == (True, None)
    assert ready(samples.facts(links=one_down)) == (True, None)


@pytest.mark.parametrize("state", [s for s in LinkState if s is not LinkState.CONNECTED])
def test_not_ready_without_a_live_link(state):
    """No other state of a link counts."""
    assert ready(samples.facts(links=(samples.link(0, state),))) == (False, None)


def test_not_ready_when_the_journal_takes_no_writes():
    """The journal's fault is named, whatever else is wrong."""
    facts = samples.facts(
        journal=samples.journal(fault=Fault.DISK_FULL), faults=(active(Fault.DNS_FAILED),)
    )
    assert ready(facts) == (False, Fault.DISK_FULL)


def test_ready_names_a_fault_only_once_it_is_visible():
    """A brief loss of one of two links is not worth a word."""
    young, old = active(Fault.CONNECTION_LOST, 1), active(Fault.CONNECTION_LIMIT)
    assert ready(samples.facts(faults=(young,))) == (True, None)
    assert ready(samples.facts(faults=(young, old))) == (True, Fault.CONNECTION_LIMIT)


def test_not_ready_names_its_cause_at_once():
    """A 503 is visible anyway, so it comes with its reason."""
    facts = samples.facts(links=(), faults=(active(Fault.CONNECTION_LOST, 0.1),))
    assert ready(facts) == (False, Fault.CONNECTION_LOST)


def test_silence_is_told_by_part():
    """A part is silent once its last beat is older than its limit."""
    beats = Heartbeats({"loop": 5, "writer": 60}, now_s=100)
    assert beats.silent(105) == ()
    assert beats.silent(106) == ("loop",)
    beats.beat("loop", 106)
    assert beats.silent(111) == ()
    assert beats.silent(161) == ("loop", "writer")


def test_every_link_fault_that_needs_somebody_is_visible_in_time():
    """What an operator has to mend is shown within a minute."""
    held = [spec for spec in CATALOGUE.values() if spec.remedy is Remedy.HOLD]
    assert held
    assert all(spec.visible_after_s <= 60 for spec in held)
