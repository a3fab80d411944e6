"""What a consumer gets: a delivery, and the event in it. Decoded only when looked at."""

import base64
import json
from collections.abc import Mapping
from datetime import datetime
from functools import cached_property
from typing import Any, Final

import msgspec

from feishu_ws.client.connection import Connection
from feishu_ws.client.typed import to_model
from feishu_ws.wire.native import EventParams

MAX_REASON_BYTES: Final = 256  # source: CONTRACT 5
MAX_DIGITS: Final = 4000  # longer numbers take Python long, and by default it refuses them


class _Attributes(msgspec.Struct):
    """CloudEvents 1.0 attributes as far as the daemon sets them."""

    id: str = ""
    source: str = ""
    type: str = ""
    time: str = ""
    subject: str = ""
    appid: str = ""
    tenantkey: str = ""
    feishuschema: str = ""
    receivedtime: str = ""
    data: msgspec.Raw = msgspec.Raw(b"null")
    data_base64: str | None = None


_attributes: Final = msgspec.json.Decoder(_Attributes)


class CloudEvent:
    """An event as a CloudEvents 1.0 JSON object; an attribute that is absent is ""."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        """The JSON as it came, byte for byte."""

    @cached_property
    def _attributes(self) -> _Attributes:
        return _attributes.decode(self.raw)

    @property
    def id(self) -> str:
        """Feishu's event id, else `sha256:HEX` of the payload."""
        return self._attributes.id

    @property
    def source(self) -> str:
        """`/feishu/APP_ID/TENANT_KEY`."""
        return self._attributes.source

    @property
    def type(self) -> str:
        """Feishu's event type, `feishu.unknown` for what has none."""
        return self._attributes.type

    @property
    def time(self) -> str:
        """When it happened, RFC 3339."""
        return self._attributes.time

    @property
    def received_time(self) -> str:
        """When the daemon received it, RFC 3339."""
        return self._attributes.receivedtime

    @property
    def subject(self) -> str:
        """Chat, message or user it is about."""
        return self._attributes.subject

    @property
    def tenant_key(self) -> str:
        """The tenant it happened in."""
        return self._attributes.tenantkey

    @property
    def schema(self) -> str:
        """Feishu's envelope: "2.0", "1.0" or "" for none."""
        return self._attributes.feishuschema

    @cached_property
    def data(self) -> Any:
        """The body as Feishu sent it: decoded JSON, or bytes if it was none."""
        is_json = self._attributes.data_base64 is None
        return _decode(self.payload) if is_json else self.payload

    @property
    def payload(self) -> bytes:
        """The body's bytes: those Feishu sent, but for newlines outside its strings."""
        encoded = self._attributes.data_base64
        return bytes(self._attributes.data) if encoded is None else base64.b64decode(encoded)

    def typed(self) -> Any:
        """Return lark-oapi's model of it, such as `P2ImMessageReceiveV1`; None where it has none.

        The first call imports lark-oapi, which takes seconds in which nothing else runs: a
        program with an event loop imports `lark_oapi` by itself before it starts.

        Raises:
            ImportError: lark-oapi is not installed.
            ValueError: The event is not what lark-oapi expects.
        """
        return to_model(self.type, self.schema, self.data)

    def __repr__(self) -> str:
        return f"<CloudEvent {self.type} {self.id}>"


def _decode(text: bytes) -> Any:
    """Decode any JSON that RFC 8259 allows; a number beyond every float is infinite."""
    try:
        return msgspec.json.decode(text)
    except msgspec.ValidationError:  # a number beyond every float, such as 1e999
        return json.loads(text, parse_int=_whole)


def _whole(digits: str) -> int | float:
    return int(digits) if len(digits) <= MAX_DIGITS else float(digits)


class Delivery:
    """One event, delivered to one consumer over one connection.

    Settle it when it is done with, or reject it; otherwise it comes again.

    Attributes:
        raw: The `params` of the notification, byte for byte.
        event: The event.
        is_answered: It was settled, rejected or replied to, and the daemon took that.
        is_rejected: A reject was said of it, whether or not the daemon took that (yet).
    """

    __slots__ = ("_connection", "_message", "_params", "event", "is_answered", "is_rejected", "raw")

    def __init__(self, connection: Connection, raw: bytes, params: EventParams) -> None:
        self._connection = connection
        self._params = params
        self._message: Mapping[str, Any] | None = None
        self.raw = raw
        self.event = CloudEvent(bytes(params.event))
        self.is_answered = False
        self.is_rejected = False

    @property
    def position(self) -> int:
        """The event's number in the journal."""
        return self._params.position

    @property
    def attempt(self) -> int:
        """1 plus the attempts counted so far."""
        return self._params.attempt

    @property
    def late(self) -> bool:
        """Whether it is a callback that Feishu no longer waits for."""
        return self._params.late

    @property
    def reply_by(self) -> datetime | None:
        """Until when Feishu waits for `reply`; None if it does not."""
        text = self._params.reply_by
        return datetime.fromisoformat(text) if text else None

    @property
    def message(self) -> Mapping[str, Any] | None:
        """The message in plain terms, of `im.message.receive_v1`; None where there is none."""
        if self._message is None:
            self._message = _decode(bytes(self._params.message))
        return self._message

    async def settle(self) -> None:
        """Be done with it, durably: returns after the daemon's commit.

        Raises:
            Disconnected: The daemon went away; the event comes again if it was not settled.
            RpcError: The daemon refused.
        """
        await self._say("settle", {"positions": [self.position]})

    def settle_soon(self) -> None:
        """Be done with it, durable within 50 ms, or it comes again."""
        self._connection.settle_soon(self.position)
        self.is_answered = True

    async def reject(
        self, reason: str, retry_in_s: float | None = None, *, dead: bool = False
    ) -> None:
        """Ask for it again later.

        Args:
            reason: At most 256 bytes; the rest is cut off.
            retry_in_s: Seconds, 0 to 3600; None doubles from 1 s with every attempt.
            dead: Make it a dead letter instead.

        Raises:
            Disconnected: The daemon went away; the event comes again.
            RpcError: The daemon refused.
        """
        params: dict[str, Any] = {"position": self.position, "reason": _cut(reason)}
        if retry_in_s is not None:
            params["retry_in_s"] = retry_in_s
        if dead:
            params["dead"] = True
        self.is_rejected = True
        await self._say("reject", params)

    async def reply(self, data: Any) -> None:
        """Answer a callback with a JSON object such as `toast(...)`; settles it too.

        Feishu gets the answer at once; this returns once the settle is durable.

        Raises:
            Disconnected: The daemon went away.
            RpcError: `LATE_CALLBACK`, somebody replied before or the time was up; it is
                settled all the same.
        """
        await self._say("reply", {"position": self.position, "data": data})

    async def _say(self, method: str, params: dict[str, Any]) -> None:
        await self._connection.call(method, params)
        self.is_answered = True

    def __repr__(self) -> str:
        return f"<Delivery {self.position} attempt {self.attempt} {self.event.type}>"


def _cut(reason: str) -> str:
    return reason.encode("utf-8", "replace")[:MAX_REASON_BYTES].decode("utf-8", "ignore")
