"""What happens in a simulated Feishu: for whoever prints it."""

from dataclasses import dataclass

from feishu_ws.happenings import Happening


@dataclass(frozen=True, slots=True)
class SimulatedLinkOpened(Happening):
    """A client opened a link."""

    link: int
    links: int


@dataclass(frozen=True, slots=True)
class SimulatedLinkClosed(Happening):
    """A link ended, by whichever side.

    Attributes:
        lived_s: Since its handshake.
        links: How many are left.
    """

    link: int
    lived_s: float
    links: int


@dataclass(frozen=True, slots=True)
class MishapBegan(Happening):
    """A scenario did something to the client.

    Attributes:
        for_s: How long it lasts; 0: it is over already, or lasts to the end.
        detail: What it does in particular, such as `code=1001`.
        every_s: How often it comes; 0: once.
    """

    kind: str
    for_s: float = 0.0
    detail: str = ""
    every_s: float = 0.0


@dataclass(frozen=True, slots=True)
class MishapEnded(Happening):
    """A mishap that lasts is over."""

    kind: str
