"""The composition root: builds the rooms, wires them, starts and stops them in order.

Start: lock and journal, then the socket, then HTTP, then READY, then the links.
Stop: read no more frames, confirm what was read (≤ 1 s), say bye and take settles
(≤ 1 s), close HTTP and the journal. Everything local is ready before Feishu is
asked, so a boot without network is not a failed start.
"""

import asyncio
import gc
import os
import random
import signal
from collections.abc import Coroutine
from typing import Any, Final

from feishu_ws import __version__, rooms
from feishu_ws.clock import Clock, SystemClock
from feishu_ws.config import Loaded, diff, load
from feishu_ws.downstream.admin import Admin
from feishu_ws.downstream.desk import Desk
from feishu_ws.downstream.dispatcher import Dispatcher
from feishu_ws.downstream.native import NativeSocket
from feishu_ws.downstream.peers import find_authority
from feishu_ws.downstream.presence import Presence
from feishu_ws.faults import Exit, Fault, FeishuWsError
from feishu_ws.happenings import (
    ClockAgreed,
    ClockStepped,
    ConfigReloaded,
    DaemonStarted,
    DaemonStopped,
    DaemonStopping,
    TaskDied,
)
from feishu_ws.intake import Intake
from feishu_ws.journal.sqlite import SqliteJournal
from feishu_ws.lifetime import note_alive
from feishu_ws.lookalike import LookalikeDesk
from feishu_ws.outward import Outward
from feishu_ws.overview import Overview
from feishu_ws.proven import is_proven, remember_proven
from feishu_ws.start import Rereading, make_place, new_loop, open_journal
from feishu_ws.tally import Tally
from feishu_ws.telemetry.health import Heartbeats
from feishu_ws.telemetry.http import HttpServer
from feishu_ws.telemetry.labels import EVENT_TYPES
from feishu_ws.telemetry.metrics import Metrics
from feishu_ws.telemetry.pages import pages
from feishu_ws.telemetry.pulse import pulse
from feishu_ws.telemetry.sd_notify import ServiceManager, listen_fds
from feishu_ws.telemetry.status import status_object
from feishu_ws.upstream.fleet import Fleet
from feishu_ws.watchers import Watchers

CONFIRM_S: Final = 1.0  # how long a stop waits for commits of what was read
SETTLE_S: Final = 1.0  # how long it takes settles after the bye
CLOSE_S: Final = 0.8  # what is left of the 3 s a stop may take
LOOP_SILENCE_S: Final = 10.0  # a loop that did nothing for so long makes no progress
HOUSEKEEPING_S: Final = 1.0
EVENTS_SOCKET: Final = "events"  # FileDescriptorName= in feishu-ws.socket
TELEMETRY_SOCKET: Final = "telemetry"
LOOKALIKE_SOCKET: Final = "lookalike"


class Daemon:
    """One life of the daemon, from settings to exit code."""

    def __init__(self, loaded: Loaded, clock: Clock | None = None) -> None:
        self._loaded = loaded
        self._clock = clock or SystemClock()
        settings = loaded.settings
        self._settings = settings
        self._tally = Tally()
        self._manager = ServiceManager()
        self._watchers = Watchers(settings, self._clock)
        self._stop = asyncio.Event()
        self._stop_reason = ""
        self._failure: FeishuWsError | None = None
        self._doubted_since_s: float | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._rereading = Rereading(
            lambda: load(self._loaded.path, os.environ),
            apply=self._apply,
            observe=self._watchers.observe,
            done=lambda: self._manager.ready(self._status_line()),
        )
        self._heartbeats = Heartbeats({"loop": LOOP_SILENCE_S}, self._clock.monotonic())

    # -- a life ---------------------------------------------------------------------------

    async def run(self) -> Exit:
        """Live until stopped; return the exit code.

        Raises:
            FeishuWsError: What kept it from starting, or a refusal of the credentials.
        """
        with self._watchers.logs:
            for warning in self._loaded.warnings:
                self._watchers.logs.logger.warning("config.unwise", detail=warning)
            self._journal = self._build_journal()
            if not await open_journal(self._journal, self._clock, self._stop):
                return Exit.OK
            if warning := rooms.crowded(self._journal.consumers()):
                self._watchers.logs.logger.warning("config.unwise", detail=warning)
            try:
                await self._live()
            finally:
                await self._journal.close(CLOSE_S)
                self._watchers.log_sink.flush()
        if self._failure is not None:
            raise self._failure
        return Exit.OK

    def _build_journal(self) -> SqliteJournal:
        path = rooms.journal_path(self._settings)
        make_place(path)
        return SqliteJournal(
            path,
            rooms.journal(self._settings),
            clock=self._clock,
            tally=self._tally,
            observe=self._watchers.observe,
        )

    async def _live(self) -> None:
        await self._watchers.record(self._journal)
        passed = listen_fds()
        self._build(passed.get(EVENTS_SOCKET))
        await self._socket.start()
        http = self._build_http(passed.get(TELEMETRY_SOCKET))
        try:
            if http is not None:
                await http.start()
            self._lookalike.start(passed.get(LOOKALIKE_SOCKET))
            self._announce(http)
            self._own("fleet", self._fleet.run())
            self._own("outward", self._outward.run(lambda: self._fleet.live, self._fleet.renew_all))
            self._own("lookalike", self._lookalike.run())
            self._own("pulse", pulse(self._clock, self._tally.event_loop_lag, self._beat))
            self._own("housekeeping", self._keep_house())
            self._own("lifetime", note_alive(self._journal, self._clock))
            self._own("presence", self._presence.run())
            self._own("rereading", self._rereading.run())
            self._own("oldest", self._overview.follow_oldest())
            self._watch_dog()
            await self._stop.wait()
        finally:
            await self._shut_down(http)

    def _build(self, passed: Any) -> None:
        """Make the rooms and wire them; nothing runs yet."""
        observe, clock, tally = self._watchers.observe, self._clock, self._tally
        delivery = rooms.delivery(self._settings)
        self._dispatcher = Dispatcher(
            self._journal, delivery, clock=clock, tally=tally, observe=observe
        )
        self._intake = Intake(
            self._journal, self._dispatcher, delivery, clock=clock, tally=tally, observe=observe
        )
        self._fleet = Fleet(
            rooms.upstream(self._settings),
            rooms.credentials(self._settings),
            accept=self._intake.accept,
            observe=observe,
            tally=tally,
            clock=clock,
            rng=random.Random(),  # noqa: S311 jitter, not a secret
            proven=is_proven(self._journal, self._settings.app),
            on_proven=lambda: remember_proven(self._journal, self._settings.app),
        )
        self._outward = Outward(
            self._settings, self._journal, lambda: rooms.credentials(self._settings),
            clock=clock, tally=tally, observe=observe,
        )  # fmt: skip
        self._lookalike = LookalikeDesk(
            lambda: self._settings, self._journal, self._dispatcher, self._outward,
            clock=clock, tally=tally, observe=observe,
        )  # fmt: skip
        self._overview = Overview(
            self._settings,
            fleet=self._fleet,
            journal=self._journal,
            dispatcher=self._dispatcher,
            intake=self._intake,
            tally=tally,
            watchers=self._watchers,
            clock=clock,
            lookalike=self._lookalike.fact,
        )
        self._presence = Presence(self._journal, self._dispatcher, clock=clock)
        self._socket = self._build_socket(passed)
        self._metrics = Metrics(
            self._overview.facts,
            self._watchers.counts,
            clock,
            self._settings.telemetry.event_types or EVENT_TYPES,
        )

    def _build_socket(self, passed: Any) -> NativeSocket:
        observe, app_id = self._watchers.observe, self._settings.app.id
        admin = Admin(
            self._journal, self._dispatcher, app_id=app_id, clock=self._clock, observe=observe,
            fleet=self._overview.live_since,
        )  # fmt: skip
        return NativeSocket(
            rooms.socket(self._settings),
            self._dispatcher,
            Desk(admin, find_authority(), observe=observe),
            app_id=app_id,
            journal_id=self._journal.id,
            status=lambda: status_object(self._overview.facts()),
            observe=observe,
            passed=passed,
            office=self._outward.office,
        )

    def _build_http(self, passed: Any) -> HttpServer | None:
        listen = self._settings.telemetry.listen
        if not listen:
            return None
        served = pages(self._overview.facts, self._metrics, self._is_making_progress)
        return HttpServer(listen, served, observe=self._watchers.observe, passed=passed)

    def _announce(self, http: HttpServer | None) -> None:
        self._watchers.observe(
            DaemonStarted(
                __version__,
                self._settings.app.id,
                self._socket.path,
                http.address if http is not None else "off",
                self._lookalike.address,
            )
        )
        self._manager.ready("local side ready, links are being opened")

    # -- tasks ----------------------------------------------------------------------------

    def _own(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Run a task whose end, other than by a stop, ends the daemon."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._task_ended)

    def _task_ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled() or self._stop.is_set():
            return
        error = task.exception()
        if isinstance(error, FeishuWsError):
            self._fail(error)
            return
        detail = f"{type(error).__name__}: {error}" if error else "ended by itself"
        self._watchers.observe(TaskDied(task.get_name(), detail))
        self._watchers.logs.logger.error("task.traceback", task=task.get_name(), exc_info=error)
        self._fail(FeishuWsError(Fault.INTERNAL, f"task {task.get_name()} died: {detail}"))

    def note_defect(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Log what nobody caught; the loop's exception handler."""
        del loop
        error = context.get("exception")
        detail = str(context.get("message", ""))
        self._watchers.observe(TaskDied("callback", f"{detail}: {error!r}"))
        if error is not None:
            self._watchers.logs.logger.error("callback.traceback", exc_info=error)

    def _fail(self, error: FeishuWsError) -> None:
        self._failure = self._failure or error
        self.request_stop(f"fault {error.fault}")

    async def _keep_house(self) -> None:
        """Once a second: say what the log kept back, tell the service manager, look at the writer."""
        while True:
            await self._clock.sleep(HOUSEKEEPING_S)
            self._watchers.log_sink.sweep()
            self._intake.clock_offset_s = self._watchers.clock_offset_s
            self._look_at_clock()
            self._manager.status(self._status_line())
            if not self._journal.is_alive():
                raise FeishuWsError(Fault.INTERNAL, "the journal's writing thread died")

    def _look_at_clock(self) -> None:
        """Let nothing expire by age while the wall clock cannot be believed."""
        now_s = self._clock.monotonic()
        doubt = self._watchers.clock_watch.doubt(self._clock.wall_ms(), now_s)
        if bool(doubt) == (self._doubted_since_s is not None):
            return
        if doubt:
            self._doubted_since_s = now_s
            self._watchers.observe(ClockStepped(Fault.CLOCK_STEPPED, doubt))
        else:
            self._watchers.observe(ClockAgreed(now_s - (self._doubted_since_s or now_s)))
            self._doubted_since_s = None
        self._dispatcher.may_expire = not doubt
        self._journal.trust_clock(trusted=not doubt)

    def _status_line(self) -> str:
        facts = self._overview.facts()
        live = sum(link.is_live for link in facts.links)
        pending = max((c.pending for c in facts.consumers), default=0)
        return f"{live}/{facts.links_wanted} links, {pending} pending"

    def _beat(self, now_s: float) -> None:
        self._heartbeats.beat("loop", now_s)

    def _is_making_progress(self) -> bool:
        return not self._heartbeats.silent(self._clock.monotonic())

    def _watch_dog(self) -> None:
        """Tell the service manager's watchdog that we make progress."""
        every_s = self._manager.watchdog_interval_s
        if every_s is not None:
            self._own("watchdog", self._stay_alive(every_s))

    async def _stay_alive(self, every_s: float) -> None:
        while True:
            if self._is_making_progress() and self._journal.is_alive():
                self._manager.alive()
            await self._clock.sleep(every_s)

    # -- signals --------------------------------------------------------------------------

    def request_stop(self, reason: str) -> None:
        """End in good order; a second request ends at once."""
        if self._stop.is_set():
            if not self._stop_reason.startswith("fault"):
                os._exit(Exit.OK)
            return
        self._stop_reason = reason
        self._stop.set()

    def reload(self) -> None:
        """Read the configuration again and apply what may change while running."""
        self._manager.reloading(self._clock.monotonic())
        self._rereading.ask()

    def _apply(self, loaded: Loaded) -> None:
        """Take over what SIGHUP may change, or raise ConfigError; the rest waits for a restart."""
        rooms.check_crowd(loaded.settings, self._journal.consumers())
        changes = diff(self._settings, loaded.settings)
        self._loaded = loaded
        self._settings = rooms.merge_reloadable(self._settings, loaded.settings)
        self._watchers.hide(self._settings)
        self._watchers.logs.apply(self._settings.log.level, self._settings.log.format)
        self._metrics.allow_event_types(self._settings.telemetry.event_types or EVENT_TYPES)
        self._fleet.replace_credentials(rooms.credentials(self._settings))
        self._outward.renew_credentials()
        self._journal.reconfigure(rooms.journal(self._settings))
        delivery = rooms.delivery(self._settings)
        self._dispatcher.reconfigure(delivery)
        self._intake.reconfigure(delivery)
        self._watchers.observe(ConfigReloaded(changes.reloadable, changes.need_restart))

    # -- the end --------------------------------------------------------------------------

    async def _shut_down(self, http: HttpServer | None) -> None:
        began_s = self._clock.monotonic()
        self._stop.set()
        self._watchers.log_sink.flush()  # what was kept back is no news after the stop
        self._watchers.observe(DaemonStopping(self._stop_reason or "error"))
        self._manager.stopping("confirming what was read")
        self._intake.hasten()
        await self._fleet.stop(CONFIRM_S)
        self._watchers.end_record()
        rooms_in_use = self._socket, self._lookalike, self._outward
        await asyncio.gather(*(room.stop(SETTLE_S) for room in rooms_in_use))
        await self._outward.close()
        for task in list(self._tasks):
            task.cancel()
        if http is not None:
            await http.stop()
        self._watchers.log_sink.flush()
        self._watchers.observe(DaemonStopped(self._clock.monotonic() - began_s))


def main(loaded: Loaded) -> Exit:
    """Run the daemon in this process until it is told to stop.

    Raises:
        FeishuWsError: What kept it from starting, or made it give up.
    """
    os.umask(0o077)  # what we write is for us; the socket's mode is set apart from this
    loop = new_loop()
    asyncio.set_event_loop(loop)
    try:
        return loop.run_until_complete(_live(loop, loaded))
    finally:
        asyncio.set_event_loop(None)
        loop.close()  # not asyncio.run: that would wait for a resolver that hangs


async def _live(loop: asyncio.AbstractEventLoop, loaded: Loaded) -> Exit:
    daemon = Daemon(loaded)
    loop.set_exception_handler(daemon.note_defect)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, daemon.request_stop, number.name)
    loop.add_signal_handler(signal.SIGHUP, daemon.reload)
    gc.freeze()  # what was imported lives as long as we do
    return await daemon.run()
