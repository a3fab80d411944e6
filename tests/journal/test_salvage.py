"""The four passes over a damaged file, each on damage that only it can mend."""

import asyncio
import contextlib
import sqlite3
from pathlib import Path

import msgspec
import pytest
from journal import wreck
from journal.wreck import NAME, PAGE, SETTINGS, Damage

from feishu_ws.journal.contract import CONSUMERS_LOST
from feishu_ws.journal.findings import LOG_GAP, Trust
from feishu_ws.journal.image import Image
from feishu_ws.journal.pages import parse_cell
from feishu_ws.journal.rebuild import Rebuild
from feishu_ws.journal.rows import Row, Table
from feishu_ws.journal.salvage import NothingFoundError, _Search, salvage
from feishu_ws.journal.sends import row_of
from feishu_ws.journal.tree import Forest, Gap
from feishu_ws.model import Form

NOBODY = {}
KEPT = Path("/kept")


@pytest.fixture(scope="module")
def closed(tmp_path_factory):
    """A journal after a clean stop."""
    return asyncio.run(wreck.build(tmp_path_factory.mktemp("closed"), with_log=False))


@pytest.fixture(scope="module")
def crashed(tmp_path_factory):
    """A journal as a crash leaves it."""
    return asyncio.run(wreck.build(tmp_path_factory.mktemp("crashed")))


class Wrecked:
    """A damaged copy, and what a salvage makes of it."""

    def __init__(self, whole, directory, *damages):
        self.whole = whole
        self.path = wreck.copy(whole.directory, directory / "copy") / NAME
        self.target = directory / "new.db"
        wreck.wreck(self.path.parent, damages)

    def salvage(self, declared=SETTINGS.declared):
        """Salvage; return what it told."""
        with Image(self.path) as image:
            return salvage(
                image, self.target, declared=declared, dedupe_hours=24,
                now_ms=self.whole.wall_ms, progress=lambda *_: None,
                detail="why", kept=KEPT,
            )  # fmt: skip

    def rows(self, query):
        """Return rows of the new file."""
        with contextlib.closing(sqlite3.connect(self.target)) as db:
            return db.execute(query).fetchall()

    def positions(self):
        """Return the positions of the new file's events."""
        return {position for (position,) in self.rows("SELECT position FROM event")}


def leaves(whole, table="event"):
    """Return the leaves of a table, in order."""
    with Image(whole.directory / NAME) as image:
        walk = Forest(image).walk(whole.roots[table] // PAGE + 1)
        return [page for page in walk if not isinstance(page, Gap)]


def at(number):
    """Return where a page begins."""
    return (number - 1) * PAGE


def live(whole):
    """Return the positions that were not removed long ago."""
    return whole.events.keys() - whole.removed


def test_nothing_is_damaged(closed, tmp_path):
    """A sound file comes through as it is: every row of every table."""
    wrecked = Wrecked(closed, tmp_path)
    told = wrecked.salvage()
    tables = ("event", "seen", "consumer", "ahead", "attempt", "dead", "fact")
    with contextlib.closing(sqlite3.connect(wrecked.path)) as db:
        before = {name: db.execute(f"SELECT * FROM {name}").fetchall() for name in tables}

    after = {name: wrecked.rows(f"SELECT * FROM {name}") for name in tables}
    told_too = ("salvage_report", msgspec.json.encode(told).decode())

    assert told_too in after["fact"]
    after["fact"].remove(told_too)
    assert after == before
    assert all(before.values())
    assert (told.lost, told.unreadable_pages, told.damaged_events) == ((), 0, 0)


def test_a_branch_that_is_gone(closed, tmp_path):
    """Leaves that no branch leads to any more are found one by one."""
    wrecked = Wrecked(closed, tmp_path, Damage("", closed.roots["event"], bytes(PAGE)))
    told = wrecked.salvage()

    assert wrecked.positions() == live(closed)
    assert (told.events, told.lost) == (180, ())


def test_a_leaf_that_is_gone(closed, tmp_path):
    """The events of a destroyed leaf are lost, and told by the keys of the branch above."""
    leaf = leaves(closed)[7]
    wrecked = Wrecked(closed, tmp_path, Damage("", at(leaf.number), b"\xff" * PAGE))
    told = wrecked.salvage()

    assert told.lost == ((leaf.low + 1, leaf.high),)
    assert wrecked.positions() == live(closed) - set(range(leaf.low + 1, leaf.high + 1))


def test_a_schema_that_is_gone(closed, tmp_path):
    """Without the schema the pointer map leads to the trees: what is whole is known to be."""
    leaf = leaves(closed)[7]
    wrecked = Wrecked(
        closed, tmp_path, Damage("", 0, bytes(PAGE)), Damage("", at(leaf.number), bytes(PAGE))
    )
    told = wrecked.salvage()
    facts = dict(wrecked.rows("SELECT key, value FROM fact"))

    assert told.lost == ((leaf.low + 1, leaf.high),)
    assert told.last == closed.last + LOG_GAP
    assert dict(wrecked.rows("SELECT name, cursor FROM consumer")) == closed.cursors
    assert CONSUMERS_LOST not in facts
    assert facts.items() >= closed.facts.items()


def test_a_row_that_is_damaged(closed, tmp_path):
    """On a leaf with a damaged row the others are whole."""
    leaf = next(page for page in leaves(closed) if len(page.page.cells) > 3)
    cell = leaf.page.cells[1]
    position = parse_cell(leaf.data, cell, leaf.page.kind, PAGE).rowid
    wrecked = Wrecked(closed, tmp_path, Damage("", at(leaf.number) + cell + 3, b"\x7f" * 9))
    told = wrecked.salvage()

    assert wrecked.positions() == live(closed) - {position}
    assert told.lost == ((position, position),)
    assert told.unreadable_pages == 1


def test_a_payload_that_is_damaged(closed, tmp_path):
    """An event whose payload is JSON no more is handed on as what is left of it."""
    data = (closed.directory / NAME).read_bytes()
    position = 72  # its payload goes on over many pages
    chain = [n for n in range(0, len(data), PAGE) if data[n] == 0]
    page = next(n for n in chain if b"<000072>" * 9 in data[n : n + PAGE])
    wrecked = Wrecked(closed, tmp_path, Damage("", page + 100, bytes(200)))
    told = wrecked.salvage()
    query = (
        f"SELECT flags & 3, length(payload), type, event_id FROM event WHERE position = {position}"
    )
    event = closed.events[position]

    assert told.damaged_events == 1
    assert wrecked.rows(query) == [
        (Form.OPAQUE, len(event.payload), event.envelope.type, event.envelope.event_id)
    ]


def test_a_page_in_the_place_of_another(closed, tmp_path):
    """A leaf written to the wrong place costs the rows that were there, and doubles none."""
    first, second = leaves(closed)[5], leaves(closed)[9]
    wrecked = Wrecked(closed, tmp_path, Damage("", at(second.number), first.data))
    wrecked.salvage()

    assert wrecked.positions() == live(closed) - set(range(second.low + 1, second.high + 1))


def test_a_schema_that_leads_astray(closed, tmp_path):
    """A root in the schema that is another table's costs no consumer its row."""
    wrecked = Wrecked(closed, tmp_path)
    data = wrecked.path.read_bytes()
    consumer, ahead = (closed.roots[n] // PAGE + 1 for n in ("consumer", "ahead"))
    cell = data.index(b"tableconsumerconsumer") + len(b"tableconsumerconsumer")
    assert data[cell] == consumer
    wreck.wreck(wrecked.path.parent, [Damage("", cell, bytes([ahead]))])
    told = wrecked.salvage()

    assert sorted(told.consumers) == ["bot", "idle", "log"]
    assert dict(wrecked.rows("SELECT name, cursor FROM consumer")) == closed.cursors


def test_keys_without_their_rows(closed, tmp_path):
    """Keys whose rows are gone come back from their index and from the events."""
    damages = [Damage("", at(leaf.number), bytes(PAGE)) for leaf in leaves(closed, "seen")]
    wrecked = Wrecked(closed, tmp_path, *damages)
    wrecked.salvage()
    found = {key for (key,) in wrecked.rows("SELECT key FROM seen")}

    assert closed.keys.keys() == found


def test_keys_with_neither_rows_nor_index(closed, tmp_path):
    """Keys of events that are left are made again, as old as their events."""
    with contextlib.closing(sqlite3.connect(closed.directory / NAME)) as db:
        query = "SELECT rootpage FROM sqlite_master WHERE name = 'sqlite_autoindex_seen_1'"
        (index,) = db.execute(query).fetchone()
    pages = [leaf.number for leaf in leaves(closed, "seen")]
    with Image(closed.directory / NAME) as image:
        pages += [p.number for p in Forest(image).walk(index) if not isinstance(p, Gap)]
    wrecked = Wrecked(closed, tmp_path, *(Damage("", at(n), bytes(PAGE)) for n in pages))
    wrecked.salvage()
    found = dict(wrecked.rows("SELECT key, seen_ms FROM seen"))

    for position in live(closed):
        event = closed.events[position]
        assert {found[key] for key in event.keys} == {event.received_ms}


def test_free_pages_nobody_vouches_for(closed, tmp_path):
    """With both lists of free pages gone, old rows may come back; what is there is not changed."""
    wrecked = Wrecked(
        closed, tmp_path, Damage("", 0, bytes(2 * PAGE)),
    )  # fmt: skip
    wrecked.salvage()

    assert live(closed) <= wrecked.positions() <= closed.events.keys()
    assert dict(wrecked.rows("SELECT name, cursor FROM consumer")) == closed.cursors


def test_events_behind_a_damaged_frame(crashed, tmp_path):
    """Events behind the log's damage are there if all their pages are, with their keys."""
    wrecked = Wrecked(crashed, tmp_path, Damage("-wal", 150_000, b"\xff" * 100))
    told = wrecked.salvage()
    found = wrecked.positions()
    keys = {key for (key,) in wrecked.rows("SELECT key FROM seen")}
    with Image(wrecked.path) as image:
        strays = image.wal.strays

    assert strays
    assert max(found) == crashed.last
    assert len(found) > 120
    assert {key for p in found for key in crashed.events[p].keys} <= keys
    assert told.last > crashed.last


def test_sends_behind_a_damaged_frame(crashed, tmp_path):
    """An attempt or outcome behind the log's damage counts, since a send only goes forward."""
    damage = Damage("-wal", 150_000, b"\xff" * 100)
    wrecked = Wrecked(crashed, tmp_path, damage)
    (tmp_path / "left").mkdir()
    wreck._committed(crashed, wrecked.path.parent, tmp_path / "left")
    query = "SELECT uuid, attempts, kind FROM send ORDER BY id"
    with contextlib.closing(sqlite3.connect(tmp_path / "left" / NAME)) as db:
        before = db.execute(query).fetchall()
    told = wrecked.salvage()
    final = [
        (send.uuid, send.attempts, send.outcome.kind if send.outcome else "")
        for send in crashed.sends.values()
    ]

    assert told.sends == len(final)
    assert wrecked.rows(query) == final != before


def test_removed_sends_stay_removed(closed, tmp_path):
    """Where all of the table was read, another image of a send is an old one."""
    wrecked = Wrecked(closed, tmp_path)
    send = next(iter(closed.sends.values()))
    row = Row(Table.SEND, row_of(msgspec.structs.replace(send, uuid="removed", number=999)))
    taken = []
    with Image(wrecked.path) as image, Rebuild(wrecked.target) as new:
        for is_whole in (True, False):
            search = _Search(image, new, lambda *_: None)
            search._findings.whole |= {Table.SEND} if is_whole else set()
            search._take_all([row], Trust.LIKELY)
            taken.append(new.count(Table.SEND))

    assert taken == [0, 1]


@pytest.mark.parametrize("content", [b"", b"x" * 5000, bytes(9000)])
def test_nothing_found(tmp_path, content):
    """Where nothing is ours nothing is made, and nothing is left behind."""
    path, target = tmp_path / NAME, tmp_path / "new.db"
    path.write_bytes(content)
    with Image(path) as image, pytest.raises(NothingFoundError):
        salvage(
            image, target, declared=NOBODY, dedupe_hours=1, now_ms=0,
            progress=lambda *_: None, detail="why", kept=KEPT,
        )  # fmt: skip

    assert not target.exists()


def test_another_programs_rows(tmp_path):
    """Rows that look like ours are not ours in a file whose tables are another's."""
    path, target = tmp_path / NAME, tmp_path / "new.db"
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE images (id INTEGER PRIMARY KEY, digest BLOB, at INTEGER)")
        db.executemany("INSERT INTO images VALUES (NULL, ?, 5)", [(bytes(16),)] * 500)
        db.commit()
    with Image(path) as image, pytest.raises(NothingFoundError):
        salvage(
            image, target, declared=NOBODY, dedupe_hours=1, now_ms=0,
            progress=lambda *_: None, detail="why", kept=KEPT,
        )  # fmt: skip
