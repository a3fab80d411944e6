"""A client of the long connection written for these tests alone: aiohttp and websockets, raw."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from urllib.parse import parse_qsl, urlsplit

import aiohttp
import websockets
from websockets.asyncio.client import ClientConnection

from feishu_ws.simulator.server import Simulator
from feishu_ws.wire.pbbp2_pb2 import Frame

WAIT_S = 5.0


async def discover(feishu: Simulator, **changes: str) -> tuple[int, dict, dict[str, str]]:
    """Return HTTP status, body and headers of one discovery."""
    asked = {"AppID": feishu.settings.app_id, "AppSecret": feishu.settings.app_secret} | changes
    async with (
        aiohttp.ClientSession() as session,
        session.post(feishu.domain + "/callback/ws/endpoint", json=asked) as answer,
    ):
        text = await answer.text()
        try:
            body = json.loads(text)
        except ValueError:
            body = {"text": text}
        return answer.status, body, dict(answer.headers)


async def endpoint(feishu: Simulator) -> str:
    _, body, _ = await discover(feishu)
    return body["data"]["URL"]


def headers_of(frame: Frame) -> dict[str, str]:
    return {header.key: header.value for header in frame.headers}


class RawClient:
    def __init__(self, ws: ClientConnection, url: str) -> None:
        self.ws = ws
        self.query = dict(parse_qsl(urlsplit(url).query))

    async def ping(self, service: int | None = None) -> None:
        frame = Frame(SeqID=0, LogID=0, service=0, method=0)
        frame.service = int(self.query["service_id"]) if service is None else service
        frame.headers.add(key="type", value="ping")
        await self.ws.send(frame.SerializeToString())

    async def receive(self, wait_s: float = WAIT_S) -> Frame:
        data = await asyncio.wait_for(self.ws.recv(), wait_s)
        assert isinstance(data, bytes)
        return Frame.FromString(data)

    async def hears_nothing(self, wait_s: float = 0.15) -> bool:
        try:
            await self.receive(wait_s)
        except TimeoutError:
            return True
        return False

    async def answer(
        self, frame: Frame, payload: bytes = b'{"code":200}', biz_rt: str = "3"
    ) -> None:
        reply = Frame.FromString(frame.SerializeToString())
        reply.headers.add(key="biz_rt", value=biz_rt)
        reply.payload = payload
        await self.ws.send(reply.SerializeToString())


@contextlib.asynccontextmanager
async def connect(url: str) -> AsyncIterator[RawClient]:
    async with websockets.connect(
        url, proxy=None, compression=None, ping_interval=None, close_timeout=0.2, max_size=None
    ) as ws:
        yield RawClient(ws, url)


@contextlib.asynccontextmanager
async def linked(feishu: Simulator) -> AsyncIterator[RawClient]:
    """A client that is live: it pinged and has its pong."""
    async with connect(await endpoint(feishu)) as client:
        await client.ping()
        if feishu.pong_config is not None:
            await client.receive()
        yield client
