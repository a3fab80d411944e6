"""Keeps secrets out of what is written. Pure.

Rooms do not put secrets into happenings; this is the second lock on that door.
What is redacted: `Secret`s, values under telling keys, `key=value` pairs with such
keys inside text, queries and passwords of URLs, and secrets known by value.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from feishu_ws.secret import REDACTED, Secret, redact_url

LONGEST_TEXT: Final = 2048
"""Characters of one field; a peer's error message may be a megabyte."""

# Every repetition over what may precede a match is bounded: hostile text costs linear time.
_TELLING: Final = (
    r"(?:[a-z_\-]{0,32}(?:secret|password|passwd|token|ticket|access[_-]?key|authorization))"
)
_TELLING_KEY: Final = re.compile(rf"^{_TELLING}$", re.IGNORECASE)
_OWN_KEY: Final = r"(?<!app\.secret)(?<!lookalike\.secret)"  # whose `KEY: WORDS` are ours
_TELLING_PAIR: Final = re.compile(
    rf"\b({_TELLING})(\"?\s*(?:=|{_OWN_KEY}:)\s*\"?)((?:bearer\s+)?[^\s\"&,;}}]+)", re.IGNORECASE
)
_BEARER: Final = re.compile(r"\b(bearer)\s+\S+", re.IGNORECASE)
_URL: Final = re.compile(r"\b[a-z][a-z0-9+.\-]{0,15}://[^\s\"'<>]+", re.IGNORECASE)
_SHORTEST_SECRET: Final = 6  # shorter values would blot out ordinary words


def redact(value: Any, secrets: Iterable[Secret] = ()) -> Any:
    """Return `value` fit to be written: plain JSON types without secrets."""
    match value:
        case None | bool() | int() | float():
            return value
        case str():
            return redact_text(value, secrets)
        case Mapping():
            return redact_fields(value, secrets)
        case bytes() | bytearray() | memoryview():
            return f"<{len(value)} bytes>"
        case list() | tuple() | set() | frozenset():
            return [redact(item, secrets) for item in value]
        case _:
            return redact_text(str(value), secrets)


def redact_fields(record: Mapping[Any, Any], secrets: Iterable[Secret] = ()) -> dict[str, Any]:
    """Return the fields of a record fit to be written."""
    return {_utf8(str(k)): _redact_under(str(k), value, secrets) for k, value in record.items()}


def _redact_under(key: str, value: Any, secrets: Iterable[Secret]) -> Any:
    return REDACTED if _TELLING_KEY.match(key) else redact(value, secrets)


def _utf8(text: str) -> str:
    """Spell out lone surrogates, which no encoder takes."""
    return text.encode("utf-8", "backslashreplace").decode()


def redact_text(text: str, secrets: Iterable[Secret] = ()) -> str:
    """Return `text` without secrets, in valid UTF-8, and not overlong."""
    text = _utf8(text)
    for secret in secrets:
        if len(secret.reveal()) >= _SHORTEST_SECRET:
            text = text.replace(secret.reveal(), REDACTED)
    text = text[: 4 * LONGEST_TEXT]  # what is looked through; redaction may shorten it
    text = _URL.sub(lambda found: redact_url(found[0]), text)
    text = _TELLING_PAIR.sub(rf"\1\2{REDACTED}", text)
    text = _BEARER.sub(rf"\1 {REDACTED}", text)
    return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}…"
