"""What a consumer was ordered to read again is never too old, also after a restart.

The order is a fact of the journal: up to which position. It is there before the
consumer is moved; a crash between the two leaves a consumer that was not moved and
whose events of that moment are delivered whatever their age, and nothing worse.
"""

from typing import Final

from feishu_ws.journal.contract import Journal

_PREFIX: Final = "replay:"


def order(journal: Journal, name: str, cursor: int) -> int:
    """Note that a consumer is to read again what there is above `cursor`; return up to where."""
    through = journal.last
    if cursor >= through:
        forget(journal, name)
        return 0
    journal.remember(_PREFIX + name, str(through))
    return through


def ordered_through(journal: Journal, name: str) -> int:
    """Return up to which position a consumer reads again, 0 if it does not."""
    return int(journal.recall(_PREFIX + name) or 0)


def forget(journal: Journal, name: str) -> None:
    """Note that a consumer reads nothing again (any more)."""
    if journal.recall(_PREFIX + name) is not None:
        journal.remember(_PREFIX + name, None)
