"""Events as lark-oapi's models; lark-oapi is imported here, and only once it is needed.

Importing it takes 5 to 14 s and 169 MB. A program that wants models at once imports
`lark_oapi` itself when it starts; one that does not never pays for it.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any, Final

WANTED: Final = "lark-oapi>=1.5"
SCHEMA_PREFIXES: Final = {"1.0": "p1", "2.0": "p2"}  # what lark-oapi calls the two envelopes
_REGISTER: Final = ("register_p1_", "register_p2_")
_CUSTOMIZED: Final = "_customized_event"  # registers what has no model, by its type


def to_model(event_type: str, schema: str, data: Any) -> Any:
    """Return lark-oapi's model of an event's body, None where it has none.

    Args:
        event_type: Feishu's event type.
        schema: "1.0" or "2.0".
        data: The body, decoded.

    Raises:
        ImportError: lark-oapi is not installed.
        ValueError: The body is not what the model expects.
    """
    model = models().get(f"{SCHEMA_PREFIXES.get(schema)}.{event_type}")
    if model is None:
        return None
    from lark_oapi.core.exception import UnmarshalException

    try:
        return model(data)
    except UnmarshalException as exc:
        raise ValueError(f"{event_type} is not as lark-oapi expects it: {exc}") from exc


@cache
def models() -> Mapping[str, type]:
    """Return every model lark-oapi has, by `p2.` (schema 2.0) or `p1.` and the event type.

    They are read from what its own dispatcher registers, so they are those of the version
    that is installed. Source: lark-oapi 1.5.1 to 1.7.5 event/dispatcher_handler.py.

    Raises:
        ImportError: lark-oapi is not installed.
    """
    try:
        from lark_oapi.event.dispatcher_handler import EventDispatcherHandler
    except ModuleNotFoundError as exc:
        if (exc.name or "").partition(".")[0] != "lark_oapi":
            raise
        seen = "typed() found no lark_oapi here, expected the package lark-oapi"
        raise ImportError(f"{seen}\n  try: pip install '{WANTED}'") from exc
    builder = EventDispatcherHandler.builder("", "")
    for name in dir(builder):
        if name.startswith(_REGISTER) and not name.endswith(_CUSTOMIZED):
            getattr(builder, name)(_nobody)
    found = builder._processorMap | builder._callback_processor_map  # noqa: SLF001 no other way
    return {key: processor.type() for key, processor in found.items()}


def _nobody(event: Any) -> None:
    """Handle an event for a dispatcher that is never given one."""
