"""Sample payloads of everything Feishu is known to send, by name.

Names are event types, `message.KIND` for the kinds of messages, `message.KIND.FORM` for
the forms that their content takes, `v1.TYPE` for schema 1.0, and `odd.WHAT` for what no honest Feishu sends. Ids follow from the serial number
and the origin's run; times are now.
"""

from dataclasses import dataclass
from functools import partial
from typing import Final

from feishu_ws.simulator.apps import APP_BODIES
from feishu_ws.simulator.chats import CALLBACK_BODIES, CHAT_BODIES, Body
from feishu_ws.simulator.envelopes import (
    group_message,
    mentioning_text,
    p2p_text,
    text_message,
    threaded_text,
    variant_message,
    wrap_v1,
    wrap_v2,
)
from feishu_ws.simulator.meetings import MEETING_BODIES
from feishu_ws.simulator.messages import CONTENTS
from feishu_ws.simulator.odd import ODD, Make
from feishu_ws.simulator.office import OFFICE_BODIES, V1_BODIES
from feishu_ws.simulator.origin import Origin
from feishu_ws.simulator.variants import VARIANTS

__all__ = ["SAMPLES", "Origin", "Sample", "sample", "text_message"]

BODIES: Final = CHAT_BODIES | APP_BODIES | OFFICE_BODIES | MEETING_BODIES


@dataclass(frozen=True, slots=True)
class Sample:
    """One kind of payload.

    Attributes:
        make: Returns the payload with a serial number.
        is_callback: Its sender waits for an answer, and it is never sent again.
        is_honest: Feishu sends such things.
    """

    make: Make
    is_callback: bool = False
    is_honest: bool = True


def _v2(event_type: str, body: Body) -> Make:
    return lambda serial, origin: wrap_v2(serial, origin, event_type, body(serial, origin))


def _callback(event_type: str, body: Body) -> Make:
    """Callbacks were seen with create_time in microseconds (oapi-sdk-python issue 98)."""

    def make(serial: int, origin: Origin) -> bytes:
        micros = str(origin.now_ms() * 1000)
        return wrap_v2(serial, origin, event_type, body(serial, origin), create_time=micros)

    return make


def _v1(event_type: str, body: Body) -> Make:
    return lambda serial, origin: wrap_v1(serial, origin, event_type, body(serial, origin))


def _samples() -> dict[str, Sample]:
    messages = {f"message.{kind}": Sample(partial(group_message, kind)) for kind in CONTENTS}
    messages |= {
        f"message.{name}": Sample(partial(variant_message, variant))
        for name, variant in VARIANTS.items()
    }
    messages |= {
        "message.text.p2p": Sample(p2p_text),
        "message.text.mention": Sample(mentioning_text),
        "message.text.thread": Sample(threaded_text),
        "message.text.load": Sample(lambda serial, origin: text_message(serial, origin=origin)),
    }
    events = {kind: Sample(_v2(kind, body)) for kind, body in BODIES.items()}
    callbacks = {
        kind: Sample(_callback(kind, body), is_callback=True)
        for kind, body in CALLBACK_BODIES.items()
    }
    v1 = {f"v1.{kind}": Sample(_v1(kind, body)) for kind, body in V1_BODIES.items()}
    odd = {f"odd.{what}": Sample(make, is_honest=False) for what, make in ODD.items()}
    return messages | events | callbacks | v1 | odd


SAMPLES: Final[dict[str, Sample]] = _samples()


def sample(name: str, serial: int, origin: Origin | None = None) -> bytes:
    """Return the payload called `name` with that serial number.

    Raises:
        KeyError: There is no such sample.
    """
    return SAMPLES[name].make(serial, origin or Origin())
