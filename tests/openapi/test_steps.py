"""What is next for a message after a try."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feishu_ws.faults import Fault, FeishuWsError
from feishu_ws.model import SendKind, SendOutcome
from feishu_ws.openapi import steps
from feishu_ws.openapi.steps import Again, Done, after_answer, after_fault, read_outcome, too_late
from feishu_ws.wire.answers import Answer
from feishu_ws.wire.native import Code, RpcError

MINUTE_MS = 60_000


def answer(status, body, **headers):
    return Answer(
        status, {k.replace("_", "-"): v for k, v in headers.items()}, json.dumps(body).encode()
    )


def test_sent():
    """A message id is the outcome."""
    step = after_answer(answer(200, {"code": 0, "data": {"message_id": "om_1"}}), 1, 0.5)
    assert isinstance(step, Done)
    assert read_outcome(step.outcome) == {"message_id": "om_1"}


def test_refused():
    """A refusal is an outcome too, with Feishu's code, words and log id."""
    step = after_answer(answer(400, {"code": 230002, "msg": "Bot is out"}, X_Tt_Logid="L"), 1, 0.5)
    assert isinstance(step, Done)
    with pytest.raises(RpcError) as caught:
        read_outcome(step.outcome)
    assert caught.value.code == Code.FEISHU_REFUSED
    assert caught.value.data == {"code": 230002, "msg": "Bot is out", "log_id": "L"}


@pytest.mark.parametrize(
    ("given", "for_all", "wait_s"),
    [
        (answer(400, {"code": 230020}), False, 1.0),
        (answer(400, {"code": 99991400}), True, 1.0),
        (answer(429, {}), True, 1.0),
        (answer(429, {"code": 99991400}, x_ogw_ratelimit_reset="7"), True, 7.0),
        (answer(400, {"code": 230020}, x_ogw_ratelimit_reset="3"), False, 3.0),
    ],
)
def test_too_fast(given, for_all, wait_s):
    """A limit of one chat delays that chat, a limit of the app all; as long as Feishu says."""
    step = after_answer(given, 1, 0.0)
    assert isinstance(step, Again)
    assert (step.is_for_all, step.is_asked, step.wait_s) == (for_all, True, wait_s)
    assert step.trouble.fault is Fault.RATE_LIMITED


@pytest.mark.parametrize(
    "given",
    [
        answer(500, {}),
        answer(502, {"code": 0}),
        answer(400, {"code": 99991663}),
        answer(200, {"code": 0}),
        answer(200, {"code": 0, "data": {"message_id": 7}}),
        answer(200, []),
    ],
)
def test_no_outcome(given):
    """What tells nothing of the message is tried again: its uuid keeps it from being two."""
    step = after_answer(given, 1, 0.5)
    assert isinstance(step, Again)
    assert not step.is_asked
    assert not step.is_for_all


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_waits(tries, luck):
    """Waits grow, are spread and bounded."""
    wait_s = after_fault(FeishuWsError(Fault.CONNECT_FAILED, ""), tries, luck).wait_s
    assert 0.25 <= wait_s <= steps.LONGEST_WAIT_S
    longer = after_fault(FeishuWsError(Fault.CONNECT_FAILED, "", retry_after_s=99), tries, luck)
    assert longer.wait_s == 99


@pytest.mark.parametrize(
    ("age", "since_first", "kind"),
    [
        (0, None, None),
        (60, None, None),
        (61, None, SendKind.EXPIRED),
        (55, 50, None),
        (55, 51, SendKind.OUTCOME_UNKNOWN),
        (300, 10, None),
        (10, -4, None),
        (10, -6, SendKind.OUTCOME_UNKNOWN),
    ],
)
def test_too_late(age, since_first, kind):
    """Never tried for an hour, or tried 50 minutes ago (or by another clock): not any more."""
    now = 10_000 * MINUTE_MS
    first = None if since_first is None else now - since_first * MINUTE_MS
    outcome = too_late(now - age * MINUTE_MS, first, now)
    assert (outcome and outcome.kind) == kind
    assert outcome is None or outcome.is_dead


@pytest.mark.parametrize("kind", [SendKind.EXPIRED, SendKind.OUTCOME_UNKNOWN, SendKind.DAMAGED])
def test_given_up(kind):
    """Whoever asks for what was given up is told what is known."""
    with pytest.raises(RpcError) as caught:
        read_outcome(SendOutcome(kind, b'{"msg":"why"}'))
    assert caught.value.code == Code.INTERNAL_ERROR
    assert caught.value.data == {"kind": kind, "msg": "why"}


@given(st.integers(100, 599), st.binary(max_size=300), st.integers(1, 99), st.floats(0, 1))
def test_total(status, body, tries, luck):
    """Whatever Feishu answers, something follows, and an answer that is kept is small."""
    step = after_answer(Answer(status, {}, body), tries, luck)
    if isinstance(step, Done):
        assert len(step.outcome.answer) <= 4096
    else:
        assert step.wait_s >= 0
