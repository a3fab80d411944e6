"""Everybody who is told what happens: logs, counts, faults, losses, the flight recorder.

One `observe` for all rooms. A watcher never steers, and never raises into a room.
"""

from typing import TextIO

from feishu_ws.clock import Clock
from feishu_ws.clockwatch import ClockWatch
from feishu_ws.config import Settings
from feishu_ws.happenings import ConfigReloaded, DiscoveryAnswered, Happening
from feishu_ws.journal.contract import Journal
from feishu_ws.lifetime import last_alive_ms
from feishu_ws.recorder import FlightRecorder, cut_off
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
        self.recorder: FlightRecorder | None = None
        self.logs = Logs(
            clock,
            level=settings.log.level,
            style=settings.log.format,
            stream=stream,
            messages=self.counts.log_messages,
        )
        self.log_sink = LogSink(self.logs, clock)
        self.clock_offset_s = 0.0
        self.needs_restart: tuple[str, ...] = ()
        self.clock_watch = ClockWatch(clock.wall_ms(), clock.monotonic())
        self.hide(settings)

    def hide(self, settings: Settings) -> None:
        """Blot the secrets of these settings out of every line."""
        self.logs.hide((settings.app.secret, settings.lookalike.secret))

    async def record(self, journal: Journal) -> None:
        """Keep what becomes of the links from now on in the journal that has it so far.

        Raises:
            FeishuWsError: The journal cannot be read.
        """
        lives = list(await journal.lives())
        for life in cut_off(lives, await last_alive_ms(journal), self._clock.wall_ms()):
            journal.record_life(life)
            lives.append(life)
        self.losses.resume(lives)
        self.recorder = FlightRecorder(self._clock, journal.record_life)
        self.recorder.resume(lives)

    def end_record(self) -> None:
        """Write down what goes on; after this nothing is recorded."""
        if self.recorder is not None:
            self.recorder.flush()
            self.recorder = None

    def observe(self, happening: Happening) -> None:
        """Tell everybody."""
        if isinstance(happening, DiscoveryAnswered) and happening.clock_offset_s is not None:
            self.clock_offset_s = happening.clock_offset_s
            self.clock_watch.heard(
                happening.clock_offset_s, self._clock.wall_ms(), self._clock.monotonic()
            )
        if isinstance(happening, ConfigReloaded):
            self.needs_restart = happening.needs_restart
        self.counts.observe(happening)
        self.faults.observe(happening, self._clock.monotonic())
        self.losses.observe(happening)
        if self.recorder is not None:
            self.recorder.observe(happening)
        self.log_sink.observe(happening)
