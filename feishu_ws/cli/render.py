"""Text for people: aligned tables, ages, sizes; colour on a terminal only."""

import os
import re
import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import accumulate
from typing import Final, NamedTuple, TextIO

_CODES: Final = {"bold": "1", "dim": "2", "bad": "31", "good": "32", "warn": "33", "name": "36"}
_MINUTE_S, _HOUR_S, _DAY_S = 60, 3600, 86_400
_KIB: Final = 1024
NOTHING: Final = "-"
"""What stands where there is nothing to say."""
_STEERING: Final = re.compile("[\x7f-\x9f\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""What valid JSON may hold unescaped and a terminal may obey."""
_EMOJI_VARIANT: Final = "\ufe0f"
_WITHOUT_WIDTH: Final = frozenset({"Mn", "Me", "Cf"})  # marks on the letter before, and joiners


class Cell(NamedTuple):
    """Text and how it is painted: bold, dim, good, warn, bad, name or "" for plain."""

    text: str
    style: str = ""


class Paint:
    """Paints text, if the stream is a terminal that wants colour."""

    def __init__(self, stream: TextIO) -> None:
        dull = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
        self.is_on = stream.isatty() and not dull

    def __call__(self, text: str, style: str) -> str:
        """Return `text` in a style of `Cell`."""
        return f"\x1b[{_CODES[style]}m{text}\x1b[0m" if self.is_on and style else text


def table(rows: Sequence[Sequence[Cell]], paint: Paint, indent: int = 2) -> list[str]:
    """Return rows as aligned lines; the last column is not padded."""
    columns = max((len(row) for row in rows), default=0)
    widths = [max(width(row[n].text) for row in rows if n < len(row)) for n in range(columns)]
    lines = []
    for row in rows:
        padded = [
            paint(cell.text, cell.style) + " " * (size - width(cell.text))
            for cell, size in zip(row, widths, strict=False)
        ]
        lines.append((" " * indent + "  ".join(padded)).rstrip())
    return lines


def width(text: str) -> int:
    """Return the columns that text takes, at the most; Chinese characters take two."""
    return len(text) if text.isascii() else sum(map(_columns, text))


def fit(text: str, columns: int) -> str:
    """Return as much of text as fits, an ellipsis in the place of the rest."""
    if width(text) <= columns:
        return text
    taken = accumulate(map(_columns, text))
    return "".join(char for char, end in zip(text, taken, strict=True) if end < columns) + "…"


def pad(text: str, columns: int) -> str:
    """Return text that takes exactly so many columns."""
    fitting = fit(text, columns)
    return fitting + " " * (columns - width(fitting))


def _columns(char: str) -> int:
    if char == _EMOJI_VARIANT:
        return 1  # what it follows takes two columns instead of one
    if unicodedata.category(char) in _WITHOUT_WIDTH:
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def age(seconds: float) -> str:
    """Return a duration in its two largest units."""
    whole = int(max(seconds, 0))
    if whole < _MINUTE_S:
        return f"{whole} s"
    if whole < _HOUR_S:
        return f"{whole // _MINUTE_S} min"
    if whole < _DAY_S:
        return f"{whole // _HOUR_S} h {whole % _HOUR_S // _MINUTE_S} min"
    return f"{whole // _DAY_S} d {whole % _DAY_S // _HOUR_S} h"


def ago(wall_ms: int | None, now_ms: int) -> str:
    """Return how long ago Unix milliseconds were."""
    return f"{age((now_ms - wall_ms) / 1000)} ago" if wall_ms else NOTHING


def size(count: float) -> str:
    """Return bytes in a unit that leaves few digits."""
    for unit in ("B", "KiB", "MiB"):
        if count < _KIB:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= _KIB
    return f"{count:.1f} GiB"


def local_time(text: str) -> str:
    """Return an RFC 3339 time in the time zone of whoever looks; other text as it is."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def local_time_ms(wall_ms: int) -> str:
    """Return Unix milliseconds in the time zone of whoever looks."""
    moment = datetime.fromtimestamp(wall_ms / 1000, UTC)
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def verbatim(line: str, stream: TextIO) -> str:
    """Return JSON as it came; for a terminal, in a spelling it does not obey."""
    return tame_json(line) if stream.isatty() else line


def tame_json(line: str) -> str:
    """Return the same JSON with escapes for what a terminal may obey."""
    return _STEERING.sub(lambda found: f"\\u{ord(found[0]):04x}", line)
