"""Kinds of configuration value: what fits, how it is read, how it is shown. Pure.

A kind never repeats a secret, neither in what it shows nor in what it refuses.
"""

import json
import math
import os
import re
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

from feishu_ws.secret import REDACTED, Secret, redact_url

MAX_SEEN: Final = 80  # characters of a wrong value that an error message repeats
MAX_PATH: Final = 4095  # PATH_MAX without its NUL; source: limits.h
MAX_SOCKET_PATH: Final = 107  # sun_path holds 108 bytes with its NUL; source: unix(7)
MAX_PORT: Final = 65535
_HOST_PORT: Final = r"(?:\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+):([0-9]{1,5})"
WORD: Final = "[^\x00-\x20\x7f\ud800-\udfff]+"


class UnfitError(Exception):
    """A value does not fit its key.

    Args:
        seen: What was wrong, where that is more precise than the whole value.
        expected: What would have been right, where the kind alone does not say it.
    """

    def __init__(self, seen: str = "", expected: str = "") -> None:
        super().__init__(seen)
        self.seen = seen
        self.expected = expected


@dataclass(frozen=True)
class Kind:
    """What fits a key; `expected` ends the phrase "expected …"."""

    expected: str

    def read_text(self, text: str) -> object:
        """Return what TOML would have given for an environment variable's `text`.

        Raises:
            UnfitError: It cannot be read.
        """
        return text

    def parse(self, value: object) -> Any:
        """Return the value as settings hold it.

        Raises:
            UnfitError: It does not fit.
        """
        raise NotImplementedError

    def show(self, value: Any) -> str:
        """Return a parsed value for people."""
        return show(value)

    def show_unfit(self, value: object) -> str:
        """Return a value that did not fit, for an error message."""
        return show(value, MAX_SEEN)


def show(value: object, limit: int | None = None) -> str:
    """Return a value on one line, as JSON where it is JSON; at most `limit` characters."""
    try:
        text = json.dumps(value, ensure_ascii=False, default=str)
    except (ValueError, RecursionError):
        text = "a value nested too deeply"
    return text if limit is None or len(text) <= limit else text[: limit - 1] + "…"


class FromJson(Kind):
    """A kind that an environment variable gives as JSON."""

    def read_text(self, text: str) -> object:
        """Return the JSON."""
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as exc:
            raise UnfitError(expected=f"{self.expected}, as JSON") from exc


def _text(value: object, pattern: str) -> str:
    if not isinstance(value, str) or not re.fullmatch(pattern, value):
        raise UnfitError
    return value


@dataclass(frozen=True)
class Text(Kind):
    """A string that matches `pattern` from end to end."""

    pattern: str = ".*"

    def parse(self, value: object) -> str:
        """Return the string."""
        return _text(value, self.pattern)


def choice(*words: str) -> Text:
    """Return the kind that is one of `words`."""
    return Text(f"{', '.join(words[:-1])} or {words[-1]}", "|".join(words))


def _number(value: object, kinds: type | tuple[type, ...], low: float, high: float) -> Any:
    if isinstance(value, kinds) and not isinstance(value, bool) and low <= value <= high:  # type: ignore[operator]  # `kinds` are numbers
        return value
    raise UnfitError


@dataclass(frozen=True)
class Whole(Kind):
    """A whole number from `low` to `high`; true and false are none."""

    low: int = 0
    high: int = 0

    def read_text(self, text: str) -> object:
        """Return a number for digits, else the text."""
        return int(text) if re.fullmatch(r"-?[0-9]{1,18}", text) else text

    def parse(self, value: object) -> int:
        """Return the number."""
        return int(_number(value, int, self.low, self.high))


def whole(low: int, high: int) -> Whole:
    """Return the kind of whole numbers from `low` to `high`."""
    return Whole(f"a whole number from {low} to {high}", low, high)


@dataclass(frozen=True)
class Number(Kind):
    """A number from `low` to `high`, whole or not; nan and inf are none."""

    low: float = 0
    high: float = math.inf

    def read_text(self, text: str) -> object:
        """Return a number for its digits, else the text."""
        return float(text) if re.fullmatch(r"-?[0-9]+(\.[0-9]*)?", text) else text

    def parse(self, value: object) -> float:
        """Return the number."""
        return float(_number(value, (int, float), self.low, self.high))

    def show(self, value: float) -> str:
        """Return it without a needless `.0`."""
        return f"{value:.15g}"


def number(low: float, high: float) -> Number:
    """Return the kind of numbers from `low` to `high`."""
    return Number(f"a number from {low:.15g} to {high:.15g}", low, high)


@dataclass(frozen=True)
class Hidden(Kind):
    """A secret: one word, never shown."""

    expected: str = "one line of text without blanks"

    def parse(self, value: object) -> Secret:
        """Return the secret; it may be empty."""
        return Secret(_text(value, f"({WORD})?"))

    def show(self, value: Secret) -> str:
        """Return only whether there is one."""
        return REDACTED if value else '""'

    def show_unfit(self, value: object) -> str:
        """Return nothing of it."""
        return "blanks or control characters" if isinstance(value, str) else "no text"


@dataclass(frozen=True)
class FilePath(Kind):
    """A path; `draft.py` makes it absolute. Empty means none, or the default place."""

    expected: str = "a path"
    max_bytes: int = MAX_PATH

    def parse(self, value: object) -> str:
        """Return the path as it was written."""
        path = _text(value, "[^\x00\n]*")
        try:
            size = len(os.fsencode(path))
        except UnicodeEncodeError:  # half of a surrogate pair, which no file system takes
            raise UnfitError from None
        if size > self.max_bytes:
            raise UnfitError
        return path


SOCKET_PATH: Final = FilePath(f"a path of at most {MAX_SOCKET_PATH} bytes", MAX_SOCKET_PATH)


@dataclass(frozen=True)
class Mode(Kind):
    """Permission bits in quotes: TOML would read a bare 660 as octal 1224."""

    expected: str = 'octal digits in quotes, such as "0660"'

    def parse(self, value: object) -> int:
        """Return the bits."""
        return int(_text(value, "0?[0-7]{3}"), 8)

    def show(self, value: int) -> str:
        """Return the digits."""
        return f'"{value:04o}"'


def is_loopback(host: str) -> bool:
    """Whether `host` is a literal loopback address or the name localhost."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def _url(value: object, *schemes: str) -> SplitResult:
    """Return the parts of a URL that has a host and one of `schemes`.

    Raises:
        UnfitError: It has not.
    """
    try:
        parts = urlsplit(_text(value, WORD))
        _ = parts.port  # raises for a port that is no number
    except ValueError as exc:
        raise UnfitError from exc
    if parts.scheme not in schemes or not parts.hostname:
        raise UnfitError
    return parts


class _Url(Kind):
    """A kind that a careless operator may put a password into."""

    def show(self, value: str) -> str:
        """Return it without user and password."""
        return show(redact_url(value) if "://" in value else value)

    def show_unfit(self, value: object) -> str:
        """Return it, unless a password may be in it."""
        return "an unfit URL" if "@" in str(value) else show(value, MAX_SEEN)


@dataclass(frozen=True)
class Domain(_Url):
    """Where Feishu is; plain http only on this machine, where nobody listens in."""

    expected: str = "https://HOST[:PORT] without a path (http:// only for loopback)"

    def parse(self, value: object) -> str:
        """Return it without a final slash."""
        parts = _url(value, "https", "http")
        if parts.path.strip("/") or parts.query or parts.fragment or parts.username:
            raise UnfitError
        if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
            raise UnfitError
        return f"{parts.scheme}://{parts.netloc}"


@dataclass(frozen=True)
class Proxy(_Url):
    """A proxy; it may carry a password and is shown without."""

    expected: str = '"", "env", http://HOST:PORT or socks5://HOST:PORT'

    def parse(self, value: object) -> str:
        """Return it as it was written."""
        proxy = _text(value, ".*")
        if proxy not in {"", "env"}:
            _url(proxy, "http", "socks5", "socks5h")
        return proxy


@dataclass(frozen=True)
class Listen(Kind):
    """Where to listen; port 0 takes a free one; empty means nowhere."""

    expected: str = 'HOST:PORT, unix:/PATH or ""'
    unix: bool = True

    def parse(self, value: object) -> str:
        """Return it as it was written."""
        address = _text(value, ".*")
        if self.unix and address.startswith("unix:/"):
            fits = len(os.fsencode(address)) <= MAX_SOCKET_PATH + len("unix:")
        else:
            found = re.fullmatch(_HOST_PORT, address)
            fits = not address or (found is not None and int(found[1]) <= MAX_PORT)
        if not fits:
            raise UnfitError
        return address


@dataclass(frozen=True)
class Texts(FromJson):
    """A list of words."""

    expected: str = "a list of words"

    def parse(self, value: object) -> tuple[str, ...]:
        """Return the words."""
        if not isinstance(value, list):
            raise UnfitError
        for item in value:
            if not isinstance(item, str) or not re.fullmatch(WORD, item):
                raise UnfitError(f"{show(item, MAX_SEEN)} in the list")
        return tuple(value)


@dataclass(frozen=True)
class JsonObject(FromJson):
    """A table, kept as the JSON it will be sent as."""

    expected: str = "a table of JSON values"

    def parse(self, value: object) -> bytes:
        """Return the JSON; dates, nan and inf are none."""
        if not isinstance(value, dict):
            raise UnfitError
        try:
            text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
            return text.encode()
        except (TypeError, ValueError, RecursionError) as exc:
            raise UnfitError from exc

    def show(self, value: bytes) -> str:
        """Return the JSON."""
        return value.decode()
