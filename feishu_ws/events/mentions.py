"""Who is mentioned in a message, and what stands for them in its text. Pure."""

import re
from collections.abc import Iterable
from itertools import islice
from typing import Final

from feishu_ws.events.received import Mentioned
from feishu_ws.events.segments import MAX_SEGMENTS, AnySegment, Mention, Text

EVERYBODY: Final = "@_all"
"""Stands for everybody, with or without an entry in `mentions`.

Source: lark-oapi 1.7.5 channel/normalize/mentions.py.
"""

_PLACEHOLDER: Final = re.compile(r"@_(?:user_[0-9]{1,9}|all(?![A-Za-z0-9_]))")
_AT_TAG: Final = re.compile(
    r"""<at\s{1,4}(?:user_id|open_id|id)\s?=\s?["']?([^\s"'<>]{1,256})["']?\s?>([^<]{0,256})</at>"""
)


class Mentions:
    """Finds who is meant by a placeholder or an id."""

    def __init__(self, mentioned: Iterable[Mentioned]) -> None:
        self._known = {EVERYBODY: Mentioned(key=EVERYBODY, name="all")}
        for one in mentioned:
            self._known.update({name: one for name in (one.key, one.open_id) if name})

    def find(self, key: str, name: str = "") -> Mention:
        """Return who `key` (placeholder or open id) stands for, called `name` if unknown."""
        key = EVERYBODY if key == "all" else key
        known = self._known.get(key)
        if known is None:
            return Mention(key, name, key if key.startswith("ou_") else "")
        return Mention(known.key, known.name or name, known.open_id, known.is_bot)

    def split(self, text: str) -> list[AnySegment]:
        """Return text as segments, placeholders of known people resolved."""
        segments: list[AnySegment] = []
        end = 0
        for found in islice(_PLACEHOLDER.finditer(text), MAX_SEGMENTS // 2):
            if found[0] in self._known:
                if found.start() > end:
                    segments.append(Text(text[end : found.start()]))
                segments.append(self.find(found[0]))
                end = found.end()
        if end < len(text):
            segments.append(Text(text[end:]))
        return segments

    def name_tags(self, markdown: str) -> str:
        """Return markdown with `@Name` for Feishu's `<at id=…>` tags."""
        if "<at" not in markdown:
            return markdown
        return _AT_TAG.sub(self._name_tag, markdown, count=MAX_SEGMENTS)

    def _name_tag(self, found: re.Match[str]) -> str:
        return self.find(found[1], found[2]).read()
