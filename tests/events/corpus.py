"""Payloads as Feishu sends them, and payloads as it should not."""

import json
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st

unhurried = settings(deadline=None)
"""For properties: a busy machine makes no test fail."""

thorough = settings(deadline=None, max_examples=400)
"""For the properties everything else hangs on."""

HEADER = {
    "event_id": "f8e5e0712b93ff92d7350a4d825ed739",
    "token": "",
    "create_time": "1774004591415",
    "event_type": "im.message.receive_v1",
    "tenant_key": "114effbf324f175f",
    "app_id": "cli_a9394c7bc1f89cc1",
}
SENDER = {
    "sender_id": {"open_id": "ou_sender", "union_id": "on_sender", "user_id": "f865491f"},
    "sender_type": "user",
    "tenant_key": "114effbf324f175f",
}
BOT = {
    "key": "@_user_1",
    "id": {"open_id": "ou_bot", "union_id": "on_bot", "user_id": ""},
    "mentioned_type": "bot",
    "name": "AstrBot",
    "tenant_key": "114effbf324f175f",
}
TOM = {
    "key": "@_user_2",
    "id": {"open_id": "ou_tom", "union_id": "on_tom", "user_id": None},
    "mentioned_type": "user",
    "name": "Tom",
}


def encode(value: Any, **how: Any) -> bytes:
    return json.dumps(value, **{"ensure_ascii": False, "separators": (",", ":"), **how}).encode()


def event(event_type: str, body: Any, **header: Any) -> bytes:
    """A payload of schema 2.0."""
    head = {**HEADER, "event_type": event_type, **header}
    return encode({"schema": "2.0", "header": head, "event": body})


def message(kind: str, content: Any, mentions: Any = None, **fields: Any) -> bytes:
    """A received message; content that is no string is encoded into one."""
    text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
    received = {
        "message_id": "om_1",
        "root_id": "om_root",
        "parent_id": "om_parent",
        "thread_id": "omt_1",
        "create_time": "1774004591214",
        "chat_id": "oc_1",
        "chat_type": "group",
        "message_type": kind,
        "content": text,
        **({"mentions": mentions} if mentions is not None else {}),
        "user_agent": "Mozilla/5.0 Lark/7.64.6",
        **fields,
    }
    return event("im.message.receive_v1", {"sender": SENDER, "message": received})


TEXT = message("text", {"text": "@_user_1 hello"}, [BOT])

V1 = encode(
    {
        "ts": "1502199207.7171419",
        "uuid": "bc447199585340d1f3728d26b1c0297a",
        "token": "t",
        "type": "event_callback",
        "event": {"type": "message", "app_id": "cli_x", "tenant_key": "t1", "open_chat_id": "oc_9"},
    }
)

CARD_ACTION = encode(
    {
        "schema": "2.0",
        "header": {
            "event_id": "73e4",
            "create_time": "1747740328528651",
            "event_type": "card.action.trigger",
            "tenant_key": "t",
            "app_id": "cli_x",
        },
        "event": {
            "operator": {"tenant_key": "t", "open_id": "ou_1", "union_id": "on_1"},
            "token": "c-1",
            "action": {"tag": "button", "value": {"k": "v"}},
            "host": "im_message",
            "context": {"open_message_id": "om_1", "open_chat_id": "oc_1"},
        },
    }
)

READINGS = {
    "text": (message("text", {"text": "@_user_1 hello @_all"}, [BOT]), "@AstrBot hello @all"),
    "post": (
        message("post", {"title": "T", "content": [[{"tag": "text", "text": "a"}]]}),
        "T\na",
    ),
    "image": (message("image", {"image_key": "img_v3_1"}), "[image]"),
    "file": (message("file", {"file_key": "f", "file_name": "demo.pdf"}), "[file: demo.pdf]"),
    "folder": (message("folder", {"file_key": "fld_1", "file_name": "Docs"}), "[folder: Docs]"),
    "audio": (message("audio", {"file_key": "f", "duration": 3500}), "[audio: 3.5 s]"),
    "media": (
        message("media", {"file_key": "f", "file_name": "clip.mp4", "duration": 5000}),
        "[video: clip.mp4, 5 s]",
    ),
    "sticker": (message("sticker", {"file_key": "f"}), "[sticker]"),
    "interactive": (
        message("interactive", {"title": "标题", "elements": [[{"tag": "text", "text": "a"}]]}),
        "标题\na",
    ),
    "hongbao": (message("hongbao", {"text": "恭喜发财"}), "[red packet: 恭喜发财]"),
    "share_calendar_event": (
        message("share_calendar_event", {"summary": "Review"}),
        "[calendar event: Review]",
    ),
    "calendar": (message("calendar", {"summary": "Invite"}), "[calendar event: Invite]"),
    "general_calendar": (
        message("general_calendar", {"summary": "All Hands"}),
        "[calendar event: All Hands]",
    ),
    "share_chat": (message("share_chat", {"chat_id": "oc_1"}), "[shared chat: oc_1]"),
    "share_user": (message("share_user", {"user_id": "ou_1"}), "[shared contact: ou_1]"),
    "system": (message("system", {"template": "{a} joined", "a": ["Al"]}), "Al joined"),
    "location": (
        message("location", {"name": "Shanghai", "longitude": "121.47", "latitude": "31.23"}),
        "[location: Shanghai, 31.23, 121.47]",
    ),
    "video_chat": (message("video_chat", {"topic": "Weekly"}), "[video meeting: Weekly]"),
    "todo": (message("todo", {"summary": {"title": "Report", "content": []}}), "[task: Report]"),
    "vote": (message("vote", {"topic": "Lunch", "options": ["A"]}), "[vote: Lunch]\n- A"),
    "merge_forward": (
        message("merge_forward", "Merged and Forwarded Message"),
        "[forwarded messages]",
    ),
    "hologram": (message("hologram", {"beam": 1}), "[hologram]"),
    "hologram.words": (message("hologram", {"text": "words"}), "words"),
    "typeless": (message("", {"text": "words"}), "words"),
    # content that is not quite as its type has it
    "text.null": (message("text", {"text": None}), "[text]"),
    "text.no json": (message("text", "words"), "words"),
    "text.nameless": (message("text", {"text": "@_user_1"}, [{**BOT, "name": ""}]), "@_user_1"),
    "post.null": (
        message(
            "post", {"title": None, "content": [[{"tag": "at"}, {"tag": "text", "text": "a"}]]}
        ),
        "@a",
    ),
    "image.null": (message("image", {"image_key": None}), "[image]"),
    "file.number": (message("file", {"file_key": "f", "file_name": 5}), "[file]"),
    "audio.string": (message("audio", {"file_key": "f", "duration": "3500"}), "[audio: 3.5 s]"),
    "audio.fraction": (message("audio", {"file_key": "f", "duration": 3500.5}), "[audio: 3.5 s]"),
    "media.null": (message("media", {"file_key": "f", "duration": None}), "[video]"),
    "hongbao.number": (message("hongbao", {"text": 5}), "[red packet]"),
    "calendar.micros": (
        message("calendar", {"summary": "Invite", "start_time": "1710500000000000"}),
        "[calendar event: Invite, 2024-03-15 10:53 UTC]",
    ),
    "calendar.numbers": (
        message("calendar", {"start_time": 1710500000, "end_time": 1710503600000}),
        "[calendar event: 2024-03-15 10:53 UTC to 2024-03-15 11:53 UTC]",
    ),
    "calendar.words": (message("calendar", {"start_time": "soon"}), "[calendar event]"),
    "system.odd": (
        message("system", {"template": "{a} of {b} {c}", "a": [7, None], "b": 9, "c": True}),
        "7 of 9 True",
    ),
    "location.words": (
        message("location", {"name": "A", "longitude": "xxx.xxx", "latitude": "xxx.xxx"}),
        "[location: A, xxx.xxx, xxx.xxx]",
    ),
    "todo.null": (message("todo", {"summary": None, "due_time": "never"}), "[task]"),
    "vote.objects": (
        message("vote", {"topic": "Lunch", "options": ["A", {"text": "B"}, None]}),
        "[vote: Lunch]\n- A",
    ),
}
"""Received messages, and what they read as."""

NAMES = (
    *("schema", "header", "event", "uuid", "ts", "event_id", "event_type", "tenant_key", "app_id"),
    *("create_time", "message", "sender", "sender_type", "message_id", "chat_id", "message_type"),
    *("content", "mentions", "key", "id", "open_id", "name", "type", "context", "operator"),
    *("message_id_list", "user_id", "object", "text", "title", "elements", "tag", "summary"),
)
"""Names that mean something to somebody in the package."""

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=10**18, max_value=10**400),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["", "2.0", "im.message.receive_v1", "text", "post", "@_user_1 hi", "ou_1"]),
    st.text(st.characters(exclude_categories=()), max_size=20),  # lone surrogates among them
)
names = st.one_of(st.sampled_from(NAMES), st.text(max_size=5))
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(names, inner, max_size=6)),
    max_leaves=25,
)


@st.composite
def damaged(draw: st.DrawFn, sound: dict[str, Any]) -> dict[str, Any]:
    """An object some of whose members are missing or are something else."""
    found: dict[str, Any] = {}
    for name, value in sound.items():
        fate = draw(st.sampled_from(("kept", "kept", "kept", "replaced", "missing", "inside")))
        if fate == "replaced":
            found[name] = draw(values)
        elif fate == "inside" and isinstance(value, dict):
            found[name] = draw(damaged(value))
        elif fate != "missing":
            found[name] = value
    return found


spellings = st.sampled_from(
    (
        {"ensure_ascii": True},
        {"ensure_ascii": True, "indent": 1},
        {"ensure_ascii": True, "separators": (" ,\r", ":\r\n")},
    )
)


@st.composite
def payloads(draw: st.DrawFn) -> bytes:
    """JSON of any kind, most of it nearly an event."""
    sound = st.sampled_from((TEXT, V1, CARD_ACTION)).map(json.loads)
    value = draw(st.one_of(values, sound.flatmap(damaged), sound.flatmap(damaged)))
    return encode(value, **draw(spellings))


@st.composite
def mutants(draw: st.DrawFn) -> bytes:
    """JSON in which a few bytes are missing, doubled or others."""
    text = bytearray(draw(payloads()))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(text)))
        text[at : at + draw(st.integers(0, 2))] = draw(
            st.one_of(
                st.binary(max_size=2), st.sampled_from((b"\\", b'"', b"\n", b"]", b"[", b"NaN"))
            )
        )
    return bytes(text)
