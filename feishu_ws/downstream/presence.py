"""Consumers that are gone for good: noticed, and forgotten in the end.

Declared ones and connected ones never are. An hour has to go by before anybody is
forgotten: after a start, since all of them were away then and have to have their
chance to come back; and after the wall clock could not be trusted, since by a wrong one
everybody was away for ever.
"""

from contextlib import suppress
from enum import Enum, auto
from typing import Final

from feishu_ws.clock import Clock
from feishu_ws.downstream import replay
from feishu_ws.downstream.dispatcher import Dispatcher
from feishu_ws.journal.contract import Journal
from feishu_ws.model import ConsumerRecord
from feishu_ws.wire.native import RpcError

LOOK_EVERY_S: Final = 60.0
PATIENCE_S: Final = 3600.0
REFRESH_MS: Final = 3_600_000  # a crash makes a connected one look away for so long at the most
HOUR_MS: Final = 3_600_000
ABSENT: Final = "absent"


class Judgement(Enum):
    """What is to be done about a consumer."""

    KEEP = auto()
    DATE = auto()
    FORGET = auto()


def judge(
    record: ConsumerRecord, now_ms: int, forget_after_hours: float, *, is_connected: bool
) -> Judgement:
    """Return whether a consumer is to be dated (it was there just now) or forgotten. Pure.

    One that never was connected, or was in the future, counts as seen when it is looked at.
    """
    away_ms = now_ms - record.last_seen_ms
    if is_connected:
        return Judgement.KEEP if 0 <= away_ms < REFRESH_MS else Judgement.DATE
    if record.declared:
        return Judgement.KEEP
    if away_ms < 0 or not record.last_seen_ms:
        return Judgement.DATE
    is_gone = 0 < forget_after_hours * HOUR_MS <= away_ms
    return Judgement.FORGET if is_gone else Judgement.KEEP


class Presence:
    """Looks around once a minute. `delivery.forget_after_hours` is read anew each time."""

    def __init__(self, journal: Journal, dispatcher: Dispatcher, *, clock: Clock) -> None:
        self._journal = journal
        self._dispatcher = dispatcher
        self._seats = dispatcher.seats
        self._clock = clock
        self._sure_since_s = clock.monotonic()

    async def run(self) -> None:
        """Look around for ever."""
        while True:
            await self._clock.sleep(LOOK_EVERY_S)
            await self.look()

    async def look(self) -> None:
        """Date who is there, forget who is gone, and end replays that are done."""
        now_s = self._clock.monotonic()
        if not self._dispatcher.may_expire:
            self._sure_since_s = now_s
            return
        for record in list(self._journal.consumers().values()):
            if 0 < replay.ordered_through(self._journal, record.name) <= record.cursor:
                replay.forget(self._journal, record.name)
            await self._deal_with(record, is_sure=now_s >= self._sure_since_s + PATIENCE_S)

    async def _deal_with(self, record: ConsumerRecord, *, is_sure: bool) -> None:
        name, now_ms = record.name, self._clock.wall_ms()
        is_connected = self._seats.is_connected(name)
        hours = self._seats.settings.forget_after_hours
        judgement = judge(record, now_ms, hours, is_connected=is_connected)
        if judgement is Judgement.DATE:
            self._journal.seen(name, now_ms, connected=is_connected)
        elif judgement is Judgement.FORGET and is_sure:
            with suppress(RpcError):  # it came back, or was declared, just now
                await self._seats.forget(name, ABSENT)
