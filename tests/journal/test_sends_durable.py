"""Outgoing sends on disk: across restarts, faults, older files, a full journal, a crash."""

import asyncio
import shutil
import sqlite3
from contextlib import closing

import pytest
from journal.contract import NOW_MS, append, make_event
from journal.sends_contract import SENT, UNKNOWN, make_send, uuids
from support import eventually
from tools import golden, golden2

from feishu_ws.clock import ManualClock
from feishu_ws.faults import Fault, FeishuWsError
from feishu_ws.happenings import EventsDropped, JournalPruned, JournalSalvaged, SendsDropped
from feishu_ws.journal import writer
from feishu_ws.journal.contract import JournalSettings
from feishu_ws.journal.schema import VERSION
from feishu_ws.journal.writes import MAX_WAITING_BYTES
from feishu_ws.model import MAX_REQUEST_BYTES, Filter, Verdict

MIB = 1024 * 1024
HELD = {"bot": Filter()}


async def outcome_of(future):
    """Return what a future gives, or the fault it fails with."""
    try:
        return await asyncio.wait_for(future, 10)
    except FeishuWsError as error:
        return error.fault


async def keep(journal, names, *, close=None, size=0):
    """Open sends, and close them where an outcome is given; return what was refused."""
    refused = []
    for uuid in names:
        opened = await outcome_of(journal.open_send(make_send(uuid, request=bytes(size) or None)))
        if isinstance(opened, Fault):
            refused.append(opened)
        elif close is not None:
            await journal.close_send(uuid, close, NOW_MS)
    return refused


# -- restarts and crashes -----------------------------------------------------------------


async def test_sends_survive_a_restart(open_journal):
    """All that was known is known again, and new ones are numbered on."""
    journal = open_journal().journal
    await keep(journal, ["made", "tried", "sent", "dead"])
    await journal.note_send_attempt("tried", 5)
    await journal.close_send("sent", SENT, NOW_MS)
    await journal.close_send("dead", UNKNOWN, NOW_MS)
    before = [await journal.find_send(uuid) for uuid in ("made", "tried", "sent", "dead")]
    await journal.close(5)
    again = open_journal().journal

    assert [await again.open_send(make_send(send.uuid)) for send in before] == before
    assert (await again.open_send(make_send("new"))).number == 5
    assert again.facts().open_sends == 2


@pytest.mark.parametrize("step", ["open", "try", "close"])
async def test_what_was_answered_survives_a_crash(open_journal, tmp_path, step):
    """The moment an answer is there the files hold it, whatever happens to the process."""
    opened = open_journal()
    await opened.journal.open_send(make_send("a"))
    if step != "open":
        await opened.journal.note_send_attempt("a", 5)
    if step == "close":
        await opened.journal.close_send("a", SENT, NOW_MS)
    crashed = tmp_path / "crashed"
    crashed.mkdir()
    for name in ("journal.db", "journal.db-wal"):
        shutil.copy(tmp_path / name, crashed / name)
    known = await opened.journal.find_send("a")

    found = await open_journal(path=crashed / "journal.db").journal.find_send("a")
    assert found == known
    assert (found.attempts, found.outcome) == (
        int(step != "open"),
        SENT if step == "close" else None,
    )


async def test_sends_and_events_share_a_commit(open_journal):
    """What gathers while the disk works is one commit, sends and events alike."""
    opened = open_journal()
    hangs = opened.disk.hang("commit")
    first = opened.journal.open_send(make_send("first"))
    await asyncio.to_thread(hangs.wait, 10)
    waiting = [opened.journal.open_send(make_send(f"{n}")) for n in range(50)]
    waiting += [append(opened.journal, make_event(n)) for n in range(50)]
    gathered = asyncio.gather(first, *waiting)
    await asyncio.sleep(0)
    opened.disk.mend()
    opened.disk.watch("commit")
    await asyncio.wait_for(gathered, 10)

    assert opened.disk.calls == ["commit"]


# -- a disk that takes nothing ------------------------------------------------------------


@pytest.mark.parametrize("step", ["begin", "commit"])
async def test_a_disk_that_refuses(open_journal, step, monkeypatch):
    """Opens and attempts are refused at once with the fault; an outcome waits, and comes first."""
    monkeypatch.setattr(writer, "RETRY_S", 60)  # nobody waits for the next try
    opened = open_journal()
    journal = opened.journal
    await keep(journal, ["a", "b"])
    opened.disk.fail(step)
    close = journal.close_send("a", SENT, NOW_MS)
    refused = [
        await outcome_of(journal.open_send(make_send("new"))),
        await outcome_of(journal.note_send_attempt("b", 5)),
        await outcome_of(journal.open_send(make_send("a"))),
    ]
    before = close.done(), await journal.find_send("a")
    opened.disk.mend()
    known = await outcome_of(journal.open_send(make_send("a")))

    assert refused == [Fault.JOURNAL_IO] * 3
    assert (before[0], before[1].outcome) == (False, None)
    assert known.outcome == SENT
    assert await outcome_of(close) is True
    assert await journal.find_send("new") is None
    assert (await journal.find_send("b")).attempts == 0
    assert journal.facts().waiting_bytes == 0


async def test_an_outcome_is_written_when_the_disk_is_well(open_journal):
    """Nobody has to ask for anything: the journal tries by itself."""
    opened = open_journal()
    await keep(opened.journal, ["a"])
    opened.disk.fail("commit")
    close = opened.journal.close_send("a", SENT, NOW_MS)
    await eventually(lambda: opened.journal.facts().fault is not None)
    opened.disk.mend()

    assert await outcome_of(close) is True
    assert (await opened.journal.find_send("a")).outcome == SENT


async def test_bytes_that_wait_are_bounded(open_journal):
    """While the disk hangs only so much waits; what is more is refused at once, outcomes are not."""
    opened = open_journal()
    journal = opened.journal
    await keep(journal, ["a"])
    hangs = opened.disk.hang("commit")
    count = MAX_WAITING_BYTES // MAX_REQUEST_BYTES
    large = [make_send(f"{n}", request=bytes(MAX_REQUEST_BYTES)) for n in range(count)]
    waiting = [journal.open_send(send) for send in large]
    await asyncio.to_thread(hangs.wait, 10)
    refused = waiting[-1]
    close = journal.close_send("a", SENT, NOW_MS)

    assert refused.done()
    assert await outcome_of(refused) is Fault.JOURNAL_BACKLOG
    assert not any(future.done() for future in waiting[:-1])
    assert journal.facts().waiting_bytes <= MAX_WAITING_BYTES
    assert journal.facts().fault is Fault.JOURNAL_BACKLOG
    opened.disk.mend()
    await asyncio.wait_for(asyncio.gather(*waiting[:-1], close), 20)
    assert journal.facts().waiting_bytes == 0


async def test_a_journal_that_is_damaged(open_journal):
    """Nothing is written any more; who asks is told at once."""
    opened = open_journal()
    await keep(opened.journal, ["a"])
    opened.disk.fail("commit", name="SQLITE_CORRUPT")
    first = await outcome_of(opened.journal.open_send(make_send("b")))
    opened.disk.mend()

    assert first is Fault.JOURNAL_CORRUPT
    assert await outcome_of(opened.journal.note_send_attempt("a", 5)) is Fault.JOURNAL_CORRUPT


async def test_a_journal_that_is_closed(open_journal):
    """After the close nothing is taken, and what was handed over before is answered."""
    journal = open_journal().journal
    last = journal.open_send(make_send("a"))
    await journal.close(5)

    assert (await outcome_of(last)).number == 1
    assert await outcome_of(journal.open_send(make_send("b"))) is Fault.LOCAL_STOP
    assert await outcome_of(journal.note_send_attempt("a", 5)) is Fault.LOCAL_STOP
    assert await outcome_of(journal.close_send("a", SENT, NOW_MS)) is Fault.LOCAL_STOP
    with pytest.raises(FeishuWsError, match="closed"):
        await journal.unfinished_sends()


async def test_nobody_waits_any_more(open_journal):
    """A caller that was cancelled changes nothing about what is kept."""
    journal = open_journal().journal
    journal.open_send(make_send("a")).cancel()
    await journal.open_send(make_send("b"))

    assert uuids(await journal.unfinished_sends()) == ["a", "b"]
    assert journal.facts().waiting_bytes == 0


# -- room ---------------------------------------------------------------------------------


async def test_a_full_journal_refuses_new_sends(open_journal):
    """Unfinished sends are never dropped: the next one is refused, and known ones are answered."""
    opened = open_journal(JournalSettings(max_bytes=MIB, refuse_when_full=False))
    journal = opened.journal
    names = [f"{n}" for n in range(60)]
    refused = await keep(journal, names, size=30_000)
    kept = names[: len(names) - len(refused)]
    shown = journal.facts().fault

    assert set(refused) == {Fault.JOURNAL_FULL}
    assert shown is Fault.JOURNAL_FULL
    assert 20 <= len(kept) <= 40
    assert uuids(await journal.unfinished_sends(limit=100)) == kept
    assert (await outcome_of(journal.open_send(make_send(kept[0])))).number == 1
    assert await outcome_of(journal.note_send_attempt(kept[0], 5)) is True
    assert await outcome_of(journal.close_send(kept[0], SENT, NOW_MS)) is True
    assert opened.told(SendsDropped) == []


async def test_finished_sends_make_room(open_journal):
    """Those with an outcome go before held events, the dead last of them; unfinished ones stay."""
    opened = open_journal(JournalSettings(max_bytes=MIB, declared=HELD))
    journal = opened.journal
    await keep(journal, ["waits"])
    await keep(journal, [f"dead{n}" for n in range(20)], close=UNKNOWN, size=10_000)
    await keep(journal, [f"sent{n}" for n in range(300)], close=SENT)
    verdicts = [(await append(journal, make_event(n, size=9000))).verdict for n in range(50)]
    before = opened.told(SendsDropped)
    verdicts += [(await append(journal, make_event(n, size=9000))).verdict for n in range(50, 120)]
    told = opened.told(SendsDropped)
    stored = verdicts.count(Verdict.STORED)

    assert before == []
    assert 80 < stored < 120
    assert verdicts[:stored] == [Verdict.STORED] * stored
    assert (sum(drop.count for drop in told), sum(drop.dead for drop in told)) == (320, 20)
    assert [drop.dead > 0 for drop in told] == sorted(drop.dead > 0 for drop in told)
    assert uuids(await journal.unfinished_sends()) == ["waits"]
    assert await journal.find_send("sent0") is None
    assert len((await journal.read(0)).events) == stored
    assert opened.told(EventsDropped) == []


async def test_what_a_failed_commit_gave_up(open_journal):
    """Outcomes that a transaction removed for space are there after it failed."""
    opened = open_journal(JournalSettings(max_bytes=MIB, declared=HELD))
    journal = opened.journal
    await keep(journal, [f"{n}" for n in range(300)], close=SENT)
    while not journal.facts().size_bytes > MIB - 150_000:
        await append(journal, make_event(journal.last, size=9000))
        await journal.remember("idle", "")
        opened.journal._sizes = opened.journal._writer.sizes()
    opened.disk.fail("commit", times=1)
    refused = await append(journal, make_event("large", size=150_000))
    after = await journal.find_send("0"), opened.told(SendsDropped)
    opened.disk.mend()
    stored = await append(journal, make_event("large", size=150_000))

    assert (refused.verdict, stored.verdict) == (Verdict.REFUSED, Verdict.STORED)
    assert (after[0].outcome, after[1]) == (SENT, [])
    known = [await journal.find_send(f"{n}") is not None for n in range(300)]
    assert sum(drop.count for drop in opened.told(SendsDropped)) == known.count(False) > 0


async def test_old_outcomes_go_in_steps(open_journal, clock):
    """However many are old, they go some 500 at a time, and are told of once; not by a clock in doubt."""
    opened = open_journal()
    journal = opened.journal
    now_ms = clock.wall_ms()
    await asyncio.gather(
        *(journal.open_send(make_send(f"{n}", made_ms=now_ms)) for n in range(1300))
    )
    await asyncio.gather(*(journal.close_send(f"{n}", SENT, now_ms) for n in range(1250)))
    journal.trust_clock(trusted=False)
    clock.advance(25 * 3600)
    journal.reconfigure(JournalSettings())
    await journal.remember("idle", "")
    await eventually(lambda: not journal._writer.upkeep.has_work())
    doubted = await journal.find_send("0")
    journal.trust_clock(trusted=True)
    journal.reconfigure(JournalSettings())
    await eventually(lambda: opened.told(JournalPruned))

    assert doubted is not None
    assert opened.told(JournalPruned) == [JournalPruned(0, 0, 1250)]
    assert len(await journal.unfinished_sends(limit=1000)) == 50


# -- older files, and damage --------------------------------------------------------------


@pytest.mark.parametrize("older", [golden.TARGET, golden2.TARGET])
async def test_a_journal_of_an_older_schema(open_journal, tmp_path, older):
    """It gets the table, and has no sends yet."""
    path = tmp_path / "older.db"
    shutil.copy(older, path)
    opened = open_journal(path=path, clock=ManualClock(golden.NOW_MS + 1000))
    before = await opened.journal.unfinished_sends()
    await opened.journal.open_send(make_send("a"))

    assert before == []
    assert uuids(await opened.journal.unfinished_sends()) == ["a"]
    assert opened.told(JournalSalvaged) == []
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (VERSION,)


def damage(path, table, *, page=0, data=None):
    """Overwrite the root page of a table, or bytes somewhere in the file."""
    content = bytearray(path.read_bytes())
    if data is not None:
        at = content.rindex(data[0])
        content[at : at + len(data[0])] = data[1]
    else:
        with closing(sqlite3.connect(path)) as db:
            query = "SELECT rootpage FROM sqlite_master WHERE name = ?"
            (root,) = db.execute(query, (table,)).fetchone()
            (size,) = db.execute("PRAGMA page_size").fetchone()
        content[(root + page - 1) * size : (root + page) * size] = b"\xff" * size
    path.write_bytes(content)


async def test_a_salvage_carries_them_over(open_journal):
    """Sends are in the new file as they were in the damaged one, and it works on."""
    opened = open_journal()
    await keep(opened.journal, [f"{n}" for n in range(200)], size=700)
    await opened.journal.note_send_attempt("1", 5)
    await opened.journal.close_send("2", SENT, NOW_MS)
    await opened.journal.close_send("3", UNKNOWN, NOW_MS)
    await append(opened.journal, make_event("a"))
    before = [await opened.journal.find_send(f"{n}") for n in range(200)]
    await opened.journal.close(5)
    damage(opened.path, "seen")
    again = open_journal()

    assert [told.sends for told in again.told(JournalSalvaged)] == [200]
    assert [await again.journal.find_send(f"{n}") for n in range(200)] == before
    assert (await again.journal.open_send(make_send("new"))).number == 201


async def test_a_table_without_its_root(open_journal):
    """Rows on pages that nobody leads to any more are found all the same."""
    opened = open_journal()
    await keep(opened.journal, [f"{n}" for n in range(200)], size=700)
    await opened.journal.close(5)
    damage(opened.path, "send")
    again = open_journal()

    assert [told.sends for told in again.told(JournalSalvaged)] == [200]
    assert len(await again.journal.unfinished_sends(limit=1000)) == 200


async def test_a_request_that_is_damaged(open_journal):
    """What is not what was asked for is never sent: it is among the dead letters."""
    opened = open_journal()
    await keep(opened.journal, ["a", "b", "c"])
    await opened.journal.close(5)
    damage(opened.path, None, data=(b'{"to":"b"}', b'{"to":"X"}'))
    again = open_journal()
    (dead,) = await again.journal.dead_sends()

    assert len(again.told(JournalSalvaged)) == 1
    assert uuids(await again.journal.unfinished_sends()) == ["a", "c"]
    assert (dead.uuid, dead.request, dead.outcome.kind) == ("b", b'{"to":"X"}', "damaged")
    await again.journal.close(5)
    assert open_journal().told(JournalSalvaged) == []
