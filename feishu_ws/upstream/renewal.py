"""Renews a link before it is dropped: the new one is live before the old one ends.

Two reasons: the link is old (`upstream.rotate_after_s`), or it is suspect, because the
answer to a ping is late. Either way Feishu has to grant one connection more for a
moment; where it does not, the old link stays. Where a suspect link's successor reaches
nobody it is tried again while there is time. Only one link of a fleet is renewed at a
time, and never with the last attempts of the storm breaker.
"""

from math import inf
from random import Random
from typing import Final, Protocol

from feishu_ws.clock import Clock
from feishu_ws.faults import Fault, FeishuWsError
from feishu_ws.happenings import LinkDialed, LinkWarned, Observer
from feishu_ws.nudge import Nudge
from feishu_ws.upstream.attempt import Attempt
from feishu_ws.upstream.defect import report_defect
from feishu_ws.upstream.dial import Dial, LiveLink
from feishu_ws.upstream.settings import UpstreamSettings
from feishu_ws.upstream.storm import StormBreaker

JITTER: Final = 0.1
"""Share by which a link may be renewed sooner, so that links do not age in step."""

AGAIN_S: Final = 600.0  # after a renewal that was not granted; a limit rarely goes in minutes
TURN_S: Final = 1.0  # until it is asked again whether another link is still being renewed
SOON_S: Final = 1.0  # after an attempt for a suspect link that reached nobody: an outage may end
LAST_MOMENT_S: Final = 1.2  # TCP sends again what was lost every 1 s; on the way it needs some more
SPARE_DRAIN_S: Final = 0.5  # for answers of a fresh link that is closed; they take milliseconds
SPARE_TOKENS: Final = 5  # attempts that renewals leave for links that are down
LONGEST_SLEEP_S: Final = 86_400.0  # where nothing is due by itself


Successor = tuple[LiveLink, Attempt, Fault]
"""A live link to replace another, the attempt that opened it, and why it shall."""


class Permit(Protocol):
    """Who sees to it that one link at a time is renewed."""

    def suspected(self, index: int) -> None:
        """Note that a link is suspect: what silenced it may have silenced others."""
        ...

    def may_renew(self, index: int) -> bool:
        """Take the fleet's turn, if nobody has it."""
        ...

    def renewed(self, index: int) -> None:
        """Give the turn back."""
        ...


class Renewal:
    """Finds a successor for a live link."""

    def __init__(
        self,
        index: int,
        settings: UpstreamSettings,
        dial: Dial,
        breaker: StormBreaker,
        permit: Permit,
        observe: Observer,
        clock: Clock,
        rng: Random,
    ) -> None:
        self._index = index
        self._rotate_after_s = settings.rotate_after_s
        self._spare: Successor | None = None
        self._nudge = Nudge()
        self._is_asked = False
        self._dial = dial
        self._breaker = breaker
        self._permit = permit
        self._observe = observe
        self._clock = clock
        self._rng = rng

    async def successor(self, link: LiveLink) -> Successor:
        """Return what shall replace `link`.

        Returns only when there is one; cancel it when the link has ended.
        """
        link.watch(self._nudge.give)
        wake_s = due_s = self._next_due_s()
        while True:
            await self._nudge.sleep(
                self._clock, min(wake_s - self._clock.monotonic(), LONGEST_SLEEP_S)
            )
            wake_s = due_s
            fault = self._reason(link, due_s)
            if fault is None:
                continue
            if fault is Fault.LINK_SUSPECT:
                self._permit.suspected(self._index)
            if not self._permit.may_renew(self._index):
                wake_s = self._clock.monotonic() + TURN_S
                continue
            self._is_asked = False
            found = await self._find(link, fault)
            if not isinstance(found, float):
                return found
            wake_s = self._clock.monotonic() + found
            due_s = max(due_s, wake_s)

    def _next_due_s(self) -> float:
        if not self._rotate_after_s:
            return inf
        share = 1 - JITTER * self._rng.random()
        return self._clock.monotonic() + self._rotate_after_s * share

    def _reason(self, link: LiveLink, due_s: float) -> Fault | None:
        if link.is_suspect:
            return Fault.LINK_SUSPECT
        is_due = self._is_asked or self._clock.monotonic() >= due_s
        return Fault.ROTATED if is_due else None

    def ask(self) -> None:
        """Have the link renewed when its turn comes, however young it is."""
        self._is_asked = True
        self._nudge.give()

    async def _find(self, link: LiveLink, fault: Fault) -> Successor | float:
        """Return what shall replace `link`, or the seconds until it may be tried again."""
        try:
            opened = await self._open(fault)
        finally:
            self._permit.renewed(self._index)
        if isinstance(opened, float):
            return opened
        successor = *opened, fault
        if fault is Fault.ROTATED or await self._is_needed(link, successor):
            return successor
        return SOON_S

    async def _open(self, fault: Fault) -> tuple[LiveLink, Attempt] | float:
        """Return a live link with its attempt, or the seconds until it may be tried again."""
        now_s = self._clock.monotonic()
        if self._breaker.tokens(now_s) < SPARE_TOKENS + 1:
            return AGAIN_S
        self._breaker.take(now_s)
        attempt = Attempt(self._index, self._clock)
        self._observe(LinkDialed(self._index, 1))
        try:
            return await self._dial(attempt), attempt
        except FeishuWsError as exc:
            self._warn(fault, exc)
            if not (exc.spec.reaches_feishu or attempt.is_answered):
                if not attempt.is_connected:
                    self._breaker.give_back(self._clock.monotonic())
                return SOON_S if fault is Fault.LINK_SUSPECT else AGAIN_S
        except Exception as exc:  # noqa: BLE001 - owner of the attempt, see report_defect
            self._warn(fault, report_defect(exc))
        return AGAIN_S

    async def _is_needed(self, link: LiveLink, successor: Successor) -> bool:
        """Wait for what becomes of a suspect link; if it answers, close the fresh one.

        What silenced the one may have ended when the other could be opened. Where the
        peer's TCP has taken the ping the answer may be on its way, and until then both
        bring events; else there is a last moment.
        """
        fresh, self._spare = successor[0], successor
        try:
            await self._clock.sleep(LAST_MOMENT_S)
            while link.is_suspect and link.is_acknowledged and not fresh.has_ended:
                await self._clock.sleep(LAST_MOMENT_S)
            if link.is_suspect and not fresh.has_ended:
                self._spare = None
                return True
        finally:
            if self.take_spare() is not None:
                await fresh.drain(SPARE_DRAIN_S)
        if not link.is_suspect:
            self._observe(LinkWarned(self._index, "a ping was answered late; the link stays"))
        return False

    def take_spare(self) -> Successor | None:
        """Hand over the fresh link that waits for what becomes of the old one, if one does."""
        spare, self._spare = self._spare, None
        return None if spare is None or spare[0].has_ended else spare

    def _warn(self, fault: Fault, exc: FeishuWsError) -> None:
        detail = f"no fresh link to replace this one ({fault}): {exc.fault}: {exc.detail}"
        self._observe(LinkWarned(self._index, f"{detail}; the old one stays"))
