"""An event in a line's worth of words, for people who watch. Pure and total.

It shows content; it is for `tail`, never for logs.
"""

import unicodedata
from typing import Any, Final, NamedTuple

from feishu_ws.events.facts import read_fact
from feishu_ws.events.meanings import meaning_of
from feishu_ws.events.received import Message

MAX_CHARS: Final = 240
"""Characters of a summary's words before those that cannot be shown are escaped."""

_MAX_TYPE_CHARS: Final = 80
_MAX_ID_CHARS: Final = 80  # Feishu's ids have up to 40, but people's names may be long
_USER: Final = "ou_"
_SPACE_SEPARATOR: Final = "Zs"  # Chinese text is full of wide spaces
_ZERO_WIDTH_JOINER: Final = "\u200d"  # part of many emoji, though not printable by itself


class Summary(NamedTuple):
    """What there is to see of an event; each part printable and bounded, most may be "".

    Attributes:
        type: Feishu's event type.
        meaning: What that means.
        where: The subject where it is a chat or a message.
        who: Who did it, or the user it is about: a name, else an id.
        words: What was said, or the one thing that matters.
    """

    type: str
    meaning: str
    where: str
    who: str
    words: str


def summarize(event_type: str, subject: str, data: Any, message: Message | None) -> Summary:
    """Return what to show of an event; `data` is its decoded payload, or anything else."""
    who, words = read_fact(event_type, data) if message is None else _said(message)
    where = "" if subject.startswith(_USER) else subject
    return Summary(
        printable(event_type, _MAX_TYPE_CHARS),
        meaning_of(event_type),
        printable(where, _MAX_ID_CHARS),
        printable(who or ("" if where else subject), _MAX_ID_CHARS),
        printable(words),
    )


def _said(message: Message) -> tuple[str, str]:
    sender = message.sender.open_id or message.sender.type or "somebody"
    return sender, message.text[: MAX_CHARS + 1]


def printable(text: str, limit: int = MAX_CHARS) -> str:
    """Return at most `limit` characters of text, what cannot be shown escaped."""
    cut = text if len(text) <= limit else text[: limit - 1] + "…"
    return cut if cut.isprintable() else "".join(map(_show, cut))


def _show(char: str) -> str:
    if char.isprintable() or char == _ZERO_WIDTH_JOINER:
        return char
    if unicodedata.category(char) == _SPACE_SEPARATOR:
        return " "
    return char.encode("unicode_escape").decode("ascii")
