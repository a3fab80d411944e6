"""A consumer that serves handlers, in a process of its own, to be killed and restarted.

Arguments: socket, name, file for its notes, and JSON of what its handlers do:
`message_s` (how long one takes over an event), `card` (`toast`, `hang` or `none`),
`concurrency`, `types`. Each note is one write(2): `E position late` when a handler has
begun with an event, `C position late` with a callback, `L …` for a line of its log.
"""

import asyncio
import json
import logging
import os
import sys

from feishu_ws.client import Consumer, preview, toast

CARD = "card.action.trigger"
PREVIEW = "url.preview.get"


class Notes(logging.Handler):
    """Notes what the library logs."""

    def __init__(self, path):
        super().__init__()
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def note(self, text):
        os.write(self._file, text.encode() + b"\n")

    def emit(self, record):
        self.note(f"L {record.levelname} {record.getMessage()}")


async def main(path, name, notes_path, told):
    """Serve until killed."""
    told = json.loads(told)
    notes = Notes(notes_path)
    logging.getLogger("feishu_ws.client").addHandler(notes)

    async def happened(delivery):
        notes.note(f"E {delivery.position} {delivery.late}")
        await asyncio.sleep(told.get("message_s", 0))

    async def pressed(delivery):
        notes.note(f"C {delivery.position} {delivery.late}")
        if told.get("card") == "hang":
            await asyncio.Event().wait()
        if told.get("card") == "none":
            return None
        value = delivery.event.data["event"]["action"]["value"]["serial"]
        return toast(told.get("content", f"{name} {value}"), kind="success")

    async def previewed(delivery):
        notes.note(f"C {delivery.position} {delivery.late}")
        return preview("Ticket")

    consumer = Consumer(name, path, types=told.get("types"), start=told.get("start", "earliest"))
    handlers = {CARD: pressed, PREVIEW: previewed, "*": happened}
    await consumer.serve(handlers, concurrency=told.get("concurrency", 1))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
