"""One delivery, and what becomes of it when it fails. Pure."""

from enum import Enum, auto

import msgspec

from feishu_ws.model import Envelope


class Handed(msgspec.Struct, gc=False):
    """A position that was handed over at least once, or is to be handed over again.

    Attributes:
        at_s: When it was handed over last.
        received_ms: When the event arrived from Feishu.
        due_s: When it goes out again; None while it is in flight.
        is_live: A callback handed over at once, outside the window.
        is_rejected: The consumer asked for it again later, or an operator did.
        is_revived: An operator did, and it was not handed over since.
    """

    position: int
    envelope: Envelope
    at_s: float
    received_ms: int
    due_s: float | None = None
    is_live: bool = False
    is_rejected: bool = False
    is_revived: bool = False


class Verdict(Enum):
    """What to do with a delivery that failed."""

    AGAIN = auto()
    BURY = auto()
