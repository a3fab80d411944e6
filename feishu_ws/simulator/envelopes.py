"""Envelopes of simulated events: schema 2.0, schema 1.0, and messages in either chat."""

from typing import Any, Final

import msgspec

from feishu_ws.simulator.messages import BOT_MENTION, CONTENTS, mention
from feishu_ws.simulator.origin import Origin
from feishu_ws.simulator.variants import Variant

MESSAGE_RECEIVE: Final = "im.message.receive_v1"
USER_AGENT: Final = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) Lark/7.64.6 LarkLocale/zh_CN"
TEXT_MESSAGE_BYTES: Final = 1518  # what the measurements of other clients were taken with

_encode: Final = msgspec.json.Encoder().encode


def wrap_v2(
    serial: int,
    origin: Origin,
    event_type: str,
    event: dict[str, Any],
    *,
    create_time: str | None = None,
) -> bytes:
    """Return an event of schema 2.0; `header.token` is empty on long connections.

    Source: observed (oapi-sdk-go issue 195). `create_time` is in ms unless given.
    """
    return _encode(
        {
            "schema": "2.0",
            "header": {
                "event_id": origin.event_id(serial),
                "token": "",
                "create_time": create_time or str(origin.now_ms()),
                "event_type": event_type,
                "tenant_key": origin.tenant_key,
                "app_id": origin.app_id,
            },
            "event": event,
        }
    )


def wrap_v1(serial: int, origin: Origin, event_type: str, event: dict[str, Any]) -> bytes:
    """Return an event of schema 1.0, which has a `uuid` and no `schema`."""
    now_ms = origin.now_ms()
    tenant = {"type": event_type, "app_id": origin.app_id, "tenant_key": origin.tenant_key}
    return _encode(
        {
            "ts": f"{now_ms / 1000:.7f}",
            "uuid": origin.event_id(serial),
            "token": "",
            "type": "event_callback",
            "event": tenant | event,
        }
    )


def _message(
    serial: int, origin: Origin, kind: str, content: str, chat: dict[str, str]
) -> dict[str, Any]:
    now = str(origin.now_ms())
    return {
        "message_id": origin.message_id(serial),
        "create_time": now,
        "update_time": now,
        **chat,
        "message_type": kind,
        "content": content,
        "user_agent": USER_AGENT,
    }


def _receive(serial: int, origin: Origin, message: dict[str, Any]) -> bytes:
    sender = {
        "sender_id": origin.user_id(serial),
        "sender_type": "user",
        "tenant_key": origin.tenant_key,
    }
    return wrap_v2(serial, origin, MESSAGE_RECEIVE, {"sender": sender, "message": message})


def _group(serial: int, origin: Origin) -> dict[str, str]:
    return {"chat_id": origin.chat_id(serial), "chat_type": "group"}


def _p2p(serial: int, origin: Origin) -> dict[str, str]:
    return {"chat_id": origin.p2p_chat_id(serial), "chat_type": "p2p"}


def _as_string(content: dict[str, Any] | str) -> str:
    return content if isinstance(content, str) else _encode(content).decode()


def group_message(kind: str, serial: int, origin: Origin) -> bytes:
    """Return a message of `kind` (a `message_type`) in a group."""
    mentions = (BOT_MENTION,) if kind == "post" else ()
    return variant_message(Variant(kind, CONTENTS[kind](serial, origin), mentions), serial, origin)


def variant_message(variant: Variant, serial: int, origin: Origin) -> bytes:
    """Return a message in a group whose content has that form."""
    content = _as_string(variant.content)
    message = _message(serial, origin, variant.kind, content, _group(serial, origin))
    if variant.mentions:
        tenant = {"tenant_key": origin.tenant_key}
        message["mentions"] = [one | tenant for one in variant.mentions]
    return _receive(serial, origin, message)


def p2p_text(serial: int, origin: Origin) -> bytes:
    """Return a text message to the bot itself."""
    content = _as_string(CONTENTS["text"](serial, origin))
    return _receive(serial, origin, _message(serial, origin, "text", content, _p2p(serial, origin)))


def mentioning_text(serial: int, origin: Origin) -> bytes:
    """Return a text in a group that mentions the bot."""
    message = _message(
        serial, origin, "text", _as_string(mention(serial, origin)), _group(serial, origin)
    )
    message["mentions"] = [BOT_MENTION | {"tenant_key": origin.tenant_key}]
    return _receive(serial, origin, message)


def threaded_text(serial: int, origin: Origin) -> bytes:
    """Return a text that answers another one in a thread."""
    root = origin.message_id(max(serial - 1, 0))
    thread = {
        "root_id": root,
        "parent_id": root,
        "thread_id": "omt_" + origin.token("thread", serial)[:12],
    }
    content = _as_string(CONTENTS["text"](serial, origin))
    chat = _group(serial, origin) | thread
    return _receive(serial, origin, _message(serial, origin, "text", content, chat))


def text_message(
    serial: int, text: str | None = None, size: int | None = None, origin: Origin | None = None
) -> bytes:
    """Return a text message in a group, for load.

    Args:
        serial: Its number; event id and message id follow from it and `origin.run`.
        text: What it says; None: the number and filling.
        size: Bytes of the whole body, reached with filling; None: 1,518 without `text`,
            else as long as it gets. A smaller size than the envelope needs is exceeded.
        origin: Whose app; None: the simulator's default one.
    """
    origin = origin or Origin()
    if size is None and text is None:
        size = TEXT_MESSAGE_BYTES
    said = f"#{serial} " if text is None else text
    body = _group_text(serial, origin, said)
    if size is not None and len(body) < size:
        body = body.replace(_END_OF_TEXT, b"." * (size - len(body)) + _END_OF_TEXT, 1)
    return body


_END_OF_TEXT: Final = b'\\"}","user_agent"'  # where the content's string ends, encoded twice


def _group_text(serial: int, origin: Origin, text: str) -> bytes:
    content = _as_string({"text": text})
    return _receive(
        serial, origin, _message(serial, origin, "text", content, _group(serial, origin))
    )
