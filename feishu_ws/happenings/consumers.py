"""Consumers, and what becomes of their events."""

from dataclasses import dataclass

from feishu_ws.faults import Fault
from feishu_ws.happenings.base import Happening


@dataclass(frozen=True, slots=True)
class ConsumerConnected(Happening):
    """A consumer said hello."""

    consumer: str
    durable: bool
    cursor: int
    behind: int
    uid: int | None = None


@dataclass(frozen=True, slots=True)
class ConsumerDisconnected(Happening):
    """A consumer went away.

    Attributes:
        cause: closed, superseded, slow, protocol, shutdown.
        unsettled: Deliveries it had and did not settle.
    """

    consumer: str
    cause: str
    unsettled: int
    durable: bool = True


@dataclass(frozen=True, slots=True)
class ConsumerMoved(Happening):
    """An operator moved a consumer from the cursor `was` to `cursor`."""

    consumer: str
    was: int
    cursor: int


@dataclass(frozen=True, slots=True)
class EventsSkipped(Happening):
    """An operator moved a consumer past events that it held; `first` to `last` were in the way."""

    consumer: str
    count: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class ConsumerForgotten(Happening):
    """A consumer and its cursor were removed.

    Attributes:
        reason: `asked`, or `absent` for longer than `delivery.forget_after_hours`.
    """

    consumer: str
    reason: str


@dataclass(frozen=True, slots=True)
class ConsumerFaulted(Happening):
    """A consumer misbehaves: `consumer_conflict`, `consumer_poisoned`."""

    consumer: str
    fault: Fault
    detail: str


@dataclass(frozen=True, slots=True)
class EventBuried(Happening):
    """An event went to the dead letters."""

    consumer: str
    position: int
    reason: str
    attempts: int


@dataclass(frozen=True, slots=True)
class DeadRetried(Happening):
    """An operator gave dead letters back to the consumer they died for."""

    consumer: str
    count: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class DeadDropped(Happening):
    """An operator removed dead letters for good."""

    consumer: str
    count: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class ClientRefused(Happening):
    """A local client was turned away.

    Attributes:
        reason: uid, full, line, host, slow, secret, frame, or admin (it may stay, but not
            do that).
    """

    reason: str
    uid: int | None = None
    fault: Fault = Fault.CLIENT_REFUSED
