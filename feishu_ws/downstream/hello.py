"""What a hello asks for: refusals, the filter, whether the consumer is moved. Pure."""

from typing import Final

from feishu_ws.downstream.settings import (
    MAX_POSITION,
    MAX_TYPE_CHARS,
    MAX_TYPES,
    MAX_WINDOW,
)
from feishu_ws.model import ConsumerRecord, Filter
from feishu_ws.wire.native import Code, HelloParams, RpcError, is_consumer_name

_STARTS: Final = f"resume, latest, earliest or a position from 1 to {MAX_POSITION}"


def check_hello(hello: HelloParams) -> None:
    """Refuse params that make no sense.

    Raises:
        RpcError: `INVALID_PARAMS`, naming the field, what was seen and expected.
    """
    if not is_consumer_name(hello.consumer):
        raise RpcError(
            Code.INVALID_PARAMS,
            f"params.consumer is {hello.consumer[:80]!r}, expected 1 to 64 of a-z 0-9 _ . -",
        )
    _check_types(hello.types or [])
    start = hello.start
    if start not in ("resume", "latest", "earliest") and not (
        isinstance(start, int) and 1 <= start <= MAX_POSITION
    ):
        raise RpcError(Code.INVALID_PARAMS, f"params.start is {start!r}, expected {_STARTS}")
    if hello.window is not None and not 1 <= hello.window <= MAX_WINDOW:
        raise RpcError(
            Code.INVALID_PARAMS, f"params.window is {hello.window}, expected 1 to {MAX_WINDOW}"
        )


def _check_types(types: list[str]) -> None:
    """Refuse a filter that would take long to compile, now and at every start.

    Raises:
        RpcError: `INVALID_PARAMS`.
    """
    longest = max(map(len, types), default=0)
    if len(types) > MAX_TYPES or longest > MAX_TYPE_CHARS:
        raise RpcError(
            Code.INVALID_PARAMS,
            f"params.types has {len(types)} globs, the longest of {longest} characters,"
            f" expected up to {MAX_TYPES} of up to {MAX_TYPE_CHARS}",
        )


def is_move(known: ConsumerRecord | None, hello: HelloParams) -> bool:
    """Whether a hello says where its consumer stands; one that resumes stands where it stood."""
    return known is None or (hello.force and hello.start != "resume")


def wanted_by(known: Filter, hello: HelloParams) -> Filter:
    """Return the filter a hello asks for; chats and ignore_own come from the configuration."""
    if hello.types is None:
        return known
    return Filter(tuple(hello.types), known.chats, known.ignore_own)
