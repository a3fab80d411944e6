"""What clients ask us to say to Feishu: `send` and `api`, checked and put as requests. Pure.

Source of the methods: CONTRACT 5. Source of the requests: lark-oapi 1.7.5
api/im/v1/model/create_message_request.py and reply_message_request.py.
"""

import re
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote

import msgspec

from feishu_ws.wire.native import Code, RpcError, decode_params

MAX_UUID_CHARS: Final = 50  # Source: CONTRACT 5
MAX_RECEIVER_CHARS: Final = 256  # Feishu's ids have some 35; an address of e-mail at most 254
MAX_CONTENT_BYTES: Final = 256 * 1024
"""Feishu takes 150 KB of text and 30 KB of the rest; what is over its limit it says itself.

Source: Feishu docs im-v1/message/create.
"""
MAX_BODY_BYTES: Final = 5 * 1024 * 1024  # of `api`, either way. Source: CONTRACT 5

RECEIVE_ID_TYPES: Final = ("open_id", "user_id", "union_id", "email", "chat_id")
METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")
OPEN_APIS: Final = "/open-apis/"
AUTH: Final = "/open-apis/auth/"

_MESSAGES: Final = "/open-apis/im/v1/messages"
_JSON: Final = "application/json; charset=utf-8"
_MESSAGE_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")
_KIND: Final = re.compile(r"[a-z_]{1,64}")
_CONTENT_TYPE: Final = re.compile(r"[a-z]+/[ !-~]{1,200}")
_SEGMENT: Final = re.compile(r"[A-Za-z0-9_.~:@!$&'()*+,;=-]+")
_DOTS: Final = frozenset({".", ".."})

_encode: Final = msgspec.json.encode


class SendParams(msgspec.Struct):
    """Params of `send`: a message to somebody, or a reply to one.

    Attributes:
        receive_id_type: One of `RECEIVE_ID_TYPES`; with `receive_id`, without `reply_to`.
        msg_type: As Feishu's: text, post, image, interactive, …
        content: Feishu's content, as an object or as the JSON string that Feishu takes.
        reply_to: The `om_…` id of the message to reply to.
        reply_in_thread: Whether a reply opens or goes on a thread (话题).
        uuid: Feishu makes one message of all requests with the same, within an hour.
        durable: Whether it is kept until its outcome is known; needs a `uuid`.
    """

    msg_type: str
    content: msgspec.Raw
    receive_id_type: str | None = None
    receive_id: str | None = None
    reply_to: str | None = None
    reply_in_thread: bool = False
    uuid: str | None = None
    durable: bool = False


class ApiParams(msgspec.Struct):
    """Params of `api`: any request below `/open-apis/`.

    Attributes:
        query: Names to values, lists for those that repeat.
        body: JSON, sent as it is; not together with `body_base64`.
        content_type: What the bytes of `body_base64` are, a form for one.
    """

    method: str
    path: str
    query: dict[str, str | int | bool | list[str]] = {}
    body: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    body_base64: str | None = None
    content_type: str | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """A request to Feishu, its token left out.

    Attributes:
        target: Path and query, as the request line names them.
        headers: What belongs to the body.
    """

    method: str
    target: str
    body: bytes = field(default=b"", repr=False)
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Message:
    """A message to be sent, checked.

    Attributes:
        line: What waits behind what: the receiver's id, or the message that is replied to.
        request: How Feishu is asked.
    """

    line: str
    request: Request
    uuid: str = ""
    durable: bool = False


def read_send(params: SendParams) -> Message:
    """Check the params of `send` and put them as a request.

    Raises:
        RpcError: `INVALID_PARAMS`, saying which and why.
    """
    _check_kind(params)
    uuid = params.uuid or ""
    if len(uuid) > MAX_UUID_CHARS or not uuid.isprintable():
        raise _bad("uuid", f"is {uuid[:64]!r}", f"at most {MAX_UUID_CHARS} printable characters")
    if params.durable and not uuid:
        raise _bad("durable", "is true without a uuid", "a uuid that names this message")
    body: dict[str, Any] = {"msg_type": params.msg_type, "content": _content(params.content)}
    if uuid:
        body["uuid"] = uuid
    if params.reply_to is not None:
        line, target = _reply(params)
        if params.reply_in_thread:
            body["reply_in_thread"] = True
    else:
        line, target = _receiver(params)
        body["receive_id"] = params.receive_id
    request = Request("POST", target, _encode(body), (("Content-Type", _JSON),))
    return Message(line, request, uuid, params.durable)


def _check_kind(params: SendParams) -> None:
    if not _KIND.fullmatch(params.msg_type):
        raise _bad("msg_type", f"is {params.msg_type[:64]!r}", "one of Feishu's, such as text")


def _content(raw: msgspec.Raw) -> str:
    """Return the content as the JSON string Feishu takes."""
    text = bytes(raw)
    if len(text) > MAX_CONTENT_BYTES:
        raise _bad("content", f"has {len(text)} bytes", f"at most {MAX_CONTENT_BYTES}")
    if text.lstrip()[:1] == b'"':
        return decode_params(raw, str)
    if text.lstrip()[:1] == b"{":
        return text.decode()
    raise _bad("content", "is neither", "an object, or one as a JSON string")


def _reply(params: SendParams) -> tuple[str, str]:
    to = params.reply_to or ""
    if params.receive_id is not None or params.receive_id_type is not None:
        raise _bad("reply_to", "stands beside a receive_id", "one of the two")
    if not _MESSAGE_ID.fullmatch(to):
        raise _bad("reply_to", f"is {to[:64]!r}", "the id of a message, om_…")
    return to, f"{_MESSAGES}/{to}/reply"


def _receiver(params: SendParams) -> tuple[str, str]:
    if params.receive_id_type not in RECEIVE_ID_TYPES:
        expected = f"one of {', '.join(RECEIVE_ID_TYPES)}"
        raise _bad("receive_id_type", f"is {params.receive_id_type!r:.64}", expected)
    if not params.receive_id:
        raise _bad("receive_id", "is missing", "who gets the message, or reply_to")
    if len(params.receive_id) > MAX_RECEIVER_CHARS or not params.receive_id.isprintable():
        raise _bad("receive_id", f"is {params.receive_id[:64]!r}", "an id or an address")
    return params.receive_id, f"{_MESSAGES}?receive_id_type={params.receive_id_type}"


def read_api(params: ApiParams) -> Request:
    """Check the params of `api` and put them as a request.

    Raises:
        RpcError: `INVALID_PARAMS`, saying which and why.
    """
    if params.method not in METHODS:
        raise _bad("method", f"is {params.method[:16]!r}", f"one of {', '.join(METHODS)}")
    check_path(params.path)
    body = _api_body(params)
    if len(body) > MAX_BODY_BYTES:
        raise _bad("body", f"has {len(body)} bytes", f"at most {MAX_BODY_BYTES}")
    content_type = _content_type(params)
    headers = (("Content-Type", content_type),) if content_type else ()
    return Request(params.method, params.path + _query(params.query), body, headers)


def _content_type(params: ApiParams) -> str | None:
    given = params.content_type
    if given is None:
        return None if params.body is msgspec.UNSET else _JSON
    if params.body_base64 is None:
        raise _bad("content_type", "stands without body_base64", "the two together")
    if not _CONTENT_TYPE.fullmatch(given):
        raise _bad("content_type", f"is {given[:64]!r}", "one such as multipart/form-data; …")
    return given


def _api_body(params: ApiParams) -> bytes:
    if params.body_base64 is None:
        return b"" if isinstance(params.body, msgspec.UnsetType) else bytes(params.body)
    if params.body is not msgspec.UNSET:
        raise _bad("body_base64", "stands beside a body", "one of the two")
    try:
        return msgspec.json.decode(_encode(params.body_base64), type=bytes)
    except msgspec.ValidationError as exc:
        raise _bad("body_base64", "cannot be decoded", "base64") from exc


def _query(query: dict[str, str | int | bool | list[str]]) -> str:
    pairs = []
    for name, value in query.items():
        for each in value if isinstance(value, list) else [value]:
            text = str(each).lower() if isinstance(each, bool) else str(each)
            pairs.append(f"{quote(name, safe='')}={quote(text, safe='')}")
    return "?" + "&".join(pairs) if pairs else ""


def check_path(path: str) -> None:
    """Refuse a path that is not plainly one below `/open-apis/`, or asks for a token.

    Two programs that read a path differently are how a request ends up elsewhere, so
    nothing is normalised: what is not in its plain form is refused.

    Raises:
        RpcError: `INVALID_PARAMS`.
    """
    why = find_trick(path)
    if why:
        raise _bad("path", f"{path[:128]!r} {why}", "/open-apis/… in plain form")
    if path.startswith(AUTH):
        raise _bad("path", f"{path[:128]!r} asks for a token", "the daemon holds the token itself")


def find_trick(path: str) -> str:
    """Return what is not plain about a path, "" if it is a plain one below `/open-apis/`."""
    if not path.startswith(OPEN_APIS):
        return "does not begin with /open-apis/"
    segments = path[1:].split("/")
    if segments[-1] == "":
        return "ends in a slash"
    for segment in segments:
        if segment in _DOTS:
            return "has a dot segment"
        if not segment:
            return "has an empty segment"
        if not _SEGMENT.fullmatch(segment):
            return "has a character that is escaped or does not belong there"
    return ""


def _bad(name: str, seen: str, expected: str) -> RpcError:
    return RpcError(Code.INVALID_PARAMS, f"params.{name} {seen}, expected {expected}")
