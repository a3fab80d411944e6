"""Things that must not be printed: secrets, and URLs with a query."""

import hmac
from collections.abc import Iterable
from typing import Final
from urllib.parse import SplitResult, urlsplit

REDACTED: Final = "<redacted>"
UNREADABLE: Final = "<unreadable url>"
SHORTEST_SECRET: Final = 6  # shorter values would blot out ordinary words
MAX_FOREIGN: Final = 4096  # characters of foreign words that are looked through

_PIECE: Final = 8  # characters of a secret in a row that are too many to show


class Secret:
    """A string that shows itself only to `reveal()`."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the value itself; callers must neither log nor store it."""
        return self._value

    def matches(self, candidate: str) -> bool:
        """Compare in constant time."""
        return hmac.compare_digest(self._value.encode(), candidate.encode("utf-8", "replace"))

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self.matches(other._value)

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __repr__(self) -> str:
        return REDACTED

    __str__ = __repr__


def redact_url(url: str) -> str:
    """Return `url` without user, password, query and fragment, or `UNREADABLE`.

    Feishu's WebSocket URLs carry `access_key` and `ticket` in the query.
    Source: lark-oapi 1.7.5 ws/client.py:230 (which logs them).
    """
    parts = split_url(url)
    if parts is None:
        return UNREADABLE
    scheme = f"{parts.scheme}:" if parts.scheme else ""
    port = f":{parts.port}" if parts.port else ""
    host = f"[{parts.hostname}]" if parts.hostname and ":" in parts.hostname else parts.hostname
    place = f"//{host or ''}{port}" if parts.netloc else ""
    query = f"?{REDACTED}" if parts.query else ""
    return f"{scheme}{place}{parts.path}{query}"


def split_url(url: str) -> SplitResult | None:
    """Return the parts of a URL, None where there is no telling which of them is a login.

    A slash too few before it, or a raw `/`, `?` or `#` in a password, and what should
    come before the `@` is taken for host, port and path. Nor is a URL with no such
    port any: what Python says of it repeats what is in the port's place.
    """
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    return None if "@" in parts.path + parts.query + parts.fragment else parts


def conceal(text: str, secrets: Iterable[str]) -> str:
    """Return the beginning of foreign words without the secrets in them, whole or in part.

    Of a secret, pieces of `_PIECE` characters go too: who repeats a request may cut it.
    Cut the words for people only afterwards, else a part of a secret may be left.
    """
    text, pieces = text[:MAX_FOREIGN], _pieces(secrets)
    kept, end = [], 0
    for at in range(len(text)):
        found = max((n for n, known in pieces.items() if text[at : at + n] in known), default=0)
        if found and at >= end:
            kept.append(REDACTED)
        end = max(end, at + found)
        if at >= end:
            kept.append(text[at])
    return "".join(kept)


def _pieces(secrets: Iterable[str]) -> dict[int, set[str]]:
    """Return what is not to be shown, by its length."""
    pieces: dict[int, set[str]] = {}
    for secret in secrets:
        size = min(len(secret), _PIECE)
        if size >= SHORTEST_SECRET:
            known = pieces.setdefault(size, set())
            known.update(secret[at : at + size] for at in range(len(secret) - size + 1))
    return pieces
