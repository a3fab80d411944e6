"""The tenant token: one request for all, renewed early, asked for again when refused."""

import asyncio
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feishu_ws.clock import ManualClock
from feishu_ws.faults import Fault, FeishuWsError
from feishu_ws.openapi.tokens import LONGEST_S, Tokens, encode_request, read_token
from feishu_ws.secret import Secret
from feishu_ws.wire.answers import Answer

HOUR = 3600.0


def granted(token, expire=7200):
    """Return an answer that grants a token."""
    body = {"code": 0, "msg": "ok", "tenant_access_token": token, "expire": expire}
    return Answer(200, {}, json.dumps(body).encode())


class Office:
    """Where tokens come from: gives t-1, t-2, … when told to."""

    def __init__(self):
        self.asked = 0
        self.answers = []
        self.open = asyncio.Event()
        self.open.set()

    async def __call__(self):
        self.asked += 1
        number = self.asked
        await self.open.wait()
        answer = self.answers.pop(0) if self.answers else granted(f"t-{number}")
        if isinstance(answer, FeishuWsError):
            raise answer
        return answer


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def office():
    return Office()


@pytest.fixture
def tokens(office, clock):
    return Tokens(office, clock=clock)


async def test_one_request_for_all(tokens, office):
    """However many want a token at once, Feishu is asked once."""
    found = await asyncio.gather(*(tokens.get() for _ in range(100)))
    assert {each.reveal() for each in found} == {"t-1"}
    assert office.asked == 1


async def test_who_gives_up_takes_nothing_from_others(tokens, office):
    """A caller that is cancelled does not end the request that others wait for."""
    office.open.clear()
    waiting = [asyncio.ensure_future(tokens.get()) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    await asyncio.sleep(0)
    office.open.set()
    assert (await waiting[1]).reveal() == "t-1"
    assert (await waiting[2]).reveal() == "t-1"
    assert office.asked == 1


async def test_renewed_early(tokens, office, clock):
    """In its last 25 minutes a token still serves while the next is fetched."""
    await tokens.get()
    clock.advance(2 * HOUR - 26 * 60)
    assert (await tokens.get()).reveal() == "t-1"
    assert office.asked == 1
    clock.advance(2 * 60)
    assert (await tokens.get()).reveal() == "t-1"
    await asyncio.sleep(0.01)
    assert (await tokens.get()).reveal() == "t-2"
    assert office.asked == 2


async def test_renewal_that_fails(tokens, office, clock):
    """While the old token is good a failed renewal costs nothing, and is tried once in 30 s."""
    await tokens.get()
    clock.advance(2 * HOUR - 20 * 60)
    office.answers = [FeishuWsError(Fault.CONNECT_FAILED, "no route"), Answer(500)]
    for _ in range(5):
        assert (await tokens.get()).reveal() == "t-1"
        await asyncio.sleep(0.01)
    assert office.asked == 2
    clock.advance(31)
    await tokens.get()
    await asyncio.sleep(0.01)
    assert office.asked == 3


async def test_ended(tokens, office, clock):
    """A token that ended is not used."""
    await tokens.get()
    clock.advance(2 * HOUR)
    assert (await tokens.get()).reveal() == "t-2"


async def test_refused_token(tokens, office):
    """A token that Feishu refused is asked for anew, once for all who were refused."""
    first = await tokens.get()
    tokens.reject(first)
    second = await tokens.get()
    tokens.reject(first)
    assert second.reveal() == (await tokens.get()).reveal() == "t-2"
    assert office.asked == 2


async def test_new_credentials(tokens, office):
    """After a change of credentials a token of the old ones is not used, not even one on its way."""
    office.open.clear()
    waiting = asyncio.ensure_future(tokens.get())
    await asyncio.sleep(0.01)
    assert office.asked == 1
    tokens.forget()
    office.open.set()
    assert (await waiting).reveal() == "t-2"
    tokens.forget()
    assert (await tokens.get()).reveal() == "t-3"


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        ({"code": 10014, "msg": "app secret invalid"}, Fault.CREDENTIALS_REFUSED),
        ({"code": 10003, "msg": "invalid param"}, Fault.CREDENTIALS_REFUSED),
        ({"code": 99991400, "msg": "slow"}, Fault.RATE_LIMITED),
        ({"code": 7, "msg": "?"}, Fault.API_FAILED),
        ({"code": 0}, Fault.API_FAILED),
        ({"code": 0, "tenant_access_token": ""}, Fault.API_FAILED),
        ({"code": 0, "tenant_access_token": 7}, Fault.API_FAILED),
        ([], Fault.API_FAILED),
    ],
)
async def test_refusals(tokens, office, clock, answer, fault):
    """What is no token is a fault, told to whoever asked, and the next one asks again."""
    office.answers = [Answer(200, {}, json.dumps(answer).encode())]
    with pytest.raises(FeishuWsError) as caught:
        await tokens.get()
    assert caught.value.fault is fault
    clock.advance(1)
    assert (await tokens.get()).reveal() == "t-2"


async def test_feishu_is_not_flooded(tokens, office, clock):
    """While no token is to be had, all who ask get the last answer, and Feishu some rest."""
    office.answers = [Answer(500)] * 50
    refused = 0
    for _ in range(600):  # a minute
        for _ in range(5):
            with pytest.raises(FeishuWsError):
                await tokens.get()
            refused += 1
        clock.advance(0.1)
    assert refused == 3000
    assert office.asked <= 8  # after 1, 2, 4, 8, 15, 15 s
    office.answers = []
    clock.advance(15)
    assert await tokens.get()


async def test_the_rest_that_feishu_asks_for(tokens, office, clock):
    """A wait that Feishu asks for is kept."""
    office.answers = [Answer(429, {"Retry-After": "60"})]
    for _ in range(59):
        with pytest.raises(FeishuWsError):
            await tokens.get()
        clock.advance(1)
    assert office.asked == 1
    clock.advance(1)
    assert await tokens.get()


def test_server_error():
    """A server that fails is busy."""
    with pytest.raises(FeishuWsError) as caught:
        read_token(Answer(502, {"Retry-After": "3"}, b"<html>"), 0.0)
    assert caught.value.fault is Fault.FEISHU_BUSY
    assert caught.value.retry_after_s == 3


@given(st.binary(), st.integers(100, 599))
def test_total(body, status):
    """Whatever the answer holds, it is a token or a fault."""
    try:
        token = read_token(Answer(status, {}, body), 1.0)
    except FeishuWsError:
        return
    assert 1.0 <= token.until_s <= 1.0 + LONGEST_S


def test_nothing_is_shown():
    """Neither secret nor token is in what is printed."""
    token = read_token(granted("t-secret"), 0.0)
    assert "t-secret" not in repr(token)
    assert json.loads(encode_request("cli_1", Secret("s"))) == {
        "app_id": "cli_1",
        "app_secret": "s",
    }
