"""How the figures are taken from what was written down."""

from datetime import UTC, datetime

import pytest
from acceptance.natlab.timeline import (
    LOST,
    TAKEN_OVER,
    End,
    Fates,
    Fault,
    Result,
    count_turns,
    find_births,
    find_ends,
    find_fates,
    live_links,
    read_turns,
    row,
)

T0 = 1_000_000_000.0


def line(event, second, link):
    """Return a line of the daemon's log."""
    at = datetime.fromtimestamp(T0 + second, UTC).isoformat(timespec="milliseconds")
    return {"event": event, "ts": at, "link": link}


TURNS = read_turns(
    [
        line("daemon.started", 0, None),
        line("link.live", 1, 0),
        line("link.live", 2, 1),
        line("link.lost", 5, 0),
        line("link.lost", 6, 1),
        line("link.live", 8, 0),
        line("link.lost", 12, 0),
        line("link.live", 13, 0),
        line("link.live", 20, 0),
        line("link.replaced", 21, 0),
    ]
)


def test_ends_by_each_fault():
    """Each fault has its ends, with the times to notice and to live again."""
    faults = [Fault(T0 + 3, T0 + 4), Fault(T0 + 11.5, T0 + 12.5), Fault(T0 + 15, T0 + 15)]
    ends = find_ends(TURNS, faults)

    assert ends == [End(0, 1.0, 4.0), End(1, 2.0, None), End(0, 0, 0.5), End(0, 5.0, 5.0)]


def test_lost_and_taken_over_are_told_apart():
    """A link that is live again without having been lost was taken over by a fresh one."""
    assert [count_turns(TURNS, what) for what in (LOST, TAKEN_OVER)] == [3, 1]


def test_live_counts_from_the_end_of_an_outage():
    """Live again is counted from when the fault ended, if it did."""
    ends = find_ends(TURNS, [Fault(T0 + 3, T0 + 3)], healed_s=T0 + 7)

    assert [end.live_s for end in ends] == [1.0, None]


def test_births():
    """After a cold start each link's first life counts."""
    births = find_births(TURNS, T0)

    assert [(end.link, end.live_s) for end in births] == [(0, 1.0), (1, 2.0)]


@pytest.mark.parametrize(("count", "live"), [(2, {0, 1}), (3, {1}), (4, set()), (8, {0})])
def test_live_links(count, live):
    """A link is live if that is the last that was said of it."""
    assert live_links(TURNS[:count]) == live


def test_fates():
    """Lost, unconfirmed, repeated and delayed events are told apart, in the window only."""
    events = {
        "early": (T0 - 1, True, 1),
        "prompt": (T0 + 1, True, 1),
        "late": (T0 + 2, True, 3),
        "lost": (T0 + 3, True, 2),
        "open": (T0 + 4, False, 1),
        "after": (T0 + 31, True, 1),
    }
    received = {
        "early": [T0 + 20],
        "prompt": [T0 + 1.5],
        "late": [T0 + 20, T0 + 21],
        "open": [T0 + 4.1],
        "after": [T0 + 50],
    }

    fates = find_fates(events, received, T0, live_s=T0 + 1.5)

    assert fates == Fates(
        pushed=6,
        missing=1,
        unconfirmed=1,
        repeated=1,
        in_window=4,
        delays_s=[18.0],
        misrouted=1,
        third_copy=1,
    )
    assert fates.delayed_share == 0.25


def test_row():
    """A row of the table says all of it."""
    fates = Fates(10, 0, 0, 0, in_window=4, delays_s=[2.0, 3.0, 10.0], misrouted=2, third_copy=1)
    ends = [End(0, 1.0, 2.0), End(1, 1.5, 2.0)]
    result = Result("flush", 2, ends, 1, 3, fates, is_healed=True, machine_s=0, log="")

    cells = [cell.strip() for cell in row(result, "a fault", "peers").split("|")[1:-1]]

    assert cells == [
        "a fault", "2", "1.0 \N{EN DASH} 1.5", "2.0 after its end", "1 / 3", "0",
        "3 of 4 (75%)", "3.0 / 10.0", "2", "1", "peers",
    ]  # fmt: skip
