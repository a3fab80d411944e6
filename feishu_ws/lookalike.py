"""The lookalike put together: its port, who gets in, and the way out to Feishu.

Part of the composition root: it alone joins `downstream/lookalike/` to `openapi/`, and
lends both telemetry's ways of taking a port and judging a `Host`.
"""

import asyncio
import socket
from collections.abc import Callable
from functools import partial
from typing import Final

from feishu_ws import rooms
from feishu_ws.clock import Clock
from feishu_ws.config import Settings
from feishu_ws.downstream.dispatcher import Dispatcher
from feishu_ws.downstream.lookalike.crowd import Crowd
from feishu_ws.downstream.lookalike.door import Door
from feishu_ws.downstream.lookalike.filtered import count_filtered
from feishu_ws.downstream.lookalike.frames import FrameMaker
from feishu_ws.downstream.lookalike.listener import Lookalike
from feishu_ws.downstream.lookalike.settings import CONSUMER
from feishu_ws.happenings import Observer
from feishu_ws.journal.contract import Journal
from feishu_ws.outward import Outward
from feishu_ws.secret import Secret
from feishu_ws.tally import Tally
from feishu_ws.telemetry.bind import bind, where
from feishu_ws.telemetry.facts import LookalikeFact
from feishu_ws.telemetry.listen import is_for, own_name, parse_listen
from feishu_ws.wire.identity import Identity

INSTANCE_CHARS: Final = 8  # of the journal's id: enough to tell one daemon's frames from another's


class LookalikeDesk:
    """The lookalike of one daemon, or none where it is off.

    Args:
        settings: Gives those of the moment; only secrets may change.
        outward: Whose pool and token requests go out with.

    Attributes:
        address: HOST:PORT it listens on, `off` without.
    """

    def __init__(
        self,
        settings: Callable[[], Settings],
        journal: Journal,
        dispatcher: Dispatcher,
        outward: Outward,
        *,
        clock: Clock,
        tally: Tally,
        observe: Observer,
    ) -> None:
        self._settings = settings
        self._journal = journal
        self._dispatcher = dispatcher
        self._outward = outward
        self._clock = clock
        self._tally = tally
        self._observe = observe
        self.address = "off"
        self._lookalike: Lookalike | None = None

    def start(self, passed: socket.socket | None = None) -> None:
        """Take the port, unless it is off.

        Args:
            passed: A socket to use instead, as the service manager gives it.

        Raises:
            FeishuWsError: `port_in_use`, saying whose; `config_invalid`.
        """
        settings = rooms.lookalike(self._settings())
        if not settings.listen:
            return
        listener = passed or bind(parse_listen(settings.listen), "lookalike.listen")
        listener.setblocking(False)  # noqa: FBT003 the library's signature
        listen = where(listener)
        self.address = str(listen)
        identity = Identity(self._settings().app.id, self._secret)
        proxy = self._outward.proxy(identity)
        frames = FrameMaker(self._journal.facts().id[:INSTANCE_CHARS])
        count_filtered(self._journal, settings, self._tally)
        self._lookalike = Lookalike(
            listener,
            Door(identity),
            Crowd(self._dispatcher, settings, frames, self._clock),
            proxy.serve,
            partial(is_for, listen, own_name=own_name()),
            clock=self._clock,
            observe=self._observe,
        )

    def _secret(self) -> Secret:
        settings = self._settings()
        return settings.lookalike.secret or settings.app.secret

    async def run(self) -> None:
        """Serve for ever; wait for ever where it is off."""
        if self._lookalike is None:
            await asyncio.get_running_loop().create_future()
        else:
            await self._lookalike.run()

    def fact(self) -> LookalikeFact | None:
        """Return what there is to say of it, None where it is off."""
        if self._lookalike is None:
            return None
        return LookalikeFact(self.address, self._lookalike.crowd.size, CONSUMER)

    async def stop(self, within_s: float) -> None:
        """Accept no more, take answers for up to `within_s`, close."""
        if self._lookalike is not None:
            await self._lookalike.stop(within_s)
