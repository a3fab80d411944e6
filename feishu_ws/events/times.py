"""Feishu's times, and ours. Pure.

Feishu writes Unix times in seconds, milliseconds or microseconds, as strings or
numbers, without saying which. The years 2000 to 2100 do not overlap between the
three, so the size tells. Source:
larksuite/oapi-sdk-python#98 (microseconds in a header); lark-oapi 1.7.5
channel/normalize/converters/_utils.py (seconds or milliseconds in content).
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

Time = str | int | float
"""A Unix time as Feishu writes it."""

_YEAR_2000_S: Final = 946_684_800
_YEAR_2100_S: Final = 4_102_444_800
_YEAR_10000_MS: Final = 253_402_300_800_000
_MS_PER_S: Final = 1_000
_US_PER_S: Final = 1_000_000
_PER_SECOND: Final = (_MS_PER_S, 1, _US_PER_S)  # most frequent first

_DIGITS: Final = re.compile(r"[0-9]{9,16}", re.ASCII)
_DECIMAL: Final = re.compile(r"[0-9]{9,16}\.[0-9]{0,9}", re.ASCII)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def parse_ms(value: Time) -> int | None:
    """Return a time as Unix milliseconds, None where it lies outside 2000 to 2100."""
    number = _parse_number(value) if isinstance(value, str) else value
    if number is None:
        return None
    for per_second in _PER_SECOND:
        if _YEAR_2000_S * per_second <= number < _YEAR_2100_S * per_second:
            return int(number * _MS_PER_S / per_second)
    return None


def rfc3339_ms(unix_ms: int) -> str:
    """Return `2026-03-20T11:03:11.415Z`; what lies outside 1970 to 9999 is clamped."""
    bounded = min(max(unix_ms, 0), _YEAR_10000_MS - 1)
    moment = _EPOCH + timedelta(milliseconds=bounded)
    return moment.isoformat(timespec="milliseconds")[:-6] + "Z"


def minute_utc(unix_ms: int) -> str:
    """Return `2026-03-20 11:03 UTC`, for people."""
    return rfc3339_ms(unix_ms)[:16].replace("T", " ") + " UTC"


def _parse_number(text: str) -> int | float | None:
    if _DIGITS.fullmatch(text):
        return int(text)
    return float(text) if _DECIMAL.fullmatch(text) else None
