"""Messages to send: text, post, card, picture, file. Files are read here, never by the daemon.

What is to be sent is a value; `send` or `send_blocking` sends it, over a consumer's
connection or over one of its own::

    await send(text("Built."), to="oc_a1b2")
    await send(image(Path("chart.png")), reply_to=delivery.message["id"], via=consumer)

Source of the shapes: lark-oapi 1.7.5 api/im/v1/model; Feishu docs "发送消息内容".
"""

import asyncio
import base64
import json
import os
import secrets
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any, Final, Protocol

from feishu_ws.client.address import find_socket
from feishu_ws.client.connection import ask
from feishu_ws.wire.native import Code, RpcError
from feishu_ws.wire.outgoing import MAX_BODY_BYTES

TIMEOUT_S: Final = 120.0  # of a call; under Feishu's limits messages may queue for a while
FORM_BYTES: Final = 4096  # of a form around its file, generously
MAX_FILE_BYTES: Final = MAX_BODY_BYTES - FORM_BYTES
LANGUAGE: Final = "zh_cn"  # of a post; Feishu shows the only one there is to everybody

_KINDS: Final = {
    ".opus": ("opus", "audio"),
    ".mp4": ("mp4", "media"),
    ".pdf": ("pdf", "file"),
    ".doc": ("doc", "file"),
    ".docx": ("doc", "file"),
    ".xls": ("xls", "file"),
    ".xlsx": ("xls", "file"),
    ".ppt": ("ppt", "file"),
    ".pptx": ("ppt", "file"),
}
"""By suffix: Feishu's `file_type`, and the message type that goes with it."""
_STREAM: Final = ("stream", "file")
_BY_PREFIX: Final = {"oc_": "chat_id", "ou_": "open_id", "on_": "union_id"}

Source = bytes | str | os.PathLike[str]
"""The bytes themselves, or the path of a file."""


class Caller(Protocol):
    """Whatever makes a call of the native socket; a `Consumer` is one."""

    def call(self, method: str, params: Any = None) -> Awaitable[Any]:
        """Return the result."""
        ...


class BlockingCaller(Protocol):
    """The same without `await`; a `blocking.Consumer` is one."""

    def call(self, method: str, params: Any = None) -> Any:
        """Return the result."""
        ...


@dataclass(frozen=True, slots=True)
class Upload:
    """What Feishu is to have before a message can name it.

    Attributes:
        path: Where it is uploaded to.
        fields: Of the form, beside the file.
        part: What the form calls the file.
        key: What the answer, and the message, calls it.
    """

    path: str
    fields: Mapping[str, str]
    part: str
    key: str
    name: str
    source: Source = field(repr=False)

    def read(self) -> bytes:
        """Return the bytes.

        Raises:
            OSError: The file cannot be read.
            ValueError: There are none, or too many.
        """
        if isinstance(self.source, bytes):
            content = self.source
        else:
            with Path(self.source).open("rb") as opened:
                content = opened.read(MAX_FILE_BYTES + 1)
        if not 0 < len(content) <= MAX_FILE_BYTES:
            seen = "more" if content else "0 bytes"
            raise ValueError(f"{self.name} has {seen}, expected 1 to {MAX_FILE_BYTES} bytes")
        return content

    def request(self, content: bytes) -> dict[str, Any]:
        """Return the params of `api` that upload it."""
        boundary = secrets.token_hex(16)
        form = encode_form(self.fields, (self.part, self.name, content), boundary)
        return {
            "method": "POST",
            "path": self.path,
            "body_base64": base64.b64encode(form).decode(),
            "content_type": f"multipart/form-data; boundary={boundary}",
        }


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message, except for whom it goes to.

    Attributes:
        content: As Feishu takes it; what is uploaded first adds its key.
    """

    msg_type: str
    content: Mapping[str, Any]
    upload: Upload | None = None


# -- what there is to send ------------------------------------------------------------------


def text(words: str) -> Outgoing:
    """Return a message of plain text; `<at user_id="ou_…"></at>` in it mentions somebody."""
    return Outgoing("text", {"text": words})


def markdown(words: str, *, title: str = "") -> Outgoing:
    """Return a post in Markdown, as far as Feishu knows it."""
    return post([[{"tag": "md", "text": words}]], title=title)


def post(paragraphs: Sequence[str | Sequence[Mapping[str, Any]]], *, title: str = "") -> Outgoing:
    """Return rich text; a paragraph is words, or a list of Feishu's elements such as `a`, `at`."""
    content = [
        [{"tag": "text", "text": each}] if isinstance(each, str) else [dict(one) for one in each]
        for each in paragraphs
    ]
    return Outgoing("post", {LANGUAGE: {"title": title, "content": content}})


def card(raw: Mapping[str, Any]) -> Outgoing:
    """Return a card, given as its JSON."""
    return Outgoing("interactive", dict(raw))


def image(source: Source) -> Outgoing:
    """Return a picture: JPEG, PNG, WEBP, GIF, BMP, ICO, TIFF or HEIC, below 5 MiB."""
    fields = {"image_type": "message"}
    name = _name_of(source, "image")
    upload = Upload("/open-apis/im/v1/images", fields, "image", "image_key", name, source)
    return Outgoing("image", {}, upload)


def file(source: Source, *, name: str | None = None, duration_ms: int | None = None) -> Outgoing:
    """Return a file below 5 MiB; one called `.opus` is a voice message, `.mp4` a video.

    Args:
        source: Its bytes or its path.
        name: What it is called; None takes it from the path.
        duration_ms: How long it plays.
    """
    name = name or _name_of(source, "file")
    file_type, msg_type = _KINDS.get(PurePath(name).suffix.lower(), _STREAM)
    fields = {"file_type": file_type, "file_name": name}
    if duration_ms is not None:
        fields["duration"] = str(duration_ms)
    upload = Upload("/open-apis/im/v1/files", fields, "file", "file_key", name, source)
    return Outgoing(msg_type, {}, upload)


def _name_of(source: Source, otherwise: str) -> str:
    return otherwise if isinstance(source, bytes) else PurePath(os.fspath(source)).name


# -- sending --------------------------------------------------------------------------------


async def send(
    message: Outgoing,
    *,
    to: str | None = None,
    reply_to: str | None = None,
    in_thread: bool = False,
    to_type: str | None = None,
    uuid: str | None = None,
    durable: bool = False,
    via: Caller | None = None,
    path: str | None = None,
) -> str:
    """Send a message and return its id, `om_…`.

    Args:
        message: What `text`, `post`, `card`, `image` or `file` returned.
        to: A chat, a person or an address of e-mail; or
        reply_to: the message this replies to.
        in_thread: Whether a reply opens or goes on a thread.
        to_type: What `to` is, where `oc_`, `ou_`, `on_` or an @ does not say it.
        uuid: At most 50 characters; a repeat with the same is not a second message.
        durable: The daemon keeps it until Feishu has it; needs a `uuid`.
        via: A consumer whose connection is used; None opens one.
        path: The daemon's socket, without `via`; None looks at the usual places.

    Raises:
        Disconnected: No daemon, or it went away: unknown whether it was sent.
        RpcError: It was refused, by the daemon or by Feishu (`FEISHU_REFUSED`).
        OSError: The file cannot be read.
        ValueError: The file is empty or too large, or nobody is to get the message.
    """
    target = _target(to, to_type, reply_to, in_thread=in_thread)
    calls = via or _Asker(path)
    content = dict(message.content)
    if message.upload is not None:
        octets = await asyncio.to_thread(message.upload.read)
        answer = await calls.call("api", message.upload.request(octets))
        content[message.upload.key] = read_key(answer, message.upload.key)
    sent = await calls.call("send", _params(message, content, target, uuid, durable=durable))
    return str(sent["message_id"])


def send_blocking(
    message: Outgoing,
    *,
    to: str | None = None,
    reply_to: str | None = None,
    in_thread: bool = False,
    to_type: str | None = None,
    uuid: str | None = None,
    durable: bool = False,
    via: BlockingCaller | None = None,
    path: str | None = None,
) -> str:
    """Send a message, for programs with threads; arguments and exceptions are those of `send`."""
    more: dict[str, Any] = {"in_thread": in_thread, "to_type": to_type, "uuid": uuid}
    caller = _Asker(path) if via is None else _Awaited(via)
    sending = send(message, to=to, reply_to=reply_to, durable=durable, via=caller, **more)
    return asyncio.run(sending)


class _Asker:
    """A connection for each call."""

    def __init__(self, path: str | None) -> None:
        self._path = path or find_socket(os.environ)

    async def call(self, method: str, params: Any = None) -> Any:
        return await ask(self._path, method, params, TIMEOUT_S)


class _Awaited:
    """A caller that blocks, called on a loop where nothing else runs."""

    def __init__(self, caller: BlockingCaller) -> None:
        self._caller = caller

    async def call(self, method: str, params: Any = None) -> Any:
        return self._caller.call(method, params)


# -- shapes ---------------------------------------------------------------------------------


def _target(
    to: str | None, to_type: str | None, reply_to: str | None, *, in_thread: bool
) -> dict[str, Any]:
    if (to is None) == (reply_to is None):
        raise ValueError(f"to is {to!r} and reply_to {reply_to!r}, expected one of the two")
    if to is None:
        return {"reply_to": reply_to, "reply_in_thread": in_thread}
    return {"receive_id": to, "receive_id_type": to_type or _type_of(to)}


def _type_of(receiver: str) -> str:
    by_prefix = next((k for prefix, k in _BY_PREFIX.items() if receiver.startswith(prefix)), None)
    return by_prefix or ("email" if "@" in receiver else "user_id")


def _params(
    message: Outgoing,
    content: dict[str, Any],
    target: dict[str, Any],
    uuid: str | None,
    *,
    durable: bool,
) -> dict[str, Any]:
    said = json.dumps(content, ensure_ascii=False)  # the string that Feishu takes
    params = {"msg_type": message.msg_type, "content": said, "durable": durable} | target
    return params if uuid is None else params | {"uuid": uuid}


def read_key(answer: Mapping[str, Any], name: str) -> str:
    """Return the key that an upload got.

    Raises:
        RpcError: `FEISHU_REFUSED`, with Feishu's code, message and log id.
    """
    body = answer.get("body")
    said = body if isinstance(body, dict) else {}
    data = said.get("data")
    key = data.get(name) if isinstance(data, dict) and said.get("code") == 0 else None
    if isinstance(key, str):
        return key
    log_id = (answer.get("headers") or {}).get("x-tt-logid", "")
    told = {"code": said.get("code"), "msg": said.get("msg"), "log_id": log_id}
    seen = f"Feishu answered the upload with HTTP {answer.get('http_status')}, {told['code']}"
    raise RpcError(Code.FEISHU_REFUSED, f"{seen} ({told['msg']}), expected a {name}", told)


def encode_form(fields: Mapping[str, str], part: tuple[str, str, bytes], boundary: str) -> bytes:
    """Return a multipart form of `fields` and one file: (field, file name, content).

    Source: RFC 7578; names are escaped as browsers do (WHATWG HTML, 4.10.21.8).
    """
    name, filename, content = part
    pieces = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{each}"\r\n\r\n{value}\r\n'
        for each, value in fields.items()
    ]
    shown = filename.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
    disposition = f'form-data; name="{name}"; filename="{shown}"'
    head = f"--{boundary}\r\nContent-Disposition: {disposition}\r\n"
    pieces.append(f"{head}Content-Type: application/octet-stream\r\n\r\n")
    tail = f"\r\n--{boundary}--\r\n"
    return "".join(pieces).encode("utf-8", "replace") + content + tail.encode()
