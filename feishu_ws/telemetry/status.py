"""The object behind `/status`, `feishu-ws status` and the status page. Pure.

Fields may be added, never removed or renamed. No secret and no content of an event
gets in: it is made of counts, names, times and faults.
"""

from typing import Any

from feishu_ws.faults import CATALOGUE
from feishu_ws.telemetry.facts import (
    ActiveFault,
    ConsumerFact,
    Facts,
    JournalFact,
    LinkFact,
    Loss,
)
from feishu_ws.telemetry.health import ready


def status_object(facts: Facts) -> dict[str, Any]:
    """Return the daemon's status as JSON types; times are Unix milliseconds, 0 = never."""
    is_ready, fault = ready(facts)
    return {
        "version": facts.version,
        "app_id": facts.app_id,
        "started_ms": facts.started_ms,
        "now_ms": facts.now_ms,
        "ready": is_ready,
        "fault": fault,
        "hint": CATALOGUE[fault].hint if fault else "",
        "faults": [_fault(active) for active in facts.faults if active.is_visible],
        "links": [_link(link) for link in facts.links],
        "links_wanted": facts.links_wanted,
        "journal": _journal(facts.journal),
        "last_event_ms": facts.last_event_ms,
        "consumers": [_consumer(consumer) for consumer in facts.consumers],
        "losses": [_loss(loss) for loss in facts.losses],
    }


def _fault(active: ActiveFault) -> dict[str, Any]:
    return {
        "fault": active.fault,
        "concern": active.concern,
        "subject": active.subject,
        "lasted_s": round(active.age_s, 1),
        "title": CATALOGUE[active.fault].title,
        "hint": CATALOGUE[active.fault].hint,
    }


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


def _loss(loss: Loss) -> dict[str, Any]:
    return {
        "at_ms": loss.at_ms,
        "link": loss.link,
        "fault": loss.fault,
        "lived_s": None if loss.lived_s is None else round(loss.lived_s, 3),
        "detail": loss.detail,
        "times": loss.times,
    }
