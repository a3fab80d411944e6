"""How a row is told from rubbish, and that the shapes are the schema's."""

import contextlib
import sqlite3

import msgspec
import pytest
from journal.contract import make_event
from journal.wreck import event

from feishu_ws.events.envelope import open_envelope
from feishu_ws.events.keys import dedupe_keys
from feishu_ws.journal.rows import (
    JOURNAL_ID,
    MOST_POSITION,
    Row,
    Table,
    bury_damaged,
    is_journal_id,
    is_of_shape,
    is_readable,
    is_sendable,
    keys_of,
    mend,
    recognise,
)
from feishu_ws.journal.schema import migrate
from feishu_ws.journal.sends import row_of
from feishu_ws.journal.store import _row
from feishu_ws.model import (
    MAX_ANSWER_BYTES,
    MAX_PAYLOAD_BYTES,
    MAX_REQUEST_BYTES,
    Filter,
    Form,
    OutgoingSend,
    SendKind,
    SendOutcome,
)

NOW_MS = 1_774_004_591_415
FILTER = msgspec.json.encode(Filter(("im.*",)))
KEY = bytes(range(16))
EVENT = (7, NOW_MS, "im.x", "ev", "2.0", "t", "cli", None, "s", "oc", 1, b'{"a":1}')
GOOD = {
    Table.EVENT: EVENT,
    Table.SEEN: (3, KEY, NOW_MS),
    Table.DEAD: (2, "bot", 7, "rejected", "why", 16, NOW_MS),
    Table.CONSUMER: ("bot", FILTER, 6, 1, NOW_MS),
    Table.AHEAD: ("bot", 8, 9),
    Table.ATTEMPT: ("bot", 7, 2, NOW_MS, "why"),
    Table.FACT: ("proven", "yes"),
    Table.LIFE: (4, 0, NOW_MS, b'{"link":0}'),
    Table.SEND: (5, "u", "oc", b"{}", KEY, NOW_MS, 0, None, None, 0, "", b""),
    Table.SEQUENCE: ("event", 7),
    Table.KEY: (KEY, 3),
}
BY_ROWID = {Table.EVENT, Table.SEEN, Table.DEAD, Table.LIFE, Table.SEND}


def as_record(table, row):
    """Return (columns, rowid) as they stand on a page."""
    if table in BY_ROWID:
        return (None, *row[1:]), row[0]
    return row, 1 if table is Table.SEQUENCE else None


@pytest.fixture(scope="module")
def schema():
    """A database with our tables."""
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        migrate(db)
        yield db


# -- the shapes ---------------------------------------------------------------------------


def test_there_is_a_shape_for_every_table(schema):
    """Every table of the schema has a shape, and no others do but SQLite's own."""
    names = {name for (name,) in schema.execute("SELECT name FROM sqlite_master WHERE sql > ''")}
    ours = {str(table) for table in GOOD} - {"sqlite_sequence", "sqlite_autoindex_seen_1"}

    assert names - {"dead_by_position", "send_by_close", "sqlite_sequence"} == ours


@pytest.mark.parametrize("table", [t for t in GOOD if t != Table.KEY])
def test_a_shape_is_what_the_schema_says(schema, table):
    """Columns, their number, order and types are those of the schema."""
    types = {int: "INTEGER", str: "TEXT", bytes: "BLOB", type(None): "INTEGER"}
    told = [row[2] for row in schema.execute(f"PRAGMA table_info({table})")]

    if table is not Table.SEQUENCE:  # SQLite declares no types for its own
        assert [types[type(value)] for value in GOOD[table]] == told
    assert len(told) == len(GOOD[table])


@pytest.mark.parametrize("table", GOOD)
def test_a_row_is_recognised(table):
    """A row of every table is told by its columns alone."""
    values, rowid = as_record(table, GOOD[table])

    assert recognise(values, rowid) == Row(table, GOOD[table])


def test_what_is_stored_is_recognised():
    """Rows as the store writes them are events."""
    for n in range(5):
        for stored in (event(n, NOW_MS), make_event(n)):
            row = _row(n + 1, stored)
            assert recognise((None, *row[1:]), row[0]) == Row(Table.EVENT, row)
            assert is_readable(row)


@pytest.mark.parametrize("table", GOOD)
def test_the_wrong_sort_of_page(table):
    """A record of a table with rowids is nothing on an index's page, and the other way round."""
    values, rowid = as_record(table, GOOD[table])

    assert recognise(values, None if rowid else 1) is None


def changed(table, column, value):
    """Return a case: a good row with one column changed."""
    row = list(GOOD[table])
    row[column] = value
    return pytest.param(table, tuple(row), id=f"{table}-{column}-{str(value)[:12]}")


@pytest.mark.parametrize(
    ("table", "row"),
    [
        changed(Table.EVENT, 0, 0),
        changed(Table.EVENT, 0, -5),
        changed(Table.EVENT, 0, MOST_POSITION + 1),
        changed(Table.EVENT, 1, -1),
        changed(Table.EVENT, 1, 2**60),
        changed(Table.EVENT, 2, "a\0b"),
        changed(Table.EVENT, 3, "x" * 257),
        changed(Table.EVENT, 4, None),
        changed(Table.EVENT, 7, 2**60),
        changed(Table.EVENT, 7, "x"),
        changed(Table.EVENT, 10, 3),
        changed(Table.EVENT, 10, 16),
        changed(Table.EVENT, 10, -1),
        changed(Table.EVENT, 11, "text"),
        changed(Table.EVENT, 11, bytes(MAX_PAYLOAD_BYTES + 1)),
        changed(Table.SEEN, 1, b"short"),
        changed(Table.SEEN, 2, -1),
        changed(Table.DEAD, 1, "NOBODY"),
        changed(Table.DEAD, 2, 0),
        changed(Table.CONSUMER, 0, ""),
        changed(Table.CONSUMER, 0, "a/b"),
        changed(Table.CONSUMER, 1, b"\0"),
        changed(Table.CONSUMER, 1, b'{"types":"x"}'),
        changed(Table.CONSUMER, 2, -1),
        changed(Table.CONSUMER, 3, 2),
        changed(Table.CONSUMER, 4, 2**60),
        changed(Table.AHEAD, 1, 0),
        changed(Table.AHEAD, 2, 7),
        changed(Table.ATTEMPT, 2, -1),
        changed(Table.ATTEMPT, 4, "x" * 5000),
        changed(Table.FACT, 0, "a\nb"),
        changed(Table.FACT, 1, "x" * 70_000),
        changed(Table.SEQUENCE, 1, -1),
        changed(Table.KEY, 0, b""),
        changed(Table.SEND, 0, 0),
        changed(Table.SEND, 1, ""),
        changed(Table.SEND, 1, "u" * 51),
        changed(Table.SEND, 2, "a\0b"),
        changed(Table.SEND, 3, bytes(MAX_REQUEST_BYTES + 1)),
        changed(Table.SEND, 4, b"short"),
        changed(Table.SEND, 5, -1),
        changed(Table.SEND, 6, -1),
        changed(Table.SEND, 7, 2**60),
        changed(Table.SEND, 8, 2**60),
        changed(Table.SEND, 9, 2),
        changed(Table.SEND, 10, "a\0b"),
        changed(Table.SEND, 11, bytes(MAX_ANSWER_BYTES + 1)),
    ],
)
def test_what_cannot_be_is_no_row(table, row):
    """A column that holds what nobody can have stored makes the whole row rubbish."""
    assert recognise(*as_record(table, row)) is None


def test_rows_of_others():
    """Columns of no table of ours are nothing."""
    assert recognise((), 1) is None
    assert recognise(("a", "b", "c", "d")) is None
    assert recognise((None, 1.5), 1) is None


def test_a_row_that_sqlite_gave():
    """A row has the shape of a table or it has not, whatever is in it."""
    assert is_of_shape(EVENT, has_rowid=True)
    assert is_of_shape((KEY, 3), has_rowid=False)
    assert not is_of_shape(("7", *EVENT[1:]), has_rowid=True)
    assert not is_of_shape((7, "now", *EVENT[2:]), has_rowid=True)


# -- events -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "payload", "readable"),
    [
        (Form.ONE_LINE, b'{"a":1}', True),
        (Form.MULTI_LINE, b'{\n"a":1}', True),
        (Form.OPAQUE, b"\xff", True),
        (Form.OPAQUE | 8, b"", True),
        (Form.ONE_LINE, b'{"a":', False),
        (Form.ONE_LINE, b'{"a":"\0\0"}', False),
        (Form.MULTI_LINE | 4, b"\xff\xff", False),
        (Form.ONE_LINE, b"", False),
    ],
)
def test_a_payload_that_is_json_no_more(flags, payload, readable):
    """What was JSON and is none now is handed on as what is not JSON, and nothing else changes."""
    row = Row(Table.EVENT, (*EVENT[:10], int(flags), payload))
    mended = mend(row)

    assert is_readable(row.values) is readable
    assert is_readable(mended.values)
    assert (mended is row) is readable
    assert mended.values[:10] == row.values[:10]
    assert mended.values[10] == (flags if readable else flags & ~3)


def test_keys_of_an_event():
    """The keys are those it was stored with; a damaged payload leaves the one of its id."""
    stored = event(1, NOW_MS)
    named = stored.envelope.tenant, stored.envelope.event_id

    assert keys_of(*named, stored.payload) == set(stored.keys)
    assert keys_of(*named, stored.payload[:-9]) > {stored.keys[0]}
    assert keys_of("", "", b"\xff") == set(dedupe_keys(open_envelope(b"\xff"), b"\xff"))


# -- sends --------------------------------------------------------------------------------


@pytest.mark.parametrize("outcome", [None, SendOutcome(SendKind.SENT, b"{}")])
@pytest.mark.parametrize("first_ms", [None, NOW_MS])
def test_sends_as_they_are_stored(outcome, first_ms):
    """With and without attempt and outcome a row is a send, and can be made."""
    made = OutgoingSend.make("u", "oc", b"{}", NOW_MS)
    closed_ms = None if outcome is None else NOW_MS
    row = row_of(
        msgspec.structs.replace(
            made, first_attempt_ms=first_ms, outcome=outcome, closed_ms=closed_ms, number=5
        )
    )

    assert recognise((None, *row[1:]), 5) == Row(Table.SEND, row)
    assert is_sendable(row)


@pytest.mark.parametrize(("column", "value"), [(1, "v"), (2, "oc_2"), (3, b"[]"), (5, 7)])
def test_a_send_that_is_damaged(column, value):
    """One that is not what was asked for is not sent, and becomes a dead letter; it says so once."""
    row = list(row_of(OutgoingSend.make("u", "oc", b"{}", NOW_MS)))
    row[0], row[column] = 5, value
    buried = bury_damaged(Row(Table.SEND, tuple(row)))

    assert not is_sendable(row)
    assert is_sendable(buried.values)
    assert buried.values[:8] == tuple(row[:8])
    assert buried.values[8:] == (row[5], 1, SendKind.DAMAGED, b"")
    assert recognise((None, *buried.values[1:]), 5) == buried


# -- facts --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        (JOURNAL_ID, "45e0a1de-0000-4000-8000-000000000000", True),
        (JOURNAL_ID, "45e0", False),
        ("proven", "45e0a1de-0000-4000-8000-000000000000", False),
    ],
)
def test_what_names_a_journal(key, value, expected):
    """A journal's name is a fact of that key, and a UUID."""
    assert is_journal_id(Row(Table.FACT, (key, value))) is expected
