"""The fields of every event lark-oapi has a model of, as `tests/events/lark_events.json`.

`python tests/tools/lark_events.py` writes the file anew, with a path of its own where
one is given. The quick tests read it, so that they need not import lark-oapi, which
takes seconds; an acceptance test compares it with the lark-oapi that is installed.

An object is an object of its fields, a list is a list of one, a scalar is the name of
its Python type, a model inside itself is null. One event stands on each line.
"""

import inspect
import json
import re
import sys
import typing
from importlib.metadata import version
from pathlib import Path

TARGET = Path(__file__).resolve().parents[1] / "events" / "lark_events.json"
PREFIX = "register_p2_"
CUSTOMIZED = "register_p2_customized_event"  # any type, no model


def event_types():
    """Return the model of each event type's `event`."""
    from lark_oapi.event.dispatcher_handler import EventDispatcherHandlerBuilder

    found = {}
    for name, register in inspect.getmembers(EventDispatcherHandlerBuilder):
        if not name.startswith(PREFIX) or name == CUSTOMIZED:
            continue
        event_type = re.search(r'"p2\.([^"]+)"', inspect.getsource(register))[1]
        handler = inspect.signature(register).parameters["f"].annotation
        (model,), _ = typing.get_args(handler)
        found[event_type] = model._types["event"]
    return dict(sorted(found.items()))


def shape(kind, above=()):
    """Return the fields of a model, all the way down."""
    if hasattr(kind, "_types"):
        if kind in above:
            return None
        return {name: shape(inner, (*above, kind)) for name, inner in kind._types.items()}
    if typing.get_origin(kind) is list:
        return [shape(typing.get_args(kind)[0], above)]
    return getattr(kind, "__name__", str(kind)).lower()


def table():
    """Return the text of the file."""
    lines = [
        f"  {json.dumps(event_type)}: {json.dumps(shape(model), separators=(',', ':'))}"
        for event_type, model in event_types().items()
    ]
    events = ",\n".join(lines)
    return f'{{"source": "lark-oapi {version("lark-oapi")}", "events": {{\n{events}\n}}}}\n'


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else TARGET
    target.write_text(table())
