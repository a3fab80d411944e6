import json

import pytest
from events.corpus import unhurried
from hypothesis import given
from hypothesis import strategies as st

from feishu_ws.events.mentions import Mentions
from feishu_ws.events.post import Body, Element, plain, read_post, read_text
from feishu_ws.events.received import Mentioned
from feishu_ws.events.segments import (
    MAX_SEGMENTS,
    Audio,
    Code,
    Divider,
    Emoji,
    File,
    Folder,
    Image,
    Link,
    Markdown,
    Mention,
    Text,
    Unknown,
    Video,
)

known = Mentions([Mentioned("@_user_1", "ou_tom", "Tom")])

FLAT = {
    "title": "T",
    "content": [
        [
            {"tag": "text", "text": "hi ", "style": ["bold"]},
            {"tag": "a", "href": "https://x", "text": "here"},
            {"tag": "at", "user_id": "@_user_1", "user_name": "Tommy"},
        ],
        [
            {"tag": "img", "image_key": "img_v3_x"},
            {"tag": "media", "file_key": "file_v3_x", "image_key": "img_v3_y"},
            {"tag": "emotion", "emoji_type": "SMILE"},
        ],
        [{"tag": "hr"}],
        [{"tag": "code_block", "language": "GO", "text": "x := 1"}],
        [{"tag": "md", "text": "- one\n- <at id=ou_tom></at>"}],
    ],
}
SEGMENTS = [
    Text("T", ["title"]),
    Text("\n"),
    Text("hi ", ["bold"]),
    Link("https://x", "here"),
    Mention("@_user_1", "Tom", "ou_tom"),
    Text("\n"),
    Image("img_v3_x"),
    Video("file_v3_x", "", "img_v3_y"),
    Emoji("SMILE"),
    Text("\n"),
    Divider(),
    Text("\n"),
    Code("x := 1", "GO"),
    Text("\n"),
    Markdown("- one\n- "),
    Mention("@_user_1", "Tom", "ou_tom"),
]
READING = """T
hi [here](https://x)@Tom
[image][video]:SMILE:
---
```go
x := 1
```
- one
- @Tom"""


def read(content) -> list | None:
    return read_post(content if isinstance(content, str) else json.dumps(content), known)


def test_a_received_post():
    """A flat post gives its title and every element, paragraph by paragraph."""
    segments = read(FLAT)
    assert segments == SEGMENTS
    assert "".join(segment.read() for segment in segments) == READING


@pytest.mark.parametrize(
    "content",
    [
        {"zh_cn": FLAT},
        {"en_us": {"title": "E", "content": [[]]}, "zh_cn": FLAT},
        {"post": {"zh_cn": FLAT}},
        {"post": {"ja_jp": FLAT}},
        {"fr_fr": FLAT},
        {"x": 1, "ko_kr": FLAT},
    ],
)
def test_a_sent_post_is_unwrapped(content):
    """A post wrapped by locale is read in Chinese or English, else in the first locale."""
    assert read(content) == SEGMENTS


@pytest.mark.parametrize(
    ("content", "segments"),
    [
        ({"title": "T"}, [Text("T", ["title"])]),
        ({"title": "T", "content": None}, [Text("T", ["title"])]),
        ({"title": 5, "content": [[{"tag": "text", "text": "a"}]]}, [Text("a")]),
        (
            {"content": [[{"tag": "text", "text": "a"}, 7], "x", [{"tag": 1}]]},
            [Text("a"), Text("\n"), Unknown()],
        ),
        ({"content": [[{"tag": "text", "text": "a", "style": "bold"}]]}, [Text("a")]),
        ({"content": [[{"tag": "new", "text": "a"}, {"tag": "new"}]]}, [Text("a"), Unknown("new")]),
        ({"content": [[{"tag": "file", "file_key": "f", "file_name": "n"}]]}, [File("f", "n")]),
        ({"content": [[{"tag": "audio", "file_key": "f"}]]}, [Audio("f")]),
        ({"content": [[{"tag": "at", "user_id": "@_all"}]]}, [Mention("@_all", "all")]),
        ({"content": [[]]}, []),
        ({"title": "T", "content": [[]]}, [Text("T", ["title"])]),
        (
            {"content": [{"tag": "text", "text": "a"}, {"tag": "hr"}, [], {"tag": "img"}]},
            [Text("a"), Text("\n"), Divider(), Text("\n"), Text("\n"), Image()],
        ),
        (
            {"content": [[{"tag": "text", "text": "&lt;", "un_escape": True}]]},
            [Text("<")],
        ),
        ({"content": [[{"tag": "text", "text": "&lt;"}]]}, [Text("&lt;")]),
        (
            {"content": [[{"tag": "a", "href": "x", "text": "y", "style": ["lineThrough"]}]]},
            [Link("x", "y", ["lineThrough"])],
        ),
        (r'{"content":[[{"tag":"text","text":"\ud83d"}]]}', [Text("\ufffd")]),
        (r'{"zh_cn":{"content":[[{"tag":"text","text":"\ud83d"}]]}}', [Text("\ufffd")]),
    ],
)
def test_strange_posts(content, segments):
    """What fits of a strange post is read."""
    assert read(content) == segments


@pytest.mark.parametrize(
    "content",
    [
        *("", "x", "[]", "null", "{}", '{"a":{"b":{"c":{"content":[[{"tag":"hr"}]]}}}}'),
        *("[" * 9000, '{"zh_cn":{"title":"T"}}', '{"content":{}}', '{"post":3}'),
    ],
)
def test_what_is_no_post_is_none(content):
    """Content without title and paragraphs is left to the fallback."""
    assert read(content) is None


@pytest.mark.parametrize(
    ("row", "reading"),
    [
        (("text", "code_block", "text"), "a\n```\na\n```\na"),
        (("code_block", "code_block"), "```\na\n```\n```\na\n```"),
        (("hr", "text"), "---\na"),
        (("text", "img", "emotion", "hr"), "a[image][emoji]\n---"),
        (("text", "text"), "aa"),
    ],
)
def test_blocks_stand_on_lines_of_their_own(row, reading):
    """Code and dividers begin and end their lines, whatever else their paragraph holds."""
    content = {"content": [[{"tag": tag, "text": "a"} for tag in row]]}
    assert "".join(segment.read() for segment in read(content)) == reading


OLDER = [[{"tag": "text", "text": "1. a"}], [{"tag": "img", "image_key": "img_1"}]]
CAPTION = [[{"tag": "text", "text": "see"}]]


@pytest.mark.parametrize(
    ("newer", "segments"),
    [
        (
            [[{"tag": "md", "text": "1. **a**\n![](img_1)"}]],
            [Markdown("1. **a**\n"), Image("img_1")],
        ),
        (
            [[{"tag": "md", "text": "1. a"}, {"tag": "img", "image_key": "img_1"}]],
            [Markdown("1. a"), Image("img_1")],
        ),
        *(
            (newer, [Text("1. a"), Text("\n"), Image("img_1")])
            for newer in (
                [[{"tag": "md", "text": "1. a"}]],
                [[{"tag": "md", "text": "`![](img_1)`"}]],
                [[{"tag": "md", "text": ""}]],
                *([[]], [], "x", None, {}),
            )
        ),
    ],
)
def test_markdown_goes_first_where_nothing_is_missing_from_it(newer, segments):
    """The newer form is read if it holds all that hangs on the older one, else that is."""
    assert read({"title": "", "content": OLDER, "content_v2": newer}) == segments


def test_a_blank_newer_form_is_no_text():
    """A newer form that says nothing does not hide the older one."""
    content = {"content": CAPTION, "content_v2": [[{"tag": "md", "text": ""}], []]}
    assert read(content) == [Text("see")]


ATTACHED = [
    {"file_key": "f", "file_name": "a.txt", "is_folder": False},
    {"file_key": "d", "file_name": "dir", "is_folder": True},
    {"file_key": "x", "is_folder": "?"},
    7,
]
HANGING = [File("f", "a.txt"), Text("\n"), Folder("d", "dir"), Text("\n"), File("x")]


@pytest.mark.parametrize(
    ("content", "before"),
    [
        ({"content": CAPTION}, [Text("see"), Text("\n")]),
        ({"content": CAPTION, "content_v2": CAPTION}, [Text("see"), Text("\n")]),
        ({"title": "T", "content": [[]]}, [Text("T", ["title"]), Text("\n")]),
        ({"title": "", "content": [[]], "content_v2": [[]]}, []),
        ({}, []),
        ({"zh_cn": {"content": CAPTION}}, [Text("see"), Text("\n")]),
    ],
)
def test_files_hang_below(content, before):
    """Files and folders sent along with words, or alone, stand below them."""
    assert read({**content, "files": ATTACHED}) == [*before, *HANGING]


def test_files_of_the_locale_go_first():
    """Files inside the locale that is read are those of the post."""
    inner = {"content": CAPTION, "files": [{"file_key": "in"}]}
    assert read({"zh_cn": inner, "files": ATTACHED})[-1] == File("in")


def test_a_post_has_a_bounded_number_of_segments():
    """More elements than any person writes are cut."""
    segments = read({"content": [[{"tag": "hr"}]] * 20_000})
    assert len(segments) == MAX_SEGMENTS


def test_plain_leaves_out_the_title():
    """The words of a task's body are its paragraphs."""
    body = Body("T", [[Element("text", "a")], [Element("text", "b")]])
    assert plain(body, known) == "a\nb"


@pytest.mark.parametrize(
    ("content", "segments"),
    [
        ('{"text":"@_user_1 hi"}', [Mention("@_user_1", "Tom", "ou_tom"), Text(" hi")]),
        ('{"text":""}', []),
        (r'{"text":"a\ud800"}', [Text("a\ufffd")]),
        ('{"text":5}', None),
        ('{"text":null}', None),
        ("{}", None),
        ("hi", None),
    ],
)
def test_text(content, segments):
    """Plain text is split at mentions; content without it is left to the fallback."""
    assert read_text(content, known) == segments


@unhurried
@given(st.text(), st.text())
def test_any_strings_are_kept(title, text):
    """Whatever stands in title and text is in the reading, character for character."""
    segments = read({"title": title, "content": [[{"tag": "text", "text": text}]]})
    parts = [title, "\n", text] if title else [text]
    read_back = "".join(segment.read() for segment in segments)
    assert read_back == "".join(parts)
