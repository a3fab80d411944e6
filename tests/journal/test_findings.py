"""What counts of what was found: a doubt costs a redelivery, never a loss."""

import msgspec
import pytest

from feishu_ws.journal.contract import CONSUMERS_LOST
from feishu_ws.journal.findings import (
    DAY_MS,
    FIRST_MS,
    LOG_GAP,
    MOST_PER_MS,
    Findings,
    Trust,
)
from feishu_ws.journal.rows import JOURNAL_ID, MOST_POSITION, Row, Table
from feishu_ws.model import Filter

NOW_MS = 1_774_004_591_415
WANTED = msgspec.json.encode(Filter(("im.*",)))
ID = "45e0a1de-0000-4000-8000-000000000000"


def consumer(name="bot", cursor=5):
    return Row(Table.CONSUMER, (name, WANTED, cursor, 0, NOW_MS))


def event(position):
    return Row(Table.EVENT, (position,))


def findings(*taken, whole=()):
    """Return findings of (row, trust)."""
    found = Findings()
    found.whole.update(whole)
    for row, trust in taken:
        found.take(row, trust)
    return found


def cursors(found, declared=(), earliest=0, last=1000):
    """Return the cursors of the new file by name."""
    wanted = {name: Filter() for name in declared}
    return {row.values[0]: row.values[2] for row in found.consumers(wanted, earliest, last)}


# -- consumers ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("images", "cursor"),
    [
        ([(9, Trust.REACHED)], 9),
        ([(9, Trust.LIKELY), (7, Trust.LIKELY)], 7),
        ([(7, Trust.LIKELY), (9, Trust.LIKELY)], 7),
        ([(9, Trust.REACHED), (3, Trust.LIKELY)], 9),
        ([(3, Trust.LIKELY), (9, Trust.REACHED)], 9),
        ([(3, Trust.CERTAIN), (9, Trust.LIKELY)], 3),
        ([(8, Trust.SCARRED)], 2),
        ([(8, Trust.SCARRED), (4, Trust.LIKELY)], 4),
    ],
)
def test_several_images_of_a_consumer(images, cursor):
    """The surest image counts, of equally sure ones the lower cursor, and of a scarred one none."""
    taken = [(consumer(cursor=at), trust) for at, trust in images]
    found = findings((event(100), Trust.REACHED), *taken)

    assert cursors(found, earliest=2) == {"bot": cursor}


def test_a_cursor_beyond_all_positions():
    """A cursor beyond where new positions begin is no reason to miss new events."""
    found = findings((event(100), Trust.REACHED), (consumer(cursor=2**40), Trust.REACHED))

    assert cursors(found, last=500) == {"bot": 500}


def test_a_whole_table_has_all_there_is():
    """Old images of consumers do not come back where the table was read to its end."""
    found = findings((consumer(), Trust.LIKELY), whole={Table.CONSUMER})

    assert cursors(found, declared=["new"]) == {}
    assert dict(row.values for row in found.facts(3, NOW_MS)) == {}


def test_declared_consumers_that_are_lost():
    """A declared consumer whose row is gone begins with the first event, as what it is declared."""
    found = findings((event(100), Trust.REACHED), (consumer(), Trust.REACHED))
    lost = Filter(("x",), ("oc",), ignore_own=True)
    rows = list(found.consumers({"bot": Filter(), "lost": lost}, 41, 1000))

    assert rows[0] == Row(Table.CONSUMER, ("bot", WANTED, 5, 0, NOW_MS))
    assert rows[1].values[2:] == (41, 1, 0)
    assert msgspec.json.decode(rows[1].values[1], type=Filter) == lost


def test_the_word_that_consumers_were_lost():
    """Where others may have been lost, a fact says where unknown ones begin, and since when."""
    assert list(findings().facts(41, NOW_MS)) == [Row(Table.FACT, (CONSUMERS_LOST, f"41 {NOW_MS}"))]


# -- ahead of cursors ---------------------------------------------------------------------


@pytest.mark.parametrize("trust", Trust)
def test_what_was_settled_ahead(trust):
    """Spans and attempts count only from pages that are in use for sure."""
    span = Row(Table.AHEAD, ("bot", 8, 9))
    attempt = Row(Table.ATTEMPT, ("bot", 7, 1, 0, ""))
    found = findings((span, trust), (attempt, trust))
    expected = [span, attempt] if trust >= Trust.CERTAIN else []

    assert list(found.progress([consumer()])) == expected
    assert list(found.progress([consumer(cursor=9)])) == []
    assert list(found.progress([consumer("other")])) == []


# -- facts --------------------------------------------------------------------------------


def test_facts():
    """The surest fact counts; what cannot name a journal does not; a scarred page gives only that."""
    found = findings(
        (Row(Table.FACT, ("a", "old")), Trust.LIKELY),
        (Row(Table.FACT, ("a", "new")), Trust.REACHED),
        (Row(Table.FACT, ("b", "?")), Trust.SCARRED),
        (Row(Table.FACT, (JOURNAL_ID, "no uuid")), Trust.REACHED),
        (Row(Table.FACT, (JOURNAL_ID, ID)), Trust.SCARRED),
        whole={Table.CONSUMER},
    )

    assert dict(row.values for row in found.facts(0, NOW_MS)) == {"a": "new", JOURNAL_ID: ID}


# -- whose it is --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "ours"),
    [
        (event(1), True),
        (consumer(), True),
        (Row(Table.SEEN, (1, bytes(16), NOW_MS)), True),
        (Row(Table.FACT, (JOURNAL_ID, ID)), True),
        (Row(Table.FACT, (JOURNAL_ID, "x")), False),
        (Row(Table.FACT, ("a", "b")), False),
        (Row(Table.AHEAD, ("bot", 1, 2)), False),
        (Row(Table.SEQUENCE, ("event", 1)), False),
    ],
)
def test_evidence(row, ours):
    """Rows of a shape that others may have say nothing of whose file it is."""
    assert findings((row, Trust.REACHED)).is_ours is ours


# -- positions ----------------------------------------------------------------------------


def test_the_counter_was_read():
    """With the counter read, only what a lost log may have held is left out."""
    sequence = Row(Table.SEQUENCE, ("event", 500))
    found = findings((event(400), Trust.REACHED), (sequence, Trust.REACHED), whole={Table.SEQUENCE})

    assert found.last_position(NOW_MS, NOW_MS) == 500 + LOG_GAP


@pytest.mark.parametrize(
    ("newest_ms", "elapsed_ms"),
    [
        (NOW_MS, 0),
        (NOW_MS - 60_000, 60_000),
        (NOW_MS + 60_000, 0),  # the clock is behind
        (0, NOW_MS - FIRST_MS),  # no event is left
    ],
)
@pytest.mark.parametrize("sequence", [0, 300])
def test_the_counter_is_gone(newest_ms, elapsed_ms, sequence):
    """Without a counter to believe, time bounds how many events there can have been."""
    found = findings((event(400), Trust.REACHED), whole={Table.SEQUENCE} if sequence else ())
    found.sequence = sequence

    last = found.last_position(newest_ms, NOW_MS)

    assert last == 400 + MOST_PER_MS * (elapsed_ms + DAY_MS)


def test_every_trace_counts():
    """The highest position of any row counts, and keys of branches where the counter is gone."""
    found = findings(
        (event(3), Trust.LIKELY),
        (Row(Table.DEAD, (1, "bot", 20, "", "", 1, 0)), Trust.LIKELY),
        (Row(Table.AHEAD, ("bot", 30, 31)), Trust.CERTAIN),
        (Row(Table.ATTEMPT, ("bot", 32, 1, 0, "")), Trust.CERTAIN),
    )
    found.note_key(90)
    found.note_key(50)
    found.note_position(MOST_POSITION + 1)

    assert found.highest == 32
    assert found.last_position(NOW_MS, NOW_MS) == 90 + MOST_PER_MS * DAY_MS


def test_numbers_stay_exact():
    """Even with no event left, positions are numbers that every JSON reader reads exactly."""
    far_ms = 4_102_444_800_000
    found = findings((event(MOST_POSITION), Trust.REACHED))

    assert found.last_position(0, far_ms) < 2**53
