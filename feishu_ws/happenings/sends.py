"""Messages we were given to send. Never their content, nor whom they are for."""

from dataclasses import dataclass

from feishu_ws.faults import Fault
from feishu_ws.happenings.base import Happening


@dataclass(frozen=True, slots=True)
class SendFailed(Happening):
    """A message was given up, and whoever asked for it was told.

    Attributes:
        tries: How often it was tried.
        waited_s: Since the first try that failed.
    """

    fault: Fault
    detail: str
    tries: int
    waited_s: float


@dataclass(frozen=True, slots=True)
class SendBuried(Happening):
    """A kept message became a dead letter.

    Attributes:
        kind: One of `SendKind`.
        tries: How often it was tried.
        age_s: Since it was accepted.
    """

    kind: str
    tries: int
    age_s: float


@dataclass(frozen=True, slots=True)
class DeadSendsDropped(Happening):
    """An operator removed messages that were dead letters, for good."""

    count: int


@dataclass(frozen=True, slots=True)
class ApiFaulted(Happening):
    """Feishu's REST API cannot be used; said once until it can again."""

    fault: Fault
    detail: str


@dataclass(frozen=True, slots=True)
class ApiRecovered(Happening):
    """Feishu's REST API answers again."""

    after_s: float
