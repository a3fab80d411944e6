"""Feishu's own notices, forwarded messages, and what is not known. Pure."""

import re
from typing import Any, Final

import msgspec

from feishu_ws.events.mentions import Mentions
from feishu_ws.events.segments import AnySegment, Forwarded, System, Unknown, clip
from feishu_ws.events.tolerant import TolerantDecoder, read_total

_MAX_FORWARDED: Final = 1024
_BLANK: Final = re.compile(r"\{([A-Za-z_]{1,64})\}")
_MAX_BLANKS: Final = 64
_MAX_NAMES: Final = 64  # per blank


class _Words(msgspec.Struct, gc=False):
    text: str = ""
    title: str = ""
    content: str = ""


class _ForwardedContent(msgspec.Struct, gc=False):
    create_message_ids: list[str] = []


_anything: Final = msgspec.json.Decoder(dict[str, Any])
_words: Final = TolerantDecoder(_Words)
_forwarded: Final = TolerantDecoder(_ForwardedContent)
_grammar: Final = msgspec.json.Decoder(msgspec.Raw)


def read_system(content: str, _: Mentions) -> list[AnySegment] | None:
    """Read a message of type `system`: a template whose blanks are named in the content.

    A blank is filled by a string, an object with a `name` or a `text`, or a list of
    either. Source: Feishu docs "接收消息内容".
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


def read_forwarded(content: str, _: Mentions) -> list[AnySegment] | None:
    """Read a message of type `merge_forward`; its content is a sentence, as a rule no JSON.

    Source: Feishu docs "接收消息内容"; lark-cli shortcuts/im/convert_lib/merge.go (ids).
    """
    opened = _forwarded.read(content)
    ids = [] if opened is None else opened.create_message_ids[:_MAX_FORWARDED]
    return [Forwarded([clip(one) for one in ids])]


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
        value = next(filter(None, map(value.get, ("name", "text", "open_id", "id"))), "")
    return clip(str(value)) if isinstance(value, str | int | float) else ""
