"""The official Python SDK as it is, told what to do line by line, telling what it did.

Commands are JSON lines on stdin: `{"do": "fields", "payloads": [...]}` names fields that
the SDK's typed models lack; `{"do": "start", ...}` starts a `lark_oapi.ws.Client`, which
blocks for ever unless it gives up (then the next command is read).
What it did are JSON lines on stdout.
"""

import hashlib
import json
import sys
import typing
from importlib.metadata import version

import lark_oapi
from lark_oapi.event.callback.model.p2_card_action_trigger import P2CardActionTriggerResponse
from lark_oapi.event.callback.model.p2_url_preview_get import P2URLPreviewGetResponse
from lark_oapi.ws.exception import ClientException

MESSAGE = "im.message.receive_v1"
TOAST = {"toast": {"type": "success", "content": "同意"}}
PREVIEW = {"inline": {"title": "Ticket"}}


def say(said, **fields):
    print(json.dumps({"said": said} | fields, ensure_ascii=False), flush=True)


# -- handlers -------------------------------------------------------------------------------

refused = set()


def handle(data):
    """Tell of an event; of one whose text says so, fail the first time or always."""
    header = getattr(data, "header", None)
    if header is None:  # schema 1.0
        say("handled", id=data.uuid, type=data.event["type"], digest="")
        return
    content = data.event.message.content if header.event_type == MESSAGE else ""
    digest = hashlib.sha256(content.encode()).hexdigest() if content else ""
    say("handled", id=header.event_id, type=header.event_type, digest=digest)
    if "fail always" in content or ("fail once" in content and header.event_id not in refused):
        refused.add(header.event_id)
        raise RuntimeError("told to fail")


def answer_card(data):
    handle(data)
    return P2CardActionTriggerResponse(TOAST)


def answer_preview(data):
    handle(data)
    return P2URLPreviewGetResponse(PREVIEW)


def build_handler(types, old_types):
    """Register every type, typed where the SDK has a model."""
    builder = lark_oapi.EventDispatcherHandler.builder("", "")
    for name in types:
        register = getattr(builder, method(name), None)
        if name == "card.action.trigger":
            register(answer_card)
        elif name == "url.preview.get":
            register(answer_preview)
        elif register is not None:
            register(handle)
        else:
            builder.register_p2_customized_event(name, handle)
    for name in old_types:
        builder.register_p1_customized_event(name, handle)
    return builder.build()


def method(event_type):
    return "register_p2_" + event_type.replace(".", "_")


def start(command):
    handler = build_handler(command["types"], command["old_types"])
    client = lark_oapi.ws.Client(
        command["app_id"],
        command["app_secret"],
        event_handler=handler,
        domain=command["domain"],
        log_level=lark_oapi.LogLevel.CRITICAL,
    )
    client.on_reconnecting = lambda: say("reconnecting")
    client.on_reconnected = lambda: say("reconnected")
    try:
        client.start()
    except ClientException as exc:
        say("gave_up", error=str(exc))


# -- are the samples what the SDK's models expect? ------------------------------------------


def unknown_fields(payload):
    """Name what is in an event and not in the SDK's model of it; None without a model."""
    event_type = payload["header"]["event_type"]
    builder = lark_oapi.EventDispatcherHandler.builder("", "")
    register = getattr(builder, method(event_type), None)
    if register is None:
        return None
    register(lambda _: None)
    handler = builder.build()
    processors = handler._processorMap | handler._callback_processor_map
    model = processors[f"p2.{event_type}"].type()
    return sorted(compare(payload["event"], model._types["event"], "event"))


def compare(value, kind, where):
    """Yield where a value is not what a model says; numbers may be strings."""
    if typing.get_origin(kind) is list:
        for item in value:
            yield from compare(item, typing.get_args(kind)[0], f"{where}[]")
    elif hasattr(kind, "_types"):
        for key, item in value.items():
            if key in kind._types:
                yield from compare(item, kind._types[key], f"{where}.{key}")
            else:
                yield f"{where}.{key}"
    elif kind is int and isinstance(value, str):
        if not value.isdigit():
            yield f"{where}={value!r}"
    elif kind in (int, str, bool) and type(value) is not kind:
        yield f"{where}={value!r}"


def main():
    say("imported", version=version("lark-oapi"))
    for line in sys.stdin:
        command = json.loads(line)
        if command["do"] == "start":
            start(command)
        else:
            say("fields", found=[unknown_fields(payload) for payload in command["payloads"]])


if __name__ == "__main__":
    main()
