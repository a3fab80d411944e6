"""Sockets to talk to."""

import pytest
from downstream.served import Served


@pytest.fixture
async def served(tmp_path):
    """A native socket over a journal in memory, on the machine's clock."""
    async with Served(tmp_path / "events.sock") as one:
        yield one
