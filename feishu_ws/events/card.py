"""The words of a card (interactive). Pure.

What an app receives of another's card is degraded: `{"title", "elements"}` with
paragraphs as in a post. Cards as they were sent come in two more forms (elements
with nested texts, and `body` in schema 2.0). All are walked the same way, in the
order in which they are shown, to a bounded depth and number of nodes.
Source: lark-oapi 1.7.5 channel/normalize/converters/interactive.py.
"""

from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

import msgspec

from feishu_ws.events.mentions import Mentions
from feishu_ws.events.segments import AnySegment, Card, Emoji, Image, Link, clip
from feishu_ws.events.tolerant import read_total

MAX_DEPTH: Final = 32
MAX_PIECES: Final = 2048

_SHOWN: Final = (
    "card",
    "header",
    "title",
    "subtitle",
    "text",
    "content",
    "fields",
    "columns",
    "body",
    "elements",
    "items",
    "actions",
    "options",
    "extra",
)
"""Keys under which a card keeps what it shows, in the order in which it does."""

_anything: Final = msgspec.json.Decoder(dict[str, Any])


def read_card(content: str, mentions: Mentions) -> list[AnySegment] | None:
    """Read a message of type `interactive`: the card, then the images on it."""
    card = read_total(_anything.decode, content)
    if card is None:
        return None
    walk = _Walk(mentions)
    title, rest = _behead(card)
    head = walk.line(title)
    text = "\n".join(walk.lines(rest))
    return [Card(head, text), *map(Image, walk.image_keys)]


def _behead(card: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Return a card's title, and the card without it."""
    header = card.get("header")
    if "title" not in card and isinstance(header, dict):
        return header.get("title"), {**card, "header": {**header, "title": None}}
    return card.get("title"), {**card, "title": None}


class _Walk:
    """One walk over a card; remembers the images it passes and how far it may go."""

    def __init__(self, mentions: Mentions) -> None:
        self._mentions = mentions
        self._left = MAX_PIECES
        self.image_keys: list[str] = []

    def lines(self, node: Any) -> list[str]:
        """Return the lines of text under `node`, repeats of the line before left out."""
        lines: list[str] = []
        for line in self._blocks(node, MAX_DEPTH):
            if line and line not in lines[-1:]:
                lines.append(line)
        return lines

    def line(self, node: Any) -> str:
        """Return everything under `node` as one line."""
        return " ".join(self.lines(node))

    def _blocks(self, node: Any, depth: int) -> Iterator[str]:
        if depth == 0 or self._left == 0:
            return
        self._left -= 1
        if isinstance(node, str):
            yield self._mentions.name_tags(node).strip()
        elif isinstance(node, list):
            yield from self._list(node, depth)
        elif isinstance(node, dict):
            yield from self._object(node, depth)

    def _list(self, nodes: list[Any], depth: int) -> Iterator[str]:
        for node in nodes:
            if isinstance(node, list):  # a paragraph, as in a post
                yield "".join(self._pieces(node, depth - 1)).strip()
            else:
                yield from self._blocks(node, depth - 1)

    def _pieces(self, nodes: list[Any], depth: int) -> Iterator[str]:
        for node in islice(nodes, self._left):
            if isinstance(node, dict) and node.get("tag") == "text":
                yield _string(node, "text")
            else:
                yield " ".join(self._blocks(node, depth))

    def _object(self, node: dict[str, Any], depth: int) -> Iterator[str]:
        match node.get("tag"):
            case "img":
                yield self._image(node)
            case "a":
                yield Link(_string(node, "href"), _string(node, "text")).read()
            case "at":
                yield self._mention(node)
            case "emotion":
                yield Emoji(clip(_string(node, "emoji_type"))).read()
            case "hr":
                yield "---"
            case "button":
                yield f"[{' '.join(self._blocks(node.get('text'), depth - 1)) or 'button'}]"
            case _:
                yield from self._shown(node, depth)

    def _shown(self, node: dict[str, Any], depth: int) -> Iterator[str]:
        for key in _SHOWN:
            if key in node:
                yield from self._blocks(node[key], depth - 1)

    def _image(self, node: dict[str, Any]) -> str:
        key = _string(node, "img_key") or _string(node, "image_key")
        if key and key not in self.image_keys:
            self.image_keys.append(key)
        return Image(key).read()

    def _mention(self, node: dict[str, Any]) -> str:
        key = _string(node, "user_id") or _string(node, "id")
        return self._mentions.find(key, clip(_string(node, "user_name"))).read()


def _string(node: dict[str, Any], key: str) -> str:
    value = node.get(key)
    return value if isinstance(value, str) else ""
