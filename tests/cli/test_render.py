"""Tables, ages and sizes for people."""

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feishu_ws.cli.render import (
    Cell,
    Paint,
    age,
    ago,
    fit,
    local_time,
    pad,
    size,
    table,
    tame_json,
    verbatim,
    width,
)


class _Terminal(io.StringIO):
    def isatty(self):
        return True


def test_columns_are_aligned_also_with_chinese_text():
    """A Chinese character takes two columns."""
    rows = [[Cell("名字"), Cell("x")], [Cell("ab"), Cell("yy")], [Cell("abcdef"), Cell("")]]

    assert table(rows, Paint(io.StringIO())) == ["  名字    x", "  ab      yy", "  abcdef"]


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("abc", 3),
        ("你好", 4),
        ("\uff21b", 3),
        ("e\u0301", 1),
        ("\u0e01\u0e31", 1),
        ("\u2764\ufe0f", 2),
        ("\U0001f468\u200d\U0001f469", 4),
        ("", 0),
    ],
)
def test_the_width_of_text(text, columns):
    """Chinese characters and emoji take two columns, marks and joiners none."""
    assert width(text) == columns


@pytest.mark.parametrize(
    ("text", "columns", "fitting"),
    [
        ("abc", 3, "abc"),
        ("abcd", 3, "ab…"),
        ("你好吗", 6, "你好吗"),
        ("你好吗", 5, "你好…"),
        ("你好吗", 4, "你…"),
        ("e\u0301xy", 2, "e\u0301…"),
        ("ab", 1, "…"),
    ],
)
def test_text_that_does_not_fit_is_cut(text, columns, fitting):
    """Never in the middle of a wide character; the ellipsis is within the columns."""
    assert fit(text, columns) == fitting


@given(st.text(max_size=30), st.integers(1, 40))
def test_padded_text_is_as_wide_as_it_should_be(text, columns):
    """Longer text is cut, shorter text is filled up."""
    assert width(fit(text, columns)) <= columns
    assert width(pad(text, columns)) == columns


def test_an_empty_table_has_no_lines():
    """Nothing is nothing."""
    assert table([], Paint(io.StringIO())) == []


@pytest.mark.parametrize(
    ("stream", "env", "painted"),
    [
        (_Terminal(), {}, True),
        (io.StringIO(), {}, False),
        (_Terminal(), {"NO_COLOR": "1"}, False),
        (_Terminal(), {"NO_COLOR": ""}, True),
        (_Terminal(), {"TERM": "dumb"}, False),
    ],
)
def test_colour_is_for_terminals_that_want_it(monkeypatch, stream, env, painted):
    """In a pipe, with NO_COLOR or on a dumb terminal there is none."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in env.items():
        monkeypatch.setenv(name, value)

    assert Paint(stream)("x", "bad") == ("\x1b[31mx\x1b[0m" if painted else "x")
    assert Paint(stream)("x", "") == "x"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-3, "0 s"), (0, "0 s"), (59.9, "59 s"), (60, "1 min"), (3599, "59 min"), (3600, "1 h 0 min"),
     (86_399, "23 h 59 min"), (86_400, "1 d 0 h"), (200_000, "2 d 7 h")],
)  # fmt: skip
def test_ages(seconds, text):
    """The two largest units."""
    assert age(seconds) == text


@pytest.mark.parametrize(
    ("wall_ms", "text"), [(940_000, "1 min ago"), (None, "-"), (0, "-"), (1_000_001, "0 s ago")]
)
def test_how_long_ago(wall_ms, text):
    """From then to now; a dash for never."""
    assert ago(wall_ms, 1_000_000) == text


def test_json_is_tamed_for_terminals_alone():
    """A program gets it byte for byte."""
    assert verbatim('"\x9b好"', io.StringIO()) == '"\x9b好"'
    assert verbatim('"\x9b好"', _Terminal()) == '"\\u009b好"'


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (5 * 1024**2, "5.0 MiB"), (1024**3, "1.0 GiB"), (2**50, "1048576.0 GiB")],
)  # fmt: skip
def test_sizes(count, text):
    """A unit that leaves few digits."""
    assert size(count) == text


def test_a_time_is_shown_where_one_is(monkeypatch):
    """Local time; what is no time is shown as it is."""
    monkeypatch.setenv("TZ", "UTC")

    assert local_time("2026-03-20T11:03:11.415Z") == "2026-03-20 11:03:11"
    assert local_time("soon") == "soon"
    assert local_time("") == ""


@given(st.text())
def test_tamed_json_is_the_same_json(text):
    """A terminal obeys none of it, a program reads the same."""
    line = json.dumps(text, ensure_ascii=False)
    tamed = tame_json(line)

    assert json.loads(tamed) == text
    assert not [c for c in tamed if "\x7f" <= c <= "\x9f" or "\u202a" <= c <= "\u202e"]


@given(st.text(st.characters(codec="ascii", min_codepoint=32)))
def test_plain_text_is_as_wide_as_it_is_long(text):
    """One column each."""
    assert width(text) == len(text)
    assert width("é") == 1
    assert width("e\u0301") == 1
