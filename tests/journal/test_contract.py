"""Every journal keeps the contract."""

import pytest
from journal.contract import JournalContract

from feishu_ws.clock import ManualClock
from feishu_ws.journal.contract import JournalSettings
from feishu_ws.journal.memory import MemoryJournal


class TestMemory(JournalContract):
    """The model in memory."""

    @pytest.fixture
    async def journal(self):
        return MemoryJournal(JournalSettings(), clock=ManualClock())


class TestSqlite(JournalContract):
    """The journal on disk."""

    @pytest.fixture
    async def journal(self, open_journal):
        return open_journal().journal
