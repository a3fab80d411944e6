"""This machine's clock against Feishu's."""

import pytest

from feishu_ws.cli.examine.clock import is_synchronised, judge
from feishu_ws.cli.examine.finding import State
from feishu_ws.faults import Fault


@pytest.mark.parametrize(
    ("offset_s", "state", "fault", "words"),
    [
        (None, State.SKIP, None, "nobody told the time"),
        (0.4, State.OK, None, "agrees with Feishu's clock to a second"),
        (-1.5, State.OK, None, "agrees with"),
        (12, State.OK, None, "this machine's clock is 12 s behind Feishu's clock"),
        (-45, State.WARN, None, "45 s ahead of Feishu's clock"),
        (300, State.WARN, None, "300 s (5 min) behind"),
        (301, State.FAIL, Fault.CLOCK_STEPPED, "301 s (5 min) behind"),
        (599.7, State.FAIL, Fault.CLOCK_STEPPED, "600 s (10 min) behind"),
        (-86400 * 3, State.FAIL, Fault.CLOCK_STEPPED, "(3 d 0 h) ahead of"),
    ],
)
def test_offsets(offset_s, state, fault, words):
    """More than five minutes off is the daemon's fault too; less is odd, or a Date's precision."""
    finding = judge(offset_s, "Feishu's clock", None)
    assert (finding.state, finding.fault) == (state, fault)
    assert words in finding.seen


@pytest.mark.parametrize(
    ("synchronised", "words"),
    [(True, "; the kernel calls"), (False, "; the kernel does not call"), (None, "")],
)
def test_what_the_kernel_says(synchronised, words):
    """It is told, and proves nothing: containers often call a good clock bad."""
    finding = judge(0.0, "Feishu's clock", synchronised)
    told = f"this machine's clock agrees with Feishu's clock to a second{words}"
    assert finding.seen.startswith(told)
    assert ("kernel" in finding.seen) is (synchronised is not None)
    assert finding.state is State.OK


def test_the_kernel_answers():
    """Asking changes nothing and needs no rights."""
    assert is_synchronised() in {True, False, None}
