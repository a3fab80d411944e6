"""Every answer that discovery and the upgrade are known to give, and any other."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feishu_ws.faults import Fault, FeishuWsError, Remedy
from feishu_ws.wire.endpoint import (
    RETRY_AFTER_MAX_S,
    Endpoint,
    parse_discovery,
    parse_handshake_refusal,
    parse_retry_after,
)
from feishu_ws.wire.session import ServerTimings

FEISHU = "https://open.feishu.cn"
URL = (
    "wss://msg-frontier.feishu.cn/ws/v2?fpid=493&aid=552564&device_id=7677469797122837778"
    "&access_key=0123456789abcdef&service_id=33554678&ticket=f00d"
)
CONFIG = {"ReconnectCount": -1, "ReconnectInterval": 90, "ReconnectNonce": 25, "PingInterval": 90}


def body(url=URL, code=0, **more):
    return msgspec.json.encode({"code": code, "msg": "ok", "data": {"URL": url, **more}})


def fault(status=200, content=b"", headers=None, domain=FEISHU):
    with pytest.raises(FeishuWsError) as caught:
        parse_discovery(status, content, headers or {}, domain)
    return caught.value


def test_endpoint():
    """A good answer gives URL, ids and timings."""
    found = parse_discovery(200, body(ClientConfig=CONFIG), {}, FEISHU)
    assert found == Endpoint(
        URL, "7677469797122837778", 33554678, ServerTimings(90, -1, 90, 25), None
    )


def test_secrets_are_not_shown():
    """Neither repr nor the shown URL has the ticket or the key."""
    found = parse_discovery(200, body(), {}, FEISHU)
    for text in (repr(found), found.shown):
        assert "f00d" not in text
        assert "0123456789abcdef" not in text
    assert found.shown == "wss://msg-frontier.feishu.cn/ws/v2"


@pytest.mark.parametrize(
    ("query", "device", "service"),
    [
        ("", "", 0),
        ("?device_id=d", "d", 0),
        ("?service_id=5&device_id=d", "d", 5),
        ("?service_id=x", "", 0),
        ("?service_id=-5", "", 0),
        ("?service_id=99999999999999999999", "", 0),
        ("?service_id=2147483647", "", 2147483647),
    ],
)
def test_ids_are_optional(query, device, service):
    """A URL without ids, or with odd ones, is used all the same."""
    found = parse_discovery(200, body(f"wss://x.feishu.cn/ws{query}"), {}, FEISHU)
    assert (found.device_id, found.service_id) == (device, service)


@pytest.mark.parametrize("config", [None, {}, [], "x", {"PingInterval": "soon"}])
def test_config_is_optional(config):
    """Without a usable ClientConfig the official SDKs' defaults hold."""
    assert parse_discovery(200, body(ClientConfig=config), {}, FEISHU).timings == ServerTimings()


@pytest.mark.parametrize(
    ("url", "domain", "warned"),
    [
        (URL, FEISHU, False),
        ("wss://msg-frontier-sg.larksuite.com/ws", "https://open.larksuite.com", False),
        ("wss://msg-frontier-sg.larksuite.com/ws", FEISHU, True),
        ("wss://feishu.cn.evil.example/ws", FEISHU, True),
        ("wss://notfeishu.cn/ws", FEISHU, True),
        ("wss://ws.corp.example/ws", "https://feishu.corp.example:8443", False),
        ("ws://127.0.0.1:9/ws", "http://localhost:9", False),
        ("ws://127.0.0.1:9/ws", FEISHU, True),
        ("wss://10.0.0.2/ws", "https://10.0.0.1", True),
        ("wss://10.0.0.1/ws", "https://10.0.0.1", False),
    ],
)
def test_foreign_host(url, domain, warned):
    """A host outside the domain's family is used, with one warning."""
    found = parse_discovery(200, body(url), {}, domain)
    assert found.url == url
    assert (found.warning is not None) is warned


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (1, Fault.FEISHU_BUSY),
        (403, Fault.ACCESS_REFUSED),
        (514, Fault.ACCESS_REFUSED),
        (99991400, Fault.RATE_LIMITED),
        (1000040343, Fault.FEISHU_BUSY),
        (1000040344, Fault.CREDENTIALS_REFUSED),
        (1000040345, Fault.CREDENTIALS_REFUSED),
        (1000040346, Fault.CREDENTIALS_REFUSED),
        (1000040350, Fault.CONNECTION_LIMIT),
        (1000040351, Fault.FEISHU_BUSY),
        (77, Fault.REFUSED_UNKNOWN),
        (-1, Fault.REFUSED_UNKNOWN),
        (2**63 - 1, Fault.REFUSED_UNKNOWN),
    ],
)
def test_codes(code, expected):
    """Each of Feishu's codes has its fault, whatever the data is; others are retried."""
    for data in ({"URL": ""}, None, {}):
        seen = fault(content=msgspec.json.encode({"code": code, "msg": "no\n", "data": data}))
        assert (seen.fault, seen.code) == (expected, code)
        assert str(code) in seen.detail
        assert '"no?"' in seen.detail
    held = {Fault.ACCESS_REFUSED, Fault.CREDENTIALS_REFUSED, Fault.CONNECTION_LIMIT}
    assert (seen.spec.remedy is Remedy.HOLD) is (expected in held)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>welcome to the hotel wifi</html>",
        b"[]",
        b"null",
        b"[" * 5000,
        b"\xff",
        b"{}",
        b'{"code":"0"}',
        b'{"code":true}',
        b'{"code":0.0}',
        b'{"code":9223372036854775808}',
        b'{"code":%s}' % (b"9" * 4000),
        b'{"code":0}',
        b'{"code":0,"data":null}',
        b'{"code":0,"data":[]}',
        b'{"code":0,"data":{}}',
        b'{"code":0,"data":{"URL":""}}',
        b'{"code":0,"data":{"URL":7}}',
        body("https://x.feishu.cn/"),
        body("ws://x.feishu.cn/ws?ticket=f00d"),
        body("ws://127.0.0.1.evil.example/"),
        body("wss:///path"),
        body("wss://[::1/ws"),
        body("wss://x.feishu.cn:99999/"),
        body("not a url"),
    ],
)
def test_malformed(content):
    """What is no endpoint is a fault that repeats no secret."""
    seen = fault(content=content)
    assert seen.fault is Fault.DISCOVERY_MALFORMED
    assert "expected" in seen.detail
    assert "f00d" not in seen.detail


SECRET = "Zw6eN3vLq0TtXy41"


@pytest.mark.parametrize("before", ["", "x" * 110, "x" * (120 - len(SECRET) + 1), "x" * 130])
@pytest.mark.parametrize("status", [200, 400])
def test_echoed_secret(before, status):
    """Words that repeat the secret are shown without it, also where they are cut."""
    content = msgspec.json.encode({"code": 9, "msg": f"{before}{SECRET} is not known"})
    with pytest.raises(FeishuWsError) as caught:
        parse_discovery(status, content, {}, FEISHU, (SECRET,))
    assert caught.value.code in {9, 400}
    assert not any(SECRET[at : at + 8] in caught.value.detail for at in range(len(SECRET) - 7))


def test_echoed_secret_in_a_url():
    """A URL that is no endpoint is shown without the secret."""
    with pytest.raises(FeishuWsError) as caught:
        parse_discovery(200, body(f"https://x.example/{SECRET}"), {}, FEISHU, (SECRET,))
    assert "https://x.example/<redacted>" in caught.value.detail


def test_echoed_ticket():
    """A refusal that repeats what the WebSocket's URL holds is shown without that."""
    secrets = parse_discovery(200, body(f"{URL}%2Bt1ckets"), {}, FEISHU).secrets
    for echo in (URL, "0123456789abcdef is old", "f00d+t1ckets", "x" * 115 + "0123456789abcdef"):
        headers = {"Handshake-Status": "514", "Handshake-Msg": echo}
        told = parse_handshake_refusal(400, headers, secrets).detail
        assert "0123456789" not in told
        assert "t1ckets" not in told
        assert "Handshake-Status 514" in told


@pytest.mark.parametrize(
    ("query", "secrets"),
    [
        ("", {""}),
        ("?a=1&b=x%3Dy", {"1", "x%3Dy", "x=y"}),
        ("?b=x==&&c=", {"x==", ""}),
        ("?ticket", {"ticket"}),
    ],
)
def test_secrets_of_an_endpoint(query, secrets):
    """Every value of the query is one, as it is written and as it is meant."""
    assert set(Endpoint(f"wss://x.feishu.cn/ws{query}").secrets) == secrets


@pytest.mark.parametrize("status", [201, 400, 401, 403, 500, 502, 503])
def test_http_errors(status):
    """Another HTTP status is retried, whatever the body says; what it says is repeated."""
    seen = fault(status, body(code=1000040346))
    assert (seen.fault, seen.code) == (Fault.DISCOVERY_FAILED, status)
    assert seen.detail == (
        f'discovery was answered with HTTP {status}, code 1000040346 "ok", expected 200'
    )
    assert fault(status, b"<html>").detail.endswith(f"with HTTP {status}, expected 200")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308, 404, 405, 511])
def test_somebody_else_answers(status):
    """A redirect, a path that is not there and a portal's login are no answers of Feishu's."""
    seen = fault(status, b"", {"Location": "http://login.example/?url=s3cret"})
    assert (seen.fault, seen.code) == (Fault.DISCOVERY_MALFORMED, status)
    assert "login.example" not in seen.detail


@pytest.mark.parametrize("status", [400, 403, 429, 503])
def test_rate_limit_in_the_body(status):
    """A rate limit is known by its code, whatever the HTTP status, and its wait is read."""
    seen = fault(status, body(code=99991400), {"x-ogw-ratelimit-reset": "52"})
    assert (seen.fault, seen.code, seen.retry_after_s) == (Fault.RATE_LIMITED, status, 52)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "7"}, 7),
        ({"X-Ogw-Ratelimit-Reset": "3", "Retry-After": "7"}, 3),
        ({"retry-after": "-7"}, None),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "9" * 30}, None),
        ({"Retry-After": "99999999"}, RETRY_AFTER_MAX_S),
        (
            {
                "Date": "Mon, 23 Nov 2026 18:00:00 GMT",
                "Retry-After": "Mon, 23 Nov 2026 18:00:42 GMT",
            },
            42,
        ),
        (
            {
                "Date": "Mon, 23 Nov 2026 18:00:00 GMT",
                "Retry-After": "Mon, 23 Nov 2026 17:00:00 GMT",
            },
            0,
        ),
        ({"Retry-After": "Mon, 23 Nov 2026 18:00:42 GMT"}, None),
    ],
)
def test_retry_after(headers, seconds):
    """The wait that the other side asks for is read from its header, within reason."""
    assert parse_retry_after(headers) == seconds
    seen = fault(429, b"", headers)
    assert (seen.fault, seen.retry_after_s) == (Fault.RATE_LIMITED, seconds)


@pytest.mark.parametrize(
    ("status", "headers", "expected", "code"),
    [
        (
            200,
            {"Handshake-Status": "514", "Handshake-Autherrcode": "1000040350"},
            Fault.CONNECTION_LIMIT,
            1000040350,
        ),
        (
            403,
            {"handshake-status": "514", "handshake-autherrcode": "1000040345"},
            Fault.CREDENTIALS_REFUSED,
            1000040345,
        ),
        (
            403,
            {"Handshake-Status": "514", "Handshake-Autherrcode": "9"},
            Fault.REFUSED_UNKNOWN,
            9,
        ),
        (
            403,
            {"Handshake-Status": "514", "Handshake-Autherrcode": "0"},
            Fault.HANDSHAKE_REFUSED,
            514,
        ),
        (514, {"Handshake-Status": "514"}, Fault.HANDSHAKE_REFUSED, 514),
        (
            400,
            {"HANDSHAKE-STATUS": "403", "Handshake-Msg": "forbidden"},
            Fault.ACCESS_REFUSED,
            403,
        ),
        (503, {"Handshake-Status": "1000040343"}, Fault.HANDSHAKE_REFUSED, 1000040343),
        (500, {"Handshake-Status": "what"}, Fault.HANDSHAKE_REFUSED, 500),
        (403, {}, Fault.HANDSHAKE_REFUSED, 403),
        (502, {}, Fault.HANDSHAKE_REFUSED, 502),
        (429, {"Retry-After": "5"}, Fault.RATE_LIMITED, 429),
    ],
)
def test_handshake_refusals(status, headers, expected, code):
    """An upgrade that is refused has the fault its headers name, else one to retry."""
    seen = parse_handshake_refusal(status, headers)
    assert (seen.fault, seen.code) == (expected, code)
    assert seen.detail


@pytest.mark.parametrize(
    ("status", "headers", "said"),
    [
        (403, {"Handshake-Status": "403"}, "refused with Handshake-Status 403, without a code"),
        (
            200,
            {"Handshake-Status": "514", "Handshake-Msg": "no\n", "Handshake-Autherrcode": "9"},
            'refused with Handshake-Status 514 "no?", code 9',
        ),
        (502, {}, "answered with HTTP 502"),
        (
            403,
            {"Handshake-Status": "soon", "Handshake-Msg": "no", "Handshake-Autherrcode": "9"},
            'answered with HTTP 403 "no", code 9',
        ),
    ],
)
def test_words_of_a_refused_upgrade(status, headers, said):
    """A refusal is told in words that can be read aloud, with all that Feishu said."""
    assert parse_handshake_refusal(status, headers).detail == (
        f"the upgrade was {said}, expected HTTP 101"
    )


@given(
    st.integers(100, 599),
    st.binary(max_size=60)
    | st.dictionaries(
        st.sampled_from(["code", "msg", "data"]),
        st.integers() | st.text(max_size=9) | st.dictionaries(st.just("URL"), st.text(max_size=30)),
    ).map(msgspec.json.encode),
    st.dictionaries(
        st.sampled_from(
            ["retry-after", "Date", "handshake-status", "handshake-autherrcode", "handshake-msg"]
        ),
        st.text(max_size=40),
    ),
)
def test_anything(status, content, headers):
    """Whatever comes, it is an endpoint or a fault with words that can be printed."""
    refusal = parse_handshake_refusal(status, headers)
    try:
        found = parse_discovery(status, content, headers, FEISHU)
    except FeishuWsError as exc:
        refusals = [refusal, exc]
    else:
        assert found.url.startswith("ws")
        refusals = [refusal]
    for each in refusals:
        assert each.detail.isprintable()
        assert each.retry_after_s is None or 0 <= each.retry_after_s <= RETRY_AFTER_MAX_S
