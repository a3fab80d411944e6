"""Answers of discovery that cannot be used, made from one that can. Pure."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

Answer = Mapping[str, Any]
"""`{"code": 0, "msg": "ok", "data": {"URL": …, "ClientConfig": …}}`."""

NOT_JSON: Final = b"<html><body>Please log in to the guest network.</body></html>"
ELSEWHERE: Final = "frontier.example.com"
ENORMOUS_BYTES: Final = 4 * 1024 * 1024

_encode: Final = msgspec.json.Encoder().encode


def _with(answer: Answer, **changes: object) -> bytes:
    return _encode({**answer, "data": {**answer["data"], **changes}})


def _without(answer: Answer, key: str) -> bytes:
    return _encode({**answer, "data": {k: v for k, v in answer["data"].items() if k != key}})


def _elsewhere(answer: Answer, scheme: str) -> bytes:
    _, _, rest = answer["data"]["URL"].partition("://")
    return _with(answer, URL=f"{scheme}://{ELSEWHERE}/{rest.partition('/')[2]}")


def _half(answer: Answer) -> bytes:
    whole = _encode(answer)
    return whole[: len(whole) // 2]


ABSURD_CONFIG: Final = {
    "ReconnectCount": True,
    "ReconnectInterval": -90,
    "ReconnectNonce": "25",
    "PingInterval": 0,
}

SHAPES: Final[dict[str, Callable[[Answer], bytes]]] = {
    "not_json": lambda _: NOT_JSON,
    "nothing": lambda _: b"",
    "half": _half,
    "array": lambda _: b"[]",
    "string_code": lambda answer: _encode({**answer, "code": "0"}),
    "no_code": lambda answer: _encode({"data": answer["data"]}),
    "no_data": lambda _: _encode({"code": 0, "msg": "ok"}),
    "null_data": lambda _: _encode({"code": 0, "msg": "ok", "data": None}),
    "no_url": lambda answer: _without(answer, "URL"),
    "empty_url": lambda answer: _with(answer, URL=""),
    "numeric_url": lambda answer: _with(answer, URL=7),
    "foreign_host": lambda answer: _elsewhere(answer, "wss"),
    "plain_ws": lambda answer: _elsewhere(answer, "ws"),
    "http_url": lambda answer: _elsewhere(answer, "https"),
    "no_config": lambda answer: _without(answer, "ClientConfig"),
    "partial_config": lambda answer: _with(answer, ClientConfig={"PingInterval": 90}),
    "absurd_config": lambda answer: _with(answer, ClientConfig=ABSURD_CONFIG),
    "enormous": lambda answer: _encode({**answer, "msg": "x" * ENORMOUS_BYTES}),
}
"""By name. The Node SDK stumbles over `null_data`, `no_data` and `no_config` (1.73.0
ws-client/index.ts:236); the three `…_config` can be used and lead to a live link."""
