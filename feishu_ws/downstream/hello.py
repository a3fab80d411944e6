"""What a hello asks for: refusals, the filter, whether the consumer is moved. Pure."""

from typing import Final

from feishu_ws.downstream.settings import MAX_POSITION, MAX_WINDOW
from feishu_ws.model import ConsumerRecord, Filter
from feishu_ws.wire.native import Code, HelloParams, RpcError, is_consumer_name
from feishu_ws.wire.wanted import find_flaw

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
    if flaw := find_flaw(wanted_by(Filter(), hello)):
        raise RpcError(Code.INVALID_PARAMS, f"params.{flaw.seen}, expected {flaw.expected}")
    start = hello.start
    if start not in ("resume", "latest", "earliest") and not (
        isinstance(start, int) and 1 <= start <= MAX_POSITION
    ):
        raise RpcError(Code.INVALID_PARAMS, f"params.start is {start!r}, expected {_STARTS}")
    if hello.window is not None and not 1 <= hello.window <= MAX_WINDOW:
        raise RpcError(
            Code.INVALID_PARAMS, f"params.window is {hello.window}, expected 1 to {MAX_WINDOW}"
        )


def is_move(known: ConsumerRecord | None, hello: HelloParams) -> bool:
    """Whether a hello says where its consumer stands; one that resumes stands where it stood."""
    return known is None or (hello.force and hello.start != "resume")


def wanted_by(known: Filter, hello: HelloParams) -> Filter:
    """Return the filter a hello asks for; of what it does not say, the known one stays."""
    if hello.types is None and hello.chats is None and hello.ignore_own is None:
        return known
    return Filter(
        known.types if hello.types is None else tuple(hello.types),
        known.chats if hello.chats is None else tuple(hello.chats),
        known.ignore_own if hello.ignore_own is None else hello.ignore_own,
    )
