"""A received message as consumers get it: the `message` of the native socket. Values only.

Source: CONTRACT 5.
"""

import msgspec

from feishu_ws.events.segments import AnySegment


class Sender(msgspec.Struct, gc=False):
    """Who sent a message; `type` is `user` or `app`."""

    open_id: str = ""
    union_id: str = ""
    user_id: str = ""
    type: str = ""


class Mentioned(msgspec.Struct, gc=False):
    """Who was mentioned; `key` is what stands for them in Feishu's own content."""

    key: str = ""
    open_id: str = ""
    name: str = ""
    is_bot: bool = False


class Resource(msgspec.Struct, omit_defaults=True, gc=False):
    """Bytes that hang on a message; `GET im/v1/messages/{id}/resources/{key}` fetches most.

    `kind` is image, file, audio, video or sticker.
    """

    kind: str
    key: str
    name: str = ""
    duration_ms: int | None = None


class Message(msgspec.Struct):
    """A received message; "" stands for an id that there is not."""

    id: str
    chat_id: str
    chat_type: str
    thread_id: str
    root_id: str
    parent_id: str
    type: str
    text: str
    sender: Sender
    mentions: list[Mentioned]
    segments: list[AnySegment]
    resources: list[Resource]
