import json

import pytest

from feishu_ws.events.mentions import Mentions
from feishu_ws.events.planning import READERS
from feishu_ws.events.segments import CalendarEvent, Meeting, Task, Vote

nobody = Mentions(())
START, END = 1_710_500_000_000, 1_710_503_600_000

CASES = [
    (
        "share_calendar_event",
        {
            "summary": "Review",
            "start_time": "1710500000",
            "end_time": "1710503600",
            "open_calendar_id": "cal_1",
            "open_event_id": "evt_1",
        },
        CalendarEvent("Review", START, END, "cal_1", "evt_1"),
    ),
    (
        "calendar",
        {"summary": "Invite", "start_time": "1710500000000", "end_time": 1710503600000},
        CalendarEvent("Invite", START, END),
    ),
    ("general_calendar", {"title": "All Hands"}, CalendarEvent("All Hands")),
    ("video_chat", {"topic": "Weekly", "start_time": "1710500000000"}, Meeting("Weekly", START)),
    (
        "todo",
        {
            "task_id": "task_1",
            "summary": {
                "title": "Finish report",
                "content": [[{"tag": "text", "text": "prepare slides"}], [{"tag": "hr"}]],
            },
            "due_time": "1710500000",
        },
        Task("task_1", "Finish report", "prepare slides\n---", START),
    ),
    ("todo", {"summary": "just words", "due_time": "never"}, Task("", "just words")),
    ("todo", {"summary": 7}, Task()),
    (
        "share_calendar_event",
        {"summary": "Review", "organizer_display_name": "Ann", "organizer": "x"},
        CalendarEvent("Review", organizer="Ann"),
    ),
    ("share_calendar_event", {"organizer": "Ann"}, CalendarEvent(organizer="Ann")),
    (
        "vote",
        {"topic": "Lunch", "options": ["A", "B"], "status": 1},
        Vote("Lunch", ["A", "B"], is_closed=True),
    ),
    ("vote", {"topic": "Lunch", "options": ["A"], "status": "1"}, Vote("Lunch", ["A"])),
    ("vote", {"topic": "Lunch", "options": ["A", {"text": "B"}]}, Vote("Lunch", ["A"])),
]


@pytest.mark.parametrize(("kind", "content", "segment"), CASES)
def test_content_of_every_type(kind, content, segment):
    """Each type of content becomes its segment, times in milliseconds."""
    assert READERS[kind](json.dumps(content), nobody) == [segment]


def test_every_type_is_tried():
    """No reader is missing from the table above."""
    assert {kind for kind, _, _ in CASES} == set(READERS)


@pytest.mark.parametrize("kind", READERS)
def test_what_is_no_object_is_left_to_the_fallback(kind):
    """Content that is no JSON object is none of these."""
    for content in ("", "[]", "null", "words", "[" * 9000):
        assert READERS[kind](content, nobody) is None


def test_votes_are_bounded():
    """A vote has at most 1,024 options of 256 characters."""
    content = json.dumps({"options": ["x" * 300] * 2000})
    (segment,) = READERS["vote"](content, nobody) or ()
    assert isinstance(segment, Vote)
    assert (len(segment.options), len(segment.options[0])) == (1024, 256)
