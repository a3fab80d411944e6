"""What a filter may hold."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feishu_ws.model import Filter
from feishu_ws.wire.wanted import MAX_CHAT_CHARS, MAX_CHATS, MAX_TYPE_CHARS, MAX_TYPES, find_flaw

CHATS = f"at most {MAX_CHATS} chat ids of 1 to {MAX_CHAT_CHARS} characters without blanks"
GLOBS = f"at most {MAX_TYPES} globs of 1 to {MAX_TYPE_CHARS} characters without blanks"


@pytest.mark.parametrize(
    "wanted",
    [
        Filter(),
        Filter(types=()),
        Filter(types=("im.message.*", "[a-c]?.[!x]*", "[", "]", "群.*")),
        Filter(types=("x" * MAX_TYPE_CHARS,) * MAX_TYPES),
        Filter(chats=("oc_1",) * MAX_CHATS),
        Filter(chats=("x" * MAX_CHAT_CHARS,)),
    ],
)
def test_a_sound_filter(wanted):
    """The largest filters, and any spelling that something may match."""
    assert find_flaw(wanted) is None


@pytest.mark.parametrize(
    ("wanted", "seen", "expected"),
    [
        (Filter(types=("a",) * (MAX_TYPES + 1)), f"types has {MAX_TYPES + 1} words", GLOBS),
        (Filter(types=("a", "b" * 129)), "types has a word of 129 characters", GLOBS),
        (Filter(types=("a", "")), "types has ''", GLOBS),
        (Filter(types=("im.* ",)), "types has 'im.* '", GLOBS),
        (Filter(types=("im.*\n",)), r"types has 'im.*\n'", GLOBS),
        (Filter(types=("im.*", "\ud800")), r"types has '\ud800'", GLOBS),
        (Filter(chats=("oc_1",) * (MAX_CHATS + 1)), f"chats has {MAX_CHATS + 1} words", CHATS),
        (Filter(chats=("c" * 257,)), "chats has a word of 257 characters", CHATS),
        (Filter(chats=("oc_1", "")), "chats has ''", CHATS),
        (Filter(chats=("On call",)), "chats has 'On call'", CHATS),
        (Filter(chats=("研发 群",)), "chats has '研发 群'", CHATS),
        (Filter(chats=("x" * 99 + " ",)), f"chats has '{'x' * 80}'", CHATS),
    ],
)
def test_a_flaw_is_named(wanted, seen, expected):
    """What was seen is shown printable and bounded, what was expected with its bounds."""
    assert find_flaw(wanted) == (seen, expected)


@given(st.lists(st.text(st.characters(exclude_categories=()), max_size=8), max_size=4))
def test_what_is_refused_could_never_match_an_id(words):
    """A word is refused only if no event type and no chat id can be it: those are printable."""
    flaw = find_flaw(Filter(chats=tuple(words)))

    assert (flaw is None) == all(word.isprintable() and word and " " not in word for word in words)
