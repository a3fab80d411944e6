"""Who handles which event, and how a handler is called."""

import asyncio
import inspect
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from fnmatch import fnmatchcase
from typing import Any, Final

from feishu_ws.client.delivery import Delivery

Handler = Callable[[Delivery], Any]
"""Gets a delivery; returns, perhaps as a coroutine, the answer to a callback."""

ANY: Final = "*"


class Handlers:
    """Handlers by globs over event types; the first that names a type handles it.

    Args:
        handlers: One for everything, or several by glob.
        threads: How many functions that are no coroutines may run at once.

    Raises:
        ValueError: There is none.
    """

    def __init__(self, handlers: Handler | Mapping[str, Handler], threads: int) -> None:
        self._handlers = dict(handlers) if isinstance(handlers, Mapping) else {ANY: handlers}
        if not self._handlers:
            raise ValueError("serve was given no handler, expected one at least")
        self.types = list(self._handlers) if isinstance(handlers, Mapping) else None
        """What they handle; None where one handles whatever comes."""
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="feishu-ws handler")

    async def call(self, delivery: Delivery) -> Any:
        """Return what the handler of a delivery returns, None where there is no handler.

        A coroutine function runs on the event loop, any other one on a thread.
        """
        handler = self._find(delivery.event.type)
        if handler is None:
            return None
        if _is_coroutine(handler):
            return await handler(delivery)
        loop, run = asyncio.get_running_loop(), copy_context().run
        result = await loop.run_in_executor(self._executor, run, handler, delivery)
        return await result if inspect.isawaitable(result) else result

    def _find(self, event_type: str) -> Handler | None:
        found = (h for glob, h in self._handlers.items() if fnmatchcase(event_type, glob))
        return next(found, None)

    def close(self) -> None:
        """Start nothing more; what runs on a thread runs to its end."""
        self._executor.shutdown(wait=False, cancel_futures=True)


def _is_coroutine(handler: Handler) -> bool:
    return inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(
        type(handler).__call__
    )
