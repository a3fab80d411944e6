"""A timeline for people: a line per link, a character per slot, the time below. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

from feishu_ws.cli.render import Cell, Paint

LEAST_SLOTS: Final = 20
_MS: Final = 1000
_MINUTE_MS, _HOUR_MS, _DAY_MS = 60_000, 3_600_000, 86_400_000
_STEPS_MS: Final = (
    *(n * _MINUTE_MS for n in (1, 2, 5, 10, 15, 30)),
    *(n * _HOUR_MS for n in (1, 2, 3, 6, 12)),
    *(n * _DAY_MS for n in (1, 2, 7, 14, 28, 91, 364)),
)  # between two labels
_LABEL: Final = 5  # characters: 14:00 or 11-23
_APART: Final = 4  # between two labels at least
_NAME: Final = "outage"

Way = tuple[int, int]
"""From and to, in Unix milliseconds."""


class Glyphs(NamedTuple):
    """What a slot is drawn with."""

    live: Cell
    away: Cell
    stopped: Cell
    loss: Cell
    outage: Cell


PLAIN: Final = Glyphs(Cell("#"), Cell("."), Cell("_"), Cell("x"), Cell("x"))
COLOURED: Final = Glyphs(
    Cell("█", "good"), Cell("░", "warn"), Cell("▁", "dim"), Cell("▒", "bad"), Cell("█", "bad")
)  # fmt: skip
_UNKNOWN: Final = Cell(" ")


class Scale(NamedTuple):
    """Slots of equal length in a span of time."""

    since_ms: int
    now_ms: int
    slots: int

    def slot(self, at_ms: int) -> int:
        """Return the slot a moment lies in, the nearest one if it lies in none."""
        span_ms = max(self.now_ms - self.since_ms, 1)
        return min(max((at_ms - self.since_ms) * self.slots // span_ms, 0), self.slots - 1)

    def within(self, ways: Iterable[Way]) -> list[int]:
        """Return how many milliseconds of each slot are within some ways."""
        found = [0] * self.slots
        edges = [self._edge(n) for n in range(self.slots + 1)]
        for from_ms, to_ms in ways:
            for n in range(self.slot(from_ms), self.slot(to_ms) + 1):
                found[n] += max(min(to_ms, edges[n + 1]) - max(from_ms, edges[n]), 0)
        return found

    def _edge(self, slot: int) -> int:
        return self.since_ms + (self.now_ms - self.since_ms) * slot // self.slots


def timeline(told: Mapping[str, Any], columns: int, glyphs: Glyphs, paint: Paint) -> list[str]:
    """Return the lines of a timeline no wider than `columns`, unless that is too narrow.

    Args:
        told: The answer to `incidents`.
        columns: Of the terminal.
        glyphs: What slots are drawn with.
        paint: For a terminal.
    """
    names = [f"link {link['link']}" for link in told["links"]]
    margin = max(map(len, [*names, _NAME])) + 2
    scale = Scale(told["since_ms"], told["now_ms"], max(columns - margin, LEAST_SLOTS))
    rows = [
        (name, link_cells(link, told["incidents"], scale, glyphs))
        for name, link in zip(names, told["links"], strict=True)
    ]
    rows.append((_NAME, outage_cells(told["outages"], scale, glyphs)))
    lines = [f"{name:<{margin}}{_draw(cells, paint)}".rstrip() for name, cells in rows]
    ticks, labels = axis(scale)
    return [*lines, *(f"{'':<{margin}}{paint(text, 'dim')}" for text in (ticks, labels))]


def link_cells(
    link: Mapping[str, Any], incidents: Iterable[Mapping[str, Any]], scale: Scale, glyphs: Glyphs
) -> list[Cell]:
    """Return a link's slots: a loss shows in any case, else how it was for the longest."""
    stretches: Sequence[tuple[int, int, str]] = link["stretches"]
    told = [
        (scale.within((f, t) for f, t, state in stretches if state == name), cell)
        for name, cell in (
            ("live", glyphs.live),
            ("away", glyphs.away),
            ("stopped", glyphs.stopped),
        )
    ]
    lost = {
        scale.slot(each["ended_ms"])
        for each in incidents
        if each["link"] == link["link"] and is_loss(each) and each["ended_ms"] >= scale.since_ms
    }
    return [glyphs.loss if n in lost else _longest(told, n) for n in range(scale.slots)]


def is_loss(incident: Mapping[str, Any]) -> bool:
    """Whether a link was lost: it had been live, and nobody here ended it."""
    return incident["lived_s"] is not None and incident["fault"] not in {"local_stop", "rotated"}


def _longest(told: Iterable[tuple[Sequence[int], Cell]], slot: int) -> Cell:
    ways, cell = max(told, key=lambda each: each[0][slot])
    return cell if ways[slot] else _UNKNOWN


def outage_cells(outages: Iterable[Mapping[str, Any]], scale: Scale, glyphs: Glyphs) -> list[Cell]:
    """Return the slots in which there was an outage, however short."""
    hit: set[int] = set()
    for outage in outages:
        to_ms = scale.now_ms if outage["to_ms"] is None else outage["to_ms"]
        hit.update(range(scale.slot(outage["from_ms"]), scale.slot(to_ms) + 1))
    return [glyphs.outage if n in hit else _UNKNOWN for n in range(scale.slots)]


def _draw(cells: Sequence[Cell], paint: Paint) -> str:
    """Return cells as text, painting those that are alike in one go."""
    text, begin = "", 0
    for n in range(1, len(cells) + 1):
        if n == len(cells) or cells[n] != cells[begin]:
            text += paint(cells[begin].text * (n - begin), cells[begin].style)
            begin = n
    return text


# -- the axis -----------------------------------------------------------------------------


def axis(scale: Scale) -> tuple[str, str]:
    """Return a line of ticks and one of their local times."""
    step_ms = _step(scale)
    ticks, labels = ["-"] * scale.slots, [" "] * scale.slots
    for moment in _moments(scale, step_ms):
        at = scale.slot(round(moment.timestamp() * _MS))
        ticks[at] = "+"
        label = moment.strftime("%H:%M" if step_ms < _DAY_MS else "%m-%d")
        if at + _LABEL <= scale.slots:
            labels[at : at + _LABEL] = label
    return "".join(ticks), "".join(labels).rstrip()


def _step(scale: Scale) -> int:
    """Return the least step whose labels do not run into each other."""
    slot_ms = (scale.now_ms - scale.since_ms) / scale.slots
    fit = (step for step in _STEPS_MS if step >= slot_ms * (_LABEL + _APART))
    return next(fit, _STEPS_MS[-1])


def _moments(scale: Scale, step_ms: int) -> Iterable[datetime]:
    """Return round local times in the span."""
    first = datetime.fromtimestamp(scale.since_ms / _MS, UTC).astimezone()
    moment = first.replace(hour=0, minute=0, second=0, microsecond=0)
    step = timedelta(milliseconds=step_ms)
    if moment < first:
        moment += (first - moment) // step * step
        moment += step if moment < first else timedelta()
    while moment.timestamp() * _MS <= scale.now_ms:
        yield moment
        moment += step
