import copy
import json
from tracemalloc import get_traced_memory, start, stop

import msgspec
import pytest
from events.corpus import (
    READINGS,
    TEXT,
    TOM,
    damaged,
    event,
    message,
    mutants,
    payloads,
    thorough,
    values,
)
from hypothesis import given
from hypothesis import strategies as st

from feishu_ws.events.mentions import Mentions
from feishu_ws.events.message import (
    DEFECTS,
    MAX_MENTIONS,
    MAX_STRUCTURED_CHARS,
    READERS,
    read_content,
    read_message,
)
from feishu_ws.events.received import Mentioned, Message, Resource, Sender
from feishu_ws.events.segments import Mention, Text, Unknown
from feishu_ws.simulator.variants import VARIANTS

TYPES = (
    *("text", "post", "image", "file", "folder", "audio", "media", "sticker", "interactive"),
    *("hongbao", "share_calendar_event", "calendar", "general_calendar", "share_chat"),
    *("share_user", "system", "location", "video_chat", "todo", "vote", "merge_forward"),
)
"""The types that Feishu documents or its SDKs know."""


def read(payload: bytes) -> Message:
    found = read_message(payload)
    assert found is not None
    return found


@pytest.mark.parametrize(("payload", "text"), READINGS.values(), ids=READINGS)
def test_every_type_reads_as_text(payload, text):
    """Each type of message has a text that a person can read."""
    assert read(payload).text == text


def test_every_type_is_tried():
    """No type is missing from the readers, nor from the corpus."""
    assert set(READERS) == {*TYPES, "video"}
    assert set(TYPES) <= {read(payload).type for payload, _ in READINGS.values()}


def test_a_message_in_full():
    """A received message says who wrote what, where, and whom it mentions."""
    assert read(TEXT) == Message(
        id="om_1",
        chat_id="oc_1",
        chat_type="group",
        thread_id="omt_1",
        root_id="om_root",
        parent_id="om_parent",
        type="text",
        text="@AstrBot hello",
        sender=Sender("ou_sender", "on_sender", "f865491f", "user"),
        mentions=[Mentioned("@_user_1", "ou_bot", "AstrBot", is_bot=True)],
        segments=[Mention("@_user_1", "AstrBot", "ou_bot", is_bot=True), Text(" hello")],
        resources=[],
    )


def test_resources():
    """Everything with a key is listed once, in order, with what is known of it."""
    content = [
        [{"tag": "img", "image_key": "i1"}, {"tag": "media", "file_key": "v1", "image_key": "i2"}],
        [{"tag": "img", "image_key": "i1"}, {"tag": "img"}],
    ]
    assert read(message("post", {"content": content})).resources == [
        Resource("image", "i1"),
        Resource("video", "v1"),
    ]
    assert read(message("audio", {"file_key": "a", "duration": 7})).resources == [
        Resource("audio", "a", duration_ms=7)
    ]
    assert read(message("file", {"file_key": "f", "file_name": "n"})).resources == [
        Resource("file", "f", "n")
    ]
    assert read(message("sticker", {"file_key": "s"})).resources == [Resource("sticker", "s")]
    card = {"elements": [{"tag": "img", "img_key": key} for key in ("i1", "i2", "i1")]}
    assert read(message("interactive", card)).resources == [
        Resource("image", "i1"),
        Resource("image", "i2"),
    ]
    files = [{"file_key": "f", "file_name": "n"}, {"file_key": "d", "is_folder": True}]
    assert read(message("post", {"content": [[]], "files": files})).resources == [
        Resource("file", "f", "n")
    ]
    assert read(message("folder", {"file_key": "d"})).resources == []


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"root_id": None, "parent_id": 5, "thread_id": []}, ("", "", "")),
        ({"thread_id": "x" * 300}, ("om_root", "om_parent", "")),
    ],
)
def test_odd_ids_are_empty(fields, expected):
    """Ids of other types, or too long, are as if absent; the rest is read."""
    found = read(message("text", {"text": "a"}, **fields))
    assert (found.root_id, found.parent_id, found.thread_id) == expected
    assert found.text == "a"


@pytest.mark.parametrize(
    ("mentions", "expected"),
    [
        ([TOM], [Mentioned("@_user_2", "ou_tom", "Tom")]),
        ([{**TOM, "mentioned_type": "app"}], [Mentioned("@_user_2", "ou_tom", "Tom", is_bot=True)]),
        ([{**TOM, "id": None}, 7, {}], [Mentioned("@_user_2", "", "Tom"), Mentioned()]),
        ([{**TOM, "id": "ou_tom", "name": 1}], [Mentioned("@_user_2", "ou_tom")]),
        ([{**TOM, "id": ["ou_tom"]}], [Mentioned("@_user_2", "", "Tom")]),
        ([{**TOM, "name": "x" * 999}], [Mentioned("@_user_2", "ou_tom", "x" * 255 + "…")]),
        ({}, []),
        ("@_user_2", []),
    ],
)
def test_odd_mentions(mentions, expected):
    """What fits of a mention is read; what is none is left out."""
    assert read(message("text", {"text": "a"}, mentions)).mentions == expected


@pytest.mark.parametrize(
    ("content", "segments"),
    [
        ("not json", [Unknown("text", "not json")]),
        ("", [Unknown("text")]),
        ("{}", [Unknown("text")]),
        ('{"text":7}', [Unknown("text")]),
        ('{"text":"\\ud83d"}', [Text("\ufffd")]),
        ("[" * 5000, [Unknown("text", "[" * 5000)]),
    ],
)
def test_strange_content_falls_back(content, segments):
    """A known type whose content is not as usual keeps whatever words there are."""
    assert read(message("text", content)).segments == segments


@pytest.mark.parametrize("content", [{"text": "a"}, '{"text":"a"}'])
def test_content_may_be_an_object(content):
    """Content that is JSON itself instead of JSON in a string is read all the same."""
    body = {"message": {"message_type": "text", "content": content}}
    assert read(event("im.message.receive_v1", body)).text == "a"


@pytest.mark.parametrize("content", [5, None, [], True])
def test_content_of_another_type(content):
    """Content that is neither a string nor an object is not known."""
    body = {"message": {"message_type": "image", "content": content}}
    (segment,) = read(event("im.message.receive_v1", body)).segments
    assert isinstance(segment, Unknown)


def test_no_sender():
    """A message without a sender has an empty one."""
    found = read(event("im.message.receive_v1", {"message": {}}))
    assert found.sender == Sender()
    assert (found.type, found.text) == ("", "[unknown]")


@pytest.mark.parametrize(
    "payload",
    [b"", b"{}", b"[]", b"\xff", b'{"event":[]}', b'{"event":{"message":"om_1"}}', b"[" * 5000],
)
def test_without_a_message_there_is_none(payload):
    """A payload that holds no message gives None."""
    assert read_message(payload) is None


def test_a_message_survives_the_wire():
    """A client gets back the message that was written."""
    for payload, _ in READINGS.values():
        found = read(payload)
        assert msgspec.json.decode(msgspec.json.encode(found), type=Message) == found


def test_long_text_is_read_and_longer_structures_are_not():
    """Plain text has no limit of its own; posts and cards beyond any of Feishu's have one."""
    assert read(message("text", {"text": "x" * 3_000_000})).text == "x" * 3_000_000
    long = {"title": "x" * MAX_STRUCTURED_CHARS}
    for kind in READERS.keys() - {"text"}:
        assert read(message(kind, long)).segments == [Unknown(kind)]


def test_mentions_are_bounded():
    """Only the first 1,024 mentions count."""
    found = read(message("text", {"text": "a"}, [TOM] * 5000))
    assert len(found.mentions) == MAX_MENTIONS


TAGS = "<at id=ou_tom></at>`x`<person id=ou_tom></person>"
HOSTILE = {
    "mentions": message("text", {"text": "@_user_2 " * 400_000}, [{**TOM, "name": "n" * 9000}]),
    "quotes": message("text", {"text": '"' * 1_000_000}),
    "elements": message("post", {"content": [[{"tag": "hr"}] * 18_000]}),
    "tags": message("post", {"content": [[{"tag": "md", "text": "<at id=ou_tom></at>" * 12_000}]]}),
    "depth": message("interactive", '{"elements":' + "[" * 900 + "]" * 900 + "}"),
    "lists": message("interactive", '{"elements":[' + "[]," * 80_000 + "[]]}"),
    "backticks": message("post", {"content": [[{"tag": "code_block", "text": "`" * 200_000}]]}),
    "marked_names": message(
        "interactive",
        {"elements": [{"tag": "markdown", "content": TAGS * 5000}]},
        [{**TOM, "name": "n" * 9000}],
    ),
    "tables": message(
        "interactive",
        {"elements": [{"tag": "table", "columns": [{}] * 20, "rows": [{}] * 20}] * 1000},
    ),
    "user_dsl": message("interactive", {"user_dsl": json.dumps({"user_dsl": "{" * 200_000})}),
    "two forms": message(
        "post",
        {
            "content": [[{"tag": "img", "image_key": f"img_{n}"} for n in range(3000)]],
            "content_v2": [[{"tag": "md", "text": "![](img_1)" * 8000}]],
        },
    ),
    "files": message("post", {"content": [[]], "files": [{}] * 80_000}),
    "ids": message("merge_forward", {"create_message_ids": ["om_1"] * 30_000}),
    "blanks": message("system", {"template": "{a}" * 80_000, "a": ["b" * 900] * 9}),
    "names": message("todo", json.dumps({str(number): 1 for number in range(20_000)})),
}


@pytest.mark.parametrize("payload", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_content_is_bounded(payload):
    """Content made to multiply stays within a small multiple of its size."""
    start()
    try:
        found = read(payload)
        _, most = get_traced_memory()
    finally:
        stop()
    assert len(found.segments) <= 4097
    assert len(found.text) < len(payload) + 2_000_000
    assert most < 64_000_000


@pytest.mark.parametrize("error", DEFECTS)
def test_a_reader_with_a_defect_costs_the_structure_only(monkeypatch, error):
    """A message whose reader raises is delivered as a type that is not known."""

    def fails(_content, _mentions):
        raise error

    monkeypatch.setitem(READERS, "text", fails)
    found = read(message("text", {"text": "words"}, [TOM]))
    assert (found.id, found.type, found.text) == ("om_1", "text", "words")
    assert found.segments == [Unknown("text", "words")]
    assert found.mentions == [Mentioned("@_user_2", "ou_tom", "Tom")]


def check(found: Message | None) -> None:
    if found is not None:
        assert msgspec.json.decode(msgspec.json.encode(found), type=Message) == found
        assert len(found.id) <= 256


@thorough
@given(st.one_of(st.binary(max_size=30), payloads(), mutants()))
def test_any_payload_gives_a_message_or_none(payload):
    """Any bytes give a message that can be written as UTF-8, or None."""
    check(read_message(payload))


def sound_contents():
    """Every content of the corpus that is an object, with its type."""
    for payload, _ in READINGS.values():
        received = json.loads(payload)["event"]["message"]
        if received["content"].startswith("{"):
            yield received["message_type"], json.loads(received["content"])
    for variant in VARIANTS.values():
        yield variant.kind, variant.content


def members(value):
    """Every member at any depth, as what holds it and its key."""
    keys = value.keys() if isinstance(value, dict) else range(len(value))
    for key in keys:
        yield value, key
        if isinstance(value[key], dict | list):
            yield from members(value[key])


@st.composite
def spoiled(draw: st.DrawFn, sound: dict) -> dict:
    """An object in which one to three members at any depth are something else."""
    found = copy.deepcopy(sound)
    for _ in range(draw(st.integers(1, 3))):
        holder, key = draw(st.sampled_from(list(members({"all": found}))))
        holder[key] = draw(values)
    return found


@st.composite
def odd_contents(draw: st.DrawFn) -> tuple[str, str]:
    """A known type, and content of that or of another type, damaged."""
    kind, sound = draw(st.sampled_from(list(sound_contents())))
    kind = draw(st.one_of(st.just(kind), st.just(kind), st.sampled_from(TYPES)))
    value = draw(st.one_of(spoiled(sound), damaged(sound), values))
    return kind, json.dumps(value, ensure_ascii=True)


@thorough
@given(odd_contents())
def test_any_content_of_any_type_gives_segments(case):
    """Damaged content of every type gives segments that can be read and written.

    The readers are asked directly: `read_message` would cover up for one that raises.
    """
    kind, content = case
    segments = read_content(kind, content, Mentions(()))
    assert msgspec.json.encode(segments)
    assert "".join(segment.read() for segment in segments).encode() is not None
