"""A stand-in for `lark_oapi.ws.Client` that reads from the daemon.

One line of a program changes::

    client = lark_oapi.ws.Client(APP_ID, APP_SECRET, event_handler=handler)   # before
    client = feishu_ws.client.lark.Client(APP_ID, APP_SECRET, event_handler=handler)
    client.start()

The dispatcher stays as it is. What its functions return answers a callback, what they
raise lets the event come again, and what nobody registered for is settled.
Source of what is stood in for: lark-oapi 1.7.5 ws/client.py.
"""

import asyncio
import json
import logging
import threading
from collections.abc import Callable
from typing import Any, Final

from feishu_ws.client.consumer import Consumer
from feishu_ws.client.delivery import Delivery
from feishu_ws.client.errors import Disconnected
from feishu_ws.client.typed import SCHEMA_PREFIXES

CONSUMER: Final = "lark-oapi"
LOG: Final = logging.getLogger("feishu_ws.client")


class Client:
    """Feeds a stock `EventDispatcherHandler` until it is stopped.

    Functions registered there are called on the event loop, as lark-oapi does it, so that
    they may create tasks; one that blocks belongs on a thread (`threads=True`). Several
    clients of one daemon need a `consumer` name each, and then each gets every event.

    Args:
        app_id: Checked against the daemon's if given.
        app_secret: Not used: the daemon holds the secret.
        log_level: Of the logger `feishu_ws.client`; a `LogLevel` or a number of `logging`.
        event_handler: What `EventDispatcherHandler.builder(...).build()` returned.
        domain: Not used: the daemon knows where Feishu is.
        auto_reconnect: False makes `start` raise `Disconnected` at the first loss.
        consumer: Under which name the daemon keeps what was settled.
        path: The daemon's socket; None looks at `$FEISHU_WS_SOCKET` and the usual places.
        threads: Call functions on threads instead.
        concurrency: Chats handled at once; more than 1 makes sense with `threads` only.

    Raises:
        ValueError: There is no `event_handler`.
    """

    def __init__(
        self,
        app_id: str = "",
        app_secret: str = "",
        log_level: Any = None,
        event_handler: Any = None,
        domain: str = "",
        auto_reconnect: bool = True,  # noqa: FBT001, FBT002  # its place in lark-oapi's signature
        *,
        consumer: str = CONSUMER,
        path: str | None = None,
        threads: bool = False,
        concurrency: int = 1,
    ) -> None:
        del app_secret, domain
        if event_handler is None:
            raise ValueError("event_handler is None, expected lark-oapi's EventDispatcherHandler")
        if log_level is not None:
            LOG.setLevel(int(getattr(log_level, "value", log_level)))
        self._app_id = app_id
        self._dispatcher = Dispatcher(event_handler)
        self._name = consumer
        self._path = path
        self._reconnect = auto_reconnect
        self._threads = threads
        self._concurrency = concurrency
        self._guard = threading.Lock()
        self._is_told_to_stop = False
        self._stop: Callable[[], None] | None = None

    def start(self) -> None:
        """Serve until `stop`, which may come from any thread; on a thread with no loop yet.

        Raises:
            RuntimeError: A loop runs on this thread: there, await `serve()`.
            Exception: Whatever `serve` raises.
        """
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            asyncio.run(self.serve())
        else:
            raise RuntimeError("start() inside a running event loop, expected await serve()")

    async def serve(self) -> None:
        """Serve until `stop`, on the running loop; cancelling it is fine.

        Raises:
            Disconnected: The daemon is not there, without `auto_reconnect`.
            NotAllowed: This user may not connect.
            Superseded: Another process has taken over the consumer's name.
            RpcError: The daemon refuses this consumer.
            ValueError: The daemon serves another app.
        """
        consumer = Consumer(
            self._name, self._path, types=self._dispatcher.types, reconnect=self._reconnect
        )
        self._arm(consumer)
        try:
            await self._check_app(consumer)
            handler = self._dispatcher.call if self._threads else self._call
            await consumer.serve(handler, concurrency=self._concurrency)
        except Disconnected:
            if not self._is_told_to_stop:
                raise
        finally:
            with self._guard:
                self._stop, self._is_told_to_stop = None, False
            await consumer.aclose()

    def stop(self) -> None:
        """Let `start` or `serve` return soon; from any thread, also from a handler.

        What is handled just now may end within 5 s. One that comes before `start` counts.
        """
        with self._guard:
            self._is_told_to_stop = True
            if self._stop is not None:
                self._stop()

    def _arm(self, consumer: Consumer) -> None:
        loop = asyncio.get_running_loop()

        def stop() -> None:
            asyncio.run_coroutine_threadsafe(consumer.aclose(), loop)

        with self._guard:
            self._stop = stop
            if self._is_told_to_stop:
                stop()

    async def _check_app(self, consumer: Consumer) -> None:
        """Refuse to feed one app's handler with another's events."""
        await consumer.call("ping")  # which is greeted first
        seen = "" if consumer.greeting is None else consumer.greeting.app_id
        if self._app_id and seen != self._app_id:
            raise ValueError(f"the daemon serves {seen}, expected {self._app_id}, {self._name}")

    async def _call(self, delivery: Delivery) -> Any:
        return self._dispatcher.call(delivery)


class Dispatcher:
    """A stock dispatcher, seen from here."""

    def __init__(self, handler: Any) -> None:
        known = handler._processorMap | handler._callback_processor_map  # noqa: SLF001  # no other way
        self._known = frozenset(known)
        self._do = getattr(handler, "_do_without_validation", None) or handler.do_without_validation

    @property
    def types(self) -> list[str] | None:
        """What it has functions for; None if it has none."""
        return sorted({key.partition(".")[2] for key in self._known}) or None

    def call(self, delivery: Delivery) -> Any:
        """Call the function for an event and return its answer as JSON, None for none.

        Raises:
            Exception: Whatever the function raises, or lark-oapi on the way to it.
        """
        event = delivery.event
        if f"{SCHEMA_PREFIXES.get(event.schema)}.{event.type}" not in self._known:
            return None
        return encode_result(self._do(event.payload))


def encode_result(result: Any) -> Any:
    """Return what a function returned as JSON; lark-oapi's response models become objects."""
    if result is None:
        return None
    from lark_oapi.core.json import JSON

    return json.loads(JSON.marshal(result))
