"""A bot on the consumer library: `client.py SOCKET DAEMON_SOCKET`.

It reads what bots read (type and text), deals with it on the spot and settles without
waiting for the answer. Only the event's id is handed on to SOCKET.
"""

import asyncio
import sys
import time

import uvloop

from feishu_ws.client import Consumer


async def main(path, daemon):
    """Serve for ever."""
    _, out = await asyncio.open_unix_connection(path)
    async with Consumer("bot", daemon, start="earliest") as consumer:
        async for delivery in consumer:
            at = time.monotonic_ns()
            assert delivery.event.type == "im.message.receive_v1"
            assert delivery.message["text"].startswith("#")
            out.write(b'{"at":%d,"event":"%b"}\n' % (at, delivery.event.id.encode()))
            delivery.settle_soon()


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:]))
