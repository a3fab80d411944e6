import json

import pytest
from events.corpus import TEXT, event, message, payloads, unhurried, values
from hypothesis import given
from hypothesis import strategies as st

from feishu_ws.events.envelope import open_envelope
from feishu_ws.events.message import read_message
from feishu_ws.events.summary import MAX_CHARS, Summary, printable, summarize

ESCAPED = len("\\U0001f600")
LONGEST = 80 * ESCAPED


def words(text):
    return summarize("t", "", None, read_message(message("text", {"text": text}))).words


def test_a_message():
    """A message shows what was said, who and where."""
    summary = summarize("im.message.receive_v1", "oc_1", json.loads(TEXT), read_message(TEXT))

    assert summary == Summary(
        "im.message.receive_v1", "message", "oc_1", "ou_sender", "@AstrBot hello"
    )


def test_another_event():
    """Any other event shows the one thing that matters."""
    data = json.loads(
        event("x", {"user_id": {"open_id": "ou_1"}, "reaction_type": {"emoji_type": "OK"}})
    )

    assert summarize("im.message.reaction.created_v1", "om_1", data, None) == Summary(
        "im.message.reaction.created_v1", "reaction added", "om_1", "ou_1", ":OK:"
    )


@pytest.mark.parametrize(
    ("subject", "body", "where", "who"),
    [
        ("ou_1", {"open_id": "ou_1"}, "", "ou_1"),
        ("ou_1", {"operator_name": "Ann"}, "", "Ann"),
        ("ou_1", {}, "", "ou_1"),
        ("oc_1", {}, "oc_1", ""),
        ("", {}, "", ""),
    ],
)
def test_a_user_is_not_where_but_who(subject, body, where, who):
    """A subject that is a user is named once, by name if there is one."""
    summary = summarize("t", subject, {"event": body}, None)

    assert (summary.where, summary.who) == (where, who)


@pytest.mark.parametrize(
    ("event_type", "subject", "shown"),
    [
        ("feishu.unknown", "", ("feishu.unknown", "unknown", "")),
        ("x" * 300, "y" * 300, ("x" * 79 + "…", "", "y" * 79 + "…")),
        ("a\nb", "c\x1b[31m", ("a\\nb", "", "c\\x1b[31m")),
    ],
)
def test_types_and_ids_from_outside(event_type, subject, shown):
    """Whatever they are, they are bounded, and nothing in them steers a terminal."""
    assert summarize(event_type, subject, None, None)[:3] == shown


def test_words_stay_on_one_line():
    """Newlines, control characters and direction marks are shown escaped, emoji as they are."""
    text = "a\nb\x1b[2J\u202e\u061c\u2066\ufeff\U000e0041\u3000\U0001f468\u200d\U0001f469"

    assert words(text) == (
        "a\\nb\\x1b[2J\\u202e\\u061c\\u2066\\ufeff\\U000e0041 \U0001f468\u200d\U0001f469"
    )


def test_long_words_are_cut():
    """A long message is cut with an ellipsis, one that fits is not."""
    assert words("x" * 3_000_000) == "x" * (MAX_CHARS - 1) + "…"
    assert words("x" * MAX_CHARS) == "x" * MAX_CHARS


def test_a_message_without_a_sender():
    """Without an id, somebody wrote it."""
    found = read_message(b'{"event":{"message":{"message_type":"image","content":"{}"}}}')

    assert summarize("t", "", None, found)[3:] == ("somebody", "[image]")


@unhurried
@given(st.text(), st.text(), values, st.one_of(st.none(), payloads().map(read_message)))
def test_any_event_has_a_bounded_summary(event_type, subject, data, found):
    """Whatever an event holds, each part is printable and of bounded length."""
    summary = summarize(event_type, subject, {"event": data}, found)

    for part in summary:
        assert len(part) <= MAX_CHARS * ESCAPED
        assert part.replace("\u200d", "").isprintable()
    assert max(map(len, summary[:4])) <= LONGEST


@unhurried
@given(payloads())
def test_envelopes_have_summaries(payload):
    """Any payload can be shown."""
    envelope = open_envelope(payload)
    summary = summarize(envelope.type, envelope.subject, json.loads(payload), None)

    assert summary.type == printable(envelope.type, 80)


def test_limit_of_printable():
    """Text up to the limit is left alone."""
    assert printable("x" * 5, 5) == "x" * 5
    assert printable("x" * 6, 5) == "xxxx…"
