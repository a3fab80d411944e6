"""What counts as JSON here: RFC 8259 in UTF-8, at most 256 levels deep. Pure and total.

msgspec does the reading, and differs from the RFC in three ways that are made up
for here: in what it skips it checks the grammar but not the UTF-8; it has no limit
of levels of its own, only the interpreter's; and it refuses escapes of lone
surrogates, which the RFC's grammar allows (section 8.2).
Source: msgspec 0.22, observed; `tests/events/test_rfc8259.py` compares it with the
standard library's reader.
"""

import re
from itertools import accumulate
from typing import Final

import msgspec

from feishu_ws.model import Form
from feishu_ws.surrogates import mend_surrogates

MAX_LEVELS: Final = 256
"""Arrays and objects may nest this deep. Source: CONTRACT 5."""

_skim: Final = msgspec.json.Decoder(msgspec.Raw)

_ESCAPED_BACKSLASH: Final = rb"\\"
_ESCAPED_QUOTE: Final = rb"\""

_STRING: Final = re.compile(rb'"[^"]*"')
_NEITHER_BRACKET_NOR_QUOTE: Final = bytes(set(range(256)) - set(b'[]{}"'))
_STEP: Final = tuple((byte in b"[{") - (byte in b"]}") for byte in range(256))


def form_of(payload: bytes) -> Form:
    """Return how a payload may travel on a line of JSON. Total."""
    return Form.OPAQUE if readable(payload) is None else form_of_grammatical(payload)


def readable(payload: bytes, instead: bytes = b"\\u0000") -> bytes | None:
    """Return a payload in a spelling that msgspec reads to the end, None if it is not JSON.

    That is the payload itself, except for escapes of lone surrogates, in the place
    of which `instead` (six bytes) stands. The UTF-8 of its strings is not checked.
    """
    if _has_grammar(payload):
        return payload
    mended = mend_surrogates(payload, instead)
    return mended if mended is not payload and _has_grammar(mended) else None


def form_of_grammatical(payload: bytes) -> Form:
    """Return the form of a payload whose grammar msgspec has checked to the end."""
    if not is_utf8(payload) or _is_too_deep(payload):
        return Form.OPAQUE
    return Form.MULTI_LINE if b"\n" in payload or b"\r" in payload else Form.ONE_LINE


def is_utf8(payload: bytes) -> bool:
    """Whether a payload is UTF-8 throughout."""
    if payload.isascii():
        return True
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True


def levels(payload: bytes) -> int:
    """Return how deep arrays and objects nest in a payload that has JSON's grammar."""
    bare = payload.replace(_ESCAPED_BACKSLASH, b"").replace(_ESCAPED_QUOTE, b"")
    marks = bare.translate(None, _NEITHER_BRACKET_NOR_QUOTE)
    brackets = _STRING.sub(b"", marks)
    return max(accumulate(map(_STEP.__getitem__, brackets)), default=0)


def _has_grammar(payload: bytes) -> bool:
    try:
        _skim.decode(payload)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def _is_too_deep(payload: bytes) -> bool:
    # The sum of all brackets bounds the levels, and settles nearly every payload.
    most = payload.count(b"[") + payload.count(b"{")
    return most > MAX_LEVELS and levels(payload) > MAX_LEVELS
