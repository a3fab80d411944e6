"""Where a consumer begins that the journal may have known before it was damaged."""

import pytest

from feishu_ws.clock import ManualClock
from feishu_ws.downstream.lost import begin
from feishu_ws.journal.contract import CONSUMERS_LOST, JournalSettings
from feishu_ws.journal.memory import MemoryJournal

NOW_MS = 1_774_004_591_415
HOUR_MS = 3_600_000


def journal(fact):
    """Return a journal with a fact about lost consumers, or none."""
    found = MemoryJournal(JournalSettings(), clock=ManualClock())
    if fact is not None:
        found._facts[CONSUMERS_LOST] = fact
    return found


@pytest.mark.parametrize(
    ("fact", "cursor", "hours", "expected"),
    [
        (None, 90, 168, 90),
        (f"40 {NOW_MS}", 90, 168, 40),
        (f"40 {NOW_MS}", 30, 168, 30),
        (f"40 {NOW_MS - 167 * HOUR_MS}", 90, 168, 40),
        (f"40 {NOW_MS - 169 * HOUR_MS}", 90, 168, 90),
        (f"40 {NOW_MS - 9999 * HOUR_MS}", 90, 0, 40),
        ("40", 90, 168, 90),
        ("x y", 90, 168, 90),
        ("", 90, 168, 90),
    ],
)
def test_where_it_begins(fact, cursor, hours, expected):
    """It begins with the first event left, as long as it would not have been forgotten anyway."""
    assert begin(journal(fact), cursor, NOW_MS, hours) == expected
