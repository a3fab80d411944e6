"""The thread that writes: what a disk that fails, hangs or is damaged does to it."""

import asyncio
import threading

import pytest
from journal.contract import append, make_event, place, positions
from support import eventually

from feishu_ws.faults import Fault
from feishu_ws.happenings import JournalFaulted, JournalPruned, JournalRecovered
from feishu_ws.journal import checkpoints, writer
from feishu_ws.journal.contract import JournalSettings
from feishu_ws.journal.work import Change
from feishu_ws.model import Attempt, Filter, Outcome, Verdict

HOUR_S = 3600
STEPS = ("begin", "known_keys", "add_keys", "add_events", "save_consumer", "commit")
ERRORS = {
    "SQLITE_FULL": Fault.DISK_FULL,
    "SQLITE_READONLY": Fault.JOURNAL_READ_ONLY,
    "SQLITE_IOERR_FSYNC": Fault.JOURNAL_IO,
}


@pytest.fixture
async def opened(open_journal):
    """An open journal with a consumer that wants everything."""
    opened = open_journal()
    await opened.journal.enroll("bot", Filter(), 0, declared=True)
    return opened


def is_well(opened, clock):
    """Let time go on, and tell whether the journal takes writes."""
    clock.advance(0.5)
    return opened.journal.facts().fault is None


def offer(journal, event):
    """Append without waiting; return the future of the outcome."""
    future = asyncio.get_running_loop().create_future()
    journal.append(event, future.set_result)
    return future


# -- a disk that fails --------------------------------------------------------------------


@pytest.mark.parametrize("step", STEPS)
async def test_a_commit_that_fails_leaves_no_trace(opened, step):
    """Wherever a transaction fails, its event is refused, and its next copy is stored as the first."""
    await append(opened.journal, make_event("a"))
    opened.disk.fail(step, times=1)
    opened.journal.settle_soon("bot", [1])
    events = [make_event("b"), make_event("b")]
    refused = await asyncio.gather(*(append(opened.journal, event) for event in events))
    opened.disk.mend()
    again = await append(opened.journal, make_event("b"))

    assert set(refused) == {Outcome(Verdict.REFUSED, fault=Fault.JOURNAL_IO)}
    assert [event.position for event in events] == [0, 0]
    assert again == Outcome(Verdict.STORED, 2)
    assert await positions(opened.journal) == [1, 2]
    await eventually(lambda: place(opened.journal, "bot") == (1, (), 1))


@pytest.mark.parametrize(("name", "fault"), ERRORS.items())
async def test_a_fault_comes_and_goes_by_itself(opened, clock, name, fault):
    """The first refusal is a fault; when the disk is well it ends, and no event has to come."""
    opened.disk.fail("commit", name=name)
    outcome = await append(opened.journal, make_event("a"))
    shown = opened.journal.facts().fault
    for _ in range(5):
        await append(opened.journal, make_event("a"))
        clock.advance(0.5)
    opened.disk.mend()
    await eventually(lambda: is_well(opened, clock))

    assert (outcome.fault, shown) == (fault, fault)
    assert [h.fault for h in opened.told(JournalFaulted)] == [fault]
    assert [h.fault for h in opened.told(JournalRecovered)] == [fault]
    assert opened.tally.journal_errors["append"] >= 6


async def test_what_consumers_did_is_owed(opened, open_journal):
    """While the disk refuses nothing is answered; afterwards all of it is, and is durable."""
    journal = opened.journal
    for n in range(1, 6):
        await append(journal, make_event(n))
    opened.disk.fail("commit", name="SQLITE_FULL")
    waiting = [
        journal.settle("bot", [1, 3]),
        journal.note_attempt("bot", 4, Attempt(2, 77, "why")),
        journal.bury("bot", 2, "max_attempts", Attempt(16)),
        journal.enroll("log", Filter(("im.*",)), 4, declared=False),
        journal.remember("proven", "yes"),
    ]
    await append(journal, make_event("refused"))
    answered = [future.done() for future in waiting]
    before = dict(journal.consumers())
    opened.disk.mend()
    await asyncio.wait_for(asyncio.gather(*waiting), 5)
    await journal.close(5)
    again = open_journal().journal
    await eventually(lambda: place(again, "bot") == (3, (), 2))
    await eventually(lambda: place(again, "log") == (4, (), 1))

    assert answered == [False] * 5
    assert before["bot"].cursor == 0
    assert "log" not in before
    assert again.consumers()["bot"].attempts == {4: Attempt(2, 77, "why")}
    assert (again.recall("proven"), again.facts().dead_letters) == ("yes", 1)
    assert again.recall("last_fault").startswith("disk_full ")


async def test_forgetting_is_owed_too(opened, open_journal):
    """A consumer forgotten and made anew while the disk refused has nothing of its past."""
    journal = opened.journal
    for n in range(1, 6):
        await append(journal, make_event(n))
    await journal.settle("bot", [3])
    await journal.note_attempt("bot", 1, Attempt(1))
    opened.disk.fail("commit")
    forgotten = journal.forget("bot")
    await append(journal, make_event("refused"))
    enrolled = journal.enroll("bot", Filter(), 1, declared=False)
    await append(journal, make_event("refused"))
    opened.disk.mend()
    await asyncio.wait_for(asyncio.gather(forgotten, enrolled), 5)
    await journal.close(5)
    again = open_journal().journal
    await eventually(lambda: place(again, "bot") == (1, (), 4))

    assert again.consumers()["bot"].attempts == {}


async def test_the_thread_outlives_rows_it_cannot_read(opened):
    """A changed filter is taken though the rows it has to look at cannot be read."""
    await append(opened.journal, make_event("a"))
    opened.disk.fail("heads_after", "first_since")
    await asyncio.wait_for(opened.journal.enroll("bot", Filter(("x",)), None, declared=True), 5)
    opened.journal.reconfigure(JournalSettings(declared={"new": Filter()}))
    opened.disk.mend()

    assert (await append(opened.journal, make_event("b"))).verdict is Verdict.STORED
    assert opened.journal.consumers()["new"].declared


async def test_upkeep_that_fails_stops_nothing(open_journal, clock):
    """A step of upkeep that fails is counted and tried again; commits go on without a fault."""
    opened = open_journal(JournalSettings(retention_hours=1, dedupe_hours=1))
    await append(opened.journal, make_event("old"))
    clock.advance(2 * HOUR_S)
    opened.disk.fail("prunable_after", "keys_after", times=1)
    opened.journal.reconfigure(JournalSettings(retention_hours=1, dedupe_hours=1))
    await eventually(lambda: opened.tally.journal_errors["upkeep"] > 0)
    outcome = await append(opened.journal, make_event("b"))

    assert outcome.verdict is Verdict.STORED
    assert opened.told(JournalFaulted) == []


async def test_a_rollback_that_fails(opened):
    """Where even giving up fails, the next transaction that can begin is as good as ever."""
    opened.disk.fail("commit", "rollback", times=1)
    first = await append(opened.journal, make_event("a"))
    opened.disk.mend()
    await eventually(lambda: opened.journal._writer._retry_at is None)

    assert first.verdict is Verdict.REFUSED
    assert await append(opened.journal, make_event("a")) == Outcome(Verdict.STORED, 1)


# -- damage -------------------------------------------------------------------------------


async def test_damage_refuses_everything_until_restart(opened, clock):
    """A commit that finds the file corrupt is the last one; well-looking writes are not trusted."""
    await append(opened.journal, make_event("a"))
    opened.disk.fail("commit", name="SQLITE_CORRUPT", times=1)
    first = await append(opened.journal, make_event("b"))
    opened.disk.mend()
    clock.advance(60)
    second = await append(opened.journal, make_event("c"))
    waiting = opened.journal.settle("bot", [1])
    await asyncio.wait_for(opened.journal.close(5), 2)

    assert {first.fault, second.fault} == {Fault.JOURNAL_CORRUPT}
    assert opened.journal.facts().fault is Fault.JOURNAL_CORRUPT
    assert [h.fault for h in opened.told(JournalFaulted)] == [Fault.JOURNAL_CORRUPT]
    assert not waiting.done()


async def test_damage_found_by_upkeep(opened):
    """Upkeep that meets a corrupt page ends intake as a commit does."""
    opened.disk.fail("newest_ms", name="SQLITE_CORRUPT", times=1)
    opened.journal.reconfigure(JournalSettings())
    await eventually(lambda: opened.journal.facts().fault is Fault.JOURNAL_CORRUPT)

    assert (await append(opened.journal, make_event("a"))).fault is Fault.JOURNAL_CORRUPT


async def test_damage_found_by_measuring(opened):
    """So does looking how large the file is."""
    opened.disk.fail("pages", name="SQLITE_CORRUPT", times=1)
    await eventually(lambda: opened.journal.facts().fault is Fault.JOURNAL_CORRUPT)

    assert (await append(opened.journal, make_event("a"))).fault is Fault.JOURNAL_CORRUPT


# -- a disk that hangs --------------------------------------------------------------------


async def test_no_position_before_the_commit(opened):
    """While a commit hangs its event has no position, nothing is told, and the stall shows."""
    seen = []
    opened.journal.subscribe(seen.extend)
    hangs = opened.disk.hang("commit")
    event = make_event("a")
    outcome = offer(opened.journal, event)
    await asyncio.to_thread(hangs.wait, 5)
    await eventually(lambda: opened.journal.facts().stalled_s > 0.05)
    during = event.position, list(seen), outcome.done(), opened.journal.last
    opened.disk.mend()

    assert (await outcome).position == 1
    assert during == (0, [], False, 0)
    assert event.position == 1
    await eventually(lambda: opened.journal.facts().stalled_s == 0.0)


async def test_what_gathers_is_one_commit(opened):
    """Whatever comes while a commit runs goes into the next one, its duplicates too."""
    hangs = opened.disk.hang("commit")
    first = offer(opened.journal, make_event("first"))
    await asyncio.to_thread(hangs.wait, 5)
    rest = [offer(opened.journal, make_event(n % 150)) for n in range(300)]
    settled = opened.journal.settle("bot", [1])
    opened.disk.mend()
    opened.disk.watch("commit")
    outcomes = await asyncio.gather(first, *rest)
    await settled

    assert [o.position for o in outcomes if o.verdict is Verdict.STORED] == list(range(1, 152))
    assert sum(o.verdict is Verdict.DUPLICATE for o in outcomes) == 150
    assert len(opened.disk.calls) <= 2
    opened.disk.mend()


async def test_a_settle_and_a_goodbye_in_one_commit(opened):
    """A consumer may settle, be forgotten, come back and settle again while one commit runs."""
    journal = opened.journal
    await asyncio.gather(*(append(journal, make_event(n)) for n in range(3)))
    for last_act in (journal.forget, lambda name: journal.enroll(name, Filter(), 0, declared=True)):
        hangs = opened.disk.hang("commit")
        waiting = [journal.remember("any", "fact")]
        await asyncio.to_thread(hangs.wait, 5)
        waiting += [journal.settle("bot", [1, 3]), journal.forget("bot"), last_act("bot")]
        opened.disk.mend()
        await asyncio.wait_for(asyncio.gather(*waiting), 5)

    await eventually(lambda: place(journal, "bot") == (0, (), 3))


async def test_no_more_than_32_mib_wait(opened, clock):
    """Beyond the bound an event is refused at once; below it again all is well, nothing was lost."""
    hangs = opened.disk.hang("commit")
    waiting = [offer(opened.journal, make_event("first"))]
    await asyncio.to_thread(hangs.wait, 5)
    size = 4 * 1024**2 - 1024
    waiting += [offer(opened.journal, make_event(n, size=size)) for n in range(8)]
    refused = offer(opened.journal, make_event("too much", size=size))
    at_once = refused.done() and refused.result()
    shown = opened.journal.facts()
    opened.disk.mend()
    stored = await asyncio.gather(*waiting)
    await eventually(lambda: is_well(opened, clock))

    assert at_once == Outcome(Verdict.REFUSED, fault=Fault.JOURNAL_BACKLOG)
    assert shown.fault is Fault.JOURNAL_BACKLOG
    assert 30 * 1024**2 < shown.waiting_bytes <= 32 * 1024**2
    assert [o.position for o in stored] == list(range(1, 10))
    assert opened.journal.facts().waiting_bytes == 0


async def test_closing_beside_a_hanging_disk(opened):
    """A close ends at its deadline whatever the disk does."""
    hangs = opened.disk.hang("commit")
    waiting = offer(opened.journal, make_event("a"))
    await asyncio.to_thread(hangs.wait, 5)
    await asyncio.wait_for(opened.journal.close(0.2), 2)
    was_alive = opened.journal.is_alive()
    opened.disk.mend()

    assert was_alive
    assert (await waiting).position == 1
    await eventually(lambda: not opened.journal.is_alive())


async def test_closing_beside_a_failing_disk(opened):
    """A disk that refuses does not hold the close up."""
    opened.disk.fail("commit")
    await append(opened.journal, make_event("a"))
    opened.journal.settle_soon("bot", [1])
    await asyncio.wait_for(opened.journal.close(5), 2)

    await eventually(lambda: not opened.journal.is_alive())


async def test_a_close_is_a_last_try(opened, open_journal):
    """What the disk refused is tried once more before the end."""
    await append(opened.journal, make_event("a"))
    opened.disk.fail("commit", times=1)
    opened.journal.settle_soon("bot", [1])
    await append(opened.journal, make_event("refused"))
    await opened.journal.close(5)

    assert place(open_journal().journal, "bot")[0] == 1


async def test_upkeep_waits_for_what_is_owed(open_journal, clock):
    """What a consumer that is still on disk holds is not pruned because memory knows better."""
    settings = JournalSettings(retention_hours=1, dedupe_hours=1)
    opened = open_journal(settings)
    await opened.journal.enroll("bot", Filter(), 0, declared=False)
    await append(opened.journal, make_event("a", at_ms=clock.wall_ms()))
    clock.advance(2 * HOUR_S)
    opened.disk.fail("remove_consumer")
    forgotten = opened.journal.forget("bot")
    opened.journal.reconfigure(settings)
    await asyncio.sleep(0.2)
    kept = await positions(opened.journal)
    opened.disk.mend()
    await asyncio.wait_for(forgotten, 5)
    await eventually(lambda: any(pruned.events for pruned in opened.told(JournalPruned)))

    assert kept == [1]
    assert await positions(opened.journal) == []


# -- starvation ---------------------------------------------------------------------------


async def keep_busy(journal, act, until):
    """Call `act(n)` over and over, without a pause of the loop, until told to stop."""
    n = 0
    while not until.is_set():
        n += 1
        await act(n)
    return n


async def test_a_settle_nobody_waits_for_is_durable_soon(opened):
    """It waits for company some 20 ms, not for the next event."""
    await append(opened.journal, make_event("a"))
    loop = asyncio.get_running_loop()
    began = loop.time()
    opened.journal.settle_soon("bot", [1])
    await eventually(lambda: place(opened.journal, "bot")[0] == 1, every_s=0.002)

    assert loop.time() - began < 0.5  # 50 ms are promised; this machine may be busy


async def test_constant_settles_hold_up_no_commit(opened):
    """Under a stream of settles nobody waits for, events and settles are committed all the same."""
    journal = opened.journal
    for n in range(1, 301):
        await append(journal, make_event(n))
    stop = asyncio.Event()

    async def act(n):
        journal.settle_soon("bot", [1 + n % 300])
        await asyncio.sleep(0)

    busy = asyncio.create_task(keep_busy(journal, act, stop))
    await eventually(lambda: place(journal, "bot")[0] == 300)
    outcome = await asyncio.wait_for(append(journal, make_event("b")), 2)
    stop.set()
    await busy

    assert outcome.position == 301


async def test_upkeep_goes_on_under_constant_load(open_journal, clock):
    """While events come without a pause, old ones are pruned between the commits."""
    settings = JournalSettings(retention_hours=1, dedupe_hours=1)
    opened = open_journal(settings)
    journal = opened.journal
    await asyncio.gather(*(append(journal, make_event(n)) for n in range(1200)))
    clock.advance(2 * HOUR_S)
    stop = asyncio.Event()
    at_ms = clock.wall_ms()

    async def act(n):
        await append(journal, make_event(f"new{n}", at_ms=at_ms))

    workers = [
        asyncio.create_task(keep_busy(journal, lambda n, w=w: act((w, n)), stop)) for w in range(4)
    ]
    journal.reconfigure(settings)
    await eventually(lambda: opened.told(JournalPruned), 10)
    stop.set()
    await asyncio.gather(*workers)

    assert opened.told(JournalPruned)[0] == JournalPruned(1200, 1200)


async def test_the_wal_does_not_grow_under_load(opened, monkeypatch):
    """However fast large events come, what they add to the WAL is moved before it is too much."""
    monkeypatch.setattr(checkpoints, "MOST_WAL_BYTES", 8 * 1024**2)
    monkeypatch.setattr(writer, "UPKEEP_EVERY_S", 3600)
    wal = opened.path.with_name("journal.db-wal")
    largest = 0
    for n in range(12):
        events = [make_event((n, m), size=64_000) for m in range(32)]
        await asyncio.gather(*(append(opened.journal, event) for event in events))
        largest = max(largest, wal.stat().st_size)

    assert largest < 14 * 1024**2  # 24 were written


async def test_the_wal_stays_small_where_little_is_free(opened, monkeypatch):
    """It has to fit on the disk a second time; without a pause, and in commits of any size."""
    monkeypatch.setattr(writer, "disk_space", lambda _: (1024**2, 1024**3))
    monkeypatch.setattr(writer, "FACTS_EVERY_S", 0.0)
    wal = opened.path.with_name("journal.db-wal")
    largest = 0
    for n in range(20):
        events = [make_event((n, m), size=8000) for m in range(40)]
        await asyncio.gather(*(append(opened.journal, event) for event in events))
        largest = max(largest, wal.stat().st_size)

    assert largest < 2 * 1024**2  # 6.4 MiB of payloads were written


async def test_the_wal_does_not_grow_while_pruning(open_journal, clock):
    """What pruning adds to the WAL is moved as well, though no event comes."""
    settings = JournalSettings(retention_hours=1, dedupe_hours=1)
    opened = open_journal(settings)
    wal = opened.path.with_name("journal.db-wal")
    for n in range(8):
        events = [make_event((n, m), extra_keys=((n, m, "too"),)) for m in range(1000)]
        await asyncio.gather(*(append(opened.journal, event) for event in events))
    await eventually(lambda: opened.journal._writer._checkpoints.wal_bytes == 0)
    before = wal.stat().st_size
    clock.advance(2 * HOUR_S)
    opened.journal.reconfigure(settings)
    await eventually(lambda: opened.told(JournalPruned))

    assert opened.told(JournalPruned) == [JournalPruned(8000, 16_000)]
    assert wal.stat().st_size <= max(before, 8 * 1024**2)


# -- defects ------------------------------------------------------------------------------


async def test_a_thread_that_dies_is_noticed(opened, monkeypatch):
    """A defect that ends the thread is a fault for good, and events are refused at once."""
    died = []
    monkeypatch.setattr(threading, "excepthook", died.append)

    def defect(*_):
        raise ZeroDivisionError

    opened.journal._writer.put(Change(defect))
    await eventually(lambda: opened.journal.facts().fault is Fault.INTERNAL)
    outcome = await append(opened.journal, make_event("a"))

    assert not opened.journal.is_alive()
    assert outcome == Outcome(Verdict.REFUSED, fault=Fault.INTERNAL)
    assert [h.fault for h in opened.told(JournalFaulted)] == [Fault.INTERNAL]
    assert died[0].exc_type is ZeroDivisionError
