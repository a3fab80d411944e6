import pytest

from feishu_ws.events.card_elements import ELEMENTS, localized
from feishu_ws.events.card_walk import CardWalk
from feishu_ws.events.mentions import Mentions
from feishu_ws.events.received import Mentioned

known = Mentions([Mentioned("@_user_1", "ou_tom", "Tom")])
OPTIONS = [
    {"text": {"tag": "plain_text", "content": "A"}, "value": "1"},
    {"text": {"tag": "plain_text", "content": "B"}, "value": "2"},
]
PLAIN = {"tag": "plain_text", "content": "words"}

READINGS = [
    ({"tag": "plain_text", "content": "<b> &lt;"}, "<b> &lt;"),
    ({"tag": "plain_text", "i18n": {"en_us": "e", "zh_cn": "z"}}, "z"),
    ({"tag": "markdown", "i18n_content": {"en_us": "<font color=red>e</font>"}}, "e"),
    ({"tag": "lark_md", "content": "<font color=red>a</font> &lt;"}, "a <"),
    ({"tag": "markdown", "content": "<at id=ou_tom></at>"}, "@Tom"),
    ({"tag": "text", "text": "a"}, "a"),
    ({"tag": "text", "text": PLAIN}, "words"),
    ({"tag": "text_tag", "text": PLAIN}, "words"),
    ({"tag": "a", "href": "https://x", "text": "here"}, "[here](https://x)"),
    ({"tag": "at", "user_id": "@_user_1"}, "@Tom"),
    ({"tag": "at", "id": "ou_2", "user_name": "Ann"}, "@Ann"),
    ({"tag": "emotion", "emoji_type": "SMILE"}, ":SMILE:"),
    ({"tag": "code_block", "language": "GO", "text": "x"}, "```go\nx\n```"),
    ({"tag": "hr"}, "---"),
    ({"tag": "img", "img_key": "img_1", "alt": PLAIN}, "[image: words]"),
    ({"tag": "img", "img_key": "img_1", "alt": PLAIN, "title": "t"}, "[image: t]"),
    ({"tag": "image", "image_key": "img_1"}, "[image]"),
    ({"tag": "img_combination", "img_list": [{"img_key": "img_1"}, 7, {}]}, "[image] [image]"),
    ({"tag": "person", "user_id": "ou_tom"}, "@Tom"),
    ({"tag": "person_list", "persons": [{"id": "ou_tom"}, {}, {"id": "ou_2"}]}, "@Tom @ou_2"),
    ({"tag": "avatar", "user_id": "ou_2"}, "@ou_2"),
    ({"tag": "audio", "file_key": "f"}, "[audio]"),
    ({"tag": "video", "file_key": "f"}, "[video]"),
    ({"tag": "button", "text": PLAIN}, "[words]"),
    ({"tag": "button", "text": "words", "type": "primary"}, "[words]"),
    ({"tag": "button"}, "[button]"),
    ({"tag": "button", "text": "go", "url": "https://x"}, "[go](https://x)"),
    ({"tag": "button", "text": "go", "multi_url": {"url": "https://x"}}, "[go](https://x)"),
    (
        {
            "tag": "button",
            "text": "go",
            "behaviors": [{"type": "callback"}, {"type": "open_url", "default_url": "https://x"}],
        },
        "[go](https://x)",
    ),
    ({"tag": "overflow", "options": ["A", "B"]}, "[menu: A / B]"),
    ({"tag": "overflow"}, "[menu]"),
    (
        {"tag": "select_static", "options": ["A", "B"], "placeholder": "which?"},
        "[select: which?, A / B]",
    ),
    ({"tag": "select_static", "options": OPTIONS, "initial_option": "2"}, "[select: A / ✓ B]"),
    (
        {"tag": "multi_select_static", "options": OPTIONS, "selected_values": ["1", "2", 3]},
        "[select: ✓ A / ✓ B]",
    ),
    ({"tag": "select_static", "options": [{"value": "v"}, {}, 7]}, "[select: v]"),
    ({"tag": "select_person", "placeholder": PLAIN}, "[select: words]"),
    ({"tag": "select_person", "initial_option": "ou_tom"}, "[select: ✓ @Tom]"),
    (
        {"tag": "multi_select_person", "selected_values": ["ou_tom", "ou_2", {}]},
        "[select: ✓ @Tom / ✓ @ou_2]",
    ),
    (
        {"tag": "select_img", "options": [{"img_key": "img_1", "value": "1"}]},
        "[select: [image]]",
    ),
    ({"tag": "input", "label": PLAIN, "placeholder": "type"}, "[input: words, type]"),
    ({"tag": "input", "default_value": "x", "placeholder": "type"}, "[input: x]"),
    ({"tag": "input"}, "[input]"),
    (
        {"tag": "date_picker", "initial_date": "2026-01-01", "placeholder": "?"},
        "[date: 2026-01-01]",
    ),
    ({"tag": "picker_date", "placeholder": PLAIN}, "[date: words]"),
    ({"tag": "picker_time", "initial_time": "14:30"}, "[time: 14:30]"),
    (
        {"tag": "picker_datetime", "initial_datetime": "2026-01-01 14:30"},
        "[date and time: 2026-01-01 14:30]",
    ),
    ({"tag": "checker", "text": PLAIN}, "[ ] words"),
    ({"tag": "checker", "checked": True, "text": PLAIN}, "[x] words"),
    ({"tag": "note", "elements": [PLAIN, {"tag": "img"}]}, "words [image]"),
    ({"tag": "action", "actions": [{"tag": "button"}, {"tag": "button"}]}, "[button] [button]"),
    ({"tag": "actions", "actions": [{"tag": "button"}]}, "[button]"),
    (
        {
            "tag": "table",
            "columns": [
                {"name": "a", "display_name": "Step"},
                {"name": "b", "data_type": "number"},
                {"name": "c", "data_type": "date"},
            ],
            "rows": [
                {"a": "x\ny", "b": 1.5, "c": 1_710_500_000_000},
                {"a": [{"text": "t", "color": "red"}], "b": 1_710_500_000_000, "c": 5},
                7,
            ],
        },
        "| Step | b | c |\n| --- | --- | --- |\n| x y | 1.5 | 2024-03-15 10:53 UTC |\n| t | 1710500000000 | 5 |",
    ),
    ({"tag": "table", "rows": [{}]}, ""),
    (
        {"tag": "chart", "chart_spec": {"type": "bar", "title": {"text": "Sales"}}},
        "[chart: Sales, bar]",
    ),
    ({"tag": "chart"}, "[chart]"),
    ({"tag": "standard_icon", "token": "x"}, ""),
    ({"tag": "custom_icon", "img_key": "x"}, ""),
    ({"tag": "fallback_text", "text": PLAIN}, ""),
]


@pytest.mark.parametrize(("node", "reading"), READINGS)
def test_every_element_reads_as_text(node, reading):
    """A person or a language model can read every element of a card."""
    assert CardWalk(ELEMENTS, known).inline(node) == reading


def test_every_element_is_read_here():
    """No tag is missing from the table above."""
    assert {node["tag"] for node, _ in READINGS} == set(ELEMENTS)


@pytest.mark.parametrize("tag", ELEMENTS)
@pytest.mark.parametrize("junk", [None, 7, [], {}, "x", [["x"]], {"tag": "img"}, [None, 1, {}]])
def test_odd_members(tag, junk):
    """Members of other types make a poorer reading, never an error."""
    names = (
        *("text", "content", "elements", "options", "columns", "rows", "persons", "img_list"),
        *("placeholder", "label", "alt", "title", "chart_spec", "behaviors", "multi_url", "url"),
        *("i18n", "initial_option", "selected_values", "default_value", "initial_date", "actions"),
    )
    assert CardWalk(ELEMENTS, known).inline({"tag": tag} | dict.fromkeys(names, junk)) is not None


def test_images_are_remembered():
    """The keys of all images on a card are known after the walk, those of icons not."""
    walk = CardWalk(ELEMENTS, known)
    walk.lines(
        {"tag": "img", "img_key": "a"},
        {"tag": "img_combination", "img_list": [{"img_key": "b"}]},
        {"tag": "select_img", "options": [{"img_key": "c"}]},
        {"tag": "markdown", "content": "![](img_d)"},
        {"tag": "custom_icon", "img_key": "e"},
    )
    assert walk.markdown.image_keys == ["a", "b", "c", "img_d"]


def test_tables_do_not_multiply():
    """Many columns that no row fills do not make a long text of a short card."""
    table = {"tag": "table", "columns": [{}] * 300, "rows": [{}] * 300}
    assert len("\n".join(CardWalk(ELEMENTS, known).lines([table] * 20))) < 20_000


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"en_us": "e", "zh_cn": "z"}, "z"),
        ({"ja_jp": "j", "en_us": "e"}, "e"),
        ({"zh_cn": "", "ja_jp": "j"}, "j"),
        ({"fr_fr": "f", "de_de": "d"}, "f"),
        ({}, None),
        ("z", None),
        (None, None),
    ],
)
def test_the_preferred_locale(value, expected):
    """Chinese goes before English before Japanese before whatever comes first."""
    assert localized(value) == expected
