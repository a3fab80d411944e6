"""Params of the methods that operators use, on the native socket and in commands. Pure.

Source: CONTRACT 5, `consumers.list|seek|forget`, `dead.list|show|retry|drop`, `incidents`.
"""

from typing import Final

import msgspec

DEAD_PER_PAGE: Final = 100
MOST_DEAD_PER_PAGE: Final = 1000  # 2 MB of a line at the most: ids have up to 256 characters
MOST_POSITIONS: Final = 1000  # that one request may name
MOST_SENDS: Final = 1000  # likewise
INCIDENTS: Final = 100  # that one answer holds, unless more are asked for
MOST_INCIDENTS: Final = 1000  # some 2 MB of a line; the journal keeps no more either

EARLIEST: Final = "earliest"
LATEST: Final = "latest"


class SeekParams(msgspec.Struct):
    """Params of `consumers.seek`.

    Attributes:
        since: `from`: the first event delivered is at or above this position; or
            "earliest", "latest", or an RFC 3339 time with its offset.
        skip: Whether events that the consumer holds may be passed over.
    """

    consumer: str
    since: int | str = msgspec.field(name="from")
    skip: bool = False


class ForgetParams(msgspec.Struct):
    """Params of `consumers.forget`."""

    consumer: str


class DeadListParams(msgspec.Struct):
    """Params of `dead.list`: those above position `after`, oldest position first.

    Attributes:
        limit: Of the events, and of the sends.
        sends_after: Likewise of the sends, by their `number`.
    """

    consumer: str | None = None
    after: int = 0
    limit: int = DEAD_PER_PAGE
    sends_after: int = 0


class DeadShowParams(msgspec.Struct):
    """Params of `dead.show`: an event by its position, or a send by its uuid."""

    position: int | None = None
    consumer: str | None = None
    send: str | None = None


class DeadChoiceParams(msgspec.Struct):
    """Params of `dead.retry` and `dead.drop`: some positions, or `all` of them.

    Without a consumer that is every dead letter of a position, whoever it died for.
    `dead.drop` takes instead some `sends` by their uuids, or `all_sends`.
    """

    positions: list[int] = []
    all: bool = False
    consumer: str | None = None
    sends: list[str] = []
    all_sends: bool = False


class IncidentsParams(msgspec.Struct):
    """Params of `incidents`: the newest `limit` of those that reach past `since_ms`."""

    since_ms: int = 0
    limit: int = INCIDENTS
