"""Reading a received message: who, where, and what it says. Pure and total.

Done when an event is delivered, never before it is journalled. A type that is not
known, and content that is not as its type has it, become an `unknown` segment with
whatever words there are; nothing raises.
"""

from typing import Final

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

_APP_MENTIONS: Final = frozenset({"bot", "app"})  # Source: assumed


class _UserIds(msgspec.Struct, gc=False):
    open_id: Id = ""
    union_id: Id = ""
    user_id: Id | None = None  # null where the app may not see it


class _Mention(msgspec.Struct, gc=False):
    key: Id = ""
    id: _UserIds | None = None
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
    segments = read_content(received.message_type, _content(received.content), Mentions(mentioned))
    return Message(
        id=received.message_id,
        chat_id=received.chat_id,
        chat_type=received.chat_type,
        thread_id=received.thread_id or "",
        root_id=received.root_id or "",
        parent_id=received.parent_id or "",
        type=received.message_type,
        text="".join([segment.read() for segment in segments]),
        sender=_sender(opened.event.sender),
        mentions=mentioned,
        segments=segments,
        resources=_resources(segments),
    )


def read_content(kind: str, content: str, mentions: Mentions) -> list[AnySegment]:
    """Return what the content of a message of type `kind` consists of. Total."""
    if len(content) > MAX_STRUCTURED_CHARS and kind != "text":
        return read_unknown("", kind)
    reader = READERS.get(kind)
    segments = None if reader is None else reader(content, mentions)
    return read_unknown(content, kind) if segments is None else segments


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
    open_id = "" if one.id is None else one.id.open_id
    return Mentioned(one.key, open_id, clip(one.name), one.mentioned_type in _APP_MENTIONS)


def _resources(segments: list[AnySegment]) -> list[Resource]:
    found = {one.key: one for one in map(_resource, segments) if one is not None and one.key}
    return list(found.values())


def _resource(segment: AnySegment) -> Resource | None:
    match segment:
        case Image():
            return Resource("image", segment.key)
        case File():
            return Resource("file", segment.key, segment.name)
        case Audio():
            return Resource("audio", segment.key, duration_ms=segment.duration_ms)
        case Video():
            return Resource("video", segment.key, segment.name, segment.duration_ms)
        case Sticker():
            return Resource("sticker", segment.key)
        case _:
            return None
