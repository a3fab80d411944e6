"""Who is mentioned in a message, and what stands for them in its text. Pure."""

import re
from collections.abc import Iterable
from itertools import islice, zip_longest
from typing import Final

from feishu_ws.events.received import Mentioned
from feishu_ws.events.segments import MAX_SEGMENTS, AnySegment, Mention, Text, clip

EVERYBODY: Final = "@_all"
"""Stands for everybody, with or without an entry in `mentions`.

Source: lark-oapi 1.7.5 channel/normalize/mentions.py.
"""

_ALL_IDS: Final = frozenset({"all", "all_members"})  # Source: node-sdk 1.73 converters/post.ts

_PLACEHOLDER: Final = re.compile(r"@_(?:user_[0-9]{1,9}|all(?![A-Za-z0-9_]))")
_ATTRIBUTE: Final = re.compile(
    r"""\b(user_id|open_id|ids?|mentions?_key)\s?=\s?(?:"([^"]*)"|'([^']*)'|([^\s"'/]+))"""
)


class Mentions:
    """Finds who is meant by a placeholder or an id."""

    def __init__(self, mentioned: Iterable[Mentioned]) -> None:
        self._known = {EVERYBODY: Mentioned(key=EVERYBODY, name="all")}
        for one in mentioned:
            self._known.update({name: one for name in (one.key, one.open_id) if name})

    def find(self, key: str, name: str = "") -> Mention:
        """Return who `key` (placeholder or open id) stands for, called `name` if unknown."""
        key = EVERYBODY if key in _ALL_IDS else key
        known = self._known.get(key)
        if known is None:
            return Mention(key, name, key if key.startswith("ou_") else "")
        return Mention(known.key, known.name or name, known.open_id, known.is_bot)

    def find_tagged(self, attributes: str, name: str) -> list[Mention]:
        """Return who a tag `<at ATTRIBUTES>NAME</at>` of Feishu's markdown means, [] if nobody.

        One person has an id, a placeholder (`mention_key`), or both; several have lists
        of them: `ids=ou_1,ou_2 mentions_key=@_user_1,`. Source: lark-cli
        internal/imcontent/card_userdsl.go.
        """
        given = {
            one[1]: one[2] or one[3] or one[4] or "" for one in _ATTRIBUTE.finditer(attributes)
        }
        ids = _first(given, "ids", "user_id", "open_id", "id").split(",")
        keys = _first(given, "mentions_key", "mention_key").split(",")
        both = zip_longest(ids, keys, fillvalue="")
        meant = [key if key in self._known else one_id for one_id, key in both]
        return [self.find(one, clip(name)) for one in meant if one]

    def split(self, text: str) -> list[AnySegment]:
        """Return text as segments, placeholders of known people resolved.

        What looks like a tag here was typed: Feishu replaces the tags of plain text.
        """
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


def _first(given: dict[str, str], *names: str) -> str:
    return next(filter(None, map(given.get, names)), "")
