"""Where a consumer begins that the journal may have known before it was damaged.

A hello that resumes expects to go on where it stood. If that is lost, it begins with the
first event that is left: what comes twice is better than what does not come. That holds
as long as such a consumer would not have been forgotten anyway.
"""

from typing import Final

from feishu_ws.journal.contract import CONSUMERS_LOST, Journal

_HOUR_MS: Final = 3_600_000


def begin(journal: Journal, cursor: int, now_ms: int, forget_after_hours: float) -> int:
    """Return the cursor of a consumer that resumes and is not known.

    Args:
        journal: Knows whether consumers were lost, and when.
        cursor: Where a new one begins.
        now_ms: The wall clock.
        forget_after_hours: How long a consumer may be away; 0 = as long as it likes.
    """
    fact = journal.recall(CONSUMERS_LOST)
    if fact is None:
        return cursor
    first, _, lost_ms = fact.partition(" ")
    if not (first.isdecimal() and lost_ms.isdecimal()):  # damaged in its turn
        return cursor
    is_over = forget_after_hours and now_ms > int(lost_ms) + forget_after_hours * _HOUR_MS
    return cursor if is_over else min(cursor, int(first))
