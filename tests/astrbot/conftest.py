"""A fake daemon for the plugin's client."""

import pytest
from client.fake_daemon import FakeDaemon


@pytest.fixture
async def daemon(tmp_path):
    """A fake daemon that listens."""
    async with FakeDaemon(tmp_path / "e.sock") as fake:
        yield fake
