"""What Feishu's REST API answers, and what is to be done about it. Pure.

Feishu answers JSON with `code`, 0 for success, under HTTP statuses that agree with it
only sometimes: 99991663 comes with 400 and with 200. So the code goes first.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

import msgspec

from feishu_ws.wire.endpoint import HTTP_TOO_MANY, parse_retry_after

TOKEN_INVALID: Final = frozenset({99991663})
"""The tenant token is not valid (any more). Source: chyroc/lark and zeroclaw#1086."""

TOO_FAST: Final = frozenset({99991400, 230020})
"""Too many requests of the app; too many messages to one chat or person.

Source: Feishu docs "frequency-control", openclaw 2026.9.5 reply delivery.
"""

HTTP_SUCCESS: Final = range(200, 300)
HTTP_SERVER_ERROR: Final = 500
MAX_WORDS: Final = 200  # characters of Feishu's own words that are repeated


class Verdict(Enum):
    """What an answer asks of us."""

    DONE = "done"
    RENEW = "renew"  # a fresh token, once
    WAIT = "wait"  # too fast: again when Feishu says
    AGAIN = "again"  # Feishu failed: again, with growing waits; it may have been done
    REFUSED = "refused"  # however often it is asked


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, as it came."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Judgement:
    """An answer, understood.

    Attributes:
        code: Feishu's, None where the answer has none.
        msg: Feishu's words, printable and bounded.
        log_id: What Feishu's support asks for.
        wait_s: How long Feishu wants us to wait; None where it does not say.
        data: What `data` holds; {} where there is none.
    """

    verdict: Verdict
    status: int
    code: int | None = None
    msg: str = ""
    log_id: str = ""
    wait_s: float | None = None
    data: Mapping[str, Any] = field(default_factory=dict, repr=False)


class _ErrorObject(msgspec.Struct):
    log_id: str = ""


class _Body(msgspec.Struct):
    code: int | None = None
    msg: str = ""
    data: dict[str, Any] | None = None
    error: _ErrorObject | None = None


_body: Final = msgspec.json.Decoder(_Body)


def judge(answer: Answer) -> Judgement:
    """Return what an answer means. Total."""
    body = _read(answer.body)
    seen = {key.lower(): value for key, value in answer.headers.items()}
    log_id = seen.get("x-tt-logid") or (body.error.log_id if body.error else "")
    return Judgement(
        _verdict(answer.status, body),
        answer.status,
        body.code,
        _printable(body.msg),
        _printable(log_id),
        parse_retry_after(seen),
        body.data or {},
    )


def _verdict(status: int, body: _Body) -> Verdict:
    if body.code in TOKEN_INVALID:
        return Verdict.RENEW
    if body.code in TOO_FAST or status == HTTP_TOO_MANY:
        return Verdict.WAIT
    if status >= HTTP_SERVER_ERROR:
        return Verdict.AGAIN
    return Verdict.DONE if status in HTTP_SUCCESS and not body.code else Verdict.REFUSED


def _read(body: bytes) -> _Body:
    """Read what can be read: a file that was asked for is no JSON, and that is no fault."""
    try:
        return _body.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _Body()


def _printable(text: str) -> str:
    return "".join(each if each.isprintable() else "?" for each in text[:MAX_WORDS])
