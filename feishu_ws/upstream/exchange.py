"""One HTTP request and its answer on an open connection.

h11 knows HTTP. A client library would cost nine megabytes for one request per attempt,
and bring a resolver, a pool and proxies that we have or do not want.
"""

from asyncio import StreamReader, StreamWriter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import h11

PIECE: Final = 64 * 1024  # bytes read at once


class NoAnswerError(Exception):
    """What came is no HTTP, or not all of it; the message never holds what it was."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; the names of `headers` are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


async def post(
    reader: StreamReader,
    writer: StreamWriter,
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    max_body: int,
) -> Answer:
    """Send a request, the only one on this connection, and return its answer.

    `url` gives the path and `Host`; more than `max_body` bytes are not waited for.

    Raises:
        NoAnswerError: Something else came.
        OSError: The connection broke.
    """
    http = h11.Connection(h11.CLIENT)
    writer.write(_encode(http, url, headers, body))
    status, found, received = 0, {}, bytearray()
    while len(received) <= max_body:
        event = await _next_event(http, reader)
        if isinstance(event, h11.Response):
            status = event.status_code
            found = {name.decode(): value.decode("latin-1") for name, value in event.headers}
        elif isinstance(event, h11.Data):
            received += event.data
        elif isinstance(event, h11.EndOfMessage):
            break
    return Answer(status, found, bytes(received))


def _encode(http: h11.Connection, url: str, headers: Mapping[str, str], body: bytes) -> bytes:
    parts = urlsplit(url)
    own = {
        "Host": parts.netloc.rpartition("@")[2],
        "Content-Length": str(len(body)),
        "Connection": "close",
    }
    request = h11.Request(
        method="POST", target=parts.path, headers=list({**own, **headers}.items())
    )
    events = (request, h11.Data(data=body), h11.EndOfMessage())
    return b"".join(http.send(event) or b"" for event in events)


async def _next_event(http: h11.Connection, reader: StreamReader) -> object:
    try:
        while (event := http.next_event()) is h11.NEED_DATA:
            http.receive_data(await reader.read(PIECE))
    except h11.RemoteProtocolError as exc:
        raise NoAnswerError("no whole HTTP answer came") from exc
    if isinstance(event, h11.ConnectionClosed):
        raise NoAnswerError("the connection was closed without an answer")
    return event
