"""`feishu-ws send` and `api`: what is asked of the daemon, and what is printed."""

import io
import json
import sys

import pytest

MESSAGE = {"message_id": "om_1"}


@pytest.fixture
def office(daemon, monkeypatch):
    """A daemon that sends and calls, and words on standard input."""
    daemon.results = {
        "send": MESSAGE,
        "api": {"http_status": 200, "headers": {}, "body": {"code": 0, "data": {"n": 1}}},
    }

    def say(words):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(words)))

    say(b"hi\n")
    daemon.say = say
    return daemon


async def test_words(here, office):
    """Words come from standard input, and the message's id is printed."""
    assert await here("send", "--socket", office.path, "--to", "oc_1") == (0, "om_1\n", "")
    (params,) = office.params("send")
    assert params == {
        "msg_type": "text",
        "content": {"text": "hi"},
        "receive_id": "oc_1",
        "receive_id_type": "chat_id",
    }


@pytest.mark.parametrize(
    ("receiver", "kind"),
    [
        ("oc_1", "chat_id"),
        ("ou_1", "open_id"),
        ("on_1", "union_id"),
        ("a@b.cn", "email"),
        ("f8", "user_id"),
    ],
)
async def test_receivers(here, office, receiver, kind):
    """What an id is its first letters tell."""
    await here("send", "--socket", office.path, "--to", receiver)
    assert office.params("send")[0]["receive_id_type"] == kind


async def test_reply_that_is_kept(here, office):
    """A reply in a thread, kept under a name of its own."""
    words = ("--reply-to", "om_0", "--in-thread", "--uuid", "u-1", "--durable", "--json")
    code, out, _ = await here("send", "--socket", office.path, *words)
    assert (code, json.loads(out)) == (0, MESSAGE)
    (params,) = office.params("send")
    assert (params["reply_to"], params["reply_in_thread"]) == ("om_0", True)
    assert (params["uuid"], params["durable"]) == ("u-1", True)


async def test_other_types_from_a_file(here, office, tmp_path):
    """Other types take Feishu's content as JSON."""
    (tmp_path / "card.json").write_text('{"elements": []}')
    words = ("--to", "oc_1", "--type", "interactive", "--file", str(tmp_path / "card.json"))
    assert (await here("send", "--socket", office.path, *words))[0] == 0
    assert office.params("send")[0]["content"] == {"elements": []}


@pytest.mark.parametrize(
    ("given", "words", "told"),
    [
        (b"", [], "empty"),
        (b" \n", [], "empty"),
        (b"\xff", [], "UTF-8"),
        (b"no", ["--type", "post"], "JSON"),
        (b"x", ["--durable"], "--uuid"),
        (b"x", ["--file", "/nowhere/x"], "/nowhere/x"),
    ],
)
async def test_what_cannot_be_sent(here, office, given, words, told):
    """What cannot be sent is told before anything is asked."""
    office.say(given)
    code, out, err = await here("send", "--socket", office.path, "--to", "oc_1", *words)
    assert (code, out) == (64, "")
    assert told in err
    assert not office.params("send")


async def test_refused_by_feishu(here, office):
    """Feishu's refusal is told with its code, words and log id."""
    data = {"code": 230002, "msg": "Bot is out of the chat", "log_id": "L1"}
    office.refuse = {"send": {"code": -32004, "message": "no", "data": data}}
    code, _, err = await here("send", "--socket", office.path, "--to", "oc_1")
    assert code == 69
    assert "code 230002" in err
    assert "log_id L1" in err
    assert "fault: api_refused" in err


async def test_call(here, office):
    """A call's query goes along, and Feishu's answer is printed as it is."""
    words = (
        "GET",
        "/open-apis/im/v1/chats",
        "--query",
        "a=1",
        "--query",
        "a=2",
        "--query",
        "b=x=y",
    )
    code, out, err = await here("api", "--socket", office.path, *words)
    assert (code, json.loads(out), err) == (0, {"code": 0, "data": {"n": 1}}, "")
    (params,) = office.params("api")
    assert params["query"] == {"a": ["1", "2"], "b": ["x=y"]}
    assert "body" not in params


async def test_call_with_a_body(here, office):
    """A body comes from standard input or a file."""
    office.say(b'{"name": "x"}')
    await here("api", "--socket", office.path, "POST", "/open-apis/im/v1/chats", "--body", "-")
    assert office.params("api")[0]["body"] == {"name": "x"}


@pytest.mark.parametrize(
    ("result", "code"),
    [
        ({"http_status": 200, "body": {"code": 0}}, 0),
        ({"http_status": 200, "body": []}, 0),
        ({"http_status": 200, "body_base64": "AAE="}, 0),
        ({"http_status": 200, "body": {"code": 7}}, 69),
        ({"http_status": 404, "body": {"code": 0}}, 69),
        ({"http_status": 502, "body_base64": "AAE="}, 69),
    ],
)
async def test_exit_codes(here, office, result, code):
    """The exit code tells whether Feishu did it."""
    office.results["api"] = {"headers": {}} | result
    words = ("--json", "GET", "/open-apis/x")
    assert (await here("api", "--socket", office.path, *words))[0] == code


async def test_nobody_there(here, tmp_path):
    """Without a daemon nothing is sent."""
    words = ("--socket", str(tmp_path / "no.sock"), "GET", "/open-apis/x")
    code, _, err = await here("api", *words)
    assert code == 69
    assert "fault: daemon_unreachable" in err
