"""Events with every field that lark-oapi has a name for; a string says where it stands."""

import json
from pathlib import Path

from events.corpus import event

SHAPES = json.loads((Path(__file__).parent / "lark_events.json").read_text())["events"]
"""The fields of each event type's `event`; see `tests/tools/lark_events.py`."""

_SCALARS = {"int": 1_774_004_591, "float": 0.5, "bool": True, "dict": {"k": "v"}}


def fill(shape, path="", word=str):
    """Return a value of this shape; `word` makes a string of its path."""
    if isinstance(shape, dict):
        return {
            name: fill(inner, f"{path}.{name}" if path else name, word)
            for name, inner in shape.items()
        }
    if isinstance(shape, list):
        return [fill(shape[0], f"{path}[0]", word)]
    return word(path) if shape == "str" else _SCALARS[shape]


def filled(event_type, word=str):
    """Return a payload of that type in which every field is there."""
    return event(event_type, fill(SHAPES[event_type], word=word))


def paths(shape, path=""):
    """Return where the strings of a shape stand."""
    if isinstance(shape, dict):
        for name, inner in shape.items():
            yield from paths(inner, f"{path}.{name}" if path else name)
    elif isinstance(shape, list):
        yield from paths(shape[0], f"{path}[0]")
    elif shape == "str":
        yield path
