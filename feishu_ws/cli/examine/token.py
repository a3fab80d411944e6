"""A second opinion where discovery refuses the credentials: does Feishu give a token for them?

Discovery says the same of a wrong secret, of an app that is not published, and of one
without long connection. The token is not looked at and not kept.

Source: Feishu docs "自建应用获取 tenant_access_token"; the codes: observed.
"""

import asyncio
from dataclasses import dataclass
from typing import Any, Final

import h11
import msgspec

from feishu_ws.cli.examine.passage import Passage
from feishu_ws.cli.examine.place import place_of
from feishu_ws.upstream.attempt import USER_AGENT
from feishu_ws.upstream.settings import Credentials

PATH: Final = "/open-apis/auth/v3/tenant_access_token/internal"
DEADLINE_S: Final = 4.0
MAX_BODY: Final = 64 * 1024
REFUSALS: Final = frozenset({10003, 10012, 10014, 10015})


@dataclass(frozen=True, slots=True)
class Opinion:
    """Whether Feishu knows app id and secret; `code` is its answer."""

    is_known: bool
    code: int


async def ask(passage: Passage, credentials: Credentials) -> Opinion | None:
    """Return what Feishu says of app id and secret, None where it says nothing of them.

    Raises:
        FeishuWsError: As `Passage.open`.
        OSError: As the system answers.
    """
    body = {"app_id": credentials.app_id, "app_secret": credentials.secret.reveal()}
    reader, writer = await passage.connect(credentials.domain)
    try:
        answer = await _post(reader, writer, credentials.domain, msgspec.json.encode(body))
    finally:
        writer.transport.abort()
    return read_opinion(answer)


def read_opinion(body: bytes) -> Opinion | None:
    """Return what an answer means, None for one that is none of Feishu's."""
    try:
        answer: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    code = answer.get("code") if isinstance(answer, dict) else None
    if not isinstance(code, int) or isinstance(code, bool):
        return None
    return Opinion(code == 0, code) if code == 0 or code in REFUSALS else None


async def _post(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, url: str, body: bytes
) -> bytes:
    """Return the body of the answer, empty where it is no HTTP or too long."""
    http = h11.Connection(h11.CLIENT)
    fields = {
        "Host": str(place_of(url)),
        "User-Agent": USER_AGENT,
        "Content-Type": "application/json; charset=utf-8",
        "Content-Length": str(len(body)),
        "Connection": "close",
    }
    request = h11.Request(method="POST", target=PATH, headers=list(fields.items()))
    for part in (request, h11.Data(data=body), h11.EndOfMessage()):
        writer.write(http.send(part) or b"")
    taken = bytearray()
    try:
        while not isinstance(event := http.next_event(), h11.EndOfMessage | h11.ConnectionClosed):
            if event is h11.NEED_DATA:
                http.receive_data(await reader.read(MAX_BODY))
            elif isinstance(event, h11.Data):
                taken += event.data
            if len(taken) > MAX_BODY:
                return b""
    except h11.RemoteProtocolError:
        return b""
    return bytes(taken)
