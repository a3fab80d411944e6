"""What a filter may hold, wherever one comes from: a hello or the configuration. Pure.

A glob or an id that nothing can ever match is refused where it is written: a consumer
that silently gets nothing is found out late.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from feishu_ws.model import Filter

MAX_TYPES: Final = 512  # globs of a filter; Feishu has some 250 event types
MAX_TYPE_CHARS: Final = 128  # of a glob; all of them compile in 70 ms
MAX_CHATS: Final = 1024  # an app may be in more chats, but nobody lists them by hand
MAX_CHAT_CHARS: Final = 256  # no longer id ever becomes an event's chat
_MAX_SEEN: Final = 80  # characters of a wrong word that an error repeats


class Flaw(NamedTuple):
    """What is wrong with a filter, and what would be right."""

    seen: str
    expected: str


def find_flaw(wanted: Filter) -> Flaw | None:
    """Return the first thing that is wrong with a filter, None if it is sound."""
    globs = f"at most {MAX_TYPES} globs of 1 to {MAX_TYPE_CHARS} characters without blanks"
    chats = f"at most {MAX_CHATS} chat ids of 1 to {MAX_CHAT_CHARS} characters without blanks"
    return _flaw("types", wanted.types, MAX_TYPES, MAX_TYPE_CHARS, globs) or _flaw(
        "chats", wanted.chats, MAX_CHATS, MAX_CHAT_CHARS, chats
    )


def _flaw(name: str, words: Sequence[str], most: int, longest: int, expected: str) -> Flaw | None:
    if len(words) > most:
        return Flaw(f"{name} has {len(words)} words", expected)
    for word in words:
        if len(word) > longest:
            return Flaw(f"{name} has a word of {len(word)} characters", expected)
        if not word or not word.isprintable() or " " in word:
            return Flaw(f"{name} has {word[:_MAX_SEEN]!r}", expected)
    return None
