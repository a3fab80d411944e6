"""What a message is to AstrBot, where AstrBot's own adapter would make it empty. Pure.

The daemon reads every type of message; its reading (`message.text`) becomes words, and
what only Feishu's own JSON tells stands beside them.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

Component = tuple[str, dict[str, Any]]
"""A class of `astrbot.api.message_components`, and what it is made with."""

TEXTUAL: Final = frozenset({"text", "post"})
PICTURES: Final = frozenset({"image"})
FILES: Final = frozenset({"file", "audio", "media"})
"""What AstrBot reads itself since it has `_download_file_resource_to_temp`."""

WORDLESS: Final = frozenset({"sticker"})
"""Types whose JSON says nothing beyond the words."""


def is_native(kind: str, *, has_files: bool) -> bool:
    """Whether AstrBot's own adapter reads messages of this type."""
    return kind in TEXTUAL | PICTURES or (has_files and kind in FILES)


def words_of(message: Mapping[str, Any], kind: str) -> str:
    """Return the daemon's reading of a message, never empty."""
    return str(message.get("text") or "").strip() or f"[{kind}]"


def components_of(message: Mapping[str, Any], kind: str, content: str) -> list[Component]:
    """Return what a message of a type that AstrBot does not read consists of.

    Args:
        message: The daemon's reading.
        kind: Feishu's `message_type`.
        content: Feishu's own content.
    """
    found: list[Component] = [("Plain", {"text": words_of(message, kind)})]
    data = object_of(content)
    if kind == "location":
        place = _location(data)
        found += [("Location", place)] if place else []
    elif kind == "merge_forward":
        found.append(("Forward", {"id": str(message.get("id", ""))}))
    if kind not in WORDLESS and data:
        found.append(("Json", {"data": data}))
    return found


def _location(data: Mapping[str, Any]) -> dict[str, Any] | None:
    try:
        lat, lon = float(data["latitude"]), float(data["longitude"])
    except (KeyError, TypeError, ValueError):
        return None
    name = str(data.get("name", ""))
    return {"lat": lat, "lon": lon, "title": name, "content": name}


def object_of(content: str) -> dict[str, Any]:
    """Return a content's JSON object, an empty one if it is none."""
    try:
        data = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


def readable_post(content: str) -> str:
    """Return a post in which what AstrBot's adapter drops has become text."""
    data = object_of(content)
    paragraphs = data.get("content")
    if not isinstance(paragraphs, list):
        return content
    data["content"] = [
        [_readable(each) for each in paragraph] if isinstance(paragraph, list) else paragraph
        for paragraph in paragraphs
    ]
    return json.dumps(data, ensure_ascii=False)


def _readable(element: Any) -> Any:
    """Source of the tags: Feishu docs "接收消息内容", post."""
    if not isinstance(element, dict):
        return element
    tag, text = element.get("tag"), str(element.get("text", ""))
    words = {
        "md": text,
        "code_block": f"\n```{str(element.get('language', '')).lower()}\n{text}\n```\n",
        "hr": "\n---\n",
        "emotion": f"[{element.get('emoji_type', 'emotion')}]",
    }.get(str(tag))
    return element if words is None else {"tag": "text", "text": words}
