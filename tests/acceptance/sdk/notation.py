"""Our messages in the notation of lark-oapi's `channel.normalize`.

It writes `<file key="…" name="…"/>` where we write `[file: …]`. To see whether both read
the same, what we read is written as it would be by the SDK: only values that differ make
a difference then. Nothing here looks at a message's payload.
"""

import datetime as dt

from feishu_ws.events.mentions import EVERYBODY
from feishu_ws.events.post import TITLE_STYLE
from feishu_ws.events.segments import (
    Audio,
    CalendarEvent,
    Card,
    Code,
    Divider,
    Emoji,
    File,
    Folder,
    Forwarded,
    Image,
    Link,
    Location,
    Markdown,
    Meeting,
    Mention,
    RedPacket,
    SharedChat,
    SharedUser,
    Sticker,
    System,
    Task,
    Text,
    Unknown,
    Video,
    Vote,
)

BEIJING = dt.timezone(dt.timedelta(hours=8))
STYLES = {"bold": "**", "italic": "*", "code": "`", "lineThrough": "~~"}
CALENDAR_TAGS = {
    "share_calendar_event": "calendar_share",
    "calendar": "calendar_invite",
    "general_calendar": "calendar",
}


def reading(message):
    """Return what we read, in the form in which `parsers.py` tells what the SDK reads."""
    named = [one for one in message.mentions if one.key != EVERYBODY]
    is_post = message.type == "post"
    title = next((s.text for s in message.segments if is_post and is_title(s)), "")
    return {
        "raised": "",
        "mentions": [[one.key, one.open_id, one.name] for one in named],
        "mentions everybody": EVERYBODY in {one.key for one in message.mentions}
        or any(isinstance(s, Mention) and s.key == EVERYBODY for s in message.segments),
        "text": text(message),
        "keys": [key(one, message.segments) for one in message.resources],
        "post title": title,
        "post has text": is_post and any(not is_title(s) for s in message.segments),
    }


def is_title(segment):
    return isinstance(segment, Text) and TITLE_STYLE in segment.style


def key(resource, segments):
    """Return kind, key, name, duration and a video's still."""
    covers = [s.cover_key for s in segments if isinstance(s, Video) and s.key == resource.key]
    cover = next(filter(None, covers), None)
    return [resource.kind, resource.key, resource.name or None, resource.duration_ms, cover]


def text(message):
    """Return the whole text."""
    if message.type == "post":
        return post(message.segments)
    return "".join(write(one, message.type) for one in message.segments)


def post(segments):
    """Return the paragraphs that are not empty, a blank line between each and the next."""
    paragraphs = [""]
    for one in segments:
        if one == Text("\n"):
            paragraphs.append("")
        elif is_title(one):
            paragraphs[-1] += f"# {one.text}"
        else:
            paragraphs[-1] += write(one, "post")
    return "\n\n".join(filter(None, paragraphs)).strip()


def write(segment, kind):
    """Return a segment in the SDK's notation."""
    return WRITERS[type(segment)](segment, kind)


def attribute(value):
    return value.replace('"', "'").replace("\n", " ")


def styled(one, _):
    written = one.text
    for style, sign in STYLES.items():
        if style in one.style:
            written = f"{sign}{written}{sign}"
    return written


def mention(one, _):
    return "@all" if one.key == EVERYBODY else one.read()


def code(one, _):
    return f"```{one.language.lower()}\n{one.text}\n```"


def keyed(tag, bare, *attributes):
    """Return a writer of `<tag key=… …/>`, `[bare]` for a segment without a key."""

    def written(one, _):
        if not one.key:
            return f"[{bare}]"
        named = "".join(f' {name}="{attribute(of(one))}"' for name, of in attributes)
        return f'<{tag} key="{one.key}"{named}/>'

    return written


def duration(one):
    if not one.duration_ms:
        return "0s"
    return f"{one.duration_ms / 1000:.1f}".removesuffix(".0") + "s"


def video(one, kind):
    if kind == "post":
        return f"[media:{one.key}]"
    return VIDEO(one, kind)


def moment(unix_ms):
    if unix_ms is None:
        return ""
    return dt.datetime.fromtimestamp(unix_ms / 1000, tz=BEIJING).strftime("%Y-%m-%d %H:%M:%S")


def block(tag, lines, bare):
    inner = "\n".join(filter(None, lines)) or f"[{bare}]"
    return f"<{tag}>\n{inner}\n</{tag}>"


def calendar_event(one, kind):
    span = " ~ ".join(filter(None, (moment(one.start_ms), moment(one.end_ms))))
    lines = (f"📅 {one.summary}" if one.summary else "", f"🕙 {span}" if span else "")
    return block(CALENDAR_TAGS[kind], lines, "calendar event")


def meeting(one, _):
    start = moment(one.start_ms)
    lines = (f"📹 {one.topic}" if one.topic else "", f"🕙 {start}" if start else "")
    return block("meeting", lines, "video chat")


def task(one, _):
    due = moment(one.due_ms)
    return block("todo", (one.title, one.text, f"Due: {due}" if due else ""), "todo")


def vote(one, _):
    return block("vote", (one.topic, *(f"• {option}" for option in one.options)), "vote")


def degrees(written):
    """Return a coordinate as the SDK's number would be printed."""
    try:
        return str(float(written))
    except ValueError:
        return written


def location(one, _):
    lng, lat = degrees(one.longitude), degrees(one.latitude)
    return f'<location name="{attribute(one.name)}" lng="{lng}" lat="{lat}"/>'


def folder(one, kind):
    return (FOLDER if one.name else BARE_FOLDER)(one, kind)


VIDEO = keyed("video", "video", ("name", lambda one: one.name), ("duration", duration))
FOLDER = keyed("folder", "folder", ("name", lambda one: one.name))
BARE_FOLDER = keyed("folder", "folder")

WRITERS = {
    Audio: keyed("audio", "audio", ("duration", duration)),
    CalendarEvent: calendar_event,
    Card: lambda one, _: "\n".join(filter(None, (one.title, one.text))) or "[interactive]",
    Code: code,
    Divider: lambda *_: "---",
    Emoji: lambda one, _: f":{one.name}:",
    File: keyed("file", "file", ("name", lambda one: one.name)),
    Folder: folder,
    Forwarded: lambda *_: "<forwarded_messages/>",
    Image: lambda one, _: f"![image]({one.key})" if one.key else "[image]",
    Link: lambda one, _: f"[{one.text}]({one.href})",
    Location: location,
    Markdown: lambda one, _: one.text,
    Meeting: meeting,
    Mention: mention,
    RedPacket: lambda one, _: f'<hongbao text="{attribute(one.text)}"/>',
    SharedChat: lambda one, _: f'<group_card id="{attribute(one.chat_id)}"/>',
    SharedUser: lambda one, _: f'<contact_card id="{attribute(one.user_id)}"/>',
    Sticker: keyed("sticker", "sticker"),
    System: lambda one, _: one.text or "[system message]",
    Task: task,
    Text: styled,
    Unknown: lambda one, _: one.text or "[unsupported message]",
    Video: video,
    Vote: vote,
}
