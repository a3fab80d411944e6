"""Serving: events go to handlers, and what becomes of them goes to the daemon.

Invariants:

- An event is settled after its handler returned, and rejected if it raised.
- Events of one subject (a chat, mostly) are handled one at a time, in order; one that was
  rejected comes behind those after it. The next does not wait for the disk to settle one.
- A callback that is waited for is handled at once, beside whatever else is.
- What comes again while its handler runs, after a lost connection for one, is not handled
  twice at the same time: what the handler did counts for it. What comes again because it
  was rejected, which may be before the reject is answered, is handled after that.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from contextvars import ContextVar, copy_context
from functools import partial
from typing import Any, Final

from feishu_ws.client.delivery import Delivery
from feishu_ws.client.errors import Disconnected
from feishu_ws.client.handlers import Handlers
from feishu_ws.client.lanes import Lanes
from feishu_ws.wire.native import Code, RpcError

CALLBACKS_AT_ONCE: Final = 32
READ_AHEAD_BYTES: Final = 1024 * 1024  # so that what comes again is seen while handlers are busy
FINISH_S: Final = (
    5.0  # for handlers that run when the consumer is closed, before they are cancelled
)
AGAIN_S: Final = 5.0  # within which a daemon that restarted brings what was not settled

Read = Callable[[], Awaitable[Delivery | None]]
"""Returns the next delivery; None is the end."""

LOG: Final = logging.getLogger("feishu_ws.client")
_SERVING: Final[ContextVar["Service | None"]] = ContextVar("serving", default=None)


class _Held:
    """An event from its arrival until it was settled or rejected.

    Attributes:
        handled: The delivery its handler gets.
        delivery: Its latest delivery, over which it is to be settled.
        successor: What is to be handled after this; None if nothing is.
        came_again: Set when there is another delivery or a successor.
    """

    __slots__ = ("came_again", "delivery", "handled", "successor")

    def __init__(self, delivery: Delivery) -> None:
        self.handled = delivery
        self.delivery = delivery
        self.successor: Delivery | None = None
        self.came_again = asyncio.Event()

    def take(self, again: Delivery) -> None:
        """Note that the event was delivered once more."""
        if self.successor is not None or self._is_over_with(again):
            self.successor = again
        else:
            self.delivery = again
        self.came_again.set()

    def _is_over_with(self, again: Delivery) -> bool:
        """Whether what was said of the event led to this delivery, not a loss or a timeout.

        A reject counts an attempt; what it leads to may come ahead of the answer to it.
        """
        if self.handled.is_answered or self.delivery.is_answered:
            return True
        is_rejected = self.handled.is_rejected or self.delivery.is_rejected
        return is_rejected and again.attempt > self.delivery.attempt


class Service:
    """Hands deliveries to handlers until it is stopped.

    Args:
        read_callback: Reads callbacks that are waited for.
        read_other: Reads all else; called at the same time.
        handlers: Closed in the end.
        concurrency: Subjects handled at once, callbacks aside.

    Attributes:
        over: Set when nothing runs any more.
    """

    def __init__(
        self, read_callback: Read, read_other: Read, handlers: Handlers, concurrency: int
    ) -> None:
        self.over = asyncio.Event()
        self._read_callback = read_callback
        self._read_other = read_other
        self._handlers = handlers
        self._lanes: Lanes[_Held] = Lanes(concurrency)
        self._places = asyncio.Semaphore(CALLBACKS_AT_ONCE)
        self._moved = asyncio.Event()
        self._held: dict[tuple[int, str], _Held] = {}
        self._reading: set[asyncio.Task[None]] = set()
        self._handling: set[asyncio.Task[None]] = set()
        self._is_stopping = False
        self._context = copy_context()  # of each handler: none sees what another one set in its
        self._context.run(_SERVING.set, self)

    async def run(self) -> None:
        """Serve until stopped, or until nothing can be read any more.

        Raises:
            Exception: Whatever reading raises.
        """
        self._reading = {
            asyncio.create_task(self._read_callbacks(), name="feishu-ws callbacks"),
            asyncio.create_task(self._read_others(), name="feishu-ws events"),
        }
        try:
            await asyncio.wait(self._reading, return_when=asyncio.FIRST_EXCEPTION)
            if self._is_stopping and self._handling:
                await asyncio.wait(self._handling, timeout=FINISH_S)
        finally:
            self._is_stopping = True  # those that are cancelled make room for no others
            await _cancel([*self._reading, *self._handling])
            self._handlers.close()
            self.over.set()
        errors = [task.exception() for task in self._reading if not task.cancelled()]
        for error in filter(None, errors):
            raise error

    def stop(self) -> None:
        """Begin nothing more; `run` returns once what was begun is over."""
        self._is_stopping = True
        for task in self._reading:
            task.cancel()
        for held in self._held.values():
            held.came_again.set()  # it will not any more

    def is_within(self) -> bool:
        """Whether the caller runs in one of the handlers, or was started by one."""
        return _SERVING.get() is self

    # -- reading ------------------------------------------------------------------------

    async def _read_callbacks(self) -> None:
        while (delivery := await self._read_callback()) is not None:
            held = self._hold(delivery)
            if held is not None:
                await self._places.acquire()
                self._begin(self._handle(held, self._places.release))

    async def _read_others(self) -> None:
        while (delivery := await self._read_other()) is not None:
            held = self._hold(delivery)
            if held is not None:
                self._queue(held)
            while self._lanes.waiting_bytes > READ_AHEAD_BYTES:
                self._moved.clear()
                await self._moved.wait()

    def _hold(self, delivery: Delivery) -> _Held | None:
        """Return what is to be handled, None for what is in hand already."""
        key = _key(delivery)
        held = self._held.get(key)
        if held is None:
            self._held[key] = held = _Held(delivery)
            return held
        held.take(delivery)
        return None

    def _release(self, held: _Held) -> None:
        """An event is out of hand: the turn of what came of it since."""
        del self._held[_key(held.handled)]
        if held.successor is None or self._is_stopping:
            return
        successor = self._held[_key(held.handled)] = _Held(held.successor)
        if held.successor.reply_by is None:
            self._queue(successor)
        else:
            self._begin(self._handle_callback(successor))

    # -- handling -----------------------------------------------------------------------

    def _queue(self, held: _Held) -> None:
        delivery = held.handled
        self._lanes.add(delivery.event.subject, held, len(delivery.raw))
        self._begin_some()

    def _begin_some(self) -> None:
        while not self._is_stopping and (found := self._lanes.next()) is not None:
            subject, held = found
            self._begin(self._handle(held, partial(self._free, subject)))

    def _free(self, subject: str) -> None:
        """The handler is done with an event: the next one's turn, though this is not settled yet."""
        self._lanes.done(subject)
        self._moved.set()
        self._begin_some()

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name="feishu-ws handler", context=self._context.copy())
        self._handling.add(task)
        task.add_done_callback(self._handling.discard)

    async def _handle_callback(self, held: _Held) -> None:
        await self._places.acquire()
        await self._handle(held, self._places.release)

    async def _handle(self, held: _Held, release: Callable[[], None]) -> None:
        delivery = held.handled = held.delivery
        try:
            try:
                result = await self._handlers.call(delivery)
            finally:
                release()
            await self._conclude(held, delivery, result)
        except Exception as exc:  # the owner of the task, which runs others' code
            LOG.exception("handler.failed %s", _fields(delivery))
            await self._reject(held, f"{type(exc).__name__}: {exc}")
        finally:
            self._release(held)

    async def _conclude(self, held: _Held, delivery: Delivery, result: Any) -> None:
        """Settle or answer, unless the handler did by itself."""
        if delivery.is_answered:
            return
        if delivery.reply_by is None or result is None:
            await self._say(held, Delivery.settle)
            return
        if not isinstance(result, Mapping):
            seen = f"the handler returned {type(result).__name__}"
            raise TypeError(f"{seen}, expected a mapping such as toast(...), or None")
        try:
            await self._say(held, lambda latest: latest.reply(dict(result)))
        except RpcError as exc:
            if exc.code != Code.LATE_CALLBACK:
                raise
            LOG.warning("callback.late %s", _fields(delivery))  # and settled all the same

    async def _reject(self, held: _Held, reason: str) -> None:
        try:
            await self._say(held, lambda latest: latest.reject(reason))
        except RpcError as exc:
            LOG.warning("reject.refused %s error=%s", _fields(held.delivery), exc)

    async def _say(self, held: _Held, say: Callable[[Delivery], Awaitable[None]]) -> None:
        """Say it of the latest delivery; if that was lost, of the one that comes again.

        Raises:
            RpcError: The daemon refused.
        """
        while True:
            held.came_again.clear()
            try:
                return await say(held.delivery)
            except Disconnected:
                if not await self._comes_again(held):
                    return None  # later, or it was taken just before the loss

    async def _comes_again(self, held: _Held) -> bool:
        """Whether there is another delivery to say it of before long."""
        if self._is_stopping:
            return False
        try:
            async with asyncio.timeout(AGAIN_S):
                await held.came_again.wait()
        except TimeoutError:
            return False
        return held.successor is None


def _key(delivery: Delivery) -> tuple[int, str]:
    """Return what an event is known by; another journal has the same positions."""
    return delivery.position, delivery.event.id


def _fields(delivery: Delivery) -> str:
    return f"position={delivery.position} attempt={delivery.attempt} type={delivery.event.type}"


async def _cancel(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancel tasks and wait for their end, but not for ever."""
    running = {task for task in tasks if not task.done()}
    for task in running:
        task.cancel()
    if running:
        await asyncio.wait(running, timeout=FINISH_S)
