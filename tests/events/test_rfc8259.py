import json
import random

import pytest
from events.corpus import mutants, payloads, thorough, unhurried
from hypothesis import example, given
from hypothesis import strategies as st

from feishu_ws.events.rfc8259 import (
    MAX_LEVELS,
    form_of,
    is_utf8,
    levels,
    mend_surrogates,
    readable,
)
from feishu_ws.model import Form

SOUND = {
    "empty object": b"{}",
    "bare null": b"null",
    "bare string": b'"x"',
    "bare number": b"-0.5e+3",
    "blanks around": b" \t{ } ",
    "lone high surrogate": b'{"a":"\\ud800"}',
    "lone low surrogate": b'{"a":"\\uDC00x"}',
    "low before high": b'["\\udc00\\ud800"]',
    "lone surrogate in a name": b'{"\\ud800":1}',
    "lone surrogate after backslashes": b'["\\\\\\\\\\ud800"]',
    "surrogate pair": b'["\\ud83d\\ude00"]',
    "integer of 5,000 digits": b"[" + b"9" * 5000 + b"]",
    "float beyond range": b"[1e999, -1e999]",
    "DEL in a string": b'["\x7f"]',
    "line separator in a string": '["\u2028"]'.encode(),
    "last code point": '["\U0010ffff"]'.encode(),
    "a name twice": b'{"a":1,"a":2}',
    "escaped name": b'{"\\u0061":1}',
    "escaped slash": b'["\\/"]',
}

UNSOUND = {
    "nothing": b"",
    "blanks only": b"  ",
    "byte order mark": b"\xef\xbb\xbf{}",
    "NaN": b'{"a":NaN}',
    "Infinity": b"[Infinity]",
    "minus Infinity": b"[-Infinity]",
    "continuation byte alone, in a skipped string": b'{"x":"\x80"}',
    "overlong slash": b'["\xc0\xaf"]',
    "surrogate in UTF-8": b'["\xed\xa0\x80"]',
    "beyond the last code point": b'["\xf4\x90\x80\x80"]',
    "UTF-8 cut short": b'["\xe4\xbd"]',
    "broken UTF-8 in a name": b'{"\xff":1}',
    "UTF-16": '{"a":1}'.encode("utf-16"),
    "Latin-1": '["\u00e9"]'.encode("latin-1"),
    "newline in a string": b'["a\nb"]',
    "tab in a string": b'["\t"]',
    "NUL in a string": b'["\x00"]',
    "NUL behind": b"{}\x00",
    "NUL and a lone surrogate": b'["\x00\x00\\ud800"]',
    "text behind": b"{} x",
    "two values": b"{}{}",
    "comma too many": b"[1,]",
    "leading zero": b"[01]",
    "dot without digits": b"[1.]",
    "plus sign": b"[+1]",
    "single quotes": b"{'a':1}",
    "comment": b"{}//x",
    "unknown escape": b'["\\x41"]',
    "short escape": b'["\\u12"]',
    "backslash at the end": b'["\\',
    "lone surrogate in broken JSON": b'["\\ud800"',
    "form feed between tokens": b"[\x0c1]",
    "no-break space between tokens": "[\u00a01]".encode(),
    "a sentence": b"Merged and Forwarded Message",
}


def reject(constant):
    raise ValueError(constant)


def is_json(payload: bytes) -> bool:
    """The standard library's opinion; numbers stay text, so that none is too long."""
    try:
        json.loads(payload.decode(), parse_constant=reject, parse_int=str, parse_float=str)
    except ValueError:
        return False
    return True


def nested(depth: int) -> bytes:
    return (
        b'{"a":' * (depth // 2)
        + b"[" * (depth - depth // 2)
        + b"]" * (depth - depth // 2)
        + b"}" * (depth // 2)
    )


@pytest.mark.parametrize("payload", SOUND.values(), ids=SOUND.keys())
def test_json_travels_verbatim(payload):
    """Whatever RFC 8259 allows is JSON here, also where msgspec would refuse it."""
    assert is_json(payload)
    assert form_of(payload) is Form.ONE_LINE


@pytest.mark.parametrize("payload", UNSOUND.values(), ids=UNSOUND.keys())
def test_what_is_not_json_is_opaque(payload):
    """Whatever RFC 8259 in UTF-8 forbids is opaque, also inside what is skipped."""
    assert not is_json(payload)
    assert form_of(payload) is Form.OPAQUE


@pytest.mark.parametrize("blank", [b"\n", b"\r", b"\r\n"])
@pytest.mark.parametrize("template", [b"{%b}", b'%b{"a":1}', b'{"a":1}%b', b'{"a":%b"\\n"}'])
def test_a_raw_newline_makes_it_multi_line(blank, template):
    """A raw CR counts as a newline as much as LF, wherever it stands."""
    assert form_of(template % blank) is Form.MULTI_LINE


@pytest.mark.parametrize("depth", [1, 2, MAX_LEVELS - 1, MAX_LEVELS])
def test_allowed_levels(depth):
    """Arrays and objects together may nest 256 levels deep."""
    assert levels(nested(depth)) == depth
    assert form_of(nested(depth)) is Form.ONE_LINE


@pytest.mark.parametrize("depth", [MAX_LEVELS + 1, 900, 5000, 200_000])
def test_too_many_levels(depth):
    """Deeper than 256 levels is opaque, however deep, and does no harm."""
    assert form_of(nested(depth)) is Form.OPAQUE


@pytest.mark.parametrize(
    "payload",
    [
        b"[" + b"[]," * 5000 + b"1]",
        json.dumps(["[{" * 400, '\\"[[' * 400, '"' * 99]).encode(),
        json.dumps({"a" + "{" * 500: "\\" * 301 + "["}).encode(),
    ],
    ids=["wide", "in strings", "in names"],
)
def test_many_brackets_are_not_many_levels(payload):
    """Brackets side by side, in strings and in names do not count as levels."""
    assert payload.count(b"[") + payload.count(b"{") > MAX_LEVELS
    assert form_of(payload) is Form.ONE_LINE


def test_levels_of_hostile_size_are_counted_quickly():
    """4 MiB of brackets are counted within a second."""
    payload = b"[" + b"{}," * 1_398_000 + b"1]"
    assert form_of(payload) is Form.ONE_LINE


def test_lone_surrogates_are_replaced_one_by_one():
    """Pairs, escaped backslashes and all other escapes stay as they are."""
    text = rb'["\ud800", "\\ud800", "\\\ud800", "\ud83d\ude00", "\ude00\ud83d", "\n\u00e9"]'
    mended = rb'["\u0000", "\\ud800", "\\\u0000", "\ud83d\ude00", "\u0000\u0000", "\n\u00e9"]'
    assert mend_surrogates(text, rb"\u0000") == mended
    assert readable(text) == mended


def test_sound_text_is_not_copied():
    """What needs no mending comes back as the same object."""
    for text in (b"[]", rb'["\ud83d\ude00"]', rb'["\\ud800"]'):
        assert mend_surrogates(text, rb"\u0000") is text
        assert readable(text) is text


@unhurried
@given(
    st.lists(
        st.sampled_from((r"\ud800", r"\udc00", r"\\", r"\"", r"\u0041", "d", "\\")), max_size=9
    )
)
def test_mending_never_makes_json_of_what_is_none(pieces):
    """Mended text is JSON exactly if the text was, and then decodes without surrogates."""
    text = ('"' + "".join(pieces) + '"').encode()
    mended = mend_surrogates(text, rb"\u0000")
    assert is_json(mended) == is_json(text)
    if is_json(text):
        assert not any("\ud800" <= char <= "\udfff" for char in json.loads(mended))
        assert len(json.loads(mended)) == len(json.loads(text))


@unhurried
@given(st.binary(max_size=40))
@example(b"\xf4\x8f\xbf\xbf")
def test_utf8_is_what_python_decodes(payload):
    """A payload is UTF-8 exactly if Python's strict decoder takes it."""
    try:
        expected = payload.decode() is not None
    except UnicodeDecodeError:
        expected = False
    assert is_utf8(payload) is expected


@thorough
@given(st.one_of(st.binary(max_size=30), payloads(), mutants()))
def test_agrees_with_the_standard_library(payload):
    """On any bytes the verdict is the standard library's, with NaN and Infinity refused."""
    form = form_of(payload)
    assert (form is not Form.OPAQUE) == is_json(payload)
    assert (form is Form.ONE_LINE) == (is_json(payload) and not {10, 13} & set(payload))


def test_levels_agree_with_a_plain_count():
    """The quick count of levels equals one that follows the text byte by byte."""
    source = random.Random(7)
    for _ in range(200):
        value = []
        for _ in range(source.randrange(1, 60)):
            inner = source.choice((value, [value, "[[{"], {'{"\\': value}))
            value = inner if inner is not value else [value]
        text = json.dumps(value)
        assert levels(text.encode()) == plain_levels(text)


def plain_levels(text: str) -> int:
    deepest = depth = 0
    inside = escaped = False
    for char in text:
        if inside:
            inside = escaped or char != '"'
            escaped = char == "\\" and not escaped
        elif char == '"':
            inside = True
        elif char in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif char in "]}":
            depth -= 1
    return deepest
