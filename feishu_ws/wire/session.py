"""What a link and Feishu agree on while it lives: timings, and proof of life. Pure.

`ServerTimings` is what Feishu orders, in discovery and again in every pong. The
official SDKs take such an order wholesale, so that a partial or absurd one stops
their pings or their receiving; here it is merged field by field.

`Keepalive` says when to ping and when a link is dead. Any inbound byte is life; a
ping that is followed by none in time is death.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from math import floor, inf
from random import Random
from typing import Final

import msgspec

PING_INTERVAL_MIN_S: Final = 5
PING_INTERVAL_MAX_S: Final = 600
WISH_MAX_S: Final = 600  # a longer wait asked of us would be an outage of its own

JITTER: Final = 0.1
"""Share by which an application ping may come sooner, so that links do not ping in step."""

PACE: Final = 0.92
WOBBLE: Final = 0.01
LATE_FOR_SLOT: Final = 0.02
"""WebSocket pings have slots: shares of the interval, of the pace for the last one.

Slots are `PACE` apart, pings up to `WOBBLE` off their slot: 0.9 to 0.94 of the interval
after the last one. The links of a fleet have theirs as far apart as can be and keep
them, so that a short outage does not meet the pings of all. A slot that is nearer than
`LATE_FOR_SLOT` is the one that was just served.
"""

LATEST: Final = PACE * (1 + LATE_FOR_SLOT) + WOBBLE
"""Share of the interval after which the next ping is out, whatever came between."""

PROMISED_S: Final = 1.0  # a dead link is noticed within interval, timeout and this
MACHINE_S: Final = 0.5  # of it, for a loop that is busy

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


Acknowledged = Callable[[float], bool]
"""Whether the peer's TCP has acknowledged anything since a moment on the same clock."""


def never(_: float) -> bool:
    """Know nothing of TCP."""
    return False


class Keepalive:
    """When to ping, and whether the link is dead.

    A dead link is noticed within `interval_s + timeout_s + PROMISED_S` of its last
    byte. What that leaves beyond `timeout_s` after a ping is for links that are well
    and were cut off for as long as the timeout:

    - a ping that was lost has that second to be sent again by TCP and be answered;
    - where the peer's TCP has acknowledged it, the whole promise is waited for: TCP
      there may have waited with what it could not send, and doubles its waits.

    A call that comes `LATE_TICK_S` too late judges nothing: what was sent meanwhile may
    still lie unread in the kernel, so it pings and starts the deadline anew.

    Args:
        interval_s: Longest time between WebSocket pings.
        timeout_s: How long the peer may stay silent after one.
        app_interval_s: Longest time between application pings.
        rng: Source of the jitter.
        now_s: When the link opened; both pings are due at once.
        place: Share of the pace by which its slots come after those of the first link.
    """

    def __init__(
        self,
        interval_s: float,
        timeout_s: float,
        app_interval_s: float,
        rng: Random,
        now_s: float,
        place: float = 0.0,
    ) -> None:
        self._pace_s = interval_s * PACE
        self._wobble_s = interval_s * WOBBLE
        self._first_slot_s = self._pace_s * place
        self._timeout_s = timeout_s
        self._patience_s = timeout_s + interval_s * (1 - LATEST) + PROMISED_S - MACHINE_S
        self._promise_s = timeout_s + interval_s + PROMISED_S - MACHINE_S
        self._app_interval_s = app_interval_s
        self._rng = rng
        self._ping_at = now_s
        self._app_ping_at = now_s
        self._app_pinged_at = now_s
        self._pinged_at = now_s
        self._deadline: float | None = None
        self._is_strict = False
        self._suspect_at: float | None = None
        self._wake_s = now_s
        self._probe_timeout_s: float | None = None
        self.last_inbound_s = now_s

    def heard(self, now_s: float) -> None:
        """Note that something came in."""
        self.last_inbound_s = now_s
        self._deadline = self._suspect_at = None

    @property
    def awaiting_since_s(self) -> float | None:
        """When the ping went out that nothing has come in after, None if there is none."""
        return None if self._deadline is None else self._pinged_at

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

    def due(self, now_s: float, acknowledged: Acknowledged = never) -> Due:
        """Return what to do at `now_s`; it counts as done."""
        if now_s - self._wake_s > LATE_TICK_S:
            self._deadline = self._suspect_at = None
            self._ping_at = now_s
        if self._is_over(now_s, acknowledged):
            return Due((Action.GIVE_UP,), now_s)
        actions = (*self._suspect(now_s), *self._ping(now_s), *self._app_ping(now_s))
        wakes = (self._ping_at, self._app_ping_at, self._suspect_at, self._deadline)
        self._wake_s = min(wake for wake in wakes if wake is not None)
        return Due(actions, self._wake_s)

    def _is_over(self, now_s: float, acknowledged: Acknowledged) -> bool:
        """Whether the deadline has passed; once in its life it may be put off."""
        if self._deadline is None or now_s < self._deadline:
            return False
        promised = self.last_inbound_s + self._promise_s
        if self._is_strict or now_s >= promised or not acknowledged(self._pinged_at):
            return True
        self._deadline, self._is_strict = promised, True
        return False

    def _ping(self, now_s: float) -> tuple[Action, ...]:
        if now_s < self._ping_at:
            return ()
        probe_s, self._probe_timeout_s = self._probe_timeout_s, None
        deadline = now_s + (probe_s or self._patience_s)
        self._ping_at = self._next_slot(now_s)
        is_sooner = probe_s is not None and deadline < (self._deadline or inf)
        if self._deadline is None or is_sooner:
            self._deadline, self._is_strict = deadline, probe_s is not None
            self._pinged_at = now_s
            self._suspect_at = now_s + (probe_s or self._timeout_s) * SUSPECT_SHARE
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

    def _next_slot(self, now_s: float) -> float:
        passed = floor((now_s - self._first_slot_s) / self._pace_s + LATE_FOR_SLOT)
        wobble_s = self._wobble_s * self._rng.uniform(-1, 1)
        return self._first_slot_s + (passed + 1) * self._pace_s + wobble_s

    def _sooner(self, interval_s: float) -> float:
        return interval_s * (1 - JITTER * self._rng.random())
