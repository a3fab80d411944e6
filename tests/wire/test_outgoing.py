"""`send` and `api`: what is asked of Feishu, and what is refused before."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feishu_ws.wire import outgoing
from feishu_ws.wire.native import Code, RpcError, decode_params
from feishu_ws.wire.outgoing import ApiParams, SendParams, find_trick, read_api, read_send


def send(**params):
    """Return what `read_send` makes of params as a client writes them."""
    return read_send(decode_params(msgspec.Raw(json.dumps(params).encode()), SendParams))


def api(**params):
    """Return what `read_api` makes of params as a client writes them."""
    return read_api(decode_params(msgspec.Raw(json.dumps(params).encode()), ApiParams))


TEXT = {"msg_type": "text", "content": {"text": "hi"}}
TO = {"receive_id_type": "chat_id", "receive_id": "oc_1"}


def test_message_to_a_chat():
    """A message names its receiver, and waits behind others for the same one."""
    message = send(**TEXT, **TO, uuid="u-1", durable=True)
    assert message.line == "oc_1"
    assert message.request.method == "POST"
    assert message.request.target == "/open-apis/im/v1/messages?receive_id_type=chat_id"
    assert (message.uuid, message.durable) == ("u-1", True)
    body = json.loads(message.request.body)
    assert json.loads(body.pop("content")) == {"text": "hi"}
    assert body == {"receive_id": "oc_1", "msg_type": "text", "uuid": "u-1"}


def test_reply():
    """A reply names the message that it answers, in a thread if so wished."""
    message = send(**TEXT, reply_to="om_1", reply_in_thread=True)
    assert message.line == "om_1"
    assert message.request.target == "/open-apis/im/v1/messages/om_1/reply"
    body = json.loads(message.request.body)
    assert body["reply_in_thread"] is True
    assert "receive_id" not in body
    assert "uuid" not in body


def test_content_as_a_string():
    """Content that is a JSON string already goes out as it is."""
    content = '{"text":"\\u00e9"}'
    body = json.loads(send(msg_type="text", content=content, **TO).request.body)
    assert body["content"] == content


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"uuid": "x" * 51}, "uuid"),
        ({"durable": True}, "durable"),
        ({"msg_type": "no such"}, "msg_type"),
        ({"msg_type": ""}, "msg_type"),
        ({"content": 7}, "content"),
        ({"content": []}, "content"),
        ({"content": None}, "content"),
        ({"content": {"text": "x" * outgoing.MAX_CONTENT_BYTES}}, "content"),
        ({"receive_id_type": "phone"}, "receive_id_type"),
        ({"receive_id_type": None}, "receive_id_type"),
        ({"receive_id": ""}, "receive_id"),
        ({"reply_to": "om_1"}, "reply_to"),
        ({"reply_to": "../om_1", "receive_id": None, "receive_id_type": None}, "reply_to"),
        ({"reply_to": "", "receive_id": None, "receive_id_type": None}, "reply_to"),
    ],
)
def test_bad_send(change, named):
    """What is wrong is named, and nothing is asked of Feishu."""
    with pytest.raises(RpcError) as caught:
        send(**{**TEXT, **TO, **change})
    assert caught.value.code == Code.INVALID_PARAMS
    assert f"params.{named} " in caught.value.message


def test_api_request():
    """Query and body go out as they were given."""
    request = api(
        method="PATCH",
        path="/open-apis/im/v1/messages/om_1",
        query={"a": "x y", "b": ["1", "2"], "c": True, "d": 7},
        body={"k": [1, None]},
    )
    assert request.method == "PATCH"
    assert request.target == "/open-apis/im/v1/messages/om_1?a=x%20y&b=1&b=2&c=true&d=7"
    assert json.loads(request.body) == {"k": [1, None]}
    assert dict(request.headers)["Content-Type"].startswith("application/json")


def test_api_bytes():
    """Bytes that are no JSON come as base64, and get no type of their own."""
    request = api(method="POST", path="/open-apis/x", body_base64="AAEC")
    assert request.body == b"\x00\x01\x02"
    assert request.headers == ()


def test_api_bytes_of_a_type():
    """A form says what it is."""
    form = "multipart/form-data; boundary=b"
    request = api(method="POST", path="/open-apis/x", body_base64="AAEC", content_type=form)
    assert request.headers == (("Content-Type", form),)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"method": "TRACE"}, "method"),
        ({"body": {}, "content_type": "text/plain"}, "content_type"),
        ({"content_type": "text/plain"}, "content_type"),
        ({"body_base64": "", "content_type": "text/plain\r\nHost: x"}, "content_type"),
        ({"body_base64": "", "content_type": "text"}, "content_type"),
        ({"method": "get"}, "method"),
        ({"body": {}, "body_base64": ""}, "body_base64"),
        ({"body_base64": "*"}, "body_base64"),
        ({"body": "x" * outgoing.MAX_BODY_BYTES}, "body"),
        ({"path": "/open-apis/auth/v3/tenant_access_token/internal"}, "path"),
    ],
)
def test_bad_api(change, named):
    """What is wrong is named, and nothing is asked of Feishu."""
    with pytest.raises(RpcError) as caught:
        api(**{"method": "GET", "path": "/open-apis/x", **change})
    assert caught.value.code == Code.INVALID_PARAMS
    assert f"params.{named} " in caught.value.message


TRICKS = [
    "",
    "/",
    "/open-apis",
    "/open-apis/",
    "open-apis/x",
    "//open-apis/x",
    "/open-apis//x",
    "/open-apis/x/",
    "/open-apis/../admin",
    "/open-apis/./x",
    "/open-apis/x/..",
    "/open-apis/%2e%2e/x",
    "/open-apis/%2E./x",
    "/open-apis/x%2fy",
    "/open-apis/%252e",
    "/open-apis/x?y",
    "/open-apis/x#y",
    "/open-apis\\x",
    "/open-apis/x\\..\\y",
    "/open-apis/x\r\nHost: y",
    "/open-apis/x y",
    "/open-apis/x\0",
    "/open-apis/é",
    "/OPEN-APIS/x",
    "http://evil/open-apis/x",
    "/callback/ws/endpoint",
]


@pytest.mark.parametrize("path", TRICKS)
def test_path_tricks(path):
    """A path that two programs might read differently is refused."""
    assert find_trick(path)
    with pytest.raises(RpcError, match=r"params\.path"):
        api(method="GET", path=path)


@pytest.mark.parametrize(
    "path",
    [
        "/open-apis/im/v1/messages/om_x100b54/resources/img_v3_02-a~b",
        "/open-apis/contact/v3/users/ou_1",
        "/open-apis/bitable/v1/apps/a:b@c/tables",
        "/open-apis/x/...",
    ],
)
def test_plain_paths(path):
    """Feishu's own paths are plain."""
    assert find_trick(path) == ""


@given(st.text())
def test_paths_are_total(text):
    """Whatever follows the prefix, what passes has no segment that leads elsewhere."""
    path = f"/open-apis/{text}"
    if not find_trick(path):
        assert path.isascii()
        assert not {"", ".", ".."} & set(path[1:].split("/"))
        assert not set("%?#\\ \r\n\t\0") & set(path)
