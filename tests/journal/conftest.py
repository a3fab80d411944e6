"""Journals to test with."""

import contextlib

import pytest

from feishu_ws.clock import ManualClock
from feishu_ws.journal.contract import JournalSettings
from feishu_ws.journal.sqlite import SqliteJournal
from feishu_ws.tally import Tally


class Opened:
    """An open SQLite journal and what it told."""

    def __init__(self, path, settings, clock):
        self.happenings = []
        self.tally = Tally()
        self.journal = SqliteJournal(
            path, settings, clock=clock, tally=self.tally, observe=self.happenings.append
        )
        self.journal.open()


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
async def open_journal(tmp_path, clock):
    """Open SQLite journals; all are closed in the end."""
    async with contextlib.AsyncExitStack() as stack:

        def open_one(settings=None, path=tmp_path / "journal.db"):
            opened = Opened(path, settings or JournalSettings(), clock)
            stack.push_async_callback(opened.journal.close, 5.0)
            return opened

        yield open_one
