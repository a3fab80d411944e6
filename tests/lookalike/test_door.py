"""Discovery and tickets: who gets in, and in which words the others are told."""

import json
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feishu_ws.downstream.lookalike.door import KEPT_TICKETS, TICKET_S, Door
from feishu_ws.downstream.lookalike.settings import MAX_LINKS
from feishu_ws.secret import Secret
from feishu_ws.wire.endpoint import parse_discovery
from feishu_ws.wire.identity import Identity

RIGHT = {"AppID": "cli_a", "AppSecret": "s3cret"}


def door(secret="s3cret"):
    return Door(Identity("cli_a", lambda: Secret(secret)))


def discover(one, now_s=0.0, **shown):
    reply, is_known = one.discover(json.dumps(RIGHT | shown).encode(), "127.0.0.1:9531", now_s)
    answer = json.loads(reply.body)
    assert is_known == (answer["code"] == 0)
    return answer


def query_of(answer):
    return urlsplit(answer["data"]["URL"]).query


def test_what_sdks_are_told():
    """The configuration is whole, and the ids they read are not first in the query."""
    answer = discover(door())
    config = {
        "ReconnectCount": -1,
        "ReconnectInterval": 1,
        "ReconnectNonce": 0,
        "PingInterval": 120,
    }
    assert (answer["code"], answer["data"]["ClientConfig"]) == (0, config)
    names = [name for name, _ in parse_qsl(query_of(answer))]
    assert {"device_id", "service_id", "ticket"} <= set(names[1:])
    endpoint = parse_discovery(200, json.dumps(answer).encode(), {}, "http://127.0.0.1:9531")
    assert endpoint.device_id
    assert endpoint.service_id


@pytest.mark.parametrize(
    ("shown", "code"),
    [
        ({"AppID": "cli_b"}, 1000040346),
        ({"AppID": "cli_b", "AppSecret": "no"}, 1000040346),
        ({"AppSecret": "no"}, 1000040345),
        ({"AppSecret": ""}, 1000040345),
        ({"AppSecret": "S3CRET"}, 1000040345),
        ({"AppSecret": "s3cret\u00e9"}, 1000040345),
        ({"AppSecret": "", "ClientAssertion": "a.b.c"}, 1000040344),
    ],
)
def test_wrong_ones_get_feishus_codes(shown, code):
    """A wrong id or secret is answered as Feishu does, with an URL that is empty."""
    answer = discover(door(), **shown)
    assert (answer["code"], answer["data"]) == (code, {"URL": ""})


def test_keyless_is_told_what_to_do():
    """A client that proves itself by an assertion is told what is expected instead."""
    answer = discover(door(), AppSecret="", ClientAssertion="a.b.c")
    assert "AppSecret" in answer["msg"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"AppID":7}', b"\xff", b"[" * 5000])
def test_what_is_no_request(body):
    """What is no request for an endpoint is 400."""
    reply, is_known = door().discover(body, "127.0.0.1:1", 0.0)
    assert (reply.status, is_known) == (400, False)


@given(st.binary(max_size=200))
def test_total(body):
    """Whatever is sent, it gets an answer and no ticket."""
    _, is_known = door().discover(body, "h", 0.0)
    assert not is_known


def test_empty_secret_opens_nothing():
    """A right id alone is not enough."""
    reply, is_known = door().discover(b'{"AppID":"cli_a"}', "h", 0.0)
    assert (json.loads(reply.body)["code"], is_known) == (1000040345, False)


# -- tickets ---------------------------------------------------------------------------------


def test_ticket_is_for_once():
    """A ticket lets one client in."""
    one = door()
    query = query_of(discover(one))
    assert one.admit(query, 0, 1.0) is None
    refused = one.admit(query, 0, 1.0)
    headers = dict(refused.headers)
    assert headers["Handshake-Status"] == "514"
    assert headers["Handshake-Autherrcode"] != "1000040350"  # which SDKs give up at
    assert headers["Handshake-Msg"]


def test_old_ticket():
    """A ticket is good for so long."""
    one = door()
    first, second = query_of(discover(one)), query_of(discover(one))
    assert one.admit(first, 0, TICKET_S - 1) is None
    assert one.admit(second, 0, TICKET_S + 1)


@pytest.mark.parametrize("change", ["device_id", "service_id"])
def test_stolen_ticket(change):
    """A ticket with another's ids is used up all the same."""
    one = door()
    query = query_of(discover(one))
    pairs = [(name, "7" if name == change else value) for name, value in parse_qsl(query)]
    assert one.admit("&".join(f"{n}={v}" for n, v in pairs), 0, 0.0)
    assert one.admit(query, 0, 0.0)


@pytest.mark.parametrize("query", ["", "ticket=", "ticket=x", "%", "ticket=" + "0" * 32])
def test_no_ticket(query):
    """Nobody gets in without one."""
    assert door().admit(query, 0, 0.0)


def test_tickets_are_bounded():
    """Of tickets nobody used the oldest end."""
    one = door()
    queries = [query_of(discover(one)) for _ in range(KEPT_TICKETS + 1)]
    assert one.admit(queries[0], 0, 0.0)
    assert one.admit(queries[1], 0, 0.0) is None


def test_as_many_as_there_can_be():
    """Beyond the most there can be, a client is told to try again."""
    one = door()
    assert one.admit(query_of(discover(one)), MAX_LINKS, 0.0)
