import pytest
from events.corpus import values
from hypothesis import given
from hypothesis import strategies as st

from feishu_ws.events.lookup import (
    MOST_CHARS,
    at,
    changes,
    compact,
    counted,
    dig,
    each,
    few,
    list_of,
    text_of,
)

STEPS = st.lists(st.one_of(st.text(max_size=3), st.integers(0, 3)), max_size=3)


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (("a", "b", 1, "c"), "x"),
        (("a", "b", 0), None),
        (("a", "b", 2), None),
        (("a", 0), None),
        (("a", "b", "c"), None),
        (("z", "y"), None),
        ((), {"a": {"b": [None, {"c": "x"}]}}),
    ],
)
def test_a_path_leads_somewhere_or_nowhere(path, found):
    """Names lead into objects, numbers into lists."""
    assert dig({"a": {"b": [None, {"c": "x"}]}}, *path) == found


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("x", "x"),
        ("x" * 999, "x" * MOST_CHARS),
        (True, "yes"),
        (False, "no"),
        (0, "0"),
        (-1.5, "-1.5"),
        (10**18, ""),
        (-(10**4000), ""),
        (float("inf"), ""),
        (float("nan"), ""),
        (None, ""),
        ([1], ""),
        ({"a": 1}, ""),
    ],
)
def test_only_scalars_have_text(value, text):
    """Of bounded length; numbers no id and no count can be have none."""
    assert text_of(value) == text


def test_readers_of_places():
    """What is not there leaves no gap."""
    body = {"a": "x", "b": {"c": 2}}

    assert at("b", "c")(body) == "2"
    assert each(("a",), ("z",), ("b", "c"))(body) == "x 2"
    assert (list_of([1]), list_of({"a": 1})) == ([1], [])


def test_counts():
    """One is singular."""
    assert (counted(0, "user"), counted(1, "user"), counted(2, "user")) == (
        "0 users",
        "1 user",
        "2 users",
    )


@pytest.mark.parametrize(
    ("names", "total", "told"),
    [
        ([], 0, ""),
        (["a"], 1, "a"),
        (["a", "b", "c"], 3, "a, b, c"),
        (["a", "b", "c", "d"], 4, "a, b, c +1"),
        (["", "b"], 2, "b +1"),
        (["", ""], 2, ""),
    ],
)
def test_a_few_names(names, total, told):
    """Three are named, the others counted."""
    assert few(names, total) == told


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ({"k": "v", "n": 3}, "k=v n=3"),
        ({"a": 1, "b": 2, "c": 3, "d": 4}, "a=1 b=2 c=3"),
        ({"a": {"b": 1}, "c": "x"}, "c=x"),
        ("yes", "yes"),
        ([1], ""),
    ],
)
def test_an_object_in_short(value, told):
    """Its first scalars, by name."""
    assert compact(value) == told


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ({"name": "A"}, {"name": "B"}, "name: A → B"),
        ({"x": 1, "name": "A"}, {"x": 2, "name": "B"}, "name: A → B, x: 1 → 2"),
        ({"name": "A", "same": 1}, {"name": "A", "same": 1}, ""),
        ({"name": "A"}, {"name": "A", "other": 1}, ""),
        ({"owner": {"open_id": "ou_1"}}, {"owner": {"open_id": "ou_2"}}, "owner: ou_1 → ou_2"),
        ({"tags": [1]}, {"tags": [2]}, "tags"),
        (dict.fromkeys("abcde", 1), dict.fromkeys("abcde", 2), "a: 1 → 2, b: 1 → 2, c: 1 → 2 +2"),
        ({"updated_at": 1, "status": 1}, {"updated_at": 2, "status": 2}, "status: 1 → 2"),
        (None, {"name": "B"}, ""),
    ],
)
def test_changes(before, after, told):
    """What both sides name and is not the same, the name first."""
    assert changes(before, after) == told


@given(values, values, STEPS)
def test_nothing_raises(one, other, path):
    """Whatever the JSON, the words are text of bounded length."""
    words = (text_of(dig(one, *path)), compact(one), changes(one, other), at(*path)(one))

    assert all(isinstance(text, str) and len(text) <= 8 * MOST_CHARS for text in words)
