"""Requests and answers on their way through: what is refused, dropped, passed on."""

import json
from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feishu_ws.wire.forwarding import (
    HOP_BY_HOP,
    Inquiry,
    bearer,
    end_to_end,
    find_header_trick,
    find_path_trick,
    find_refusal,
    is_for_tokens,
    onward,
    takes_gzip,
)

TRICKS = [
    "/open-apis//im",
    "//open-apis/im",
    "/open-apis/../x",
    "/open-apis/./x",
    "/open-apis/x/..",
    "/open-apis/x/",
    "/open-apis/%2e%2e/x",
    "/open-apis/%2E./x",
    "/open-apis/.%2e/x",
    "/open-apis/%2e",
    "/open-apis/a%2fb",
    "/open-apis/a%2Fb",
    "/open-apis/a%5cb",
    "/open-apis/a\\b",
    "/open-apis/%252e%252e/x",
    "/open-apis/%61uth/v3/x",
    "/open-apis/%41uth/v3/x",
    "/open-apis/a%00b",
    "/open-apis/a%0d%0aX: b",
    "/open-apis/a%7f",
    "/open-apis/a%3fb",
    "/open-apis/a%23b",
    "/open-apis/a%2",
    "/open-apis/a%",
    "/open-apis/a%zz",
    "/open-apis/%c0%af",
    "/open-apis/%c0%ae%c0%ae/x",
    "/open-apis/%ff",
    "/open-apis/%ef%bc%8f",
    "/open-apis/%ef%bc%8e%ef%bc%8e/x",
    "/open-apis/%e2%80%a5/x",
    "/open-apis/a;b\t",
    "/open-apis/é",
    "/open-apis",
    "/OPEN-APIS/x",
    "/%6fpen-apis/x",
    "/callback/ws/endpoint/",
    "http://127.0.0.1:9531/open-apis/x",
    "https://open.feishu.cn/open-apis/x",
    "127.0.0.1:80",
    "*",
    "",
]


@pytest.mark.parametrize("path", TRICKS)
def test_path_tricks(path):
    """A path that two programs might read differently is refused, in a request too."""
    assert find_path_trick(path)
    assert find_refusal(Inquiry("GET", path)).status in {400, 404}


@pytest.mark.parametrize(
    "path",
    [
        "/open-apis/im/v1/messages/om_1/resources/img_v3_02-a~b",
        "/open-apis/sheets/v2/spreadsheets/sht/values/Sheet1%21A1%3AB2",
        "/open-apis/contact/v3/users/a%40b",
        "/open-apis/x/%E4%B8%AD",
        "/open-apis/x/a%20b",
        "/open-apis/x/...",
    ],
)
def test_plain_paths(path):
    """What Feishu's paths hold passes, escaped as SDKs do."""
    assert find_path_trick(path) == ""


@given(st.text(alphabet=st.characters(blacklist_categories=["Cs", "Cc"]), min_size=1, max_size=20))
def test_what_sdks_escape(text):
    """A parameter that an SDK escapes passes, unless it would lead elsewhere."""
    path = f"/open-apis/x/{quote(text, safe='')}/y"
    if not find_path_trick(path):
        assert unquote(path).count("/") == 4
        assert not {".", "..", ""} & set(unquote(path)[1:].split("/"))


@given(st.text(max_size=60))
def test_paths_are_total(text):
    """Whatever comes is judged."""
    find_refusal(Inquiry("GET", f"/open-apis/{text}"))


@pytest.mark.parametrize("query", ["a=b c", "a=\t", 'a="', "a=é", "a#b", "a=\x7f"])
def test_queries_that_are_not_escaped(query):
    """A query is passed on untouched, if it may stand in a request line at all."""
    assert find_refusal(Inquiry("GET", f"/open-apis/x?{query}")).status == 400


@pytest.mark.parametrize("query", ["", "a=b", "a=%2e%2e/&b=http://x/?y", "%00", "//", "a=[1]{}|^`"])
def test_queries(query):
    """Whatever is escaped in a query is none of our business."""
    assert find_refusal(Inquiry("GET", f"/open-apis/x?{query}")) is None


@pytest.mark.parametrize("method", ["OPTIONS", "TRACE", "CONNECT", "HEAD", "get", "PROPFIND"])
def test_methods(method):
    """Methods that Feishu's API has none of are refused."""
    assert find_refusal(Inquiry(method, "/open-apis/x")).status == 405


def test_elsewhere():
    """What is not below /open-apis/ is not found, in the form of Feishu's answers."""
    reply = find_refusal(Inquiry("GET", "/metrics"))
    assert (reply.status, json.loads(reply.body)["code"]) == (404, 404)


@pytest.mark.parametrize(
    "path",
    ["/open-apis/auth", "/open-apis/auth/v3/x", "/open-apis/AUTH/v3/x", "/open-apis/Auth"],
)
def test_for_tokens(path):
    """However it is written, what asks for a token stays here."""
    assert is_for_tokens(path)


def test_not_for_tokens():
    """Other paths that begin alike do not."""
    assert not is_for_tokens("/open-apis/authen/v1/user_info")


# -- headers -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        (("Authorization", "Bearer a"), ("authorization", "Bearer u-b")),
        (("Content-Length", "1"), ("Content-Length", "1")),
        (("Content-Length", "1"), ("Transfer-Encoding", "chunked")),
        (("Transfer-Encoding", "gzip, chunked"),),
        (("Transfer-Encoding", "identity"),),
        (("Host", "a"), ("Host", "b")),
        (("Content-Type", "a/b"), ("Content-Type", "c/d")),
    ],
)
def test_header_tricks(headers):
    """Headers that two programs might read differently are refused."""
    assert find_header_trick(headers)
    assert find_refusal(Inquiry("POST", "/open-apis/x", headers)).status == 400


def test_plain_headers():
    """What SDKs send is plain."""
    assert find_header_trick((("Transfer-Encoding", "Chunked"), ("X", "1"), ("X", "2"))) == ""


def test_hop_by_hop():
    """What one hop says to the next ends here, also what Connection names."""
    named = (("Connection", "close, X-Mine"), ("connection", "x-also"), ("X-Mine", "1"))
    more = (("x-Also", "2"), ("X-Kept", "3"), *((name.title(), "v") for name in HOP_BY_HOP))
    assert end_to_end((*named, *more)) == (("X-Kept", "3"),)


def test_onward():
    """The client's token and what describes the transfer are made anew; the rest goes as it is."""
    headers = (
        ("Host", "127.0.0.1:9531"), ("Authorization", "Bearer t-local"), ("Content-Length", "1"),
        ("Expect", "100-continue"), ("Accept-Encoding", "br"), ("Content-Type", "x/y"),
        ("X-A", "1"), ("X-A", "2"), ("Content-Encoding", "gzip"),
    )  # fmt: skip
    assert onward(headers) == (
        ("Content-Type", "x/y"), ("X-A", "1"), ("X-A", "2"), ("Content-Encoding", "gzip"),
    )  # fmt: skip


def test_connection_cannot_drop_what_matters():
    """A client that names its token in Connection loses the token, and gets in nowhere."""
    headers = (("Connection", "Authorization"), ("Authorization", "Bearer a"))
    assert onward(headers) == ()
    assert bearer(headers) == "a"


@pytest.mark.parametrize(
    ("value", "token"),
    [("Bearer a", "a"), ("bearer  a ", "a"), ("Basic a", ""), ("Bearer", ""), ("", "")],
)
def test_bearer(value, token):
    """A token is read where there is one."""
    assert bearer((("authorization", value),)) == token


def test_no_bearer():
    """No header is not the same as an empty one."""
    assert bearer(()) is None


@pytest.mark.parametrize(
    ("value", "takes"),
    [("gzip", True), ("br, GZIP;q=0.5", True), ("gzip;q=0", False), ("br", False), ("", False)],
)
def test_gzip(value, takes):
    """Whether a compressed answer is wanted."""
    assert takes_gzip((("Accept-Encoding", value),)) is takes
