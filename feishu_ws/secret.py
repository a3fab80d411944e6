"""Things that must not be printed: secrets, and URLs with a query."""

import hmac
from typing import Final
from urllib.parse import urlsplit

REDACTED: Final = "<redacted>"


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
    """Return `url` without user, password, query and fragment.

    Feishu's WebSocket URLs carry `access_key` and `ticket` in the query.
    Source: lark-oapi 1.7.5 ws/client.py:230 (which logs them).
    """
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "<unreadable url>"
    host = f"[{parts.hostname}]" if parts.hostname and ":" in parts.hostname else parts.hostname
    query = f"?{REDACTED}" if parts.query else ""
    return f"{parts.scheme}://{host or ''}{port}{parts.path}{query}"
