import msgspec
import pytest
from events.corpus import unhurried
from hypothesis import given
from hypothesis import strategies as st

from feishu_ws.events.segments import (
    AnySegment,
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
    clip,
)

START, END = 1_710_500_000_000, 1_710_503_600_000

READINGS = [
    (Text("a", ["bold"]), "a"),
    (Text("a", ["bold", "lineThrough"]), "~~a~~"),
    (Text(" ", ["lineThrough"]), " "),
    (Markdown("**a**"), "**a**"),
    (Mention("@_user_1", "Tom"), "@Tom"),
    (Mention("@_user_1", ""), "@_user_1"),
    (Mention("ou_1", ""), "@ou_1"),
    (Link("https://x", "here"), "[here](https://x)"),
    (Link("https://x", "https://x"), "https://x"),
    (Link("https://x"), "https://x"),
    (Link("", "here"), "here"),
    (Link("https://x", "here", ["lineThrough"]), "~~[here](https://x)~~"),
    (Link("https://x", style=["bold"]), "https://x"),
    (Emoji("SMILE"), ":SMILE:"),
    (Emoji(""), "[emoji]"),
    (Code("a = 1\n", "PYTHON"), "```python\na = 1\n```"),
    (Code("```\nx\n````"), "`````\n```\nx\n````\n`````"),
    (Divider(), "---"),
    (Image("img_1"), "[image]"),
    (Image("img_1", "a cat"), "[image: a cat]"),
    (File("f", "demo.pdf"), "[file: demo.pdf]"),
    (File(), "[file]"),
    (Folder("f", "Docs"), "[folder: Docs]"),
    (Audio("f", 3500), "[audio: 3.5 s]"),
    (Audio("f"), "[audio]"),
    (Video("f", "clip.mp4", "img", 5000), "[video: clip.mp4, 5 s]"),
    (Video("f", "", "img", 0), "[video: 0 s]"),
    (Sticker("f"), "[sticker]"),
    (Card("T", "a\nb"), "T\na\nb"),
    (Card("", "[image]", ["img_1"]), "[image]"),
    (Card(), "[card]"),
    (RedPacket("恭喜"), "[red packet: 恭喜]"),
    (RedPacket("[红包]"), "[red packet]"),
    (
        CalendarEvent("Review", START, END),
        "[calendar event: Review, 2024-03-15 10:53 UTC to 2024-03-15 11:53 UTC]",
    ),
    (CalendarEvent("Review", START), "[calendar event: Review, 2024-03-15 10:53 UTC]"),
    (CalendarEvent(), "[calendar event]"),
    (CalendarEvent("Review", organizer="Ann"), "[calendar event: Review, by Ann]"),
    (Meeting("Weekly", START), "[video meeting: Weekly, 2024-03-15 10:53 UTC]"),
    (Task("1", "Report", "do it", START), "[task: Report, due 2024-03-15 10:53 UTC]\ndo it"),
    (Task("1", "Report"), "[task: Report]"),
    (Task("1", "", "do it\nsoon", START), "[task: do it, due 2024-03-15 10:53 UTC]\nsoon"),
    (Task(), "[task]"),
    (Vote("Lunch", ["A", "B"]), "[vote: Lunch]\n- A\n- B"),
    (Vote("Lunch", ["A"], is_closed=True), "[vote: Lunch, closed]\n- A"),
    (SharedChat("oc_1"), "[shared chat: oc_1]"),
    (SharedUser("ou_1"), "[shared contact: ou_1]"),
    (Location("Shanghai", "31.23", "121.47"), "[location: Shanghai, 31.23, 121.47]"),
    (System("A joined"), "A joined"),
    (System(), "[system message]"),
    (Forwarded(), "[forwarded messages]"),
    (Forwarded(["om_1", "om_2"]), "[forwarded messages: 2]"),
    (Unknown("new_type"), "[new_type]"),
    (Unknown("new_type", "words"), "words"),
    (Unknown(), "[unknown]"),
]


@pytest.mark.parametrize(("segment", "text"), READINGS)
def test_every_segment_reads_as_text(segment, text):
    """A person or a language model can read every kind of segment."""
    assert segment.read() == text


@pytest.mark.parametrize("segment", [segment for segment, _ in READINGS])
def test_segments_survive_the_wire(segment):
    """A client gets back the segment that was written, by its kind."""
    encoded = msgspec.json.encode(segment)
    assert msgspec.json.decode(encoded, type=AnySegment) == segment
    assert msgspec.json.decode(encoded)["kind"] == segment.__struct_config__.tag


def test_every_kind_of_segment_is_read_here():
    """No kind is missing from the table above."""
    assert {type(segment) for segment, _ in READINGS} == set(AnySegment.__args__)


@unhurried
@given(st.text(alphabet="`a\n", max_size=30))
def test_a_fence_does_not_occur_in_its_code(code):
    """Whatever the code holds, its fences are the longest runs of backticks."""
    lines = Code(code).read().split("\n")
    assert lines[0] == lines[-1]
    assert lines[0] not in code
    assert set(lines[0]) == {"`"}


def test_names_are_clipped():
    """A name is at most 256 characters long, the last an ellipsis where it was cut."""
    assert clip("x" * 256) == "x" * 256
    assert clip("x" * 257) == "x" * 255 + "…"
