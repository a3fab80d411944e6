"""A stock dispatcher on the daemon, and messages that go out through it; lark-oapi is real."""

import asyncio
import json
import os
import threading

import lark_oapi as lark
import pytest
from lark_oapi.event.callback.model.p2_card_action_trigger import P2CardActionTriggerResponse
from processes import APP_ID, APP_SECRET, DaemonProcess
from support import eventually

from feishu_ws.client import messages
from feishu_ws.client.lark import Client
from feishu_ws.simulator import corpus
from feishu_ws.simulator.server import Simulator
from feishu_ws.simulator.settings import SimulatorSettings

TOAST = {"toast": {"type": "success", "content": "done"}}
AGAIN_S = (0.5,) * 100


@pytest.fixture
async def feishu():
    """A simulated Feishu."""
    settings = SimulatorSettings(app_id=APP_ID, app_secret=APP_SECRET, redelivery_s=AGAIN_S)
    async with Simulator(settings) as running:
        yield running


@pytest.fixture
async def daemon(tmp_path, feishu):
    """A daemon in front of it."""
    with DaemonProcess(tmp_path, feishu.domain) as running:
        await asyncio.to_thread(running.start)
        await feishu.wait_for_links(2, 15)
        yield running


class Program:
    """A program as users of lark-oapi write it."""

    def __init__(self, daemon, make=Client, **options):
        self.messages, self.refused, self.pressed = [], [], 0
        handler = (
            lark.EventDispatcherHandler.builder("", "")
            .register_p2_im_message_receive_v1(self._message)
            .register_p2_card_action_trigger(self._press)
            .build()
        )
        more = {"path": str(daemon.socket_path), **options}
        self.client = make(
            APP_ID, APP_SECRET, event_handler=handler, log_level=lark.LogLevel.ERROR, **more
        )
        self.thread = threading.Thread(target=self.client.start)
        self.thread.start()

    def _message(self, event):
        message = event.event.message
        if message.message_id in self.refused:
            self.refused.remove(message.message_id)
            raise RuntimeError("not now")
        self.messages.append(message.message_id)

    def _press(self, event):
        assert event.event.action is not None
        self.pressed += 1
        return P2CardActionTriggerResponse(TOAST)

    async def stop(self):
        """Stop it as its user would."""
        self.client.stop()
        await asyncio.to_thread(self.thread.join, 10)
        assert not self.thread.is_alive()


async def test_a_stock_dispatcher(feishu, daemon):
    """Messages as models, a toast in time, errors again later, the rest settled; across restarts."""
    program = Program(daemon)
    payloads = [json.loads(corpus.sample("message.text", n)) for n in range(20)]
    ids = [each["event"]["message"]["message_id"] for each in payloads]
    program.refused.append(ids[3])
    try:
        await eventually(lambda: daemon.status()["consumers"], 10)
        for payload in payloads[:10]:
            feishu.push(payload)
        feishu.push(corpus.sample("im.chat.updated_v1", 100))
        await eventually(lambda: sorted(program.messages) == sorted(ids[:10]), 20)
        pressed = feishu.push(corpus.sample("card.action.trigger", 101))
        code, data = await pressed.confirmed(timeout_s=3)
        assert (code, json.loads(data)) == (200, TOAST)
        daemon.kill()
        for payload in payloads[10:]:
            feishu.push(payload)
        await asyncio.to_thread(daemon.start)
        await eventually(lambda: set(program.messages) == set(ids), 20)
        await eventually(lambda: daemon.status()["consumers"][0]["pending"] == 0, 10)
    finally:
        await program.stop()
    assert len(program.messages) == len(ids)


async def test_two_programs_on_two_threads(feishu, daemon):
    """Each has a loop and a name of its own, and each gets every event."""
    programs = [Program(daemon, consumer=f"bot{n}") for n in range(2)]
    try:
        await eventually(lambda: len(daemon.status()["consumers"]) == 2, 10)
        for n in range(10):
            feishu.push(corpus.sample("message.text", n))
        await eventually(lambda: all(len(p.messages) == 10 for p in programs), 20)
    finally:
        for program in programs:
            await program.stop()


async def test_messages_go_out(feishu, daemon, tmp_path):
    """Text, a picture, a file and a voice message reach Feishu; the client reads the files."""
    picture = b"\x89PNG\r\n\x1a\n" + os.urandom(100_000)
    (tmp_path / "a.png").write_bytes(picture)
    path = str(daemon.socket_path)
    outgoing = [
        messages.text("你好"),
        messages.post(["one"], title="T"),
        messages.card({"schema": "2.0", "body": {"elements": []}}),
        messages.image(tmp_path / "a.png"),
        messages.file(b"%PDF", name="报告.pdf"),
        messages.file(b"OggS", name="v.opus", duration_ms=1200),
    ]
    for each in outgoing:
        await messages.send(each, to="oc_1", path=path)
    again = {"uuid": "u-1", "durable": True, "path": path}
    first = await messages.send(messages.text("once"), reply_to="om_1", **again)
    second = await asyncio.to_thread(
        messages.send_blocking, messages.text("once"), reply_to="om_1", **again
    )
    assert first == second
    sent = feishu.rest.messages
    assert [each.msg_type for each in sent[:6]] == [each.msg_type for each in outgoing]
    assert (len(sent), sent[6].is_reply, sent[6].uuid) == (7, True, "u-1")
    uploads = feishu.rest.uploads
    assert uploads[json.loads(sent[3].content)["image_key"]] == ("a.png", picture)
    assert uploads[json.loads(sent[4].content)["file_key"]] == ("报告.pdf", b"%PDF")
