"""`feishu-ws tail`: a reader that disturbs nobody, against a fake daemon."""

import asyncio
import json
import signal

import pytest
from client.fake_daemon import cloud_event, event_params

from feishu_ws.events.received import Message, Sender


def _message(text):
    sender = {"open_id": "ou_9", "union_id": "", "user_id": "", "type": "user"}
    ids = dict.fromkeys(("id", "chat_id", "thread_id", "root_id", "parent_id"), "x")
    rest = {"chat_type": "p2p", "type": "text", "text": text, "sender": sender}
    return ids | rest | {"mentions": [], "segments": [], "resources": []}


def test_the_sample_has_every_field_of_a_message():
    """What these tests deliver is what the daemon would."""
    assert set(_message("")) == set(Message.__struct_fields__)
    assert set(_message("")["sender"]) == set(Sender.__struct_fields__)


async def test_events_are_printed_a_line_each(command, daemon):
    """Time, position, type, subject, and the words of a message; then it settles."""

    def greet(fake, _):
        fake.send("event", event_params(7, message=_message("hi\x1b[2J 你好")))
        fake.send("event", event_params(8, attempt=2, late=True))

    daemon.on_hello = greet
    code, out, err = await command("tail", "--socket", daemon.path, "--max", "2")

    assert (code, err) == (0, "")
    first, second = out.splitlines()
    assert first.startswith("2026-03-20 11:03:11      7  im.message.receive_v1")
    assert "oc_1 ou_9: hi\\x1b[2J 你好" in first
    assert second.endswith("(message) oc_1: n=8  (attempt 2)  (late)")
    assert await daemon.settled(2) == [7, 8]


@pytest.mark.parametrize(
    ("words", "hello"),
    [
        ([], {"start": "latest"}),
        (["--from", "earliest"], {"start": "earliest"}),
        (["--from", "12", "--type", "im.*", "--type", "x"], {"start": 12, "types": ["im.*", "x"]}),
    ],
)
async def test_the_hello_asks_for_no_cursor(command, daemon, words, hello):
    """It is not durable, whatever else is asked for."""
    daemon.on_hello = lambda fake, _: fake.deliver(1)

    assert (await command("tail", "--socket", daemon.path, "--max", "1", *words))[0] == 0

    assert daemon.params("hello") == [{"consumer": "tail", "durable": False} | hello]


async def test_for_programs_params_are_printed_byte_for_byte(command, daemon):
    """Spelling, order and unknown fields are kept."""
    params = b'{"position": 1,"event":{"data":{"a":1.0e2,  "b":"\\u4f60"}},"new":[ ]}'
    daemon.on_hello = lambda fake, _: fake.send_line(
        b'{"jsonrpc":"2.0","method":"event","params":%b}' % params
    )

    _, out, _ = await command("--json", "tail", "--socket", daemon.path, "--max", "1")

    assert out.encode() == params + b"\n"


async def test_a_message_of_a_newer_daemon_is_no_obstacle(command, daemon):
    """What it does not understand it leaves out."""
    daemon.on_hello = lambda fake, _: fake.send("event", event_params(1, message={"odd": 1}))

    code, out, _ = await command("tail", "--socket", daemon.path, "--max", "1")

    assert code == 0
    assert out.rstrip().endswith("(message) oc_1: n=1")


async def test_text_that_is_no_time_cannot_steer_the_terminal(command, daemon):
    """Everything in an event is somebody else's."""
    event = cloud_event(1, time="\x1b]0;title", type="\x9b31m", subject="\u202e")
    daemon.on_hello = lambda fake, _: fake.send("event", event_params(1, event=event))

    _, out, _ = await command("tail", "--socket", daemon.path, "--max", "1")

    assert out == "\\x1b]0;title      1  \\x9b31m \\u202e: n=1\n"


async def test_the_end_of_the_daemon_is_the_end(command, daemon):
    """It does not connect again, and says so."""

    def greet(fake, _):
        fake.deliver(1)
        fake.bye("shutdown")

    daemon.on_hello = greet
    code, _, err = await command("tail", "--socket", daemon.path)

    assert code == 69
    assert err.startswith("feishu-ws: the daemon went away (shutdown), expected more events\n")


@pytest.mark.parametrize(
    ("refusal", "code", "words"),
    [
        ({"code": -32006, "message": "uid 5"}, 69, "the daemon refused with -32006: uid 5"),
        ({"code": -32602, "message": "types"}, 64, "the daemon refused with -32602: types"),
        ({"code": -32603, "message": "oh"}, 70, "the daemon refused with -32603: oh"),
    ],
)
async def test_a_refusal_is_told(command, daemon, refusal, code, words):
    """With the daemon's own words and the exit code of the fault."""
    daemon.refuse["hello"] = refusal

    seen = await command("tail", "--socket", daemon.path)

    assert seen[0] == code
    assert seen[2].startswith(f"feishu-ws: {words}, expected an answer, {daemon.path}\n")


async def test_an_interrupt_is_how_one_ends_it(start, daemon):
    """Exit 0, and the daemon sees it go."""
    process = await start("tail", "--socket", daemon.path)
    await daemon.wait_for("hello")
    daemon.deliver(1)
    assert await asyncio.wait_for(process.stdout.readline(), 10)

    process.send_signal(signal.SIGINT)

    assert await asyncio.wait_for(process.wait(), 10) == 0
    assert await process.stderr.read() == b""


async def test_the_socket_may_come_from_the_configuration(command, daemon, tmp_path):
    """Other keys of it need not be valid."""
    (tmp_path / "c.toml").write_text(f'[socket]\npath = "{daemon.path}"\n[app]\nid = "bad"\n')
    daemon.on_hello = lambda fake, _: fake.deliver(1)

    code, out, err = await command("--config", "c.toml", "--json", "tail", "--max", "1")

    assert (code, err) == (0, "")
    assert json.loads(out)["position"] == 1


async def test_the_socket_may_come_from_the_environment(command, daemon):
    """$FEISHU_WS_SOCKET needs no configuration."""
    daemon.on_hello = lambda fake, _: fake.deliver(1)

    code, _, _ = await command("tail", "--max", "1", FEISHU_WS_SOCKET=daemon.path)

    assert code == 0
