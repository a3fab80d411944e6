"""Happenings as log lines: `LinkLost` → `link.lost link=1 fault=pong_overdue …`.

One line per change of state, none per event. What repeats itself within 30 s is
counted, and the next line says how often (`repeated=17`).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import Enum
from typing import Any, Final

from feishu_ws import happenings as h
from feishu_ws.clock import Clock
from feishu_ws.faults import CATALOGUE, Fault, Remedy
from feishu_ws.telemetry.logs import LEVELS, Logs

REPEAT_S: Final = 30.0
"""Seconds in which the same thing is said once."""

_MOST_REMEMBERED: Final = 512  # consumer names come from clients; a bound on what is kept
_DECIMALS: Final = 3  # milliseconds are as fine as a reader wants it

LEVEL_OF: Final[dict[type[h.Happening], str]] = {
    h.LinkDialed: "debug",
    h.LinkLive: "info",
    h.LinkFailed: "warning",
    h.LinkLost: "warning",
    h.DiscoveryAnswered: "debug",
    h.ServerTimingsChanged: "info",
    h.LinkWarned: "warning",
    h.StormBegan: "error",
    h.StormEnded: "info",
    h.PayloadRefused: "error",
    h.FrameUnusable: "warning",
    h.JournalOpened: "info",
    h.JournalFaulted: "error",
    h.JournalRecovered: "info",
    h.EventsDropped: "error",
    h.JournalPruned: "debug",
    h.ConsumerConnected: "info",
    h.ConsumerDisconnected: "info",
    h.ConsumerForgotten: "warning",
    h.ConsumerFaulted: "warning",
    h.EventBuried: "warning",
    h.ClientRefused: "warning",
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
        h.ConfigReloaded,
        h.ConfigRejected,
        h.TaskDied,
        h.EventsDropped,
    }
)
_TURNS: Final = (h.LinkLive, h.LinkLost)
_TELLS_APART: Final = ("fault", "link", "consumer", "reason", "cause", "uid", "code")
"""Fields by which two happenings of one kind are not the same thing."""


def name_of(kind: type[h.Happening]) -> str:
    """Return the log event of a happening: `ServerTimingsChanged` → `server_timings.changed`."""
    *noun, verb = re.findall(r"[A-Z][a-z]*", kind.__name__)
    return f"{'_'.join(noun)}.{verb}".lower()


@dataclass(slots=True)
class _Said:
    """When something was last said, and what has been kept back since."""

    at_s: float
    kept_back: int
    latest: h.Happening


class LogSink:
    """An observer that writes happenings to the log."""

    def __init__(self, logs: Logs, clock: Clock) -> None:
        self._logs = logs
        self._clock = clock
        self._said: dict[tuple[object, ...], _Said] = {}

    def observe(self, happening: h.Happening) -> None:
        """Write a line, unless the same was said within `REPEAT_S`."""
        if isinstance(happening, _TURNS):
            self._turn(happening)
        if type(happening) in _SAID_EVERY_TIME:
            self._say(happening)
            return
        now, key = self._clock.monotonic(), _key(happening)
        said = self._said.get(key)
        if said is not None and now - said.at_s < REPEAT_S:
            said.kept_back += 1
            said.latest = happening
            return
        self._say(happening, said.kept_back if said else 0)
        if len(self._said) >= _MOST_REMEMBERED and key not in self._said:
            self._forget(next(iter(self._said)))
        self._said[key] = _Said(now, 0, happening)

    def _turn(self, happening: h.LinkLive | h.LinkLost) -> None:
        """A link came or went: whoever read that it was lost has to read that it is back.

        Not a flood: the storm breaker bounds how often that can be.
        """
        opposites = [
            key
            for key, said in self._said.items()
            if isinstance(said.latest, _TURNS)
            and said.latest.link == happening.link
            and type(said.latest) is not type(happening)
        ]
        for key in opposites:
            self._forget(key)

    def sweep(self) -> None:
        """Say what was kept back once its time is over; call every few seconds."""
        now = self._clock.monotonic()
        for key in [key for key, said in self._said.items() if now - said.at_s >= REPEAT_S]:
            self._forget(key)

    def flush(self) -> None:
        """Say all that was kept back (at the end)."""
        for key in list(self._said):
            self._forget(key)

    def _forget(self, key: tuple[object, ...]) -> None:
        said = self._said.pop(key)
        if said.kept_back:
            self._say(said.latest, said.kept_back - 1)

    def _say(self, happening: h.Happening, repeated: int = 0) -> None:
        shown = _fields(happening)
        if repeated:
            shown["repeated"] = repeated
        level = LEVELS[_level(happening)]
        self._logs.logger.log(level, name_of(type(happening)), **shown)


def _key(happening: h.Happening) -> tuple[object, ...]:
    """What makes two happenings the same; a fault says it all, else the detail counts too."""
    names = _TELLS_APART if hasattr(happening, "fault") else (*_TELLS_APART, "detail")
    return (type(happening), *(getattr(happening, name, None) for name in names))


def _level(happening: h.Happening) -> str:
    """A fault that needs an operator is an error, one that was meant is information."""
    fault = getattr(happening, "fault", None)
    if isinstance(happening, h.LinkFailed | h.LinkLost) and isinstance(fault, Fault):
        by_remedy = {Remedy.HOLD: "error", Remedy.ABORT: "error", Remedy.NOTE: "info"}
        return by_remedy.get(CATALOGUE[fault].remedy, LEVEL_OF[type(happening)])
    return LEVEL_OF[type(happening)]


def _fields(happening: h.Happening) -> dict[str, Any]:
    """Return what there is to say: no empty fields, floats rounded, a fault with its hint."""
    values = {f.name: getattr(happening, f.name) for f in fields(happening)}
    shown = {k: _plain(v) for k, v in values.items() if v is not None and v not in ("", (), {})}
    fault = values.get("fault")
    if isinstance(fault, Fault) and CATALOGUE[fault].hint:
        shown["hint"] = CATALOGUE[fault].hint
    return shown


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, _DECIMALS)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return value
