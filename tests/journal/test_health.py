"""Whether the journal takes writes: faults come at once, go by themselves, and do not flap."""

from pathlib import Path

import pytest

from feishu_ws.faults import Fault, FeishuWsError
from feishu_ws.happenings import JournalFaulted, JournalRecovered
from feishu_ws.journal.footing import LostFileError
from feishu_ws.journal.health import CALM_S, SPACE_BYTES, Health
from feishu_ws.journal.work import Report, Sizes
from feishu_ws.model import Outcome, Verdict


def failed(fault, op="append"):
    """Return the report of something that failed."""
    return Report(op=op, error=FeishuWsError(fault, "what was seen"))


def committed(**sizes):
    """Return the report of a commit that succeeded."""
    return Report(commit_s=0.001, sizes=Sizes(**sizes) if sizes else None)


def idle(**sizes):
    """Return the report of a quiet second."""
    return Report(op="upkeep", sizes=Sizes(**sizes))


REFUSED = Report(commit_s=0.001, answers=[(print, Outcome(Verdict.REFUSED))])


class Watched:
    """A health and what it told; time goes on with every report."""

    def __init__(self):
        self.health = Health()
        self.told = []
        self.now_s = 100.0

    def hear(self, report, after_s=0.5, share=0.0):
        """Hand over a report some time after the last."""
        self.now_s += after_s
        told = self.health.hear(report, share, self.now_s)
        if told is not None:
            self.told.append(told)
        return told


@pytest.mark.parametrize("fault", [Fault.JOURNAL_IO, Fault.JOURNAL_READ_ONLY])
def test_a_disk_that_works_again(fault):
    """A failed commit is a fault until commits succeed and nothing failed for a moment."""
    watched = Watched()
    first = watched.hear(failed(fault))
    repeated = watched.hear(failed(fault))
    too_soon = watched.hear(committed())
    over = watched.hear(idle(), after_s=CALM_S)

    assert first == JournalFaulted(fault, "what was seen")
    assert (repeated, too_soon) == (None, None)
    assert over == JournalRecovered(fault, 1.0 + CALM_S)
    assert watched.health.fault is None


def test_a_lost_file_says_what_to_do():
    """Its hint is told with the fault; that of a later fault is the catalogue's again."""
    watched = Watched()
    lost = LostFileError(Path("/j/journal.db"), is_replaced=False)
    first = watched.hear(Report(error=lost))
    watched.hear(committed(), after_s=CALM_S)
    second = watched.hear(failed(Fault.JOURNAL_IO))

    assert first == JournalFaulted(Fault.JOURNAL_IO, lost.detail, lost.hint)
    assert second == JournalFaulted(Fault.JOURNAL_IO, "what was seen")


def test_a_full_disk_needs_space_to_be_well():
    """A small commit that still fits into the WAL does not end `disk_full`; free space does."""
    watched = Watched()
    watched.hear(failed(Fault.DISK_FULL))
    watched.hear(committed(free_bytes=SPACE_BYTES - 1), after_s=CALM_S)
    still = watched.health.fault
    watched.hear(idle(free_bytes=SPACE_BYTES), after_s=CALM_S)

    assert (still, watched.health.fault) == (Fault.DISK_FULL, None)


@pytest.mark.parametrize(
    ("disk_bytes", "enough"),
    [(1024**2, 64 * 1024), (8 * 1024**2, 512 * 1024), (16 * 1024**2, SPACE_BYTES), (1024**4, SPACE_BYTES)],
)  # fmt: skip
def test_a_small_disk_needs_a_share_of_its_space(disk_bytes, enough):
    """One that is hardly larger than what others have to spare can be well, too."""
    watched = Watched()
    watched.hear(failed(Fault.DISK_FULL))
    watched.hear(committed(free_bytes=enough - 1, disk_bytes=disk_bytes), after_s=CALM_S)
    still = watched.health.fault
    watched.hear(idle(free_bytes=enough, disk_bytes=disk_bytes), after_s=CALM_S)

    assert (still, watched.health.fault) == (Fault.DISK_FULL, None)


def test_a_full_journal_needs_room_to_be_well():
    """Settles that are committed meanwhile do not end `journal_full`; room does."""
    watched = Watched()
    watched.hear(REFUSED)
    watched.hear(committed(has_room=False), after_s=CALM_S)
    watched.hear(committed(), after_s=CALM_S)
    still = watched.health.fault
    watched.hear(idle(has_room=True), after_s=CALM_S)

    assert (still, watched.health.fault) == (Fault.JOURNAL_FULL, None)


def test_a_backlog_is_over_when_half_of_it_is():
    """`journal_backlog` ends when well below the bound, not just below it."""
    watched = Watched()
    watched.health.fail(Fault.JOURNAL_BACKLOG, "", watched.now_s)
    watched.hear(committed(), after_s=CALM_S, share=0.9)
    still = watched.health.fault
    watched.hear(committed(), share=0.1)

    assert (still, watched.health.fault) == (Fault.JOURNAL_BACKLOG, None)


def test_failures_among_successes_are_one_fault():
    """A disk that takes every other commit faults once and does not flap."""
    watched = Watched()
    for _ in range(50):
        watched.hear(failed(Fault.JOURNAL_IO))
        watched.hear(committed())

    assert watched.told == [JournalFaulted(Fault.JOURNAL_IO, "what was seen")]


def test_two_faults_that_alternate_are_one():
    """Of two faults that come in turn the first stays; one that ceases gives way."""
    watched = Watched()
    for _ in range(10):
        watched.hear(failed(Fault.DISK_FULL))
        watched.hear(failed(Fault.JOURNAL_IO))
    for _ in range(10):
        watched.hear(failed(Fault.JOURNAL_IO))

    assert [told.fault for told in watched.told] == [Fault.DISK_FULL, Fault.JOURNAL_IO]


def test_upkeep_that_fails_is_no_fault():
    """While commits succeed the journal takes writes, whatever upkeep meets."""
    watched = Watched()
    watched.hear(failed(Fault.JOURNAL_IO, op="upkeep"))

    assert watched.told == []


@pytest.mark.parametrize("fault", [Fault.JOURNAL_CORRUPT, Fault.INTERNAL])
@pytest.mark.parametrize("op", ["append", "upkeep"])
def test_damage_is_never_over(fault, op):
    """Damage shows at once, whoever meets it, takes the place of another fault and stays."""
    watched = Watched()
    watched.hear(failed(Fault.DISK_FULL))
    watched.hear(failed(fault, op))
    watched.hear(failed(Fault.DISK_FULL), after_s=60.0)
    watched.hear(committed(free_bytes=SPACE_BYTES, has_room=True), after_s=60.0)
    watched.hear(idle(free_bytes=SPACE_BYTES, has_room=True), after_s=60.0)

    assert [told.fault for told in watched.told] == [Fault.DISK_FULL, fault]
    assert watched.health.fault is fault


def test_nothing_wrong_tells_nothing():
    """A journal that works has nothing to say."""
    watched = Watched()
    watched.hear(committed(free_bytes=1))
    watched.hear(idle(has_room=False))

    assert (watched.told, watched.health.fault) == ([], None)
