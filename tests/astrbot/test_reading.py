"""What messages are to AstrBot."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feishu_ws.astrbot.plugin.reading import (
    components_of,
    is_native,
    object_of,
    readable_post,
    words_of,
)
from feishu_ws.simulator import corpus
from feishu_ws.simulator.messages import CONTENTS

NATIVE = {"text", "post", "image", "file", "audio", "media"}
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


def content_of(kind):
    """Return a sample's content."""
    return json.loads(corpus.sample(f"message.{kind}", 1))["event"]["message"]["content"]


def test_native_types():
    """What this AstrBot reads itself is left to it."""
    assert {kind for kind in CONTENTS if is_native(kind, has_files=True)} == NATIVE
    older = {kind for kind in CONTENTS if is_native(kind, has_files=False)}
    assert older == {"text", "post", "image"}


@pytest.mark.parametrize("kind", sorted(CONTENTS.keys() - NATIVE))
def test_every_other_type_has_words(kind):
    """The daemon's reading comes first; Feishu's JSON stands beside it where it says more."""
    found = components_of({"id": "om_1", "text": "the reading"}, kind, content_of(kind))
    assert found[0] == ("Plain", {"text": "the reading"})
    beside = {name for name, _ in found[1:]}
    assert beside == {
        "sticker": set(),
        "location": {"Location", "Json"},
        "merge_forward": {"Forward"},
    }.get(kind, {"Json"})


def test_location():
    """Coordinates become numbers."""
    found = dict(components_of({}, "location", content_of("location")))
    assert found["Location"] == {
        "lat": 31.230416,
        "lon": 121.473701,
        "title": "上海市黄浦区",
        "content": "上海市黄浦区",
    }


@pytest.mark.parametrize("content", ["{}", '{"latitude": "x", "longitude": "1"}', "no json"])
def test_no_location(content):
    """Coordinates that are none make no place, but words."""
    assert "Location" not in dict(components_of({}, "location", content))


@pytest.mark.parametrize("text", ["", "  ", None])
def test_never_empty(text):
    """A message without a reading says its type: AstrBot ignores empty ones."""
    assert words_of({"text": text}, "vote") == "[vote]"


def test_a_post_keeps_everything():
    """What AstrBot's adapter drops from a post becomes text; the rest stays as it is."""
    before = json.loads(content_of("post"))
    after = json.loads(readable_post(content_of("post")))
    assert after["content"][0] == before["content"][0]
    assert after["title"] == before["title"]
    texts = [each["text"] for line in after["content"][1:] for each in line if "text" in each]
    assert texts == ["[SMILE]", "\n---\n", '\n```go\nfmt.Println("ok")\n\n```\n']
    assert {each["tag"] for line in after["content"] for each in line} == {"text", "a", "at", "img"}


@given(st.text() | JSON.map(json.dumps), st.sampled_from(sorted(CONTENTS)))
def test_total(content, kind):
    """Whatever the content is, there is a reading of it."""
    assert isinstance(object_of(content), dict)
    assert components_of({}, kind, content)[0][0] == "Plain"
    assert isinstance(readable_post(content), str)


@given(JSON)
def test_posts_are_total(inner):
    """Whatever stands in a post, it stays JSON."""
    assert json.loads(readable_post(json.dumps({"content": inner}))).keys() == {"content"}
