"""What a report of the writing thread means to whoever watches the journal."""

from collections.abc import Iterator

from feishu_ws.faults import Fault
from feishu_ws.happenings import (
    ConsumerFaulted,
    EventsDropped,
    Happening,
    JournalPruned,
    SendsDropped,
)
from feishu_ws.journal.work import Report
from feishu_ws.tally import Tally


def count(report: Report, tally: Tally) -> None:
    """Add what a report says to the tally."""
    if report.commit_s is not None:
        tally.journal_commit_duration.observe(report.commit_s)
    for reason, dropped, _, _ in report.dropped:
        tally.events_discarded[reason] += dropped
    if report.error is not None:
        tally.journal_errors[report.op] += 1


def happenings_of(report: Report) -> Iterator[Happening]:
    """Return what a report tells besides faults, which `health.py` decides."""
    yield from (EventsDropped(*dropped) for dropped in report.dropped)
    for name, dropped, first, last in report.absent:
        detail = f"{dropped} events it had not settled made room for new ones"
        where = f"positions {first} to {last}"
        yield ConsumerFaulted(name, Fault.CONSUMER_ABSENT, f"{detail}, {where}")
    if report.dropped_sends is not None:
        yield SendsDropped(*report.dropped_sends)
    if report.pruned is not None:
        yield JournalPruned(*report.pruned)
