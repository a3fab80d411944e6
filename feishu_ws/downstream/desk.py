"""The admin methods of the native socket: who may call which, and what they are given.

They need no hello. What changes something or shows content is for root and the
daemon's own user; refusing it ends no connection.
"""

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Final, TypeVar

from feishu_ws.downstream.admin import Admin, Answer
from feishu_ws.downstream.peers import Authority
from feishu_ws.happenings import ClientRefused, Observer
from feishu_ws.wire import admin as params
from feishu_ws.wire.native import Call, Code, RpcError, decode_params

T = TypeVar("T")

Errand = Callable[[], Coroutine[Any, Any, Answer]]
Method = Callable[[T], Coroutine[Any, Any, Answer]]
Order = Callable[[Admin, Call], Errand]
REFUSED: Final = "admin"


class Desk:
    """Takes orders from clients and has `Admin` carry them out."""

    def __init__(self, admin: Admin, authority: Authority, *, observe: Observer) -> None:
        self._admin = admin
        self._authority = authority
        self._observe = observe
        self._errands: set[asyncio.Task[None]] = set()

    def accept(self, call: Call, uid: int | None) -> Errand | None:
        """Return what is to be called and awaited, None if it is no admin method.

        Raises:
            RpcError: `NOT_ALLOWED` or `INVALID_PARAMS`.
        """
        if call.method in _FOR_ALL:
            may_see = self._authority.has(uid)
            return _FOR_ALL[call.method](self._admin, call, may_see=may_see)
        if call.method not in _FOR_FEW:
            return None
        if not self._authority.has(uid):
            self._observe(ClientRefused(REFUSED, uid))
            raise RpcError(Code.NOT_ALLOWED, f"{call.method}: {self._authority.explain(uid)}")
        return _FOR_FEW[call.method](self._admin, call)

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Carry an order out to its end, also if the client leaves meanwhile."""
        task = asyncio.get_running_loop().create_task(work, name="admin")
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)

    def close(self) -> None:
        """Leave what is still under way; nobody is there any more to be answered."""
        for task in self._errands:
            task.cancel()


def _list_consumers(admin: Admin, call: Call, *, may_see: bool) -> Errand:
    del call, may_see  # there is nothing to choose, and no content
    return admin.consumers_list


def _list_dead(admin: Admin, call: Call, *, may_see: bool) -> Errand:
    wanted = decode_params(call.params, params.DeadListParams)
    return partial(admin.dead_list, wanted, with_content=may_see)


def _incidents(admin: Admin, call: Call, *, may_see: bool) -> Errand:
    del may_see  # there is no content
    return partial(admin.incidents, decode_params(call.params, params.IncidentsParams))


_FOR_ALL: Final = {
    "consumers.list": _list_consumers,
    "dead.list": _list_dead,
    "incidents": _incidents,
}
"""Methods of everybody who may connect, told whether content may be shown."""


def _with(shape: type[T], method: Callable[[Admin], Method[T]]) -> Order:
    return lambda admin, call: partial(method(admin), decode_params(call.params, shape))


_FOR_FEW: Final[dict[str, Order]] = {
    "consumers.seek": _with(params.SeekParams, lambda admin: admin.seek),
    "consumers.forget": _with(params.ForgetParams, lambda admin: admin.forget),
    "dead.show": _with(params.DeadShowParams, lambda admin: admin.dead_show),
    "dead.retry": _with(params.DeadChoiceParams, lambda admin: admin.dead_retry),
    "dead.drop": _with(params.DeadChoiceParams, lambda admin: admin.dead_drop),
}
"""Methods of root and the daemon's own user."""
