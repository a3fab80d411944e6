"""A consumer in a process of its own, to be killed: socket, name, file for its notes.

Each note is one write(2), so what was noted survives SIGKILL.
"""

import asyncio
import os
import random
import sys

from feishu_ws.client import Consumer, Disconnected


async def main(path, name, notes_path):
    """Note and settle every delivery, many at once."""
    notes = os.open(notes_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    async def settle(delivery):
        await asyncio.sleep(random.uniform(0, 0.02))  # so that a kill finds some unsettled
        try:
            await delivery.settle()
        except Disconnected:
            return  # unknown whether it was settled: it may come again
        os.write(notes, f"S {delivery.position} {delivery.event.id}\n".encode())

    running = set()
    async with Consumer(name, path, start="earliest") as consumer:
        async for delivery in consumer:
            os.write(notes, f"R {delivery.position} {delivery.event.id}\n".encode())
            task = asyncio.create_task(settle(delivery))
            running.add(task)
            task.add_done_callback(running.discard)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
