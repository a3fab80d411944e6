"""The journal of schema 1 that is out there is opened by every version since."""

import hashlib
import shutil
import sqlite3
from contextlib import closing

import pytest
from journal.contract import append, place
from support import eventually
from tools import golden

from feishu_ws.clock import ManualClock
from feishu_ws.events.envelope import open_envelope
from feishu_ws.events.keys import dedupe_keys
from feishu_ws.happenings import JournalSalvaged
from feishu_ws.journal.contract import JournalSettings
from feishu_ws.journal.schema import MIGRATIONS
from feishu_ws.model import Attempt, Event, Filter, Form, Outcome, Verdict

SHA256 = "cb629f1581ca9cf72c8555fea6fda65a98fee46783645449baad8adb9073604d"
DECLARED = JournalSettings(declared={"declared": Filter()}, dedupe_hours=48, retention_hours=48)


@pytest.fixture
async def opened(tmp_path, open_journal):
    """A copy of the golden journal, opened a moment after it was left."""
    path = tmp_path / "journal.db"
    shutil.copy(golden.TARGET, path)
    clock = ManualClock(golden.NOW_MS + 1000)
    return open_journal(DECLARED, path=path, clock=clock)


def tables(db):
    """Return what a file says of its tables and indexes."""
    query = "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY name"
    return db.execute(query).fetchall()


def event_of(payload):
    """Return an event as intake makes it today."""
    envelope = open_envelope(payload)
    return Event(envelope, payload, golden.NOW_MS, dedupe_keys(envelope, payload))


def test_it_is_the_one_that_was_made():
    """The file is never made again: it stands for those that are out there."""
    assert hashlib.sha256(golden.TARGET.read_bytes()).hexdigest() == SHA256


def test_version_1_is_never_edited():
    """Tables and indexes of the file are, letter by letter, what version 1 of the schema makes."""
    with closing(sqlite3.connect(":memory:")) as made:
        made.executescript(MIGRATIONS[0])
        expected = tables(made)
    uri = f"file:{golden.TARGET}?mode=ro&immutable=1"
    with closing(sqlite3.connect(uri, uri=True)) as found:
        assert tables(found) == expected
        assert found.execute("PRAGMA user_version").fetchone() == (1,)


def contents(path):
    """Return all rows of all tables of a file."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)) as db:
        names = [name for kind, name, _, _ in tables(db) if kind == "table"]
        return {name: db.execute(f"SELECT * FROM {name}").fetchall() for name in names}


def test_how_it_was_made(tmp_path):
    """What made it is checked in and says what is in it; all of that is in the file itself."""
    golden.make(tmp_path / "again.db")

    assert contents(golden.TARGET) == contents(tmp_path / "again.db")
    assert {p.suffix for p in golden.TARGET.parent.iterdir()} == {".db"}


async def test_its_events(opened):
    """Every event is read with all that was known of it."""
    reading = await opened.journal.read(0)
    found = [
        (
            e.position, e.received_ms, e.envelope.type, e.envelope.event_id, e.envelope.schema,
            e.envelope.tenant, e.envelope.app_id, e.envelope.created_ms, e.envelope.subject,
            e.envelope.chat_id,
            e.envelope.form + 4 * e.envelope.is_callback + 8 * e.envelope.from_app, e.payload,
        )
        for e in reading.events
    ]  # fmt: skip

    assert found == list(golden.EVENTS)
    assert opened.journal.last == golden.LAST
    assert {row[10] & 3 for row in golden.EVENTS} == set(Form)
    assert opened.told(JournalSalvaged) == []


async def test_its_consumers(opened):
    """Cursors, spans, attempts and filters are there; who is declared is up to the settings."""
    await eventually(lambda: place(opened.journal, "slow")[2] == 5)
    records = opened.journal.consumers()

    assert {name: place(opened.journal, name) for name in records} == {
        "declared": (10, (), 1),  # what its filter does not name was passed over
        "plain": (12, (), 0),
        "slow": (2, ((4, 4), (8, 9)), 5),
    }
    assert records["declared"].filter == Filter(
        ("im.*", "card.*"), ("oc_1", "oc_2"), ignore_own=True
    )
    assert records["declared"].attempts == {11: Attempt(3, golden.NOW_MS + 8000, "again later")}
    assert records["slow"].attempts == {3: Attempt(1), 5: Attempt(0)}
    assert {name: record.declared for name, record in records.items()} == {
        "declared": True, "plain": False, "slow": False,
    }  # fmt: skip
    assert [records[name].last_seen_ms for name in ("declared", "plain", "slow")] == [
        row[4] for row in golden.CONSUMERS
    ]


async def test_its_dead_letters(opened):
    """Dead letters are there, also of a consumer that was forgotten."""
    found = await opened.journal.dead_letters()

    assert [(d.consumer, d.position, d.reason, d.note, d.attempts, d.died_ms) for d in found] == [
        row[1:] for row in golden.DEAD
    ]


async def test_its_facts(opened):
    """Facts are there, the journal's name among them."""
    assert {key: opened.journal.recall(key) for key, _ in golden.FACTS} == dict(golden.FACTS)
    assert opened.journal.id == golden.ID


async def test_its_keys(opened):
    """What was stored then is a duplicate now, also what was pruned since."""
    payloads = [golden.GONE[0], *(row[-1] for row in golden.EVENTS)]
    outcomes = [await append(opened.journal, event_of(payload)) for payload in payloads]

    assert {outcome.verdict for outcome in outcomes} == {Verdict.DUPLICATE}


async def test_it_works_on(opened):
    """New events take the next position, and consumers go on where they stood."""
    journal = opened.journal
    outcome = await append(journal, event_of(b'{"new":1}'))
    await journal.settle("slow", [3])
    await journal.move("plain", 4)

    assert outcome == Outcome(Verdict.STORED, golden.LAST + 1)
    assert place(journal, "slow")[:2] == (4, ((8, 9),))
    await eventually(lambda: place(journal, "plain")[2] == 7)
