"""Whether the journal takes writes, judged by what its writer reports. Pure.

One fault at a time: the first that keeps happening. It is over when the disk took a
commit, when nothing failed for a moment, and when what was missing is there again;
none of that needs a new event to arrive. Damage is never over: only a restart mends it.
"""

from typing import Final

from feishu_ws.faults import Fault
from feishu_ws.happenings import Happening, JournalFaulted, JournalRecovered
from feishu_ws.journal.footing import LostFileError
from feishu_ws.journal.work import Report, Sizes
from feishu_ws.model import Verdict

CALM_S: Final = 2.0  # without a failure before a fault is over; longer than between two tries
SPACE_BYTES: Final = 1024 * 1024  # so much is free again after `disk_full`: a few commits' worth,
SPACE_SHARE: Final = 1 / 16  # or of a small disk this share
_LASTING: Final = frozenset({Fault.JOURNAL_CORRUPT, Fault.INTERNAL})


class Health:
    """The journal's fault, if it has one. Time is an argument, in seconds."""

    def __init__(self) -> None:
        self.fault: Fault | None = None
        self._since_s = 0.0
        self._repeated_s = 0.0  # when this fault happened last
        self._failed_s = 0.0  # when any did
        self._is_mended = False

    def fail(self, fault: Fault, detail: str, now_s: float, hint: str = "") -> Happening | None:
        """Take note of a failure; return what to tell, if that is news.

        Args:
            fault: The word for it.
            detail: What was seen.
            now_s: A monotonic clock.
            hint: What to do about it, where the catalogue does not say it.
        """
        self._failed_s = now_s
        self._is_mended = False
        is_news = fault is not self.fault and self._gives_way_to(fault, now_s)
        if is_news:
            self.fault, self._since_s = fault, now_s
        if fault is self.fault:
            self._repeated_s = now_s
        return JournalFaulted(fault, detail, hint) if is_news else None

    def _gives_way_to(self, fault: Fault, now_s: float) -> bool:
        """Whether another fault is shown in place of this one; two that alternate must not flap."""
        if self.fault is None or fault in _LASTING:
            return True
        return self.fault not in _LASTING and now_s >= self._repeated_s + CALM_S

    def hear(self, report: Report, waiting_share: float, now_s: float) -> Happening | None:
        """Take note of a report; return what to tell, if that is news.

        Args:
            report: What the writer did.
            waiting_share: How much of what may wait for the writer does wait, 0 to 1.
            now_s: A monotonic clock.
        """
        error = report.error
        if error is not None:
            # Commits go on when upkeep fails, and the next one tells what the disk is like.
            is_fault = report.op == "append" or error.fault in _LASTING
            hint = error.hint if isinstance(error, LostFileError) else ""
            return self.fail(error.fault, error.detail, now_s, hint) if is_fault else None
        is_refused = any(outcome.verdict is Verdict.REFUSED for _, outcome in report.answers)
        if is_refused or report.has_refused_sends:
            return self.fail(Fault.JOURNAL_FULL, "journal.max_bytes is reached", now_s)
        return self._recover(report, waiting_share, now_s)

    def _recover(self, report: Report, waiting_share: float, now_s: float) -> Happening | None:
        if self.fault is None:
            return None
        self._is_mended = self._is_mended or _mends(self.fault, report, waiting_share)
        if not self._is_mended or now_s < self._failed_s + CALM_S:
            return None
        recovered, self.fault = self.fault, None
        return JournalRecovered(recovered, now_s - self._since_s)


def _mends(fault: Fault, report: Report, waiting_share: float) -> bool:
    """Whether a report without an error shows that what was wrong is right again."""
    if fault in _LASTING:
        return False
    if fault is Fault.JOURNAL_BACKLOG:
        return waiting_share < 1 / 2
    if fault is Fault.JOURNAL_FULL:  # settles are still committed while it is full
        return report.sizes is not None and report.sizes.has_room
    if fault is Fault.DISK_FULL:  # a small commit may still fit into what the WAL already has
        return report.sizes is not None and _has_space(report.sizes)
    return report.commit_s is not None


def _has_space(sizes: Sizes) -> bool:
    least = min(SPACE_BYTES, sizes.disk_bytes * SPACE_SHARE) if sizes.disk_bytes else SPACE_BYTES
    return sizes.free_bytes >= least
