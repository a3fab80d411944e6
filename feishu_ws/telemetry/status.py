"""The object behind `/status`, `feishu-ws status` and the status page. Pure.

Fields may be added, never removed or renamed. No secret and no content of an event
gets in: it is made of counts, names, times and faults.
"""

from typing import Any

from feishu_ws.faults import CATALOGUE, Fault
from feishu_ws.telemetry.facts import (
    ActiveFault,
    Concern,
    ConsumerFact,
    Facts,
    JournalFact,
    LinkFact,
    LookalikeFact,
    Loss,
)
from feishu_ws.telemetry.health import ready


def status_object(facts: Facts) -> dict[str, Any]:
    """Return the daemon's status as JSON types; times are Unix milliseconds, 0 = never."""
    is_ready, fault = ready(facts)
    return {
        "version": facts.version,
        "app_id": facts.app_id,
        "domain": facts.domain,
        "proxy": facts.proxy,
        "started_ms": facts.started_ms,
        "now_ms": facts.now_ms,
        "ready": is_ready,
        "fault": fault,
        "hint": _hint(facts, fault),
        "faults": [_fault(active, facts) for active in facts.faults if active.is_visible],
        "needs_restart": list(facts.needs_restart),
        "refused": dict(facts.tally.events_refused),
        "links": [_link(link) for link in facts.links],
        "links_wanted": facts.links_wanted,
        "storm": facts.is_storm,
        "journal": _journal(facts.journal),
        "last_event_ms": facts.last_event_ms,
        "consumers": [_consumer(consumer) for consumer in facts.consumers],
        "losses": [_loss(loss) for loss in facts.losses],
        "lookalike": _lookalike(facts.lookalike),
    }


def _hint(facts: Facts, fault: Fault | None) -> str:
    """Return what to do about the one fault to look at, "" without one."""
    if fault is None:
        return ""
    known = (active.hint for active in facts.faults if active.fault is fault)
    return next(known, CATALOGUE[fault].hint)


def _fault(active: ActiveFault, facts: Facts) -> dict[str, Any]:
    return {
        "fault": active.fault,
        "concern": active.concern,
        "subject": active.subject,
        "lasted_s": round(active.age_s, 1),
        "title": _title(active, facts),
        "hint": active.hint,
    }


def _title(active: ActiveFault, facts: Facts) -> str:
    """Return what happened; of a journal that takes no writes also what that has cost so far."""
    refused = facts.tally.events_refused[active.fault]
    if active.concern is not Concern.JOURNAL or not refused:
        return active.title
    events = "1 event was" if refused == 1 else f"{refused} events were"
    return f"{active.title}; {events} refused for it since the start, Feishu sends them again"


def _link(link: LinkFact) -> dict[str, Any]:
    return {
        "link": link.index,
        "state": link.state,
        "since_ms": link.since_ms,
        "established_ms": link.established_ms or 0,
        "last_frame_ms": link.last_frame_ms or 0,
        "failures": link.failures,
        "fault": link.fault,
        "retry_at_ms": link.retry_at_ms,
        "lives": link.lives,
        "ping_interval_s": link.ping_interval_s,
    }


def _journal(journal: JournalFact) -> dict[str, Any]:
    return {
        "id": journal.id,
        "first": journal.first,
        "last": journal.last,
        "path": journal.path,
        "size_bytes": journal.size_bytes,
        "limit_bytes": journal.limit_bytes,
        "free_bytes": journal.free_bytes,
        "waiting_bytes": journal.waiting_bytes,
        "dead_letters": journal.dead_letters,
        "fault": journal.fault,
        "stalled_s": round(journal.stalled_s, 3),
        "open_sends": journal.open_sends,
        "oldest_send_ms": journal.oldest_send_ms,
        "dead_sends": journal.dead_sends,
    }


def _consumer(consumer: ConsumerFact) -> dict[str, Any]:
    return {
        "name": consumer.name,
        "declared": consumer.declared,
        "durable": consumer.durable,
        "connected": consumer.connected,
        "cursor": consumer.cursor,
        "pending": consumer.pending,
        "in_flight": consumer.in_flight,
        "oldest_pending_ms": consumer.oldest_pending_ms,
        "types": list(consumer.types),
    }


def _lookalike(lookalike: LookalikeFact | None) -> dict[str, Any] | None:
    if lookalike is None:
        return None
    return {
        "address": lookalike.address,
        "clients": lookalike.clients,
        "consumer": lookalike.consumer,
    }


def _loss(loss: Loss) -> dict[str, Any]:
    return {
        "at_ms": loss.at_ms,
        "link": loss.link,
        "fault": loss.fault,
        "lived_s": None if loss.lived_s is None else round(loss.lived_s, 3),
        "detail": loss.detail,
        "times": loss.times,
    }
