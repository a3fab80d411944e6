"""One attempt: discovery, WebSocket, first pong, all within one deadline."""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import count
from random import Random
from typing import NoReturn, Protocol

from feishu_ws.clock import Clock
from feishu_ws.faults import Fault, FeishuWsError
from feishu_ws.happenings import Observer
from feishu_ws.model import Accept
from feishu_ws.tally import Tally
from feishu_ws.upstream.attempt import Attempt, Phase
from feishu_ws.upstream.connection import Connection
from feishu_ws.upstream.discovery import Discovery
from feishu_ws.upstream.oddities import Oddities
from feishu_ws.upstream.opening import Opening
from feishu_ws.upstream.proxy import choose_proxy
from feishu_ws.upstream.resolver import Resolver
from feishu_ws.upstream.settings import Credentials, UpstreamSettings
from feishu_ws.upstream.trust import Trust
from feishu_ws.wire.endpoint import Endpoint
from feishu_ws.wire.reassembly import Reassembly
from feishu_ws.wire.session import ServerTimings


class LiveLink(Protocol):
    """What the supervisor needs of an open link; `Connection` is one."""

    timings: ServerTimings
    close_code: int | None
    is_mass_close: bool
    is_suspect: bool

    @property
    def unconfirmed(self) -> int:
        """Payloads that were read and not answered yet."""
        ...

    @property
    def last_inbound_s(self) -> float:
        """When anything last came in, on the monotonic clock."""
        ...

    @property
    def has_ended(self) -> bool:
        """Whether it is no more, though nobody may have been told."""
        ...

    @property
    def is_acknowledged(self) -> bool:
        """Whether the peer's TCP has taken the ping that is not answered yet."""
        ...

    async def run(self) -> NoReturn:
        """Keep the link until it ends, and raise why."""
        ...

    async def drain(self, deadline_s: float) -> None:
        """Stop reading, wait for what was read to be answered, close."""
        ...

    async def retire(self, deadline_s: float) -> None:
        """Read on until nothing that was read is unanswered, then close."""
        ...

    def watch(self, on_suspect: Callable[[], None]) -> None:
        """Call `on_suspect` whenever the answer to a ping is late."""
        ...

    def probe(self, timeout_s: float | None = None) -> None:
        """Ping now."""
        ...


Dial = Callable[[Attempt], Awaitable[LiveLink]]
"""Opens a link: returns it live, or raises a FeishuWsError with `attempt.phase` set."""


class Dialer:
    """Opens links; the `Dial` of the real world.

    Attributes:
        credentials: Used from the next attempt on.

    Args:
        on_discovered: Called when Feishu has accepted the credentials.
    """

    def __init__(
        self,
        settings: UpstreamSettings,
        credentials: Credentials,
        reassembly: Reassembly,
        accept: Accept,
        observe: Observer,
        tally: Tally,
        clock: Clock,
        rng: Random,
        on_discovered: Callable[[], None],
        resolver: Resolver | None = None,
    ) -> None:
        self.credentials = credentials
        self._settings = settings
        self._reassembly = reassembly
        self._accept = accept
        self._observe = observe
        self._tally = tally
        self._clock = clock
        self._rng = rng
        self._on_discovered = on_discovered
        self._oddities = Oddities(observe)
        self._lives = count()
        resolver, self._trust = resolver or Resolver(), Trust(settings.ca_file)
        self._discovery = Discovery(settings, resolver, self._trust, observe, clock)
        self._opening = Opening(settings.proxy, resolver, self._trust)

    def check(self) -> None:
        """Look whether the settings can work at all.

        Raises:
            FeishuWsError: `config_invalid`, the proxy or the trust anchor cannot be used.
        """
        choose_proxy(self._settings.proxy, self.credentials.domain)
        if self._settings.ca_file:
            self._trust.context()

    async def __call__(self, attempt: Attempt) -> Connection:
        """Return a live connection.

        Raises:
            FeishuWsError: Why there is none; `attempt.phase` says where it ended.
        """
        try:
            async with asyncio.timeout(self._settings.connect_timeout_s):
                return await self._dial(attempt)
        except TimeoutError as exc:
            raise _too_late(attempt.phase, self._settings.connect_timeout_s) from exc

    async def _dial(self, attempt: Attempt) -> Connection:
        credentials = self.credentials
        endpoint = await self._discovery.ask(credentials, attempt)
        if credentials is self.credentials:
            self._on_discovered()
        attempt.discovered(endpoint)
        self._remark(attempt.link, endpoint)
        connection = self._connection(endpoint, attempt)
        try:
            await self._opening.open(endpoint, connection, attempt)
            await connection.wait_live()
        except BaseException:
            connection.abort()
            raise
        attempt.close()
        return connection

    def _remark(self, link: int, endpoint: Endpoint) -> None:
        if endpoint.warning is not None:
            self._oddities.warn(link, endpoint.warning)
        self._oddities.check(link, endpoint.timings)

    def _connection(self, endpoint: Endpoint, attempt: Attempt) -> Connection:
        return Connection(
            (attempt.link, next(self._lives)),
            endpoint,
            attempt,
            settings=self._settings,
            reassembly=self._reassembly,
            accept=self._accept,
            observe=self._observe,
            oddities=self._oddities,
            tally=self._tally,
            clock=self._clock,
            rng=self._rng,
        )


def _too_late(phase: Phase, timeout_s: float) -> FeishuWsError:
    fault = Fault.DNS_FAILED if phase is Phase.DNS else Fault.CONNECT_TIMEOUT
    return FeishuWsError(fault, f"no link within {timeout_s:g} s, it was still in phase {phase}")
