"""`send` and `api`: what any client of the native socket may have said to Feishu."""

from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Final, Protocol

from feishu_ws.wire.native import Call, decode_params
from feishu_ws.wire.outgoing import ApiParams, SendParams

Work = Callable[[], Coroutine[Any, Any, Any]]


class Office(Protocol):
    """Whoever says it."""

    async def send(self, params: SendParams) -> dict[str, str]:
        """Send a message; return Feishu's `message_id`. Raises RpcError."""
        ...

    async def api(self, params: ApiParams) -> dict[str, Any]:
        """Make any call below `/open-apis/`; return Feishu's answer. Raises RpcError."""
        ...


def _send(office: Office, call: Call) -> Work:
    return partial(office.send, decode_params(call.params, SendParams))


def _api(office: Office, call: Call) -> Work:
    return partial(office.api, decode_params(call.params, ApiParams))


_METHODS: Final = {"send": _send, "api": _api}


def find_work(office: Office | None, call: Call) -> Work | None:
    """Return what is to be called and awaited, None if it is none of these methods.

    Raises:
        RpcError: `INVALID_PARAMS`.
    """
    method = _METHODS.get(call.method)
    return None if method is None or office is None else method(office, call)
