# ruff: noqa: RUF001 - people write Chinese with Chinese punctuation
"""Cards in the forms in which a message of type `interactive` carries them.

Sources: Feishu docs "接收消息内容" (degraded), "卡片 JSON 1.0 结构", "卡片 JSON 2.0 结构";
NousResearch/hermes-agent#42948 and lark-cli internal/imcontent/card_userdsl_test.go
(`user_dsl`, and how it mentions people).
"""

from typing import Any, Final

import msgspec

_UPDATE: Final = "请升级至最新版本客户端，以查看内容"
"""What stands for a card of schema 2.0 where only the degraded form is shown."""

_DEGRADED: Final = {
    "title": "卡片标题",
    "elements": [
        [
            {"tag": "button", "text": "主按钮", "type": "primary"},
            {"tag": "button", "text": "次按钮", "type": "default"},
        ],
        [
            {"tag": "a", "href": "https://www.feishu.cn", "text": "飞书"},
            {"tag": "text", "text": "整合即时沟通、日历、云文档，"},
            {"tag": "at", "user_id": "@_user_1", "user_name": ""},
            {"tag": "text", "text": "更高效、更愉悦。"},
        ],
        [{"tag": "hr"}],
        [{"tag": "text", "text": "图片标题"}, {"tag": "img", "image_key": "img_acd8a194"}],
        [
            {
                "tag": "note",
                "elements": [
                    {"tag": "img", "image_key": "img_acd8a194"},
                    {"tag": "text", "text": "备注信息"},
                ],
            }
        ],
        [
            {"tag": "text", "text": "随时随地保持同步。"},
            {"tag": "select_static", "options": ["选项1", "选项2"], "placeholder": "默认提示文本"},
        ],
        [{"tag": "overflow", "options": ["打开飞书应用目录", "打开飞书官网"]}],
        [{"tag": "date_picker", "placeholder": "请选择日期", "initial_date": "2021-1-1"}],
    ],
}
_SCHEMA_1: Final = {
    "config": {"wide_screen_mode": True},
    "header": {
        "template": "red",
        "title": {"tag": "plain_text", "content": "磁盘告警"},
        "subtitle": {"tag": "plain_text", "content": "P1"},
    },
    "elements": [
        {
            "tag": "div",
            "text": {"tag": "lark_md", "content": "**主机** <font color='red'>db-1</font>"},
            "fields": [
                {"is_short": True, "text": {"tag": "lark_md", "content": "**使用率**\n93%"}},
                {"is_short": True, "text": {"tag": "plain_text", "content": "a<b"}},
            ],
            "extra": {"tag": "img", "img_key": "img_v3_disk", "alt": {"content": "曲线"}},
        },
        {"tag": "markdown", "content": "<at id=ou_1></at> &lt;5 分钟 [详情](https://x.example)"},
        {"tag": "hr"},
        {
            "tag": "action",
            "actions": [
                {"tag": "button", "text": {"tag": "plain_text", "content": "认领"}, "value": {}},
                {
                    "tag": "button",
                    "text": {"tag": "lark_md", "content": "日志"},
                    "url": "https://log.example",
                },
                {
                    "tag": "select_person",
                    "placeholder": {"tag": "plain_text", "content": "转给"},
                },
            ],
        },
        {"tag": "note", "elements": [{"tag": "plain_text", "content": "来自监控"}]},
    ],
}
_SCHEMA_2: Final = {
    "schema": "2.0",
    "config": {"summary": {"content": "周报"}},
    "header": {
        "title": {"tag": "plain_text", "content": "周报"},
        "text_tag_list": [
            {"tag": "text_tag", "text": {"tag": "plain_text", "content": "进行中"}, "color": "blue"}
        ],
        "icon": {"tag": "standard_icon", "token": "chat_outlined"},
    },
    "body": {
        "direction": "vertical",
        "elements": [
            {
                "tag": "column_set",
                "columns": [
                    {
                        "tag": "column",
                        "elements": [
                            {
                                "tag": "markdown",
                                "content": "负责人 <at id=ou_9 mention_key=@_user_1></at> "
                                "<text_tag color='green'>完成</text_tag>",
                            }
                        ],
                    },
                    {
                        "tag": "column",
                        "elements": [{"tag": "person_list", "persons": [{"id": "ou_1"}]}],
                    },
                ],
            },
            {
                "tag": "table",
                "columns": [
                    {"name": "step", "display_name": "步骤"},
                    {"name": "done", "display_name": "进度", "data_type": "number"},
                ],
                "rows": [{"step": "备份", "done": 1}, {"step": [{"text": "升级"}], "done": 0.5}],
            },
            {
                "tag": "form",
                "elements": [
                    {
                        "tag": "input",
                        "label": {"tag": "plain_text", "content": "原因"},
                        "placeholder": {"tag": "plain_text", "content": "必填"},
                    },
                    {
                        "tag": "select_static",
                        "initial_option": "2",
                        "options": [
                            {"text": {"tag": "plain_text", "content": "同意"}, "value": "1"},
                            {"text": {"tag": "plain_text", "content": "拒绝"}, "value": "2"},
                        ],
                    },
                    {"tag": "picker_time", "initial_time": "14:30"},
                    {
                        "tag": "checker",
                        "checked": True,
                        "text": {"tag": "plain_text", "content": "已读"},
                    },
                    {
                        "tag": "button",
                        "text": {"tag": "plain_text", "content": "提交"},
                        "behaviors": [{"type": "callback", "value": {}}],
                    },
                ],
            },
            {
                "tag": "collapsible_panel",
                "header": {"title": {"tag": "plain_text", "content": "更多"}},
                "elements": [
                    {"tag": "chart", "chart_spec": {"type": "bar", "title": {"text": "量"}}}
                ],
            },
            {
                "tag": "img_combination",
                "img_list": [{"img_key": "img_v3_a"}, {"img_key": "img_v3_b"}],
            },
        ],
    },
}


CARDS: Final[dict[str, dict[str, Any]]] = {
    "document": _DEGRADED,
    "untitled": {"title": None, "elements": [[{"tag": "text", "text": _UPDATE}]]},
    "newer": {
        "title": "周报",
        "elements": [[{"tag": "img", "image_key": "img_v3_old"}, {"tag": "text", "text": _UPDATE}]],
        "user_dsl": msgspec.json.encode(_SCHEMA_2).decode(),
    },
    "schema_1": _SCHEMA_1,
    "schema_2": _SCHEMA_2,
    "localized": {
        "i18n_header": {"en_us": {"title": {"tag": "plain_text", "content": "Notice"}}},
        "i18n_elements": {
            "en_us": [{"tag": "markdown", "content": "See you"}],
            "zh_cn": [{"tag": "markdown", "content": "再见"}],
        },
    },
    "template": {
        "type": "template",
        "data": {
            "template_id": "AAqk1",
            "template_variable": {"title": "到货", "items": [{"name": "键盘", "count": 2}]},
        },
    },
}
"""By form: what others' cards are received as, then the forms in which cards are sent."""
