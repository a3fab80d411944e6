import pytest
from events.corpus import unhurried
from hypothesis import given
from hypothesis import strategies as st

from feishu_ws.events.markdown import MarkdownReader, find_image_keys, resolve_entities
from feishu_ws.events.mentions import Mentions
from feishu_ws.events.received import Mentioned
from feishu_ws.events.segments import MAX_SEGMENTS, Image, Markdown, Mention

known = Mentions([Mentioned("@_user_1", "ou_tom", "Tom")])
TOM = Mention("@_user_1", "Tom", "ou_tom")


def split(markdown: str) -> list:
    return list(MarkdownReader(known).split(markdown))


@pytest.mark.parametrize(
    ("markdown", "segments"),
    [
        ("**a**", [Markdown("**a**")]),
        ("", []),
        ("<at id=ou_tom></at> hi", [TOM, Markdown(" hi")]),
        (
            '- <at user_id="ou_new">Ann</at>\n- b',
            [Markdown("- "), Mention("ou_new", "Ann", "ou_new"), Markdown("\n- b")],
        ),
        ("<at ids=ou_tom,ou_2></at>", [TOM, Mention("ou_2", "", "ou_2")]),
        ("![a cat](img_v3_1) b", [Image("img_v3_1", "a cat"), Markdown(" b")]),
        ("![](https://x/a.png)", [Markdown("![](https://x/a.png)")]),
        ("<at>x</at> <b> a < b", [Markdown("<at>x</at> <b> a < b")]),
        ("<at id=ou_tom>", [TOM]),
        ("`<at id=ou_tom></at>`", [Markdown("`<at id=ou_tom></at>`")]),
        (
            "```\n![x](img_1)\n```\n<at id=ou_tom></at>",
            [Markdown("```\n![x](img_1)\n```"), Markdown("\n"), TOM],
        ),
        ("```\n<at id=ou_tom></at>", [Markdown("```\n<at id=ou_tom></at>")]),
    ],
)
def test_mentions_and_images_stand_by_themselves(markdown, segments):
    """Mentions and images of Feishu's markdown become segments, but not inside code."""
    assert split(markdown) == segments


@pytest.mark.parametrize(
    ("markdown", "words"),
    [
        ("plain", "plain"),
        ("<font color='red'>hot</font> &lt;5", "hot <5"),
        ("<text_tag color='blue'>new</text_tag> <number_tag>3</number_tag>", "new 3"),
        ("a<br>b<br/>c<br />d", "a\nb\nc\nd"),
        ("<a href='https://x'>here</a>", "[here](https://x)"),
        ("<a href='https://x'></a>", "https://x"),
        ("<link icon='chat' url='https://x'>here</link>", "[here](https://x)"),
        ('<a href="https://x"><font color="red">here</font></a>', "[here](https://x)"),
        ("<person id='ou_tom' show_name=true></person>", "@Tom"),
        ("<local_datetime millisecond='1710500000000'></local_datetime>", "2024-03-15 10:53 UTC"),
        ("<local_datetime format_type='date'>soon</local_datetime>", "soon"),
        ("<local_datetime format_type='date'></local_datetime>",) * 2,
        ("<a name='x'>here</a>",) * 2,
        ("<person name='x'></person>",) * 2,
        ("<at id=ou_tom></at> ![cat](img_1)", "@Tom [image: cat]"),
        ("<at id=ou_tom mention_key=@_user_1></at>", "@Tom"),
        ("<at ids=ou_tom,ou_2></at>", "@Tom @ou_2"),
        ("`<font>` &amp; `&amp;`", "`<font>` & `&amp;`"),
        ("<script>x</script>",) * 2,
    ],
)
def test_words_as_a_card_shows_them(markdown, words):
    """Colours and tags are left out of a card's words, links and names stay; code is exact."""
    assert MarkdownReader(known).words(markdown) == words


def test_images_of_words_are_remembered():
    """Whoever reads a card's words learns the keys of the images in them."""
    reader = MarkdownReader(known)
    reader.words("![](img_1) `![](img_2)` ![](img_3)")
    assert reader.image_keys == ["img_1", "img_3"]


def test_image_keys_are_found_outside_code():
    """The keys of images, in the order in which they stand there."""
    assert list(find_image_keys("![a](img_1)\n```\n![b](img_2)\n```\n![c](img_3)")) == [
        "img_1",
        "img_3",
    ]


@pytest.mark.parametrize(
    ("text", "resolved"),
    [
        ("&lt;b&gt; &amp;&#60;&#x3c;", "<b> &<<"),
        ("R&D", "R&D"),
        ("https://x?a=1&copy=2&lt=3", "https://x?a=1&copy=2&lt=3"),
        ("&nosuch;", "&nosuch;"),
        ("a&nbsp;b", "a\xa0b"),
    ],
)
def test_entities(text, resolved):
    """Entities are resolved where they end in a semicolon, as they do in Feishu's markdown."""
    assert resolve_entities(text) == resolved


def test_names_do_not_multiply():
    """Only so many tags become names, however they are spread over code and words."""
    named = Mentions([Mentioned("@_user_1", "ou_tom", "n" * 256)])
    markdown = "<at id=ou_tom></at>`x`<person id=ou_tom></person>" * 10_000
    words = MarkdownReader(named).words(markdown)
    assert words.count("n" * 256) == MAX_SEGMENTS
    segments = list(MarkdownReader(named).split(markdown))
    assert sum(isinstance(one, Mention) for one in segments) == MAX_SEGMENTS


tags = st.sampled_from(
    (
        *("<at id=ou_tom></at>", "<at ", "</at>", "![a](img_1)", "![", "](img_", "`", "```", "\n"),
        *("<a href=x>", "</a>", "<font>", "<br>", "&lt;", "&", ";", "<", ">", "@_user_1", "x", " "),
    )
)


@unhurried
@given(st.lists(tags, max_size=30).map("".join))
def test_no_text_is_lost(markdown):
    """Putting tags back for what they became gives the markdown that was split."""
    back = {"Mention": "<at id=ou_tom></at>", "Image": "![a](img_1)"}
    pieces = [
        one.text if isinstance(one, Markdown) else back[type(one).__name__]
        for one in split(markdown)
    ]
    open_ended = markdown.replace("<at id=ou_tom></at>", "<at id=ou_tom>")
    assert "".join(pieces).replace("<at id=ou_tom></at>", "<at id=ou_tom>") == open_ended
    assert "" not in pieces


@unhurried
@given(st.lists(st.one_of(tags, st.text(max_size=3)), max_size=30).map("".join))
def test_any_markdown_has_words(markdown):
    """Any text at all has words; what has no signs of markdown is its own."""
    words = MarkdownReader(known).words(markdown)
    assert words == markdown or set("<&!") & set(markdown)
