"""Happenings as log lines: `LinkLost` → `link.lost link=1 fault=pong_overdue …`.

One line per change of state, none per event. What repeats itself within 30 s is
counted, and the next line says how often it was (`repeated=17`, itself included). A line
that was kept back says when it happened (`at=`); how a link is now is not kept back.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import Enum
from typing import Any, Final

from feishu_ws import happenings as h
from feishu_ws.clock import Clock
from feishu_ws.faults import CATALOGUE, Fault, Remedy
from feishu_ws.telemetry.logs import LEVELS, Logs, timestamp

REPEAT_S: Final = 30.0
"""Seconds in which the same thing is said once."""

_MOST_REMEMBERED: Final = 512  # consumer names come from clients; a bound on what is kept
_DECIMALS: Final = 3  # milliseconds are as fine as a reader wants it

LEVEL_OF: Final[dict[type[h.Happening], str]] = {
    h.LinkDialed: "debug",
    h.LinkLive: "info",
    h.LinkFailed: "warning",
    h.LinkLost: "warning",
    h.LinkReplaced: "info",
    h.FleetResized: "warning",
    h.NetworkChanged: "info",
    h.DiscoveryAnswered: "debug",
    h.ServerTimingsChanged: "info",
    h.LinkWarned: "warning",
    h.StormBegan: "error",
    h.StormEnded: "info",
    h.PayloadRefused: "error",
    h.FrameUnusable: "warning",
    h.JournalOpened: "info",
    h.JournalSalvaged: "error",
    h.JournalFaulted: "error",
    h.JournalRecovered: "info",
    h.EventsDropped: "error",
    h.SendsDropped: "warning",
    h.JournalPruned: "debug",
    h.ConsumerConnected: "info",
    h.ConsumerDisconnected: "info",
    h.ConsumerMoved: "info",
    h.EventsSkipped: "warning",
    h.ConsumerForgotten: "warning",
    h.ConsumerFaulted: "warning",
    h.EventBuried: "warning",
    h.DeadRetried: "info",
    h.DeadDropped: "warning",
    h.ClientRefused: "warning",
    h.CompetitorSeen: "error",
    h.CompetitorGone: "info",
    h.LinksForgotten: "warning",
    h.SendFailed: "warning",
    h.SendBuried: "error",
    h.DeadSendsDropped: "warning",
    h.ApiFaulted: "warning",
    h.ApiRecovered: "info",
    h.DaemonStarted: "info",
    h.DaemonStopping: "info",
    h.DaemonStopped: "info",
    h.ConfigReloaded: "info",
    h.ConfigRejected: "error",
    h.ClockStepped: "error",
    h.ClockAgreed: "info",
    h.TaskDied: "critical",
}
"""How loud each happening is; a fault may change it, see `_level`."""

_SAID_EVERY_TIME: Final = frozenset(
    {
        h.DaemonStarted,
        h.DaemonStopping,
        h.DaemonStopped,
        h.JournalOpened,
        h.JournalSalvaged,
        h.ConfigReloaded,
        h.ConfigRejected,
        h.TaskDied,
        h.EventsDropped,
        h.EventsSkipped,
        h.ConsumerMoved,
        h.ConsumerForgotten,
    }
)
_TURNS: Final[dict[type[h.Happening], tuple[str, str]]] = {
    h.LinkLive: ("link", "link"),
    h.LinkLost: ("link", "link"),
    h.LinkReplaced: ("replacement", "link"),  # as often as the fresh link's `link.live`
    h.StormBegan: ("storm", ""),
    h.StormEnded: ("storm", ""),
    h.JournalFaulted: ("journal", "fault"),
    h.JournalRecovered: ("journal", "fault"),
    h.CompetitorSeen: ("competitor", ""),
    h.CompetitorGone: ("competitor", ""),
    h.ApiFaulted: ("api", ""),
    h.ApiRecovered: ("api", ""),
    h.ConsumerConnected: ("consumer", "consumer"),
    h.ConsumerDisconnected: ("consumer", "consumer"),
    h.ClockStepped: ("clock", ""),
    h.ClockAgreed: ("clock", ""),
}
"""What turns to and fro, and the field that says of whom: the log must end on how it is now."""

_MOST_TURNS: Final = 6  # within REPEAT_S; what flaps faster is told by its latest turn
SETTLED_S: Final = 3.0  # without another turn: then it is not kept back any longer
_CLIENT_REFUSED: Final = {
    "uid": ("socket.allow_users does not name this user", ""),
    "full": ("as many clients as there can be are connected", "end those that are not needed"),
    "line": (
        "it sent a line that is no JSON object, or too long a one",
        "mend that client: the socket takes one JSON object per line",
    ),
    "slow": ("it did not read what it was sent", "mend that client, or ask for a smaller window"),
    "host": (
        "an HTTP request named another Host than the listener's, or an Origin",
        "ask by the listener's own address, and not from a web page",
    ),
    "secret": (
        "it asked the lookalike with another app id, secret or token than this app's",
        "give that client app.id, and lookalike.secret, or without one the app's",
    ),
    "frame": (
        "it sent the lookalike what is no frame of Feishu's protocol",
        "mend that client, or use an official SDK",
    ),
    "admin": (
        "it asked for what only root and the daemon's own user may do",
        "run that command as root or as the daemon's user",
    ),
}
"""What is behind each reason, and what to do about it; "" = as the catalogue says."""
_TELLS_APART: Final = ("fault", "link", "consumer", "reason", "cause", "uid", "code")
"""Fields by which two happenings of one kind are not the same thing."""


def name_of(kind: type[h.Happening]) -> str:
    """Return the log event of a happening: `ServerTimingsChanged` → `server_timings.changed`."""
    *noun, verb = re.findall(r"[A-Z][a-z]*", kind.__name__)
    return f"{'_'.join(noun)}.{verb}".lower()


@dataclass(slots=True)
class _Said:
    """What was said lately, and what has been kept back since.

    Attributes:
        since_s: When the first of it was said.
        latest_s: When the latest came, said or not; `latest_ms` by the wall clock.
        times: Lines written since then.
    """

    since_s: float
    latest: h.Happening
    latest_s: float
    latest_ms: int
    times: int = 1
    kept_back: int = 0

    def note(self, happening: h.Happening, now_s: float, wall_ms: int) -> None:
        """Take this one for the latest."""
        self.latest, self.latest_s, self.latest_ms = happening, now_s, wall_ms


class LogSink:
    """An observer that writes happenings to the log."""

    def __init__(self, logs: Logs, clock: Clock) -> None:
        self._logs = logs
        self._clock = clock
        self._said: dict[tuple[object, ...], _Said] = {}

    def observe(self, happening: h.Happening) -> None:
        """Write a line, unless the same was said within `REPEAT_S`."""
        if isinstance(happening, h.LinkLive | h.LinkLost):
            self._end_attempts(happening.link)
        if _is_said_every_time(happening):
            self._say(happening)
            return
        now, key = self._clock.monotonic(), _key(happening)
        said = self._said.get(key)
        if said is None or now - said.since_s >= REPEAT_S:
            self._begin(key, happening, now)
        elif said.times < _most_times(happening) or _will_last(happening):
            self._say(happening, said.kept_back + 1)
            said.note(happening, now, self._clock.wall_ms())
            said.times, said.kept_back = said.times + 1, 0
        else:
            said.note(happening, now, self._clock.wall_ms())
            said.kept_back += 1

    def _begin(self, key: tuple[object, ...], happening: h.Happening, now: float) -> None:
        before = self._said.pop(key, None)
        self._say(happening, before.kept_back + 1 if before else 1)
        if len(self._said) >= _MOST_REMEMBERED:
            self._forget(next(iter(self._said)))
        self._said[key] = _Said(now, happening, now, self._clock.wall_ms())

    def _end_attempts(self, link: int) -> None:
        """A link came or went: say how often it had failed before that, not after."""
        for key in [k for k, s in self._said.items() if _is_attempt(s.latest, link)]:
            self._forget(key)

    def sweep(self) -> None:
        """Say what was kept back once its time is over; call every second."""
        now = self._clock.monotonic()
        for key, said in list(self._said.items()):
            if now - said.since_s >= REPEAT_S:
                self._forget(key)
            elif type(said.latest) in _TURNS and now - said.latest_s >= SETTLED_S:
                self._catch_up(said)

    def flush(self) -> None:
        """Say all that was kept back (at the end)."""
        for key in list(self._said):
            self._forget(key)

    def _forget(self, key: tuple[object, ...]) -> None:
        self._catch_up(self._said.pop(key))

    def _catch_up(self, said: _Said) -> None:
        """Say the latest of what was kept back, if anything was, and when it happened."""
        if said.kept_back:
            self._say(said.latest, said.kept_back, at_ms=said.latest_ms)
            said.kept_back = 0

    def _say(self, happening: h.Happening, repeated: int = 1, *, at_ms: int | None = None) -> None:
        level = _level(happening)
        shown = _fields(happening, with_hint=LEVELS[level] >= LEVELS["warning"])
        if at_ms is not None:
            shown.pop("retry_in_s", None)  # counted from then, not from now
            shown["at"] = timestamp(at_ms)
        if repeated > 1 or at_ms is not None:
            shown["repeated"] = repeated
        self._logs.logger.log(LEVELS[level], name_of(type(happening)), **shown)


def _is_attempt(happening: h.Happening, link: int) -> bool:
    return isinstance(happening, h.LinkFailed) and happening.link == link


def _is_said_every_time(happening: h.Happening) -> bool:
    """What is rare by itself: what an operator did, and attempts that are held."""
    if isinstance(happening, h.LinkFailed):
        return CATALOGUE[happening.fault].remedy is Remedy.HOLD
    return type(happening) in _SAID_EVERY_TIME


def _most_times(happening: h.Happening) -> int:
    return _MOST_TURNS if type(happening) in _TURNS else 1


def _will_last(happening: h.Happening) -> bool:
    """Whether it is known that no turn follows at once: a link that waits stays lost."""
    return isinstance(happening, h.LinkLost) and happening.retry_in_s >= SETTLED_S


def _key(happening: h.Happening) -> tuple[object, ...]:
    """What makes two happenings the same; a fault says it all, else the detail counts too."""
    turn = _TURNS.get(type(happening))
    if turn is not None:
        return turn[0], getattr(happening, turn[1], None)
    names = _TELLS_APART if hasattr(happening, "fault") else (*_TELLS_APART, "detail")
    return (type(happening), *(getattr(happening, name, None) for name in names))


def _level(happening: h.Happening) -> str:
    """A fault that needs an operator is an error, one that was meant is information."""
    fault = getattr(happening, "fault", None)
    if isinstance(happening, h.LinkFailed | h.LinkLost) and isinstance(fault, Fault):
        by_remedy = {Remedy.HOLD: "error", Remedy.ABORT: "error", Remedy.NOTE: "info"}
        return by_remedy.get(CATALOGUE[fault].remedy, LEVEL_OF[type(happening)])
    if isinstance(happening, h.PayloadRefused) and fault is Fault.FRAME_UNUSABLE:
        return LEVEL_OF[h.FrameUnusable]  # of a frame; Feishu sends the payload again
    if isinstance(happening, h.FleetResized) and fault is None:
        return "info"
    if isinstance(happening, h.ConfigReloaded) and happening.needs_restart:
        return "warning"
    return LEVEL_OF[type(happening)]


def _fields(happening: h.Happening, *, with_hint: bool) -> dict[str, Any]:
    """Return what there is to say: no empty fields, floats rounded, a fault with its hint."""
    values = {f.name: getattr(happening, f.name) for f in fields(happening)}
    shown = {k: _plain(v) for k, v in values.items() if v is not None and v not in ("", (), {})}
    own_hint = getattr(happening, "hint", "")
    if isinstance(happening, h.ClientRefused) and happening.reason in _CLIENT_REFUSED:
        shown["detail"], own_hint = _CLIENT_REFUSED[happening.reason]
    if isinstance(happening, h.JournalSalvaged):
        shown["lost_events"] = happening.lost_events
    fault = getattr(happening, "fault", None)
    if not isinstance(fault, Fault):
        return shown
    shown["fault"] = fault.value
    if CATALOGUE[fault].remedy is Remedy.NOTE:
        shown.pop("retry_in_s", None)  # it was meant: nothing is retried
    if with_hint and (hint := own_hint or CATALOGUE[fault].hint):
        shown["hint"] = hint
    return shown


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, _DECIMALS)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return value
