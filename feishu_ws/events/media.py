"""Images, files, sound, video, stickers, and what else is little more than a key. Pure.

Source: lark-oapi 1.7.5 channel/normalize/registry.py.
"""

from typing import Final

import msgspec

from feishu_ws.events.content import ContentReader, one_segment
from feishu_ws.events.segments import (
    Audio,
    File,
    Folder,
    Image,
    Location,
    RedPacket,
    SharedChat,
    SharedUser,
    Sticker,
    Video,
    clip,
)

_MAX_DURATION_MS: Final = 10 * 24 * 3_600_000  # ten days; more is a mistake of the sender
_MAX_DURATION_DIGITS: Final = len(str(_MAX_DURATION_MS))


class _Image(msgspec.Struct, gc=False):
    image_key: str = ""


class _File(msgspec.Struct, gc=False):
    """What is fetched by `file_key`; `duration` in ms, `image_key` a video's still."""

    file_key: str = ""
    file_name: str = ""
    name: str = ""
    image_key: str = ""
    duration: int | float | str | None = None


class _RedPacket(msgspec.Struct, gc=False):
    text: str = ""
    title: str = ""


class _Place(msgspec.Struct, gc=False):
    name: str = ""
    latitude: str | int | float = ""
    longitude: str | int | float = ""


class _Shared(msgspec.Struct, gc=False):
    chat_id: str = ""
    user_id: str = ""


def _audio(found: _File) -> Audio:
    return Audio(found.file_key, parse_duration_ms(found.duration))


def _video(found: _File) -> Video:
    duration_ms = parse_duration_ms(found.duration)
    return Video(found.file_key, clip(found.file_name), found.image_key, duration_ms)


def _location(found: _Place) -> Location:
    return Location(clip(found.name), clip(str(found.latitude)), clip(str(found.longitude)))


READERS: Final[dict[str, ContentReader]] = {
    "image": one_segment(_Image, lambda found: Image(found.image_key)),
    "file": one_segment(_File, lambda found: File(found.file_key, clip(found.file_name))),
    "folder": one_segment(
        _File, lambda found: Folder(found.file_key, clip(found.file_name or found.name))
    ),
    "audio": one_segment(_File, _audio),
    "media": one_segment(_File, _video),
    "video": one_segment(_File, _video),  # the name it has in some SDKs
    "sticker": one_segment(_File, lambda found: Sticker(found.file_key)),
    "hongbao": one_segment(_RedPacket, lambda found: RedPacket(found.text or found.title)),
    "location": one_segment(_Place, _location),
    "share_chat": one_segment(_Shared, lambda found: SharedChat(found.chat_id)),
    "share_user": one_segment(_Shared, lambda found: SharedUser(found.user_id)),
}


def parse_duration_ms(duration: float | str | None) -> int | None:
    """Return a duration in ms, None where it is not known or absurd."""
    if isinstance(duration, str):
        is_short = len(duration) <= _MAX_DURATION_DIGITS
        duration = int(duration) if is_short and duration.isascii() and duration.isdigit() else None
    if duration is None or not 0 <= duration <= _MAX_DURATION_MS:
        return None
    return int(duration)
