"""When the WAL is to be moved into the file."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from journal.contract import make_event

from feishu_ws.journal.checkpoints import (
    BATCH_BYTES,
    CHECKPOINT_BYTES,
    COMMIT_BYTES,
    KEY_BYTES,
    MOST_WAL_BYTES,
    QUIET_CHECKPOINT_BYTES,
    SCARCE_BATCH_BYTES,
    SCARCE_BYTES,
    STEP_BYTES,
    Checkpoints,
)


def counted(wal_bytes, free_bytes=SCARCE_BYTES):
    """Return a count that stands at `wal_bytes`, on a disk with so much free."""
    checkpoints = Checkpoints()
    checkpoints.wal_bytes = wal_bytes
    checkpoints.look(free_bytes)
    return checkpoints


@pytest.mark.parametrize(
    ("is_quiet", "free_bytes", "due_at"),
    [
        (False, SCARCE_BYTES, CHECKPOINT_BYTES),
        (True, SCARCE_BYTES, QUIET_CHECKPOINT_BYTES),
        (False, SCARCE_BYTES - 1, QUIET_CHECKPOINT_BYTES),
        (True, 0, QUIET_CHECKPOINT_BYTES),
    ],
)
def test_when_it_is_due(is_quiet, free_bytes, due_at):
    """Early in a quiet second, and always where little is free."""
    assert not counted(due_at - 1, free_bytes).is_due(is_quiet=is_quiet)
    assert counted(due_at, free_bytes).is_due(is_quiet=is_quiet)


@pytest.mark.parametrize(
    ("free_bytes", "overdue_at"),
    [(SCARCE_BYTES, MOST_WAL_BYTES), (SCARCE_BYTES - 1, QUIET_CHECKPOINT_BYTES)],
)
def test_when_events_wait_for_it(free_bytes, overdue_at):
    """Where there is space only after a great deal was written."""
    assert not counted(overdue_at - 1, free_bytes).is_overdue
    assert counted(overdue_at, free_bytes).is_overdue


def test_a_commit_is_small_where_little_is_free():
    """What is free limits it, and it is large again when there is space."""
    checkpoints = counted(0, SCARCE_BYTES - 1)
    small = checkpoints.batch_bytes
    checkpoints.look(SCARCE_BYTES)

    assert (small, checkpoints.batch_bytes) == (SCARCE_BATCH_BYTES, BATCH_BYTES)


def test_it_begins_with_what_a_crash_left():
    """The first chance to move the WAL is taken."""
    assert Checkpoints().is_due(is_quiet=False)


@given(st.lists(st.integers(0, 5000), max_size=5), st.integers(0, 100_000), st.integers(0, 3))
def test_what_is_counted(sizes, other_bytes, steps):
    """Payloads, keys, commits and steps; nothing after it was moved."""
    checkpoints = counted(0)
    events = [make_event(n, size=size) for n, size in enumerate(sizes)]
    checkpoints.add_commit(events, other_bytes)
    for _ in range(steps):
        checkpoints.add_step()
    counted_bytes = checkpoints.wal_bytes
    checkpoints.moved()

    stored = sum(len(event.payload) + KEY_BYTES * len(event.keys) for event in events)
    assert counted_bytes == COMMIT_BYTES + stored + other_bytes + steps * STEP_BYTES
    assert checkpoints.wal_bytes == 0
