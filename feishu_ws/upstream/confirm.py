"""Confirmations: encoded when they are answered, written once per turn of the loop.

A commit answers many payloads in one go; their confirmations leave in one write.
"""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from feishu_ws.clock import Clock
from feishu_ws.model import Answer
from feishu_ws.tally import Tally
from feishu_ws.wire.frame import encode_confirm
from feishu_ws.wire.pbbp2_pb2 import Frame

DEADLINE_S: Final = 3.0  # Source: Feishu docs "长连接", else it sends again
ACCEPTED: Final = 200

Write = Callable[[Sequence[bytes]], bool]
"""Writes frames; returns False where the link is gone."""


class Confirmations:
    """What one connection still owes Feishu.

    Attributes:
        unconfirmed: Payloads handed over whose answer has not been written.
    """

    def __init__(self, write: Write, tally: Tally, clock: Clock) -> None:
        self._write = write
        self._tally = tally
        self._clock = clock
        self._batch: list[bytes] = []
        self._receipts: list[float] = []
        self._all_written: asyncio.Future[None] | None = None
        self.unconfirmed = 0

    def expect(self, frame: Frame, received_s: float) -> Answer:
        """Return how the payload that `frame` completed is to be answered, once."""
        self.unconfirmed += 1
        return partial(self._answer, frame, received_s)

    def _answer(self, frame: Frame, received_s: float, code: int, data: bytes | None) -> None:
        if not self._batch:
            asyncio.get_running_loop().call_soon(self._flush)
        biz_rt_ms = int((self._clock.monotonic() - received_s) * 1000)
        self._batch.append(encode_confirm(frame, code, biz_rt_ms, data))
        if code == ACCEPTED:
            self._receipts.append(received_s)

    def _flush(self) -> None:
        batch, self._batch = self._batch, []
        receipts, self._receipts = self._receipts, []
        self.unconfirmed -= len(batch)
        if self._write(batch):
            self._count(batch, receipts)
        else:
            self._tally.event_ack_failures += len(batch)
        if not self.unconfirmed and self._all_written is not None:
            self._all_written.set_result(None)
            self._all_written = None

    def _count(self, batch: Sequence[bytes], receipts: Sequence[float]) -> None:
        tally, now = self._tally, self._clock.monotonic()
        tally.frames_sent["ack"] += len(batch)
        tally.sent_bytes += sum(map(len, batch))
        tally.events_acked += len(receipts)
        for received_s in receipts:
            took_s = now - received_s
            tally.event_ack_duration.observe(took_s)
            tally.events_ack_deadline_exceeded += took_s > DEADLINE_S

    def all_written(self) -> asyncio.Future[None]:
        """Return a future that is done once nothing is owed. For one waiter."""
        future = asyncio.get_running_loop().create_future()
        if self.unconfirmed:
            self._all_written = future
        else:
            future.set_result(None)
        return future
