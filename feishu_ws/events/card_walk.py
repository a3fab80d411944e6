"""A walk over a card: which of its nodes are shown, in which order, how far. Pure.

What is read of an element goes by its tag. Containers, and tags that are not known,
are read in the order in which they show what they hold.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, TypeVar

from feishu_ws.events.markdown import MarkdownReader
from feishu_ws.events.mentions import Mentions

T = TypeVar("T")

MAX_DEPTH: Final = 32
MAX_PIECES: Final = 2048

Node = dict[str, Any]

_INLINE: Final = frozenset({"text", "a", "at", "emotion"})
"""Tags of a paragraph's words; anything else in it stands apart."""

_SHOWN: Final = (
    "header",
    "title",
    "subtitle",
    "text_tag_list",
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
"""Keys under which an element keeps what it shows, in the order in which it does."""


class CardWalk:
    """One walk over a card; remembers the images it passes and how far it may go.

    Attributes:
        mentions: Who is mentioned in the message.
        markdown: Reads the card's markdown, and has the keys of its images.
    """

    def __init__(self, elements: "Mapping[str, ElementReader]", mentions: Mentions) -> None:
        self.mentions = mentions
        self.markdown = MarkdownReader(mentions)
        self._elements = elements
        self._left = MAX_PIECES

    def lines(self, *nodes: Any) -> list[str]:
        """Return the lines of text under `nodes`, repeats of the line before left out."""
        lines: list[str] = []
        for node in nodes:
            for block in self._blocks(node, MAX_DEPTH):
                line = block.strip()
                if line and line not in lines[-1:]:
                    lines.append(line)
        return lines

    def inline(self, node: Any, depth: int = MAX_DEPTH) -> str:
        """Return everything under `node` as one line, no deeper than `depth`."""
        return " ".join(filter(None, self._blocks(node, depth)))

    def take(self, found: Iterable[T]) -> Iterator[T]:
        """Return as many as the walk may still pass."""
        for one in found:
            if self._left <= 0:
                return
            self._left -= 1
            yield one

    def _blocks(self, node: Any, depth: int) -> Iterator[str]:
        if depth <= 0 or self._left <= 0:
            return
        self._left -= 1
        if isinstance(node, str):
            yield node
        elif isinstance(node, list):
            for one in node:
                yield from self._member(one, depth - 1)
        elif isinstance(node, dict):
            read = self._elements.get(_tag(node))
            if read is None:
                yield from self._shown(node, depth - 1)
            else:
                yield read(self, node, depth - 1)

    def _member(self, node: Any, depth: int) -> Iterator[str]:
        if isinstance(node, list):
            yield self._paragraph(node, depth)
        else:
            yield from self._blocks(node, depth)

    def _shown(self, node: Node, depth: int) -> Iterator[str]:
        for key in _SHOWN:
            if key in node:
                yield from self._blocks(node[key], depth)

    def _paragraph(self, nodes: list[Any], depth: int) -> str:
        """Return a degraded card's paragraph: words run on, anything else stands apart."""
        parts: list[str] = []
        was_inline = True
        for node in nodes:
            if self._left <= 0:
                break
            is_inline = isinstance(node, dict) and _tag(node) in _INLINE
            if parts and not (is_inline and was_inline):
                parts.append(" ")
            parts.append(self.inline(node, depth))
            was_inline = is_inline
        return "".join(parts)


def _tag(node: Node) -> str:
    tag = node.get("tag")
    return tag if isinstance(tag, str) else ""


ElementReader = Callable[[CardWalk, Node, int], str]
"""Reads an element, and what it holds no deeper than so many levels."""
