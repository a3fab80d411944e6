"""One WebSocket of a client: frames out through a bounded queue, answers and pings in.

Imported with the first client, as aiohttp is. Invariants:

- Who sends waits for nobody. Deliveries stop at `DELIVER_UNTIL` bytes; a client that is
  owed more than `MAX_UNSENT`, or takes nothing for `TAKE_S`, is cut off.
- Whatever a client sends is answered, ignored or counted; none of it ends another link.
"""

import asyncio
from collections import deque
from contextlib import suppress
from typing import Final

from aiohttp import WSMessage, WSMsgType, web

from feishu_ws.downstream.lookalike.crowd import Crowd
from feishu_ws.downstream.lookalike.frames import encode_own_pong, read_answer
from feishu_ws.happenings import ClientRefused, Observer
from feishu_ws.wire.frame import CONTROL, DATA, PING, TYPE, FrameError, parse_frame, read_headers
from feishu_ws.wire.pbbp2_pb2 import Frame

DELIVER_UNTIL: Final = 1024 * 1024
MAX_UNSENT: Final = 16 * 1024 * 1024  # callbacks go out all the same, four of the largest
TAKE_S: Final = 30.0  # for one frame of half a megabyte, on this machine
SILENCE_S: Final = 300.0  # an SDK pings every 120 s at the latest: so it was told
FIRST_WORD_S: Final = 0.5
"""Until a client says something, its first frames wait: the Node SDK loses what comes with the
handshake, and pings once it listens. A stock AstrBot never pings, and loses nothing.

Source: observed, node-sdk 1.74.0 and AstrBot 4.29.1.
"""
MAX_REASON: Final = 123  # bytes of a close frame's reason. Source: RFC 6455 5.5
CLOSE_S: Final = 0.5  # for a client's own close frame
TURN: Final = 64  # messages of one client before the loop has its turn


class Link:
    """A client; `serve` lives as long as its WebSocket."""

    def __init__(
        self,
        socket: web.WebSocketResponse,
        transport: asyncio.Transport,
        crowd: Crowd,
        observe: Observer,
    ) -> None:
        self._socket = socket
        self._transport = transport
        self._crowd = crowd
        self._observe = observe
        self._outbox: deque[bytes] = deque()
        self._unsent = 0
        self._was_full = False
        self._news = asyncio.Event()
        self._heard = asyncio.Event()
        self._closing: asyncio.Task[bool] | None = None
        self.unusable = 0

    async def serve(self) -> None:
        """Live until either side ends it."""
        loop = asyncio.get_running_loop()
        writing = loop.create_task(self._write(), name="lookalike-write")
        try:
            self._crowd.join(self)
            await self._read()
            if self._closing is not None:
                await self._closing
        finally:
            self._crowd.leave(self)
            writing.cancel()

    # -- out ------------------------------------------------------------------------------

    def send(self, frames: list[bytes]) -> None:
        """Send frames; never blocks."""
        self._outbox += frames
        self._unsent += sum(map(len, frames))
        self._news.set()
        if self._unsent > MAX_UNSENT:
            self._cut_off()

    def has_room(self) -> bool:
        """Whether deliveries may go on; `Crowd.resume` is called when they may again."""
        is_full = self._unsent >= DELIVER_UNTIL or self._closing is not None
        self._was_full |= is_full
        return not is_full

    async def _write(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(FIRST_WORD_S):
                await self._heard.wait()
        while True:
            await self._news.wait()
            self._news.clear()
            while self._outbox:
                data = self._outbox.popleft()
                if not await self._written(data):
                    return
                self._unsent -= len(data)
            if self._was_full:
                self._was_full = False
                self._crowd.resume(self)

    async def _written(self, data: bytes) -> bool:
        try:
            async with asyncio.timeout(TAKE_S):
                await self._socket.send_bytes(data)
        except TimeoutError:
            self._cut_off()
            return False
        except (ConnectionError, RuntimeError):  # it is gone, or closing; reading ends likewise
            return False
        return True

    def _cut_off(self) -> None:
        """End a client that does not take what it is sent; closing would wait for it."""
        if not self._transport.is_closing():
            self._observe(ClientRefused("slow"))
            self._transport.abort()

    # -- in -------------------------------------------------------------------------------

    async def _read(self) -> None:
        """Take messages until the end; WebSocket pings are answered below."""
        taken = 0
        while True:
            try:
                message = await self._socket.receive(SILENCE_S)
            except TimeoutError:
                self._transport.abort()
                return
            if message.type not in {WSMsgType.BINARY, WSMsgType.TEXT}:
                return
            self._heard.set()
            self._take(message)
            taken += 1
            if taken % TURN == 0:
                await asyncio.sleep(0)

    def _take(self, message: WSMessage) -> None:
        try:
            frame = None if message.type is WSMsgType.TEXT else parse_frame(message.data)
        except FrameError:
            frame = None
        if frame is not None and self._obeys(frame):
            return
        self.unusable += 1
        if self.unusable == 1:  # once for each client: what it sends may be a flood
            self._observe(ClientRefused("frame"))

    def _obeys(self, frame: Frame) -> bool:
        """Answer a ping, hand over what is answered; False if it is neither."""
        if frame.method == CONTROL and read_headers(frame).get(TYPE) == PING:
            self.send([encode_own_pong(frame.service)])
            return True
        answer = read_answer(frame) if frame.method == DATA else None
        if answer is not None:
            self._crowd.take(self, answer)
        return answer is not None

    # -- the end --------------------------------------------------------------------------

    def close(self, code: int, reason: str) -> None:
        """End it in good order; once is enough."""
        if self._closing is None:
            loop = asyncio.get_running_loop()
            self._closing = loop.create_task(self._close(code, reason), name="lookalike-close")

    async def _close(self, code: int, reason: str) -> bool:
        words = reason.encode("ascii", "replace")[:MAX_REASON]
        try:
            async with asyncio.timeout(2 * CLOSE_S):
                return await self._socket.close(code=code, message=words)
        except TimeoutError:
            self._transport.abort()
            return False
