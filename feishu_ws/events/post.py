"""Text and rich text (post). Pure.

A received post is flat, `{"title", "content", "content_v2", "files"}`; one that was
sent is wrapped by locale, `{"zh_cn": {"title", "content"}}`, perhaps inside `post`.
`content` has the paragraphs with lists, quotes and tables flattened to text;
`content_v2`, where Feishu sends it, has the same in markdown. `files` hang below.
Sources: Feishu docs "接收消息内容"; lark-oapi 1.7.5 channel/normalize/converters/post.py;
lark-cli shortcuts/im/convert_lib/text.go (`content_v2`, `files`); chenhg5/cc-connect#1884
(an event with both); NousResearch/hermes-agent#114154 (`content` without paragraphs).
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Final

import msgspec

from feishu_ws.events.markdown import MarkdownReader, find_image_keys, resolve_entities
from feishu_ws.events.mentions import Mentions
from feishu_ws.events.segments import (
    MAX_SEGMENTS,
    AnySegment,
    Audio,
    Code,
    Divider,
    Emoji,
    File,
    Folder,
    Image,
    Link,
    Text,
    Unknown,
    Video,
    clip,
)
from feishu_ws.events.tolerant import TolerantDecoder, read_total

PREFERRED_LOCALES: Final = ("zh_cn", "en_us", "ja_jp")
TITLE_STYLE: Final = "title"
"""Marks the segment that is a post's title."""

_LINE_BREAK: Final = "\n"
_BLOCKS: Final = (Code, Divider)  # stand on lines of their own
_MAX_WRAPPERS: Final = 2  # post, then locale


class Element(msgspec.Struct, gc=False):
    """One element of a paragraph; which fields count depends on `tag`."""

    tag: str = ""
    text: str = ""
    un_escape: bool = False
    style: list[str] = []
    href: str = ""
    user_id: str = ""
    user_name: str = ""
    emoji_type: str = ""
    image_key: str = ""
    file_key: str = ""
    file_name: str = ""
    language: str = ""


class Attachment(msgspec.Struct, gc=False):
    """A file, or a folder of files, that hangs on a post."""

    file_key: str = ""
    file_name: str = ""
    is_folder: bool = False


Rows = list[list[Element] | Element]
"""Paragraphs; elements that are in none make one together."""


class Body(msgspec.Struct):
    """A post without its wrapping; also the `summary` of a task."""

    title: str = ""
    content: Rows = []
    content_v2: Rows = []
    files: list[Attachment] = []

    def has_paragraphs(self) -> bool:
        """Whether there are paragraphs in either form."""
        return bool(self.content or self.content_v2)


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
    if body is None:
        return None
    if not body.has_paragraphs() and (inner := _unwrap(content, _MAX_WRAPPERS)):
        inner.files = inner.files or body.files
        body = inner
    if not (body.title or body.has_paragraphs() or body.files):
        return None
    return list(islice(_segments(body, mentions), MAX_SEGMENTS))


def plain(body: Body, mentions: Mentions) -> str:
    """Return the paragraphs of a body as text, without its title."""
    untitled = Body("", body.content, body.content_v2, body.files)
    return "".join(one.read() for one in islice(_segments(untitled, mentions), MAX_SEGMENTS))


def _unwrap(content: str | bytes, wrappers: int) -> Body | None:
    """Return the body in the preferred locale, else in the first there is."""
    values = read_total(_objects.decode, content) or {}
    preferred = [values.pop(locale) for locale in PREFERRED_LOCALES if locale in values]
    for value in islice((*preferred, *values.values()), MAX_SEGMENTS):
        inner = bytes(value)
        body = _body.read(inner)
        if body is not None and body.has_paragraphs():
            return body
        if body is not None and wrappers > 1 and (body := _unwrap(inner, wrappers - 1)):
            return body
    return None


def _segments(body: Body, mentions: Mentions) -> Iterator[AnySegment]:
    for number, line in enumerate(_lines(body, mentions)):
        if number:
            yield Text(_LINE_BREAK)
        yield from line


def _lines(body: Body, mentions: Mentions) -> Iterator[Iterable[AnySegment]]:
    """Return title, paragraphs and files, each on a line."""
    if body.title:
        yield [Text(body.title, [TITLE_STYLE])]
    rows = _paragraphs(body)
    if any(rows) or not (body.title or body.files):
        markdown = MarkdownReader(mentions)
        yield from (_set_apart(_read(row, mentions, markdown)) for row in rows)
    for one in body.files:
        yield [(Folder if one.is_folder else File)(one.file_key, clip(one.file_name))]


def _paragraphs(body: Body) -> list[list[Element]]:
    """Return the paragraphs in the newer form, where no key is missing from it."""
    newer, older = _rows(body.content_v2), _rows(body.content)
    has_words = any(one.text or one.tag != "md" for row in newer for one in row)
    return newer if has_words and _keys(older) <= _keys(newer) else older


def _rows(content: Rows) -> list[list[Element]]:
    rows: list[list[Element]] = []
    loose: list[Element] | None = None
    for one in content:
        if isinstance(one, list):
            rows.append(one)
            loose = None
        elif loose is None:
            rows.append(loose := [one])
        else:
            loose.append(one)
    return rows


def _keys(rows: list[list[Element]]) -> set[str]:
    """Return the keys of what hangs on paragraphs."""
    keys = {one.file_key or one.image_key for row in rows for one in row}
    for row in rows:
        keys.update(key for one in row if one.tag == "md" for key in find_image_keys(one.text))
    return keys - {""}


def _set_apart(line: Iterator[AnySegment]) -> Iterator[AnySegment]:
    """Return a line with breaks around what stands on lines of its own."""
    before: AnySegment | None = None
    for segment in line:
        if before is not None and (isinstance(before, _BLOCKS) or isinstance(segment, _BLOCKS)):
            yield Text(_LINE_BREAK)
        yield segment
        before = segment


def _read(row: list[Element], mentions: Mentions, markdown: MarkdownReader) -> Iterator[AnySegment]:
    for element in row:
        if element.tag == "at":
            yield mentions.find(element.user_id, clip(element.user_name))
        elif element.tag == "md":
            yield from markdown.split(element.text)
        elif element.tag in _ELEMENTS:
            yield _ELEMENTS[element.tag](element)
        else:
            yield Text(element.text) if element.text else Unknown(clip(element.tag))


def _plain_text(one: Element) -> Text:
    return Text(resolve_entities(one.text) if one.un_escape else one.text, one.style)


_ELEMENTS: Final[dict[str, Callable[[Element], AnySegment]]] = {
    "text": _plain_text,
    "a": lambda one: Link(one.href, one.text, one.style),
    "img": lambda one: Image(one.image_key),
    "media": lambda one: Video(one.file_key, clip(one.file_name), one.image_key),
    "audio": lambda one: Audio(one.file_key),
    "file": lambda one: File(one.file_key, clip(one.file_name)),
    "emotion": lambda one: Emoji(clip(one.emoji_type)),
    "code_block": lambda one: Code(one.text, clip(one.language)),
    "hr": lambda _: Divider(),
}
