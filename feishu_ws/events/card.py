"""The words of a card (interactive). Pure.

What an app receives of another's card is degraded: `{"title", "elements"}` with
paragraphs as in a post, which ask for a newer client where the card is of schema 2.0;
the card itself is then in `user_dsl`, JSON in a string. A card as it was sent has
`header` and `elements`, or `body` in schema 2.0, by locale in `i18n_header` and
`i18n_elements`; or it names a template and its variables.
Sources: Feishu docs "接收消息内容", "卡片 JSON 结构"; lark-oapi 1.7.5
channel/normalize/converters/interactive.py; lark-cli internal/imcontent/card_userdsl.go
and NousResearch/hermes-agent#42948 (`user_dsl`).
"""

from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

import msgspec

from feishu_ws.events.card_elements import ELEMENTS, localized
from feishu_ws.events.card_walk import MAX_PIECES, CardWalk, Node
from feishu_ws.events.mentions import Mentions
from feishu_ws.events.segments import AnySegment, Card
from feishu_ws.events.tolerant import read_total

_MAX_WRAPPERS: Final = 3
_MAX_VARIABLES_DEPTH: Final = 3  # lists of objects, as in a template's repeated rows

_anything: Final = msgspec.json.Decoder(dict[str, Any])


def read_card(content: str, mentions: Mentions) -> list[AnySegment] | None:
    """Read a message of type `interactive`."""
    received = read_total(_anything.decode, content)
    if received is None:
        return None
    whole = received.get("user_dsl")
    sent = read_total(_anything.decode, whole) if isinstance(whole, str) else None
    segments = _read(sent, mentions) if sent else []
    return segments or _read(received, mentions) or [Card()]


def _read(card: Node, mentions: Mentions) -> list[AnySegment]:
    """Return a card, [] for one that shows nothing."""
    card = _unwrap(card)
    walk = CardWalk(ELEMENTS, mentions)
    title, below = _behead(_member(card, "header") or localized(card.get("i18n_header")))
    title = walk.inline(card.get("title") or title).strip()
    text = "\n".join(walk.lines(below, *_sections(card)))
    if not (title or text):
        text = walk.inline(_member(card, "config").get("summary")).strip()
    keys = list(dict.fromkeys(walk.markdown.image_keys))
    return [Card(title, text, keys)] if title or text else []


def _unwrap(card: Node) -> Node:
    """Return the card inside `card`, or inside the `data` of a card that is no template."""
    for _ in range(_MAX_WRAPPERS):
        inner = _member(card, "card") or _member(card, "data")
        if not inner or "template_id" in inner:
            break
        card = inner
    return card


def _behead(header: Any) -> tuple[Any, Any]:
    """Return a header's title, and the rest of it."""
    if not isinstance(header, dict):
        return None, None
    return header.get("title"), {**header, "title": None}


def _sections(card: Node) -> Iterator[Any]:
    """Return what a card shows below its header."""
    yield card.get("elements") or localized(card.get("i18n_elements"))
    yield card.get("body")
    variables = _member(card, "data").get("template_variable")
    yield list(islice(_variables(variables, "", _MAX_VARIABLES_DEPTH), MAX_PIECES))


def _variables(value: Any, name: str, depth: int) -> Iterator[str]:
    """Return what a template is filled with, `name: value` each."""
    if depth < 0:
        return
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _variables(inner, key, depth - 1)
    elif isinstance(value, list):
        for inner in value:
            yield from _variables(inner, name, depth - 1)
    elif isinstance(value, str | int | float) and value != "":
        yield f"{name}: {value}"


def _member(node: Node, key: str) -> Node:
    """Return a member that is an object, else an empty one."""
    value = node.get(key)
    return value if isinstance(value, dict) else {}
