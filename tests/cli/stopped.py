"""A journal that a daemon left, and an environment that says where it is."""

import asyncio
import os
import time

from downstream.rig import make_event

from feishu_ws.clock import SystemClock
from feishu_ws.happenings import ignore
from feishu_ws.journal.contract import JournalSettings
from feishu_ws.journal.sqlite import SqliteJournal
from feishu_ws.model import Attempt, DeadReason, Filter
from feishu_ws.tally import Tally

EVENTS = 20
DEAD = (3, 5)


class Stopped:
    """A journal of 20 events; "bot" has settled up to 10 and has two dead letters.

    Attributes:
        path: The journal's file.
        socket: Where nobody listens.
    """

    def __init__(self, directory):
        self.path = directory / "journal.db"
        self.socket = directory / "events.sock"
        self.env = {
            "FEISHU_WS_APP__ID": "cli_a",
            "FEISHU_WS_JOURNAL__PATH": str(self.path),
            "FEISHU_WS_SOCKET__PATH": str(self.socket),
            "FEISHU_WS_CONFIG": "",
        }

    def open(self):
        """Open the journal as another owner would; needs a running loop."""
        journal = SqliteJournal(
            self.path, JournalSettings(), clock=SystemClock(), tally=Tally(), observe=ignore
        )
        journal.open()
        return journal

    async def make(self):
        """Write it."""
        journal = self.open()
        stored = asyncio.Event()
        for number in range(EVENTS):
            event = make_event(number, at_ms=round(time.time() * 1000))
            journal.append(event, lambda outcome: outcome.position == EVENTS and stored.set())
        await stored.wait()
        await journal.enroll("bot", Filter(), 0, declared=False)
        for position in DEAD:
            await journal.bury(
                "bot", position, DeadReason.REJECTED, Attempt(2, reason="no\x1b[2J thanks")
            )
        await journal.settle("bot", range(1, 11))
        await journal.close(5)
        return self

    async def record(self, name="bot"):
        """Return what the journal knows of a consumer, None if nothing."""
        journal = self.open()
        await journal.settle(name, ())
        found = journal.consumers().get(name)
        await journal.close(5)
        return found

    async def dead(self):
        """Return the positions of dead letters."""
        journal = self.open()
        letters = await journal.dead_letters(0, 100, None)
        await journal.close(5)
        return [letter.position for letter in letters]


def own_environment(monkeypatch, directory, env):
    """Let this process have no settings but `env`, and no file that has some."""
    for name in [name for name in os.environ if name.startswith(("FEISHU_WS_", "XDG_"))]:
        monkeypatch.delenv(name)
    for name, value in env.items():
        if value:
            monkeypatch.setenv(name, value)
    monkeypatch.setenv("HOME", str(directory))
    monkeypatch.setattr("feishu_ws.config.draft.SYSTEM_FILE", str(directory / "none"))
    monkeypatch.chdir(directory)
