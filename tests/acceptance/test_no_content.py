"""What people write to each other is in no log, metric, page or process argument."""

import asyncio
import json
import re
from pathlib import Path

import pytest
from events.corpus import HEADER, encode, event, message
from events.lark import SHAPES, filled
from processes import APP_ID, APP_SECRET, DaemonProcess
from support import eventually

from feishu_ws.client import Consumer, Disconnected, RpcError
from feishu_ws.simulator.messages import CONTENTS
from feishu_ws.simulator.origin import Origin
from feishu_ws.simulator.server import Simulator
from feishu_ws.simulator.settings import SimulatorSettings

PLANTED = "geheim七"
SPELLINGS = re.compile(rb"geheim|\\u4e03|\xe4\xb8\x83|Z2VoZWlt")  # also escaped, and in base64
SAME_ID = encode(HEADER["event_id"])
EVERY = 7  # deliveries of which one is rejected with words of its own
PAGES = ("/metrics", "/status", "/", "/readyz", "/livez")
DELIVERED_S = 60


def plant(path):
    """Return a secret that says where it stood."""
    return f"{PLANTED} {path}"


def planted_content(value):
    """Return a message's content with every string in it planted, tags excepted."""
    if isinstance(value, dict):
        return {key: one if key == "tag" else planted_content(one) for key, one in value.items()}
    if isinstance(value, list):
        return [planted_content(one) for one in value]
    return PLANTED if isinstance(value, str) else value


def contents():
    """Return the content of each type of message, as it is sent."""
    origin = Origin()
    for kind, make in CONTENTS.items():
        content = make(1, origin)
        yield kind, content if isinstance(content, str) else planted_content(content)


def payloads():
    """Return every event of lark-oapi, every type of message, schema 1.0, and no events."""
    yield from (filled(event_type, plant) for event_type in SHAPES)
    for kind, content in contents():
        yield message(kind, content, [{"key": "@_user_1", "name": PLANTED}])
    yield message("text", PLANTED)
    yield message("text", {"text": PLANTED * 100_000})
    for kind in ("message", "add_bot", "leave_approvalV2", "add_user_to_chat"):
        body = {"type": kind, "text": PLANTED, "chat_name": PLANTED, "users": [{"name": PLANTED}]}
        yield encode({"uuid": PLANTED + kind, "ts": PLANTED, "event": body})
    yield event(PLANTED, {"text": PLANTED}, create_time=PLANTED, app_id=PLANTED, tenant_key=PLANTED)
    yield encode({PLANTED: PLANTED})
    yield PLANTED.encode()
    yield b"\xff" + PLANTED.encode()


async def consume(path, count):
    """Take every event; reject, reply and settle with planted words."""
    taken = 0
    async with Consumer("bot", str(path)) as consumer:
        async for delivery in consumer:
            taken += 1
            try:
                if delivery.reply_by:
                    await delivery.reply({"toast": {"type": "info", "content": PLANTED}})
                elif taken % EVERY == 0:
                    await delivery.reject(PLANTED, dead=True)
                else:
                    await delivery.settle()
            except (RpcError, Disconnected):
                continue
            if taken >= count:
                return


@pytest.mark.parametrize("level", ["info", "debug"])
async def test_nothing_that_was_said_is_told(tmp_path, level):
    """Words planted in every field of every event turn up where consumers are, nowhere else."""
    numbered = [
        payload.replace(SAME_ID, b'"id-%d"' % number).replace(b'"om_1"', b'"om_%d"' % number)
        for number, payload in enumerate(payloads())
    ]
    settings = SimulatorSettings(app_id=APP_ID, app_secret=APP_SECRET)
    async with Simulator(settings) as feishu:
        with DaemonProcess(
            tmp_path, feishu.domain, delivery__consumers='["bot"]', log__level=level
        ) as daemon:
            await asyncio.to_thread(daemon.start)
            await feishu.wait_for_links(2, 15)
            for payload in numbered:
                feishu.push(payload)
            await asyncio.wait_for(consume(daemon.socket_path, len(numbered)), DELIVERED_S)
            await eventually(lambda: daemon.status()["consumers"][0]["pending"] == 0)
            pages = [(await asyncio.to_thread(daemon.get, path))[1] for path in PAGES]
            public = json.dumps([daemon.status(), daemon.call("consumers.list")]).encode()
            arguments = Path(f"/proc/{daemon.process.pid}/cmdline").read_bytes()
            dead = daemon.call("dead.list")["total"]
            await asyncio.to_thread(daemon.stop)

    assert dead > len(numbered) // EVERY - 5
    for place, text in (
        ("log", daemon.log_path.read_bytes()),
        ("status", public),
        ("arguments", arguments),
        *zip(PAGES, pages, strict=True),
    ):
        assert not SPELLINGS.findall(text), (place, SPELLINGS.search(text))
