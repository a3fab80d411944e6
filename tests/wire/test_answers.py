"""What Feishu's REST API answers, and what is done about it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feishu_ws.wire.answers import Answer, Verdict, judge


def answer(status, body=None, **headers):
    """Return an answer with a JSON body."""
    content = b"" if body is None else json.dumps(body).encode()
    return Answer(status, {k.replace("_", "-"): v for k, v in headers.items()}, content)


@pytest.mark.parametrize(
    ("given", "verdict"),
    [
        (answer(200, {"code": 0, "msg": "ok", "data": {"message_id": "om_1"}}), Verdict.DONE),
        (answer(200), Verdict.DONE),  # a file: no JSON
        (answer(204), Verdict.DONE),
        (answer(400, {"code": 99991663, "msg": "Invalid access token"}), Verdict.RENEW),
        (answer(200, {"code": 99991663}), Verdict.RENEW),
        (answer(500, {"code": 99991663}), Verdict.RENEW),
        (answer(429, {"code": 99991400}), Verdict.WAIT),
        (answer(400, {"code": 99991400}), Verdict.WAIT),
        (answer(200, {"code": 230020}), Verdict.WAIT),
        (answer(429), Verdict.WAIT),
        (answer(500), Verdict.AGAIN),
        (answer(502, {"code": 0}), Verdict.AGAIN),
        (answer(503), Verdict.AGAIN),
        (answer(400, {"code": 230001, "msg": "bad content"}), Verdict.REFUSED),
        (answer(200, {"code": 230002}), Verdict.REFUSED),
        (answer(404), Verdict.REFUSED),
        (answer(301), Verdict.REFUSED),
        (answer(403, {"code": 0}), Verdict.REFUSED),
    ],
)
def test_verdicts(given, verdict):
    """The code goes before the HTTP status, which says less."""
    assert judge(given).verdict is verdict


def test_what_is_told():
    """Code, words, the id for Feishu's support and the wait are read from where they stand."""
    body = {"code": 99991400, "msg": "slow\ndown", "error": {"log_id": "b"}, "data": None}
    found = judge(answer(400, body, X_Tt_Logid="a", x_ogw_ratelimit_reset="7"))
    assert (found.status, found.code, found.msg, found.log_id) == (400, 99991400, "slow?down", "a")
    assert found.wait_s == 7
    assert judge(answer(400, body)).log_id == "b"
    assert judge(answer(400, body)).wait_s is None
    assert judge(answer(200, {"code": 0, "data": {"k": 1}})).data == {"k": 1}


@given(st.integers(100, 599), st.binary(), st.dictionaries(st.text(), st.text(), max_size=3))
def test_total(status, body, headers):
    """Nothing an answer holds raises."""
    found = judge(Answer(status, headers, body))
    assert len(found.msg) <= 200


@given(st.integers(100, 599), st.recursive(st.none() | st.integers() | st.text(), st.lists))
def test_odd_types(status, value):
    """Fields of the wrong type are as good as absent."""
    found = judge(answer(status, {"code": value, "msg": value, "data": value, "error": value}))
    assert found.verdict in Verdict
