"""The consumer library for programs with threads: the same names, without `await`.

A consumer has a thread of its own that runs the asyncio one; every method may be
called from any thread and waits for its result.
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterable, Mapping
from contextlib import suppress
from datetime import datetime
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from feishu_ws.client import consumer as asynchronous
from feishu_ws.client import delivery as delivered
from feishu_ws.client.answers import card, preview, template_card, toast
from feishu_ws.client.errors import Disconnected
from feishu_ws.client.handlers import Handler as AsyncHandler
from feishu_ws.wire.native import HelloResult

__all__ = ["Consumer", "Delivery", "card", "preview", "template_card", "toast"]

T = TypeVar("T")

LAST_WORDS_S: Final = 1.0  # for other threads' calls; all but a hanging connect end at once


class Delivery:
    """One event, delivered to one consumer; see `feishu_ws.client.Delivery`."""

    __slots__ = ("_loop", "_of")

    def __init__(self, loop: "_Loop", of: delivered.Delivery) -> None:
        self._loop = loop
        self._of = of

    @property
    def raw(self) -> bytes:
        """The `params` of the notification, byte for byte."""
        return self._of.raw

    @property
    def event(self) -> delivered.CloudEvent:
        """The event."""
        return self._of.event

    @property
    def position(self) -> int:
        """The event's number in the journal."""
        return self._of.position

    @property
    def attempt(self) -> int:
        """1 plus the attempts counted so far."""
        return self._of.attempt

    @property
    def late(self) -> bool:
        """Whether it is a callback that Feishu no longer waits for."""
        return self._of.late

    @property
    def reply_by(self) -> datetime | None:
        """Until when Feishu waits for `reply`; None if it does not."""
        return self._of.reply_by

    @property
    def message(self) -> Mapping[str, Any] | None:
        """The message in plain terms; None where there is none."""
        return self._of.message

    def settle(self) -> None:
        """Be done with it, durably; raises like `feishu_ws.client.Delivery.settle`."""
        self._loop.run(self._of.settle())

    def settle_soon(self) -> None:
        """Be done with it, durable within 50 ms, or it comes again."""
        self._loop.settle_soon(self._of)

    def reject(self, reason: str, retry_in_s: float | None = None, *, dead: bool = False) -> None:
        """Ask for it again later; raises like `feishu_ws.client.Delivery.reject`."""
        self._loop.run(self._of.reject(reason, retry_in_s, dead=dead))

    def reply(self, data: Any) -> None:
        """Answer a callback with JSON; raises like `feishu_ws.client.Delivery.reply`."""
        self._loop.run(self._of.reply(data))

    def __repr__(self) -> str:
        return repr(self._of)


Handler = Callable[[Delivery], Any]
"""Gets a delivery on a thread of its own; returns the answer to a callback."""


class Consumer:
    """A named reader of events; the arguments are those of `feishu_ws.client.Consumer`.

    ::

        with Consumer("astrbot") as consumer:
            for delivery in consumer:
                print(delivery.event.type, delivery.message)
                delivery.settle()
    """

    def __init__(
        self,
        name: str,
        path: str | None = None,
        *,
        types: Iterable[str] | None = None,
        chats: Iterable[str] | None = None,
        ignore_own: bool | None = None,
        start: str | int = "resume",
        window: int | None = None,
        durable: bool = True,
        force: bool = False,
        reconnect: bool = True,
    ) -> None:
        self.name = name
        self._of = asynchronous.Consumer(
            name,
            path,
            types=types,
            chats=chats,
            ignore_own=ignore_own,
            start=start,
            window=window,
            durable=durable,
            force=force,
            reconnect=reconnect,
        )
        self._loop = _Loop(f"feishu-ws consumer {name}")

    @property
    def greeting(self) -> HelloResult | None:
        """What the daemon said of itself when it last was greeted."""
        return self._of.greeting

    @property
    def trouble(self) -> Exception | None:
        """Why there is no connection at the moment, None while there is one."""
        return self._of.trouble

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Delivery:
        found = None if self._loop.is_over else self._loop.run(self._next())
        if found is None:
            raise StopIteration
        return Delivery(self._loop, found)

    async def _next(self) -> delivered.Delivery | None:
        with suppress(StopAsyncIteration):  # no future can carry it
            return await anext(self._of)
        return None

    def call(self, method: str, params: Any = None) -> Any:
        """Send any request; raises like `feishu_ws.client.Consumer.call`."""
        return self._loop.run(self._of.call(method, params))

    def serve(self, handlers: Handler | Mapping[str, Handler], *, concurrency: int = 1) -> None:
        """Hand every event to a handler, on a thread, until this is closed.

        As `feishu_ws.client.Consumer.serve`, whose arguments and exceptions these are.
        """
        if not self._loop.is_over:
            wrapped = self._wrap_all(handlers)
            self._loop.run(self._of.serve(wrapped, concurrency=concurrency))

    def _wrap_all(
        self, handlers: Handler | Mapping[str, Handler]
    ) -> AsyncHandler | dict[str, AsyncHandler]:
        if isinstance(handlers, Mapping):
            return {glob: self._wrap(handler) for glob, handler in handlers.items()}
        return self._wrap(handlers)

    def _wrap(self, handler: Handler) -> AsyncHandler:
        return lambda delivery: handler(Delivery(self._loop, delivery))

    def close(self) -> None:
        """Say what is still to be settled and close; iteration ends, in every thread.

        A handler that calls this is not waited for here: `serve` ends after it, and whoever
        called that closes what is left.
        """
        if self._of.is_within_handler:
            self._loop.run(self._of.aclose())
        else:
            self._loop.stop(self._of)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class _Loop:
    """An event loop on a thread of its own, from the first use to `stop`."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._guard = threading.Lock()
        self._ending = threading.RLock()  # a signal's handler may close while its thread does
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self.is_over = False

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work` on the loop and return what it returns; an interrupt cancels it.

        Raises:
            Disconnected: The consumer is closed.
        """
        try:
            future = asyncio.run_coroutine_threadsafe(work, self._started())
        except Disconnected:
            work.close()
            raise
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def settle_soon(self, delivery: delivered.Delivery) -> None:
        """Settle on the loop, without waiting; nothing happens on a closed consumer."""
        with suppress(Disconnected):
            self._started().call_soon_threadsafe(delivery.settle_soon)

    def stop(self, consumer: asynchronous.Consumer) -> None:
        """Close the consumer and end the thread; twice is fine."""
        with self._ending:
            if self._loop is not None:  # handlers that end now may still have something to say
                asyncio.run_coroutine_threadsafe(consumer.aclose(), self._loop).result()
            with self._guard:
                loop, thread, self.is_over = self._loop, self._thread, True
                self._loop = self._thread = None
            if loop is None or thread is None:
                return
            asyncio.run_coroutine_threadsafe(_wind_up(), loop).result()
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()

    def _started(self) -> asyncio.AbstractEventLoop:
        with self._guard:
            if self.is_over:
                raise Disconnected("closed", "the consumer is closed, expected it open")
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=self._loop.run_forever, name=self._name, daemon=True
                )
                self._thread.start()
            return self._loop


async def _wind_up() -> None:
    """Let every thread that waits for something have its answer."""
    waiting = asyncio.all_tasks() - {asyncio.current_task()}
    if waiting:
        _, stuck = await asyncio.wait(waiting, timeout=LAST_WORDS_S)
        for task in stuck:
            task.cancel()
        await asyncio.gather(*stuck, return_exceptions=True)
