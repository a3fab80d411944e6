"""Every journal keeps the contract."""

import pytest
from journal.contract import JournalContract
from journal.sends_contract import SendContract
from support import eventually

from feishu_ws.journal.contract import JournalSettings
from feishu_ws.journal.memory import MemoryJournal


class TestMemory(JournalContract, SendContract):
    """The model in memory."""

    @pytest.fixture
    async def journal(self, clock):
        return MemoryJournal(JournalSettings(), clock=clock)

    @pytest.fixture
    def pass_hours(self, journal, clock):
        async def pass_hours(hours):
            clock.advance(hours * 3600)
            journal.prune()
            return clock.wall_ms()

        return pass_hours


class TestSqlite(JournalContract, SendContract):
    """The journal on disk."""

    @pytest.fixture
    async def journal(self, open_journal):
        return open_journal().journal

    @pytest.fixture
    def pass_hours(self, journal, clock):
        async def pass_hours(hours):
            clock.advance(hours * 3600)
            journal.reconfigure(JournalSettings())
            await journal.remember("idle", "")
            await eventually(lambda: not journal._writer.upkeep.has_work())
            return clock.wall_ms()

        return pass_hours
