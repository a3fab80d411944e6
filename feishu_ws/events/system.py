"""Feishu's own notices, forwarded messages, and what is not known. Pure."""

import re
from typing import Any, Final

import msgspec

from feishu_ws.events.mentions import Mentions
from feishu_ws.events.segments import AnySegment, Forwarded, System, Unknown, clip
from feishu_ws.events.tolerant import TolerantDecoder, read_total

_BLANK: Final = re.compile(r"\{([A-Za-z_]{1,64})\}")
_MAX_BLANKS: Final = 64
_MAX_NAMES: Final = 64  # per blank


class _Words(msgspec.Struct, gc=False):
    text: str = ""
    title: str = ""
    content: str = ""


_anything: Final = msgspec.json.Decoder(dict[str, Any])
_words: Final = TolerantDecoder(_Words)
_grammar: Final = msgspec.json.Decoder(msgspec.Raw)


def read_system(content: str, _: Mentions) -> list[AnySegment] | None:
    """Read a message of type `system`: a template whose blanks are named in the content.

    A blank is filled by a string, or by a list of strings or of `{"id", "name"}`.
    """
    opened = read_total(_anything.decode, content)
    if opened is None:
        return None
    template = opened.get("template")
    if not isinstance(template, str):
        return None

    def fill(found: re.Match[str]) -> str:
        return _names(opened.get(found[1]))

    return [System(_BLANK.sub(fill, template, count=_MAX_BLANKS).strip())]


def read_forwarded(_content: str, _: Mentions) -> list[AnySegment] | None:
    """Read a message of type `merge_forward`; its content is a sentence, no JSON."""
    return [Forwarded()]


def read_unknown(content: str, kind: str) -> list[AnySegment]:
    """Return whatever words are in content of a type, or in a form, that is not known."""
    opened = _words.read(content)
    if opened is not None:
        return [Unknown(kind, opened.text or opened.title or opened.content)]
    is_json = read_total(_grammar.decode, content) is not None
    return [Unknown(kind, "" if is_json else content)]


def _names(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(filter(None, map(_name, value[:_MAX_NAMES])))
    return _name(value)


def _name(value: Any) -> str:
    if isinstance(value, dict):
        value = next(filter(None, map(value.get, ("name", "open_id", "id"))), "")
    return clip(value) if isinstance(value, str) else ""
