"""Whether the daemon is well: faults that last, readiness, signs of life. Pure.

Time is an argument: seconds on a clock that never steps. Nothing here steers the
daemon; it says what an operator, a probe and the service manager get to see.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from feishu_ws import happenings as h
from feishu_ws.faults import CATALOGUE, Fault, Remedy
from feishu_ws.telemetry.facts import ActiveFault, Concern, Facts

CONSUMER_FAULT_S: Final = 300.0
"""Most faults of a consumer have no end of their own: they are shown so long after the last time."""

SALVAGE_S: Final = 86_400.0
"""A salvage is over when it is told: it is shown so long, for whoever was asleep."""

_MOST_CONSUMERS: Final = 64  # names come from clients; bounds what is remembered of them
_ORDER: Final = tuple(Concern)


@dataclass(slots=True)
class _Lasting:
    fault: Fault
    since_s: float
    last_s: float
    title: str = ""
    hint: str = ""


_Subject = tuple[Concern, str, str]
"""What it is about, which one, and the fault where that one may have several."""

_SALVAGE: Final = (Concern.DAEMON, "salvage", "")  # the journal itself is well again


class FaultWatch:
    """Which faults are active, and for how long.

    A link's fault begins when the link goes down and changes its word with every
    failed attempt, but keeps its age: what lasts is the absence of the link. A consumer
    may have several; `consumer_absent` lasts until it connects or is forgotten.
    """

    def __init__(self) -> None:
        self._lasting: dict[_Subject, _Lasting] = {}
        self._hear: Final[dict[type[h.Happening], Callable[[Any, float], None]]] = {
            h.LinkFailed: self._link_down,
            h.LinkLost: self._link_down,
            h.LinkLive: self._link_live,
            h.JournalFaulted: self._journal_down,
            h.JournalRecovered: self._journal_well,
            h.JournalSalvaged: self._salvaged,
            h.ConsumerFaulted: self._consumer,
            h.ConsumerConnected: self._consumer_came,
            h.ConsumerForgotten: self._consumer_gone,
            h.ConfigRejected: self._config_rejected,
            h.ConfigReloaded: self._config_well,
            h.ClockStepped: self._clock_stepped,
            h.ClockAgreed: self._clock_well,
            h.CompetitorSeen: self._competitor,
            h.CompetitorGone: self._no_competitor,
            h.ApiFaulted: self._api_down,
            h.ApiRecovered: self._api_well,
        }

    def observe(self, happening: h.Happening, now_s: float) -> None:
        """Take note of a happening."""
        hear = self._hear.get(type(happening))
        if hear is not None:
            hear(happening, now_s)

    def active(self, now_s: float) -> tuple[ActiveFault, ...]:
        """Return the faults that last, most important first."""
        self._forget_old(now_s)
        found = (
            ActiveFault(
                lasting.fault,
                concern,
                subject,
                now_s - lasting.since_s,
                lasting.title,
                lasting.hint,
            )
            for (concern, subject, _), lasting in self._lasting.items()
        )
        return tuple(sorted(found, key=_importance))

    def _begin(self, subject: _Subject, fault: Fault, now_s: float) -> _Lasting:
        known = self._lasting.setdefault(subject, _Lasting(fault, now_s, now_s))
        known.fault, known.last_s = fault, now_s
        return known

    def _link_down(self, down: h.LinkFailed | h.LinkLost, now_s: float) -> None:
        if CATALOGUE[down.fault].remedy is not Remedy.NOTE:  # a stop or a rotation is meant
            self._begin((Concern.LINK, str(down.link), ""), down.fault, now_s)

    def _link_live(self, live: h.LinkLive, _: float) -> None:
        self._lasting.pop((Concern.LINK, str(live.link), ""), None)

    def _journal_down(self, down: h.JournalFaulted, now_s: float) -> None:
        lasting = self._begin((Concern.JOURNAL, "", ""), down.fault, now_s)
        lasting.hint = down.hint

    def _journal_well(self, _: h.JournalRecovered, __: float) -> None:
        self._lasting.pop((Concern.JOURNAL, "", ""), None)

    def _salvaged(self, salvaged: h.JournalSalvaged, now_s: float) -> None:
        lasting = self._begin(_SALVAGE, salvaged.fault, now_s)
        carried = f"{salvaged.events} events carried over, {salvaged.lost_events} lost"
        kept = f"the damaged file is {salvaged.kept}, remove it once nothing is missed"
        lasting.title = f"the journal was damaged, and a new one took its place: {carried}"
        lasting.hint = f"look at the disk: dmesg; {kept}"

    def _consumer(self, faulted: h.ConsumerFaulted, now_s: float) -> None:
        known = [s for s in self._lasting if s[0] is Concern.CONSUMER]
        subject = (Concern.CONSUMER, faulted.consumer, faulted.fault)
        if len(known) < _MOST_CONSUMERS or subject in known:
            self._begin(subject, faulted.fault, now_s)

    def _consumer_came(self, came: h.ConsumerConnected, _: float) -> None:
        if came.durable:
            self._no_longer_absent(came.consumer)

    def _consumer_gone(self, gone: h.ConsumerForgotten, _: float) -> None:
        self._no_longer_absent(gone.consumer)

    def _no_longer_absent(self, consumer: str) -> None:
        self._lasting.pop((Concern.CONSUMER, consumer, Fault.CONSUMER_ABSENT), None)

    def _config_rejected(self, _: h.ConfigRejected, now_s: float) -> None:
        self._begin((Concern.DAEMON, "config", ""), Fault.RELOAD_INVALID, now_s)

    def _config_well(self, _: h.ConfigReloaded, __: float) -> None:
        self._lasting.pop((Concern.DAEMON, "config", ""), None)

    def _clock_stepped(self, stepped: h.ClockStepped, now_s: float) -> None:
        self._begin((Concern.DAEMON, "clock", ""), stepped.fault, now_s)

    def _clock_well(self, _: h.ClockAgreed, __: float) -> None:
        self._lasting.pop((Concern.DAEMON, "clock", ""), None)

    def _competitor(self, seen: h.CompetitorSeen, now_s: float) -> None:
        self._begin((Concern.DAEMON, "competitor", ""), seen.fault, now_s)

    def _no_competitor(self, _: h.CompetitorGone, __: float) -> None:
        self._lasting.pop((Concern.DAEMON, "competitor", ""), None)

    def _api_down(self, down: h.ApiFaulted, now_s: float) -> None:
        self._begin((Concern.DAEMON, "api", ""), down.fault, now_s)

    def _api_well(self, _: h.ApiRecovered, __: float) -> None:
        self._lasting.pop((Concern.DAEMON, "api", ""), None)

    def _forget_old(self, now_s: float) -> None:
        for subject, lasting in list(self._lasting.items()):
            shown_s = _shown_s(subject, lasting.fault)
            if shown_s is not None and now_s - lasting.last_s > shown_s:
                del self._lasting[subject]


def _shown_s(subject: _Subject, fault: Fault) -> float | None:
    """Return how long a fault without an end is shown, None for one that has an end."""
    if subject == _SALVAGE:
        return SALVAGE_S
    fades = subject[0] is Concern.CONSUMER and fault is not Fault.CONSUMER_ABSENT
    return CONSUMER_FAULT_S if fades else None


def _importance(active: ActiveFault) -> tuple[int, bool, float]:
    """Sort by concern, then what an operator has to act on, then what lasts longest."""
    may_heal = CATALOGUE[active.fault].remedy is not Remedy.HOLD
    return (_ORDER.index(active.concern), may_heal, -active.age_s)


def ready(facts: Facts) -> tuple[bool, Fault | None]:
    """Return whether events get in and are kept, and the one fault to look at.

    A fault is named once it has lasted as long as the catalogue says; while the
    daemon is not ready the cause is named at once, since a 503 is visible anyway.
    """
    is_ready = any(link.is_live for link in facts.links) and facts.journal.fault is None
    if facts.journal.fault is not None:
        return False, facts.journal.fault
    shown = [active.fault for active in facts.faults if active.is_visible or not is_ready]
    return is_ready, next(iter(shown), None)


class Heartbeats:
    """Who has to make progress, and when each last did.

    Args:
        limits_s: Longest silence by part ("loop", "dispatcher", "writer"); a part
            counts as alive until its first beat is overdue.
        now_s: When the daemon began.
    """

    def __init__(self, limits_s: Mapping[str, float], now_s: float) -> None:
        self._limits_s = dict(limits_s)
        self._last_s = dict.fromkeys(limits_s, now_s)

    def beat(self, part: str, now_s: float) -> None:
        """Note that `part` made progress."""
        self._last_s[part] = now_s

    def silent(self, now_s: float) -> tuple[str, ...]:
        """Return the parts that have not made progress for too long, none if all is well."""
        return tuple(self._overdue(now_s))

    def _overdue(self, now_s: float) -> Iterable[str]:
        return (p for p, limit in self._limits_s.items() if now_s - self._last_s[p] > limit)
