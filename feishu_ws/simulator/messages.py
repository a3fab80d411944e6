# ruff: noqa: RUF001 - people write Chinese with Chinese punctuation
"""Contents of received messages, one honest sample per message type.

`content` of `im.message.receive_v1` is a JSON string whose shape depends on
`message_type`. Sources: Feishu docs "接收消息内容"; the fixtures of lark-cli
(convert_lib/content_media_misc_test.go:85-139); lark-oapi 1.7.5
channel/normalize/registry.py `_PARSERS`.
"""

from collections.abc import Callable
from typing import Any, Final

from feishu_ws.simulator.origin import BOT_OPEN_ID, Origin

MERGED: Final = "Merged and Forwarded Message"
"""The one content that is not JSON. Source: Feishu docs."""

TALK: Final = (
    "早上好，今天的站会改到十点半。",
    "Could you summarise yesterday's incident for the channel?",
    "会议纪要已经更新，麻烦大家看一下 🙏",
    'quotes "inside", a backslash \\ and a\nsecond line',
    "部署完成：v2.14.0 → production，用时 3 分 12 秒。",
    "https://example.com/report?id=42&lang=zh#summary",
)


def text(serial: int, _: Origin) -> dict[str, Any]:
    """Return plain text as people write it."""
    return {"text": f"{TALK[serial % len(TALK)]} #{serial}"}


def mention(serial: int, _: Origin) -> dict[str, Any]:
    """Return text that mentions the bot under the key `@_user_1`."""
    return {"text": f"@_user_1 {TALK[serial % len(TALK)]} #{serial}"}


def post(serial: int, _: Origin) -> dict[str, Any]:
    """Return rich text in its received, flat form."""
    return {
        "title": f"周报 #{serial}",
        "content": [
            [
                {"tag": "text", "text": "本周完成 ", "style": ["bold"]},
                {"tag": "a", "href": "https://example.com/board", "text": "看板"},
                {"tag": "at", "user_id": "@_user_1", "user_name": "AstrBot"},
            ],
            [
                {"tag": "img", "image_key": f"img_v3_{serial:08x}"},
                {"tag": "emotion", "emoji_type": "SMILE"},
                {"tag": "hr"},
            ],
            [{"tag": "code_block", "language": "GO", "text": 'fmt.Println("ok")\n'}],
        ],
    }


def image(serial: int, origin: Origin) -> dict[str, Any]:
    """Return an image."""
    return {"image_key": f"img_v3_{origin.token('image', serial)}"}


def file(serial: int, origin: Origin) -> dict[str, Any]:
    """Return a file."""
    return {"file_key": f"file_v3_{origin.token('file', serial)}", "file_name": "季度报告.pdf"}


def folder(serial: int, origin: Origin) -> dict[str, Any]:
    """Return a folder."""
    return {"file_key": f"fld_{origin.token('folder', serial)}", "file_name": "Docs"}


def audio(serial: int, origin: Origin) -> dict[str, Any]:
    """Return a voice message; duration in ms."""
    return {"file_key": f"file_v3_{origin.token('audio', serial)}", "duration": 3500}


def media(serial: int, origin: Origin) -> dict[str, Any]:
    """Return a video; duration in ms."""
    return {
        "file_key": f"file_v3_{origin.token('video', serial)}",
        "image_key": f"img_v3_{origin.token('cover', serial)}",
        "file_name": "clip.mp4",
        "duration": 5000,
    }


def sticker(serial: int, origin: Origin) -> dict[str, Any]:
    """Return a sticker."""
    return {"file_key": f"file_v3_{origin.token('sticker', serial % 20)}"}


def interactive(serial: int, _: Origin) -> dict[str, Any]:
    """Return a card in the degraded form in which others' cards are received."""
    return {
        "title": "审批提醒",
        "elements": [
            [
                {"tag": "text", "text": f"请处理第 {serial} 号申请"},
                {"tag": "button", "text": "同意", "type": "primary"},
            ]
        ],
    }


def hongbao(_: int, __: Origin) -> dict[str, Any]:
    """Return a red packet."""
    return {"text": "恭喜发财"}


def share_calendar_event(serial: int, origin: Origin) -> dict[str, Any]:
    """Return a shared calendar event; times in s."""
    start_s = origin.now_ms() // 1000 + 3600
    return {
        "summary": "Review",
        "start_time": str(start_s),
        "end_time": str(start_s + 3600),
        "open_calendar_id": "feishu.cn_" + origin.token("calendar", serial % 4),
        "open_event_id": origin.token("meeting", serial) + "_0",
    }


def calendar(_: int, origin: Origin) -> dict[str, Any]:
    """Return an invitation; times in s."""
    start_s = origin.now_ms() // 1000 + 3600
    return {"summary": "Invite", "start_time": str(start_s), "end_time": str(start_s + 1800)}


def general_calendar(_: int, origin: Origin) -> dict[str, Any]:
    """Return a calendar card; times in ms here."""
    start_ms = origin.now_ms() + 3_600_000
    return {
        "summary": "All Hands",
        "start_time": str(start_ms),
        "end_time": str(start_ms + 3_600_000),
    }


def share_chat(serial: int, origin: Origin) -> dict[str, Any]:
    """Return a shared group."""
    return {"chat_id": origin.chat_id(serial + 1)}


def share_user(serial: int, origin: Origin) -> dict[str, Any]:
    """Return a shared business card."""
    return {"user_id": origin.user_id(serial + 1)["open_id"]}


def system(serial: int, origin: Origin) -> dict[str, Any]:
    """Return a notice of the client with its template."""
    return {
        "template": "{from_user} invited {to_chatters} to {name}",
        "from_user": [origin.person(serial)],
        "to_chatters": [origin.person(serial + 1), origin.person(serial + 2)],
        "name": "Room A",
    }


def location(_: int, __: Origin) -> dict[str, Any]:
    """Return a place; coordinates are strings."""
    return {"name": "上海市黄浦区", "longitude": "121.473701", "latitude": "31.230416"}


def video_chat(_: int, origin: Origin) -> dict[str, Any]:
    """Return a video call; start in ms."""
    return {"topic": "Weekly", "start_time": str(origin.now_ms())}


def todo(serial: int, origin: Origin) -> dict[str, Any]:
    """Return a task; due in s."""
    return {
        "task_id": origin.token("task", serial),
        "summary": {
            "title": "Finish report",
            "content": [[{"tag": "text", "text": "prepare slides"}]],
        },
        "due_time": str(origin.now_ms() // 1000 + 86_400),
    }


def vote(_: int, __: Origin) -> dict[str, Any]:
    """Return a vote."""
    return {"topic": "午饭吃什么", "options": ["饺子", "Pizza"], "status": 1}


def merge_forward(_: int, __: Origin) -> str:
    """Return what stands for forwarded messages; they have to be fetched."""
    return MERGED


def unknown(serial: int, _: Origin) -> dict[str, Any]:
    """Return a type that nobody knows yet."""
    return {"holograph": {"key": f"holo_{serial}", "frames": [1, 2, 3]}}


Content = Callable[[int, Origin], dict[str, Any] | str]

CONTENTS: Final[dict[str, Content]] = {
    "text": text,
    "post": post,
    "image": image,
    "file": file,
    "folder": folder,
    "audio": audio,
    "media": media,
    "sticker": sticker,
    "interactive": interactive,
    "hongbao": hongbao,
    "share_calendar_event": share_calendar_event,
    "calendar": calendar,
    "general_calendar": general_calendar,
    "share_chat": share_chat,
    "share_user": share_user,
    "system": system,
    "location": location,
    "video_chat": video_chat,
    "todo": todo,
    "vote": vote,
    "merge_forward": merge_forward,
    "hologram": unknown,
}
"""By message_type; the last one does not exist, so that something unknown is seen too."""

BOT_MENTION: Final = {
    "key": "@_user_1",
    "id": {"open_id": BOT_OPEN_ID, "union_id": "on_bot", "user_id": ""},
    "mentioned_type": "bot",  # Source: assumed, may be "app"
    "name": "AstrBot",
}
