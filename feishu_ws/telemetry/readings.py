"""Gauges computed from the facts when somebody asks. Pure.

A reading is a number, or numbers by label value (a tuple where there are two labels).
A gauge that had to be kept up to date would lie once its keeper stops.
"""

import platform
from collections.abc import Iterable, Mapping

from feishu_ws.telemetry.facts import ConsumerFact, Facts
from feishu_ws.telemetry.labels import OTHER
from feishu_ws.wire.link import LinkState

Reading = float | Mapping[str, float] | Mapping[tuple[str, ...], float]
Info = tuple[str, ...]


def _seconds(ms: int | None) -> float:
    return (ms or 0) / 1000


def links(facts: Facts) -> float:
    """Links that are live."""
    return sum(link.is_live for link in facts.links)


def links_wanted(facts: Facts) -> float:
    """Links the fleet wants to keep."""
    return facts.links_wanted


def link_states(facts: Facts) -> Mapping[tuple[str, ...], float]:
    """1 for the state each link is in, 0 for every other."""
    return {
        (str(link.index), state): float(link.state is state)
        for link in facts.links
        for state in LinkState
    }


def links_established(facts: Facts) -> Mapping[str, float]:
    """Unix time each live link became live, 0 for one that is not."""
    return {
        str(link.index): _seconds(link.established_ms) if link.is_live else 0.0
        for link in facts.links
    }


def last_frames(facts: Facts) -> Mapping[str, float]:
    """Unix time of each link's last inbound frame."""
    return {str(link.index): _seconds(link.last_frame_ms) for link in facts.links}


def last_event(facts: Facts) -> float:
    """Unix time of the last event."""
    return _seconds(facts.last_event_ms)


def backoff(facts: Facts) -> float:
    """Seconds until the last of the waiting links tries again."""
    planned = (link.retry_at_ms for link in facts.links if link.retry_at_ms is not None)
    return max(0.0, _seconds(max(planned, default=facts.now_ms) - facts.now_ms))


def failures(facts: Facts) -> float:
    """Most failed attempts in a row of any link."""
    return max((link.failures for link in facts.links), default=0)


def ping_interval(facts: Facts) -> float:
    """Longest interval of any link's application pings."""
    return max((link.ping_interval_s for link in facts.links), default=0.0)


def pending_by_consumer(facts: Facts) -> Mapping[str, float]:
    """Unsettled events of each declared consumer; `other` = the most of any other one."""
    found = {OTHER: 0.0}
    for consumer in _durable(facts):
        name = consumer.name if consumer.declared else OTHER
        found[name] = max(found.get(name, 0.0), float(consumer.pending))
    return found


def _durable(facts: Facts) -> Iterable[ConsumerFact]:
    return (consumer for consumer in facts.consumers if consumer.durable)


def pending(facts: Facts) -> float:
    """Unsettled events of the consumer that has most of them."""
    return max((consumer.pending for consumer in _durable(facts)), default=0)


def oldest_pending(facts: Facts) -> float:
    """Receipt time of the oldest event some consumer has not settled; 0 when none."""
    times = (c.oldest_pending_ms for c in _durable(facts) if c.oldest_pending_ms)
    return _seconds(min(times, default=0))


def consumers_connected(facts: Facts) -> float:
    """Consumers attached to the local socket."""
    return sum(consumer.connected for consumer in facts.consumers)


def in_flight(facts: Facts) -> float:
    """Events handed over and not settled."""
    return sum(consumer.in_flight for consumer in facts.consumers)


def journal_size(facts: Facts) -> float:
    """Live bytes of the journal."""
    return facts.journal.size_bytes


def journal_limit(facts: Facts) -> float:
    """`journal.max_bytes`."""
    return facts.journal.limit_bytes


def journal_free(facts: Facts) -> float:
    """Bytes left on the journal's file system."""
    return facts.journal.free_bytes


def journal_waiting(facts: Facts) -> float:
    """Payload bytes that wait for the writer."""
    return facts.journal.waiting_bytes


def journal_writable(facts: Facts) -> float:
    """Whether the journal takes writes."""
    return float(facts.journal.fault is None)


def dead_letters(facts: Facts) -> float:
    """Events in the dead-letter store."""
    return facts.journal.dead_letters


def sends_open(facts: Facts) -> float:
    """Kept messages without an outcome."""
    return facts.journal.open_sends


def oldest_send(facts: Facts) -> float:
    """When the oldest kept message without an outcome was accepted; 0 when none."""
    return _seconds(facts.journal.oldest_send_ms)


def dead_sends(facts: Facts) -> float:
    """Kept messages that were given up."""
    return facts.journal.dead_sends


def build(facts: Facts) -> Info:
    """The values of `build_info`'s labels."""
    return (facts.version, platform.python_version())
