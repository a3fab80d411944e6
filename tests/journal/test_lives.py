"""The lives of links that are kept."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feishu_ws.faults import Fault
from feishu_ws.journal.contract import MOST_LIVES
from feishu_ws.journal.lives import STEP_ROWS, Lives, decode
from feishu_ws.model import LinkLife, Tried

TRIED = Tried(Fault.DNS_FAILED, "dns", None, 7, 1000, 2000)


def life(ended_ms, link=0, back_ms=None, **more):
    """Return a life that ended."""
    return LinkLife(link, ended_ms, Fault.CONNECTION_LOST, 12.5, back_ms=back_ms, **more)


def rows(store):
    """Return what the table has."""
    return store._db.execute("SELECT id, link, ended_ms FROM life ORDER BY id").fetchall()


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 9))))
def test_one_record_for_each_life(named):
    """A record takes the place of an earlier one of the same life, and its turn."""
    lives = Lives()
    for n, (link, ended_ms) in enumerate(named):
        lives.record(life(ended_ms, link, back_ms=n))

    assert [(each.link, each.ended_ms) for each in lives.values()] == list(dict.fromkeys(named))
    assert {(e.link, e.ended_ms): e.back_ms for e in lives.values()} == {
        key: n for n, key in enumerate(named)
    }


def test_the_oldest_goes_first():
    """No more than `MOST_LIVES` are kept."""
    lives = Lives(life(n) for n in range(MOST_LIVES + 5))

    assert [each.ended_ms for each in lives.values()] == list(range(5, MOST_LIVES + 5))


@pytest.mark.parametrize(
    ("since_ms", "limit", "found"),
    [(0, 9, [1, 2, 3]), (0, 2, [2, 3]), (20, 9, [1, 3]), (21, 9, [3]), (99, 9, [3]), (0, 0, [])],
)
def test_a_life_reaches_until_its_link_was_back(since_ms, limit, found):
    """One that is not back reaches until now; a limit leaves the newest."""
    lives = Lives([life(1, back_ms=20), life(2, back_ms=3), life(3)])

    assert [each.ended_ms for each in lives.newest(since_ms, limit)] == found


def test_what_is_saved_is_loaded(store):
    """Everything of a life is there again, in the order of the first records."""
    first = life(
        1, tried=(TRIED,), phases_s={"dns": 0.1}, close_code=1006, unconfirmed=3, took_s=0.2,
        detail="重置",
    )  # fmt: skip
    store.begin()
    store.lives.save([first, life(2, 1)])
    store.lives.save([msgspec.structs.replace(first, back_ms=9)])
    store.commit()

    assert store.lives.load() == [msgspec.structs.replace(first, back_ms=9), life(2, 1)]


def test_the_table_is_trimmed_in_bounded_steps(store):
    """What is too much, such as after a salvage, goes with the next commits, oldest first."""
    more = [(0, n, b"{}") for n in range(MOST_LIVES + STEP_ROWS + 10)]
    store.begin()
    store._db.executemany("INSERT INTO life (link, ended_ms, record) VALUES (?, ?, ?)", more)
    store.lives.save([life(10**6)])
    left = len(rows(store))
    store.lives.save([life(10**6 + 1)])
    store.commit()

    assert left == MOST_LIVES + 11
    assert len(rows(store)) == MOST_LIVES
    assert rows(store)[-1][2] == 10**6 + 1


def test_nothing_is_written_where_nothing_is_owed(store):
    """Most commits have no life to save."""
    before = store._db.total_changes
    store.lives.save([])

    assert store._db.total_changes == before


@pytest.mark.parametrize(
    "record", [b"", b"{}", b"\xff", b'{"link":0,"ended_ms":1,"fault":"newer","lived_s":1}', None, 7]
)
def test_what_a_newer_program_wrote_is_left_out(store, record):
    """A record that cannot be read is no reason to fail, and the others are there."""
    assert decode(record) is None
    store.begin()
    store.lives.save([life(1)])
    if record is not None:
        store._db.execute("INSERT INTO life (link, ended_ms, record) VALUES (0, 2, ?)", (record,))
    store.commit()

    assert store.lives.load() == [life(1)]


def test_what_a_newer_program_added_is_passed_over():
    """A record with more in it than is known here is read as far as it is."""
    record = msgspec.json.encode(msgspec.to_builtins(life(1)) | {"later": [1]})

    assert decode(record) == life(1)
