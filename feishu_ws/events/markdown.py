"""Feishu's markdown: its own tags in it become names, links and plain words. Pure.

Code is left as it is, in fences and in backticks. Tags and attributes that are not
known stay too. Source: Feishu docs "卡片 Markdown 组件"; lark-cli
internal/imcontent/card_userdsl.go (mentions, as cards of events have them).
"""

import re
from collections.abc import Callable, Iterator
from html import unescape
from typing import Final

from feishu_ws.events.mentions import Mentions
from feishu_ws.events.segments import MAX_SEGMENTS, AnySegment, Image, Link, Markdown
from feishu_ws.events.times import minute_utc, parse_ms

_CODE: Final = re.compile(r"(`{3,}[\s\S]*?(?:`{3,}|\Z)|`[^`\n]+`)")
_AT_OR_IMAGE: Final = re.compile(
    r"<at\s([^<>]{1,4096})>(?:([^<]{0,256})</at>)?"
    r"|!\[([^\[\]\n]{0,256})\]\((img_[\w-]{1,256})\)"
)
_FORMAT: Final = re.compile(r"</?(?:font|text_tag|number_tag)(?:\s[^<>]{0,256})?>")
_BREAK: Final = re.compile(r"<br\s?/?>")
_PAIR: Final = re.compile(
    r"<(a|link|person|local_datetime)\s([^<>]{1,4096})>(?:([^<]{0,4096})</\1>)?"
)
_VALUE: Final = r"""\s?=\s?(?:"([^"]*)"|'([^']*)'|([^\s"']+))"""
_ADDRESS: Final = re.compile(rf"\b(?:href|url){_VALUE}")
_PERSON: Final = re.compile(rf"\bid{_VALUE}")
_MOMENT: Final = re.compile(rf"\bmilliseconds?{_VALUE}")
_ENTITY: Final = re.compile(r"&(?:[A-Za-z]{2,8}|#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6});")


class MarkdownReader:
    """Reads the markdown of one message; no more than `MAX_SEGMENTS` tags of it.

    Attributes:
        image_keys: Of the images passed so far.
    """

    def __init__(self, mentions: Mentions) -> None:
        self.image_keys: list[str] = []
        self._mentions = mentions
        self._left = MAX_SEGMENTS

    def split(self, markdown: str) -> Iterator[AnySegment]:
        """Return markdown as segments: mentions and images stand between its pieces."""
        for piece, is_code in _pieces(markdown):
            end = 0
            for found in () if is_code else _AT_OR_IMAGE.finditer(piece):
                meant = self._segments(found)
                if meant:
                    yield from _text(piece[end : found.start()])
                    yield from meant
                    end = found.end()
            yield from _text(piece[end:])

    def _segments(self, found: re.Match[str]) -> list[AnySegment]:
        if self._left <= 0:
            return []
        meant: list[AnySegment] = [Image(found[4], found[3])] if found[4] else []
        if found[1]:
            meant += self._mentions.find_tagged(found[1], found[2] or "")
        self._left -= len(meant)
        return meant

    def words(self, markdown: str) -> str:
        """Return markdown as a card shows it: without colours, entities resolved."""
        if not any(sign in markdown for sign in "<&!"):
            return markdown
        return "".join(
            piece if is_code else self._plain(piece) for piece, is_code in _pieces(markdown)
        )

    def _plain(self, piece: str) -> str:
        piece = _BREAK.sub("\n", _FORMAT.sub("", piece))
        piece = _AT_OR_IMAGE.sub(self._read, piece)
        piece = _PAIR.sub(self._read_pair, piece)
        return resolve_entities(piece)

    def _read(self, found: re.Match[str]) -> str:
        meant = self._segments(found)
        self.image_keys += [one.key for one in meant if isinstance(one, Image)]
        return " ".join(one.read() for one in meant) if meant else found[0]

    def _read_pair(self, found: re.Match[str]) -> str:
        if self._left <= 0:
            return found[0]
        self._left -= 1
        read = _PAIRS[found[1]](self._mentions, found[2], found[3] or "")
        return found[0] if read is None else read


def find_image_keys(markdown: str) -> Iterator[str]:
    """Return the keys of the images in markdown."""
    for piece, is_code in _pieces(markdown):
        if not is_code:
            yield from (found[4] for found in _AT_OR_IMAGE.finditer(piece) if found[4])


def resolve_entities(text: str) -> str:
    """Return text with `<` for `&lt;` and the like; addresses with `&copy=1` stay whole."""
    return _ENTITY.sub(lambda found: unescape(found[0]), text) if "&" in text else text


def _pieces(markdown: str) -> Iterator[tuple[str, bool]]:
    """Return markdown in pieces, and whether each is code."""
    for number, piece in enumerate(_CODE.split(markdown)):
        yield piece, number % 2 == 1


def _text(piece: str) -> Iterator[Markdown]:
    if piece:
        yield Markdown(piece)


def _link(_: Mentions, attributes: str, words: str) -> str | None:
    address = _value(_ADDRESS, attributes)
    return Link(address, words).read() if address else None


def _person(mentions: Mentions, attributes: str, words: str) -> str | None:
    who = _value(_PERSON, attributes)
    return mentions.find(who, words).read() if who else None


def _moment(_: Mentions, attributes: str, words: str) -> str | None:
    unix_ms = parse_ms(_value(_MOMENT, attributes))
    return words or None if unix_ms is None else minute_utc(unix_ms)


_PAIRS: Final[dict[str, Callable[[Mentions, str, str], str | None]]] = {
    "a": _link,
    "link": _link,
    "person": _person,
    "local_datetime": _moment,
}


def _value(attribute: re.Pattern[str], attributes: str) -> str:
    found = attribute.search(attributes)
    return "" if found is None else found[1] or found[2] or found[3] or ""
