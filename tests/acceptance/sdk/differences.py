# ruff: noqa: RUF001 - people write Chinese with Chinese punctuation
"""Where we read messages otherwise than lark-oapi 1.7.5, and why.

Rows are by message of the corpus and aspect; ours, theirs (both in the notation of the
SDK, see `notation.py`), and the reason. A difference that is not here fails the test, and
so does a row without a difference. `python -m acceptance.test_parsers` in tests/ prints
the differences there are.
"""

LOST = "registry.py takes the first key of a flat post for a locale, and finds nothing"
OUTER = "registry.py and post.py take `post` for a locale, and find nothing"
LOCALE = "they read the locale that comes first, we Chinese before others"
AT = "they write `@` before a placeholder, and then the name with its own `@` for it"
STRUCK = "they know `strikethrough`, Feishu writes `lineThrough`; and see AT"
BLOCKS = "code and dividers stand on lines of their own with us, and nothing that hangs on a paragraph is left out"
COVER = "they leave out a video's still in posts"
EVERYBODY = "they see everybody in plain text and in `mentions`, not in a post's `at`"
UNESCAPE = "they do not resolve what is marked as escaped"
TAGS = "they know tags with quoted attributes only"
NEWER = "they do not read `content_v2`, which has lists, tables and quotes"
FILES = "they do not read `files`"
LOOSE = "they expect paragraphs"
CARD = "they read markdown and plain text in `header` and `body` only, and no images"
DSL = "they do not read `user_dsl`"
DIVIDER = "they fill blanks with names only, not with the `text` of an object"
NUMBER = "they do not fill blanks with numbers, and write None for what is null"
RICH = "they keep text and link texts of a task's words only"
NO_TEXT = "content without a text reads as empty with them, with us as its type, or as the words that are no JSON"
RAISED = "their converter raises where a string is something else"
STRING = "they take a duration as it comes, and print a string as 0 s"
FRACTION = "we give whole milliseconds"
MICROS = "they know seconds and milliseconds"
DEGREES = "they drop coordinates that are no numbers"
OPTIONS = "they print what is no string as Python does"

LOST_POSTS = (
    "post",
    "post.styles",
    "post.plain",
    "post.everybody",
    "post.people",
    "post.unescaped",
    "post.mixed",
    "post.markdown",
    "post.files",
    "post.files.alone",
    "post.loose",
    "post (tests)",
    "post.null (tests)",
)
"""Posts of which `content.text` is empty with them."""

DIFFERENCES = {
    **{(name, "post has text"): (True, False, LOST) for name in LOST_POSTS},
    ("post", "text"): (
        '# 周报 #7\n\n**本周完成 **[看板](https://example.com/board)@AstrBot\n\n![image](img_v3_00000007):SMILE:\n\n---\n\n```go\nfmt.Println("ok")\n\n```',
        '# 周报 #7\n\n**本周完成 **[看板](https://example.com/board)@AstrBot\n\n![image](img_v3_00000007):SMILE:---\n\n```go\nfmt.Println("ok")\n\n```',
        BLOCKS,
    ),
    ("post", "post title"): ("周报 #7", "", LOST),
    ("interactive", "text"): ("审批提醒\n请处理第 7 号申请 [同意]", "[interactive]", CARD),
    ("post.styles", "text"): (
        "# 我是一个标题\n\n**第一行：**[超链接](https://www.feishu.cn)@AstrBot\n\n![image](img_47354fbc-a159-40ed-86ab-2ad0f1acb42g)\n\n~~不去~~去\n\n![image](img_47354fbc-a159-40ed-86ab-2ad0f1acb42g)\n\n[media:file_v2_0dcdd7d9-fib0-4432-a519-41d25aca542j]\n\n:SMILE:\n\n---\n\n```go\nfunc main() int64 {\n    return 0\n}\n```",
        "# 我是一个标题\n\n**第一行：**[超链接](https://www.feishu.cn)@@AstrBot\n\n![image](img_47354fbc-a159-40ed-86ab-2ad0f1acb42g)\n\n不去去\n\n![image](img_47354fbc-a159-40ed-86ab-2ad0f1acb42g)\n\n[media:file_v2_0dcdd7d9-fib0-4432-a519-41d25aca542j]\n\n:SMILE:\n\n---\n\n```go\nfunc main() int64 {\n    return 0\n}\n```",
        STRUCK,
    ),
    ("post.styles", "keys"): (
        [
            ["image", "img_47354fbc-a159-40ed-86ab-2ad0f1acb42g", None, None, None],
            [
                "video",
                "file_v2_0dcdd7d9-fib0-4432-a519-41d25aca542j",
                None,
                None,
                "img_7ea74629-9191-4176-998c-2e603c9c5e8g",
            ],
        ],
        [
            ["image", "img_47354fbc-a159-40ed-86ab-2ad0f1acb42g", None, None, None],
            ["video", "file_v2_0dcdd7d9-fib0-4432-a519-41d25aca542j", None, None, None],
        ],
        COVER,
    ),
    ("post.styles", "post title"): ("我是一个标题", "", LOST),
    ("post.title", "post title"): ("只有标题", "", LOST),
    ("post.everybody", "mentions everybody"): (True, False, EVERYBODY),
    ("post.everybody", "text"): ("@all", "@@all", AT),
    ("post.people", "mentions everybody"): (True, False, EVERYBODY),
    ("post.people", "text"): ("@Tom 和 @all", "@Tom 和 @所有人", EVERYBODY),
    ("post.unescaped", "text"): ("第一行\xa0<b>", "第一行&nbsp;&lt;b&gt;", UNESCAPE),
    ("post.mixed", "text"): (
        '改成 \n\n```\nx = 1\n\n```\n\n就好[unsupported message]\n\n<file key="file_v3_9" name="a.txt"/>\n\n<audio key="file_v3_8" duration="0s"/>',
        "改成 ```\nx = 1\n\n```就好",
        BLOCKS,
    ),
    ("post.sent", "text"): (
        "# 我是一个标题\n\n**第一行：**[超链接](https://www.feishu.cn)@AstrBot\n\n![image](img_47354fbc-a159-40ed-86ab-2ad0f1acb42g)\n\n~~不去~~去\n\n![image](img_47354fbc-a159-40ed-86ab-2ad0f1acb42g)\n\n[media:file_v2_0dcdd7d9-fib0-4432-a519-41d25aca542j]\n\n:SMILE:\n\n---\n\n```go\nfunc main() int64 {\n    return 0\n}\n```",
        "# Notice\n\nSee you",
        LOCALE,
    ),
    ("post.sent", "keys"): (
        [
            ["image", "img_47354fbc-a159-40ed-86ab-2ad0f1acb42g", None, None, None],
            [
                "video",
                "file_v2_0dcdd7d9-fib0-4432-a519-41d25aca542j",
                None,
                None,
                "img_7ea74629-9191-4176-998c-2e603c9c5e8g",
            ],
        ],
        [
            ["image", "img_47354fbc-a159-40ed-86ab-2ad0f1acb42g", None, None, None],
            ["video", "file_v2_0dcdd7d9-fib0-4432-a519-41d25aca542j", None, None, None],
        ],
        COVER,
    ),
    ("post.sent", "post title"): ("我是一个标题", "Notice", LOCALE),
    ("post.sent.wrapped", "text"): ("# Notice\n\nSee you", "", OUTER),
    ("post.sent.wrapped", "post title"): ("Notice", "", OUTER),
    ("post.sent.wrapped", "post has text"): (True, False, OUTER),
    ("post.sent.markdown", "mentions"): ([], [["@_at_", "", "Ann"]], TAGS),
    ("post.sent.markdown", "text"): ("- **a**\n- @Ann", "- **a**\n- <at id=ou_1>Ann</at>", TAGS),
    ("post.markdown", "text"): (
        "@AstrBot\n## 计划\n1. 先**备份**\n2. 再升级\n\n| 步骤 | 谁 |\n|---|---|\n| 备份 | Tom |\n![image](img_v3_02plan)\n> 引用\n```\n<at id=ou_1></at>\n```",
        "@AstrBot 1. 先备份\n\n2. 再升级\n\n![image](img_v3_02plan)",
        NEWER,
    ),
    ("post.files", "text"): (
        '按这个表里的字段，重新填充\n\n<file key="file_v3_00table" name="字段.xlsx"/>\n\n<folder key="file_v3_00assets" name="素材"/>',
        "按这个表里的字段，重新填充",
        FILES,
    ),
    ("post.files", "keys"): ([["file", "file_v3_00table", "字段.xlsx", None, None]], [], FILES),
    ("post.files.alone", "text"): (
        '<file key="file_v3_00table" name="字段.xlsx"/>\n\n<folder key="file_v3_00assets" name="素材"/>',
        "",
        FILES,
    ),
    ("post.files.alone", "keys"): (
        [["file", "file_v3_00table", "字段.xlsx", None, None]],
        [],
        FILES,
    ),
    ("post.loose", "text"): ("没有段落", "", LOOSE),
    ("interactive.document", "text"): (
        "卡片标题\n[主按钮] [次按钮]\n[飞书](https://www.feishu.cn)整合即时沟通、日历、云文档，@AstrBot更高效、更愉悦。\n---\n图片标题 [image]\n[image] 备注信息\n随时随地保持同步。 [select: 默认提示文本, 选项1 / 选项2]\n[menu: 打开飞书应用目录 / 打开飞书官网]\n[date: 2021-1-1]",
        "[interactive]",
        CARD,
    ),
    ("interactive.document", "keys"): ([["image", "img_acd8a194", None, None, None]], [], CARD),
    ("interactive.untitled", "text"): ("请升级至最新版本客户端，以查看内容", "[interactive]", CARD),
    ("interactive.newer", "text"): (
        "周报\n进行中\n负责人 @AstrBot 完成\n@ou_1\n| 步骤 | 进度 |\n| --- | --- |\n| 备份 | 1 |\n| 升级 | 0.5 |\n[input: 原因, 必填]\n[select: 同意 / ✓ 拒绝]\n[time: 14:30]\n[x] 已读\n[提交]\n更多\n[chart: 量, bar]\n[image] [image]",
        "[interactive]",
        DSL,
    ),
    ("interactive.newer", "keys"): (
        [["image", "img_v3_a", None, None, None], ["image", "img_v3_b", None, None, None]],
        [],
        DSL,
    ),
    ("interactive.schema_1", "text"): (
        "磁盘告警\nP1\n**主机** db-1\n**使用率**\n93%\na<b\n[image: 曲线]\n@ou_1 <5 分钟 [详情](https://x.example)\n---\n[认领] [日志](https://log.example) [select: 转给]\n来自监控",
        "磁盘告警\nP1",
        CARD,
    ),
    ("interactive.schema_1", "keys"): ([["image", "img_v3_disk", None, None, None]], [], CARD),
    ("interactive.schema_2", "text"): (
        "周报\n进行中\n负责人 @AstrBot 完成\n@ou_1\n| 步骤 | 进度 |\n| --- | --- |\n| 备份 | 1 |\n| 升级 | 0.5 |\n[input: 原因, 必填]\n[select: 同意 / ✓ 拒绝]\n[time: 14:30]\n[x] 已读\n[提交]\n更多\n[chart: 量, bar]\n[image] [image]",
        "周报\n负责人 <at id=ou_9 mention_key=@AstrBot></at> <text_tag color='green'>完成</text_tag>\n原因\n必填\n同意\n拒绝\n已读\n提交\n更多",
        CARD,
    ),
    ("interactive.schema_2", "keys"): (
        [["image", "img_v3_a", None, None, None], ["image", "img_v3_b", None, None, None]],
        [],
        CARD,
    ),
    ("interactive.localized", "text"): ("Notice\n再见", "[interactive]", CARD),
    ("interactive.template", "text"): ("title: 到货\nname: 键盘\ncount: 2", "[interactive]", CARD),
    ("system.divider", "text"): ("新会话", "{divider_text}", DIVIDER),
    ("system.objects", "text"): (
        "Alice removed ou_2, 小王, 3 left.",
        "Alice removed ou_2, 小王, {count} left.",
        NUMBER,
    ),
    ("todo.rich", "text"): (
        "<todo>\n上线\n看 [清单](https://x.example)\n@Tom\n</todo>",
        "<todo>\n上线\n看 清单\n</todo>",
        RICH,
    ),
    ("post (tests)", "post title"): ("T", "", LOST),
    ("interactive (tests)", "text"): ("标题\na", "[interactive]", CARD),
    ("text.null (tests)", "text"): ("[unsupported message]", "", NO_TEXT),
    ("text.no json (tests)", "text"): ("words", "", NO_TEXT),
    ("file.number (tests)", "raised"): ("", "AttributeError", RAISED),
    ("audio.string (tests)", "text"): (
        '<audio key="f" duration="3.5s"/>',
        '<audio key="f" duration="0s"/>',
        STRING,
    ),
    ("audio.string (tests)", "keys"): (
        [["audio", "f", None, 3500, None]],
        [["audio", "f", None, "3500", None]],
        STRING,
    ),
    ("audio.fraction (tests)", "keys"): (
        [["audio", "f", None, 3500, None]],
        [["audio", "f", None, 3500.5, None]],
        FRACTION,
    ),
    ("hongbao.number (tests)", "raised"): ("", "AttributeError", RAISED),
    ("calendar.micros (tests)", "text"): (
        "<calendar_invite>\n📅 Invite\n🕙 2024-03-15 18:53:20\n</calendar_invite>",
        "<calendar_invite>\n📅 Invite\n</calendar_invite>",
        MICROS,
    ),
    ("system.odd (tests)", "text"): ("7 of 9 True", "7, None of {b} {c}", NUMBER),
    ("location.words (tests)", "text"): (
        '<location name="A" lng="xxx.xxx" lat="xxx.xxx"/>',
        '<location name="A" lng="" lat=""/>',
        DEGREES,
    ),
    ("vote.objects (tests)", "text"): (
        "<vote>\nLunch\n• A\n</vote>",
        "<vote>\nLunch\n• A\n• {'text': 'B'}\n• None\n</vote>",
        OPTIONS,
    ),
}
