"""Points in the journal as people write them: a position, an end, a time, an age. Pure.

A position is a whole number, an end is `earliest` or `latest`. A time is `14:00` today, or a
date (`2026-11-23`) or date and time (`2026-11-23T14:00`) in ISO 8601 or RFC 3339; without a
zone it is local. An age is `30m`, `2h` or `1d12h` before now.
"""

import re
from datetime import UTC, datetime, time, timedelta
from typing import Final, Literal, get_args

End = Literal["earliest", "latest"]
Point = int | End | timedelta | time | datetime
"""What was written; a `datetime` may have no zone."""

MAX_POSITION: Final = 2**53  # what every JSON reader takes for an integer
MAX_DIGITS: Final = 16
_ENDS: Final[tuple[End, ...]] = get_args(End)
_UNITS_S: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_AGE: Final = re.compile(r"(?:\d{1,6}[smhdw]){1,5}")
_PART: Final = re.compile(r"(\d+)([smhdw])")
_OF_DAY: Final = re.compile(r"\d\d?:\d\d(:\d\d)?")
_MS: Final = 1000


def parse_point(text: str) -> Point:
    """Read what somebody wrote.

    Raises:
        ValueError: It is no such thing; the message says what was seen.
    """
    for end in _ENDS:
        if text == end:
            return end
    if text.isascii() and text.isdecimal():
        return parse_position(text)
    if _AGE.fullmatch(text):
        return timedelta(seconds=sum(int(n) * _UNITS_S[unit] for n, unit in _PART.findall(text)))
    try:
        if _OF_DAY.fullmatch(text):
            return time.fromisoformat(text.zfill(len("00:00:00") if text.count(":") > 1 else 5))
        return datetime.fromisoformat(text)
    except ValueError as exc:
        raise ValueError(
            f"{text!r} is no position, time (2026-11-23T14:00, 14:00) or age (30m, 2h, 1d)"
        ) from exc


def parse_position(text: str) -> int:
    """Read the number of an event.

    Raises:
        ValueError: It is none.
    """
    digits = text if text.isascii() and text.isdecimal() else ""
    if not 0 < len(digits) <= MAX_DIGITS or not 1 <= int(digits) <= MAX_POSITION:
        raise ValueError(f"{text[:32]!r} is no position, a whole number from 1 on")
    return int(digits)


def to_wall_ms(point: timedelta | time | datetime, now_ms: int) -> int:
    """Return the Unix milliseconds of a time; without a zone it is local.

    Raises:
        ValueError: It is still to come, or no calendar reaches so far.
    """
    now = datetime.fromtimestamp(now_ms / _MS, UTC).astimezone()
    try:
        meant = _moment(point, now)
        wall_ms = round(meant.timestamp() * _MS)
    except (ValueError, OverflowError, OSError) as exc:
        raise ValueError("no calendar reaches so far") from exc
    if wall_ms > now_ms:
        raise ValueError(f"{meant:%Y-%m-%d %H:%M:%S} is still to come")
    return max(wall_ms, 0)


def advise(point: timedelta | time | datetime, now_ms: int) -> str:
    """Return what to write instead of a time that is still to come."""
    if isinstance(point, time):
        yesterday = datetime.fromtimestamp(now_ms / _MS, UTC).astimezone() - timedelta(days=1)
        return f"{yesterday:%Y-%m-%d}T{point:%H:%M} for yesterday's, or an age such as 2h"
    return "an age such as 2h, or a time that was"


def _moment(point: timedelta | time | datetime, now: datetime) -> datetime:
    if isinstance(point, timedelta):
        return now - point
    if isinstance(point, time):
        return datetime.combine(now.date(), point).astimezone()
    return point.astimezone()
