import msgspec

from feishu_ws.events.content import one_segment
from feishu_ws.events.mentions import Mentions
from feishu_ws.events.segments import Text


class Shape(msgspec.Struct):
    words: str = "none"


read = one_segment(Shape, lambda found: Text(found.words))


def test_one_object_makes_one_segment():
    """An object makes its segment, fields of other types as if absent."""
    assert read('{"words":"a"}', Mentions(())) == [Text("a")]
    assert read('{"words":1}', Mentions(())) == [Text("none")]


def test_anything_else_makes_none():
    """What is no object is left to the fallback."""
    assert read("[]", Mentions(())) is None
