"""Clock: this machine's against Feishu's, and whether anything keeps it right."""

import ctypes
from typing import Any, Final

from feishu_ws.cli.examine.finding import Finding, fail, ok, skip, warn
from feishu_ws.cli.render import age
from feishu_ws.clockwatch import MAX_OFFSET_S
from feishu_ws.faults import Fault

NOTEWORTHY_S: Final = 30.0  # a synchronised clock is within a second
MANY_S: Final = 120
DATE_ERROR_S: Final = 1.5  # of an HTTP Date, which has whole seconds, and of the way

KERNEL: Final = {
    True: "; the kernel calls it synchronised",
    False: "; the kernel does not call it synchronised, as in many containers",
    None: "",
}
"""What the kernel says of this machine's clock; it proves nothing."""

_TIMEX_BYTES: Final = 512  # struct timex has 208 on 64-bit Linux; all zero only asks
_TIME_ERROR: Final = 5
"""Returned while the kernel's clock is not synchronised. Source: adjtimex(2)."""


def is_synchronised() -> bool | None:
    """Return whether the kernel believes its clock, None where it does not say."""
    try:
        state = ctypes.CDLL(None, use_errno=True).adjtimex(
            ctypes.create_string_buffer(_TIMEX_BYTES)
        )
    except (OSError, AttributeError):
        return None
    return None if state < 0 else state != _TIME_ERROR


def judge(offset_s: float | None, source: str, synchronised: bool | None) -> Finding:  # noqa: FBT001
    """Return how the clock is.

    Args:
        offset_s: The other side's clock minus ours, None if it did not say.
        source: Whose clock that is.
        synchronised: What the kernel says of ours.
    """
    if offset_s is None:
        return skip(f"nobody told the time{KERNEL[synchronised]}", synchronised=synchronised)
    kernel = KERNEL[synchronised]
    facts: dict[str, Any] = {
        "offset_s": round(offset_s, 1),
        "source": source,
        "synchronised": synchronised,
    }
    if abs(offset_s) <= DATE_ERROR_S:
        return ok(f"this machine's clock agrees with {source} to a second{kernel}", **facts)
    side = "behind" if offset_s > 0 else "ahead of"
    seen = f"this machine's clock is {_length(abs(offset_s))} {side} {source}{kernel}"
    if abs(offset_s) > MAX_OFFSET_S:
        return fail(Fault.CLOCK_STEPPED, seen, "set the clock and keep it so: timedatectl", **facts)
    if abs(offset_s) > NOTEWORTHY_S:
        return warn(seen, hint="check time synchronisation: timedatectl", **facts)
    return ok(seen, **facts)


def _length(seconds: float) -> str:
    """Return seconds exactly, and in larger units where there are many."""
    whole = round(seconds)
    return f"{whole} s" if whole < MANY_S else f"{whole} s ({age(whole)})"
