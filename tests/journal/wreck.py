"""Journals to damage, and what must be left of them. Knows nothing of how a salvage works.

Every event's payload is full of a mark of its own, so that the bytes of a page say which
events lie on it. What is readable after some damage follows from that: an event none of
whose pages was touched. Which pages a log adds is left to SQLite to say.
"""

import contextlib
import json
import re
import shutil
import sqlite3
import struct
from dataclasses import dataclass, field
from pathlib import Path

from journal.conftest import Opened
from journal.contract import append
from support import eventually

from feishu_ws.clock import ManualClock
from feishu_ws.events.envelope import open_envelope
from feishu_ws.events.keys import dedupe_keys
from feishu_ws.happenings import JournalSalvaged
from feishu_ws.journal.contract import CONSUMERS_LOST, JournalSettings
from feishu_ws.journal.schema import NoJournalError
from feishu_ws.model import Attempt, Event, Filter, OutgoingSend, SendOutcome, Verdict

PAGE = 4096
DAY_S = 86_400
DECLARED = {"bot": Filter(("im.*",)), "idle": Filter()}
SETTINGS = JournalSettings(retention_hours=48, dedupe_hours=24, declared=DECLARED)
MARK = re.compile(rb"<(\d{6})>")
LARGE = (9_000, 40_000, 100_000, 17_000, 5_000)  # bytes; they leave no short last page
LEAVES_FREE = 5  # so much larger are the events that go: what comes after does not need it all
NAME = "journal.db"
SENDS = 60
GOES_FIRST = 20  # sends that are removed before the others are made


def payload(n, size=300):
    """Return a message full of its own mark; every fifth kind is no JSON at all."""
    filling = f"<{n:06}>" * (size // 8 + 1)
    if n % 5 == 4:
        return b"\xff" + filling.encode()
    message = {"message_id": f"om_{n}", "chat_id": "oc_1", "content": filling}
    header = {"event_id": f"ev{n}", "event_type": "im.message.receive_v1", "tenant_key": "t"}
    body = {"schema": "2.0", "header": header, "event": {"message": message}}
    return json.dumps(body, indent=1 if n % 5 == 3 else None).encode()


def event(n, at_ms, size=300):
    """Return the event of a payload, as intake makes it."""
    content = payload(n, size)
    envelope = open_envelope(content)
    return Event(envelope, content, at_ms, dedupe_keys(envelope, content))


def size_of(n):
    """Return how large event n is: one in eight does not fit on its page."""
    return LARGE[n // 8 % len(LARGE)] if n % 8 == 0 else 100 + 37 * n % 700


@dataclass
class Whole:
    """A journal before it was damaged.

    Attributes:
        directory: Holds file and log.
        events: By position, also those that were removed long ago.
        keys: Of the events, and when they were seen, as the file says.
        cursors: By consumer.
        settled: Positions each consumer has settled.
        sends: By uuid, as they were in the end.
        roots: Where in the file each table begins.
    """

    directory: Path
    events: dict = field(default_factory=dict)
    removed: set = field(default_factory=set)
    keys: dict = field(default_factory=dict)
    cursors: dict = field(default_factory=dict)
    settled: dict = field(default_factory=dict)
    sends: dict = field(default_factory=dict)
    facts: dict = field(default_factory=dict)
    roots: dict = field(default_factory=dict)
    wall_ms: int = 0

    @property
    def last(self):
        """The highest position that was given out."""
        return max(self.events)


async def build(directory, count=240, removed=60, *, with_log=True):
    """Make a journal: events of all sizes, pages that are free again, consumers, a log."""
    clock = ManualClock()
    whole = Whole(directory / "whole")
    opened = Opened(directory / NAME, SETTINGS, clock)
    await _store(whole, opened, range(1, removed + 1), clock, times=LEAVES_FREE)
    for name in ("bot", "idle"):
        await opened.journal.settle(name, range(1, removed + 1))
    clock.advance(3 * DAY_S)
    opened.journal.reconfigure(SETTINGS)
    await eventually(lambda: opened.journal.facts().first == 0, 10)
    whole.removed = set(whole.events)
    half = removed + (count - removed) // 2
    await _store(whole, opened, range(removed + 1, half + 1), clock)
    await _consume(opened.journal, removed)
    await _post(opened.journal, range(GOES_FIRST), clock)
    for n in range(GOES_FIRST):
        await opened.journal.close_send(uuid(n), DEAD, clock.wall_ms())
    await opened.journal.drop_sends([uuid(n) for n in range(GOES_FIRST)])
    await _post(opened.journal, range(GOES_FIRST, SENDS), clock)
    await opened.journal.close(5)
    opened = Opened(directory / NAME, SETTINGS, clock)
    opened.journal._store.checkpoint = lambda: 0  # the log holds all that follows
    await _store(whole, opened, range(half + 1, count + 1), clock)
    await opened.journal.settle("log", [removed + 3, half + 1])
    for n in range(GOES_FIRST, SENDS, 3):
        await opened.journal.note_send_attempt(uuid(n), clock.wall_ms())
    for n in range(GOES_FIRST, SENDS, 4):
        outcome = SENT if n % 8 else DEAD
        await opened.journal.close_send(uuid(n), outcome, clock.wall_ms())
    await opened.journal.remember("proven", "yes")
    await _note(whole, opened.journal)
    if with_log:
        copy(directory, whole.directory)
    await opened.journal.close(5)
    if not with_log:
        copy(directory, whole.directory)
    with contextlib.closing(sqlite3.connect(directory / NAME)) as db:
        whole.keys = dict(db.execute("SELECT key, seen_ms FROM seen").fetchall())
        query = "SELECT name, (rootpage - 1) * ? FROM sqlite_master WHERE type = 'table'"
        whole.roots = dict(db.execute(query, (PAGE,)).fetchall())
    whole.wall_ms = clock.wall_ms()
    return whole


async def _store(whole, opened, numbers, clock, times=1):
    for n in numbers:
        clock.advance(0.1)
        stored = event(n, clock.wall_ms(), size_of(n) * times)
        outcome = await append(opened.journal, stored)
        whole.events[outcome.position] = stored


async def _consume(journal, removed):
    first = removed + 1
    await journal.enroll("log", Filter(), removed, declared=False)
    await journal.settle("bot", range(first, first + 30))
    await journal.settle("bot", [first + 40, first + 41, first + 50])
    await journal.note_attempt("bot", first + 35, Attempt(2, 0, "why"))
    await journal.bury("log", first, "rejected", Attempt(1, 0, "what it said"))


async def _note(whole, journal):
    for name, record in journal.consumers().items():
        spans = [range(a, b + 1) for a, b in record.ahead]
        whole.cursors[name] = record.cursor
        whole.settled[name] = {p for p in whole.events if p <= record.cursor}
        whole.settled[name] |= {p for span in spans for p in span}
    whole.facts = {"journal_id": journal.id, "proven": "yes"}
    for n in range(GOES_FIRST, SENDS):
        whole.sends[uuid(n)] = await journal.find_send(uuid(n))


SENT = SendOutcome("sent", b'{"message_id":"om_1"}')
DEAD = SendOutcome("outcome_unknown", is_dead=True)
DAMAGED = SendOutcome("damaged", is_dead=True)


def uuid(n):
    """Return what names the nth send; it is nowhere else in the file."""
    return f"send-{n:06}"


async def _post(journal, numbers, clock):
    """Open sends, one in ten of which does not fit on its page."""
    for n in numbers:
        request = f"[{uuid(n)}]".encode() * (700 if n % 10 == 0 else 5 + n % 40)
        await journal.open_send(OutgoingSend.make(uuid(n), "oc_1", request, clock.wall_ms()))


def copy(source, target):
    """Copy file and log, as a crash would leave them."""
    target.mkdir(exist_ok=True)
    for suffix in ("", "-wal"):
        with contextlib.suppress(FileNotFoundError):
            shutil.copy(source / (NAME + suffix), target / (NAME + suffix))
    return target


# -- damage -------------------------------------------------------------------------------


class Damage:
    """Bytes that are overwritten, or where a file is cut off (`data` None).

    Args:
        suffix: "" for the file, "-wal" for the log.
        at: Where it begins.
        data: What is there afterwards.
    """

    def __init__(self, suffix, at, data):
        self.suffix = suffix
        self.at = at
        self.data = data

    def __repr__(self):
        what = "cut" if self.data is None else f"{len(self.data)} bytes {self.data[:4].hex()}"
        return f"{self.suffix or 'file'} {self.at} {what}"


def wreck(directory, damages):
    """Damage the copy of a journal."""
    for damage in damages:
        path = directory / (NAME + damage.suffix)
        with path.open("r+b") as file:
            if damage.data is None:
                file.truncate(damage.at)
            elif damage.at < path.stat().st_size:
                file.seek(damage.at)
                file.write(damage.data[: path.stat().st_size - damage.at])


# -- what must be left --------------------------------------------------------------------


@dataclass(frozen=True)
class Left:
    """What lies on pages that nothing touched.

    Attributes:
        positions: Of events.
        keys: Dedupe keys.
        sends: Those that nothing of was touched.
        cursors: Of the consumers, None if their page was touched.
        facts: None if their page was touched.
    """

    positions: set
    keys: set
    sends: set
    cursors: dict | None
    facts: dict | None


def left(whole, directory, damages, scratch):
    """Return what a damaged copy of a journal must still give.

    Args:
        whole: The journal as it was.
        directory: The copy, damaged.
        damages: What was done to it.
        scratch: A directory to work in.
    """
    log_pages = _committed(whole, directory, scratch)
    data = (scratch / NAME).read_bytes()
    touched = _touched(damages, len(data) // PAGE) - log_pages
    pages_of, leaf_of, sends_of = {}, {}, {}
    for number in range(1, len(data) // PAGE + 1):
        page = data[(number - 1) * PAGE : number * PAGE]
        for mark in set(MARK.findall(page)):
            pages_of.setdefault(int(mark), set()).add(number)
        for name in whole.sends:
            if name.encode() in page:
                sends_of.setdefault(name, set()).add(number)
        if page[0] == 13:
            for key in whole.keys:
                if key in page:
                    leaf_of[key] = number
    with contextlib.closing(sqlite3.connect(scratch / NAME)) as db:
        there = {position for (position,) in db.execute("SELECT position FROM event")}
        query = "SELECT name, rootpage FROM sqlite_master WHERE type = 'table'"
        roots = dict(db.execute(query).fetchall())
        cursors = dict(db.execute("SELECT name, cursor FROM consumer").fetchall())
        facts = dict(db.execute("SELECT key, value FROM fact").fetchall())
    return Left(
        {p for p in there if not pages_of[p] & touched},
        {key for key, number in leaf_of.items() if number not in touched},
        {name for name, pages in sends_of.items() if not pages & touched},
        cursors if roots["consumer"] not in touched else None,
        facts if roots["fact"] not in touched else None,
    )


def _committed(whole, directory, scratch):
    """Make in `scratch` what SQLite makes of the sound file and the damaged log.

    Returns the pages that came from the log.
    """
    scratch.mkdir(exist_ok=True)
    shutil.copy(whole.directory / NAME, scratch / NAME)
    log = directory / (NAME + "-wal")
    pages = set()
    if log.exists():
        shutil.copy(log, scratch / (NAME + "-wal"))
        with contextlib.closing(sqlite3.connect(scratch / NAME)) as db:
            _, frames, _ = db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        data = log.read_bytes()
        pages = {struct.unpack_from(">I", data, 32 + n * (24 + PAGE))[0] for n in range(frames)}
    return pages


def _touched(damages, count):
    """Return the pages of the file that damage touched."""
    touched = set()
    for damage in damages:
        if damage.suffix:
            continue
        end = count * PAGE if damage.data is None else damage.at + len(damage.data)
        touched.update(range(damage.at // PAGE + 1, (end - 1) // PAGE + 2))
    return touched


# -- a start on what is left --------------------------------------------------------------


async def read_all(journal):
    """Return all events by position."""
    found, after = {}, 0
    while True:
        reading = await journal.read(after, max_events=1000)
        if not reading.events:
            return found
        found |= {event.position: event for event in reading.events}
        after = reading.through


def seen(event):
    """Return what must not change of an event."""
    return event.payload, event.envelope.event_id, event.envelope.type, event.received_ms


def read_by_sql(directory, whole, scratch):
    """Return the positions of events that SQLite reads from a damaged copy as they were."""
    path = copy(directory, scratch) / NAME
    query = "SELECT payload, event_id, type, received_ms FROM event WHERE position = ?"
    found = set()
    unreadable = (sqlite3.Error, UnicodeDecodeError)  # the latter from Python, of a damaged schema
    with contextlib.suppress(*unreadable), contextlib.closing(sqlite3.connect(path)) as db:
        for position, event in whole.events.items():
            with contextlib.suppress(*unreadable):
                if db.execute(query, (position,)).fetchone() == seen(event):
                    found.add(position)
    return found


def open_later(whole, directory, settings=SETTINGS):
    """Open a copy a minute after it was left."""
    clock = ManualClock()
    clock.advance((whole.wall_ms - clock.wall_ms()) / 1000 + 60)
    return Opened(directory / NAME, settings, clock)


def contents(directory, name):
    """Return what is in a file and its log; an empty log is none."""
    found = {suffix: directory / (name + suffix) for suffix in ("", "-wal")}
    there = {suffix: path.read_bytes() for suffix, path in found.items() if path.exists()}
    return {suffix: data for suffix, data in there.items() if data or not suffix}


async def check_start(whole, directory, damages, scratch):
    """Start on a damaged copy and see that nothing readable is lost, and that it works on.

    Returns what the journal said of it, None if it noticed nothing, as of free pages, or
    refused it, as it may where nothing is left that only a journal has.
    """
    expected = left(whole, directory, damages, scratch / "left")
    by_sql = read_by_sql(directory, whole, scratch / "sql")
    readable = expected.positions | by_sql - whole.removed  # which may be pruned any moment
    before = contents(directory, NAME)
    try:
        opened = open_later(whole, directory)
    except NoJournalError:
        assert not any((readable, expected.keys, expected.sends, expected.cursors, expected.facts))
        assert contents(directory, NAME) == before
        return None
    told = next(iter(opened.told(JournalSalvaged)), None)
    try:
        found = await read_all(opened.journal)
        await check_left(whole, opened.journal, expected, readable, found)
        if told is not None:
            await check_salvaged(whole, opened, told, before, found)
    finally:
        await opened.journal.close(5)
    if told is not None:
        check_sound(directory)
        again = open_later(whole, directory)
        assert again.told(JournalSalvaged) == []
        assert await read_all(again.journal) != {}
        await again.journal.close(5)
    return told


async def check_left(whole, journal, expected, readable, found):
    """Nothing that could be read is missing or changed."""
    assert readable <= found.keys()
    assert {p: seen(found[p]) for p in readable} == {p: seen(whole.events[p]) for p in readable}
    assert found.keys() <= whole.events.keys()
    known = await journal._reader.submit(lambda: journal._read_store.known_keys(list(whole.keys)))
    assert expected.keys <= known
    for name, cursor in (expected.cursors or {}).items():
        assert journal.consumers()[name].cursor >= cursor
    for key, value in (expected.facts or {}).items():
        assert journal.recall(key) == value
    await check_sends(whole, journal, expected)


async def check_sends(whole, journal, expected):
    """No send that could be read is missing, and none is there that is not what it was."""
    found = {name: await journal.find_send(name) for name in map(uuid, range(SENDS))}
    for name in expected.sends:
        assert found[name] is not None, name
    for name, send in found.items():
        if send is not None and send.outcome is None:
            assert send.asks_for(send.request)
        if send is not None and name in whole.sends and send.outcome != DAMAGED:
            was = whole.sends[name]
            assert (send.digest, send.number) == (was.digest, was.number)
            assert (send.attempts, send.outcome) in {
                (was.attempts, was.outcome), (was.attempts, None), (0, None),
            }  # fmt: skip


async def check_salvaged(whole, opened, told, before, found):
    """What was salvaged is where it belongs, and the journal works on."""
    journal = opened.journal
    same = {p for p in found if seen(found[p]) == seen(whole.events[p])}
    kept = Path(told.kept)
    assert contents(kept.parent, kept.name) == before
    for record in journal.consumers().values():
        settled = {p for p in same if p <= record.cursor} | {
            p for p in same for first, last in record.ahead if first <= p <= last
        }
        named = {p for p in settled if record.filter.compile().names(found[p].envelope)}
        assert named <= whole.settled[record.name] | whole.removed
    if not whole.cursors.keys() <= journal.consumers().keys():
        assert journal.recall(CONSUMERS_LOST) is not None
    new = await append(journal, event(900_000, opened.journal._clock.wall_ms()))
    assert (new.verdict, new.position > whole.last) == (Verdict.STORED, True)
    for position in sorted(same - whole.removed)[:: max(len(same) // 5, 1)]:
        assert (await append(journal, whole.events[position])).verdict is Verdict.DUPLICATE
    assert new.position in {e.position for e in (await journal.read(whole.last)).events}


def check_sound(directory):
    """The new file is a whole one, and nothing else is left of making it."""
    with contextlib.closing(sqlite3.connect(directory / NAME)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    names = {p.name.removeprefix(NAME).partition("-")[0] for p in directory.iterdir()}
    assert names == {"", ".lock", ".corrupt"}
