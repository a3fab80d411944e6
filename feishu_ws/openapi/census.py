"""Counts of the app's connections at Feishu, compared with our own links.

Feishu gives each event to one connection of an app, at random. More connections than
ours are somebody who eats our events; fewer are links that answer pings and get
nothing any more, which only new ones cure.

Source: `GET /open-apis/event/v1/connection`, as lark-cli asks it (larksuite/cli#1381).
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final, TypeGuard

from feishu_ws.clock import Clock
from feishu_ws.faults import Fault, FeishuWsError
from feishu_ws.happenings import CompetitorGone, CompetitorSeen, LinksForgotten, Observer
from feishu_ws.openapi.caller import Caller
from feishu_ws.tally import Tally
from feishu_ws.wire.answers import Verdict, judge
from feishu_ws.wire.outgoing import Request

CENSUS_PATH: Final = "/open-apis/event/v1/connection"
IN_A_ROW: Final = 3  # counts that agree before they are believed: links come and go
RENEW_AGAIN_S: Final = 6 * 3600.0
TIMEOUT_S: Final = 10.0
MAX_ANSWER: Final = 64 * 1024


class Finding(Enum):
    """What the counts say."""

    NOTHING = "nothing"
    COMPETITOR = "competitor"
    NO_COMPETITOR = "no competitor"
    FORGOTTEN = "forgotten"


@dataclass(slots=True)
class Census:
    """The counts so far. Pure.

    Attributes:
        above: Counts in a row above our own links.
        below: Counts in a row below them.
        is_shared: Whether somebody else was found to be connected.
    """

    above: int = 0
    below: int = 0
    is_shared: bool = False
    renewed_s: float = float("-inf")

    def note(self, remote: int, own: int, now_s: float) -> Finding:
        """Take in a count; return what follows from it.

        Args:
            remote: Connections of the app, as Feishu counts them.
            own: Our live links, the same before and after Feishu was asked.
            now_s: Seconds of the monotonic clock.
        """
        self.above = self.above + 1 if remote > own else 0
        self.below = self.below + 1 if remote < own else 0
        if self.above >= IN_A_ROW and not self.is_shared:
            self.is_shared = True
            return Finding.COMPETITOR
        if self.is_shared and not self.above:
            self.is_shared = False
            return Finding.NO_COMPETITOR
        if self.below >= IN_A_ROW and now_s - self.renewed_s >= RENEW_AGAIN_S:
            self.below, self.renewed_s = 0, now_s
            return Finding.FORGOTTEN
        return Finding.NOTHING


class CensusTaker:
    """Asks Feishu now and then.

    Args:
        every_s: Between two counts; 0 = never.
        live: Returns how many links of ours are live.
        renew: Has all links renewed, one after another.
    """

    def __init__(
        self,
        caller: Caller,
        every_s: float,
        *,
        live: Callable[[], int],
        renew: Callable[[], None],
        clock: Clock,
        tally: Tally,
        observe: Observer,
    ) -> None:
        self._caller = caller
        self._every_s = every_s
        self._live = live
        self._renew = renew
        self._clock = clock
        self._tally = tally
        self._observe = observe
        self._census = Census()
        self._is_refused = False

    async def run(self) -> None:
        """Count as long as the app may; then there is nothing to do."""
        while self._every_s and not self._is_refused:
            await self._clock.sleep(self._every_s)
            own = self._live()
            if own:
                await self._count(own)

    async def _count(self, own: int) -> None:
        try:
            answer = await self._caller.call(
                Request("GET", CENSUS_PATH), timeout_s=TIMEOUT_S, most=MAX_ANSWER
            )
        except FeishuWsError:  # counted; the next count is another try
            return
        found = judge(answer)
        # a permission that the app lacks does not come by itself: off until the restart
        self._is_refused = found.verdict is Verdict.REFUSED
        remote = found.data.get("online_instance_cnt")
        if found.verdict is not Verdict.DONE or not _is_count(remote):
            return
        self._tally.remote_instances = remote
        if own == self._live():
            self._follow(self._census.note(remote, own, self._clock.monotonic()), remote, own)

    def _follow(self, finding: Finding, remote: int, own: int) -> None:
        match finding:
            case Finding.COMPETITOR:
                self._observe(CompetitorSeen(Fault.COMPETING_CONSUMER, remote, own))
            case Finding.NO_COMPETITOR:
                self._observe(CompetitorGone(remote, own))
            case Finding.FORGOTTEN:
                self._observe(LinksForgotten(Fault.LINKS_FORGOTTEN, remote, own))
                self._renew()
            case Finding.NOTHING:
                pass


def _is_count(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
