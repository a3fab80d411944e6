"""Escapes of lone surrogates in JSON text: valid by RFC 8259 section 8.2, refused by msgspec.

Source: msgspec 0.22, observed.
"""

import re
from typing import Final

_HIGH: Final = rb"\\u[dD][89abAB][0-9a-fA-F]{2}"
_LOW: Final = rb"\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_LONE_SURROGATE: Final = re.compile(rb"%b(?!%b)|(?<!%b)%b" % (_HIGH, _LOW, _HIGH, _LOW))
_ESCAPED_BACKSLASH: Final = rb"\\"
_MASK: Final = b"\0\0"  # as long as what it hides; a raw NUL is never valid JSON


def mend_surrogates(text: bytes, instead: bytes) -> bytes:
    """Return JSON text with `instead` for every escape of a lone surrogate.

    What is no JSON before is none afterwards: escape stands for escape.
    """
    if b"\\u" not in text or b"\0" in text:
        return text
    masked = text.replace(_ESCAPED_BACKSLASH, _MASK)  # now every backslash begins an escape
    mended, count = _LONE_SURROGATE.subn(instead.replace(b"\\", rb"\\"), masked)
    return mended.replace(_MASK, _ESCAPED_BACKSLASH) if count else text
