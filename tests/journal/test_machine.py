"""Journals against a plain model: anything in any order, clean restarts and crashes.

A crash copies database and WAL in the writing thread, at some moment of a commit,
abandons the journal and opens the copy. What was answered must be there; what was
not is there exactly if its commit had returned.
"""

import asyncio
import contextlib
import shutil
import tempfile
import threading
from collections import Counter
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from journal import model as m
from journal.contract import append
from journal.faulty import FaultyStore
from journal.model import (
    REFUSABLE,
    Append,
    Bury,
    Close,
    Drop,
    DropSends,
    Enroll,
    Forget,
    Life,
    Model,
    Move,
    Note,
    Remember,
    Revive,
    Send,
    Settle,
    Try,
)
from support import eventually

from feishu_ws.clock import ManualClock
from feishu_ws.faults import Fault, FeishuWsError
from feishu_ws.happenings import ignore
from feishu_ws.journal import writer
from feishu_ws.journal.contract import JournalSettings
from feishu_ws.journal.memory import MemoryJournal
from feishu_ws.journal.sqlite import SqliteJournal
from feishu_ws.journal.work import Change
from feishu_ws.model import Attempt, Filter, Outcome, Verdict
from feishu_ws.tally import Tally

NAMES = ("bot", "log")
MOMENTS = ("begin", "save_fact", "commit", "done")  # before the first three, after the commit
FILTERS = (Filter(), Filter(("a",)), Filter(("b", "c")))
UUIDS = ("u1", "u2", "u3")
QUEUES = ("oc_1", "oc_2")
IDS = tuple(f"e{n}" for n in range(8))
MESSAGES = ("", "", "m1", "m2", "m3")
KEYS = [key for i in IDS for g in MESSAGES[2:] for key in Append(i, g, "a").event(0).keys]
SETTINGS = JournalSettings(retention_hours=m.RETENTION_HOURS, dedupe_hours=m.DEDUPE_HOURS)
RAM = Path("/dev/shm")  # commits are synced; there that costs nothing
STEPS = settings(
    max_examples=40,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@st.composite
def operations(draw, model, published=None):
    """Draw an operation that makes sense where a journal stands.

    While others are on their way only what was `published` before them can be settled.
    """
    makers = [appends] * 4 + [remembrances, forgettings, lives, sends, sends]
    makers += [tries, closes, send_drops] if model.sends else []
    makers += [enrollments] if published is None else []
    published = model.last if published is None else published
    makers += [readings, moves] if model.readers else []
    makers += [revivals, revivals, drops] if model.dead else []
    if any(outstanding(model, name, published) for name in model.readers):
        makers += [settles] * 4 + [notes, burials]
    return draw(draw(st.sampled_from(makers))(model, published))


def outstanding(model, name, published):
    """Return what a consumer may have been handed and has not settled."""
    return [position for position in model.held(name) if position <= published]


def appends(*_):
    """Offer an event that may have come before."""
    kinds = st.sampled_from("abc")
    return st.builds(Append, st.sampled_from(IDS), st.sampled_from(MESSAGES), kinds)


def remembrances(*_):
    """Store a fact."""
    return st.builds(Remember, st.sampled_from("xy"))


def enrollments(model, _):
    """Make a consumer, change its filter, or move it, also beyond the last event."""
    cursors = st.none() | st.integers(0, model.last + 2)
    return st.builds(Enroll, st.sampled_from(NAMES), st.sampled_from(FILTERS), cursors)


def lives(*_):
    """Record a life of a link, perhaps in place of another record of it."""
    return st.builds(Life, st.integers(0, 1), st.integers(1, 4), st.integers(5, 7))


def sends(model, _):
    """Keep a send, perhaps of a uuid that is known."""
    made_ms = st.integers(model.now_ms - 2, model.now_ms)
    return st.builds(Send, st.sampled_from(UUIDS), st.sampled_from(QUEUES), made_ms)


def tries(model, _):
    """Note an attempt at a send that may not be there, or have an outcome."""
    at_ms = st.integers(model.now_ms - 2, model.now_ms)
    return st.builds(Try, st.sampled_from(UUIDS), at_ms)


def closes(model, _):
    """Record an outcome, perhaps a second one, perhaps of what is not there."""
    kinds = st.sampled_from(["sent", "refused", "expired"])
    uuids = st.sampled_from(UUIDS)
    return st.builds(Close, uuids, kinds, st.booleans(), st.just(model.now_ms))


def send_drops(*_):
    """Remove some sends from the dead letters, dead or not."""
    some = st.lists(st.sampled_from(UUIDS), min_size=1, max_size=3)
    return some.map(lambda uuids: DropSends(tuple(uuids)))


def forgettings(*_):
    """Forget a consumer, if there is one of that name."""
    return st.builds(Forget, st.sampled_from(NAMES))


@st.composite
def holdings(draw, model, published):
    """Draw a consumer and positions it holds."""
    held = {name: outstanding(model, name, published) for name in sorted(model.readers)}
    name = draw(st.sampled_from([name for name in held if held[name]]))
    return name, draw(st.lists(st.sampled_from(held[name]), min_size=1, max_size=3))


def settles(model, published):
    """Settle some of what is held, in any order, perhaps twice."""
    held = holdings(model, published)
    return st.builds(lambda h, soon: Settle(h[0], tuple(h[1]), soon=soon), held, st.booleans())


def notes(model, published):
    """Count an attempt at what is held."""
    return holdings(model, published).map(lambda held: Note(held[0], held[1][0], len(held[1])))


def burials(model, published):
    """Dead-letter what is held."""
    return holdings(model, published).map(lambda held: Bury(held[0], held[1][0]))


def moves(model, _):
    """Let a consumer stand elsewhere, also beyond the last event."""
    names = st.sampled_from([*NAMES, "nobody"])
    return st.builds(Move, names, st.integers(0, model.last + 2))


def revivals(model, _):
    """Give some dead letters back, to whom they belong or not."""
    positions = st.sampled_from(sorted({position for _, position in model.dead}))
    some = st.lists(positions, min_size=1, max_size=3, unique=True).map(tuple)
    return st.builds(Revive, st.sampled_from(NAMES), some)


def drops(model, _):
    """Remove some dead letters, and one there never was."""
    some = st.lists(st.sampled_from(sorted(model.dead)), min_size=1, max_size=3, unique=True)
    return some.map(lambda letters: Drop((*letters, ("nobody", 1))))


@st.composite
def readings(draw, model, published):
    """Draw how a consumer passes over what is not for it, up to an event it holds."""
    name = draw(st.sampled_from(sorted(model.readers)))
    held = model.held(name)
    end = draw(st.sampled_from([*(p for p in held if p <= published), published + 1]))
    gaps = sorted(set(range(1, end)) - set(held))
    return Settle(name, (), tuple((p, p) for p in gaps))


def _seen_send(send):
    """Return what is seen of a send, but for its number: one that was refused leaves no gap."""
    return (
        send.uuid, send.queue, send.request, send.digest, send.made_ms, send.attempts,
        send.first_attempt_ms, send.outcome, send.closed_ms,
    )  # fmt: skip


def _seen(event):
    """Return what a consumer sees of an event."""
    return event.payload, event.envelope, event.received_ms


CALLS = {
    Settle: lambda journal, op: journal.settle(op.name, op.positions, op.passed),
    Note: lambda journal, op: journal.note_attempt(op.name, op.position, Attempt(op.count)),
    Bury: m.bury_call,
    Revive: lambda journal, op: journal.revive(op.name, op.positions),
    Drop: lambda journal, op: journal.drop_dead(op.letters),
    Move: lambda journal, op: journal.move(op.name, op.cursor),
    Enroll: lambda journal, op: journal.enroll(op.name, op.wanted, op.cursor, declared=False),
    Forget: lambda journal, op: journal.forget(op.name),
    Remember: lambda journal, op: journal.remember("fact", op.value),
    Send: lambda journal, op: journal.open_send(op.send()),
    Try: lambda journal, op: journal.note_send_attempt(op.uuid, op.at_ms),
    Close: lambda journal, op: journal.close_send(op.uuid, op.outcome(), op.at_ms),
    DropSends: lambda journal, op: journal.drop_sends(op.uuids),
}
"""How each operation but an append is asked of a journal."""


def _refusal(outcome):
    """Return a refusal by an exception as that of an append; anything else as it is."""
    is_refusal = isinstance(outcome, FeishuWsError)
    return Outcome(Verdict.REFUSED, fault=outcome.fault) if is_refusal else outcome


class MemoryMachine(RuleBasedStateMachine):
    """The journal in memory."""

    def __init__(self):
        super().__init__()
        self.clock = ManualClock()
        self.loop = asyncio.new_event_loop()
        self.model = Model(self.clock.wall_ms())

    @initialize()
    def begin(self):
        """Open."""
        self.loop.run_until_complete(self.open())

    def teardown(self):
        """Close."""
        self.loop.run_until_complete(self.close())
        self.loop.close()

    async def open(self):
        """Make the journal."""
        self.journal = MemoryJournal(SETTINGS, clock=self.clock)

    async def close(self):
        """Nothing is left of it."""

    async def prune(self):
        """Let the journal remove what is old."""
        self.journal.prune()

    async def idle(self):
        """Wait until the journal has counted."""

    async def known_keys(self):
        """Return the keys the journal knows."""
        return set(self.journal._seen)

    # -- rules ----------------------------------------------------------------------------

    @rule(data=st.data())
    def do(self, data):
        """One operation, answered."""
        op = data.draw(operations(self.model))
        expected = self.model.apply(op)
        assert self.loop.run_until_complete(self.issue(op)) == expected

    @rule(hours=st.sampled_from([1, 6, 11, 21]))
    def grow_old(self, hours):
        """Hours go by, and what is old goes."""
        self.clock.advance(hours * 3600)
        self.model.now_ms = self.clock.wall_ms()
        self.loop.run_until_complete(self.prune())
        self.model.prune()

    @rule(data=st.data())
    def read(self, data):
        """A batch is what there is, within its bounds, and goes on where it ended."""
        after = data.draw(st.integers(0, self.model.last + 1))
        most = data.draw(st.integers(1, 4))
        reading = self.loop.run_until_complete(self.journal.read(after, max_events=most))
        above = [p for p in sorted(self.model.rows) if p > after]
        found = [event.position for event in reading.events]
        assert found == above[:most]
        assert reading.through >= max(found, default=after)
        assert not [p for p in above[most:] if p <= reading.through]

    async def issue(self, op):
        """Do an operation on the journal; return its answer."""
        if isinstance(op, Append):
            return await append(self.journal, op.event(self.clock.wall_ms()))
        if isinstance(op, Settle) and op.soon:
            self.journal.settle_soon(op.name, op.positions, op.passed)
            return None
        if isinstance(op, Life):
            self.journal.record_life(op.life())
            return None
        answer = await asyncio.wait_for(self.change(op), 10)
        return _seen_send(answer) if isinstance(op, Send) else answer

    def change(self, op):
        """Do what is no append; return the future of its answer."""
        return CALLS[type(op)](self.journal, op)

    # -- what is always true --------------------------------------------------------------

    @invariant()
    def is_as_the_model(self):
        """Events, keys, cursors, attempts, counts, dead letters and facts are the model's."""
        if hasattr(self, "journal"):
            different = self.loop.run_until_complete(self.difference(self.model))
            assert different is None, different

    async def difference(self, model):
        """Return the first thing in which journal and model differ, None if they agree."""
        await self.idle()
        journal, records = self.journal, self.journal.consumers()
        events = (await journal.read(0)).events
        pairs = {
            "events": (
                [_seen(e) for e in events],
                [_seen(e) for _, e in sorted(model.rows.items())],
            ),
            "positions": ([e.position for e in events], sorted(model.rows)),
            "last": (journal.last, model.last),
            "keys": (await self.known_keys(), set(model.seen)),
            "consumers": (set(records), set(model.readers)),
            "fact": (journal.recall("fact"), model.fact),
            "dead": (await self.dead(), sorted((p, name) for name, p in model.dead)),
            "lives": (await journal.lives(), list(model.lives.values())),
            "sends": (await self.sends(), self.sends_of(model)),
        }
        wrong = [f"{what} {a}, expected {b}" for what, (a, b) in pairs.items() if a != b]
        wrong += [self.wrong(records[n], model, n) for n in records if n in model.readers]
        return next((text for text in wrong if text), None)

    async def dead(self):
        """Return (position, consumer) of every dead letter, and check that they are counted."""
        letters = [(a.position, a.consumer) for a in await self.journal.dead_letters(limit=1000)]
        counts = Counter(name for _, name in letters)
        assert dict(await self.journal.dead_counts()) == counts
        return letters

    async def sends(self):
        """Return what is known of every uuid; those without an outcome and the dead ones in order."""
        known = [await self.journal.find_send(uuid) for uuid in UUIDS]
        return (
            [_seen_send(send) for send in known if send is not None],
            [send.uuid for send in await self.journal.unfinished_sends()],
            [send.uuid for send in await self.journal.dead_sends()],
        )

    @staticmethod
    def sends_of(model):
        """Return what a model says of them."""
        in_order = sorted(model.sends.items(), key=lambda item: item[1].number)
        return (
            [model.sends[uuid].seen(uuid) for uuid in UUIDS if uuid in model.sends],
            [uuid for uuid, kept in in_order if kept.closed is None],
            [uuid for uuid, kept in in_order if kept.closed is not None and kept.closed.is_dead],
        )

    @staticmethod
    def wrong(record, model, name):
        """Say what is wrong with a consumer's record, None if nothing is."""
        reader = model.readers[name]
        spans = [range(first, last + 1) for first, last in record.ahead]
        settled = {p for p in model.rows if p <= record.cursor or any(p in s for s in spans)}
        reader.settled |= reader.passed & settled
        held = model.held(name)
        must = {
            p
            for p in reader.settled & model.rows.keys()
            if reader.names(model.rows[p].envelope.type)
        }
        if settled & set(held) or not must <= settled:
            return f"{record} has settled {sorted(settled)}, expected {sorted(must)}, not {held}"
        if record.pending != len(held):
            return f"{record.pending} pending, expected {held}"
        if (record.filter, record.attempts) != (reader.wanted, reader.attempts):
            return f"{record}, expected {reader}"
        return None


class SqliteMachine(MemoryMachine):
    """The journal on disk, with restarts and crashes."""

    def __init__(self):
        super().__init__()
        self.directory = Path(tempfile.mkdtemp(dir=RAM if RAM.is_dir() else None))
        self.lives = 0
        self.path = self.directory / "journal.db"
        self.patience = mock.patch.object(writer, "RETRY_S", 0.005)
        self.patience.start()

    def teardown(self):
        """Close, and be patient again."""
        super().teardown()
        self.patience.stop()

    async def open(self):
        """Open the file that is there."""
        self.journal = SqliteJournal(
            self.path, SETTINGS, clock=self.clock, tally=Tally(), observe=ignore
        )
        self.journal.open()

    async def close(self):
        """Close, and remove the files."""
        await self.journal.close(10)
        shutil.rmtree(self.directory)

    async def prune(self):
        """Begin a pass; `idle` waits for its end."""
        self.journal.reconfigure(SETTINGS)

    async def idle(self):
        """Wait until what was handed over is committed, and upkeep has nothing to do."""
        await self.journal.remember("idle", "")
        await eventually(lambda: not self.journal._writer.upkeep.has_work(), every_s=0.001)
        await self.journal.remember("idle", "")

    async def known_keys(self):
        """Return the keys the journal knows."""
        return await self.journal._reader.submit(lambda: self.journal._read_store.known_keys(KEYS))

    # -- rules ----------------------------------------------------------------------------

    @rule(data=st.data())
    def do_at_once(self, data):
        """Several operations at once are done in their order."""
        ops, models = self.draw_some(data)
        expected = [before.copy().apply(op) for before, op in zip(models, ops, strict=False)]
        self.model = models[-1]

        async def together():
            return await asyncio.gather(*(self.issue(op) for op in ops))

        assert self.loop.run_until_complete(together()) == expected

    def draw_some(self, data):
        """Draw operations; return them and the model before, between and after them."""
        ops, models = [], [self.model.copy()]
        for _ in range(data.draw(st.integers(1, 6))):
            ops.append(data.draw(operations(models[-1], self.model.last)))
            models.append(models[-1].copy())
            models[-1].apply(ops[-1])
        ops.append(Remember(f"before {len(ops)}"))  # so that at least one thing changes
        models.append(models[-1].copy())
        models[-1].apply(ops[-1])
        return ops, models

    @rule()
    def restart(self):
        """A clean restart changes nothing, but that a pass begins."""

        async def again():
            await self.journal.close(10)
            await self.open()

        self.loop.run_until_complete(again())
        self.model.prune()

    @rule(data=st.data(), moment=st.sampled_from(MOMENTS))
    def crash(self, data, moment):
        """After a crash all that was answered is there, and of the rest whole commits."""
        ops, models = self.draw_some(data)
        answered = data.draw(st.integers(0, len(ops) - 1))
        self.loop.run_until_complete(self.die(ops[:answered], ops[answered:], moment))
        self.model = models[-1 if moment == "done" else answered]
        self.model.prune()

    @rule(data=st.data(), step=st.sampled_from(["begin", "known_keys", "save_fact", "commit"]))
    def refuse(self, data, step):
        """A commit that fails refuses its events; what consumers did in it is done by a later one."""
        ops, _ = self.draw_some(data)
        outcomes = self.loop.run_until_complete(self.fail(ops, step))
        refused = Outcome(Verdict.REFUSED, fault=Fault.JOURNAL_IO)
        expected = [refused if isinstance(op, REFUSABLE) else self.model.apply(op) for op in ops]
        assert [_refusal(outcome) for outcome in outcomes] == expected

    async def fail(self, ops, step):
        """Let the commit that holds `ops` fail; return what became of them."""
        asked, gate = await self.ask_at_once(ops)
        FaultyStore(self.journal._store).fail(step, times=1)
        gate.set()
        return await asyncio.gather(*asked, return_exceptions=True)

    async def ask_at_once(self, ops):
        """Ask for `ops` while the writing thread waits, so that one commit holds them all.

        Returns the tasks, and what lets the thread go on.
        """
        gate = threading.Event()
        self.journal._writer.put(Change(lambda *_: gate.wait(10)))
        asked = []
        for op in ops:
            asked.append(asyncio.ensure_future(self.issue(op)))
            await asyncio.sleep(0)
        return asked, gate

    async def die(self, answered, unanswered, moment):
        """Do what is to be answered, copy the files during the commit of the rest, open the copy."""
        for op in answered:
            await self.issue(op)
        await self.journal.remember("idle", "")  # answers for those nobody waits for
        asked, gate = await self.ask_at_once(unanswered)
        self.lives += 1
        target = self.directory / f"life{self.lives}"
        self.copy_at(moment, target)
        gate.set()
        await asyncio.gather(*asked)
        await self.journal.close(10)
        self.path = target / "journal.db"
        await self.open()

    def copy_at(self, moment, target):
        """Copy the files when the next commit has come to a moment."""

        def copy_files():
            if not target.exists():
                target.mkdir()
                for name in ("journal.db", "journal.db-wal"):
                    with contextlib.suppress(FileNotFoundError):
                        shutil.copy(self.path.with_name(name), target / name)

        store = self.journal._store
        method = "commit" if moment == "done" else moment
        real = getattr(store, method)

        def wrapped(*args):
            if moment != "done":
                copy_files()
            real(*args)
            copy_files()

        setattr(store, method, wrapped)


TestMemory = MemoryMachine.TestCase
TestMemory.settings = STEPS
TestSqlite = pytest.mark.timeout(600)(
    SqliteMachine.TestCase
)  # a failure takes time to be told briefly
TestSqlite.settings = STEPS
