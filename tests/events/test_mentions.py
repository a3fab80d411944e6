import pytest
from events.corpus import unhurried
from hypothesis import given
from hypothesis import strategies as st

from feishu_ws.events.mentions import Mentions
from feishu_ws.events.received import Mentioned
from feishu_ws.events.segments import MAX_SEGMENTS, Mention, Text

BOT = Mentioned("@_user_1", "ou_bot", "AstrBot", is_bot=True)
TOM = Mentioned("@_user_2", "ou_tom", "Tom")
NAMELESS = Mentioned("@_user_3", "ou_3", "")
known = Mentions([BOT, TOM, NAMELESS, Mentioned("", "", "nobody")])


def read(text: str) -> str:
    return "".join(segment.read() for segment in known.split(text))


@pytest.mark.parametrize(
    ("text", "reading"),
    [
        ("@_user_1 hello", "@AstrBot hello"),
        ("hi @_user_2@_user_1!", "hi @Tom@AstrBot!"),
        ("@_user_22 is not @_user_2", "@_user_22 is not @Tom"),
        ("@_user_3 has no name", "@_user_3 has no name"),
        ("@_user_9 is not known", "@_user_9 is not known"),
        ("@_all come", "@all come"),
        ("@_all_employees", "@_all_employees"),
        ("mail@_user_1", "mail@AstrBot"),
        ("plain", "plain"),
        ("@_", "@_"),
        ("", ""),
        ("[t](https://u) 中文", "[t](https://u) 中文"),
    ],
)
def test_placeholders_become_names(text, reading):
    """Placeholders of known people read as their names, anything else stays."""
    assert read(text) == reading


def test_text_is_split_at_mentions():
    """Segments say who is meant, in the order of the text."""
    assert known.split("a @_user_1 b @_all") == [
        Text("a "),
        Mention("@_user_1", "AstrBot", "ou_bot", is_bot=True),
        Text(" b "),
        Mention("@_all", "all"),
    ]


def test_everybody_has_the_name_feishu_gives():
    """An entry for everybody in the message's own mentions goes first."""
    everybody = Mentions([Mentioned("@_all", "", "所有人")])
    assert everybody.split("@_all") == [Mention("@_all", "所有人")]


@pytest.mark.parametrize(
    ("key", "name", "mention"),
    [
        ("@_user_2", "", Mention("@_user_2", "Tom", "ou_tom")),
        ("ou_tom", "Thomas", Mention("@_user_2", "Tom", "ou_tom")),
        ("@_user_3", "Ann", Mention("@_user_3", "Ann", "ou_3")),
        ("ou_new", "New", Mention("ou_new", "New", "ou_new")),
        ("@_user_7", "Seven", Mention("@_user_7", "Seven")),
        ("all", "", Mention("@_all", "all")),
        ("all_members", "", Mention("@_all", "all")),
        ("", "Who", Mention("", "Who")),
    ],
)
def test_people_are_found_by_placeholder_and_by_id(key, name, mention):
    """Rich text names people by placeholder or by id, and may bring the name itself."""
    assert known.find(key, name) == mention


@pytest.mark.parametrize(
    ("attributes", "name", "reading"),
    [
        ('id="ou_tom"', "", "@Tom"),
        ("id=ou_tom", "", "@Tom"),
        ('user_id="ou_new"', "New", "@New"),
        ("open_id='ou_new'", "", "@ou_new"),
        ("id='all'", "", "@all"),
        ("id=all_members", "", "@all"),
        ("id=ou_9 mention_key=@_user_2", "", "@Tom"),
        ('mention_key="@_user_2"', "n", "@Tom"),
        ("id=ou_9 mention_key=@_user_9", "", "@ou_9"),
        ("ids=ou_tom,ou_9,ou_bot mentions_key=,@_user_9,@_user_1", "", "@Tom@ou_9@AstrBot"),
        ("ids=ou_tom,ou_bot", "", "@Tom@AstrBot"),
        ("ids=ou_tom mentions_key=@_user_2,@_user_1", "", "@Tom@AstrBot"),
        ("id = 'ou_tom'", "x" * 300, "@Tom"),
        ("email=a@b.c", "Ann", ""),
        ("id=", "Ann", ""),
        ("", "Ann", ""),
    ],
)
def test_tags_name_people(attributes, name, reading):
    """Tags of markdown name people by id, by placeholder, or by lists of both."""
    people = known.find_tagged(attributes, name)
    assert "".join(one.read() for one in people) == reading


def test_names_in_tags_are_clipped():
    """Whoever is not known is called what the tag says, but not at any length."""
    assert known.find_tagged("id=ou_9", "x" * 300) == [Mention("ou_9", "x" * 255 + "…", "ou_9")]


def test_tags_in_plain_text_were_typed():
    """Feishu replaces the tags of plain text, so that what is left of them is no mention."""
    assert read('<at user_id="ou_tom">Tom</at>') == '<at user_id="ou_tom">Tom</at>'


def test_mentions_beyond_the_bound_stay_placeholders():
    """Half a million mentions make a bounded number of segments, and lose no text."""
    segments = known.split("@_user_1 " * 500_000)
    assert len(segments) <= MAX_SEGMENTS + 1
    rest = segments[-1]
    assert isinstance(rest, Text)
    assert rest.text.count("@_user_1") == 500_000 - MAX_SEGMENTS // 2


@unhurried
@given(st.lists(st.sampled_from(("@_user_1", "@_user_2", "@_all", "@_user_9", "@_", "x", " "))))
def test_no_text_is_lost(pieces):
    """Putting the placeholders back gives the text that was split."""
    text = "".join(pieces)
    segments = known.split(text)
    back = [one.key if isinstance(one, Mention) else one.text for one in segments]
    assert "".join(back) == text
    assert "" not in back


@unhurried
@given(st.text())
def test_any_text_splits(text):
    """Any text at all reads as itself where nobody is mentioned."""
    assert read(text.replace("@", "")) == text.replace("@", "")
