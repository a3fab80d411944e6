"""Passes: who gets one, who is let through, and for how long one is good."""

import asyncio
import json

import pytest

from feishu_ws.clock import SystemClock
from feishu_ws.journal.contract import JournalSettings
from feishu_ws.journal.memory import MemoryJournal
from feishu_ws.openapi.passes import Passes, recall_key
from feishu_ws.secret import Secret
from feishu_ws.wire.identity import Identity

TENANT = "/open-apis/auth/v3/tenant_access_token/internal"
APP = "/open-apis/auth/v3/app_access_token/internal"
RIGHT = {"app_id": "cli_a", "app_secret": "s"}


def passes(key=b"key", secret="s"):
    return Passes(Identity("cli_a", lambda: Secret(secret)), key)


def ask(path=TENANT, method="POST", one=None, **shown):
    body = json.dumps(RIGHT | shown).encode()
    reply = (one or passes()).answer(method, path, body)
    return reply.status, json.loads(reply.body)


def code_of(reply):
    return reply.status, json.loads(reply.body)["code"]


def test_tenant_token():
    """An SDK gets what it takes for a token, for two hours as it believes."""
    status, answer = ask()
    assert (status, answer["code"], answer["expire"]) == (200, 0, 7200)
    assert (
        passes().find_refusal((("Authorization", f"Bearer {answer['tenant_access_token']}"),))
        is None
    )


def test_app_token():
    """The app's own token is answered with both, as Feishu does."""
    _, answer = ask(APP)
    assert answer["app_access_token"] == answer["tenant_access_token"]


@pytest.mark.parametrize(
    ("shown", "code"),
    [({"app_id": "x"}, 10003), ({"app_secret": "x"}, 10014), ({"app_secret": ""}, 10014)],
)
def test_wrong_credentials(shown, code):
    """Who does not know the secret gets Feishu's code and nothing else."""
    status, answer = ask(**shown)
    assert (status, answer["code"]) == (200, code)
    assert set(answer) == {"code", "msg"}


@pytest.mark.parametrize("body", [b"", b"[]", b"\xff", b"[" * 5000, b'{"app_id":7}'])
def test_what_is_no_request(body):
    """What is no request is not let in."""
    assert json.loads(passes().answer("POST", TENANT, body).body)["code"] == 10003


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", TENANT),
        ("POST", "/open-apis/auth/v3/tenant_access_token"),
        ("POST", "/open-apis/auth/v3/app_ticket/resend"),
        ("POST", TENANT.upper()),
        ("POST", "/open-apis/auth"),
    ],
)
def test_other_tokens(method, path):
    """There are no other tokens to be had, and nobody else is asked for them."""
    assert ask(path, method)[0] == 404


def test_same_after_a_restart():
    """A pass outlives us; another key or secret makes another one."""
    assert passes().make() == passes().make()
    assert len({passes().make(), passes(key=b"k2").make(), passes(secret="s2").make()}) == 3


async def test_key_is_kept():
    """The key is made once and kept in the journal."""
    journal = MemoryJournal(JournalSettings(), clock=SystemClock())
    key = recall_key(journal)
    await asyncio.sleep(0)
    assert recall_key(journal) == key
    assert len(key) >= 32
    other = MemoryJournal(JournalSettings(), clock=SystemClock())
    assert recall_key(other) != key


@pytest.mark.parametrize(
    "given",
    ["Bearer t-other", "Bearer ", "Basic abc", "Bearer T-LOCAL", "", "Bearer t-local-", "Bearer é"],
)
def test_unknown_passes(given):
    """A token that is none of ours gets the code at which SDKs ask for another."""
    assert code_of(passes().find_refusal((("Authorization", given),))) == (401, 99991663)


def test_no_pass():
    """Without any there is no code of a token to be told."""
    status, code = code_of(passes().find_refusal(()))
    assert status == 401
    assert code not in {0, 99991663}


def test_users_tokens():
    """A user's own token is that user's to use."""
    assert passes().find_refusal((("Authorization", "Bearer u-abc"),)) is None
