"""What became of the links, for the method `incidents`: losses, outages, stops, a timeline."""

from collections.abc import Callable, Sequence
from typing import Any, Final

from feishu_ws.downstream.outages import Course, Fleet, course_of, is_start
from feishu_ws.faults import CATALOGUE
from feishu_ws.model import LinkLife, Tried

LookAtFleet = Callable[[], Fleet | None]
_MS: Final = 1000


def incidents_object(
    lives: Sequence[LinkLife], fleet: Fleet | None, since_ms: int, now_ms: int, limit: int
) -> dict[str, Any]:
    """Return the answer as JSON types; times are Unix milliseconds."""
    course = course_of(lives, fleet, since_ms, now_ms)
    told = [life for life in lives if not is_start(life) and _reaches(life, since_ms)]
    shown = told[max(len(told) - limit, 0) :]
    return {
        "incidents": [_incident(life) for life in shown],
        "total": len(told),
        "outages": [outage._asdict() for outage in course.outages],
        "stops": [stop._asdict() for stop in course.stops],
        "links": _links(course),
        "since_ms": since_ms,
        "now_ms": now_ms,
        "live_ms": course.live_ms,
        "known_ms": course.known_ms,
    }


def _reaches(life: LinkLife, since_ms: int) -> bool:
    return life.back_ms is None or max(life.back_ms, life.ended_ms) >= since_ms


def _links(course: Course) -> list[dict[str, Any]]:
    return [
        {"link": link, "stretches": [list(stretch) for stretch in stretches]}
        for link, stretches in course.stretches.items()
    ]


def _incident(life: LinkLife) -> dict[str, Any]:
    away_s = None if life.back_ms is None else max(life.back_ms - life.ended_ms, 0) / _MS
    return {
        "link": life.link,
        "ended_ms": life.ended_ms,
        "fault": life.fault,
        "title": CATALOGUE[life.fault].title,
        "lived_s": None if life.lived_s is None else round(life.lived_s, 3),
        "detail": life.detail,
        "close_code": life.close_code,
        "unconfirmed": life.unconfirmed,
        "took_s": round(life.took_s, 4),
        "phases_s": {phase: round(took_s, 4) for phase, took_s in life.phases_s.items()},
        "tried": [_tried(tried) for tried in life.tried],
        "back_ms": life.back_ms,
        "away_s": away_s,
    }


def _tried(tried: Tried) -> dict[str, Any]:
    return {
        "fault": tried.fault,
        "phase": tried.phase,
        "code": tried.code,
        "times": tried.times,
        "first_ms": tried.first_ms,
        "last_ms": tried.last_ms,
    }
