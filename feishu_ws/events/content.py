"""How the content of one type of message is read. Pure."""

from collections.abc import Callable
from typing import TypeVar

import msgspec

from feishu_ws.events.mentions import Mentions
from feishu_ws.events.segments import AnySegment
from feishu_ws.events.tolerant import TolerantDecoder

T = TypeVar("T", bound=msgspec.Struct)

ContentReader = Callable[[str, Mentions], list[AnySegment] | None]
"""Returns what content consists of, None when it is not as its type has it."""


def one_segment(shape: type[T], make: Callable[[T], AnySegment]) -> ContentReader:
    """Return a reader for content that is one object and makes one segment."""
    decoder = TolerantDecoder(shape)

    def read(content: str, _: Mentions) -> list[AnySegment] | None:
        opened = decoder.read(content)
        return None if opened is None else [make(opened)]

    return read
