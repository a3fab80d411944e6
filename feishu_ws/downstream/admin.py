"""What an operator may ask and order: where consumers stand, and the dead letters.

The daemon's socket and the commands that work on a stopped daemon's journal use this
very class; the latter with a dispatcher nobody is connected to. Every method is called
on the event loop. Answers are dicts of JSON types (`dead_show` has `msgspec.Raw` in it:
encode it with msgspec); what changes something is answered after the commit. Who may
ask is for the caller to decide.

Invariant: a request that is refused has changed nothing.
"""

import asyncio
from datetime import datetime
from typing import Final

from feishu_ws.clock import Clock
from feishu_ws.downstream.dead import Answer, DeadLetters, durable, unfit
from feishu_ws.downstream.dead_sends import DeadSends
from feishu_ws.downstream.dispatcher import Dispatcher
from feishu_ws.downstream.incidents import LookAtFleet, incidents_object
from feishu_ws.happenings import ConsumerMoved, EventsSkipped, Observer
from feishu_ws.journal.contract import Journal
from feishu_ws.model import ConsumerRecord
from feishu_ws.wire.admin import (
    EARLIEST,
    LATEST,
    MOST_INCIDENTS,
    DeadChoiceParams,
    DeadListParams,
    DeadShowParams,
    ForgetParams,
    IncidentsParams,
    SeekParams,
)
from feishu_ws.wire.native import Code, RpcError

__all__ = ["Admin", "Answer"]

_PLACES: Final = "a position, earliest, latest, or a time such as 2026-03-20T11:03:11+08:00"


class Admin:
    """Obeys operators.

    Args:
        journal: The one that `dispatcher` delivers from.
        dispatcher: Who is connected; without outlets on a stopped daemon's journal.
        app_id: The daemon's own, for events that do not name theirs.
        fleet: Tells how the links are; None on a stopped daemon's journal.
    """

    def __init__(
        self,
        journal: Journal,
        dispatcher: Dispatcher,
        *,
        app_id: str,
        clock: Clock,
        observe: Observer,
        fleet: LookAtFleet = lambda: None,
    ) -> None:
        self._journal = journal
        self._fleet = fleet
        self._dispatcher = dispatcher
        self._clock = clock
        self._seats = dispatcher.seats
        self._observe = observe
        self._dead = DeadLetters(journal, dispatcher, app_id=app_id, observe=observe)
        self._sends = DeadSends(journal, observe=observe)
        self._moving = asyncio.Lock()  # what was counted to be skipped holds until it is

    # -- consumers ------------------------------------------------------------------------

    async def consumers_list(self) -> Answer:
        """Return `{"consumers":[…],"first":…,"last":…,"now_ms":…}`: who reads, where they stand.

        Each has consumer, cursor, pending, declared, connected, last_seen_ms (Unix
        milliseconds, 0 = never), types, chats, ignore_own, attempts (deliveries with a
        counted attempt), dead_letters, and, while it is connected, window.

        Raises:
            FeishuWsError: The journal cannot be read.
        """
        counts = await self._journal.dead_counts()
        records = sorted(self._journal.consumers().items())
        return {
            "consumers": [self._consumer(r, counts.get(name, 0)) for name, r in records],
            "first": self._journal.facts().first,
            "last": self._journal.last,
            "now_ms": self._clock.wall_ms(),
        }

    def _consumer(self, record: ConsumerRecord, dead_letters: int) -> Answer:
        is_connected = self._seats.is_connected(record.name)
        row = {
            "consumer": record.name,
            "cursor": record.cursor,
            "pending": record.pending,
            "declared": record.declared,
            "connected": is_connected,
            "last_seen_ms": record.last_seen_ms,
            "types": list(record.filter.types),
            "chats": list(record.filter.chats),
            "ignore_own": record.filter.ignore_own,
            "attempts": sum(attempt.count > 0 for attempt in record.attempts.values()),
            "dead_letters": dead_letters,
        }
        if is_connected:
            row["window"] = self._seats.durable[record.name].progress.window
        return row

    async def seek(self, params: SeekParams) -> Answer:
        """Move a consumer; return `{"consumer":…,"was":cursor,"cursor":…,"skipped":n}`.

        What it gets again is delivered at once if it is connected, whatever its age,
        and never with a `reply_by`. Settles of what it had in flight count for those
        old deliveries and not for the repeated ones.

        Raises:
            RpcError: `INVALID_PARAMS`: no such consumer, no such place, or it holds
                events that would be passed over and `skip` is not set.
            FeishuWsError: The journal cannot be read.
        """
        async with self._moving:
            name, cursor = params.consumer, await self._cursor(params.since)
            await durable(self._journal.settle(name, ()))  # what is settled by now is not held
            skipped = await self._journal.count_held(name, cursor)
            if skipped and not params.skip:
                raise RpcError(
                    Code.INVALID_PARAMS,
                    f"{skipped} events that consumer {name} holds lie before position"
                    f" {cursor + 1}; say skip to pass over them for good",
                    {"skipped": skipped},
                )
            was = await self._seats.move(name, cursor)
            self._observe(ConsumerMoved(name, was, cursor))
            if skipped:
                self._observe(EventsSkipped(name, skipped, was + 1, cursor))
            return {"consumer": name, "was": was, "cursor": cursor, "skipped": skipped}

    async def _cursor(self, since: int | str) -> int:
        """Return where a consumer stands that is to read from `since` on."""
        last = self._journal.last
        if isinstance(since, int):
            if not 1 <= since <= last + 1:
                raise unfit("from", since, f"a position from 1 to {last + 1}")
            return since - 1
        if since == EARLIEST:
            return 0
        if since == LATEST:
            return last
        return await self._journal.position_at(_parse_time(since))

    async def forget(self, params: ForgetParams) -> Answer:
        """Remove a consumer, its cursor and attempts; return `{}`. Its dead letters stay.

        Raises:
            RpcError: `INVALID_PARAMS`: no such consumer; `CONSUMER_CONFLICT`: it is
                connected or declared.
        """
        await self._seats.forget(params.consumer, "asked")
        return {}

    # -- links ----------------------------------------------------------------------------

    async def incidents(self, params: IncidentsParams) -> Answer:
        """Return what became of the links; see `incidents_object`.

        Raises:
            RpcError: `INVALID_PARAMS`.
            FeishuWsError: The journal cannot be read.
        """
        if not 1 <= params.limit <= MOST_INCIDENTS:
            raise unfit("limit", params.limit, f"a number from 1 to {MOST_INCIDENTS}")
        now_ms = self._clock.wall_ms()
        if not 0 <= params.since_ms <= now_ms:
            raise unfit("since_ms", params.since_ms, f"Unix milliseconds from 0 to {now_ms}")
        lives = await self._journal.lives()
        return incidents_object(lives, self._fleet(), params.since_ms, now_ms, params.limit)

    # -- dead letters ---------------------------------------------------------------------

    async def dead_list(self, params: DeadListParams, *, with_content: bool = False) -> Answer:
        """Return a page of dead letters; see `DeadLetters.page` and `DeadSends.page`."""
        letters = await self._dead.page(params, with_note=with_content)
        return letters | await self._sends.page(params, with_receiver=with_content)

    async def dead_show(self, params: DeadShowParams) -> Answer:
        """Return a dead letter with its event, or a dead send with its request.

        See `DeadLetters.show` and `DeadSends.show`.

        Raises:
            RpcError: `INVALID_PARAMS`: not one of the two is named.
        """
        if params.send is None:
            return await self._dead.show(params)
        if params.position is not None or params.consumer is not None:
            raise RpcError(Code.INVALID_PARAMS, "params name an event and a send, expected one")
        return await self._sends.show(params.send)

    async def dead_retry(self, params: DeadChoiceParams) -> Answer:
        """Give events back to the consumers they died for; see `DeadLetters.retry`.

        Raises:
            RpcError: `INVALID_PARAMS`: a send is named, and none is tried again.
        """
        if params.sends or params.all_sends:
            seen = "params name sends, expected none: Feishu may have them"
            raise RpcError(Code.INVALID_PARAMS, f"{seen}; send anew, under a new uuid")
        return await self._dead.retry(params)

    async def dead_drop(self, params: DeadChoiceParams) -> Answer:
        """Remove dead letters for good; return `{"dropped":n}`, and of sends `"sends_dropped":n`.

        See `DeadLetters.drop` and `DeadSends.drop`.

        Raises:
            RpcError: `INVALID_PARAMS`: events and sends are named at once.
        """
        if not params.sends and not params.all_sends:
            return {"dropped": await self._dead.drop(params)}
        if params.positions or params.all:
            raise RpcError(Code.INVALID_PARAMS, "params name events and sends, expected one")
        return {"dropped": 0, "sends_dropped": await self._sends.drop(params)}


def _parse_time(text: str) -> int:
    """Return an RFC 3339 time in Unix milliseconds.

    Raises:
        RpcError: `INVALID_PARAMS`.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise unfit("from", text[:64], _PLACES)
    return round(moment.timestamp() * 1000)
