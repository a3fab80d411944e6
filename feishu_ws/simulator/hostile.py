"""Frames that are out of order in every way known, without end. Pure.

    for frame in hostile_frames(random.Random(7)):
        feishu.send_raw(frame)

None of them may end a link, hold memory for ever or disturb an honest event. A client
may answer 500 to those whose headers can be echoed, and a lenient one may take a frame
with a missing header as the event it carries; all of them say `hostile-` in message_id
and trace_id, and their event type is `hostile.frame`, so that such answers and events
can be told apart. `SimulatorStats.hostile_answers` counts the answers.
"""

import random
from collections.abc import Callable, Collection, Iterator
from itertools import accumulate
from typing import Final

import msgspec

from feishu_ws.simulator.settings import MIB, SERVICE_ID
from feishu_ws.wire.frame import (
    CONTROL,
    DATA,
    EVENT,
    MESSAGE_ID,
    PING,
    PONG,
    SEQ,
    SUM,
    TRACE_ID,
    TYPE,
)
from feishu_ws.wire.pbbp2_pb2 import Frame

HOSTILE: Final = "hostile-"
"""How message_id, trace_id and event id of a hostile frame begin."""
HOSTILE_TYPE: Final = "hostile.frame"

OVERSIZED_BYTES: Final = (4 * MIB + 1, 6 * MIB)  # over what a client has to take; under 16 MiB
GARBAGE_BYTES: Final = 300
INT32_MAX: Final = 2**31 - 1
MOST_PARTS: Final = 1_000_000  # the Python SDK makes a list as long; longer takes the machine down
REQUIRED: Final = ("SeqID", "LogID", "service", "method")
BAD_CONFIGS: Final = (
    b"{}",
    b"null",
    b"[1,2,3]",
    b'{"PingInterval":',
    b"\xff\xfe\x00",
    b'{"PingInterval":0,"ReconnectInterval":0,"ReconnectNonce":-5,"ReconnectCount":0}',
    b'{"PingInterval":-1}',
    b'{"PingInterval":1e308,"ReconnectCount":true}',
    b'{"PingInterval":"90","ReconnectNonce":null}',
    b'{"PingInterval":2147483648,"ReconnectInterval":99999999999999999999}',
)
"""ClientConfigs of pongs; each stops some official SDK. Source: lark-oapi 1.7.5
ws/client.py:468-472, Node SDK 1.74.0."""

Make = Callable[[random.Random], bytes | str]


def _mark(rng: random.Random) -> str:
    return f"{HOSTILE}{rng.getrandbits(64):016x}"


def _payload(mark: str) -> bytes:
    header = {"event_id": mark, "event_type": HOSTILE_TYPE, "create_time": "1774004591415"}
    return msgspec.json.encode({"schema": "2.0", "header": header, "event": {}})


def _frame(rng: random.Random, *, without: str = "", method: int = DATA, **changes: str) -> Frame:
    """Return a data frame in order, but for what is left out or changed."""
    mark = _mark(rng)
    headers = {TYPE: EVENT, MESSAGE_ID: mark, SUM: "1", SEQ: "0", TRACE_ID: mark} | changes
    frame = Frame(
        SeqID=rng.getrandbits(48), LogID=rng.getrandbits(48), service=SERVICE_ID, method=method
    )
    for key, value in headers.items():
        if key != without:
            frame.headers.add(key=key, value=value)
    frame.payload = _payload(mark)
    frame.LogIDNew = mark
    return frame


# -- no frames ------------------------------------------------------------------------------


def garbage(rng: random.Random) -> bytes:
    """Return bytes that mean nothing."""
    return rng.randbytes(rng.randint(1, GARBAGE_BYTES))


def empty(_: random.Random) -> bytes:
    """Return a message of no bytes."""
    return b""


def truncated(rng: random.Random) -> bytes:
    """Return a frame that ends in the middle of its last field."""
    frame = _frame(rng)
    return frame.SerializeToString()[: -rng.randint(1, len(frame.LogIDNew))]


def missing_field(rng: random.Random) -> bytes:
    """Return a frame without one of the fields that are required."""
    frame = _frame(rng)
    frame.ClearField(rng.choice(REQUIRED))
    return frame.SerializePartialToString()


def text(rng: random.Random) -> str:
    """Return a text message, sometimes one that looks like an event."""
    said = (
        "",
        "ping",
        "你好 \N{CAT FACE}",
        _payload(_mark(rng)).decode(),
        "x" * rng.randint(1, 9000),
    )
    return rng.choice(said)


# -- frames that say the wrong thing --------------------------------------------------------


def missing_header(rng: random.Random) -> bytes:
    """Return a frame without one of the headers that Feishu always sends."""
    without = rng.choice((TYPE, MESSAGE_ID, SUM, SEQ, TRACE_ID))
    return _frame(rng, without=without).SerializeToString()


def no_headers(rng: random.Random) -> bytes:
    """Return a frame without any header."""
    frame = _frame(rng)
    frame.ClearField("headers")
    return frame.SerializeToString()


def unknown_method(rng: random.Random) -> bytes:
    """Return a frame that is neither control nor data."""
    return _frame(rng, method=rng.choice((2, 7, -1, INT32_MAX))).SerializeToString()


def unknown_type(rng: random.Random) -> bytes:
    """Return a frame of a type that does not exist."""
    method = rng.choice((CONTROL, DATA))
    return _frame(rng, method=method, type=rng.choice(("", "EVENT", "zebra"))).SerializeToString()


def server_ping(rng: random.Random) -> bytes:
    """Return a ping from Feishu's side, which every official SDK leaves alone."""
    return _frame(rng, method=CONTROL, type=PING).SerializeToString()


def bad_pong(rng: random.Random) -> bytes:
    """Return a pong that nobody asked for, with a config that is absurd or none."""
    frame = _frame(rng, method=CONTROL, type=PONG)
    frame.payload = rng.choice(BAD_CONFIGS)
    return frame.SerializeToString()


# -- parts of nothing -----------------------------------------------------------------------


def out_of_range(rng: random.Random) -> bytes:
    """Return a part whose number is not below the number of parts, or is no number."""
    sums = ("0", "1", "3", "-1", "three", "")
    seqs = ("3", "64", "-1", str(2**32), "three", "", "1.0", "٣")
    return _frame(rng, sum=rng.choice(sums), seq=rng.choice(seqs)).SerializeToString()


def too_many_parts(rng: random.Random) -> bytes:
    """Return the first part of more than anybody puts together."""
    return _frame(rng, sum=str(rng.randint(65, MOST_PARTS))).SerializeToString()


def orphan_part(rng: random.Random) -> bytes:
    """Return a part whose others never come."""
    total = rng.randint(2, 64)
    return _frame(rng, sum=str(total), seq=str(rng.randrange(total))).SerializeToString()


def oversized(rng: random.Random) -> bytes:
    """Return a frame larger than a client has to take."""
    frame = _frame(rng)
    frame.payload = bytes(rng.randint(*OVERSIZED_BYTES))
    return frame.SerializeToString()


FAMILIES: Final[dict[str, Make]] = {
    family.__name__: family
    for family in (
        garbage, empty, truncated, missing_field, text, missing_header, no_headers, unknown_method,
        unknown_type, server_ping, bad_pong, out_of_range, too_many_parts, orphan_part, oversized,
    )
}  # fmt: skip
"""By name; every name is one a scenario may give."""

RARE: Final = {"oversized": 0.01, "orphan_part": 0.1}
"""Odds against the others' 1: what is heavy, and what fills a client's bounds for half a minute."""


def hostile_frames(
    rng: random.Random, families: Collection[str] = tuple(FAMILIES)
) -> Iterator[bytes | str]:
    """Yield hostile frames for ever, binary ones as bytes and text messages as str.

    Args:
        rng: Where chance comes from; the same seed gives the same frames.
        families: Which kinds, by their names in `FAMILIES`.

    Raises:
        KeyError: There is no such family.
    """
    makes = [FAMILIES[name] for name in families]
    odds = list(accumulate(RARE.get(name, 1.0) for name in families))
    while True:
        yield rng.choices(makes, cum_weights=odds)[0](rng)
