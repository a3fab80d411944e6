"""What a step found, and what follows from all of them."""

import pytest

from feishu_ws.cli.examine.finding import (
    Result,
    Step,
    exit_code,
    fail,
    first_failure,
    ok,
    skip,
    warn,
)
from feishu_ws.faults import CATALOGUE, Exit, Fault

FINE = Result(Step.DNS, ok("fine"))
ODD = Result(Step.CLOCK, warn("odd", Fault.CLOCK_STEPPED))
UNTOLD = Result(Step.TCP, skip("dns failed"))
BAD = Result(Step.TLS, fail(Fault.TLS_FAILED, "bad"))
WORSE = Result(Step.JOURNAL, fail(Fault.DISK_FULL, "worse"))


@pytest.mark.parametrize(
    ("results", "failed", "code"),
    [
        ([], None, Exit.OK),
        ([FINE, ODD, UNTOLD], None, Exit.OK),
        ([FINE, BAD, WORSE], BAD, Exit.UNREACHABLE),
        ([WORSE, BAD], WORSE, Exit.JOURNAL),
    ],
)
def test_the_first_failure_decides(results, failed, code):
    """Warnings and skips are none; what failed later is what it led to, or a second trouble."""
    assert (first_failure(results), exit_code(results)) == (failed, code)


def test_advice_is_the_steps_own_or_the_catalogues():
    """A step that knows better says so; where all is well there is nothing to do."""
    assert fail(Fault.TLS_FAILED, "x", "renew it").advice == "renew it"
    assert fail(Fault.TLS_FAILED, "x").advice == CATALOGUE[Fault.TLS_FAILED].hint
    assert warn("x").advice == ok("x").advice == skip("x").advice == ""
