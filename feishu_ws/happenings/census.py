"""How many connections of this app Feishu counts, and what that means."""

from dataclasses import dataclass

from feishu_ws.faults import Fault
from feishu_ws.happenings.base import Happening


@dataclass(frozen=True, slots=True)
class CompetitorSeen(Happening):
    """Feishu counts more connections of this app than ours: somebody gets some of our events."""

    fault: Fault
    remote: int
    ours: int


@dataclass(frozen=True, slots=True)
class CompetitorGone(Happening):
    """Feishu counts no connections but ours any more."""

    remote: int
    ours: int


@dataclass(frozen=True, slots=True)
class LinksForgotten(Happening):
    """Feishu counts fewer connections than we have: all are renewed, one after another."""

    fault: Fault
    remote: int
    ours: int
