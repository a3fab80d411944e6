"""AstrBot's answers on their way to Feishu: sent again while nobody is there, and never doubled.

AstrBot's adapter gives each message a random `uuid`. Here the n-th answer to an event gets
one that follows from the event, so that Feishu makes one message of both when AstrBot is
killed between its answer and the settle, and answers the same event again within the hour.
"""

import asyncio
import copy
import hashlib
import itertools
from collections.abc import Awaitable, Callable
from typing import Any, Final

from .hand import Held

PATIENCE_S: Final = 60.0  # for a daemon that restarts, or a Feishu that cannot be reached
WAIT_S: Final = 0.5
UNREACHED: Final = frozenset({502, 503, 504})
"""HTTP: the daemon could not reach Feishu. What Feishu itself refuses is final."""

Send = Callable[..., Awaitable[Any]]


def uuid_of(held: Held, number: int) -> str:
    """Return the `uuid` of the n-th message that answers an event; at most 50 characters."""
    named = f"{held.key[2]}\n{number}" if held.key[2] else f"{held.key}\n{number}"
    return f"fw-{hashlib.sha256(named.encode('utf-8', 'replace')).hexdigest()[:40]}"


def bot_for(api: Any, held: Held) -> Any:
    """Return lark-oapi's client with `message.areply` and `message.acreate` made patient.

    It shares everything else with `api`; one of another shape is returned as it is.
    """
    im = getattr(api, "im", None)
    v1 = getattr(im, "v1", None)
    message = getattr(v1, "message", None)
    if message is None:
        return api
    bot = copy.copy(api)
    bot.im = copy.copy(im)
    bot.im.v1 = copy.copy(v1)
    bot.im.v1.message = patient = copy.copy(message)
    numbers = itertools.count(1)
    for name in ("areply", "acreate"):
        setattr(patient, name, _patient(getattr(message, name), held, numbers))
    return bot


def _patient(send: Send, held: Held, numbers: "itertools.count[int]") -> Send:
    async def sent(request: Any, *args: Any, **kwargs: Any) -> Any:
        body = getattr(request, "request_body", None)
        if body is not None and hasattr(body, "uuid"):
            body.uuid = uuid_of(held, next(numbers))
        return await _send(send, held, request, *args, **kwargs)

    return sent


async def _send(send: Send, held: Held, request: Any, *args: Any, **kwargs: Any) -> Any:
    """Send, again and again for `PATIENCE_S`; the `uuid` makes one message of all of it."""
    until_s = asyncio.get_running_loop().time() + PATIENCE_S
    while True:
        is_last = asyncio.get_running_loop().time() >= until_s
        try:
            response = await send(request, *args, **kwargs)
        except Exception as exc:  # whatever HTTP library lark-oapi uses raises on the way
            if is_last:
                held.failed = f"no answer could be sent: {type(exc).__name__}"
                raise
        else:
            status = getattr(getattr(response, "raw", None), "status_code", None)
            if status not in UNREACHED:
                return response
            if is_last:
                held.failed = f"no answer could be sent: HTTP {status}"
                return response
        await asyncio.sleep(WAIT_S)
