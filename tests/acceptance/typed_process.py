"""Reads every sample through `typed()` and through lark-oapi's own dispatcher; says what differs.

In a process of its own, since lark-oapi takes seconds and 169 MB. One JSON line on stdout.
"""

import json
import sys
import warnings
from importlib.metadata import version

from feishu_ws.client import CloudEvent
from feishu_ws.client.typed import models
from feishu_ws.events.cloudevent import encode_body
from feishu_ws.events.envelope import open_envelope
from feishu_ws.model import Event
from feishu_ws.simulator.corpus import SAMPLES, sample


def event_of(payload):
    """Return an event as a consumer gets it."""
    body = encode_body(Event(open_envelope(payload), payload, 1_774_004_591_415))
    decoder = json.JSONDecoder()
    _, end = decoder.raw_decode(body.decode(), len('"event":'))
    return CloudEvent(body.decode()[len('"event":') : end].encode())


def envelope(event_type, schema="2.0"):
    """Return the smallest payload of a type."""
    if schema == "1.0":
        return json.dumps({"uuid": "u", "event": {"type": event_type}}).encode()
    header = {"event_id": "e", "event_type": event_type}
    return json.dumps({"schema": schema, "header": header, "event": {}}).encode()


def dispatched(payload, event_type):
    """Return what lark-oapi's dispatcher gives to a handler, None where nothing is registered."""
    from lark_oapi import EventDispatcherHandler

    builder, got = EventDispatcherHandler.builder("", ""), []
    register = getattr(builder, "register_p2_" + event_type.replace(".", "_"), None)
    if register is None:
        return None
    register(got.append)
    handler = builder.build()
    dispatch = getattr(handler, "_do_without_validation", handler.do_without_validation)
    dispatch(payload)
    return got[0]


def main():
    """Say what was found."""
    before = [name for name in sys.modules if name.startswith("lark_oapi")]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what it imports is old
        found = models()
    from lark_oapi import JSON, EventDispatcherHandler

    differ, compared = [], []
    for name in sorted(SAMPLES):
        payload = sample(name, 1)
        kind = open_envelope(payload).type
        model = event_of(payload).typed()
        own = dispatched(payload, kind) if f"p2.{kind}" in found else None
        compared += [name] if own is not None else []
        if type(model) is not type(own) or JSON.marshal(model) != JSON.marshal(own):
            differ.append(name)
    registers = [
        n for n in dir(EventDispatcherHandler.builder("", "")) if n.startswith("register_p")
    ]
    wrong = [
        key
        for key, model in found.items()
        if type(event_of(envelope(key[3:], {"p1": "1.0", "p2": "2.0"}[key[:2]])).typed())
        is not model
    ]
    answer = {
        "version": version("lark-oapi"),
        "imported_before": before,
        "models": sorted(found),
        "registers": sorted(registers),
        "wrong": wrong,
        "differ": differ,
        "compared": compared,
        "message": type(event_of(sample("message.text", 1)).typed()).__name__,
        "card": type(event_of(sample("card.action.trigger", 1)).typed()).__name__,
        "unknown": event_of(envelope("nobody.knows_v9")).typed(),
        "old": event_of(envelope("message", "1.0")).typed(),
    }
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
