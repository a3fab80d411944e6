import json

import pytest
from events.corpus import unhurried, values
from hypothesis import given
from hypothesis import strategies as st

from feishu_ws.events.card import read_card
from feishu_ws.events.card_walk import MAX_DEPTH, MAX_PIECES
from feishu_ws.events.mentions import Mentions
from feishu_ws.events.received import Mentioned
from feishu_ws.events.segments import Card

known = Mentions([Mentioned("@_user_1", "ou_tom", "Tom")])


def read(card) -> list | None:
    return read_card(card if isinstance(card, str) else json.dumps(card), known)


def test_a_degraded_card():
    """What an app receives of a card reads as paragraphs, buttons in brackets."""
    card = {
        "title": "标题",
        "elements": [
            [{"tag": "text", "text": "see "}, {"tag": "a", "href": "https://x", "text": "this"}],
            [
                {"tag": "at", "user_id": "@_user_1"},
                {"tag": "text", "text": " and "},
                {"tag": "at", "user_name": "Ann"},
            ],
            [{"tag": "img", "image_key": "img_1"}],
            [{"tag": "hr"}],
            [{"tag": "button", "text": "ok", "type": "primary"}],
            [{"tag": "emotion", "emoji_type": "SMILE"}],
            [],
        ],
    }
    text = "see [this](https://x)\n@Tom and @Ann\n[image]\n---\n[ok]\n:SMILE:"
    assert read(card) == [Card("标题", text, ["img_1"])]


def test_a_card_as_it_was_sent():
    """Nested texts, fields, columns, notes and actions are read in the order shown."""
    card = {
        "config": {"wide_screen_mode": True},
        "header": {
            "title": {"tag": "plain_text", "content": "Title"},
            "subtitle": {"tag": "plain_text", "content": "Sub"},
        },
        "elements": [
            {"tag": "div", "text": {"tag": "lark_md", "content": "**hi** <at id=ou_tom></at>"}},
            {"tag": "div", "fields": [{"is_short": True, "text": {"content": "f1"}}]},
            {
                "tag": "column_set",
                "columns": [{"elements": [{"tag": "markdown", "content": "c1"}]}],
            },
            {"tag": "img", "img_key": "img_2", "alt": {"content": "alt"}},
            {"tag": "img", "img_key": "img_2"},
            {"tag": "note", "elements": [{"tag": "plain_text", "content": "note"}]},
            {
                "tag": "action",
                "actions": [{"tag": "button", "text": {"content": "Go"}}, {"tag": "button"}],
            },
        ],
    }
    text = "Sub\n**hi** @Tom\nf1\nc1\n[image: alt]\n[image]\nnote\n[Go] [button]"
    assert read(card) == [Card("Title", text, ["img_2"])]


def test_a_card_of_schema_2():
    """The body of the newer schema is read, and what repeats the line before is not."""
    card = {
        "schema": "2.0",
        "header": {"title": {"content": "T"}},
        "body": {
            "elements": [{"tag": "markdown", "content": "a"}, {"tag": "markdown", "content": "a"}]
        },
    }
    assert read(card) == [Card("T", "a")]
    assert read({"card": card}) == [Card("T", "a")]


SENT = {
    "schema": "2.0",
    "header": {
        "title": {"tag": "plain_text", "content": "T"},
        "subtitle": {"tag": "plain_text", "content": "S"},
        "text_tag_list": [{"tag": "text_tag", "text": {"tag": "plain_text", "content": "new"}}],
    },
    "body": {
        "elements": [{"tag": "markdown", "content": "<at id=ou_9 mention_key=@_user_1></at>"}]
    },
}
UPDATE = {"title": "old", "elements": [[{"tag": "text", "text": "please update"}]]}


@pytest.mark.parametrize(
    ("card", "segment"),
    [
        ({**UPDATE, "user_dsl": json.dumps(SENT)}, Card("T", "S\nnew\n@Tom")),
        ({**UPDATE, "user_dsl": "{}"}, Card("old", "please update")),
        ({**UPDATE, "user_dsl": "{"}, Card("old", "please update")),
        ({**UPDATE, "user_dsl": "[]"}, Card("old", "please update")),
        ({**UPDATE, "user_dsl": SENT}, Card("old", "please update")),
        ({"user_dsl": json.dumps({"card": SENT})}, Card("T", "S\nnew\n@Tom")),
    ],
)
def test_the_card_itself_goes_before_what_stands_for_it(card, segment):
    """A newer card is read from `user_dsl`, the request to update only without it."""
    assert read(card) == [segment]


@pytest.mark.parametrize(
    ("card", "segment"),
    [
        (
            {
                "i18n_header": {"en_us": {"title": {"content": "N"}}},
                "i18n_elements": {"en_us": [{"content": "e"}], "zh_cn": [{"content": "z"}]},
            },
            Card("N", "z"),
        ),
        (
            {
                "type": "template",
                "data": {
                    "template_id": "AAq",
                    "template_variable": {"a": "x", "b": [{"c": 1, "d": ""}], "e": None},
                },
            },
            Card("", "a: x\nc: 1"),
        ),
        ({"type": "raw", "data": SENT}, Card("T", "S\nnew\n@Tom")),
        ({"config": {"summary": {"content": "short"}}, "body": {}}, Card("", "short")),
        ({"config": {"summary": {"content": "short"}}, "title": "t"}, Card("t")),
    ],
)
def test_other_forms_of_cards(card, segment):
    """Cards by locale, templates, wrapped cards, and cards that show nothing but a summary."""
    assert read(card) == [segment]


@pytest.mark.parametrize(
    ("card", "segment"),
    [
        ({}, Card()),
        ({"type": "template", "data": {"template_id": "AAq"}}, Card()),
        ({"title": None, "elements": None}, Card()),
        ({"title": 5, "header": 7, "elements": {"text": 3}}, Card()),
        ({"elements": ["a", ["b", {"tag": "text", "text": 1}], 3, {"tag": []}]}, Card("", "a\nb")),
        (r'{"title":"\ud800"}', Card("\ufffd")),
    ],
)
def test_strange_cards(card, segment):
    """What fits of a strange card is read."""
    assert read(card) == [segment]


@pytest.mark.parametrize("content", ["", "[]", "null", "words", '{"a":1e999}', "[" * 9000])
def test_what_is_no_card_is_none(content):
    """Content that is no JSON object, or cannot be represented, is left to the fallback."""
    assert read(content) is None


def test_depth_and_size_are_bounded():
    """A card of hostile depth or length is read as far as is sensible."""
    deep = {"text": "bottom"}
    for _ in range(MAX_DEPTH * 4):
        deep = {"text": deep}
    assert read(deep) == [Card()]
    (card,) = read({"elements": [f"line {number}" for number in range(MAX_PIECES * 2)]})
    assert MAX_PIECES - 10 < len(card.text.splitlines()) <= MAX_PIECES


@unhurried
@given(st.dictionaries(st.sampled_from(("title", "header", "elements", "body")), values))
def test_any_object_is_a_card(value):
    """Any object gives a card whose words can be written as UTF-8, or none."""
    found = read(value)
    assert found is None or found[0].read().encode()
