"""Reading a received message: who, where, and what it says. Pure and total.

Done when an event is delivered, never before it is journalled. A type that is not
known, and content that is not as its type has it, become an `unknown` segment with
whatever words there are; nothing raises. That holds for a reader with a defect too:
the event is stored by then, and would stop every delivery that meets it.
"""

from collections.abc import Callable, Iterable
from itertools import chain
from typing import Any, Final

import msgspec

from feishu_ws.events import media, planning
from feishu_ws.events.card import read_card
from feishu_ws.events.content import ContentReader
from feishu_ws.events.mentions import Mentions
from feishu_ws.events.post import read_post, read_text
from feishu_ws.events.received import Mentioned, Message, Resource, Sender
from feishu_ws.events.segments import (
    AnySegment,
    Audio,
    Card,
    File,
    Image,
    Sticker,
    Video,
    clip,
)
from feishu_ws.events.subject import Id
from feishu_ws.events.system import read_forwarded, read_system, read_unknown
from feishu_ws.events.tolerant import TolerantDecoder

MAX_STRUCTURED_CHARS: Final = 256 * 1024
"""Longer content is not taken apart, plain text excepted.

Feishu takes 30 KB of post or card. Source: Feishu docs im-v1/message/create.
"""

MAX_MENTIONS: Final = 1024

READERS: Final[dict[str, ContentReader]] = {
    **media.READERS,
    **planning.READERS,
    "text": read_text,
    "post": read_post,
    "interactive": read_card,
    "system": read_system,
    "merge_forward": read_forwarded,
}
"""Every type of message there is. Source: lark-oapi 1.7.5 channel/normalize/registry.py."""

DEFECTS: Final = (
    *(ArithmeticError, AssertionError, AttributeError, LookupError, RecursionError),
    *(TypeError, ValueError, msgspec.MsgspecError),
)
"""What a reader raises if it has a defect that some content brings out."""

_APP_MENTIONS: Final = frozenset({"bot", "app"})  # Source: assumed


class _UserIds(msgspec.Struct, gc=False):
    open_id: Id = ""
    union_id: Id = ""
    user_id: Id | None = None  # null where the app may not see it


class _Mention(msgspec.Struct, gc=False):
    key: Id = ""
    id: _UserIds | Id | None = None  # the open id alone where Feishu's REST is quoted
    name: str = ""
    mentioned_type: Id = ""


class _Sender(msgspec.Struct, gc=False):
    sender_id: _UserIds | None = None
    sender_type: Id = ""


class _Received(msgspec.Struct, gc=False):
    message_id: Id = ""
    root_id: Id | None = None
    parent_id: Id | None = None
    thread_id: Id | None = None
    chat_id: Id = ""
    chat_type: Id = ""
    message_type: Id = ""
    content: msgspec.Raw = msgspec.Raw(b'""')
    mentions: list[_Mention] | None = None


class _Event(msgspec.Struct, gc=False):
    sender: _Sender | None = None
    message: _Received | None = None


class _Payload(msgspec.Struct, gc=False):
    event: _Event | None = None


_payload: Final = TolerantDecoder(_Payload)
_string: Final = msgspec.json.Decoder(str)
_no_ids: Final = _UserIds()


def read_message(payload: bytes) -> Message | None:
    """Return the message in a payload of `im.message.receive_v1`, None if it holds none."""
    opened = _payload.read(payload)
    if opened is None or opened.event is None or opened.event.message is None:
        return None
    received = opened.event.message
    mentioned = [_mentioned(one) for one in (received.mentions or [])[:MAX_MENTIONS]]
    content = _content(received.content)
    segments, text = _read_or_fall_back(received.message_type, content, Mentions(mentioned))
    return Message(
        id=received.message_id,
        chat_id=received.chat_id,
        chat_type=received.chat_type,
        thread_id=received.thread_id or "",
        root_id=received.root_id or "",
        parent_id=received.parent_id or "",
        type=received.message_type,
        text=text,
        sender=_sender(opened.event.sender),
        mentions=mentioned,
        segments=segments,
        resources=_resources(segments),
    )


def read_content(kind: str, content: str, mentions: Mentions) -> list[AnySegment]:
    """Return what the content of a message of type `kind` consists of.

    Total by construction of the readers; it hides no defect of theirs.
    """
    if len(content) > MAX_STRUCTURED_CHARS and kind != "text":
        return read_unknown("", kind)
    reader = READERS.get(kind)
    segments = None if reader is None else reader(content, mentions)
    return read_unknown(content, kind) if segments is None else segments


def _read_or_fall_back(kind: str, content: str, mentions: Mentions) -> tuple[list[AnySegment], str]:
    """Return segments and text, whatever a reader does."""
    try:
        segments = read_content(kind, content, mentions)
        return segments, _text(segments)
    except DEFECTS:
        segments = read_unknown(content, kind)
        return segments, _text(segments)


def _text(segments: list[AnySegment]) -> str:
    return "".join([segment.read() for segment in segments])


def _content(raw: msgspec.Raw) -> str:
    """Return the content: JSON in a string, as a rule; an object that is none is let pass."""
    try:
        return _string.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return bytes(raw).decode(errors="replace")


def _sender(sender: _Sender | None) -> Sender:
    if sender is None:
        return Sender()
    ids = sender.sender_id or _no_ids
    return Sender(ids.open_id, ids.union_id, ids.user_id or "", sender.sender_type)


def _mentioned(one: _Mention) -> Mentioned:
    open_id = one.id.open_id if isinstance(one.id, _UserIds) else one.id or ""
    return Mentioned(one.key, open_id, clip(one.name), one.mentioned_type in _APP_MENTIONS)


def _resources(segments: list[AnySegment]) -> list[Resource]:
    """Return what is to be fetched, each once."""
    hanging = chain.from_iterable(
        _HANGING[type(one)](one) for one in segments if type(one) in _HANGING
    )
    found = {one.key: one for one in hanging if one.key}
    return list(found.values())


_HANGING: Final[dict[type, Callable[[Any], Iterable[Resource]]]] = {
    Image: lambda one: [Resource("image", one.key)],
    File: lambda one: [Resource("file", one.key, one.name)],
    Audio: lambda one: [Resource("audio", one.key, duration_ms=one.duration_ms)],
    Video: lambda one: [Resource("video", one.key, one.name, one.duration_ms)],
    Sticker: lambda one: [Resource("sticker", one.key)],
    Card: lambda one: [Resource("image", key) for key in one.image_keys],
}
"""What of a segment is to be fetched."""
