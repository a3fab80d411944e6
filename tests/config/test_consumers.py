"""Declared consumers: names and filters, and what is said of wrong ones."""

import pytest

from feishu_ws.config.consumers import Consumers
from feishu_ws.config.kinds import UnfitError
from feishu_ws.model import Filter


@pytest.mark.parametrize(
    ("value", "seen"),
    [
        (["a", "a"], '"a" twice'),
        (["a", {"name": "a"}], '"a" twice'),
        ([f"c{n}" for n in range(33)], "33 consumers"),
        ([{"name": "a", "typs": []}], '"typs" in a consumer'),
        ([{"types": ["*"]}], "the name null"),
        ([{"name": "a", "types": "im.*"}], 'types = "im.*"'),
        ([{"name": "a", "chats": [1]}], "chats = [1]"),
        ([{"name": "a", "ignore_own": 1}], "ignore_own = 1"),
        ([7], "7 in the list"),
        (["a" * 65], f'the name "{"a" * 65}"'),
        (["Ä"], 'the name "Ä"'),
        (["a\n"], 'the name "a\\n"'),
        ([{"name": "a", "types": []}], "types = [] of a"),
        ([{"name": "a", "types": ["im.*", ""]}], "types has '' in a"),
        ([{"name": "a", "types": ["im .*"]}], "types has 'im .*' in a"),
        ([{"name": "a", "types": ["x" * 129]}], "types has a word of 129 characters in a"),
        ([{"name": "a", "types": ["x"] * 513}], "types has 513 words in a"),
        ([{"name": "a", "types": ["\x85"]}], r"types has '\x85' in a"),
        ([{"name": "a", "chats": ["On call"]}], "chats has 'On call' in a"),
        ([{"name": "a", "chats": ["oc_1"] * 1025}], "chats has 1025 words in a"),
    ],
)
def test_a_wrong_consumer_is_pointed_at(value, seen):
    """The entry that is wrong is named, not the whole list."""
    with pytest.raises(UnfitError) as caught:
        Consumers().parse(value)

    assert caught.value.seen == seen


def test_a_consumer_may_be_a_name_or_a_table():
    """Every key of a table but the name may be left out; chats = [] is every chat."""
    given = ["a", {"name": "b"}, {"name": "c", "types": ["im.*"], "chats": [], "ignore_own": True}]

    assert Consumers().parse(given) == (
        ("a", Filter()),
        ("b", Filter()),
        ("c", Filter(("im.*",), (), ignore_own=True)),
    )


def test_a_filter_is_shown_in_short():
    """Types in full, chats by number."""
    wanted = Filter(("im.*", "vc.*"), ("oc_1", "oc_2"), ignore_own=True)

    assert Consumers().show((("a", Filter()), ("b", wanted))) == (
        '["a", "b (im.*,vc.*; 2 chats; ignore_own)"]'
    )
