"""Everybody who is told what happens: logs, counts, faults, recent losses.

One `observe` for all rooms. A watcher never steers, and never raises into a room.
"""

from typing import TextIO

from feishu_ws.clock import Clock
from feishu_ws.clockwatch import ClockWatch
from feishu_ws.config import Settings
from feishu_ws.happenings import DiscoveryAnswered, Happening
from feishu_ws.telemetry.counts import Counts
from feishu_ws.telemetry.health import FaultWatch
from feishu_ws.telemetry.log_sink import LogSink
from feishu_ws.telemetry.logs import Logs
from feishu_ws.telemetry.recent import RecentLosses


class Watchers:
    """Fans a happening out."""

    def __init__(self, settings: Settings, clock: Clock, stream: TextIO | None = None) -> None:
        self._clock = clock
        self.counts = Counts(clock)
        self.faults = FaultWatch()
        self.losses = RecentLosses(clock)
        self.logs = Logs(
            clock,
            level=settings.log.level,
            style=settings.log.format,
            stream=stream,
            messages=self.counts.log_messages,
        )
        self.log_sink = LogSink(self.logs, clock)
        self.clock_offset_s = 0.0
        self.clock_watch = ClockWatch(clock.wall_ms(), clock.monotonic())
        self.hide(settings)

    def hide(self, settings: Settings) -> None:
        """Blot the secrets of these settings out of every line."""
        self.logs.hide((settings.app.secret, settings.lookalike.secret))

    def observe(self, happening: Happening) -> None:
        """Tell everybody."""
        if isinstance(happening, DiscoveryAnswered) and happening.clock_offset_s is not None:
            self.clock_offset_s = happening.clock_offset_s
            self.clock_watch.heard(
                happening.clock_offset_s, self._clock.wall_ms(), self._clock.monotonic()
            )
        self.counts.observe(happening)
        self.faults.observe(happening, self._clock.monotonic())
        self.losses.observe(happening)
        self.log_sink.observe(happening)
