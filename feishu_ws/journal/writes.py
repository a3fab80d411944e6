"""What is written: every call becomes an item for the writing thread.

Answers come back on the event loop, after the commit that holds what was asked for.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Final, TypeVar

from feishu_ws.clock import Clock
from feishu_ws.faults import Fault, FeishuWsError
from feishu_ws.happenings import Happening
from feishu_ws.journal import changes, outbox, sends
from feishu_ws.journal.health import Health
from feishu_ws.journal.lives import Lives
from feishu_ws.journal.room import Room
from feishu_ws.journal.sends import SendTable
from feishu_ws.journal.work import Append, Apply, Change, Letter
from feishu_ws.journal.writer import Writer
from feishu_ws.model import (
    Attempt,
    Event,
    Filter,
    LinkLife,
    Outcome,
    OutgoingSend,
    SendOutcome,
    Span,
    Verdict,
)

_T = TypeVar("_T")

MAX_WAITING_BYTES: Final = 32 * 1024 * 1024  # CONTRACT 2.1
ROW_OVERHEAD: Final = 512  # what an event takes in memory besides its payload
MAX_POSITION: Final = 2**62  # more than SQLite's integers hold is no cursor


class Writes(ABC):
    """The writing half of `SqliteJournal`; see `contract.Journal`."""

    _clock: Clock
    _ended_by: Fault | None
    _facts: dict[str, str]
    _health: Health
    _lives: Lives
    _loop: asyncio.AbstractEventLoop
    _waiting_bytes: int
    _writer: Writer

    @abstractmethod
    def _tell(self, happening: Happening | None) -> None:
        """Hand a happening to whoever watches."""

    def append(self, event: Event, answer: Callable[[Outcome], None]) -> None:
        """Store an event; `answer` is called once, on the loop, after the commit."""
        size = len(event.payload) + ROW_OVERHEAD
        if self._ended_by is not None:
            answer(Outcome(Verdict.REFUSED, fault=self._ended_by))
            return
        if self._is_backlog(size):
            answer(Outcome(Verdict.REFUSED, fault=Fault.JOURNAL_BACKLOG))
            return
        self._waiting_bytes += size
        self._writer.put(Append(event, answer))

    def _is_backlog(self, size: int) -> bool:
        """Whether so many bytes more would be too many; if so, the journal says so."""
        if not size or self._waiting_bytes + size <= MAX_WAITING_BYTES:
            return False
        detail = f"{self._waiting_bytes} bytes wait for the disk, at most {MAX_WAITING_BYTES} may"
        self._tell(self._health.fail(Fault.JOURNAL_BACKLOG, detail, self._clock.monotonic()))
        return True

    def settle(
        self, name: str, positions: Iterable[int], passed: Iterable[Span] = ()
    ) -> asyncio.Future[None]:
        """Record that a consumer is done with `positions`; `passed` were not for it."""
        return self._change(changes.settle(name, positions, passed), None)

    def settle_soon(self, name: str, positions: Iterable[int], passed: Iterable[Span] = ()) -> None:
        """Like `settle`, but nobody waits: durable within 50 ms, in company."""
        self._writer.put(Change(changes.settle(name, positions, passed)))

    def note_attempt(self, name: str, position: int, attempt: Attempt) -> asyncio.Future[None]:
        """Record a counted attempt; replaces an earlier one."""
        return self._change(changes.note_attempt(name, position, attempt), None)

    def bury(self, name: str, position: int, reason: str, attempt: Attempt) -> asyncio.Future[None]:
        """Move an event to the dead letters of a consumer; it counts as settled."""
        died_ms = self._clock.wall_ms()
        return self._change(changes.bury(name, position, reason, attempt, died_ms), None)

    def revive(self, name: str, positions: Sequence[int]) -> asyncio.Future[list[int]]:
        """Give dead letters back to their consumer; return those it was done for."""
        revived: list[int] = []
        return self._change(changes.revive(self._writer.upkeep, name, positions, revived), revived)

    def drop_dead(self, letters: Sequence[Letter]) -> asyncio.Future[list[Letter]]:
        """Remove dead letters; return those there were."""
        dropped: list[Letter] = []
        return self._change(changes.drop_dead(self._writer.upkeep, letters, dropped), dropped)

    def enroll(
        self, name: str, wanted: Filter, cursor: int | None, *, declared: bool
    ) -> asyncio.Future[None]:
        """Create a consumer, change its filter, or move its cursor."""
        cursor = None if cursor is None else min(cursor, MAX_POSITION)
        upkeep = self._writer.upkeep
        return self._change(changes.enroll(upkeep, name, wanted, cursor, declared=declared), None)

    def move(self, name: str, cursor: int) -> asyncio.Future[None]:
        """Let a consumer stand at `cursor`."""
        upkeep = self._writer.upkeep
        return self._change(changes.move(upkeep, name, min(cursor, MAX_POSITION)), None)

    def forget(self, name: str) -> asyncio.Future[None]:
        """Remove a consumer, its cursor and attempts; dead letters stay."""
        return self._change(changes.forget(name), None)

    def seen(self, name: str, wall_ms: int, *, connected: bool) -> None:
        """Note that a consumer is or was connected."""
        self._writer.put(Change(changes.see(name, wall_ms, connected=connected)))

    def remember(self, key: str, value: str | None) -> asyncio.Future[None]:
        """Store a small fact durably, or forget it (None)."""
        self._facts.pop(key, None)
        if value is not None:
            self._facts[key] = value
        return self._change(changes.remember(key, value), None)

    def record_life(self, life: LinkLife) -> None:
        """Keep a life of a link, in place of an earlier record; nobody waits for it."""
        self._lives.record(life)
        self._writer.put(Change(changes.record_life(life)))

    # -- outgoing sends -------------------------------------------------------------------

    def open_send(self, send: OutgoingSend) -> asyncio.Future[OutgoingSend]:
        """Keep a send before it is tried; return what is known of its uuid."""
        act = partial(outbox.open_send, send=send)
        return self._post(act, len(send.request) + ROW_OVERHEAD)

    def note_send_attempt(self, uuid: str, at_ms: int) -> asyncio.Future[bool]:
        """Note that a send is about to be tried; False if there is none without an outcome."""
        return self._post(lambda table, _: sends.note_attempt(table, uuid, at_ms), ROW_OVERHEAD)

    def close_send(self, uuid: str, outcome: SendOutcome, at_ms: int) -> asyncio.Future[bool]:
        """Record the outcome of a send; False if there is no send without one."""
        sends.check_outcome(outcome)
        return self._post(lambda table, _: sends.close(table, uuid, outcome, at_ms))

    def drop_sends(self, uuids: Sequence[str]) -> asyncio.Future[list[str]]:
        """Remove sends from the dead letters; return which there were."""
        return self._post(lambda table, _: sends.drop(table, uuids))

    def _post(
        self, act: Callable[[SendTable, Room], _T], size: int | None = None
    ) -> asyncio.Future[_T]:
        """Hand a step over; what it returns is its answer.

        Args:
            act: Called in the writing thread.
            size: Bytes that wait with it, None if it is owed and never refused.
        """
        future: asyncio.Future[_T] = self._loop.create_future()
        waiting = size or 0

        def answer(result: _T) -> None:
            self._waiting_bytes -= waiting
            if not future.done():
                future.set_result(result)

        def refuse(error: FeishuWsError) -> None:
            self._waiting_bytes -= waiting
            if not future.done():
                future.set_exception(error)

        fault = self._ended_by or (Fault.JOURNAL_BACKLOG if self._is_backlog(waiting) else None)
        self._waiting_bytes += waiting
        if fault is not None:
            refuse(FeishuWsError(fault, "nothing was written of a send"))
        else:
            step = outbox.Step(
                lambda table, room: partial(answer, act(table, room)), refuse,
                waiting, is_owed=size is None,
            )  # fmt: skip
            self._writer.put(step)
        return future

    def _change(self, apply: Apply, result: _T) -> asyncio.Future[_T]:
        """Hand a change over; `result`, which it may fill in, is its answer."""
        future: asyncio.Future[_T] = self._loop.create_future()
        if self._ended_by is not None:  # nobody is there to write it
            future.cancel()
            return future

        def done() -> None:
            if not future.done():
                future.set_result(result)

        self._writer.put(Change(apply, done))
        return future
