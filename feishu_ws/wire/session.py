"""What a link and Feishu agree on while it lives: timings, and proof of life. Pure.

`ServerTimings` is what Feishu orders, in discovery and again in every pong. The
official SDKs take such an order wholesale, so that a partial or absurd one stops
their pings or their receiving; here it is merged field by field.

`Keepalive` says when to ping and when a link is dead. Any inbound byte is life; a
ping that is followed by none within its deadline is death.
"""

from dataclasses import dataclass, replace
from enum import Enum
from random import Random
from typing import Final

import msgspec

PING_INTERVAL_MIN_S: Final = 5
PING_INTERVAL_MAX_S: Final = 600
WISH_MAX_S: Final = 600  # a longer wait asked of us would be an outage of its own

JITTER: Final = 0.1
"""Share by which a ping may come sooner, so that links do not ping in step."""

SUSPECT_SHARE: Final = 0.4
"""Share of the deadline after which an answer is late: 3.2 s by default.

Source: systemd-nat measurements, 20 % loss with 150 ms answers within 2.3 s."""

LATE_TICK_S: Final = 4.0
"""Later than this, the process was frozen rather than busy: ask again before judging.

Source: systemd-nat measurements, a process stopped for 20 s on a healthy link."""


@dataclass(frozen=True, slots=True)
class ServerTimings:
    """What Feishu orders. The defaults are the official SDKs' own.

    Source: lark-oapi 1.7.5 ws/client.py:169-172.

    Attributes:
        ping_interval_s: Between application pings; 5 to 600.
        reconnect_count: How often to try again; negative is for ever. Never obeyed.
        reconnect_interval_s: Between attempts after an announced mass reconnect.
        reconnect_nonce_s: Over how long to spread the first attempts then.
    """

    ping_interval_s: int = 120
    reconnect_count: int = -1
    reconnect_interval_s: int = 120
    reconnect_nonce_s: int = 30


_FIELDS: Final = {
    "PingInterval": ("ping_interval_s", PING_INTERVAL_MIN_S, PING_INTERVAL_MAX_S),
    "ReconnectCount": ("reconnect_count", -1, 2**31 - 1),
    "ReconnectInterval": ("reconnect_interval_s", 0, WISH_MAX_S),
    "ReconnectNonce": ("reconnect_nonce_s", 0, WISH_MAX_S),
}


def merge_pong_config(current: ServerTimings, payload: bytes) -> tuple[ServerTimings, bool]:
    """Merge the ClientConfig JSON of a pong into the timings in force.

    Missing fields keep their value, numbers out of range are clamped, everything
    else is ignored. An empty payload is an ordinary pong.

    Returns:
        The timings now in force, and whether something had to be ignored.
    """
    if not payload:
        return current, False
    try:
        config = msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return current, True
    return merge_config(current, config)


def merge_config(current: ServerTimings, config: object) -> tuple[ServerTimings, bool]:
    """Merge a decoded ClientConfig; see `merge_pong_config`."""
    if not isinstance(config, dict):
        return current, True
    taken: dict[str, int] = {}
    ignored = False
    for key, (name, low, high) in _FIELDS.items():
        value = config.get(key)
        if isinstance(value, int) and not isinstance(value, bool):
            taken[name] = min(max(value, low), high)
        elif key in config:
            ignored = True
    return replace(current, **taken), ignored


class Action(Enum):
    """What a link has to do now."""

    PING = "ping"  # a WebSocket ping: every peer must answer it
    APP_PING = "app_ping"  # Feishu's own: its pong carries the timings
    SUSPECT = "suspect"  # the answer is late, though not yet too late
    GIVE_UP = "give_up"  # nothing came back in time


@dataclass(frozen=True, slots=True)
class Due:
    """What to do, and when to ask again (seconds on the clock that was passed in)."""

    actions: tuple[Action, ...]
    wake_s: float


class Keepalive:
    """When to ping, and whether the link is dead.

    A dead link is noticed within `interval_s + timeout_s` of its last byte. A call
    that comes `LATE_TICK_S` too late judges nothing: what was sent meanwhile may
    still lie unread in the kernel, so it pings and starts the deadline anew.

    Args:
        interval_s: Longest time between WebSocket pings.
        timeout_s: How long the peer may stay silent after one.
        app_interval_s: Longest time between application pings.
        rng: Source of the jitter.
        now_s: When the link opened; both pings are due at once.
    """

    def __init__(
        self, interval_s: float, timeout_s: float, app_interval_s: float, rng: Random, now_s: float
    ) -> None:
        self._interval_s = interval_s
        self._timeout_s = timeout_s
        self._app_interval_s = app_interval_s
        self._rng = rng
        self._ping_at = now_s
        self._app_ping_at = now_s
        self._app_pinged_at = now_s
        self._deadline: float | None = None
        self._suspect_at: float | None = None
        self._wake_s = now_s
        self._probe_timeout_s: float | None = None
        self.last_inbound_s = now_s

    def heard(self, now_s: float) -> None:
        """Note that something came in."""
        self.last_inbound_s = now_s
        self._deadline = self._suspect_at = None

    @property
    def awaiting(self) -> bool:
        """Whether a ping is out and nothing has come in since."""
        return self._deadline is not None

    def probe(self, now_s: float, timeout_s: float | None = None) -> None:
        """Make a WebSocket ping due at once, with a deadline of its own if given."""
        self._ping_at = now_s
        self._wake_s = now_s
        self._probe_timeout_s = timeout_s

    def set_app_interval(self, interval_s: float, now_s: float) -> None:
        """Adopt the server's interval; a ping that is due sooner by it comes sooner."""
        self._app_interval_s = interval_s
        self._app_ping_at = min(
            self._app_ping_at, max(now_s, self._app_pinged_at + self._sooner(interval_s))
        )

    def due(self, now_s: float) -> Due:
        """Return what to do at `now_s`; it counts as done."""
        if now_s - self._wake_s > LATE_TICK_S:
            self._deadline = self._suspect_at = None
            self._ping_at = now_s
        if self._deadline is not None and now_s >= self._deadline:
            return Due((Action.GIVE_UP,), now_s)
        actions = (*self._suspect(now_s), *self._ping(now_s), *self._app_ping(now_s))
        wakes = (self._ping_at, self._app_ping_at, self._suspect_at, self._deadline)
        self._wake_s = min(wake for wake in wakes if wake is not None)
        return Due(actions, self._wake_s)

    def _ping(self, now_s: float) -> tuple[Action, ...]:
        if now_s < self._ping_at:
            return ()
        timeout_s = self._probe_timeout_s or self._timeout_s
        self._probe_timeout_s = None
        self._ping_at = now_s + self._sooner(self._interval_s)
        deadline = now_s + timeout_s
        if self._deadline is None or deadline < self._deadline:
            self._deadline = deadline
            self._suspect_at = now_s + timeout_s * SUSPECT_SHARE
        return (Action.PING,)

    def _suspect(self, now_s: float) -> tuple[Action, ...]:
        if self._suspect_at is None or now_s < self._suspect_at:
            return ()
        self._suspect_at = None
        return (Action.SUSPECT,)

    def _app_ping(self, now_s: float) -> tuple[Action, ...]:
        if now_s < self._app_ping_at:
            return ()
        self._app_pinged_at = now_s
        self._app_ping_at = now_s + self._sooner(self._app_interval_s)
        return (Action.APP_PING,)

    def _sooner(self, interval_s: float) -> float:
        return interval_s * (1 - JITTER * self._rng.random())
