"""The new file that a salvage fills."""

import contextlib
import sqlite3
import stat

import pytest
from journal.contract import NOW_MS
from journal.wreck import event
from msgspec.structs import replace

from feishu_ws.journal import rebuild
from feishu_ws.journal.rebuild import Rebuild
from feishu_ws.journal.rows import Row, Table, bury_damaged
from feishu_ws.journal.schema import APPLICATION_ID, VERSION
from feishu_ws.journal.sends import row_of
from feishu_ws.journal.store import _row
from feishu_ws.model import OutgoingSend, SendOutcome


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal.db.salvage"


def stored(n, at_ms=NOW_MS):
    """Return the row of an event at position n."""
    return Row(Table.EVENT, _row(n, event(n, at_ms)))


def query(path, sql):
    """Return rows of the finished file."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        return db.execute(sql).fetchall()


@contextlib.contextmanager
def finished(path, last=99):
    """Fill a file and finish it."""
    with Rebuild(path) as new:
        yield new
        new.finish(last)


def test_a_finished_file(path):
    """A finished file is a whole journal that only its owner can open."""
    path.write_bytes(b"left of an earlier one")
    with finished(path) as new:
        new.add_all(stored(n) for n in range(1, 1001))

    pragmas = ("user_version", "application_id", "auto_vacuum", "integrity_check")
    assert [query(path, f"PRAGMA {name}") for name in pragmas] == [
        [(VERSION,)], [(APPLICATION_ID,)], [(2,)], [("ok",)],
    ]  # fmt: skip
    assert query(path, "SELECT count(*), min(position), max(position) FROM event") == [
        (1000, 1, 1000)
    ]
    assert query(path, "SELECT * FROM sqlite_sequence") == [("event", 99)]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_the_first_of_two_counts(path):
    """A row never takes the place of one that came before it."""
    other = Row(Table.EVENT, (*stored(1).values[:-1], b"other"))
    with finished(path) as new:
        new.add_all([stored(1), other, Row(Table.SEEN, (1, bytes(16), 5))])
        new.add(Row(Table.SEEN, (2, bytes(16), 6)))

    assert query(path, "SELECT payload FROM event") == [(event(1, 0).payload,)]
    assert query(path, "SELECT id, seen_ms FROM seen") == [(1, 5)]


MADE = OutgoingSend.make("u", "oc", b"request", NOW_MS)
TRIED = replace(MADE, attempts=1, first_attempt_ms=NOW_MS)
AGAIN = replace(TRIED, attempts=2)
CLOSED = replace(AGAIN, request=b"", outcome=SendOutcome("sent", b"{}"), closed_ms=NOW_MS)
LATER = OutgoingSend.make("u", "oc_2", b"another", NOW_MS + 1)


@pytest.mark.parametrize(
    ("images", "kept"),
    [
        ([MADE, TRIED], TRIED),
        ([MADE, AGAIN, TRIED], AGAIN),
        ([AGAIN, CLOSED], CLOSED),
        ([TRIED, CLOSED, MADE], CLOSED),
        ([CLOSED, LATER], LATER),
        ([LATER, CLOSED], LATER),
    ],
)
def test_the_image_of_a_send_that_went_further_counts(path, images, kept):
    """Of several images of a send the newest is kept, in whatever order they are found."""
    for order in (images, images[::-1]):
        with finished(path) as new:
            for send in order:
                number = 5 if send is not LATER else 9
                new.add(Row(Table.SEND, row_of(replace(send, number=number))))

        (found,) = query(path, "SELECT * FROM send")
        assert found[1:] == row_of(kept)[1:]


def test_a_damaged_image_of_a_send(path):
    """It counts only where there is no other."""
    spoilt = Row(Table.SEND, row_of(replace(MADE, number=5, request=b"spoilt")))
    with finished(path) as new:
        new.add(Row(Table.SEND, row_of(replace(TRIED, number=5))))
        new.add(bury_damaged(spoilt))
    first = query(path, "SELECT request, kind FROM send")
    with finished(path) as new:
        new.add(bury_damaged(spoilt))

    assert first == [(b"request", "")]
    assert query(path, "SELECT request, kind FROM send") == [(b"spoilt", "damaged")]


def test_large_rows_do_not_wait(path, monkeypatch):
    """What waits to be written is bounded in bytes."""
    monkeypatch.setattr(rebuild, "BATCH_BYTES", 1000)
    with finished(path) as new:
        for n in range(1, 50):
            new.add(stored(n))
            assert new._waiting_bytes < 1000


def test_keys_that_only_the_index_has(path):
    """Such a key is as old as the one before it, and gives way to what has its number."""
    keys = [bytes([n]) * 16 for n in range(6)]
    with finished(path) as new:
        new.add_all([Row(Table.SEEN, (2, keys[2], 700)), Row(Table.SEEN, (4, keys[4], 800))])
        rows = [Row(Table.KEY, (key, n)) for n, key in enumerate(keys[:5], start=0)]
        new.add_keys_of_index([*rows, Row(Table.KEY, (keys[5], 2))], NOW_MS)

    assert query(path, "SELECT id, key, seen_ms FROM seen ORDER BY id") == [
        (0, keys[0], NOW_MS), (1, keys[1], NOW_MS), (2, keys[2], 700),
        (3, keys[3], 700), (4, keys[4], 800), (5, keys[5], NOW_MS),
    ]  # fmt: skip


def test_keys_of_events(path, monkeypatch):
    """Events from a moment on have their keys again, with their age; known ones keep theirs."""
    monkeypatch.setattr(rebuild, "KEYS_AT_ONCE", 3)
    known = event(20, NOW_MS).keys[0]
    with finished(path) as new:
        new.add_all(stored(n, NOW_MS + n) for n in range(1, 31))
        new.add(Row(Table.SEEN, (1, known, 5)))
        told = []
        new.add_keys_of_events(NOW_MS + 11, lambda: told.append(1))

    found = dict(query(path, "SELECT key, seen_ms FROM seen"))
    assert len(told) > 5
    for n in range(1, 31):
        keys = set(event(n, 0).keys)
        assert keys <= found.keys() if n >= 11 else keys.isdisjoint(found)
    assert found.pop(known) == 5
    assert set(found.values()) == set(range(NOW_MS + 11, NOW_MS + 31))


def test_keys_of_an_event_with_a_damaged_date(path):
    """An event between others that says it is ancient has its keys all the same."""
    with finished(path) as new:
        new.add_all([stored(1, NOW_MS), stored(2, 0), stored(3, NOW_MS)])
        new.add_keys_of_events(NOW_MS, print)

    found = dict(query(path, "SELECT key, seen_ms FROM seen"))
    assert found.keys() == {key for n in (1, 2, 3) for key in event(n, 0).keys}
    assert set(found.values()) == {NOW_MS}


def test_dead_letters_without_their_event(path):
    """A dead letter of which nothing is left but its name goes."""
    letters = [Row(Table.DEAD, (n, "bot", n, "rejected", "", 1, 5)) for n in (1, 2, 3)]
    with finished(path) as new:
        new.add_all([stored(2), *letters])
        new.drop_orphans()

    assert query(path, "SELECT position FROM dead") == [(2,)]


def test_what_is_missing(path):
    """Spans without events are told, the first of them only, and none where all are there."""
    with finished(path) as new:
        new.add_all(stored(n) for n in (3, 4, 7, 9))

        assert new.missing(1, 10, 9) == [(1, 2), (5, 6), (8, 8), (10, 10)]
        assert new.missing(1, 10, 2) == [(1, 2), (5, 6)]
        assert new.missing(3, 4, 9) == []
        assert new.missing(5, 6, 9) == [(5, 6)]
        assert new.span() == (3, 9)
        assert new.received_ms(7) == NOW_MS


def test_nothing(path):
    """An empty file is a journal too."""
    with finished(path) as new:
        assert new.span() == (0, 0)
        new.add_keys_of_events(0, print)

    assert query(path, "SELECT * FROM sqlite_sequence") == [("event", 99)]


def test_what_is_given_up(path):
    """A file that is given up is gone, also twice."""
    with Rebuild(path) as new:
        new.add(stored(1))
    new.discard()
    new.discard()

    assert not path.exists()
