"""Everything is read a few rows at a time, and what cannot be is noticed."""

import sqlite3

import pytest
from journal.contract import NOW_MS
from journal.filling import fill

from feishu_ws.faults import Fault
from feishu_ws.journal import tour as module
from feishu_ws.journal.file import explain
from feishu_ws.journal.tour import TOURS, DamageError, step
from feishu_ws.model import Attempt

EVENTS, SEEN, INDEX, DEAD, SENDS = TOURS
LETTERS = 1200


@pytest.fixture
def full(store):
    """A journal with something in every table."""
    fill(store, 3000)
    store.begin()
    for n in range(1, LETTERS + 1):
        store.add_dead("bot", n, "rejected", Attempt(1), NOW_MS)
    store.commit()
    return store


def keys(db, tour):
    """Walk a tour; return the keys it stops at."""
    found, key = [], tour.start
    while (key := step(db, tour, key)) is not None:
        found.append(key)
    return found


@pytest.mark.parametrize(
    ("tour", "steps", "last"), [(EVENTS, 24, 3000), (SEEN, 2, 3000), (DEAD, 3, LETTERS)]
)
def test_a_tour(full, tour, steps, last):
    """A tour comes by every row, in steps of bounded length, and ends."""
    found = keys(full._db, tour)

    assert (len(found), found[-1]) == (steps, last)
    assert found == sorted(found)


def test_the_tour_of_an_index(full):
    """The index of keys is read in its own order to its end."""
    (last,) = full._db.execute("SELECT max(key) FROM seen").fetchone()

    assert keys(full._db, INDEX)[-1] == last


@pytest.mark.parametrize("tour", TOURS)
def test_an_empty_journal(store, tour):
    """Where there is nothing a tour ends at once."""
    assert keys(store._db, tour) == []


def test_large_events(store, monkeypatch):
    """A step ends after some bytes, however large the events are."""
    monkeypatch.setattr(module, "STEP_BYTES", 250_000)
    fill(store, 20, size=100_000)

    assert keys(store._db, EVENTS) == [3, 6, 9, 12, 15, 18, 20]


@pytest.mark.parametrize(
    ("tour", "damage"),
    [
        (EVENTS, "UPDATE event SET payload = x'7b' WHERE position = 500"),
        (EVENTS, "UPDATE event SET type = x'00' WHERE position = 500"),
        (EVENTS, "UPDATE event SET received_ms = 'x' WHERE position = 500"),
        (EVENTS, "UPDATE event SET payload = 'x' WHERE position = 500"),
        (EVENTS, "UPDATE event SET subject = cast(x'ff41' AS TEXT) WHERE position = 500"),
        (SEEN, "UPDATE seen SET seen_ms = 'x' WHERE id = 500"),
        (SEEN, "UPDATE seen SET key = 'x' WHERE id = 500"),
        (DEAD, "UPDATE dead SET note = x'00' WHERE id = 500"),
    ],
)
def test_rows_that_make_no_sense(full, tour, damage):
    """A row that SQLite gives without a word and that cannot be ours is damage."""
    full._db.execute(damage)
    with pytest.raises(sqlite3.Error) as found:
        keys(full._db, tour)

    assert explain(found.value, full._db).fault is Fault.JOURNAL_CORRUPT
    assert "A" not in explain(found.value, "path").detail  # nothing of what is in the row


class Shuffled:
    """A connection that gives rows in no order, as a page in the wrong place would."""

    def __init__(self, rows):
        self.rows = rows

    def execute(self, *_):
        return self

    def __iter__(self):
        return iter(self.rows)

    def close(self):
        pass


@pytest.mark.parametrize("ids", [(5, 4), (5, 5), (2, 3)])
def test_rows_out_of_order(ids):
    """Rows that do not ascend, or lie below where the step began, are damage."""
    rows = [(n, bytes(16), NOW_MS) for n in ids]
    with pytest.raises(DamageError):
        step(Shuffled(rows), SEEN, 3)
