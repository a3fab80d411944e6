"""What a filter names."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feishu_ws.model import CompiledFilter, Envelope, Filter

MESSAGE = "im.message.receive_v1"


def names(event_type=MESSAGE, *, types=("*",), chats=(), ignore_own=False, **envelope):
    wanted = Filter(tuple(types), tuple(chats), ignore_own=ignore_own).compile()
    return wanted.names(Envelope(type=event_type, **envelope))


@pytest.mark.parametrize(
    ("types", "event_type", "named"),
    [
        (["*"], "anything at all", True),
        ([], MESSAGE, False),
        ([MESSAGE], MESSAGE, True),
        ([MESSAGE], MESSAGE + "0", False),
        ([MESSAGE], "x" + MESSAGE, False),
        ([MESSAGE], "IM.message.receive_v1", False),
        (["im"], MESSAGE, False),
        (["im.*"], MESSAGE, True),
        (["im.*"], "im.", True),
        (["im.*"], "im", False),
        (["im.*"], "imxmessage", False),
        (["*.receive_v1"], MESSAGE, True),
        (["im.*_v1"], MESSAGE, True),
        (["im.*_v2"], MESSAGE, False),
        (["*message*"], MESSAGE, True),
        (["im.message.receive_v?"], MESSAGE, True),
        (["im.message.receive_v??"], MESSAGE, False),
        (["im.message.receive_v[12]"], MESSAGE, True),
        (["im.message.receive_v[!1]"], MESSAGE, False),
        (["im.message.receive_v[3-9]"], MESSAGE, False),
        (["[z-a]"], "m", False),
        (["["], "[", True),
        (["[]"], "[]", True),
        (["[*]"], "*", True),
        (["[*]"], MESSAGE, False),
        (["im.message.receive_v1|x"], MESSAGE, False),
        (["im.message.receive_v1|x"], "im.message.receive_v1|x", True),
        ([r"im\.*"], MESSAGE, False),
        (["^im.*$"], MESSAGE, False),
        (["**"], MESSAGE, True),
        (["?"], "\n", True),
        (["drive.*", "im.*"], MESSAGE, True),
        (["drive.*", "vc.*"], MESSAGE, False),
        (["drive.*", "*"], MESSAGE, True),
        (["feishu.unknown"], "feishu.unknown", True),
        (["im.*"], "feishu.unknown", False),
        (["v1.*"], MESSAGE, False),
        (["群.*"], "群.新", True),
    ],
)
def test_types_are_globs_over_the_whole_type(types, event_type, named):
    """`*`, `?` and `[…]` as in a shell, capitals and all; every other character is itself."""
    assert names(event_type, types=types) is named


@pytest.mark.parametrize(
    ("chats", "chat_id", "named"),
    [
        ([], "oc_1", True),
        (["oc_1"], "oc_1", True),
        (["oc_1"], "oc_2", False),
        (["oc_1", "oc_2"], "oc_2", True),
        (["oc_1"], "", True),
        (["oc_*"], "oc_1", False),
        (["OC_1"], "oc_1", False),
    ],
)
def test_chats_are_ids(chats, chat_id, named):
    """An event of another chat is not named; one of no chat is, and there are no globs."""
    assert names(chats=chats, chat_id=chat_id) is named


@pytest.mark.parametrize(
    ("ignore_own", "from_app", "named"),
    [(False, False, True), (False, True, True), (True, False, True), (True, True, False)],
)
def test_ones_own_may_be_ignored(ignore_own, from_app, named):
    """Only where that is asked for."""
    assert names(ignore_own=ignore_own, from_app=from_app) is named


def test_every_condition_has_to_hold():
    """Type, chat and sender, all of them."""
    wanted = {"types": ["im.*"], "chats": ["oc_1"], "ignore_own": True}

    assert names(**wanted, chat_id="oc_1")
    assert not names("vc.x", **wanted, chat_id="oc_1")
    assert not names(**wanted, chat_id="oc_2")
    assert not names(**wanted, chat_id="oc_1", from_app=True)


@given(st.lists(st.text("ab.*?[]!-", max_size=6), max_size=4), st.text("ab.", max_size=5))
def test_a_second_look_says_the_same(types, event_type):
    """What was remembered of a type is what would be found anew, and any glob compiles."""
    wanted = Filter(tuple(types)).compile()
    first = wanted.names(Envelope(type=event_type))

    assert wanted.names(Envelope(type=event_type)) is first
    assert first is names(event_type, types=types)


@given(st.text(), st.text())
def test_what_is_no_wildcard_matches_itself_alone(word, event_type):
    """However a type is spelt."""
    plain = re.sub(r"[*?\[\]]", "", word)

    assert names(plain, types=[plain])
    assert names(event_type, types=[plain]) is (event_type == plain)


def test_types_from_outside_are_remembered_up_to_a_bound():
    """Beyond it they are looked at anew, with the same result."""
    wanted = Filter(("*1",)).compile()
    found = [wanted.names(Envelope(type=str(n))) for n in range(3000)]

    assert found == [str(n).endswith("1") for n in range(3000)]
    assert len(wanted._known) == CompiledFilter._REMEMBERED


def test_a_glob_of_many_stars_takes_no_time():
    """A hostile glob on a hostile type: what backtracks would not end."""
    assert not names("a" * 256, types=["*a" * 60 + "*b"])
