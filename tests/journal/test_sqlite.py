"""The journal on disk as a whole: opening, retention, declared consumers, space, the end."""

import asyncio
import signal
import sqlite3
import subprocess
import sys
import threading
import uuid
from pathlib import Path

import pytest
from journal.conftest import Opened
from journal.contract import NOW_MS, append, make_event, place, positions
from journal.faulty import FaultyStore
from support import eventually

from feishu_ws.clock import ManualClock
from feishu_ws.faults import Fault, FeishuWsError
from feishu_ws.happenings import (
    ConsumerFaulted,
    EventsDropped,
    JournalFaulted,
    JournalOpened,
    JournalPruned,
    JournalRecovered,
)
from feishu_ws.journal.contract import JournalSettings
from feishu_ws.journal.schema import MIGRATIONS, VERSION
from feishu_ws.model import Attempt, Filter, Outcome, Verdict

HOUR_S = 3600
MIB = 1024**2
HOLD = """
import asyncio, sys
from pathlib import Path
from feishu_ws.clock import SystemClock
from feishu_ws.journal.contract import JournalSettings
from feishu_ws.journal.sqlite import SqliteJournal
from feishu_ws.tally import Tally

async def hold():
    journal = SqliteJournal(Path(sys.argv[1]), JournalSettings(), clock=SystemClock(),
                            tally=Tally(), observe=lambda _: None)
    journal.open()
    await journal.remember("owner", "first")
    print("open", flush=True)
    await asyncio.sleep(60)

asyncio.run(hold())
"""


async def fill(journal, names, **kwargs):
    """Append events at once; return their outcomes."""
    return await asyncio.gather(*(append(journal, make_event(n, **kwargs)) for n in names))


def contents(path):
    """Return what is in the journal's file and WAL, byte for byte."""
    files = (path.with_name(path.name + suffix) for suffix in ("", "-wal"))
    found = {file.name: file.read_bytes() for file in files if file.exists()}
    return {name: data for name, data in found.items() if data}  # an empty WAL is none


def copy(path, target):
    """Copy a journal that is open, as a crash would leave it."""
    target.mkdir()
    for name, data in contents(path).items():
        (target / name).write_bytes(data)
    return target / path.name


# -- opening ------------------------------------------------------------------------------


async def test_everything_is_there_again(open_journal):
    """Events, cursors, spans, attempts, facts, identity and positions outlive a clean restart."""
    journal = open_journal().journal
    await journal.enroll("bot", Filter(("im.*",)), 0, declared=False)
    await fill(journal, range(6))
    await journal.settle("bot", [1, 4])
    await journal.note_attempt("bot", 2, Attempt(3, 9, "why"))
    await journal.remember("proven", "yes")
    before = dict(journal.consumers()), await positions(journal), journal.id
    await journal.close(5)
    opened = open_journal()
    await eventually(lambda: opened.journal.consumers()["bot"].pending == 4)

    assert (
        dict(opened.journal.consumers()),
        await positions(opened.journal),
        opened.journal.id,
    ) == before
    assert opened.journal.recall("proven") == "yes"
    assert uuid.UUID(opened.journal.id)
    assert opened.told(JournalOpened)[0].position == 6
    assert (await append(opened.journal, make_event(3))).verdict is Verdict.DUPLICATE
    assert (await append(opened.journal, make_event(6))).position == 7


async def test_all_files_are_private(open_journal):
    """Database, WAL, index and lock can be opened by their owner alone."""
    opened = open_journal()
    await append(opened.journal, make_event("a"))
    found = {p.name: p.stat().st_mode & 0o777 for p in opened.path.parent.iterdir()}

    assert set(found) == {"journal.db" + end for end in ("", "-wal", "-shm", ".lock")}
    assert set(found.values()) == {0o600}


async def test_a_clean_stop_leaves_one_file(open_journal):
    """After a close the WAL is in the file, and the lock is free."""
    opened = open_journal()
    await fill(opened.journal, range(50))
    gate = threading.Event()
    reading = opened.journal._reader.submit(lambda: gate.wait(0.2))  # the reader ends last
    await opened.journal.close(5)
    await reading

    assert sorted(p.name for p in opened.path.parent.iterdir()) == ["journal.db", "journal.db.lock"]


async def test_a_second_process_is_refused(tmp_path):
    """Another process is told whose the journal is; killed, it leaves the journal free and whole."""
    path = tmp_path / "journal.db"
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as owner:
        assert owner.stdout.readline() == b"open\n"
        with pytest.raises(FeishuWsError, match=f"process {owner.pid} ") as refused:
            Opened(path, JournalSettings(), ManualClock())
        owner.send_signal(signal.SIGKILL)
    opened = Opened(path, JournalSettings(), ManualClock())
    recalled = opened.journal.recall("owner")
    await opened.journal.close(5)

    assert refused.value.fault is Fault.JOURNAL_LOCKED
    assert recalled == "first"


@pytest.mark.parametrize("mode", ["wal", "delete"])
async def test_a_newer_version_is_not_touched(tmp_path, mode):
    """A file from a newer program is refused and stays as it is, byte for byte."""
    path = tmp_path / "journal.db"
    newer = sqlite3.connect(path, isolation_level=None)
    newer.execute(f"PRAGMA journal_mode = {mode}")
    newer.executescript(MIGRATIONS[0])
    newer.execute("CREATE TABLE later (id INTEGER)")
    newer.execute(f"PRAGMA user_version = {VERSION + 1}")
    path = copy(path, tmp_path / "copy")
    newer.close()
    before = contents(path)
    for _ in range(2):  # the lock is free again
        with pytest.raises(FeishuWsError) as refused:
            Opened(path, JournalSettings(), ManualClock())

    assert refused.value.fault is Fault.JOURNAL_VERSION
    assert contents(path) == before


async def test_a_page_that_turns_out_corrupt(open_journal):
    """Damage met while reading ends intake: what is added to such a file may be lost."""
    opened = open_journal()
    await fill(opened.journal, range(50), size=20_000)
    await opened.journal.close(5)
    opened = open_journal()
    with opened.path.open("r+b") as file:
        file.seek(opened.path.stat().st_size // 8192 * 4096)  # in the middle: payloads
        file.write(b"\x55" * 4096 * 40)
    with pytest.raises(FeishuWsError) as failed:
        await positions(opened.journal)
    outcome = await append(opened.journal, make_event("new"))

    assert failed.value.fault is Fault.JOURNAL_CORRUPT
    assert outcome == Outcome(Verdict.REFUSED, fault=Fault.JOURNAL_CORRUPT)
    assert opened.journal.facts().fault is Fault.JOURNAL_CORRUPT
    assert opened.tally.journal_errors["read"] == 1


async def test_damage_that_only_a_reader_meets(open_journal):
    """A corrupt page ends intake though the writer never comes by it."""
    opened = open_journal()
    FaultyStore(opened.journal._read_store).fail("events_after", name="SQLITE_CORRUPT", times=1)
    with pytest.raises(FeishuWsError, match="SQLITE_CORRUPT"):
        await opened.journal.read(0)
    outcome = await append(opened.journal, make_event("new"))

    assert outcome == Outcome(Verdict.REFUSED, fault=Fault.JOURNAL_CORRUPT)
    assert [h.fault for h in opened.told(JournalFaulted)] == [Fault.JOURNAL_CORRUPT]


async def test_a_read_that_fails_is_no_fault(open_journal):
    """A reader that cannot read says why and is counted; events are taken all the same."""
    opened = open_journal()
    FaultyStore(opened.journal._read_store).fail("events_after", times=1)
    with pytest.raises(FeishuWsError, match="SQLITE_IOERR") as failed:
        await opened.journal.read(0)
    outcome = await append(opened.journal, make_event("new"))

    assert failed.value.fault is Fault.JOURNAL_IO
    assert outcome.verdict is Verdict.STORED
    assert opened.tally.journal_errors == {"read": 1}
    assert (await opened.journal.read(0)).through == 1


async def test_a_directory_that_is_not_there(tmp_path):
    """A journal that cannot be made says where and why."""
    with pytest.raises(FeishuWsError, match="nowhere") as refused:
        Opened(tmp_path / "nowhere" / "journal.db", JournalSettings(), ManualClock())

    assert refused.value.fault is Fault.JOURNAL_IO


async def test_a_directory_in_place_of_the_file(tmp_path):
    """What is no file is named, and the lock is free again."""
    (tmp_path / "journal.db").mkdir()
    for _ in range(2):
        with pytest.raises(FeishuWsError, match="cannot open the journal") as refused:
            Opened(tmp_path / "journal.db", JournalSettings(), ManualClock())

    assert refused.value.fault is Fault.JOURNAL_IO


async def test_a_consumer_made_anew_is_new_on_disk_too(open_journal):
    """One that is forgotten and comes back has nothing of its past, and all of its present."""
    journal = open_journal().journal
    await fill(journal, range(5))
    for _ in range(2):
        await journal.enroll("bot", Filter(), 0, declared=False)
        await journal.settle("bot", [3, 5])
        await journal.note_attempt("bot", 4, Attempt(1))
        before = journal.consumers()["bot"]
        await journal.forget("bot")
    await journal.enroll("bot", Filter(), 0, declared=False)
    await journal.settle("bot", [3])
    await journal.close(5)
    journal = open_journal().journal
    await eventually(lambda: place(journal, "bot") == (0, ((3, 3),), 4))

    assert (before.ahead, before.attempts) == (((3, 3), (5, 5)), {4: Attempt(1)})
    assert journal.consumers()["bot"].attempts == {}


# -- declared consumers -------------------------------------------------------------------


async def test_declared_consumers_exist_from_the_start(open_journal, clock):
    """A newly declared consumer begins within the window; one declared no more is a plain one."""
    journal = open_journal().journal
    await append(journal, make_event("old", at_ms=NOW_MS - 400_000))
    await append(journal, make_event("new", at_ms=NOW_MS - 200_000))
    await journal.close(5)
    declared = JournalSettings(declared={"bot": Filter(("im.*",))})
    journal = open_journal(declared).journal
    first = journal.consumers()["bot"]
    await eventually(lambda: place(journal, "bot") == (1, (), 1))
    await journal.close(5)
    after = open_journal().journal.consumers()["bot"]

    assert (first.cursor, first.declared, first.filter) == (1, True, Filter(("im.*",)))
    assert (after.cursor, after.declared) == (1, False)


async def test_what_the_file_leaves_open_its_last_hello_says(open_journal):
    """A declared name without a filter keeps the one it has; one with a filter gets that."""
    journal = open_journal().journal
    for name in ("open", "closed"):
        await journal.enroll(name, Filter(("im.*",)), 0, declared=False)
    await journal.close(5)
    settings = JournalSettings(declared={"open": Filter(), "closed": Filter(("x",))})
    journal = open_journal(settings).journal
    await eventually(lambda: journal.consumers()["closed"].filter == Filter(("x",)))

    assert journal.consumers()["open"].filter == Filter(("im.*",))


async def test_a_reload_declares(open_journal, clock):
    """Consumers declared by a reload come to exist, and those it leaves out are plain ones."""
    journal = open_journal(JournalSettings(declared={"was": Filter()})).journal
    await append(journal, make_event("a", at_ms=clock.wall_ms()))
    journal.reconfigure(JournalSettings(max_bytes=2 * MIB, declared={"is": Filter()}))
    await eventually(lambda: "is" in journal.consumers())
    records = journal.consumers()

    assert (records["was"].declared, records["is"].declared) == (False, True)
    await eventually(lambda: place(journal, "is") == (0, (), 1))
    assert journal.facts().limit_bytes == 2 * MIB


async def test_a_cursor_beyond_all_numbers(open_journal):
    """A consumer may ask to start anywhere; what no position reaches ends no thread."""
    journal = open_journal().journal
    await journal.enroll("far", Filter(), 2**64 - 2, declared=False)
    await append(journal, make_event("a"))

    assert journal.consumers()["far"].pending == 0


# -- retention ----------------------------------------------------------------------------


async def test_retention_and_dedupe(open_journal, clock):
    """After their hours unheld events and keys go; a later copy is then a new event."""
    settings = JournalSettings(retention_hours=48, dedupe_hours=24)
    opened = open_journal(settings)
    journal = opened.journal
    await journal.enroll("bot", Filter(), 0, declared=True)
    await fill(journal, range(5), at_ms=clock.wall_ms())
    await journal.settle("bot", [1, 2, 4])
    clock.advance(25 * HOUR_S)
    journal.reconfigure(settings)
    await eventually(lambda: opened.told(JournalPruned))
    again = await append(journal, make_event(0, at_ms=clock.wall_ms()))
    kept = await positions(journal)
    clock.advance(24 * HOUR_S + 1)
    journal.reconfigure(settings)
    await eventually(lambda: len(opened.told(JournalPruned)) == 2)

    assert opened.told(JournalPruned) == [JournalPruned(0, 5), JournalPruned(3, 1)]
    assert again == Outcome(Verdict.STORED, 6)
    assert kept == [1, 2, 3, 4, 5, 6]
    assert await positions(journal) == [3, 5, 6]


async def test_positions_go_on_after_everything_went(open_journal, clock):
    """An emptied journal, opened again, goes on counting where it was."""
    settings = JournalSettings(retention_hours=1, dedupe_hours=1)
    opened = open_journal(settings)
    await fill(opened.journal, range(5), at_ms=clock.wall_ms())
    clock.advance(2 * HOUR_S)
    opened.journal.reconfigure(settings)
    await eventually(lambda: any(pruned.events for pruned in opened.told(JournalPruned)))
    empty = await positions(opened.journal)
    await opened.journal.close(5)
    journal = open_journal(settings).journal

    assert (empty, journal.facts().first, journal.last) == ([], 0, 5)
    assert (await append(journal, make_event("a"))).position == 6


async def test_an_untrusted_clock(open_journal, clock):
    """While the wall clock is not believed nothing expires; afterwards it does."""
    settings = JournalSettings(retention_hours=1, dedupe_hours=1)
    opened = open_journal(settings)
    await fill(opened.journal, range(5), at_ms=clock.wall_ms())
    opened.journal.trust_clock(trusted=False)
    clock.advance(2 * HOUR_S)
    opened.journal.reconfigure(settings)
    await opened.journal.remember("a", "b")
    await eventually(lambda: not opened.journal._writer.upkeep.has_work())
    kept = await positions(opened.journal)
    opened.journal.trust_clock(trusted=True)
    opened.journal.reconfigure(settings)
    await eventually(lambda: any(pruned.events for pruned in opened.told(JournalPruned)))

    assert kept == [1, 2, 3, 4, 5]
    assert await positions(opened.journal) == []


async def test_a_step_of_the_clock_that_nobody_noticed_yet(open_journal, clock):
    """In the second before the daemon doubts the clock nothing expires by it; accepted, it does."""
    settings = JournalSettings(retention_hours=1, dedupe_hours=1)
    opened = open_journal(settings)
    await fill(opened.journal, range(5), at_ms=clock.wall_ms())
    clock.step_wall(2 * HOUR_S)
    opened.journal.reconfigure(settings)
    await opened.journal.remember("a", "b")
    await eventually(lambda: not opened.journal._writer.upkeep.has_work())
    kept = await positions(opened.journal)
    opened.journal.trust_clock(trusted=True)
    opened.journal.reconfigure(settings)
    await eventually(lambda: any(pruned.events for pruned in opened.told(JournalPruned)))

    assert kept == [1, 2, 3, 4, 5]
    assert await positions(opened.journal) == []


async def test_a_pruned_file_shrinks(open_journal, clock):
    """Space that pruning freed goes back to the file system, but for a reserve."""
    settings = JournalSettings(retention_hours=1, dedupe_hours=1)
    opened = open_journal(settings)
    for n in range(4):
        await fill(opened.journal, range(10 * n, 10 * n + 10), at_ms=clock.wall_ms(), size=MIB)
    await eventually(lambda: opened.path.stat().st_size > 38 * MIB)
    clock.advance(2 * HOUR_S)
    opened.journal.reconfigure(settings)
    await eventually(lambda: opened.path.stat().st_size < 18 * MIB, 10)

    await eventually(lambda: opened.journal.facts().size_bytes < MIB)


# -- space --------------------------------------------------------------------------------


def small(**kwargs):
    """Return settings of a journal that is soon full."""
    return JournalSettings(max_bytes=MIB, **kwargs)


async def flood(journal, count, *, size=10_000, name="flood"):
    """Append events one after the other; return the outcomes."""
    return [await append(journal, make_event((name, n), size=size)) for n in range(count)]


async def test_unheld_events_give_way(open_journal):
    """With nothing held a full journal takes events for ever, and tells of no loss."""
    opened = open_journal(small())
    outcomes = await flood(opened.journal, 250)

    assert {o.verdict for o in outcomes} == {Verdict.STORED}
    assert 0 < opened.journal.facts().size_bytes <= MIB
    assert opened.told(EventsDropped) == []
    assert opened.told(JournalFaulted) == []
    assert (await positions(opened.journal))[-1] == 250


async def test_refuse_is_a_fault_that_ends_by_itself(open_journal, clock):
    """Full of held events the journal refuses; settles are taken, make room, and end the fault."""
    opened = open_journal(small(declared={"bot": Filter()}))
    journal = opened.journal
    outcomes = await flood(journal, 110)
    stored = [o.position for o in outcomes if o.verdict is Verdict.STORED]
    refused = [o for o in outcomes if o.verdict is Verdict.REFUSED]
    copy_of_stored = await append(journal, make_event(("flood", 0), size=10_000))
    copy_of_refused = await append(journal, make_event(("flood", 109), size=10_000))
    shown = journal.facts().fault
    await journal.settle("bot", stored[:40])

    def is_well():
        clock.advance(0.5)
        return journal.facts().fault is None

    await eventually(is_well, 10)
    after = await flood(journal, 20, name="after")

    assert stored == list(range(1, len(stored) + 1))
    assert {o.fault for o in refused} == {Fault.JOURNAL_FULL}
    assert copy_of_stored.verdict is Verdict.DUPLICATE
    assert copy_of_refused.fault is Fault.JOURNAL_FULL
    assert shown is Fault.JOURNAL_FULL
    assert {o.verdict for o in after} == {Verdict.STORED}
    assert [h.fault for h in opened.told(JournalFaulted)] == [Fault.JOURNAL_FULL]
    assert [h.fault for h in opened.told(JournalRecovered)] == [Fault.JOURNAL_FULL]
    assert opened.told(EventsDropped) == []
    assert set(stored[40:]) <= set(await positions(journal))


async def test_drop_oldest_counts_what_it_drops(open_journal):
    """With `drop_oldest` every event is taken; the oldest held ones go, each one counted."""
    opened = open_journal(small(declared={"bot": Filter()}, refuse_when_full=False))
    journal = opened.journal
    outcomes = await flood(journal, 1)
    await journal.note_attempt("bot", 1, Attempt(3))
    outcomes += await flood(journal, 249, name="more")
    kept = await positions(journal)
    dropped = opened.told(EventsDropped)

    assert {o.verdict for o in outcomes} == {Verdict.STORED}
    assert kept == list(range(251 - len(kept), 251))
    assert {drop.reason for drop in dropped} == {"journal_full"}
    assert sum(drop.count for drop in dropped) == 250 - len(kept)
    assert opened.tally.events_discarded == {"journal_full": 250 - len(kept)}
    assert place(journal, "bot") == (250 - len(kept), (), len(kept))
    await journal.close(5)
    again = open_journal(small(declared={"bot": Filter()})).journal
    await eventually(lambda: place(again, "bot") == (250 - len(kept), (), len(kept)))
    assert again.consumers()["bot"].attempts == {}


async def test_what_a_failed_commit_gave_up_is_still_there(open_journal):
    """Events that a transaction removed for space are there after it failed, and nobody counts them lost."""
    opened = open_journal(small(declared={"bot": Filter()}, refuse_when_full=False))
    journal = opened.journal
    await flood(journal, 150)
    before, dropped = await positions(journal), opened.told(EventsDropped)
    opened.disk.fail("commit", times=1)
    refused = await append(journal, make_event("large", size=100_000))
    opened.disk.mend()
    journal.reconfigure(JournalSettings(max_bytes=2 * MIB, declared={"bot": Filter()}))
    stored = await append(journal, make_event("large", size=100_000))

    assert (refused.verdict, stored.verdict) == (Verdict.REFUSED, Verdict.STORED)
    assert await positions(journal) == [*before, stored.position]
    assert opened.told(EventsDropped) == dropped
    assert journal.consumers()["bot"].pending == len(before) + 1


async def test_the_absent_give_way_to_the_declared(open_journal):
    """Events that only an absent, undeclared consumer holds go and are counted; connected, it keeps them."""
    opened = open_journal(small())
    journal = opened.journal
    await journal.enroll("absent", Filter(), 0, declared=False)
    await flood(journal, 150)
    dropped = opened.told(EventsDropped)
    count = sum(drop.count for drop in dropped)
    journal.seen("absent", NOW_MS, connected=True)
    refused = await flood(journal, 150, name="more")
    journal.seen("absent", NOW_MS, connected=False)

    told = opened.told(ConsumerFaulted)
    assert {drop.reason for drop in dropped} == {"consumer_absent"}
    assert {(fault.consumer, fault.fault) for fault in told} == {("absent", Fault.CONSUMER_ABSENT)}
    lost = dropped[0]
    assert told[0].detail.startswith(f"{lost.count} events ")
    assert told[0].detail.endswith(f"positions {lost.first} to {lost.last}")
    assert len(told) == len(dropped)
    assert journal.consumers()["absent"].cursor >= count > 0
    assert (journal.consumers()["absent"].last_seen_ms) == NOW_MS
    assert Fault.JOURNAL_FULL in {o.fault for o in refused}


async def test_dead_letters_give_way_before_held_events(open_journal):
    """Dead letters and their events go before anything is refused, and are counted."""
    opened = open_journal(small(declared={"bot": Filter()}))
    journal = opened.journal
    await flood(journal, 40, name="poison")
    for position in range(1, 41):
        await journal.bury("bot", position, "max_attempts", Attempt(16))
    await flood(journal, 60)
    outcomes = await flood(journal, 20, name="more")
    dropped = opened.told(EventsDropped)

    assert {o.verdict for o in outcomes} == {Verdict.STORED}
    assert {drop.reason for drop in dropped} == {"dead_letter"}
    assert dropped[0].first == 1
    await eventually(lambda: journal.facts().dead_letters == 40 - sum(d.count for d in dropped))


async def test_facts(open_journal):
    """What status shows: path, identity, positions, sizes, dead letters."""
    opened = open_journal(small())
    journal = opened.journal
    await journal.enroll("bot", Filter(), 0, declared=False)
    await fill(journal, range(3))
    await journal.bury("bot", 2, "expired", Attempt(0))
    await eventually(lambda: journal.facts().dead_letters == 1)
    facts = journal.facts()

    assert (facts.id, facts.path, facts.first, facts.last) == (journal.id, str(opened.path), 1, 3)
    assert (facts.limit_bytes, facts.waiting_bytes, facts.fault) == (MIB, 0, None)
    assert 0 < facts.size_bytes <= opened.path.stat().st_size + MIB
    assert facts.free_bytes > 0


async def test_pruning_is_in_no_appends_way(open_journal, clock):
    """While many events are pruned none of the new ones waits for more than a small part of it."""
    settings = JournalSettings(retention_hours=1, dedupe_hours=1)
    opened = open_journal(settings)
    for n in range(8):
        await fill(opened.journal, [(n, m) for m in range(1000)], at_ms=clock.wall_ms())
    clock.advance(2 * HOUR_S)
    loop = asyncio.get_running_loop()
    took_s, began = [], loop.time()
    opened.journal.reconfigure(settings)
    while not opened.told(JournalPruned):
        offered = loop.time()
        await append(opened.journal, make_event(f"new{offered}", at_ms=clock.wall_ms()))
        took_s.append(loop.time() - offered)

    assert opened.told(JournalPruned) == [JournalPruned(8000, 8000)]
    assert max(took_s) < (loop.time() - began) / 3


# -- dead letters -------------------------------------------------------------------------


async def test_a_revived_event_outlives_a_restart(open_journal, clock):
    """It is held, untried and kept whatever its age, by the consumer alone whose letter it was."""
    settings = JournalSettings(retention_hours=1, dedupe_hours=1)
    journal = open_journal(settings).journal
    for name in ("bot", "log"):
        await journal.enroll(name, Filter(), 0, declared=False)
    await fill(journal, range(4), at_ms=clock.wall_ms())
    for name in ("bot", "log"):
        await journal.bury(name, 2, "expired", Attempt(0))
        await journal.settle(name, [1, 3, 4])
    await journal.revive("bot", [2])
    await journal.close(5)
    clock.advance(2 * HOUR_S)
    again = open_journal(settings)
    await eventually(lambda: any(pruned.events for pruned in again.told(JournalPruned)))

    assert await positions(again.journal) == [2]
    assert place(again.journal, "bot") == (1, ((3, 4),), 1)
    assert place(again.journal, "log") == (4, (), 0)
    assert again.journal.consumers()["bot"].attempts == {2: Attempt(0)}
    assert [a.consumer for a in await again.journal.dead_letters()] == ["log"]


async def test_a_dropped_letter_no_longer_keeps_its_event(open_journal, clock):
    """Without its letter an old event nobody holds goes like any other."""
    settings = JournalSettings(retention_hours=1, dedupe_hours=1)
    opened = open_journal(settings)
    journal = opened.journal
    await journal.enroll("bot", Filter(), 0, declared=False)
    await fill(journal, range(2), at_ms=clock.wall_ms())
    for position in (1, 2):
        await journal.bury("bot", position, "expired", Attempt(0))
    clock.advance(2 * HOUR_S)
    await journal.drop_dead([("bot", 1)])
    journal.reconfigure(settings)
    await eventually(lambda: any(pruned.events for pruned in opened.told(JournalPruned)))

    assert await positions(journal) == [2]


async def test_buried_and_revived_in_one_commit(open_journal):
    """Whatever becomes of a letter before it is written, the last word counts."""
    opened = open_journal()
    journal = opened.journal
    await journal.enroll("bot", Filter(), 0, declared=False)
    await fill(journal, range(3))
    hangs = opened.disk.hang("commit")
    journal.settle_soon("bot", [1])
    await asyncio.to_thread(hangs.wait, 10)
    for position in (2, 3):
        journal.bury("bot", position, "rejected", Attempt(1))
    revived = journal.revive("bot", [2, 3])
    journal.bury("bot", 3, "max_attempts", Attempt(16))
    opened.disk.mend()

    assert await revived == [2, 3]
    await journal.remember("idle", "")
    assert [(a.position, a.reason) for a in await journal.dead_letters()] == [(3, "max_attempts")]
    assert place(journal, "bot") == (1, ((3, 3),), 1)


# -- together -----------------------------------------------------------------------------


async def test_reading_while_writing(open_journal):
    """A reader that follows a busy writer sees every event once, in order, and no hole."""
    journal = open_journal().journal
    published = []
    journal.subscribe(lambda events: published.extend(e.position for e in events))
    writing = asyncio.ensure_future(fill(journal, range(2000)))
    seen, after = [], 0
    while len(seen) < 2000:
        reading = await journal.read(after, max_events=97)
        seen += [event.position for event in reading.events]
        after = reading.through
    await writing

    assert seen == published == list(range(1, 2001))


async def test_many_tasks_at_once(open_journal):
    """Appends, duplicates, settles and reads from many tasks leave an exact ledger."""
    journal = open_journal().journal
    await journal.enroll("bot", Filter(), 0, declared=False)

    async def work(w):
        for n in range(30):
            outcome = await append(journal, make_event(f"{w % 4}-{n}"))
            if outcome.verdict is Verdict.STORED and n % 3:
                await journal.settle("bot", [outcome.position])
            await journal.read(0, max_events=2)

    await asyncio.gather(*(work(w) for w in range(12)))

    assert await positions(journal) == list(range(1, 121))
    assert journal.consumers()["bot"].pending == 40


async def test_a_subscriber_that_fails(open_journal):
    """A defect behind the journal does not keep stored events from being confirmed."""
    journal = open_journal().journal
    loop, seen = asyncio.get_running_loop(), []
    loop.set_exception_handler(lambda _, context: seen.append(context["exception"]))
    journal.subscribe(lambda events: 1 // 0)
    outcome = await append(journal, make_event("a"))
    await journal.remember("still", "here")
    loop.set_exception_handler(None)

    assert outcome.position == 1
    assert isinstance(seen[0], ZeroDivisionError)


# -- the end ------------------------------------------------------------------------------


async def test_a_close_answers_what_waits(open_journal):
    """What was handed over before the close is committed and answered."""
    journal = open_journal().journal
    await journal.enroll("bot", Filter(), 0, declared=False)
    outcomes = []
    for n in range(500):
        journal.append(make_event(n), outcomes.append)
    settled = journal.settle("bot", [1])
    await journal.close(5)
    await asyncio.sleep(0)

    assert [o.position for o in outcomes] == list(range(1, 501))
    assert settled.done()


async def test_after_the_close(open_journal):
    """A closed journal refuses events at once, answers no change, reads nothing; closing twice is fine."""
    journal = open_journal().journal
    await journal.close(5)
    outcome = await append(journal, make_event("a"))
    with pytest.raises(FeishuWsError, match="is closed"):
        await journal.read(0)
    settled = journal.settle("bot", [1])
    await asyncio.wait_for(journal.close(5), 1)

    assert outcome == Outcome(Verdict.REFUSED, fault=Fault.LOCAL_STOP)
    assert settled.cancelled()
    assert journal.facts().fault is None


async def test_no_descriptor_is_left(open_journal, tmp_path):
    """A closed journal holds no file open, nor does one that could not be opened."""
    journal = open_journal().journal
    await append(journal, make_event("a"))
    await journal.read(0)
    await journal.close(5)
    (tmp_path / "bad.db").write_bytes(b"\x55" * 5000)
    with pytest.raises(FeishuWsError):
        Opened(tmp_path / "bad.db", JournalSettings(), ManualClock())
    held = {str(fd.readlink()) for fd in Path("/proc/self/fd").iterdir() if fd.is_symlink()}

    assert not [name for name in held if str(tmp_path) in name]
