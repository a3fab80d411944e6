"""The tables on disk and their versions."""

import sqlite3

import pytest

from feishu_ws.faults import Fault, FeishuWsError
from feishu_ws.journal import schema
from feishu_ws.journal.schema import VERSION, check_version, migrate


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

    assert {"event", "seen", "consumer", "ahead", "attempt", "dead", "fact"} <= before
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
