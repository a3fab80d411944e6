"""A plugin of AstrBot that notes every event, and answers with what a test wants to see."""

import asyncio
import json
import time
from pathlib import Path

from astrbot.api.event import MessageChain
from astrbot.api.event import filter as on
from astrbot.api.message_components import Image, Json
from astrbot.api.star import Star

DATA = Path(__file__).parents[2]
TICK_S = 0.02
STALL_S = 0.2
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d49444154789c6360f8cf500f00038501802b12b9080000000049454e44ae426082"
)


def note(name, **what):
    """Append a line that survives SIGKILL."""
    with (DATA / name).open("a") as notes:
        notes.write(json.dumps(what, default=str) + "\n")


class Probe(Star):
    """Notes and answers."""

    def __init__(self, context, config=None):
        super().__init__(context)
        self._ticking = asyncio.create_task(self._tick())

    async def _tick(self):
        """Note when the loop stood still."""
        while True:
            began = time.monotonic()
            await asyncio.sleep(TICK_S)
            stood = time.monotonic() - began - TICK_S
            if stood > STALL_S:
                note("stalls.jsonl", at=time.time(), s=stood)

    @on.event_message_type(on.EventMessageType.ALL)
    async def seen(self, event):
        """Note the event; answer a card that was used with a toast."""
        extras = {
            name: event.get_extra(f"lark_{name}")
            for name in ("event_type", "event_id", "thread_id", "root_id", "position")
        }
        chain = event.message_obj.message
        note(
            "noted.jsonl",
            platform=event.get_platform_id(),
            id=event.message_obj.message_id,
            words=event.message_str,
            kinds=[type(each).__name__ for each in chain],
            raw=type(event.message_obj.raw_message).__name__,
            wakes=event.is_at_or_wake_command,
            **extras,
        )
        for each in chain:
            if isinstance(each, Image):
                octets = await each.convert_to_base64()
                note("media.jsonl", id=event.message_obj.message_id, base64=octets)
            elif type(each).__name__ == "File":
                content = Path(await each.get_file()).read_bytes().hex()
                note("media.jsonl", id=event.message_obj.message_id, hex=content)
        if extras["event_type"] == "card.action.trigger":
            yield event.chain_result([Json(data={"toast": {"type": "info", "content": "noted"}})])
        elif extras["event_type"] == "im.chat.member.bot.added_v1":
            yield event.plain_result("hello everybody")

    @on.command("picture")
    async def picture(self, event):
        """Send a picture."""
        path = DATA / "temp" / "probe.png"
        path.write_bytes(PNG)
        yield event.chain_result([Image.fromFileSystem(str(path))])

    @on.command("stream")
    async def stream(self, event):
        """Send a card that grows while it is sent."""

        async def words():
            for word in ("one ", "two ", "three"):
                yield MessageChain().message(word)
                await asyncio.sleep(0.05)

        await event.send_streaming(words())

    @on.command("slow")
    async def slow(self, event):
        """Answer after a while."""
        await asyncio.sleep(2)
        yield event.plain_result("at last")
