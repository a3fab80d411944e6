"""Gauges computed from the facts."""

import pytest
from telemetry import samples

from feishu_ws.faults import Fault
from feishu_ws.telemetry import readings
from feishu_ws.wire.link import LinkState

BACKOFF = LinkState.BACKOFF


def test_only_connected_links_are_live():
    """A link counts once it is past its first pong."""
    links = tuple(samples.link(i, state) for i, state in enumerate(LinkState))
    assert readings.links(samples.facts(links=links)) == 1


def test_each_link_is_in_exactly_one_state():
    """Of the states of a link one is 1, the others 0."""
    facts = samples.facts(links=(samples.link(0), samples.link(1, BACKOFF)))
    states = readings.link_states(facts)
    assert states["0", "connected"] == 1
    assert states["1", "backoff"] == 1
    assert sum(states.values()) == 2
    assert len(states) == 2 * len(LinkState)


def test_moments_are_seconds_and_zero_for_never():
    """Times come in seconds; a link that never lived has 0, not the epoch of something else."""
    links = (samples.link(0), samples.link(1, BACKOFF, last_frame_ms=None, established_ms=None))
    facts = samples.facts(links=links)
    assert readings.links_established(facts)["0"] == (samples.NOW_MS - 5_000) / 1000
    assert readings.links_established(facts)["1"] == 0
    assert readings.last_frames(facts)["1"] == 0
    assert readings.last_event(samples.facts(last_event_ms=0)) == 0


@pytest.mark.parametrize(
    ("retries_ms", "seconds"),
    [((None, None), 0), ((1_500, None), 1.5), ((1_500, 60_000), 60), ((-900, None), 0)],
)
def test_backoff_is_the_longest_wait_and_never_negative(retries_ms, seconds):
    """A retry that is due already counts as no wait."""
    links = tuple(
        samples.link(i, BACKOFF, retry_at_ms=None if ms is None else samples.NOW_MS + ms)
        for i, ms in enumerate(retries_ms)
    )
    assert readings.backoff(samples.facts(links=links)) == seconds


def test_undeclared_consumers_share_other():
    """Only declared names are label values; `other` is the worst of the rest."""
    consumers = (
        samples.consumer("a", pending=3),
        samples.consumer("b", declared=False, pending=9),
        samples.consumer("c", declared=False, pending=4),
        samples.consumer("tail", declared=False, durable=False, pending=99),
    )
    facts = samples.facts(consumers=consumers)
    assert readings.pending_by_consumer(facts) == {"a": 3, "other": 9}
    assert readings.pending(facts) == max(readings.pending_by_consumer(facts).values())


def test_the_oldest_pending_is_the_oldest_of_all_consumers():
    """Consumers with nothing pending do not make it 0."""
    consumers = (
        samples.consumer("a", oldest_pending_ms=0),
        samples.consumer("b", oldest_pending_ms=5_000),
        samples.consumer("c", oldest_pending_ms=7_000),
    )
    assert readings.oldest_pending(samples.facts(consumers=consumers)) == 5
    assert readings.oldest_pending(samples.facts(consumers=())) == 0


def test_consumers_are_counted_while_connected():
    """A consumer that is away is not connected, but what it holds is in flight."""
    consumers = (
        samples.consumer("a", in_flight=2),
        samples.consumer("b", connected=False, in_flight=1),
    )
    facts = samples.facts(consumers=consumers)
    assert readings.consumers_connected(facts) == 1
    assert readings.in_flight(facts) == 3


def test_an_empty_daemon_reads_as_zeros():
    """Nothing divides by or looks for what is not there."""
    facts = samples.facts(links=(), consumers=())
    for read in (readings.links, readings.failures, readings.pending, readings.ping_interval):
        assert read(facts) == 0


def test_durable_sends():
    """How many there are, how old the oldest is, and how many were given up."""
    none = samples.facts()
    some = samples.facts(
        journal=samples.journal(open_sends=3, oldest_send_ms=1_774_004_591_415, dead_sends=2)
    )
    read = (readings.sends_open, readings.oldest_send, readings.dead_sends)

    assert [reading(none) for reading in read] == [0, 0, 0]
    assert [reading(some) for reading in read] == [3, 1_774_004_591.415, 2]


def test_a_faulty_journal_is_not_writable():
    """The gauge follows the journal's fault."""
    assert readings.journal_writable(samples.facts()) == 1
    faulty = samples.facts(journal=samples.journal(fault=Fault.DISK_FULL))
    assert readings.journal_writable(faulty) == 0
