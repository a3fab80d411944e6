"""Whether credentials ever worked with a journal."""

import asyncio
from dataclasses import replace

from feishu_ws.clock import SystemClock
from feishu_ws.config.keys import AppSection
from feishu_ws.journal.contract import JournalSettings
from feishu_ws.journal.memory import MemoryJournal
from feishu_ws.proven import PROVEN, is_proven, remember_proven
from feishu_ws.secret import Secret

APP = AppSection(id="cli_a", secret=Secret("s3cret"))


async def test_proven():
    """Only the very id and secret that worked are known, and the secret itself is not kept."""
    journal = MemoryJournal(JournalSettings(), clock=SystemClock())
    assert not is_proven(journal, APP)
    remember_proven(journal, APP)
    await asyncio.sleep(0)
    assert is_proven(journal, APP)
    assert not is_proven(journal, replace(APP, secret=Secret("other")))
    assert not is_proven(journal, replace(APP, id="cli_b"))
    assert "s3cret" not in journal.recall(PROVEN)
