"""The links an app keeps, so that losing one is no outage.

Owns the supervisors' tasks; `run` ends after `stop`, or with what killed a task.
"""

import asyncio
from collections.abc import Callable
from random import Random
from typing import Final

from feishu_ws.clock import Clock
from feishu_ws.faults import Fault
from feishu_ws.happenings import FleetResized, NetworkChanged, Observer, PayloadRefused
from feishu_ws.model import Accept
from feishu_ws.tally import Tally
from feishu_ws.upstream.attempt import Phase
from feishu_ws.upstream.backoff import LIMIT_S, Ending
from feishu_ws.upstream.dial import Dial, Dialer
from feishu_ws.upstream.facts import LinkFacts
from feishu_ws.upstream.netwatch import (
    PROBE_TIMEOUT_S,
    Addresses,
    AddressWatch,
    SleepWatch,
    own_addresses,
)
from feishu_ws.upstream.resolver import Resolver
from feishu_ws.upstream.settings import Credentials, UpstreamSettings
from feishu_ws.upstream.storm import StormBreaker, TokenBucket
from feishu_ws.upstream.supervisor import Supervisor
from feishu_ws.wire.endpoint import WRONG_CREDENTIALS
from feishu_ws.wire.reassembly import Reassembly

TICK_S: Final = 1.0
STAGGER_S: Final = 1.0  # between one link's first life and the next link's first attempt
ASK_ALL_EVERY_S: Final = 5.0  # links that are suspect one after another ask the rest once
TRIES_BEFORE_EXIT: Final = 3  # after 0, 15 and 45 s. Source: CONTRACT 3
EXIT_AFTER_S: Final = 44.0  # of the same; a network that comes and goes makes tries come sooner


class LimitQueue:
    """Whose turn it is to try Feishu's connection limit: one link a minute, however many wait."""

    def __init__(self) -> None:
        self._turns: dict[int, float] = {}

    def next_turn_s(self, index: int, now_s: float) -> float:
        """Return the seconds until a link's turn; one that is ahead stays as it is."""
        turn_s = self._turns.get(index, now_s)
        if turn_s <= now_s:
            turn_s = max(now_s, *self._turns.values()) + LIMIT_S if self._turns else now_s + LIMIT_S
            self._turns[index] = turn_s
        return turn_s - now_s


class RefusalCount:
    """Whether wrong credentials are a mistake to exit for, or to wait out.

    Only three refusals in a row by discovery itself, over `EXIT_AFTER_S` at least, of an
    app id and secret that never worked, are taken for a mistake.
    """

    def __init__(self, *, proven: bool) -> None:
        self._proven = proven
        self._refused = 0
        self._since_s = 0.0

    def worked(self) -> None:
        """Note that discovery accepted the credentials."""
        self._proven = True

    def restart(self) -> None:
        """Forget what was refused: the credentials are others now."""
        self._refused = 0

    def will_wait(self, ending: Ending, now_s: float) -> bool:
        """Count an ending; return whether to go on."""
        error = ending.error
        is_wrong = ending.phase is Phase.DISCOVERY and error.code in WRONG_CREDENTIALS
        if not is_wrong or error.fault is not Fault.CREDENTIALS_REFUSED:
            self._refused = 0
            return True
        self._refused += 1
        if self._refused == 1:
            self._since_s = now_s
        is_early = now_s - self._since_s < EXIT_AFTER_S
        return self._proven or is_early or self._refused < TRIES_BEFORE_EXIT


class Fleet:
    """Keeps `settings.connections` links to Feishu.

    Args:
        accept: Where payloads go.
        proven: Whether these credentials ever worked with this journal.
        on_proven: Called once when they have.
        dial: Replaces the network, for scenarios that span hours.
        resolver: Replaces the system's resolver.
        own_addresses: Replaces the look at the machine's own addresses.
    """

    def __init__(
        self,
        settings: UpstreamSettings,
        credentials: Credentials,
        accept: Accept,
        observe: Observer,
        tally: Tally,
        clock: Clock,
        rng: Random,
        *,
        proven: bool,
        on_proven: Callable[[], None],
        dial: Dial | None = None,
        resolver: Resolver | None = None,
        own_addresses: Callable[[], Addresses] = own_addresses,
    ) -> None:
        self._own_addresses = own_addresses
        self._limit = LimitQueue()
        self._size = settings.connections
        self._renewing: int | None = None
        self._asked_all_s = -ASK_ALL_EVERY_S
        self._observe = observe
        self._tally = tally
        self._clock = clock
        self._on_proven = on_proven
        self._is_proven = proven
        self._refusals = RefusalCount(proven=proven)
        self._reassembly = Reassembly()
        self._dialer = Dialer(
            settings,
            credentials,
            self._reassembly,
            accept,
            observe,
            tally,
            clock,
            rng,
            self.credentials_worked,
            resolver,
        )
        bucket = TokenBucket(settings.storm_tokens, settings.storm_refill_s, clock.monotonic())
        self._breaker = StormBreaker(bucket, settings.storm_tokens, observe)
        self._links = [
            Supervisor(
                index, settings, dial or self._dialer, self._breaker, self, observe, clock, rng
            )
            for index in range(settings.connections)
        ]
        self._tasks: list[asyncio.Task[None]] = []
        self._is_stopping = False
        self._stopped = asyncio.Event()
        self._ended = asyncio.Event()

    # -- life -------------------------------------------------------------------------

    async def run(self) -> None:
        """Keep the links until `stop`.

        Raises:
            FeishuWsError: `config_invalid` at once, if proxy or trust anchor cannot be
                used; `credentials_refused`, and only as CONTRACT 3 says.
        """
        if self._is_stopping:
            return
        self._dialer.check()
        self._tasks = [
            asyncio.create_task(self._keep(link, index), name=f"link-{index}")
            for index, link in enumerate(self._links)
        ]
        watchers = [
            asyncio.create_task(self._tick(), name="fleet-ticker"),
            asyncio.create_task(self._watch_network(), name="fleet-network"),
        ]
        stopped = asyncio.create_task(self._stopped.wait(), name="fleet-stop")
        try:
            await self._watch({*self._tasks, *watchers}, stopped)
        finally:
            everything = [*self._tasks, *watchers, stopped]
            for task in everything:
                task.cancel()
            await asyncio.gather(*everything, return_exceptions=True)
            self._ended.set()

    async def _watch(self, tasks: set[asyncio.Task[None]], stopped: asyncio.Task[bool]) -> None:
        """Return once stopped; raise what a task died of."""
        while not stopped.done():
            done, _ = await asyncio.wait({*tasks, stopped}, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks & done:
                tasks.discard(task)
                if not (task.cancelled() and self._is_stopping):
                    task.result()

    async def _keep(self, link: Supervisor, index: int) -> None:
        if index > 0:
            await self._links[index - 1].was_live.wait()
            await self._clock.sleep(STAGGER_S)
        await link.run()

    async def _tick(self) -> None:
        while True:
            await self._clock.sleep(TICK_S)
            now = self._clock.monotonic()
            for gone in self._reassembly.expire(now):
                self._tally.frame_errors[gone.reason] += 1
                self._observe(PayloadRefused(gone.lane[0], gone.reason, gone.size_bytes))
            self._tally.fragments_pending = self._reassembly.pending
            self._breaker.tick(now)
            self._note_size()

    async def _watch_network(self) -> None:
        """Doubt every link when this machine's way out changed, or it was asleep."""
        addresses = AddressWatch(self._own_addresses())
        sleeps = SleepWatch(self._clock.monotonic(), self._clock.wall_ms())
        while True:
            wait_s = addresses.next_look_s
            await self._clock.sleep(wait_s)
            slept = sleeps.look(wait_s, self._clock.monotonic(), self._clock.wall_ms())
            changed = addresses.look(self._own_addresses())
            if detail := changed or slept:
                self._observe(NetworkChanged(detail))
                self.probe(PROBE_TIMEOUT_S)

    def _note_size(self) -> None:
        """Say it when the connection limit lets us keep fewer links, or more again."""
        size = self.size
        if size != self._size:
            self._size = size
            self._observe(FleetResized(size, len(self._links)))

    async def stop(self, confirm_deadline_s: float = 1.0) -> None:
        """Stop reading, wait until what was read is answered, close; waits are cut short.

        Takes at most `confirm_deadline_s` plus the half second a close may take.
        """
        if not self._is_stopping:
            self._is_stopping = True
            pairs = zip(self._links, self._tasks, strict=False)
            await asyncio.gather(*(self._stop(*each, confirm_deadline_s) for each in pairs))
            self._stopped.set()
        if self._tasks:
            await self._ended.wait()

    async def _stop(self, link: Supervisor, task: asyncio.Task[None], deadline_s: float) -> None:
        if link.is_live:
            await link.drain(deadline_s)
        else:
            task.cancel()
        await asyncio.wait({task})

    # -- what supervisors ask ---------------------------------------------------------

    def has_others_live(self, index: int) -> bool:
        """Whether a link other than this one is live."""
        return any(link.is_live for at, link in enumerate(self._links) if at != index)

    def will_wait(self, ending: Ending) -> bool:
        """Whether this ending is to be retried, rather than end the daemon."""
        return self._refusals.will_wait(ending, self._clock.monotonic())

    def wait_at_limit(self, index: int) -> float:
        """Return the seconds until it is this link's turn to try the connection limit."""
        return self._limit.next_turn_s(index, self._clock.monotonic())

    def suspected(self, index: int) -> None:
        """Ask the other live links at once: a NAT that forgot one has often forgotten all."""
        now_s = self._clock.monotonic()
        if now_s < self._asked_all_s + ASK_ALL_EVERY_S:
            return
        self._asked_all_s = now_s
        for at, link in enumerate(self._links):
            if at != index and link.is_live:
                link.probe()

    def may_renew(self, index: int) -> bool:
        """Take the turn to renew a link, if nobody has it."""
        if self._renewing is not None:
            return False
        self._renewing = index
        return True

    def renewed(self, index: int) -> None:
        """Give the turn back."""
        if self._renewing == index:
            self._renewing = None

    def credentials_worked(self) -> None:
        """Note that discovery accepted the credentials."""
        self._refusals.worked()
        if not self._is_proven:
            self._is_proven = True
            self._on_proven()

    # -- what the daemon asks ---------------------------------------------------------

    @property
    def live(self) -> int:
        """Links over which events can come in."""
        return sum(link.is_live for link in self._links)

    @property
    def size(self) -> int:
        """Links to keep: as many as wanted, or as Feishu's connection limit allows, at least 1."""
        surplus = sum(
            link.fault is Fault.CONNECTION_LIMIT and not link.is_live for link in self._links
        )
        return max(len(self._links) - surplus, 1)

    @property
    def is_storm(self) -> bool:
        """Whether no attempt is left and links wait for one."""
        return self._breaker.is_active

    def facts(self) -> tuple[LinkFacts, ...]:
        """Return how the links are."""
        return tuple(link.facts() for link in self._links)

    def replace_credentials(self, credentials: Credentials) -> None:
        """Use other credentials from the next attempt on; links that wait try at once."""
        self._dialer.credentials = credentials
        self._refusals.restart()
        self._is_proven = False
        for link in self._links:
            if not link.is_live:
                link.hasten()

    def renew_all(self) -> None:
        """Replace every live link by a fresh one, one after another, new before old."""
        for link in self._links:
            if link.is_live:
                link.renew()

    def probe(self, timeout_s: float | None = None) -> None:
        """Doubt every link, because the network may have changed."""
        for link in self._links:
            link.probe(timeout_s)
