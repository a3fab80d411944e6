"""What the journal answered about outgoing sends survives SIGKILL at any moment."""

import asyncio
import random
import sys
from pathlib import Path

import pytest

from feishu_ws.clock import SystemClock
from feishu_ws.happenings import ignore
from feishu_ws.journal.contract import JournalSettings
from feishu_ws.journal.sqlite import SqliteJournal
from feishu_ws.model import SendOutcome
from feishu_ws.tally import Tally

KILLS = 12
WORKERS = 8

CHILD = """
import asyncio, sys
from pathlib import Path
from feishu_ws.clock import SystemClock
from feishu_ws.happenings import ignore
from feishu_ws.journal.contract import JournalSettings
from feishu_ws.journal.sqlite import SqliteJournal
from feishu_ws.model import OutgoingSend, SendOutcome
from feishu_ws.tally import Tally

def say(*words):
    print(*words, flush=True)

async def work(journal, clock, life, worker):
    n = 0
    while True:
        uuid, n = f"{life}-{worker}-{n}", n + 1
        made = OutgoingSend.make(uuid, f"oc_{worker}", uuid.encode() * 20, clock.wall_ms())
        say("opened", uuid, (await journal.open_send(made)).number)
        if n % 4 == 0:
            continue
        await journal.note_send_attempt(uuid, clock.wall_ms())
        say("tried", uuid, 1)
        if n % 4 != 1:
            await journal.close_send(uuid, SendOutcome("sent", uuid.encode()), clock.wall_ms())
            say("closed", uuid, 1)

async def main(path, life):
    clock = SystemClock()
    journal = SqliteJournal(path, JournalSettings(), clock=clock, tally=Tally(), observe=ignore)
    journal.open()
    await asyncio.gather(*(work(journal, clock, life, worker) for worker in range(WORKERS)))

asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
""".replace("WORKERS", str(WORKERS))


async def live_and_die(path, life, lines):
    """Let a process keep sends until it has said so many lines, kill it; return what it said."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", CHILD, str(path), str(life), stdout=asyncio.subprocess.PIPE
    )
    read = process.stdout.readline
    said = [await asyncio.wait_for(read(), 30) for _ in range(lines)]
    process.kill()
    said += (await process.stdout.read()).splitlines(keepends=True)
    await process.wait()
    return [line.split() for line in said if line.endswith(b"\n")]


async def all_of(read):
    """Read all pages of sends."""
    found, after = [], 0
    while page := await read(after):
        found += page
        after = page[-1].number
    return found


@pytest.mark.timeout(300)
async def test_sigkill_while_sends_are_kept(tmp_path: Path, record_property):
    """Every send, attempt and outcome that was answered is there after the next start; none is double."""
    rng, said, path = random.Random(6), [], tmp_path / "journal.db"
    for life in range(KILLS):
        said += await live_and_die(path, life, rng.randrange(50, 600))
    journal = SqliteJournal(
        path, JournalSettings(), clock=SystemClock(), tally=Tally(), observe=ignore
    )
    journal.open()
    numbers = {}
    for verb, name, number in said:
        send = await journal.find_send(name.decode())
        assert send is not None, name
        if verb == b"opened":
            assert send.number == int(number)
            assert numbers.setdefault(send.number, name) == name
        elif verb == b"tried":
            assert send.attempts == 1
        else:
            assert send.outcome == SendOutcome("sent", name)
    unfinished = await all_of(journal.unfinished_sends)
    await journal.close(5)

    assert len(numbers) > KILLS * 10
    assert len(unfinished) == len({send.uuid for send in unfinished})
    assert [send.number for send in unfinished] == sorted(send.number for send in unfinished)
    record_property("answers", len(said))
