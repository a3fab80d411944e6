"""`feishu-ws incidents`: a table, a timeline and a sum."""

import io
import json
import time
from itertools import pairwise

import pytest

from feishu_ws.cli.incidents import PIPE_COLUMNS, describe, duration
from feishu_ws.downstream.incidents import incidents_object
from feishu_ws.faults import Fault
from feishu_ws.model import LinkLife, Tried

HOUR = 3_600_000
NOW = 1_774_004_591_415  # 2026-03-20 11:03:11 UTC


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


BUSY = Tried(Fault.FEISHU_BUSY, "discovery", 1000040350, 1, 0, 0)
DAY = (
    LinkLife(0, at(30) - 5, Fault.LOCAL_STOP, None, back_ms=at(30)),
    LinkLife(1, at(30) - 5, Fault.LOCAL_STOP, None, back_ms=at(30)),
    LinkLife(0, at(20), Fault.PONG_OVERDUE, 36_000.0, back_ms=at(20) + 700),
    LinkLife(
        1, at(12), Fault.CONNECTION_LOST, 18 * 3600.0, close_code=1006, back_ms=at(10),
        tried=(Tried(Fault.DNS_FAILED, "dns", None, 7, 0, 0), BUSY),
    ),
    LinkLife(
        0, at(11), Fault.CLOSED_BY_FEISHU, 9 * 3600.0 - 0.7, close_code=1001,
        back_ms=at(11) + 45_000, tried=(Tried(Fault.DNS_FAILED, "dns", None, 3, 0, 0),),
    ),
)  # fmt: skip
FLEET = {0: at(11) + 45_000, 1: at(10)}


def told(lives=DAY, fleet=FLEET, hours=24):
    """Return the answer to `incidents`."""
    return incidents_object(lives, fleet, at(hours), NOW, 1000)


def show(answer, columns=60, most=40, stream=None):
    """Return what is printed, as lines."""
    return describe(answer, stream or io.StringIO(), columns, most).splitlines()


def test_a_day():
    """What happened, oldest first; where on the day; and the whole in one sentence."""
    lines = show(told())

    assert [line.split() for line in lines[:4]] == [
        ["when", "link", "lived", "why", "away", "for", "tried", "after"],
        ["2026-03-19", "15:03:11", "0", "10", "h", "0", "min", "pong_overdue", "0.7", "s", "-"],
        [
            "2026-03-19", "23:03:11", "1", "18", "h", "0", "min", "connection_lost", "(1006)", "2", "h",
            "0", "min", "dns_failed", "x7,", "feishu_busy", "(1000040350)",
        ],
        [
            "2026-03-20", "00:03:11", "0", "8", "h", "59", "min", "closed_by_feishu", "(1001)", "45", "s",
            "dns_failed", "x3",
        ],
    ]  # fmt: skip
    assert lines[4:] == [
        "",
        "link 0  ########x###################x#######################",
        "link 1  ##########################x...######################",
        "outage                              x",
        "        --+------------+------------+------------+----------",
        "          12:00        18:00        00:00        06:00",
        "",
        "3 losses, 1 outage of 45 s, live 99.9 % of 24 h",
    ]


def test_the_newest_rows_are_shown():
    """The table is bounded, the timeline and the sum are not."""
    lines = show(told(), most=1)

    assert [line[:19] for line in lines[1:3]] == ["2026-03-20 00:03:11", "the newest 1 of 3"]
    assert lines[-1].startswith("3 losses")


def test_a_quiet_day():
    """No table, a timeline of two live links, and a sentence that says so."""
    lines = show(told(DAY[:2], {0: at(30), 1: at(30)}))

    assert lines[0] == "link 0  " + "#" * 52
    assert lines[2] == "outage"
    assert lines[-1] == "no loss, no outage, live 100.0 % of 24 h"


def test_an_outage_that_goes_on():
    """What is not over is said to be so, in the table and in the sum."""
    lines = show(told([LinkLife(0, at(1), Fault.PONG_OVERDUE, 30 * 3600.0)], {0: None}))

    assert lines[1].split()[-2:] == ["still", "-"]
    assert lines[-1] == "1 loss, 1 outage of 1 h 0 min that goes on, live 95.8 % of 24 h"


def stopped(*hours, seconds=20):
    """Return the record of a link whose daemon was restarted so many hours ago."""
    began = (48, *hours)
    return [
        LinkLife(
            0, at(h), Fault.LOCAL_STOP, 3600.0 * (before - h), back_ms=at(h) + round(seconds * 1000)
        )
        for before, h in pairwise(began)
    ]


def test_a_restart_is_no_outage():
    """It is told as what it is, and no link was live meanwhile."""
    lines = show(told(stopped(5, seconds=3), {0: at(5) + 3000}))

    assert lines[-1] == "no loss, no outage, stopped for 3.0 s, live 99.9 % of 24 h"
    assert "outage" in lines  # and nothing in its line


def test_more_restarts_than_one():
    """They are counted and added up; a long one is in the timeline."""
    lines = show(told(stopped(12, 4, seconds=2 * 3600), {0: at(2)}))

    assert lines[-1] == "no loss, no outage, stopped 2 times, for 4 h 0 min, live 83.3 % of 24 h"
    assert [line for line in lines if "#____#" in line] == [lines[-6]]


def test_a_daemon_that_is_stopped():
    """That goes on."""
    lines = show(told([LinkLife(0, at(1), Fault.LOCAL_STOP, 30 * 3600.0)], None))

    assert lines[-1] == "no loss, no outage, stopped for 1 h 0 min until now, live 95.8 % of 24 h"


def test_an_older_daemon_tells_of_no_stops():
    """Its answer is understood all the same."""
    answer = told()
    del answer["stops"]

    assert show(answer)[-1] == "3 losses, 1 outage of 45 s, live 99.9 % of 24 h"


def test_more_outages_than_one():
    """They are counted and added up."""
    lives = [
        LinkLife(0, at(h), Fault.PONG_OVERDUE, 3600.0 * lived, back_ms=at(h) + 20_000)
        for h, lived in ((5, 25), (4, 1))
    ]

    assert show(told(lives, {0: at(4) + 20_000}))[-1].startswith(
        "2 losses, 2 outages, 40 s in all, live 99.9"
    )


@pytest.mark.parametrize("links", [1, 2])
def test_no_link_was_ever_live(links):
    """The first start cannot reach Feishu: that is said, and for how long; the rest is not known."""
    tried = (Tried(Fault.DNS_FAILED, "dns", None, 9, NOW - 34_000, NOW),)
    never = LinkLife(0, NOW - 34_000, Fault.DNS_FAILED, None, "no such name", tried=tried)
    lines = show(told([never], dict.fromkeys(range(links))))

    assert lines[1].split()[2:] == ["0", "-", "dns_failed", "still", "dns_failed", "x9"]
    assert lines[-1] == "no link was ever live, for 34 s"


def test_a_first_start_that_took_its_time_was_an_outage():
    """Until the first link was live none was, though only one of them was tried."""
    tried = (Tried(Fault.DNS_FAILED, "dns", None, 3, at(2), at(1)),)
    first = LinkLife(0, at(2), Fault.DNS_FAILED, None, tried=tried, back_ms=at(1))
    second = LinkLife(1, at(1) + 5, Fault.LOCAL_STOP, None, back_ms=at(1) + 10)
    lines = show(told([first, second], {0: at(1), 1: at(1) + 10}))

    assert lines[-1] == (
        "no loss, 1 outage of 1 h 0 min, live 50.0 % of the 2 h 0 min that are known"
    )


def test_what_is_known_of_less_than_was_asked_for():
    """The share is one of what is known, and that is said."""
    lines = show(told(DAY[:2], {0: at(2), 1: at(2)}, hours=48))
    nothing = show(told([], None))

    assert lines[-1] == "no loss, no outage, live 100.0 % of the 2 h 0 min that are known"
    assert nothing == ["no loss, no outage, nothing is known of the time between"]


def test_many_ways_to_fail_are_cut():
    """Of a long outage the last attempts are shown."""
    tried = tuple(Tried(Fault.FEISHU_BUSY, "discovery", code, 1, 0, 0) for code in range(9))
    lines = show(told([LinkLife(0, at(1), Fault.PONG_OVERDUE, 5.0, tried=tried)], None))

    assert lines[1].endswith(
        "  ..., feishu_busy (5), feishu_busy (6), feishu_busy (7), feishu_busy (8)"
    )


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (0.04, "0.0 s"), (9.96, "10.0 s"), (10, "10 s"), (7200, "2 h 0 min")]
)  # fmt: skip
def test_durations(seconds, text):
    """Short ones have tenths."""
    assert duration(seconds) == text


def test_a_terminal(monkeypatch):
    """Blocks in colours where they can be shown, ASCII where not."""

    class Terminal(io.StringIO):
        encoding = "utf-8"

        def isatty(self):
            return True

    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    blocks = "\n".join(show(told(), stream=Terminal()))
    Terminal.encoding = "ascii"
    plain = "\n".join(show(told(), stream=Terminal()))

    assert "\x1b[31m▒\x1b[0m" in blocks
    assert plain.isascii()


async def test_beside_a_daemon(here, daemon):
    """It asks for all there is since then, and prints it."""
    answer = told()
    daemon.results = {"incidents": answer}
    before_ms = time.time() * 1000
    code, out, err = await here("incidents", "--socket", daemon.path, "--since", "2h")

    [params] = daemon.params("incidents")
    assert (code, err) == (0, "")
    assert out.rstrip("\n").splitlines() == show(answer, PIPE_COLUMNS)
    assert params["limit"] == 1000
    assert abs(params["since_ms"] - (before_ms - 2 * HOUR)) < 60_000


async def test_for_programs(here, daemon):
    """`--json` passes on what the daemon said; the default is a day."""
    answer = told()
    daemon.results = {"incidents": answer}
    _, out, _ = await here("incidents", "--socket", daemon.path, "--json", "--max", "7")

    [params] = daemon.params("incidents")
    assert json.loads(out) == json.loads(json.dumps(answer))
    assert params["limit"] == 7
    assert abs(params["since_ms"] - (time.time() * 1000 - 24 * HOUR)) < 60_000


async def test_on_a_stopped_journal(here, stopped):
    """Without a daemon the journal is asked; nobody knows how the links are now."""
    journal = stopped.open()
    now_ms = round(time.time() * 1000)
    journal.record_life(
        LinkLife(0, now_ms - 60_000, Fault.PONG_OVERDUE, 60.0, back_ms=now_ms - 55_000)
    )
    await journal.close(5)
    code, out, err = await here("incidents", "--since", "1h")

    assert code == 0
    assert "no daemon runs" in err
    assert "pong_overdue" in out
    assert (
        out.splitlines()[-1] == "1 loss, 1 outage of 5.0 s, live 92.3 % of the 1 min that are known"
    )


@pytest.mark.parametrize("since", ["7", "earliest", "yesterday"])
async def test_a_time_that_is_none(here, since):
    """A position or a word is refused with what was expected."""
    code, out, err = await here("incidents", "--since", since)

    assert (code, out) == (64, "")
    assert "is no" in err


async def test_a_time_to_come(here):
    """Nothing has happened then."""
    code, _, err = await here("incidents", "--since", "2999-01-01")

    assert code == 64
    assert "still to come" in err
    assert "try: --since an age such as 2h, or a time that was\n" in err
