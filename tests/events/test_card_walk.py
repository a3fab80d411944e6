import pytest

from feishu_ws.events.card_walk import MAX_DEPTH, MAX_PIECES, CardWalk
from feishu_ws.events.mentions import Mentions


def walk() -> CardWalk:
    readers = {"shout": lambda found, node, depth: found.inline(node.get("text"), depth).upper()}
    return CardWalk(readers | {"text": lambda _, node, __: node["text"]}, Mentions(()))


@pytest.mark.parametrize(
    ("node", "lines"),
    [
        ("a", ["a"]),
        (["a", "b"], ["a", "b"]),
        ({"title": "a", "text": {"content": "b"}, "value": "c"}, ["a", "b"]),
        ({"elements": [{"text": "x"}], "header": {"title": "a"}}, ["a", "x"]),
        ({"tag": "shout", "text": {"content": "a"}}, ["A"]),
        ({"tag": "new", "text": "a"}, ["a"]),
        ({"tag": ["shout"], "text": "a"}, ["a"]),
        ([" a ", "a", "", "b", "a"], ["a", "b", "a"]),
        ([1, None, True, 2.5, {}], []),
    ],
)
def test_what_is_shown(node, lines):
    """Elements are read by tag, containers in the order shown, repeats of a line once."""
    assert walk().lines(node) == lines


def test_a_paragraph_runs_on():
    """Words of a paragraph run on, anything else stands apart."""
    row = [
        {"tag": "text", "text": "see "},
        {"tag": "text", "text": "this"},
        {"tag": "shout", "text": "a"},
        {"tag": "shout", "text": "b"},
        {"tag": "text", "text": "end"},
        "loose",
    ]
    assert walk().lines([row]) == ["see this A B end loose"]


def test_depth_is_bounded():
    """What lies deeper than anybody nests is not read, and nothing breaks."""
    node = {"text": "bottom"}
    for _ in range(MAX_DEPTH * 4):
        node = {"text": node}
    assert walk().lines(node) == []
    assert walk().inline({"tag": "shout", "text": {"content": "a"}}, 2) == ""


def test_a_walk_goes_so_far():
    """A walk passes a bounded number of nodes, over all that it is asked to read."""
    found = walk()
    lines = found.lines([f"a{number}" for number in range(MAX_PIECES // 2)])
    rest = found.lines([f"b{number}" for number in range(MAX_PIECES)])
    assert len(lines) + len(rest) == MAX_PIECES - 2
    assert list(found.take("abc")) == []
    assert len(list(walk().take(range(MAX_PIECES * 2)))) == MAX_PIECES
    assert walk().inline([["a"] * MAX_PIECES * 2]).endswith("a")
    assert found.lines(["c"]) == []
