"""What is next for a message after a try: it has an outcome, or it goes again. Pure.

Every message goes out with a `uuid`, of which Feishu makes one message within an hour;
so it may be tried again even where nobody knows what became of the try before.
"""

from dataclasses import dataclass
from typing import Any, Final

import msgspec

from feishu_ws.faults import Fault, FeishuWsError
from feishu_ws.model import SendKind, SendOutcome
from feishu_ws.wire.answers import Answer, Judgement, Verdict, judge
from feishu_ws.wire.native import Code, RpcError

FIRST_WAIT_S: Final = 0.5
LONGEST_WAIT_S: Final = 30.0
TOO_FAST_S: Final = 1.0  # where Feishu does not say for how long
PER_RECEIVER: Final = 230020
"""Too many messages to one chat or person; the rest of `TOO_FAST` is about the app."""

PATIENCE_S: Final = 60.0  # of who waits for an answer, from the first try that failed
UNKNOWN_AFTER_MS: Final = 50 * 60 * 1000
"""After a first try so long ago Feishu may soon make a second message of the same `uuid`.

Source: it does within an hour, protocol.md 2.
"""
EXPIRED_AFTER_MS: Final = 60 * 60 * 1000
"""A message that nobody could try for so long would surprise whoever gets it."""

_CLOCK_SLACK_MS: Final = 5 * 60 * 1000  # a first try that far ahead: the clock was set back


@dataclass(frozen=True, slots=True)
class Done:
    """There is an outcome."""

    outcome: SendOutcome


@dataclass(frozen=True, slots=True)
class Again:
    """It goes again.

    Attributes:
        wait_s: After so long.
        is_for_all: Whether every other message has to wait as well.
        is_asked: Whether Feishu asked for it, so that nothing failed.
        trouble: What to say if nobody wants to wait any more.
    """

    wait_s: float
    is_for_all: bool
    is_asked: bool
    trouble: FeishuWsError


def after_answer(answer: Answer, tries: int, luck: float) -> Done | Again:
    """Return what follows from Feishu's answer.

    Args:
        answer: To the last try.
        tries: How many there were.
        luck: 0 to 1, what spreads the waits.
    """
    found = judge(answer)
    if found.verdict is Verdict.REFUSED:
        return Done(SendOutcome(SendKind.REFUSED, _encode_refusal(found)))
    message_id = found.data.get("message_id")
    if found.verdict is Verdict.DONE and isinstance(message_id, str):
        return Done(SendOutcome(SendKind.SENT, msgspec.json.encode({"message_id": message_id})))
    if found.verdict is Verdict.WAIT:
        wait_s = _backoff(TOO_FAST_S, tries, 1.0) if found.wait_s is None else found.wait_s
        is_for_all = found.code != PER_RECEIVER
        return Again(wait_s, is_for_all, is_asked=True, trouble=_trouble(found))
    return Again(
        _backoff(FIRST_WAIT_S, tries, luck),
        is_for_all=False,
        is_asked=False,
        trouble=_trouble(found),
    )


def after_fault(fault: FeishuWsError, tries: int, luck: float) -> Again:
    """Return what follows from a try without an answer."""
    wait_s = max(_backoff(FIRST_WAIT_S, tries, luck), fault.retry_after_s or 0.0)
    return Again(wait_s, is_for_all=False, is_asked=False, trouble=fault)


def too_late(made_ms: int, first_ms: int | None, now_ms: int) -> SendOutcome | None:
    """Return the outcome of a kept message that must not be tried (any more).

    Args:
        made_ms: When it was accepted, Unix milliseconds.
        first_ms: When it was tried first, None if it never was.
        now_ms: Now.
    """
    if first_ms is None:
        is_late = now_ms - made_ms > EXPIRED_AFTER_MS
        return _dead(SendKind.EXPIRED, "it could not be tried for an hour") if is_late else None
    is_late = not -_CLOCK_SLACK_MS <= now_ms - first_ms <= UNKNOWN_AFTER_MS
    words = "it was tried, and Feishu never said what became of it"
    return _dead(SendKind.OUTCOME_UNKNOWN, words) if is_late else None


def _dead(kind: str, words: str) -> SendOutcome:
    return SendOutcome(kind, msgspec.json.encode({"msg": words}), is_dead=True)


def read_outcome(outcome: SendOutcome) -> dict[str, Any]:
    """Return the result of `send`.

    Raises:
        RpcError: `FEISHU_REFUSED` with `data: {code, msg, log_id}`, or `INTERNAL_ERROR` with
            `data: {kind, msg}`: it is not known, or certain, that it was not sent.
    """
    said: dict[str, Any] = msgspec.json.decode(outcome.answer or b"{}")
    if outcome.kind == SendKind.SENT:
        return said
    if outcome.kind == SendKind.REFUSED:
        words = f"Feishu refused: code {said.get('code')} {said.get('msg', '')}".rstrip()
        raise RpcError(Code.FEISHU_REFUSED, words, said)
    raise RpcError(
        Code.INTERNAL_ERROR,
        f"not sent as far as is known: {said.get('msg', outcome.kind)}",
        {"kind": outcome.kind, **said},
    )


def _encode_refusal(found: Judgement) -> bytes:
    code = found.status if found.code is None else found.code
    return msgspec.json.encode({"code": code, "msg": found.msg, "log_id": found.log_id})


def _trouble(found: Judgement) -> FeishuWsError:
    said = f"code {found.code}" if found.code else f"HTTP {found.status}"
    if found.verdict is Verdict.WAIT:
        return FeishuWsError(Fault.RATE_LIMITED, f"the message was answered with {said}")
    fault = Fault.FEISHU_BUSY if found.verdict is Verdict.AGAIN else Fault.API_FAILED
    detail = f"the message was answered with {said}, expected a message_id"
    return FeishuWsError(fault, detail, code=found.code)


def _backoff(first_s: float, tries: int, luck: float) -> float:
    """Return a wait that grows with the tries, with half of it left to luck."""
    longest = min(LONGEST_WAIT_S, first_s * 2.0 ** min(tries - 1, 16))
    return longest * (0.5 + 0.5 * luck)
