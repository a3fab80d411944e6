"""Everything that is said to Feishu, put together: one pool, one token, one queue.

Part of the composition root: it alone gives `openapi/` the resolver, proxies and trust
that the long connection has.
"""

import asyncio
from collections.abc import Callable
from functools import partial

from feishu_ws import rooms
from feishu_ws.clock import Clock
from feishu_ws.config import Settings
from feishu_ws.happenings import Observer
from feishu_ws.journal.contract import Journal
from feishu_ws.openapi.caller import Caller
from feishu_ws.openapi.census import CensusTaker
from feishu_ws.openapi.office import Office
from feishu_ws.openapi.outbox import Outbox
from feishu_ws.openapi.passes import Passes, recall_key
from feishu_ws.openapi.proxy import Proxy
from feishu_ws.openapi.sender import Sender
from feishu_ws.openapi.transport import Transport, Way
from feishu_ws.tally import Tally
from feishu_ws.upstream.proxy import choose_proxy
from feishu_ws.upstream.resolver import Resolver
from feishu_ws.upstream.settings import Credentials
from feishu_ws.upstream.trust import Trust
from feishu_ws.wire.identity import Identity


class Outward:
    """Sends, and any other call of Feishu's REST API.

    Args:
        credentials: Gives those of the moment.
    """

    def __init__(
        self,
        settings: Settings,
        journal: Journal,
        credentials: Callable[[], Credentials],
        *,
        clock: Clock,
        tally: Tally,
        observe: Observer,
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._tally = tally
        self._observe = observe
        self._census_s = settings.openapi.census_s
        upstream = settings.upstream
        way = Way(
            names=Resolver(),
            proxy_for=partial(choose_proxy, upstream.proxy),
            trust=Trust(upstream.ca_file).context,
        )
        self._transport = Transport(settings.app.domain, way)
        self._caller = Caller(self._transport, credentials, clock=clock, tally=tally)
        self._sender = Sender(
            self._caller,
            Outbox(journal, clock=clock),
            rooms.limits(settings),
            clock=clock,
            tally=tally,
            observe=observe,
        )
        self.office = Office(self._caller, self._sender)

    def proxy(self, identity: Identity) -> Proxy:
        """Return the way of local clients to Feishu, over the same pool with the same token."""
        passes = Passes(identity, recall_key(self._journal))
        caller = self._caller
        return Proxy(
            self._transport, passes, caller.token, caller.tokens,
            clock=self._clock, tally=self._tally,
        )  # fmt: skip

    async def run(self, live: Callable[[], int], renew: Callable[[], None]) -> None:
        """Send for ever what there is to send, and ask now and then who else is connected.

        Args:
            live: Returns how many links of ours are live.
            renew: Has all links renewed, one after another.
        """
        taker = CensusTaker(
            self._caller, self._census_s, live=live, renew=renew,
            clock=self._clock, tally=self._tally, observe=self._observe,
        )  # fmt: skip
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._sender.run(), name="sender")
            tasks.create_task(taker.run(), name="census")  # ends where the app may not ask

    def renew_credentials(self) -> None:
        """The secret may have changed (SIGHUP): the next call asks for another token."""
        self._caller.tokens.forget()

    async def stop(self, within_s: float) -> None:
        """Let what is on its way end."""
        await self._sender.stop(within_s)

    async def close(self) -> None:
        """Close all connections."""
        await self._transport.close()
