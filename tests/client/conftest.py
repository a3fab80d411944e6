"""A fake daemon for every test that talks to one."""

import pytest
from client.fake_daemon import FakeDaemon


@pytest.fixture
async def daemon(tmp_path):
    """A fake daemon that listens."""
    async with FakeDaemon(tmp_path / "e.sock") as fake:
        yield fake
