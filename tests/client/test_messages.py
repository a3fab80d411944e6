"""Messages to send: what the daemon is asked for."""

import asyncio
import base64
import email.parser
import email.policy
import json

import pytest
from client.fake_daemon import FakeDaemon
from hypothesis import given
from hypothesis import strategies as st

from feishu_ws.client import Code, Consumer, RpcError, blocking, messages
from feishu_ws.client.messages import send, send_blocking

SENT = {"message_id": "om_1"}
PNG = b"\x89PNG\r\n\x1a\n--x\r\n"


@pytest.fixture
def sending(daemon):
    """A daemon that sends."""
    daemon.results["send"] = SENT
    return daemon


def uploaded(key, value, **more):
    """Return what `api` answers to an upload."""
    body = {"code": 0, "msg": "success", "data": {key: value}} | more
    return {"http_status": 200, "headers": {"x-tt-logid": "L1"}, "body": body}


def parse_form(params):
    """Return the parts of a form as [(disposition params, bytes)], read by another parser."""
    head = f"Content-Type: {params['content_type']}\r\n\r\n".encode()
    octets = head + base64.b64decode(params["body_base64"])
    parsed = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(octets)
    return [
        (dict(part["content-disposition"].params), part.get_payload(decode=True))
        for part in parsed.iter_parts()
    ]


async def asked(daemon):
    """Return the params of the only `send`, its content decoded."""
    [params] = daemon.params("send")
    return params | {"content": json.loads(params["content"])}


@pytest.mark.parametrize(
    ("to", "kind"),
    [
        ("oc_1", "chat_id"),
        ("ou_1", "open_id"),
        ("on_1", "union_id"),
        ("a@example.com", "email"),
        ("ee1f", "user_id"),
    ],
)
async def test_text(sending, to, kind):
    """A text goes to whom its id names."""
    assert await send(messages.text("你好"), to=to, path=sending.path) == "om_1"
    assert await asked(sending) == {
        "msg_type": "text",
        "content": {"text": "你好"},
        "receive_id": to,
        "receive_id_type": kind,
        "durable": False,
    }


async def test_a_named_kind_of_receiver(sending):
    """What the id does not tell is said."""
    await send(messages.text("x"), to="42", to_type="union_id", path=sending.path)
    assert (await asked(sending))["receive_id_type"] == "union_id"


async def test_a_durable_reply_in_a_thread(sending):
    """A reply names the message; a uuid and durability are passed on."""
    more = {"in_thread": True, "uuid": "u-1", "durable": True}
    await send(messages.text("x"), reply_to="om_0", **more, path=sending.path)
    assert await asked(sending) == {
        "msg_type": "text",
        "content": {"text": "x"},
        "reply_to": "om_0",
        "reply_in_thread": True,
        "durable": True,
        "uuid": "u-1",
    }


@pytest.mark.parametrize("more", [{}, {"to": "oc_1", "reply_to": "om_1"}])
async def test_who_gets_it(sending, more):
    """Either a receiver or a message to reply to."""
    with pytest.raises(ValueError, match="expected one of the two"):
        await send(messages.text("x"), path=sending.path, **more)
    assert sending.calls == []


def test_post():
    """Words become paragraphs of text; elements stay as they are."""
    made = messages.post(["one", [{"tag": "a", "href": "https://x", "text": "y"}]], title="T")
    assert made.content == {
        "zh_cn": {
            "title": "T",
            "content": [
                [{"tag": "text", "text": "one"}],
                [{"tag": "a", "href": "https://x", "text": "y"}],
            ],
        }
    }


def test_markdown_and_card():
    """Markdown is a post of one element; a card is its own JSON."""
    assert messages.markdown("**x**").content["zh_cn"]["content"] == [
        [{"tag": "md", "text": "**x**"}]
    ]
    assert messages.card({"schema": "2.0"}) == messages.Outgoing("interactive", {"schema": "2.0"})


async def test_image_from_a_file(sending, tmp_path):
    """The client reads the file and uploads it; the message names its key."""
    (tmp_path / "a.png").write_bytes(PNG)
    sending.results["api"] = uploaded("image_key", "img_1")
    await send(messages.image(tmp_path / "a.png"), to="oc_1", path=sending.path)
    [api] = sending.params("api")
    assert (api["method"], api["path"]) == ("POST", "/open-apis/im/v1/images")
    assert parse_form(api) == [
        ({"name": "image_type"}, b"message"),
        ({"name": "image", "filename": "a.png"}, PNG),
    ]
    said = await asked(sending)
    assert (said["msg_type"], said["content"]) == ("image", {"image_key": "img_1"})


@pytest.mark.parametrize(
    ("name", "file_type", "msg_type"),
    [
        ("a.opus", "opus", "audio"),
        ("a.MP4", "mp4", "media"),
        ("报告.pdf", "pdf", "file"),
        ("a.xlsx", "xls", "file"),
        ("noidea", "stream", "file"),
    ],
)
async def test_files(sending, name, file_type, msg_type):
    """What a file is called says which type Feishu takes it for."""
    sending.results["api"] = uploaded("file_key", "file_1")
    made = messages.file(b"content", name=name, duration_ms=1500)
    await send(made, to="oc_1", path=sending.path)
    [api] = sending.params("api")
    form = {disposition["name"]: content for disposition, content in parse_form(api)}
    assert form == {
        "file_type": file_type.encode(),
        "file_name": name.encode(),
        "duration": b"1500",
        "file": b"content",
    }
    assert (await asked(sending))["msg_type"] == msg_type


async def test_a_refused_upload(sending):
    """Feishu's refusal of an upload is told with its code, and nothing is sent."""
    sending.results["api"] = uploaded("x", "y", code=234006, msg="too large")
    with pytest.raises(RpcError, match="234006") as caught:
        await send(messages.image(PNG), to="oc_1", path=sending.path)
    assert caught.value.code == Code.FEISHU_REFUSED
    assert caught.value.data == {"code": 234006, "msg": "too large", "log_id": "L1"}
    assert sending.params("send") == []


@pytest.mark.parametrize("answer", [{}, {"body": []}, {"body": {"code": 0, "data": None}}])
def test_an_answer_without_a_key(answer):
    """An answer that is none is a refusal, not a crash."""
    with pytest.raises(RpcError):
        messages.read_key(answer, "image_key")


@pytest.mark.parametrize("size", [0, messages.MAX_FILE_BYTES + 1])
async def test_sizes(sending, tmp_path, size):
    """Nothing, or more than the socket takes, is refused before anything is asked."""
    (tmp_path / "f.bin").write_bytes(bytes(size))
    with pytest.raises(ValueError, match=r"f\.bin has"):
        await send(messages.file(tmp_path / "f.bin"), to="oc_1", path=sending.path)
    assert sending.calls == []


async def test_over_a_consumer(sending):
    """A consumer's own connection is used where one is given."""
    async with Consumer("bot", sending.path) as consumer:
        await send(messages.text("x"), to="oc_1", via=consumer)
    assert [method for method, _ in sending.calls] == ["hello", "send"]


async def test_blocking(sending):
    """Programs with threads send without `await`, over a connection or a consumer."""

    def work():
        first = send_blocking(messages.text("x"), to="oc_1", path=sending.path)
        with blocking.Consumer("bot", sending.path) as consumer:
            return first, send_blocking(messages.text("y"), to="oc_1", via=consumer)

    assert await asyncio.to_thread(work) == ("om_1", "om_1")


async def test_feishu_refuses(tmp_path):
    """The daemon's refusal comes through."""
    async with FakeDaemon(tmp_path / "s") as daemon:
        daemon.refuse["send"] = {"code": -32004, "message": "no", "data": {"code": 230002}}
        with pytest.raises(RpcError) as caught:
            await send(messages.text("x"), to="oc_1", path=daemon.path)
        assert caught.value.data == {"code": 230002}


@given(name=st.text(min_size=1), content=st.binary(min_size=1, max_size=200))
def test_forms_are_total(name, content):
    """Whatever a file is called, no header can be smuggled in, and its bytes stay as they are."""
    form = messages.encode_form({"file_name": "x"}, ("file", name, content), "b" * 32)
    head, _, rest = form.partition(b"Content-Type: application/octet-stream\r\n\r\n")
    assert rest == content + b"\r\n--" + b"b" * 32 + b"--\r\n"
    assert head.count(b"\r\n") == 6
