"""Text and rich text (post). Pure.

A received post is flat, `{"title", "content"}`; one that was sent is wrapped by
locale, `{"zh_cn": {"title", "content"}}`, perhaps inside `post`.
Source: lark-oapi 1.7.5 channel/normalize/converters/post.py.
"""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Final

import msgspec

from feishu_ws.events.mentions import Mentions
from feishu_ws.events.segments import (
    MAX_SEGMENTS,
    AnySegment,
    Audio,
    Code,
    Divider,
    Emoji,
    File,
    Image,
    Link,
    Markdown,
    Text,
    Unknown,
    Video,
    clip,
)
from feishu_ws.events.tolerant import TolerantDecoder, read_total

PREFERRED_LOCALES: Final = ("zh_cn", "en_us")
TITLE_STYLE: Final = "title"
"""Marks the segment that is a post's title."""

_LINE_BREAK: Final = "\n"
_MAX_WRAPPERS: Final = 2  # post, then locale


class Element(msgspec.Struct, gc=False):
    """One element of a paragraph; which fields count depends on `tag`."""

    tag: str = ""
    text: str = ""
    style: list[str] = []
    href: str = ""
    user_id: str = ""
    user_name: str = ""
    emoji_type: str = ""
    image_key: str = ""
    file_key: str = ""
    file_name: str = ""
    language: str = ""


class Body(msgspec.Struct):
    """A post without its wrapping; also the `summary` of a task."""

    title: str = ""
    content: list[list[Element]] = []


class _TextContent(msgspec.Struct, gc=False):
    text: str | None = None


_text: Final = TolerantDecoder(_TextContent)
_body: Final = TolerantDecoder(Body)
_objects: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


def read_text(content: str, mentions: Mentions) -> list[AnySegment] | None:
    """Read a message of type `text`."""
    opened = _text.read(content)
    return None if opened is None or opened.text is None else mentions.split(opened.text)


def read_post(content: str, mentions: Mentions) -> list[AnySegment] | None:
    """Read a message of type `post`."""
    body = _body.read(content)
    if body is not None and not body.content:
        body = _unwrap(content, _MAX_WRAPPERS) or body
    if body is None or not (body.title or body.content):
        return None
    return list(islice(_segments(body, mentions), MAX_SEGMENTS))


def plain(body: Body, mentions: Mentions) -> str:
    """Return the paragraphs of a body as text, without its title."""
    untitled = Body(content=body.content)
    return "".join(one.read() for one in islice(_segments(untitled, mentions), MAX_SEGMENTS))


def _unwrap(content: str | bytes, wrappers: int) -> Body | None:
    """Return the body in the preferred locale, else in the first there is."""
    values = read_total(_objects.decode, content) or {}
    preferred = [values.pop(locale) for locale in PREFERRED_LOCALES if locale in values]
    for value in islice((*preferred, *values.values()), MAX_SEGMENTS):
        inner = bytes(value)
        body = _body.read(inner)
        if body is not None and body.content:
            return body
        if body is not None and wrappers > 1 and (body := _unwrap(inner, wrappers - 1)):
            return body
    return None


def _segments(body: Body, mentions: Mentions) -> Iterator[AnySegment]:
    if body.title:
        yield Text(body.title, [TITLE_STYLE])
    for number, paragraph in enumerate(body.content):
        if number or body.title:
            yield Text(_LINE_BREAK)
        for element in paragraph:
            yield _segment(element, mentions)


def _segment(element: Element, mentions: Mentions) -> AnySegment:
    if element.tag == "at":
        return mentions.find(element.user_id, clip(element.user_name))
    if element.tag == "md":
        return Markdown(mentions.name_tags(element.text))
    read = _ELEMENTS.get(element.tag)
    if read is not None:
        return read(element)
    return Text(element.text) if element.text else Unknown(clip(element.tag))


_ELEMENTS: Final[dict[str, Callable[[Element], AnySegment]]] = {
    "text": lambda one: Text(one.text, one.style),
    "a": lambda one: Link(one.href, one.text),
    "img": lambda one: Image(one.image_key),
    "media": lambda one: Video(one.file_key, clip(one.file_name), one.image_key),
    "audio": lambda one: Audio(one.file_key),
    "file": lambda one: File(one.file_key, clip(one.file_name)),
    "emotion": lambda one: Emoji(clip(one.emoji_type)),
    "code_block": lambda one: Code(one.text, clip(one.language)),
    "hr": lambda _: Divider(),
}
