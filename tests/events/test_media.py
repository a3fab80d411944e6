import json

import pytest

from feishu_ws.events.media import READERS, parse_duration_ms
from feishu_ws.events.mentions import Mentions
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
)

nobody = Mentions(())

CASES = [
    ("image", {"image_key": "img_v3_1"}, Image("img_v3_1")),
    ("file", {"file_key": "file_v3_1", "file_name": "demo.pdf"}, File("file_v3_1", "demo.pdf")),
    ("folder", {"file_key": "fld_1", "file_name": "Docs"}, Folder("fld_1", "Docs")),
    ("folder", {"file_key": "fld_1", "name": "Docs", "file_size": 3}, Folder("fld_1", "Docs")),
    ("audio", {"file_key": "file_v3_2", "duration": 3500}, Audio("file_v3_2", 3500)),
    ("audio", {"file_key": "file_v3_2", "duration": "3500"}, Audio("file_v3_2", 3500)),
    (
        "media",
        {"file_key": "f", "image_key": "i", "file_name": "clip.mp4", "duration": 5000},
        Video("f", "clip.mp4", "i", 5000),
    ),
    ("video", {"file_key": "f"}, Video("f")),
    ("sticker", {"file_key": "file_v3_4"}, Sticker("file_v3_4")),
    ("hongbao", {"text": "恭喜发财"}, RedPacket("恭喜发财")),
    ("hongbao", {"title": "恭喜发财"}, RedPacket("恭喜发财")),
    (
        "location",
        {"name": "Shanghai", "longitude": "121.47", "latitude": "31.23"},
        Location("Shanghai", "31.23", "121.47"),
    ),
    ("location", {"longitude": 121.47, "latitude": 31}, Location("", "31", "121.47")),
    ("share_chat", {"chat_id": "oc_1"}, SharedChat("oc_1")),
    ("share_user", {"user_id": "ou_1"}, SharedUser("ou_1")),
]


@pytest.mark.parametrize(("kind", "content", "segment"), CASES)
def test_content_of_every_type(kind, content, segment):
    """Each type of content becomes its segment."""
    assert READERS[kind](json.dumps(content), nobody) == [segment]


@pytest.mark.parametrize("kind", READERS)
def test_odd_content(kind):
    """Content of other types gives the bare segment; what is no object is left to the fallback."""
    bare = READERS[kind]("{}", nobody)
    junk = {key: [1] for key in ("image_key", "file_key", "name", "text", "chat_id", "duration")}
    assert READERS[kind](json.dumps(junk), nobody) == bare
    for content in ("", "[]", "null", "words", "[" * 9000):
        assert READERS[kind](content, nobody) is None


def test_every_type_is_tried():
    """No reader is missing from the table above."""
    assert {kind for kind, _, _ in CASES} == set(READERS)


def test_long_names_are_cut():
    """A file's name is bounded."""
    content = json.dumps({"file_key": "f", "file_name": "x" * 9000})
    (segment,) = READERS["file"](content, nobody) or ()
    assert isinstance(segment, File)
    assert len(segment.name) == 256


@pytest.mark.parametrize(
    ("duration", "expected"),
    [
        *((0, 0), (3500, 3500), (3500.9, 3500), ("3500", 3500), (864_000_000, 864_000_000)),
        *((None, None), (-1, None), (864_000_001, None), (1e300, None), (float("nan"), None)),
        *(("", None), ("3.5", None), ("-1", None), ("9" * 5000, None), ("\u0663", None)),
    ],
)
def test_durations(duration, expected):
    """A duration is in milliseconds, as a number or as digits; absurd ones are not known."""
    assert parse_duration_ms(duration) == expected
