"""The timeline: a line per link, a character per slot."""

import io
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feishu_ws.cli.render import Paint, width
from feishu_ws.cli.timeline import COLOURED, LEAST_SLOTS, PLAIN, Scale, axis, is_loss, timeline

HOUR = 3_600_000
NOW = 1_774_008_000_000  # 2026-03-20 12:00 UTC


@pytest.fixture(autouse=True)
def utc(monkeypatch):
    """Local time is UTC."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def at(hours):
    """Return the moment so many hours ago."""
    return NOW - round(hours * HOUR)


def answer(links, incidents=(), outages=(), hours=10):
    """Return an answer to `incidents`; stretches in hours ago."""
    return {
        "since_ms": at(hours),
        "now_ms": NOW,
        "links": [
            {"link": n, "stretches": [[at(f), at(t), state] for f, t, state in stretches]}
            for n, stretches in enumerate(links)
        ],
        "incidents": [
            {"link": link, "ended_ms": at(ended), "fault": fault, "lived_s": lived_s}
            for link, ended, fault, lived_s in incidents
        ],
        "outages": [{"from_ms": at(f), "to_ms": None if t is None else at(t)} for f, t in outages],
    }


def draw(told, columns=28):
    """Return a plain timeline: 20 slots of half an hour in 28 columns."""
    return timeline(told, columns, PLAIN, Paint(io.StringIO()))


def test_live_away_and_unknown():
    """A slot is what the link was for most of it; nothing is drawn of what nobody knows."""
    lines = draw(answer([[(8, 5, "live"), (5, 3, "away"), (3, 0, "live")]]))

    assert lines[0] == "link 0      ######....######"


def test_a_loss_shows_however_short():
    """A slot with a loss is one, also where the link was live for nearly all of it."""
    told = answer(
        [[(10, 0, "live")], [(10, 0, "live")]],
        [(0, 5.1, "connection_lost", 5.0), (1, 2.1, "local_stop", 5.0), (1, 1.1, "dns_failed", None)],
    )  # fmt: skip

    assert draw(told)[:2] == ["link 0  #########x##########", "link 1  ####################"]


def test_outages_have_a_line():
    """Every slot with an outage is marked, one that goes on until now."""
    lines = draw(answer([[(10, 0, "live")]], outages=[(7.2, 7.1), (1.2, None)]))

    assert lines[1] == "outage       x           xxx"


def test_what_was_before_is_not_drawn():
    """A loss that lies before the span is in none of its slots."""
    told = answer([[(10, 0, "live")]], [(0, 11, "connection_lost", 5.0)])

    assert "x" not in draw(told)[0]


def test_the_axis_has_round_times():
    """Labels stand at their ticks and do not run into each other."""
    ticks, labels = axis(Scale(at(10), NOW, 40))

    assert ticks.count("+") >= 3
    for n, char in enumerate(ticks):
        if char == "+" and n + 5 <= 40:
            assert labels[n : n + 5].strip()
    assert labels.split() == sorted(labels.split())


def test_days_are_labelled_as_dates():
    """Where steps are days the label says which."""
    assert "03-15" in axis(Scale(at(24 * 10), NOW, 100))[1]


@given(
    st.integers(20, 300), st.integers(1, 24 * 400 * HOUR), st.integers(0, 10**9)
)  # fmt: skip
def test_the_axis_fits_any_span(slots, span, shift):
    """Ticks fill the width, labels stay within it and apart."""
    ticks, labels = axis(Scale(NOW - shift - span, NOW - shift, slots))

    assert len(ticks) == slots
    assert len(labels) <= slots
    assert all(len(label) == 5 for label in labels.split())


@given(
    st.integers(1, 200), st.integers(1, 10**9),
    st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 10**8))),
)  # fmt: skip
def test_slots_hold_what_is_in_them(slots, span, ways):
    """Nothing of a way within the span is lost or counted twice."""
    scale = Scale(NOW, NOW + span, slots)
    inside = [(NOW + f, NOW + min(f + lasts, span)) for f, lasts in ways if f <= span]

    assert sum(scale.within(inside)) == sum(t - f for f, t in inside)


@pytest.mark.parametrize("columns", [60, 100, 160])
def test_it_is_as_wide_as_the_terminal(columns):
    """No line is wider, and the slots reach to the edge."""
    lines = draw(answer([[(10, 0, "live")], [(10, 5, "live")]]), columns)

    assert max(map(width, lines)) == columns


def test_a_terminal_that_is_too_narrow():
    """There are some slots in any case."""
    assert len(draw(answer([[(10, 0, "live")]]), 5)[0]) == len("link 0  ") + LEAST_SLOTS


def test_colours(monkeypatch):
    """On a terminal each state has its block and its colour, painted in one go."""

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    told = answer([[(10, 5, "live"), (5, 0, "away")]])
    lines = timeline(told, 28, COLOURED, Paint(Terminal()))

    assert lines[0] == "link 0  \x1b[32m██████████\x1b[0m\x1b[33m░░░░░░░░░░\x1b[0m"


@pytest.mark.parametrize(
    ("fault", "lived_s", "is_one"),
    [("connection_lost", 0.1, True), ("local_stop", 5.0, False), ("rotated", 5.0, False), ("dns_failed", None, False)],
)  # fmt: skip
def test_what_a_loss_is(fault, lived_s, is_one):
    """A link that was live and that nobody here ended."""
    assert is_loss({"fault": fault, "lived_s": lived_s}) is is_one
