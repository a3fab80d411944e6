"""A consumer that reads events for ever: connects, greets, reads, and connects again.

There is no background task, except while it serves: whoever iterates or calls does the
connecting. One connection at a time; a delivery belongs to the connection it came over.
"""

import asyncio
import os
import random
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Any, Final, Self

import msgspec

from feishu_ws.client.address import find_socket
from feishu_ws.client.connection import Connection, Found, open_connection
from feishu_ws.client.delivery import Delivery
from feishu_ws.client.errors import Disconnected, NotAllowed, Superseded
from feishu_ws.client.handlers import Handler, Handlers
from feishu_ws.client.service import CALLBACKS_AT_ONCE, Service
from feishu_ws.wire.native import Code, HelloResult, RpcError, decode_params

GREETING_TIMEOUT_S: Final = 10.0  # the daemon answers at once, unless its disk hangs
FIRST_WAIT_S: Final = 0.1
LONGEST_WAIT_S: Final = 2.0
MAY_PASS: Final = frozenset({Code.CONSUMER_CONFLICT, Code.FULL, Code.INTERNAL_ERROR})
"""Refusals of a hello that another try may not meet."""
PERMISSION_TRIES: Final = 3  # a daemon that is just starting binds first and sets the mode then


class Consumer:
    """A named reader of events. Iterate over it and settle what it gives, or let it serve.

    ::

        async with Consumer("astrbot") as consumer:
            async for delivery in consumer:
                print(delivery.event.type, delivery.message)
                await delivery.settle()

        await Consumer("astrbot").serve({"im.message.*": said, "card.action.trigger": pressed})

    Args:
        name: 1 to 64 of `a-z 0-9 _ . -`; its cursor in the journal bears it.
        path: The daemon's socket; None looks at `$FEISHU_WS_SOCKET` and the usual places.
        types: Globs over event types; None means all.
        chats: Ids of chats, `oc_…`; None means all. Events without a chat pass.
        ignore_own: Whether messages sent by apps and bots are left out; None means no.
        start: Where a new consumer begins: resume, latest, earliest or a position.
        window: Deliveries not yet settled; None takes the daemon's own.
        durable: False reads along without a cursor; nothing is kept for such a reader.
        force: Move the cursor of an existing consumer to `start`, once.
        reconnect: False raises `Disconnected` where it would connect again.
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
        self.greeting: HelloResult | None = None
        """What the daemon said of itself when it last was greeted."""
        self.trouble: Exception | None = None
        """Why there is no connection at the moment, None while there is one."""
        self._path = path
        self._types = None if types is None else list(types)
        self._chats = None if chats is None else list(chats)
        self._ignore_own = ignore_own
        self._start = start
        self._window = window
        self._durable = durable
        self._force = force
        self._reconnect = reconnect
        self._connection: Connection | None = None
        self._connecting = asyncio.Lock()
        self._closing = asyncio.Event()
        self._service: Service | None = None
        self._failures = 0
        self._refusals = 0
        self._last = 0

    # -- reading ------------------------------------------------------------------------

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Delivery:
        delivery = await self._next(Connection.next_event)
        if delivery is None:
            raise StopAsyncIteration
        return delivery

    async def _next(self, pick: Callable[[Connection], Awaitable[Found | None]]) -> Delivery | None:
        """Return what `pick` takes from a connection, None once this is closed."""
        while not self._closing.is_set():
            connection = await self._connected()
            found = await pick(connection) if connection else None
            if connection and found:
                raw, params = found
                self._last = max(self._last, params.position)
                return Delivery(connection, bytes(raw), params)
        return None

    async def serve(
        self, handlers: Handler | Mapping[str, Handler], *, concurrency: int = 1
    ) -> None:
        """Hand every event to a handler, until this is closed.

        A handler gets the delivery. Once it returned, the event is settled; what it returned
        for a callback is the answer, such as `toast(...)`, and None leaves the answer to other
        consumers, or to the default if there is none. If it raises, that is logged, and the
        event comes again later. A handler may also settle, reject or reply by itself. One that
        is no coroutine function runs on a thread.

        Events are handled one after another, or with more `concurrency` several at a time but
        never two of one subject. Callbacks that are waited for are handled at once, beside them.

        Closing lets handlers that run end within 5 s; cancelling this does not wait for them.
        Either way it is closed afterwards.

        Args:
            handlers: One for everything, or several by glob over event types, of which the
                first counts; without `types` the globs are also what this consumer asks for,
                if nothing was asked of it before. What no glob names is settled.
            concurrency: Subjects (chats, mostly) handled at once.

        Raises:
            Superseded: Another process has taken over the name.
            RpcError: The daemon refuses this consumer.
            ValueError: No handler, or a `concurrency` below 1.
        """
        if self._service is not None or concurrency < 1:
            seen = "a second time" if self._service else f"with concurrency {concurrency}"
            raise ValueError(f"serve was called {seen}, expected once at a time, with 1 or more")
        served = Handlers(handlers, concurrency + CALLBACKS_AT_ONCE)
        self._types = served.types if self._types is None else self._types
        read_callback = partial(self._next, Connection.next_callback)
        read_other = partial(self._next, Connection.next_other)
        service = self._service = Service(read_callback, read_other, served, concurrency)
        try:
            await service.run()
        finally:
            self._service = None
            await self._close()

    async def call(self, method: str, params: Any = None) -> Any:
        """Send any request of CONTRACT 5 and return its result, decoded.

        Connects first if need be.

        Raises:
            Disconnected: The daemon went away before it answered, or this is closed.
            Superseded: Another process has taken over the name.
            RpcError: The daemon refused.
        """
        connection = await self._connected()
        if connection is None:
            raise Disconnected("closed", f"consumer {self.name} is closed, expected it open")
        return msgspec.json.decode(await connection.call(method, {} if params is None else params))

    async def aclose(self) -> None:
        """Say what is still to be settled and close; iteration ends, and so does `serve`.

        A handler that calls this is not waited for here: `serve` ends after it.
        """
        if self._service is not None:
            self._service.stop()
            if self._service.is_within():
                return
            await self._service.over.wait()
        await self._close()

    async def _close(self) -> None:
        self._closing.set()
        if self._connection is not None:
            await self._connection.close()

    @property
    def is_within_handler(self) -> bool:
        """Whether whoever asks runs in a handler of this consumer, or was started by one."""
        return self._service is not None and self._service.is_within()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    # -- connecting ---------------------------------------------------------------------

    async def _connected(self) -> Connection | None:
        """Return a living, greeted connection; None once this is closed."""
        async with self._connecting:
            if self._connection is not None and self._connection.end:
                await self._bury(self._connection)
            while self._connection is None and not self._closing.is_set():
                try:
                    self._connection = await self._connect()
                except (Disconnected, NotAllowed, RpcError) as exc:
                    self._judge(exc)
                    await self._wait()
            if self._closing.is_set() and self._connection is not None:
                await self._connection.close()
            return None if self._closing.is_set() else self._connection

    async def _bury(self, connection: Connection) -> None:
        self._connection = None
        if connection.end == "superseded":
            await connection.close()
            self._closing.set()
            raise Superseded(self.name)
        gone = connection.gone("more events")
        await connection.close()
        self._judge(gone)
        await self._wait()

    def _judge(self, exc: Disconnected | NotAllowed | RpcError) -> None:
        """Raise what another try would meet again."""
        self.trouble = exc
        self._failures += 1
        if not self._reconnect:
            raise exc
        if isinstance(exc, RpcError) and exc.code not in MAY_PASS:
            raise exc
        self._refusals += isinstance(exc, NotAllowed)
        if self._refusals >= PERMISSION_TRIES:
            raise exc

    async def _wait(self) -> None:
        """Wait longer after each failure, at random between the half and the whole."""
        longest = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2**self._failures)
        with suppress(TimeoutError):
            async with asyncio.timeout(longest * random.uniform(0.5, 1)):  # noqa: S311  # no secret
                await self._closing.wait()

    async def _connect(self) -> Connection:
        connection = await open_connection(self._path or find_socket(os.environ))
        try:
            async with asyncio.timeout(GREETING_TIMEOUT_S):
                answer = await connection.call("hello", self._hello())
            self.greeting = decode_params(answer, HelloResult)
        except TimeoutError as exc:
            await connection.close()
            seen = f"no answer to hello in {GREETING_TIMEOUT_S:.15g} s, expected one"
            raise Disconnected("timeout", seen) from exc
        except BaseException:
            await connection.close()
            raise
        self.trouble, self._failures, self._refusals = None, 0, 0
        self._force = False  # once: the cursor goes its own way from here
        return connection

    def _hello(self) -> dict[str, Any]:
        params: dict[str, Any] = {"consumer": self.name, "start": self._start}
        if not self._durable:
            params["durable"] = False
            params["start"] = self._last + 1 if self._last else self._start
        if self._types is not None:
            params["types"] = self._types
        if self._chats is not None:
            params["chats"] = self._chats
        if self._ignore_own is not None:
            params["ignore_own"] = self._ignore_own
        if self._window is not None:
            params["window"] = self._window
        if self._force:
            params["force"] = True
        return params
