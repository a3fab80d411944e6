"""What a message consists of, and how each piece reads as plain text. Pure.

Every segment has a `kind`; a client that meets a kind it does not know can show the
message's `text` instead, which is what all segments read one after the other.
"""

import re
from typing import Final

import msgspec

from feishu_ws.events.times import minute_utc

MAX_SEGMENTS: Final = 4096
"""Feishu's own limit, 150 KB for a text, leaves room for fewer mentions than that."""

MAX_NAME_CHARS: Final = 256
"""Names of people and files are cut here: they repeat, and would multiply a message."""

STRUCK_OUT: Final = "lineThrough"
"""The one style that changes what a text says. Source: Feishu docs "接收消息内容"."""

_FENCE: Final = "```"
_BACKTICKS: Final = re.compile("`{3,}")
_JUST_A_RED_PACKET: Final = "[红包]"  # what Feishu writes where nobody wrote anything


class Segment(msgspec.Struct, tag_field="kind", omit_defaults=True, gc=False):
    """One piece of a message."""

    def read(self) -> str:
        """Return the piece as plain text."""
        return f"[{self.__struct_config__.tag}]"


class Text(Segment, tag="text"):
    """Characters as they were written; `style` as in Feishu (bold, italic, …)."""

    text: str
    style: list[str] = []

    def read(self) -> str:
        """Return the characters, between tildes if they are struck out."""
        return _strike(self.text) if STRUCK_OUT in self.style else self.text


class Markdown(Segment, tag="markdown"):
    """Text in Feishu's markdown."""

    text: str

    def read(self) -> str:
        """Return the markdown itself: it is made to be read."""
        return self.text


class Mention(Segment, tag="mention"):
    """Somebody who was mentioned; key `@_all` is everybody."""

    key: str
    name: str
    open_id: str = ""
    is_bot: bool = False

    def read(self) -> str:
        """Return `@Name`, the id for somebody without one."""
        return f"@{self.name or self.key.removeprefix('@')}"


class Link(Segment, tag="link"):
    """A link with a text of its own; `style` as in `Text`."""

    href: str
    text: str = ""
    style: list[str] = []

    def read(self) -> str:
        """Return the address, behind its text in markdown's way if that differs."""
        if not self.href or self.text in {"", self.href}:
            link = self.href or self.text
        else:
            link = f"[{self.text}]({self.href})"
        return _strike(link) if STRUCK_OUT in self.style else link


class Emoji(Segment, tag="emoji"):
    """One of Feishu's emoji, by its name (SMILE)."""

    name: str

    def read(self) -> str:
        """Return `:NAME:`."""
        return f":{self.name}:" if self.name else "[emoji]"


class Code(Segment, tag="code"):
    """A block of code."""

    text: str
    language: str = ""

    def read(self) -> str:
        """Return the block between fences that do not occur in it."""
        longest = max(map(len, _BACKTICKS.findall(self.text)), default=0)
        fence = "`" * max(len(_FENCE), longest + 1)
        return f"{fence}{self.language.lower()}\n{self.text.rstrip()}\n{fence}"


class Divider(Segment, tag="divider"):
    """A line across."""

    def read(self) -> str:
        """Return a line."""
        return "---"


class Image(Segment, tag="image"):
    """A picture; `key` fetches it."""

    key: str = ""
    alt: str = ""

    def read(self) -> str:
        """Return `[image]`, with its description if it has one."""
        return f"[image: {self.alt}]" if self.alt else "[image]"


class File(Segment, tag="file"):
    """A file; `key` fetches it."""

    key: str = ""
    name: str = ""

    def read(self) -> str:
        """Return `[file: NAME]`."""
        return label("file", self.name)


class Folder(Segment, tag="folder"):
    """A folder; it cannot be fetched by its key."""

    key: str = ""
    name: str = ""

    def read(self) -> str:
        """Return `[folder: NAME]`."""
        return label("folder", self.name)


class Audio(Segment, tag="audio"):
    """A voice message."""

    key: str = ""
    duration_ms: int | None = None

    def read(self) -> str:
        """Return `[audio: 3.5 s]`."""
        return label("audio", _seconds(self.duration_ms))


class Video(Segment, tag="video"):
    """A video; `cover_key` fetches its still."""

    key: str = ""
    name: str = ""
    cover_key: str = ""
    duration_ms: int | None = None

    def read(self) -> str:
        """Return `[video: NAME, 5 s]`."""
        return label("video", self.name, _seconds(self.duration_ms))


class Sticker(Segment, tag="sticker"):
    """A sticker; Feishu does not let apps fetch it."""

    key: str = ""


class Card(Segment, tag="card"):
    """A card, as far as Feishu shows it to other apps; `text` is all its words.

    `image_keys` has its images in the order in which `text` shows them.
    """

    title: str = ""
    text: str = ""
    image_keys: list[str] = []

    def read(self) -> str:
        """Return title and words, or `[card]` for one without."""
        return "\n".join(filter(None, (self.title, self.text))) or "[card]"


class RedPacket(Segment, tag="red_packet"):
    """A red packet (hongbao)."""

    text: str = ""

    def read(self) -> str:
        """Return `[red packet: TEXT]`."""
        return label("red packet", self.text.replace(_JUST_A_RED_PACKET, ""))


class CalendarEvent(Segment, tag="calendar_event"):
    """An event of a calendar that was shared or invited to. Times in Unix ms."""

    summary: str = ""
    start_ms: int | None = None
    end_ms: int | None = None
    calendar_id: str = ""
    event_id: str = ""
    organizer: str = ""

    def read(self) -> str:
        """Return `[calendar event: SUMMARY, START to END, by ORGANIZER]`."""
        span = " to ".join(filter(None, (_minute(self.start_ms), _minute(self.end_ms))))
        organizer = f"by {self.organizer}" if self.organizer else ""
        return label("calendar event", self.summary, span, organizer)


class Meeting(Segment, tag="meeting"):
    """A video meeting."""

    topic: str = ""
    start_ms: int | None = None

    def read(self) -> str:
        """Return `[video meeting: TOPIC, START]`."""
        return label("video meeting", self.topic, _minute(self.start_ms))


class Task(Segment, tag="task"):
    """A task (todo)."""

    id: str = ""
    title: str = ""
    text: str = ""
    due_ms: int | None = None

    def read(self) -> str:
        """Return `[task: TITLE, due DUE]`, and the task's words below.

        Most tasks have no title; their first line stands for it.
        """
        due = _minute(self.due_ms)
        first, _, rest = self.text.partition("\n")
        title, text = (self.title, self.text) if self.title else (first, rest)
        head = label("task", title, f"due {due}" if due else "")
        return f"{head}\n{text}" if text else head


class Vote(Segment, tag="vote"):
    """A vote."""

    topic: str = ""
    options: list[str] = []
    is_closed: bool = False

    def read(self) -> str:
        """Return the topic, and the options as a list."""
        head = label("vote", self.topic, "closed" if self.is_closed else "")
        return "\n".join([head, *(f"- {option}" for option in self.options)])


class SharedChat(Segment, tag="shared_chat"):
    """The card of a chat."""

    chat_id: str = ""

    def read(self) -> str:
        """Return `[shared chat: ID]`."""
        return label("shared chat", self.chat_id)


class SharedUser(Segment, tag="shared_user"):
    """The card of a person."""

    user_id: str = ""

    def read(self) -> str:
        """Return `[shared contact: ID]`."""
        return label("shared contact", self.user_id)


class Location(Segment, tag="location"):
    """A place; the coordinates are as Feishu wrote them."""

    name: str = ""
    latitude: str = ""
    longitude: str = ""

    def read(self) -> str:
        """Return `[location: NAME, LATITUDE, LONGITUDE]`."""
        return label("location", self.name, self.latitude, self.longitude)


class System(Segment, tag="system"):
    """A notice of Feishu's own, its names filled in."""

    text: str = ""

    def read(self) -> str:
        """Return the notice."""
        return self.text or "[system message]"


class Forwarded(Segment, tag="forwarded"):
    """Messages forwarded together; `GET im/v1/messages/{id}` has them."""

    message_ids: list[str] = []

    def read(self) -> str:
        """Return `[forwarded messages]`, how many if that is known."""
        return label("forwarded messages", str(len(self.message_ids) or ""))


class Unknown(Segment, tag="unknown"):
    """A type of message this version does not know, or content that is not as usual."""

    type: str = ""
    text: str = ""

    def read(self) -> str:
        """Return whatever words there are, else `[TYPE]`."""
        return self.text or f"[{self.type or 'unknown'}]"


AnySegment = (
    Text
    | Markdown
    | Mention
    | Link
    | Emoji
    | Code
    | Divider
    | Image
    | File
    | Folder
    | Audio
    | Video
    | Sticker
    | Card
    | RedPacket
    | CalendarEvent
    | Meeting
    | Task
    | Vote
    | SharedChat
    | SharedUser
    | Location
    | System
    | Forwarded
    | Unknown
)


def label(word: str, *facts: str) -> str:
    """Return `[word: fact, fact]`, leaving out facts that are not known."""
    known = ", ".join(filter(None, facts))
    return f"[{word}: {known}]" if known else f"[{word}]"


def clip(name: str, limit: int = MAX_NAME_CHARS) -> str:
    """Return a name, cut with an ellipsis where it is too long."""
    return name if len(name) <= limit else name[: limit - 1] + "…"


def _strike(text: str) -> str:
    return f"~~{text}~~" if text and not text.isspace() else text


def _seconds(duration_ms: int | None) -> str:
    return "" if duration_ms is None else f"{duration_ms / 1000:.1f}".removesuffix(".0") + " s"


def _minute(unix_ms: int | None) -> str:
    return "" if unix_ms is None else minute_utc(unix_ms)
