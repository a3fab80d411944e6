"""Calendar events, meetings, tasks and votes. Pure.

Times come in seconds or milliseconds. Sources: Feishu docs "接收消息内容"; lark-oapi 1.7.5
channel/normalize/registry.py; lark-cli internal/imcontent/misc.go (`status` of a vote).
"""

from typing import Final

import msgspec

from feishu_ws.events.content import ContentReader, one_segment
from feishu_ws.events.mentions import Mentions
from feishu_ws.events.post import Body, plain
from feishu_ws.events.segments import AnySegment, CalendarEvent, Meeting, Task, Vote, clip
from feishu_ws.events.times import Time, parse_ms
from feishu_ws.events.tolerant import TolerantDecoder

_MAX_OPTIONS: Final = 1024


class _Calendar(msgspec.Struct, gc=False):
    summary: str = ""
    title: str = ""
    start_time: Time = ""
    end_time: Time = ""
    open_calendar_id: str = ""
    open_event_id: str = ""
    organizer_display_name: str = ""
    organizer: str = ""


class _Meeting(msgspec.Struct, gc=False):
    topic: str = ""
    start_time: Time = ""


class _Vote(msgspec.Struct, gc=False):
    topic: str = ""
    options: list[str] = []
    status: int = 0  # 0: open


class _Task(msgspec.Struct):
    task_id: str = ""
    summary: Body | str = ""
    due_time: Time = ""


_task: Final = TolerantDecoder(_Task)


def _calendar_event(found: _Calendar) -> CalendarEvent:
    span = parse_ms(found.start_time), parse_ms(found.end_time)
    summary = found.summary or found.title
    organizer = clip(found.organizer_display_name or found.organizer)
    return CalendarEvent(summary, *span, found.open_calendar_id, found.open_event_id, organizer)


def _vote(found: _Vote) -> Vote:
    options = [clip(option) for option in found.options[:_MAX_OPTIONS]]
    return Vote(found.topic, options, found.status != 0)


def read_task(content: str, mentions: Mentions) -> list[AnySegment] | None:
    """Read a message of type `todo`; its summary is a post's body, or text."""
    found = _task.read(content)
    if found is None:
        return None
    due_ms = parse_ms(found.due_time)
    if isinstance(found.summary, str):
        return [Task(found.task_id, found.summary, "", due_ms)]
    text = plain(found.summary, mentions)
    return [Task(found.task_id, found.summary.title, text, due_ms)]


READERS: Final[dict[str, ContentReader]] = {
    "share_calendar_event": one_segment(_Calendar, _calendar_event),
    "calendar": one_segment(_Calendar, _calendar_event),
    "general_calendar": one_segment(_Calendar, _calendar_event),
    "video_chat": one_segment(
        _Meeting, lambda found: Meeting(found.topic, parse_ms(found.start_time))
    ),
    "todo": read_task,
    "vote": one_segment(_Vote, _vote),
}
