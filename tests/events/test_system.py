import json

import pytest
from events.corpus import unhurried, values
from hypothesis import given

from feishu_ws.events.mentions import Mentions
from feishu_ws.events.segments import Forwarded, System, Unknown
from feishu_ws.events.system import read_forwarded, read_system, read_unknown

nobody = Mentions(())


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (
            {
                "template": "{from_user} invited {to_chatters} to {name}",
                "from_user": ["Alice"],
                "to_chatters": ["Bob", {"id": "ou_1", "name": "Carl"}, {"id": "ou_2"}, 7, None],
                "name": "Room A",
            },
            "Alice invited Bob, Carl, ou_2, 7 to Room A",
        ),
        ({"template": "{missing} left"}, "left"),
        ({"template": "{a} {b}", "a": 5, "b": {"name": "B"}}, "5 B"),
        (
            {
                "template": "{divider_text}",
                "from_user": [],
                "divider_text": {"text": "新会话", "i18n_text": {"en_us": "New Session"}},
            },
            "新会话",
        ),
        ({"template": "{a}{b}", "a": [["x"]], "b": {"name": 3, "id": "x"}}, "3"),
        ({"template": "no {Blank here} {}"}, "no {Blank here} {}"),
        ({"template": ""}, ""),
    ],
)
def test_blanks_are_filled(content, text):
    """A notice reads as a sentence, its blanks filled with names."""
    assert read_system(json.dumps(content), nobody) == [System(text)]


@pytest.mark.parametrize("content", ["", "[]", "words", "{}", '{"template":3}', "[" * 9000])
def test_without_a_template(content):
    """Content without a template is left to the fallback."""
    assert read_system(content, nobody) is None


def test_blanks_do_not_multiply():
    """Many blanks and long names make a bounded notice."""
    content = {"template": "{a}" * 10_000, "a": ["x" * 10_000] * 1000}
    (segment,) = read_system(json.dumps(content), nobody) or ()
    assert isinstance(segment, System)
    assert len(segment.text) < 64 * 64 * 260 + 30_000


@pytest.mark.parametrize(
    ("content", "segment"),
    [
        ("Merged and Forwarded Message", Forwarded()),
        ('{"content":"Merged and Forwarded Message"}', Forwarded()),
        ('{"create_message_ids":["om_1",2,"om_2"]}', Forwarded(["om_1", "om_2"])),
        ("", Forwarded()),
    ],
)
def test_forwarded_messages(content, segment):
    """Forwarded messages come as a sentence, which says nothing, or as their ids."""
    assert read_forwarded(content, nobody) == [segment]


def test_forwarded_messages_are_bounded():
    """No more ids than 1,024 are kept, none longer than a name."""
    content = json.dumps({"create_message_ids": ["x" * 300] * 2000})
    (segment,) = read_forwarded(content, nobody) or ()
    assert isinstance(segment, Forwarded)
    assert (len(segment.message_ids), len(segment.message_ids[0])) == (1024, 256)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ('{"text":"words"}', "words"),
        ('{"title":"words"}', "words"),
        ('{"text":1,"content":"words"}', "words"),
        ('{"other":"words"}', ""),
        ("Please update your client", "Please update your client"),
        ("[1]", ""),
        ('"words"', ""),
        (r'["\ud800"]', ""),
        ("", ""),
    ],
)
def test_what_is_not_known_keeps_its_words(content, text):
    """Unknown content reads as its words, if it has any where words usually stand."""
    assert read_unknown(content, "new") == [Unknown("new", text)]


@unhurried
@given(values)
def test_any_json_is_a_notice_or_none(value):
    """Any JSON gives a notice or none, and never raises."""
    found = read_system(json.dumps(value), nobody)
    assert found is None or isinstance(found[0], System)
    assert isinstance(read_unknown(json.dumps(value), "new")[0], Unknown)
