"""The tables on disk and their versions."""

import sqlite3

import pytest

from feishu_ws.faults import Fault, FeishuWsError
from feishu_ws.journal import schema
from feishu_ws.journal.schema import (
    APPLICATION_ID,
    VERSION,
    NoJournalError,
    Origin,
    check_tables,
    check_version,
    migrate,
    origin_of,
)


@pytest.fixture
def connection():
    connection = sqlite3.connect(":memory:", isolation_level=None)
    yield connection
    connection.close()


def tables(connection):
    """Return the names of the tables."""
    return {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}


def test_a_new_file_gets_the_current_version(connection):
    """Migrating an empty file makes every table and notes the version; again changes nothing."""
    assert check_version(connection) == 0
    assert migrate(connection) == VERSION
    before = tables(connection)
    assert migrate(connection) == VERSION

    assert {"event", "seen", "consumer", "ahead", "attempt", "dead", "fact", "life"} <= before
    assert tables(connection) == before
    assert check_version(connection) == VERSION


@pytest.mark.parametrize("check", [check_version, migrate])
def test_a_newer_file_is_refused(connection, check):
    """A version this program does not know is named, with what it knows."""
    connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    with pytest.raises(FeishuWsError, match=f"version {VERSION + 1}.*up to {VERSION}") as refused:
        check(connection)

    assert refused.value.fault is Fault.JOURNAL_VERSION
    assert tables(connection) == set()


def test_a_step_that_fails_changes_nothing(connection, monkeypatch):
    """Each migration is one transaction: a step that fails leaves the version before it."""
    migrate(connection)
    steps = (*schema.MIGRATIONS, "CREATE TABLE more (id INTEGER); INSERT INTO nowhere VALUES (1);")
    monkeypatch.setattr(schema, "MIGRATIONS", steps)
    monkeypatch.setattr(schema, "VERSION", len(steps))
    with pytest.raises(sqlite3.OperationalError):
        migrate(connection)
    connection.rollback()

    assert check_version(connection) == VERSION
    assert "more" not in tables(connection)


def test_steps_are_taken_one_after_the_other(connection, monkeypatch):
    """An older file takes only the steps it lacks."""
    migrate(connection)
    steps = (*schema.MIGRATIONS, "CREATE TABLE more (id INTEGER)", "INSERT INTO more VALUES (7)")
    monkeypatch.setattr(schema, "MIGRATIONS", steps)
    monkeypatch.setattr(schema, "VERSION", len(steps))

    assert migrate(connection) == len(steps)
    assert connection.execute("SELECT id FROM more").fetchall() == [(7,)]


def test_positions_are_never_used_again(connection):
    """An emptied table goes on counting where it was."""
    migrate(connection)
    row = "(received_ms, type, event_id, schema, tenant, app_id, subject, chat_id, flags, payload)"
    insert = f"INSERT INTO event {row} VALUES (0, '', '', '', '', '', '', '', 0, x'')"
    connection.execute(insert)
    connection.execute("DELETE FROM event")
    connection.execute(insert)

    assert connection.execute("SELECT position FROM event").fetchall() == [(2,)]


# -- whose file it is ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "origin"),
    [
        ((), Origin.UNKNOWN),
        (("sqlite_sequence",), Origin.UNKNOWN),
        (("event", "consumer"), Origin.UNKNOWN),
        (("event", "seen", "dead", "fact"), Origin.OURS),
        (("event", "seen", "dead", "fact", "later"), Origin.OURS),
        (("event", "calendar"), Origin.FOREIGN),
    ],
)
def test_whose_tables(names, origin):
    """Enough of our names make a file ours; a name that is not makes it another's."""
    assert origin_of(names) is origin


def test_a_new_file_says_whose_it_is(connection, tmp_path):
    """A file made from now on carries our id; one that was made before has none, and is ours."""
    check_tables(connection, tmp_path)
    migrate(connection)
    check_tables(connection, tmp_path)
    (mark,) = connection.execute("PRAGMA application_id").fetchone()
    connection.execute("PRAGMA application_id = 0")
    check_tables(connection, tmp_path)

    assert mark == APPLICATION_ID


@pytest.mark.parametrize(
    "damage",
    [
        "DROP TABLE seen",
        "DROP INDEX dead_by_position",
        "ALTER TABLE event RENAME COLUMN subject TO subjxct",
        "PRAGMA user_version = 0",
        "PRAGMA user_version = 1",
        "PRAGMA application_id = 7",
    ],
)
def test_a_file_that_is_not_as_its_version_says(connection, tmp_path, damage):
    """Tables that are missing, too many, or made in another way, are damage."""
    migrate(connection)
    connection.execute(damage)
    with pytest.raises(FeishuWsError, match="is not that of version") as refused:
        check_tables(connection, tmp_path)

    assert refused.value.fault is Fault.JOURNAL_CORRUPT
    assert not isinstance(refused.value, NoJournalError)


def test_what_an_operator_adds(connection, tmp_path):
    """An index or a view that somebody added is no damage."""
    migrate(connection)
    connection.execute("CREATE INDEX by_type ON event (type)")
    connection.execute("CREATE VIEW lately AS SELECT * FROM event")
    check_tables(connection, tmp_path)


@pytest.mark.parametrize("version", range(1, VERSION + 1))
def test_files_of_every_version(connection, tmp_path, version):
    """What each version made is what it is expected to have."""
    for script in schema.MIGRATIONS[:version]:
        connection.executescript(script)
    connection.execute(f"PRAGMA user_version = {version}")
    check_tables(connection, tmp_path)


@pytest.mark.parametrize("version", [0, 1])
def test_another_programs_file(connection, tmp_path, version):
    """A file with tables of another program is named as that, and nothing is done to it."""
    connection.execute("CREATE TABLE calendar (id INTEGER)")
    connection.execute(f"PRAGMA user_version = {version}")
    with pytest.raises(NoJournalError, match="calendar") as refused:
        check_tables(connection, tmp_path)

    assert "to start a new journal" in refused.value.hint
    assert tables(connection) == {"calendar"}


@pytest.mark.parametrize("version", [-1, 1001, 2**31 - 1])
def test_a_version_that_cannot_be(connection, version):
    """A version no program will ever have says that the header is damaged."""
    connection.execute(f"PRAGMA user_version = {version}")
    with pytest.raises(FeishuWsError) as refused:
        check_version(connection)

    assert refused.value.fault is Fault.JOURNAL_CORRUPT
