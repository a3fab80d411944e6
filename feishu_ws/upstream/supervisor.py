"""Keeps one link alive for ever: tenacity is the policy, this is the loop.

The loop ends when the link was stopped, or with a fault its overseer will not wait out.
"""

import asyncio
from dataclasses import replace
from random import Random
from typing import Any, Final, NamedTuple, NoReturn, Protocol

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type

from feishu_ws.clock import Clock
from feishu_ws.faults import Fault, FeishuWsError
from feishu_ws.happenings import (
    LinkDialed,
    LinkLive,
    LinkReplaced,
    Observer,
)
from feishu_ws.nudge import Nudge
from feishu_ws.upstream.attempt import Attempt
from feishu_ws.upstream.backoff import (
    Ending,
    LinkEndedError,
    LinkWait,
    Streak,
    given_up,
    read_ended,
)
from feishu_ws.upstream.defect import report_defect
from feishu_ws.upstream.dial import Dial, LiveLink
from feishu_ws.upstream.facts import LinkFacts
from feishu_ws.upstream.renewal import Permit, Renewal, Successor
from feishu_ws.upstream.settings import UpstreamSettings
from feishu_ws.upstream.storm import StormBreaker
from feishu_ws.upstream.telling import tell
from feishu_ws.wire.endpoint import Endpoint
from feishu_ws.wire.link import LinkState, LinkStep, step
from feishu_ws.wire.session import ServerTimings

RETIRE_S: Final = 3.0  # Feishu's own deadline for an answer; what is older comes again anyway


class _Life(NamedTuple):
    """A live link, and the task that keeps it."""

    link: LiveLink
    task: asyncio.Task[NoReturn]


class Overseer(Permit, Protocol):
    """What a supervisor asks about the fleet it belongs to."""

    def has_others_live(self, index: int) -> bool:
        """Whether a link other than this one is live."""
        ...

    def will_wait(self, ending: Ending) -> bool:
        """Whether this ending is to be retried, rather than end the daemon."""
        ...

    def wait_at_limit(self, index: int) -> float:
        """Return the seconds until it is this link's turn to try Feishu's connection limit."""
        ...


class Supervisor:
    """One link of the fleet.

    Attributes:
        state: Where the link is in its life.
        was_live: Set once it has been live.
    """

    def __init__(
        self,
        index: int,
        settings: UpstreamSettings,
        dial: Dial,
        breaker: StormBreaker,
        overseer: Overseer,
        observe: Observer,
        clock: Clock,
        rng: Random,
    ) -> None:
        self.state = LinkState.STOPPED
        self.was_live = asyncio.Event()
        self._index = index
        self._settings = settings
        self._dial = dial
        self._breaker = breaker
        self._overseer = overseer
        self._observe = observe
        self._clock = clock
        self._wait = LinkWait(settings, rng)
        self._renewal = Renewal(index, settings, dial, breaker, overseer, observe, clock, rng)
        self._retiring: set[asyncio.Task[None]] = set()
        self._nudge = Nudge()
        self._link: LiveLink | None = None
        self._streak = Streak()
        self._timings = ServerTimings()
        self._attempts = 0
        self._lives = 0
        self._live_at_s = 0.0
        self._url = ""
        self._fault: Fault | None = None
        self._code: int | None = None
        self._since_ms = clock.wall_ms()
        self._retry_at_s: float | None = None
        self._last_inbound_s: float | None = None

    # -- the loop ---------------------------------------------------------------------

    async def run(self) -> None:
        """Dial, live, wait, for ever; return after `drain`.

        Cancel it to stop a link that is not live.

        Raises:
            FeishuWsError: The overseer does not wait for what this one ended with.
        """
        retrying = AsyncRetrying(
            sleep=self._sleep,
            wait=self._wait,
            retry=retry_if_exception_type(LinkEndedError),
            before_sleep=self._report,
        )
        try:
            await retrying(self._live_once)
        finally:
            for retiring in list(self._retiring):
                await _end(retiring)
            self._stop()

    async def _live_once(self) -> None:
        """Open the link and stay with it and its successors; returns only after `drain`."""
        life = self._begin(await self._open())
        while True:
            successor = await self._stay(life)
            if successor is None:
                return
            life = successor

    def _begin(self, link: LiveLink) -> "_Life":
        self._link = link
        return _Life(link, asyncio.create_task(link.run(), name=f"link-{self._index}-life"))

    async def _stay(self, life: "_Life") -> "_Life | None":
        """Stay with a link until it ended or a fresh one took over, which is returned."""
        renewal = asyncio.create_task(
            self._renewal.successor(life.link), name=f"link-{self._index}-renewal"
        )
        try:
            await asyncio.wait({life.task, renewal}, return_when=asyncio.FIRST_COMPLETED)
            if self.is_live and (successor := self._find(renewal)) is not None:
                return self._replace(life, *successor)
            await life.task
        except FeishuWsError as exc:
            self._lost(life.link, exc)
        except Exception as exc:  # noqa: BLE001 - owner of the link's life, see report_defect
            self._lost(life.link, report_defect(exc))
        finally:
            await _end(renewal)
            await self._discard(renewal)
            if self._link is life.link:
                await _end(life.task)
                self._last_inbound_s, self._link = life.link.last_inbound_s, None
        return None

    def _find(self, renewal: "asyncio.Task[Successor]") -> Successor | None:
        return renewal.result() if renewal.done() else self._renewal.take_spare()

    async def _discard(self, renewal: "asyncio.Task[Successor]") -> None:
        """Close a successor that came when the link was to end."""
        if renewal.cancelled() or renewal.exception() is not None:
            return
        link, _, _ = renewal.result()
        if link is not self._link:
            await link.drain(0.0)

    def _replace(self, old: "_Life", link: LiveLink, attempt: Attempt, fault: Fault) -> "_Life":
        """Let a fresh link take over; the old one ends once what it has read is answered."""
        lived_s = self._clock.monotonic() - self._live_at_s
        fresh = self._begin(link)
        self._note_live(attempt, 1)
        retiring = asyncio.create_task(
            self._retire(old, fault, lived_s), name=f"link-{self._index}-retiring"
        )
        self._retiring.add(retiring)
        retiring.add_done_callback(self._retiring.discard)
        return fresh

    async def _retire(self, old: "_Life", fault: Fault, lived_s: float) -> None:
        link = old.link
        try:
            await link.retire(RETIRE_S)
        finally:
            await _end(old.task)
            end = LinkReplaced(self._index, fault, lived_s, link.close_code, link.unconfirmed)
            self._observe(end)

    async def _open(self) -> LiveLink:
        await self._take_token()
        self._attempts += 1
        self._step(LinkStep.DIAL)
        self._retry_at_s = None
        self._observe(LinkDialed(self._index, self._attempts))
        attempt = Attempt(self._index, self._clock, self._discovered)
        try:
            link = await self._dial(attempt)
        except FeishuWsError as exc:
            self._failed(attempt, exc)
        except Exception as exc:  # noqa: BLE001 - owner of the link's life, see report_defect
            self._failed(attempt, report_defect(exc))
        self._went_live(attempt)
        return link

    async def _take_token(self) -> None:
        while (wait_s := self._breaker.take(self._clock.monotonic())) > 0:
            await self._nudge.sleep(self._clock, wait_s)

    def _discovered(self, endpoint: Endpoint) -> None:
        self._step(LinkStep.DISCOVERED)
        self._url = endpoint.shown
        self._timings = endpoint.timings

    def _went_live(self, attempt: Attempt) -> None:
        self._step(LinkStep.PONG)
        tries, self._attempts = self._attempts, 0
        self.was_live.set()
        self._note_live(attempt, tries)

    def _note_live(self, attempt: Attempt, tries: int) -> None:
        self._fault = self._code = None
        self._url = attempt.url
        self._lives += 1
        self._live_at_s = self._clock.monotonic()
        took_s = self._live_at_s - attempt.began_s
        self._observe(LinkLive(self._index, tries, took_s, self._url, dict(attempt.phases_s)))

    # -- endings ----------------------------------------------------------------------

    def _failed(self, attempt: Attempt, exc: FeishuWsError) -> NoReturn:
        is_reached = exc.spec.reaches_feishu or attempt.is_answered or attempt.is_connected
        if not is_reached:
            self._breaker.give_back(self._clock.monotonic())
        ending = Ending(
            exc,
            attempt.phase,
            is_reached,
            timings=self._timings,
            limit_wait_s=self._wait_at_limit(exc),
        )
        self._step(LinkStep.REFUSED if ending.is_held else LinkStep.FAILED)
        self._end(ending)

    def _wait_at_limit(self, exc: FeishuWsError) -> float | None:
        """Return the seconds until it is our turn to try the limit, None without another link."""
        is_limit = exc.fault is Fault.CONNECTION_LIMIT
        if not is_limit or not self._overseer.has_others_live(self._index):
            return None
        return self._overseer.wait_at_limit(self._index)

    def _lost(self, link: LiveLink, exc: FeishuWsError) -> None:
        """Take note of the end of a live link; raise unless we wanted it."""
        ending = Ending(
            exc,
            lived_s=self._clock.monotonic() - self._live_at_s,
            is_mass_close=link.is_mass_close,
            timings=link.timings,
            close_code=link.close_code,
            unconfirmed=link.unconfirmed,
        )
        if self.state is LinkState.DRAINING:
            self._tell(ending, 0.0)
            return
        self._step(LinkStep.FAILED)
        self._end(ending)

    def _end(self, ending: Ending) -> NoReturn:
        self._fault, self._code = ending.error.fault, ending.error.code
        self._streak = self._streak.after(ending, self._settings.settled_s)
        if not self._overseer.will_wait(ending):
            ending = replace(ending, error=given_up(ending.error))
            self._tell(ending, None)
            raise ending.error
        raise LinkEndedError(ending, self._streak) from ending.error

    def _report(self, retry_state: RetryCallState) -> None:
        """Say what ended and when the next attempt is; tenacity calls this before it sleeps."""
        now = self._clock.monotonic()
        wait_s = max(retry_state.upcoming_sleep, self._breaker.wait_s(now))
        self._retry_at_s = now + wait_s
        self._tell(read_ended(retry_state).ending, wait_s)

    def _tell(self, ending: Ending, wait_s: float | None) -> None:
        self._observe(tell(self._index, ending, self._streak.failures, wait_s))

    async def _sleep(self, seconds: float) -> None:
        await self._nudge.sleep(self._clock, seconds)

    # -- what the fleet asks for ------------------------------------------------------

    @property
    def fault(self) -> Fault | None:
        """Why it is not live."""
        return self._fault

    @property
    def is_live(self) -> bool:
        """Whether events can come in over it."""
        return self.state is LinkState.CONNECTED

    async def drain(self, deadline_s: float) -> None:
        """Close a live link once what it has read is answered, or `deadline_s` is over."""
        if self._link is not None and self.is_live:
            self._step(LinkStep.STOP)
            await asyncio.gather(self._link.drain(deadline_s), self._retired(deadline_s))

    async def _retired(self, deadline_s: float) -> None:
        """Wait for links that were replaced; what they owe is still being answered."""
        if self._retiring:
            await asyncio.wait(self._retiring, timeout=deadline_s)

    def probe(self, timeout_s: float | None = None) -> None:
        """Doubt the link: a live one pings at once, a waiting one dials at once."""
        if self._link is not None:
            self._link.probe(timeout_s)
        elif self._fault is not Fault.CONNECTION_LIMIT or not self._overseer.has_others_live(
            self._index
        ):  # else it has its turn, and a changed network does not change the limit
            self.hasten()

    def hasten(self) -> None:
        """Let a link that waits dial at once."""
        if self.state in {LinkState.BACKOFF, LinkState.HELD}:
            self._streak = Streak()
            self._nudge.give()

    def renew(self) -> None:
        """Have a live link replaced by a fresh one when its turn comes."""
        self._renewal.ask()

    def facts(self) -> LinkFacts:
        """Return how the link is."""
        now_s, now_ms = self._clock.monotonic(), self._clock.wall_ms()

        def wall_ms(at_s: float | None) -> int | None:
            return None if at_s is None else now_ms + round((at_s - now_s) * 1000)

        link = self._link
        return LinkFacts(
            index=self._index,
            state=self.state,
            since_ms=self._since_ms,
            established_ms=wall_ms(self._live_at_s) if link else None,
            last_frame_ms=wall_ms(link.last_inbound_s if link else self._last_inbound_s),
            consecutive_failures=self._streak.failures if not link else 0,
            fault=self._fault,
            code=self._code,
            retry_at_ms=wall_ms(self._retry_at_s),
            ping_interval_s=(link.timings if link else self._timings).ping_interval_s,
            url=self._url,
            lives=self._lives,
            unconfirmed=link.unconfirmed if link else 0,
        )

    # -- state ------------------------------------------------------------------------

    def _step(self, what: LinkStep) -> None:
        before, self.state = self.state, step(self.state, what)
        if before is not self.state:
            self._since_ms = self._clock.wall_ms()

    def _stop(self) -> None:
        """Reach stopped from wherever the link is; nobody drives it any more."""
        self._retry_at_s = None
        self._step(LinkStep.STOP)
        if self.state is LinkState.DRAINING:
            self._step(LinkStep.DRAINED)


async def _end(task: asyncio.Task[Any]) -> None:
    """Cancel a task and wait for its end, whatever that is."""
    task.cancel()
    await asyncio.wait({task})
    if not task.cancelled():
        task.exception()  # looked at: nobody else will
