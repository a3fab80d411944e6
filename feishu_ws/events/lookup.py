"""Looking into decoded JSON for something to tell in a line. Pure and total.

Whatever is not there, or is something else than it should be, reads as nothing.
"""

from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any, Final

MOST_CHARS: Final = 400
"""Characters of any one value; a line shows fewer."""

MOST_FIELDS: Final = 3
"""Members of an object that are told."""

_MOST_NAMES: Final = 3
_MOST_CHANGES: Final = 3
_CHANGE_EVERY_TIME: Final = frozenset({"updated_at", "update_time"})
_LARGEST_NUMBER: Final = 10**18  # Feishu's numbers are smaller; more digits tell nobody anything

Read = Callable[[dict[str, Any]], str]
"""Returns what matters about the body of an event."""


def dig(value: Any, *path: str | int) -> Any:
    """Return what stands at `path`, None where it leads nowhere."""
    for step in path:
        if isinstance(step, str):
            value = value.get(step) if isinstance(value, dict) else None
        else:
            value = value[step] if isinstance(value, list) and len(value) > step else None
    return value


def text_of(value: Any) -> str:
    """Return a scalar as text, "" for everything else and for absurd numbers."""
    if isinstance(value, str):
        return value[:MOST_CHARS]
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float) and abs(value) < _LARGEST_NUMBER:
        return str(value)
    return ""


def list_of(value: Any) -> list[Any]:
    """Return a list, an empty one for everything else."""
    return value if isinstance(value, list) else []


def joined(*parts: str) -> str:
    """Return the parts that say something."""
    return " ".join(filter(None, parts))


def at(*path: str | int) -> Read:
    """Return a reader of one place."""
    return lambda body: text_of(dig(body, *path))


def each(*paths: tuple[str | int, ...]) -> Read:
    """Return a reader of several places."""
    return lambda body: joined(*(text_of(dig(body, *path)) for path in paths))


def counted(count: int, noun: str) -> str:
    """Return "1 user" or "2 users"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def few(names: Iterable[str], total: int) -> str:
    """Return the first names, and how many there are besides."""
    shown = list(islice(filter(None, names), _MOST_NAMES))
    more = total - len(shown)
    return ", ".join(shown) + (f" +{more}" if shown and more > 0 else "")


def compact(value: Any) -> str:
    """Return an object's scalar members as `key=value`, the object itself where it is none."""
    if not isinstance(value, dict):
        return text_of(value)
    pairs = ((text_of(key), text_of(inner)) for key, inner in value.items())
    return joined(*(f"{key}={text}" for key, text in islice(pairs, MOST_FIELDS) if text))


def changes(before: Any, after: Any) -> str:
    """Return what is different, `key: old → new`, the most telling first."""
    if not isinstance(before, dict) or not isinstance(after, dict):
        return ""
    both = (key for key in after if key in before and key not in _CHANGE_EVERY_TIME)
    changed = [key for key in both if before[key] != after[key]]
    changed.sort(key=lambda key: key != "name")
    shown = [_change(key, before[key], after[key]) for key in changed[:_MOST_CHANGES]]
    more = len(changed) - len(shown)
    return ", ".join(shown) + (f" +{more}" if more else "")


def _change(key: str, before: Any, after: Any) -> str:
    old, new = (text_of(value) or text_of(dig(value, "open_id")) for value in (before, after))
    return f"{key[:MOST_CHARS]}: {old} → {new}" if old or new else key[:MOST_CHARS]
