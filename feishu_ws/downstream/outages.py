"""When each link was live and when none was, as far as their lives tell. Pure.

A life says when its link was live before its end and away after it. What no life tells
is not known, and nothing is claimed of it: neither that a link was live nor that there
was an outage. Where a stepped clock lets lives overlap, what began first holds.

A stop in good order is no outage: nobody wanted a link, until one was tried for again.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from itertools import groupby, pairwise
from operator import itemgetter
from typing import Final, NamedTuple

from feishu_ws.faults import Fault
from feishu_ws.model import LinkLife

SLACK_MS: Final = 2000  # between the end of one record and the begin of the next; clocks are slewed
FIRST: Final = 0
"""The link without which no other is opened: until it was live once, none is."""
_MS: Final = 1000

Fleet = Mapping[int, int | None]
"""The links there are now, and since when each is live; None where it is not."""


class State(StrEnum):
    """How a link was."""

    LIVE = "live"
    AWAY = "away"
    STOPPED = "stopped"  # with the daemon
    GONE = "gone"  # it belongs to the fleet no more, or not yet


class Stretch(NamedTuple):
    """A link in one state, from and to Unix milliseconds."""

    from_ms: int
    to_ms: int
    state: State


class Outage(NamedTuple):
    """No link was live. `to_ms` is None while that lasts."""

    from_ms: int
    to_ms: int | None
    lasted_s: float
    fault: Fault


class Stop(NamedTuple):
    """The daemon was stopped in good order. `to_ms` is None while that lasts."""

    from_ms: int
    to_ms: int | None
    lasted_s: float


class Course(NamedTuple):
    """What became of the links in a span of time.

    Attributes:
        live_ms: Milliseconds in which one link was live at least.
        known_ms: Milliseconds of which it is known whether one was.
    """

    stretches: dict[int, list[Stretch]]
    outages: list[Outage]
    stops: list[Stop]
    live_ms: int
    known_ms: int


def course_of(lives: Sequence[LinkLife], fleet: Fleet | None, since_ms: int, now_ms: int) -> Course:
    """Return what became of the links from `since_ms` until now.

    Args:
        lives: Of all links.
        fleet: None where nobody can say, since no daemon runs.
        since_ms: Outages and stops that began before are told from their begin.
        now_ms: The wall clock.
    """
    links = {life.link for life in lives} | set(fleet or ())
    told = {link: _stretches(link, lives, fleet, now_ms) for link in sorted(links)}
    before = _before_any(told.get(FIRST, ()), lives)
    whole = {link: list(_filled(stretches, before)) for link, stretches in told.items()}
    together = list(_together(whole))
    seen = _clip(together, since_ms)
    late = [stretch for stretch in together if stretch.to_ms > since_ms]
    clipped = {link: _clip(stretches, since_ms) for link, stretches in whole.items()}
    return Course(
        clipped,
        [_outage(s, lives, now_ms) for s in late if s.state is State.AWAY],
        [Stop(s.from_ms, _end(s, now_ms), _length_s(s)) for s in late if s.state is State.STOPPED],
        live_ms=sum(s.to_ms - s.from_ms for s in seen if s.state is State.LIVE),
        known_ms=sum(s.to_ms - s.from_ms for s in seen),
    )


def _outage(stretch: Stretch, lives: Iterable[LinkLife], now_ms: int) -> Outage:
    """Return an outage with its cause: the last link's to go, or of the first try after a stop."""
    causes = ((at_ms, fault) for life in lives for at_ms, fault in _turns(life))
    before = [cause for cause in causes if cause[0] <= stretch.from_ms and not _is_stop(cause[1])]
    _, fault = max(before, key=lambda cause: cause[0])
    return Outage(stretch.from_ms, _end(stretch, now_ms), _length_s(stretch), fault)


def _end(stretch: Stretch, now_ms: int) -> int | None:
    return stretch.to_ms if stretch.to_ms < now_ms else None


def _length_s(stretch: Stretch) -> float:
    return (stretch.to_ms - stretch.from_ms) / _MS


def _turns(life: LinkLife) -> Iterator[tuple[int, Fault]]:
    """Return how it went on after a life: its end, and every other thing that was tried."""
    yield life.ended_ms, life.fault
    yield from ((tried.first_ms, tried.fault) for tried in life.tried)


def _is_stop(fault: Fault) -> bool:
    return fault is Fault.LOCAL_STOP


def _clip(stretches: Iterable[Stretch], since_ms: int) -> list[Stretch]:
    late = (s for s in stretches if s.to_ms > since_ms and s.state is not State.GONE)
    return [s._replace(from_ms=max(s.from_ms, since_ms)) for s in late]


def is_start(life: LinkLife) -> bool:
    """Whether a record says only that a link was live for the first time in a process."""
    return life.lived_s is None and not life.tried and _is_stop(life.fault)


def _before_any(stretches: Iterable[Stretch], lives: Iterable[LinkLife]) -> list[Stretch]:
    """Return the stretches of the first link before a link was live in a process."""
    spans = [
        (life.ended_ms, math.inf if life.back_ms is None else life.back_ms)
        for life in lives
        if life.link == FIRST and life.lived_s is None and not is_start(life)
    ]
    absent = (s for s in stretches if s.state is not State.LIVE)
    return [s for s in absent if any(began <= s.from_ms < back for began, back in spans)]


def _filled(stretches: Iterable[Stretch], spans: Iterable[Stretch]) -> Iterator[Stretch]:
    """Return a link's stretches, and in these spans that it was not there where none tells."""
    left = [span._replace(state=State.GONE) for span in spans]
    for stretch in stretches:
        for span in left:
            if span.from_ms < stretch.from_ms:
                yield span._replace(to_ms=min(span.to_ms, stretch.from_ms))
        yield stretch
        late = (span for span in left if span.to_ms > stretch.to_ms)
        left = [span._replace(from_ms=max(span.from_ms, stretch.to_ms)) for span in late]
    yield from left


# -- one link -----------------------------------------------------------------------------


def _stretches(
    link: int, lives: Sequence[LinkLife], fleet: Fleet | None, now_ms: int
) -> list[Stretch]:
    """Return what is known of a link, disjoint and in order."""
    own = sorted((life for life in lives if life.link == link), key=lambda life: life.ended_ms)
    told: list[Stretch] = []
    back_ms: int | None = None
    for life, following in zip(own, [*own[1:], None], strict=False):
        if life.lived_s is not None:
            began_ms = life.ended_ms - round(life.lived_s * _MS)
            told.append(Stretch(_joined(began_ms, back_ms), life.ended_ms, State.LIVE))
        back_ms = life.back_ms
        away_to_ms = _until(following, now_ms) if back_ms is None else back_ms
        if not is_start(life):
            told += _away(life, away_to_ms)
    told += _tail(link, back_ms if own else None, lives, fleet, now_ms)
    return list(_disjoint(told, now_ms))


def _away(life: LinkLife, to_ms: int) -> Iterator[Stretch]:
    """Return how a link was after a life: away, but stopped from a stop until the next try."""
    turns = [(at_ms, _state_after(fault)) for at_ms, fault in _turns(life)]
    changes = [next(alike) for _, alike in groupby(turns, key=itemgetter(1))]
    for (from_ms, state), (until_ms, _) in pairwise([*changes, (to_ms, State.AWAY)]):
        yield Stretch(from_ms, min(until_ms, to_ms), state)


def _state_after(fault: Fault) -> State:
    return State.STOPPED if _is_stop(fault) else State.AWAY


def _until(following: LinkLife | None, now_ms: int) -> int:
    """Return how long a link was away that no record says was back."""
    if following is None:
        return now_ms
    return following.ended_ms - round((following.lived_s or 0.0) * _MS)


def _joined(began_ms: int, back_ms: int | None) -> int:
    """Return when a life began: when the link was back, if that is the same but for rounding."""
    is_same = back_ms is not None and 0 <= began_ms - back_ms <= SLACK_MS
    return back_ms if is_same and back_ms is not None else began_ms


def _tail(
    link: int, back_ms: int | None, lives: Iterable[LinkLife], fleet: Fleet | None, now_ms: int
) -> Iterator[Stretch]:
    """Return what is known of a link since its last record."""
    if fleet is None:
        return
    since_ms = fleet.get(link)
    if since_ms is not None:
        yield Stretch(_joined(since_ms, back_ms), now_ms, State.LIVE)
    elif link not in fleet and back_ms is not None:
        starts = (life.ended_ms for life in lives if life.lived_s is None)
        after = min((at_ms for at_ms in starts if at_ms > back_ms), default=now_ms)
        yield Stretch(after, now_ms, State.GONE)


def _disjoint(stretches: Iterable[Stretch], now_ms: int) -> Iterator[Stretch]:
    at_ms = 0
    for from_ms, to_ms, state in stretches:
        begin_ms, end_ms = max(from_ms, at_ms), min(to_ms, now_ms)
        if begin_ms < end_ms:
            yield Stretch(begin_ms, end_ms, state)
            at_ms = end_ms


# -- all links ----------------------------------------------------------------------------


def _together(whole: Mapping[int, Sequence[Stretch]]) -> Iterator[Stretch]:
    """Return when one link was live at least, and when none was; the rest is not known."""
    edges = sorted(
        edge
        for link, stretches in whole.items()
        for s in stretches
        for edge in ((s.from_ms, 1, link, s.state), (s.to_ms, 0, link, s.state))
    )  # at the same moment ends come before begins
    states: dict[int, State] = {}
    begin_ms, state = 0, None
    for n, (at_ms, is_begin, link, of_link) in enumerate(edges):
        if is_begin:
            states[link] = of_link
        else:
            del states[link]
        if n + 1 < len(edges) and edges[n + 1][0] == at_ms:
            continue
        found = _state_of_all(states, len(whole))
        if found is not state:
            if state is not None:
                yield Stretch(begin_ms, at_ms, state)
            begin_ms, state = at_ms, found


def _state_of_all(states: Mapping[int, State], links: int) -> State | None:
    """Return LIVE if one link is, how the others are if none is for sure, None if nobody knows.

    Where a link is away the daemon runs, whatever is said of the others.
    """
    if State.LIVE in states.values():
        return State.LIVE
    told = (state for state in (State.AWAY, State.STOPPED) if state in states.values())
    return next(told, None) if len(states) == links else None
