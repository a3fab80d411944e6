"""The native socket's lines: JSON-RPC 2.0, one object per line. Pure, used by both ends.

Source of the protocol: CONTRACT 5. A line that is not JSON is the only thing that
ends a connection; everything else is answered with an error object.
"""

import re
from enum import IntEnum
from typing import Any, Final, TypeVar

import msgspec

from feishu_ws.surrogates import mend_surrogates

T = TypeVar("T")

PROTOCOL: Final = 1
MAX_LINE_TO_DAEMON: Final = 8 * 1024 * 1024
MAX_RETRY_IN_S: Final = 3600
MAX_REPLY_BYTES: Final = 256 * 1024  # a card has at most 30 KB. Source: Feishu docs "消息卡片"
MAX_LINE_FROM_DAEMON: Final = 16 * 1024 * 1024
_CONSUMER_NAME: Final = re.compile(r"[a-z0-9_.-]{1,64}")


def is_consumer_name(name: str) -> bool:
    """Whether `name` may name a consumer."""
    return _CONSUMER_NAME.fullmatch(name) is not None


class Code(IntEnum):
    """Error codes: JSON-RPC's own, then ours."""

    PARSE_ERROR = -32700
    INVALID_REQUEST = -32600
    METHOD_NOT_FOUND = -32601
    INVALID_PARAMS = -32602
    INTERNAL_ERROR = -32603
    NOT_GREETED = -32001
    LATE_CALLBACK = -32002
    UNKNOWN_POSITION = -32003
    FEISHU_REFUSED = -32004
    FULL = -32005
    NOT_ALLOWED = -32006
    CONSUMER_CONFLICT = -32007


class RpcError(Exception):
    """An error object, on either end of the socket.

    Args:
        code: One of `Code`, or what a newer daemon sends.
        data: Whatever else belongs to it, as JSON.
        rpc_id: The request it answers, where that could still be read.
    """

    def __init__(
        self, code: int, message: str, data: Any = None, *, rpc_id: "RpcId" = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data
        self.rpc_id = rpc_id


class NotJsonError(Exception):
    """The line was not JSON: the connection ends."""


class LineTooLongError(Exception):
    """More bytes came without a newline than a line may have: the connection ends."""


class Lines:
    """Cuts a stream of bytes into lines; holds at most one unfinished line.

    Args:
        max_line: Bytes a line may have, its newline not counted.
    """

    def __init__(self, max_line: int) -> None:
        self._max = max_line
        self._rest = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Return the lines that `data` completes, without their newlines.

        Raises:
            LineTooLongError: A line, finished or not, is longer than allowed.
        """
        first, *others = data.split(b"\n")
        self._rest += first
        if not others:
            return self._checked([])
        lines = [bytes(self._rest), *others[:-1]]
        self._rest = bytearray(others[-1])
        return self._checked(lines)

    def _checked(self, lines: list[bytes]) -> list[bytes]:
        longest = max(map(len, lines), default=0)
        if max(longest, len(self._rest)) > self._max:
            raise LineTooLongError(f"a line of more than {self._max} bytes")
        return lines


RpcId = int | float | str | None


class Call(msgspec.Struct, frozen=True):
    """A request, or a notification where `wants_result` is false."""

    method: str
    params: msgspec.Raw
    id: RpcId = None
    wants_result: bool = True


class Reply(msgspec.Struct, frozen=True):
    """An answer: `result` holds JSON, or `error` the error object."""

    id: RpcId
    result: msgspec.Raw | None = None
    error: RpcError | None = None


class _ErrorObject(msgspec.Struct):
    code: int
    message: str = ""
    data: Any = None


class _Message(msgspec.Struct):
    jsonrpc: Any = None
    id: Any = msgspec.UNSET
    method: Any = msgspec.UNSET
    params: msgspec.Raw = msgspec.Raw(b"")
    result: msgspec.Raw = msgspec.Raw(b"")
    error: msgspec.Raw = msgspec.Raw(b"")


_decoder: Final = msgspec.json.Decoder(_Message)
_errors: Final = msgspec.json.Decoder(_ErrorObject)
_anything: Final = msgspec.json.Decoder(Any)
_encoder: Final = msgspec.json.Encoder()
_REPLACEMENT: Final = rb"\ufffd"  # for a lone surrogate in an event's data
_NO_PARAMS: Final = msgspec.Raw(b"{}")
_NO_JSON: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def _decode(line: bytes) -> _Message:
    """Decode a line into a message.

    Raises:
        NotJsonError: It is not JSON at all.
        RpcError: It is JSON but no JSON-RPC object.
    """
    try:
        return _read(line, _decoder)
    except msgspec.ValidationError as exc:
        _demand_json(line)  # the decoder stops at the first wrong type; the rest may be no JSON
        raise RpcError(Code.INVALID_REQUEST, f"expected a JSON-RPC 2.0 object: {exc}") from exc
    except _NO_JSON as exc:
        raise NotJsonError(str(exc)) from exc


def _read(line: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    """Decode a line, also one with escapes of lone surrogates, which msgspec refuses."""
    try:
        return decoder.decode(line)
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:
        mended = mend_surrogates(line, _REPLACEMENT)
        if mended is line:
            raise
        return decoder.decode(mended)


def _demand_json(line: bytes) -> None:
    try:
        _read(line, _anything)
    except msgspec.ValidationError:
        return  # JSON with a number no float holds
    except _NO_JSON as exc:
        raise NotJsonError(str(exc)) from exc


def _demand_utf8(line: bytes) -> None:
    """Refuse what `Raw` lets pass: it skips strings without reading them."""
    try:
        line.decode()
    except UnicodeDecodeError as exc:
        raise NotJsonError(str(exc)) from exc


def _rpc_id(value: Any) -> RpcId:
    return value if isinstance(value, int | float | str) and not isinstance(value, bool) else None


def parse_call(line: bytes) -> Call:
    """Read a line that a client sent.

    Raises:
        NotJsonError: The line is not JSON in UTF-8.
        RpcError: It is no valid request; `rpc_id` is what to answer to.
    """
    _demand_utf8(line)
    message = _decode(line)
    rpc_id = None if message.id is msgspec.UNSET else _rpc_id(message.id)
    if message.jsonrpc != "2.0":
        raise RpcError(Code.INVALID_REQUEST, 'expected "jsonrpc": "2.0"', rpc_id=rpc_id)
    if not isinstance(message.method, str):
        raise RpcError(Code.INVALID_REQUEST, "expected a method name", rpc_id=rpc_id)
    if message.id is not msgspec.UNSET and message.id is not None and rpc_id is None:
        raise RpcError(Code.INVALID_REQUEST, "id must be a string or a number")
    params = message.params if bytes(message.params) else _NO_PARAMS
    return Call(message.method, params, rpc_id, message.id is not msgspec.UNSET)


def parse_from_daemon(line: bytes) -> Call | Reply:
    """Read a line that the daemon sent: a notification or a reply.

    Raises:
        NotJsonError: The line is not JSON.
        RpcError: It is neither.
    """
    message = _decode(line)
    if isinstance(message.method, str):
        params = message.params if bytes(message.params) else _NO_PARAMS
        return Call(message.method, params, None, wants_result=False)
    rpc_id = None if message.id is msgspec.UNSET else _rpc_id(message.id)
    if bytes(message.error) not in (b"", b"null"):
        try:
            error = _errors.decode(message.error)
        except msgspec.DecodeError as exc:
            raise RpcError(Code.INVALID_REQUEST, f"unreadable error object: {exc}") from exc
        return Reply(rpc_id, error=RpcError(error.code, error.message, error.data))
    if bytes(message.result):
        return Reply(rpc_id, result=message.result)
    raise RpcError(Code.INVALID_REQUEST, "neither method, result nor error")


def decode_params(params: msgspec.Raw, shape: type[T]) -> T:
    """Decode params into `shape` (a msgspec Struct).

    Raises:
        RpcError: `INVALID_PARAMS`, saying which field and why.
    """
    try:
        return msgspec.json.decode(params, type=shape)
    except _NO_JSON as exc:
        raise RpcError(Code.INVALID_PARAMS, f"params: {exc}") from exc


def encode_call(method: str, params: Any, rpc_id: RpcId = None) -> bytes:
    """Return the line of a request, or of a notification without an id."""
    message: dict[str, Any] = {"jsonrpc": "2.0", "method": method, "params": params}
    if rpc_id is not None:
        message["id"] = rpc_id
    return _encoder.encode(message) + b"\n"


def encode_result(rpc_id: RpcId, result: Any) -> bytes:
    """Return the line that answers a request."""
    return _encoder.encode({"jsonrpc": "2.0", "id": rpc_id, "result": result}) + b"\n"


def encode_error(rpc_id: RpcId, error: RpcError) -> bytes:
    """Return the line that refuses a request."""
    body: dict[str, Any] = {"code": int(error.code), "message": error.message}
    if error.data is not None:
        body["data"] = error.data
    return _encoder.encode({"jsonrpc": "2.0", "id": rpc_id, "error": body}) + b"\n"


# -- params -------------------------------------------------------------------------------


class HelloParams(msgspec.Struct, forbid_unknown_fields=False):
    """Params of `hello`. `start` is resume, latest, earliest or a position.

    What of `types`, `chats` and `ignore_own` is left out stays as it is.
    """

    consumer: str
    types: list[str] | None = None
    chats: list[str] | None = None
    ignore_own: bool | None = None
    start: str | int = "resume"
    window: int | None = None
    durable: bool = True
    force: bool = False


class SettleParams(msgspec.Struct):
    """Params of `settle`: single positions and/or everything delivered up to `through`."""

    positions: list[int] = []
    through: int | None = None


class RejectParams(msgspec.Struct):
    """Params of `reject`: again later, or never (`dead`)."""

    position: int
    reason: str = ""
    retry_in_s: float | None = None
    dead: bool = False


class ReplyParams(msgspec.Struct):
    """Params of `reply`: the answer to a callback; `data` is any JSON."""

    position: int
    data: msgspec.Raw = msgspec.Raw(b"{}")


class HelloResult(msgspec.Struct):
    """Result of `hello`. `cursor` is None for a consumer without one."""

    protocol: int
    version: str = ""
    app_id: str = ""
    journal: str = ""
    position: int = 0
    cursor: int | None = None


class EventParams(msgspec.Struct, frozen=True):
    """Params of `event`; what is inside stays encoded until somebody looks."""

    position: int
    event: msgspec.Raw
    attempt: int = 1
    reply_by: str | None = None
    late: bool = False
    message: msgspec.Raw = msgspec.Raw(b"null")
    message_omitted: bool = False


class ByeParams(msgspec.Struct):
    """Params of `bye`: shutdown, superseded, protocol or slow."""

    reason: str = ""


def event_line(
    position: int, attempt: int, reply_by: str | None, body: bytes, *, late: bool
) -> bytes:
    """Return the line of an `event` notification around an encoded `body`.

    `body` is what follows `late` inside params: `"event":{…},"message":{…}`.
    """
    by = b"null" if reply_by is None else b'"' + reply_by.encode() + b'"'
    return (
        b'{"jsonrpc":"2.0","method":"event","params":{"position":%d,"attempt":%d,"reply_by":%b,"late":%b,%b}}\n'
        % (
            position,
            attempt,
            by,
            b"true" if late else b"false",
            body,
        )
    )
