# ruff: noqa: RUF001 - people write Chinese with Chinese punctuation
"""More contents of received messages: the forms that a message type is known to take.

Sources: Feishu docs "接收消息内容" (the examples there); chenhg5/cc-connect#1884,
openclaw/openclaw#151792 and NousResearch/hermes-agent#114154 (posts with `files` and
`content_v2`, and without paragraphs); lark-oapi 1.7.5 channel/normalize/registry.py.
"""

from dataclasses import dataclass
from typing import Any, Final

from feishu_ws.simulator.cards import CARDS
from feishu_ws.simulator.messages import BOT_MENTION
from feishu_ws.simulator.origin import BOT_OPEN_ID


@dataclass(frozen=True, slots=True)
class Variant:
    """A form that the content of a message type takes; `mentions` are the message's."""

    kind: str
    content: dict[str, Any] | str
    mentions: tuple[dict[str, Any], ...] = ()


def _text(words: str, *mentions: dict[str, Any]) -> Variant:
    return Variant("text", {"text": words}, mentions)


def _person(number: int, name: str) -> dict[str, Any]:
    """Return a mention of a person whose user id this app may not see."""
    ids = {"open_id": f"ou_{number:032x}", "union_id": f"on_{number:032x}", "user_id": ""}
    return {"key": f"@_user_{number}", "id": ids, "mentioned_type": "user", "name": name}


TOM: Final = _person(2, "Tom")
EVERYBODY: Final = {"key": "@_all", "id": {"user_id": "all"}, "name": "所有人"}

_TEXTS: Final = {
    "everybody": _text("@_all 请看群公告"),
    "everybody.named": _text("@_all 请看群公告", EVERYBODY),
    "people": _text("@_user_1 请把 @_user_2 拉进来，@_user_3 不用", BOT_MENTION, TOM),
    "links": _text("[飞书开放平台](https://open.feishu.cn) [a@b.example](mailto:a@b.example)"),
    "typed": _text('怎么写 <at user_id="ou_1">Tom</at>？ a &lt; b && <b>c</b> @_all_hands'),
}

_STYLED: Final = {
    "title": "我是一个标题",
    "content": [
        [
            {"tag": "text", "text": "第一行：", "style": ["bold", "underline"]},
            {
                "tag": "a",
                "href": "https://www.feishu.cn",
                "text": "超链接",
                "style": ["bold", "italic"],
            },
            {"tag": "at", "user_id": "@_user_1", "user_name": "", "style": []},
        ],
        [{"tag": "img", "image_key": "img_47354fbc-a159-40ed-86ab-2ad0f1acb42g"}],
        [
            {"tag": "text", "text": "不去", "style": ["lineThrough"]},
            {"tag": "text", "text": "去", "style": []},
        ],
        [{"tag": "img", "image_key": "img_47354fbc-a159-40ed-86ab-2ad0f1acb42g"}],
        [
            {
                "tag": "media",
                "file_key": "file_v2_0dcdd7d9-fib0-4432-a519-41d25aca542j",
                "image_key": "img_7ea74629-9191-4176-998c-2e603c9c5e8g",
            }
        ],
        [{"tag": "emotion", "emoji_type": "SMILE"}],
        [{"tag": "hr"}],
        [
            {
                "tag": "code_block",
                "language": "GO",
                "text": "func main() int64 {\n    return 0\n}",
            }
        ],
    ],
}
_ENGLISH: Final = {"title": "Notice", "content": [[{"tag": "text", "text": "See you"}]]}
_MARKDOWN: Final = {
    "title": "",
    "content": [
        [
            {"tag": "at", "user_id": "@_user_1", "user_name": "AstrBot", "style": []},
            {"tag": "text", "text": " 1. 先备份", "style": []},
        ],
        [{"tag": "text", "text": "2. 再升级", "style": []}],
        [{"tag": "img", "image_key": "img_v3_02plan"}],
    ],
    "content_v2": [
        [
            {
                "tag": "md",
                "text": f'<at user_id="{BOT_OPEN_ID}">AstrBot</at>\n'
                "## 计划\n1. 先**备份**\n2. 再升级\n\n| 步骤 | 谁 |\n|---|---|\n| 备份 | Tom |\n"
                "![计划](img_v3_02plan)\n> 引用\n```\n<at id=ou_1></at>\n```",
            }
        ]
    ],
}
_CAPTION: Final = [[{"tag": "text", "text": "按这个表里的字段，重新填充", "style": []}]]
_FILES: Final = [
    {"file_key": "file_v3_00table", "file_name": "字段.xlsx", "is_folder": False},
    {"file_key": "file_v3_00assets", "file_name": "素材", "is_folder": True},
]

_POSTS: Final = {
    "styles": Variant("post", (_STYLED), (BOT_MENTION,)),
    "plain": Variant("post", ({"content": _CAPTION})),
    "title": Variant("post", ({"title": "只有标题", "content": [[]]})),
    "everybody": Variant("post", ({"title": "", "content": [[{"tag": "at", "user_id": "@_all"}]]})),
    "people": Variant(
        "post",
        (
            {
                "title": "",
                "content": [
                    [
                        {"tag": "at", "user_id": "@_user_2", "user_name": "Tom"},
                        {"tag": "text", "text": " 和 "},
                        {"tag": "at", "user_id": "all", "user_name": "所有人"},
                    ]
                ],
            }
        ),
        (TOM,),
    ),
    "unescaped": Variant(
        "post",
        ({"content": [[{"tag": "text", "un_escape": True, "text": "第一行&nbsp;&lt;b&gt;"}]]}),
    ),
    "mixed": Variant(
        "post",
        (
            {
                "content": [
                    [
                        {"tag": "text", "text": "改成 "},
                        {"tag": "code_block", "language": "", "text": "x = 1\n"},
                        {"tag": "text", "text": "就好"},
                        {"tag": "hologram"},
                    ],
                    [],
                    [{"tag": "file", "file_key": "file_v3_9", "file_name": "a.txt"}],
                    [{"tag": "audio", "file_key": "file_v3_8"}],
                ]
            }
        ),
    ),
    "sent": Variant("post", ({"en_us": _ENGLISH, "zh_cn": _STYLED}), (BOT_MENTION,)),
    "sent.wrapped": Variant("post", ({"post": {"ja_jp": _ENGLISH}})),
    "sent.markdown": Variant(
        "post",
        ({"zh_cn": {"content": [[{"tag": "md", "text": "- **a**\n- <at id=ou_1>Ann</at>"}]]}}),
    ),
    "markdown": Variant("post", (_MARKDOWN), (BOT_MENTION,)),
    "files": Variant(
        "post",
        ({"title": "", "content": _CAPTION, "content_v2": _CAPTION, "files": _FILES}),
    ),
    "files.alone": Variant(
        "post", ({"title": "", "content": [[]], "content_v2": [[]], "files": _FILES})
    ),
    "loose": Variant(
        "post",
        ({"content": [{"tag": "text", "text": "没有"}, {"tag": "text", "text": "段落"}]}),
    ),
}

_OTHERS: Final = {
    "image.old": Variant("image", ({"image_key": "img_4adb3cc3-902b-4187-b0f1-842f67fd017g"})),
    "file.old": Variant(
        "file",
        ({"file_key": "75235e0c-4f92-430a-a99b-8446610223cg", "file_name": 'a "b" [c].txt'}),
    ),
    "file.nameless": Variant("file", ({"file_key": "file_v3_00n"})),
    "folder.named": Variant("folder", ({"file_key": "fld_2", "name": "Docs", "file_size": 3})),
    "audio.long": Variant("audio", ({"file_key": "file_v3_00v", "duration": 61_250})),
    "audio.unmeasured": Variant("audio", ({"file_key": "file_v3_00u"})),
    "media.bare": Variant("media", ({"file_key": "file_v3_00c"})),
    "media.video": Variant(
        "video", ({"file_key": "file_v3_00m", "file_name": "演示.mp4", "duration": 125_000})
    ),
    "sticker.old": Variant("sticker", ({"file_key": "75235e0c-4f92-430a-a99b-8446610223cg"})),
    "hongbao.wordless": Variant("hongbao", ({"text": "[红包]"})),
    "hongbao.titled": Variant("hongbao", ({"title": "开工大吉"})),
    "share_calendar_event.organized": Variant(
        "share_calendar_event",
        (
            {
                "summary": "日程分享测试",
                "start_time": "1608265395000",
                "end_time": "1608267015000",
                "organizer_display_name": "陈晨",
            }
        ),
    ),
    "calendar.open": Variant(
        "calendar", ({"summary": "日程邀请测试", "start_time": "1608265395000"})
    ),
    "general_calendar.titled": Variant(
        "general_calendar", ({"title": "日程转让测试", "start_time": 1_608_265_395})
    ),
    "share_chat.unknown": Variant("share_chat", ({})),
    "share_user.unknown": Variant("share_user", ({})),
    "system.divider": Variant(
        "system",
        (
            {
                "template": "{divider_text}",
                "from_user": [],
                "to_chatters": [],
                "divider_text": {"text": "新会话", "i18n_text": {"en_us": "New Session"}},
            }
        ),
    ),
    "system.objects": Variant(
        "system",
        (
            {
                "template": "{from_user} removed {to_chatters}, {count} left.",
                "from_user": [{"id": "ou_1", "name": "Alice"}],
                "to_chatters": [{"id": "ou_2"}, "小王"],
                "count": 3,
            }
        ),
    ),
    "location.nameless": Variant("location", ({"longitude": "2.35", "latitude": "48.86"})),
    "location.numbers": Variant(
        "location", ({"name": "Paris", "longitude": 2.35, "latitude": 48.86})
    ),
    "video_chat.topic": Variant("video_chat", ({"topic": "视频通话消息"})),
    "video_chat.seconds": Variant("video_chat", ({"topic": "Weekly", "start_time": "1623124523"})),
    "todo.untitled": Variant(
        "todo",
        (
            {
                "task_id": "acd096a5-a157-4b9d-80e2-5b317456f005",
                "summary": {
                    "title": "",
                    "content": [[{"tag": "text", "text": "多吃水果，健康生活。"}]],
                },
                "due_time": "1623124318000",
            }
        ),
    ),
    "todo.words": Variant("todo", ({"task_id": "t", "summary": "写周报", "due_time": "0"})),
    "todo.rich": Variant(
        "todo",
        (
            {
                "summary": {
                    "title": "上线",
                    "content": [
                        [
                            {"tag": "text", "text": "看 "},
                            {"tag": "a", "href": "https://x.example", "text": "清单"},
                        ],
                        [{"tag": "at", "user_id": "@_user_2", "user_name": "Tom"}],
                    ],
                }
            }
        ),
        (TOM,),
    ),
    "vote.open": Variant("vote", ({"topic": "投票测试", "options": ["选项1", "选项2"]})),
    "merge_forward.object": Variant("merge_forward", ({"content": "Merged and Forwarded Message"})),
    "merge_forward.ids": Variant("merge_forward", ({"create_message_ids": ["om_1", "om_2"]})),
    "hologram.words": Variant("hologram", ({"text": "看到了吗"})),
}

VARIANTS: Final[dict[str, Variant]] = {
    **{f"text.{form}": variant for form, variant in _TEXTS.items()},
    **{f"post.{form}": variant for form, variant in _POSTS.items()},
    **{
        f"interactive.{form}": Variant("interactive", card, (BOT_MENTION,))
        for form, card in CARDS.items()
    },
    **_OTHERS,
}
"""By message type and form, `post.files`."""
