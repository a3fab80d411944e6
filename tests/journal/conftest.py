"""Journals to test with."""

import contextlib

import pytest
from journal.faulty import FaultyStore

from feishu_ws.clock import ManualClock
from feishu_ws.journal.contract import JournalSettings
from feishu_ws.journal.file import connect_writer, make_private
from feishu_ws.journal.sqlite import SqliteJournal
from feishu_ws.journal.store import Store
from feishu_ws.tally import Tally


class Opened:
    """An open SQLite journal and what it told."""

    def __init__(self, path, settings, clock):
        self.path = path
        self.happenings = []
        self.tally = Tally()
        self.journal = SqliteJournal(
            path, settings, clock=clock, tally=self.tally, observe=self.happenings.append
        )
        self.journal.open()
        self.disk = FaultyStore(self.journal._store)

    def told(self, kind):
        """Return what was told of one kind."""
        return [happening for happening in self.happenings if isinstance(happening, kind)]


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
async def open_journal(tmp_path, clock):
    """Open SQLite journals; all are closed in the end."""
    async with contextlib.AsyncExitStack() as stack:

        def open_one(settings=None, path=tmp_path / "journal.db", clock=clock):
            opened = Opened(path, settings or JournalSettings(), clock)
            stack.push_async_callback(opened.journal.close, 5.0)
            return opened

        yield open_one


@pytest.fixture
def store(tmp_path):
    """A new journal's SQL, without its threads."""
    path = tmp_path / "journal.db"
    make_private(path)
    store = Store(connect_writer(path))
    yield store
    store.close()
