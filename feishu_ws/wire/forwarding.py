"""A local client's request to Feishu and Feishu's answer: what of them is passed on. Pure.

Two programs that read a request differently are how a request ends up elsewhere. So
nothing is normalised: what is not in its plain form is refused, and what one hop says
to the next is not passed on.
"""

import re
import unicodedata
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import unquote_to_bytes

import msgspec

from feishu_ws.wire.outgoing import AUTH, METHODS, find_trick

Headers = tuple[tuple[str, str], ...]

HOP_BY_HOP: Final = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Said from one hop to the next. Source: RFC 9110 7.6.1."""

_OURS: Final = frozenset({"host", "authorization", "content-length", "expect", "accept-encoding"})
"""Of a request: made anew for the next hop."""

_ONLY_ONCE: Final = ("authorization", "content-length", "content-type", "host", "transfer-encoding")
_BENIGN: Final = re.compile(
    r"%(?:2[0-246-9A-C]|3[A-E]|40|5[BDE]|60|7[B-D]|[89A-F][0-9A-F])", re.IGNORECASE
)
"""Escapes of what is no letter, digit or one of `-._~/\\%?#`: those have one form only."""
_LEADS_ELSEWHERE: Final = frozenset("/\\.%?#")
_GZIP: Final = re.compile(r"(?:^|,)\s*gzip\s*(?:;\s*q=([0-9.]+)\s*)?(?:,|$)", re.IGNORECASE)
_QUERY: Final = re.compile(r"[!$-~]*")  # visible ASCII but `"` and `#`

BAD_REQUEST: Final = 400
UNAUTHORIZED: Final = 401
NOT_FOUND: Final = 404
NOT_ALLOWED: Final = 405
TOO_LARGE: Final = 413

_encode: Final = msgspec.json.encode


@dataclass(frozen=True, slots=True)
class Inquiry:
    """What a local client asks.

    Attributes:
        target: As its request line has it.
        length: Bytes of the body; None where it comes without saying.
        body: In pieces; to be read once. Raises FeishuWsError if it does not come.
    """

    method: str
    target: str
    headers: Headers = ()
    length: int | None = 0
    body: AsyncIterator[bytes] | None = field(default=None, repr=False)

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]


@dataclass(frozen=True, slots=True)
class Reply:
    """What it is answered.

    Attributes:
        body: Whole, or in pieces; these raise FeishuWsError if they break off.
    """

    status: int
    headers: Headers = ()
    body: bytes | AsyncIterator[bytes] = field(default=b"", repr=False)


def say(status: int, code: int, msg: str, more: Mapping[str, Any] | None = None) -> Reply:
    """Return an answer of our own in the form of Feishu's."""
    body = _encode({"code": code, "msg": msg} | dict(more or {}))
    return Reply(status, (("Content-Type", "application/json; charset=utf-8"),), body)


def find_refusal(inquiry: Inquiry) -> Reply | None:
    """Return why a request is not passed on, None if it may be."""
    path, _, query = inquiry.target.partition("?")
    if not path.lower().lstrip("/").startswith("open-apis/") and "%" not in path:
        return _refuse(NOT_FOUND, "the path is none of Feishu's, expected /open-apis/…")
    if why := find_path_trick(path):
        return _refuse(BAD_REQUEST, f"the path {why}, expected /open-apis/… in plain form")
    if not _QUERY.fullmatch(query):
        return _refuse(BAD_REQUEST, "the query has a character that has to be escaped")
    if inquiry.method not in METHODS:
        return _refuse(NOT_ALLOWED, f"the method is none of {', '.join(METHODS)}")
    if why := find_header_trick(inquiry.headers):
        return _refuse(BAD_REQUEST, why)
    return None


def _refuse(status: int, why: str) -> Reply:
    return say(status, status, f"feishu-ws: {why}")


def find_path_trick(path: str) -> str:
    """Return what is not plain about a path, "" if it is a plain one below `/open-apis/`.

    Escapes stand only for what needs them: SDKs escape parameters (`Sheet1%21A1`).
    Source: lark-oapi 1.7.5 core/http/transport.py:96-107.
    """
    if why := find_trick(_BENIGN.sub("x", path)):
        return why
    try:
        plain = unquote_to_bytes(path).decode()
    except UnicodeDecodeError:
        return "has escapes that are no UTF-8"
    wide = [each for each in plain if not each.isascii()]
    if _LEADS_ELSEWHERE & set(unicodedata.normalize("NFKC", "".join(wide))):
        return "has a character that some read as another"
    return ""


def is_for_tokens(path: str) -> bool:
    """Whether a plain path asks for a token, which is answered here and never passed on."""
    return path.lower().startswith(AUTH) or path.lower() == AUTH.rstrip("/")


def find_header_trick(headers: Headers) -> str:
    """Return what is not plain about the headers of a request, "" if nothing is."""
    seen = [name.lower() for name, _ in headers]
    for name in _ONLY_ONCE:
        if seen.count(name) > 1:
            return f"there is more than one {name}"
    if "content-length" in seen and "transfer-encoding" in seen:
        return "there is a content-length beside a transfer-encoding"
    encoding = dict(zip(seen, (value for _, value in headers), strict=True)).get(
        "transfer-encoding", "chunked"
    )
    return "" if encoding.lower() == "chunked" else "the transfer-encoding is not chunked"


def end_to_end(headers: Iterable[tuple[str, str]]) -> Headers:
    """Return the headers that are not for one hop only, in their order."""
    headers = tuple(headers)
    named = {
        word.strip().lower()
        for name, value in headers
        if name.lower() == "connection"
        for word in value.split(",")
    }
    dropped = HOP_BY_HOP | named
    return tuple((name, value) for name, value in headers if name.lower() not in dropped)


def onward(headers: Headers) -> Headers:
    """Return the headers of a request that go on to Feishu as they are."""
    return tuple((name, value) for name, value in end_to_end(headers) if name.lower() not in _OURS)


def takes_gzip(headers: Headers) -> bool:
    """Whether whoever asks takes a compressed answer."""
    offers = (value for name, value in headers if name.lower() == "accept-encoding")
    found = _GZIP.search(",".join(offers))
    return found is not None and (found[1] is None or found[1].strip("0.") != "")


def bearer(headers: Headers) -> str | None:
    """Return the token of a request, "" for what is none, None without any."""
    given = next((value for name, value in headers if name.lower() == "authorization"), None)
    if given is None:
        return None
    scheme, _, token = given.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""
