"""Payloads that no honest Feishu sends, and that a client has to live with.

They come in frames that are in order, so each has to be answered like any event.
"""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from feishu_ws.simulator.envelopes import wrap_v2
from feishu_ws.simulator.origin import Origin

DEPTH: Final = 1000  # levels; JSON readers stop at some hundreds

Make = Callable[[int, Origin], bytes]


def not_json(serial: int, _: Origin) -> bytes:
    """Return what a proxy might put in the place of an answer."""
    return b"<html><body>gateway error %d</body></html>" % serial


def not_utf8(serial: int, origin: Origin) -> bytes:
    """Return an event whose text is in another encoding."""
    text = {"text": f"值班 {serial}"}
    return wrap_v2(serial, origin, "nobody.knows.this_v9", text).decode().encode("gb18030")


def empty(_: int, __: Origin) -> bytes:
    """Return nothing at all."""
    return b""


def array(serial: int, _: Origin) -> bytes:
    """Return JSON that is no object."""
    return b"[%d]" % serial


def deep(serial: int, _: Origin) -> bytes:
    """Return JSON that is nested deeper than readers follow."""
    return b"[" * DEPTH + b"%d" % serial + b"]" * DEPTH


def no_envelope(serial: int, _: Origin) -> bytes:
    """Return an object of neither schema."""
    return msgspec.json.encode({"hello": serial})


def no_header(serial: int, origin: Origin) -> bytes:
    """Return schema 2.0 whose header is null."""
    return msgspec.json.encode({"schema": "2.0", "header": None, "event": origin.user_id(serial)})


def no_event_id(serial: int, origin: Origin) -> bytes:
    """Return an event whose id is empty: it can be told apart by its bytes alone."""
    body: dict[str, Any] = msgspec.json.decode(unknown_type(serial, origin))
    body["header"]["event_id"] = ""
    return msgspec.json.encode(body)


def unknown_type(serial: int, origin: Origin) -> bytes:
    """Return an event in order, of a type that does not exist."""
    return wrap_v2(serial, origin, "nobody.knows.this_v9", {"serial": serial})


def pretty(serial: int, origin: Origin) -> bytes:
    """Return an event with raw newlines between its fields."""
    return msgspec.json.format(unknown_type(serial, origin), indent=2)


def huge_number(serial: int, origin: Origin) -> bytes:
    """Return an event with a number that no float holds."""
    return unknown_type(serial, origin).replace(b'"serial":', b'"much":1e400,"serial":')


ODD: Final[dict[str, Make]] = {
    "not_json": not_json,
    "not_utf8": not_utf8,
    "empty": empty,
    "array": array,
    "deep": deep,
    "no_envelope": no_envelope,
    "no_header": no_header,
    "no_event_id": no_event_id,
    "unknown_type": unknown_type,
    "pretty": pretty,
    "huge_number": huge_number,
}
