"""One delivery, and what becomes of it when it fails. Pure."""

import math
from enum import Enum, auto
from typing import Final

import msgspec

from feishu_ws.model import Envelope

FIRST_RETRY_S: Final = 1.0
MAX_RETRY_S: Final = 300.0
MAX_DOUBLINGS: Final = 9  # of the first retry: with them it is over `MAX_RETRY_S`


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


def retry_wait_s(count: int) -> float:
    """Return how long a delivery waits after so many attempts that were counted."""
    return min(math.ldexp(FIRST_RETRY_S, min(count - 1, MAX_DOUBLINGS)), MAX_RETRY_S)
