"""The least that can be called durable: `bare.py DOMAIN SOCKET DATABASE`.

One link on `websockets`, frames by protobuf, SQLite (WAL, synchronous=FULL) in a writer
thread with group commit; after the commit the confirmation and the event, verbatim, to
SOCKET. An event stored before is dropped. Nothing else: no reconnecting, no cursor, no
settles, no bounds, no metrics. It is what the daemon could at best come near to.
"""

import asyncio
import json
import os
import queue
import sqlite3
import sys
import threading
import time
import urllib.request
from urllib.parse import parse_qs, urlparse

import msgspec
import uvloop
import websockets

from feishu_ws.wire.pbbp2_pb2 import Frame

SCHEMA = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
CREATE TABLE event (position INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE, body BLOB);
"""


class Header(msgspec.Struct):
    event_id: str


class Envelope(msgspec.Struct):
    header: Header


envelopes = msgspec.json.Decoder(Envelope)


def discover(domain):
    """Return the URL of the link."""
    body = {
        "AppID": os.environ["FEISHU_WS_APP__ID"],
        "AppSecret": os.environ["FEISHU_WS_APP__SECRET"],
    }
    request = urllib.request.Request(
        domain + "/callback/ws/endpoint",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)["data"]["URL"]


def encode_ping(service_id):
    """Return an application ping."""
    frame = Frame(SeqID=0, LogID=0, service=service_id, method=0)
    frame.headers.add(key="type", value="ping")
    return frame.SerializeToString()


def confirm(frame):
    """Return the confirmation of a frame."""
    frame.headers.add(key="biz_rt", value="0")
    frame.payload = b'{"code":200}'
    return frame.SerializeToString()


class Writer(threading.Thread):
    """Owns the database; whatever gathered while it committed goes into the next commit."""

    def __init__(self, path, done):
        super().__init__(daemon=True)
        self.path = path
        self.done = done
        self.waiting = queue.SimpleQueue()

    def run(self):
        database = sqlite3.connect(self.path, isolation_level=None)
        database.executescript(SCHEMA)
        while True:
            batch = [self.waiting.get()]
            while not self.waiting.empty():
                batch.append(self.waiting.get())
            database.execute("BEGIN")
            fresh = [
                database.execute(
                    "INSERT INTO event (id, body) VALUES (?, ?) ON CONFLICT (id) DO NOTHING",
                    (envelopes.decode(frame.payload).header.event_id, frame.payload),
                ).rowcount
                for frame in batch
            ]
            database.execute("COMMIT")
            self.done(batch, fresh)


async def main(domain, path, database):
    """Serve until the link ends."""
    loop = asyncio.get_running_loop()
    _, out = await asyncio.open_unix_connection(path)
    url = await asyncio.to_thread(discover, domain)
    committed = asyncio.Queue()
    writer = Writer(
        database,
        lambda batch, fresh: loop.call_soon_threadsafe(committed.put_nowait, (batch, fresh)),
    )
    writer.start()

    async def confirm_and_hand_on(link):
        while True:
            batch, fresh = await committed.get()
            at = time.monotonic_ns()
            lines = [
                b'{"at":%d,"event":%b}\n' % (at, frame.payload)
                for frame, is_fresh in zip(batch, fresh, strict=True)
                if is_fresh
            ]
            for frame in batch:
                await link.send(confirm(frame))
            out.write(b"".join(lines))

    async with websockets.connect(url, compression=None) as link:
        await link.send(encode_ping(int(parse_qs(urlparse(url).query)["service_id"][0])))
        sending = asyncio.create_task(confirm_and_hand_on(link))
        async for data in link:
            frame = Frame.FromString(data)
            if frame.method == 1:
                writer.waiting.put(frame)
        sending.cancel()


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:]))
