"""Durable sends through a daemon that is killed: none is lost, none is doubled."""

import asyncio
import random
from collections import Counter

from processes import APP_ID, APP_SECRET, DaemonProcess

from feishu_ws.client import Disconnected, RpcError
from feishu_ws.client.connection import open_connection
from feishu_ws.simulator.rest import Refused
from feishu_ws.simulator.server import Simulator
from feishu_ws.simulator.settings import SimulatorSettings

SENDS = 1600
CHATS = 8
KILLS = 8
FREE = {
    "openapi__per_chat_per_s": 0,
    "openapi__per_app_per_s": 0,
    "openapi__per_app_per_min": 0,
}


def message(number):
    """Return the params of a durable send to one of some chats."""
    return {
        "receive_id_type": "chat_id",
        "receive_id": f"oc_{number % CHATS}",
        "msg_type": "text",
        "content": {"text": str(number)},
        "uuid": f"send-{number}",
        "durable": True,
    }


async def send(path, number):
    """Send until there is an outcome, over as many connections as it takes."""
    while True:
        try:
            connection = await open_connection(path)
            try:
                return await connection.call("send", message(number))
            finally:
                await connection.close()
        except (Disconnected, RpcError):
            await asyncio.sleep(0.05)


async def lane(path, numbers):
    """One program: what it was told was sent, in order."""
    return [await send(path, number) for number in numbers]


async def misbehave(feishu, rng):
    """Let every third or so answer fail, half of them after Feishu obeyed."""
    while True:
        trouble = rng.choice(
            [
                Refused(status=502),
                Refused(is_dropped=True),
                Refused(obeys=True, is_dropped=True),
                Refused(obeys=True, status=500),
                Refused(code=99991663, status=400),
                Refused(code=230020, status=400),
            ]
        )
        feishu.rest.answer.set(trouble, times=2)
        await asyncio.sleep(rng.uniform(0.02, 0.1))


async def test_a_killed_daemon_neither_loses_nor_doubles(tmp_path):
    """Kept messages come to Feishu once each, whatever dies when; order within a chat is kept."""
    rng = random.Random(7)
    settings = SimulatorSettings(app_id=APP_ID, app_secret=APP_SECRET)
    async with Simulator(settings) as feishu:
        daemon = DaemonProcess(tmp_path, feishu.domain, **FREE)
        await asyncio.to_thread(daemon.start)
        path = str(daemon.socket_path)
        lanes = [
            asyncio.create_task(lane(path, range(chat, SENDS, CHATS))) for chat in range(CHATS)
        ]
        trouble = asyncio.create_task(misbehave(feishu, rng))
        try:
            for _ in range(KILLS):
                await asyncio.sleep(rng.uniform(0.3, 0.9))
                assert not all(each.done() for each in lanes)
                daemon.process.kill()
                await asyncio.to_thread(daemon.process.wait)
                await asyncio.to_thread(daemon.start)
            trouble.cancel()
            feishu.rest.answer.clear()
            async with asyncio.timeout(60):
                outcomes = await asyncio.gather(*lanes)
        finally:
            trouble.cancel()
            await asyncio.to_thread(daemon.stop)
        made = Counter(each.uuid for each in feishu.rest.messages)
        print(
            f"{SENDS} sends, {KILLS} kills: {len(made)} messages, {len(feishu.rest.seen)} requests"
        )
        assert made == Counter(f"send-{number}" for number in range(SENDS))
        assert sum(map(len, outcomes)) == SENDS
        assert len(feishu.rest.seen) > SENDS + KILLS  # there were repeats that made no second one
        for chat in range(CHATS):
            mine = [each.uuid for each in feishu.rest.messages if each.to == f"oc_{chat}"]
            assert mine == [f"send-{number}" for number in range(chat, SENDS, CHATS)]
