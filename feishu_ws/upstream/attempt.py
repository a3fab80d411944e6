"""One attempt to open a link: which phase it is in, and how long each took."""

from collections.abc import Callable
from enum import StrEnum
from typing import Final

from feishu_ws import __version__
from feishu_ws.clock import Clock
from feishu_ws.wire.endpoint import Endpoint

USER_AGENT: Final = f"feishu-ws/{__version__}"


class Phase(StrEnum):
    """Where an attempt is; the values are those of a metric label."""

    DISCOVERY = "discovery"
    DNS = "dns"
    TCP = "tcp"
    TLS = "tls"
    PROXY = "proxy"
    HANDSHAKE = "handshake"


_CONNECTED: Final = frozenset({Phase.TLS, Phase.HANDSHAKE, Phase.DISCOVERY})
"""Phases that begin with a TCP connection."""


class Attempt:
    """Filled while an attempt runs, read when it ended.

    Args:
        link: Which link dials.
        on_discovered: Called once Feishu has named a URL.

    Attributes:
        phase: Where it is.
        phases_s: Seconds per phase so far; through a proxy, `tcp` is the way to its tunnel.
            Until Feishu has named a URL all of it is discovery's time.
        is_connected: Whether a TCP connection came about: somebody has the request.
        is_answered: Whether Feishu has named a URL.
        url: The one it named, without its query.
    """

    def __init__(
        self, link: int, clock: Clock, on_discovered: Callable[[Endpoint], None] | None = None
    ) -> None:
        self.link = link
        self.phase = Phase.DISCOVERY
        self.phases_s: dict[str, float] = {}
        self.is_connected = False
        self.is_answered = False
        self.url = ""
        self._clock = clock
        self._on_discovered = on_discovered
        self.began_s = clock.monotonic()
        self._entered_s = self.began_s

    def discovered(self, endpoint: Endpoint) -> None:
        """Note that Feishu answered with an endpoint."""
        self.phase = Phase.DISCOVERY  # whatever part of it came last
        self.is_answered = True
        self.url = endpoint.shown
        if self._on_discovered is not None:
            self._on_discovered(endpoint)

    def enter(self, phase: Phase) -> None:
        """Close the phase at hand and begin the next."""
        self.close()
        self.phase = phase
        self.is_connected |= phase in _CONNECTED

    def close(self) -> None:
        """Close the phase at hand."""
        now = self._clock.monotonic()
        phase = Phase.TCP if self.phase is Phase.PROXY else self.phase
        if not self.is_answered:
            phase = Phase.DISCOVERY
        self.phases_s[phase] = self.phases_s.get(phase, 0.0) + now - self._entered_s
        self._entered_s = now
