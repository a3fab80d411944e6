import pytest
from events.corpus import TEXT, message, payloads, unhurried
from hypothesis import given
from hypothesis import strategies as st

from feishu_ws.events.envelope import open_envelope
from feishu_ws.events.message import read_message
from feishu_ws.events.summary import MAX_CHARS, printable, summarize

LONGEST = MAX_CHARS * len("\\U0001f600")


def test_a_message():
    """A message shows where, who and what."""
    line = summarize("im.message.receive_v1", "oc_1", read_message(TEXT))
    assert line == "im.message.receive_v1 (message) oc_1 ou_sender: @AstrBot hello"


@pytest.mark.parametrize(
    ("event_type", "subject", "line"),
    [
        ("im.message.recalled_v1", "oc_1", "im.message.recalled_v1 (message recalled) oc_1"),
        ("contact.scope.updated_v3", "", "contact.scope.updated_v3 (contact scope changed)"),
        ("feishu.unknown", "", "feishu.unknown"),
        ("x" * 300, "y" * 300, "x" * 80 + " " + "y" * 40),
        ("a\nb", "c\x1b[31m", "a\\nb c\\x1b[31m"),
    ],
)
def test_other_events(event_type, subject, line):
    """Any other event shows its type, what that means, and its subject."""
    assert summarize(event_type, subject, None) == line


def test_words_stay_on_one_line():
    """Newlines, control characters and direction marks are shown escaped, emoji as they are."""
    text = "a\nb\x1b[2J\u202e\u3000\U0001f468\u200d\U0001f469"
    line = summarize("t", "", read_message(message("text", {"text": text})))
    assert line == "t ou_sender: a\\nb\\x1b[2J\\u202e \U0001f468\u200d\U0001f469"


def test_long_words_are_cut():
    """A long message is cut with an ellipsis."""
    line = summarize("t", "", read_message(message("text", {"text": "x" * 3_000_000})))
    assert len(line) == MAX_CHARS
    assert line.endswith("x…")


def test_a_message_without_a_sender():
    """Without an id, somebody wrote it."""
    found = read_message(b'{"event":{"message":{"message_type":"image","content":"{}"}}}')
    assert summarize("t", "", found) == "t somebody: [image]"


@unhurried
@given(st.text(), st.text(), st.one_of(st.none(), payloads().map(read_message)))
def test_any_event_makes_one_bounded_line(event_type, subject, found):
    """Whatever an event holds, its summary is one printable line of bounded length."""
    line = summarize(event_type, subject, found)
    assert len(line) <= LONGEST
    assert line.replace("\u200d", "").isprintable()


@unhurried
@given(payloads())
def test_envelopes_have_summaries(payload):
    """Any envelope can be shown."""
    envelope = open_envelope(payload)
    assert summarize(envelope.type, envelope.subject, None).startswith(envelope.type[:80])


def test_limit_of_printable():
    """Text up to the limit is left alone."""
    assert printable("x" * 5, 5) == "x" * 5
    assert printable("x" * 6, 5) == "xxxx…"
