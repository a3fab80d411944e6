"""A Feishu on this machine: discovery and long connection on one port.

    async with Simulator(SimulatorSettings(app_secret="...")) as feishu:
        delivery = feishu.push(payload)
        code, data = await delivery.confirmed(timeout_s=3)

`push` never waits. What is pushed goes to one random live link, as Feishu's cluster mode
has it, and again after the waits of `redelivery_s` until it is confirmed.
"""

import asyncio
import contextlib
import random
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Final, Self

import msgspec
from aiohttp import web

from feishu_ws.clock import Clock, SystemClock
from feishu_ws.faults import FeishuWsError
from feishu_ws.happenings import Observer, ignore
from feishu_ws.simulator.delivery import Delivery, Watch
from feishu_ws.simulator.door import DISCOVERY_PATH, WEBSOCKET_PATH, Door, Refusal, refuse_body
from feishu_ws.simulator.happenings import SimulatedLinkClosed, SimulatedLinkOpened
from feishu_ws.simulator.link import Link
from feishu_ws.simulator.listener import Listener
from feishu_ws.simulator.origin import Origin
from feishu_ws.simulator.reception import PongConfig, Reception
from feishu_ws.simulator.redelivery import Attempt, Redelivery
from feishu_ws.simulator.rest import Rest
from feishu_ws.simulator.settings import SimulatorSettings
from feishu_ws.simulator.stats import SimulatorStats
from feishu_ws.simulator.transmission import WHOLE, FrameMaker, Split
from feishu_ws.wire.frame import CARD, EVENT

TICK_S: Final = (
    0.02  # how exactly deadlines and repeats are kept; 50 looks a second cost ~0.1 % CPU
)
CLOSE_TIMEOUT_S: Final = 1.0  # for the client's half of a close handshake
UPLOAD_BYTES: Final = 64 * 1024 * 1024
SHUTDOWN_S: Final = 0.1  # for handlers that hang on purpose, before they are cancelled


class Simulator:
    """A simulated Feishu with one app.

    Attributes:
        settings: As given.
        clock: As given; `Delivery` times are on its monotonic side.
        stats: Counts so far.
        door: Discovery and handshake, for finer scripts than the methods here.
        rest: Feishu's REST API, and what was sent through it.
    """

    def __init__(
        self,
        settings: SimulatorSettings | None = None,
        *,
        clock: Clock | None = None,
        observe: Observer = ignore,
    ) -> None:
        self.settings = settings or SimulatorSettings()
        self.clock: Clock = clock or SystemClock()
        self.rng = random.Random(self.settings.seed)  # noqa: S311 - nothing here is secret
        self.stats = SimulatorStats()
        self.door = Door(self.settings, self.stats, self.rng, self.clock)
        self.rest = Rest(self.settings, self.rng, self.clock, lambda: len(self.links))
        self._observe = observe
        self._book = Redelivery(self.settings, self.stats)
        self._reception = Reception(self.settings, self.stats, self._book, self.rng, self.clock)
        self._frames = FrameMaker(self.settings, self.rng)
        self._links: dict[int, Link] = {}
        self._opened = 0
        self._changed = asyncio.Event()
        self._runner: web.AppRunner | None = None
        self._listener = Listener(self.settings.host, self.settings.port)
        self._clockwork: asyncio.Task[None] | None = None

    # -- life ----------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen.

        Raises:
            FeishuWsError: `port_in_use`, the port cannot be bound.
        """
        app = web.Application(client_max_size=UPLOAD_BYTES)
        app.router.add_post(DISCOVERY_PATH, self._discover)
        app.router.add_get(WEBSOCKET_PATH, self._serve)
        self.rest.install(app)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_S)
        await self._runner.setup()
        try:
            await self.start_listening()
        except FeishuWsError:
            await self._runner.cleanup()
            raise
        self._clockwork = asyncio.create_task(self._tick(), name="simulator clockwork")

    async def stop(self) -> None:
        """Cut every link and stop listening; unfinished deliveries stay as they are."""
        await self.stop_listening()
        if self._clockwork is not None:
            self._clockwork.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._clockwork
        for link in list(self._links.values()):  # closing ones too
            link.reset()
        if self._runner is not None:
            await self._runner.cleanup()

    async def start_listening(self) -> None:
        """Listen (again), always on the same port.

        Raises:
            FeishuWsError: `port_in_use`, the port cannot be bound.
        """
        if self._runner is not None and self._runner.server is not None:
            await self._listener.open(self._runner.server)

    async def stop_listening(self) -> None:
        """Refuse connections from now on; live links stay."""
        self._listener.close()

    @property
    def port(self) -> int:
        """The port listened on, also while not listening."""
        return self._listener.port

    @property
    def authority(self) -> str:
        """HOST:PORT."""
        return self._listener.authority

    @property
    def domain(self) -> str:
        """What to set as `app.domain`."""
        return f"http://{self.authority}"

    # -- pushing -------------------------------------------------------------------------

    def push(
        self,
        payload: bytes | Mapping[str, Any],
        *,
        parts: int = 1,
        kind: str = EVENT,
        link: Link | None = None,
        redeliver: bool | None = None,
        split: Split | None = None,
        watch: Watch | None = None,
    ) -> Delivery:
        """Send an event to a random live link and see it confirmed.

        Args:
            payload: The body; a mapping is encoded as JSON.
            parts: How many parts to cut it into, in order.
            kind: `event` or `card`.
            link: Send the first time on this one.
            redeliver: Whether to send again what is not confirmed; None: unless it is a
                card. Callbacks are never sent again. Source: Feishu docs "回调概述".
            split: Parts with more to them than their number; replaces `parts`.
            watch: Told once when the delivery is confirmed or given up.
        """
        body = payload if isinstance(payload, bytes) else msgspec.json.encode(payload)
        if split is None:
            split = WHOLE if parts == 1 else Split(parts)
        delivery = Delivery(
            self.stats.pushed + 1,
            body,
            kind,
            split,
            redeliver=kind != CARD if redeliver is None else redeliver,
            watch=watch,
        )
        self._book.take(delivery)
        if not delivery.is_finished:
            self._send(delivery, link or self._pick())
        return delivery

    def _pick(self) -> Link | None:
        links = [link for link in self._links.values() if link.is_chosen]
        return links[int(self.rng.random() * len(links))] if links else None

    def _send(self, delivery: Delivery, link: Link | None) -> None:
        now_s = self.clock.monotonic()
        if link is None or not link.is_chosen:
            self._book.note_offline(delivery, now_s)
            return
        sending = self._frames.encode(
            delivery.payload,
            delivery.kind,
            delivery.split,
            self.clock.wall_ms(),
            first=not delivery.message_ids,
        )
        self._book.note_sent(Attempt(delivery, link.number, sending, now_s))
        for frame in sending.frames:
            link.send_raw(frame)

    def new_origin(self) -> Origin:
        """Return an origin of this app whose ids were not used before."""
        run = f"{self.rng.getrandbits(64):016x}"
        return Origin(self.settings.app_id, run=run, clock=self.clock)

    @property
    def log(self) -> Mapping[str, bool]:
        """Every event id pushed and whether it was confirmed; empty without `keep_log`."""
        return self._book.log

    # -- links ---------------------------------------------------------------------------

    def send_raw(self, data: bytes | str, link: Link | None = None) -> int:
        """Send one message as it is on `link`, or on every live one; return on how many."""
        reached = [link] if link is not None else self.links
        for each in reached:
            each.send_raw(data)
        return len(reached)

    def send_pongs(self) -> None:
        """Send every live link a pong that it did not ask for."""
        for link in self.links:
            self._reception.send_pong(link)

    @property
    def links(self) -> list[Link]:
        """Links that Feishu would pick for an event, oldest first."""
        return [link for link in self._links.values() if link.is_chosen]

    async def wait_for_links(self, count: int, timeout_s: float = 5.0) -> list[Link]:
        """Wait until at least `count` links are live and said something.

        Raises:
            TimeoutError: They were not within `timeout_s`.
        """
        await self.wait_until(
            lambda: sum(link.pings > 0 for link in self.links) >= count, timeout_s
        )
        return self.links

    async def wait_until_quiet(self, timeout_s: float = 5.0) -> None:
        """Wait until nothing is to be confirmed any more.

        Raises:
            TimeoutError: It was not so within `timeout_s`.
        """
        await self.wait_until(lambda: self.stats.unconfirmed == 0, timeout_s)

    async def wait_until(self, holds: Callable[[], bool], timeout_s: float = 5.0) -> None:
        """Wait until `holds()`, looked at on every tick and change of links.

        Raises:
            TimeoutError: It did not within `timeout_s`.
        """
        async with asyncio.timeout(timeout_s):
            while not holds():
                self._changed.clear()
                await self._changed.wait()

    # -- ways to misbehave ---------------------------------------------------------------

    @property
    def pong_config(self) -> PongConfig:
        """What pongs carry: a mapping, raw bytes (none: no payload), or None for no pong."""
        return self._reception.pong_config

    @pong_config.setter
    def pong_config(self, config: PongConfig) -> None:
        self._reception.pong_config = config

    @property
    def lost_ack_share(self) -> float:
        """Share of confirmations (0-1) that get lost on their way here."""
        return self._reception.lost_share

    @lost_ack_share.setter
    def lost_ack_share(self, share: float) -> None:
        self._reception.lost_share = share

    def refuse_discovery(
        self, code: int = 0, *, http_status: int = 200, times: int | None = None
    ) -> None:
        """Answer discovery with Feishu's `code`, or with an HTTP error, until accepted again."""
        body = refuse_body(code) if http_status == 200 else b""
        self.answer_discovery(body, http_status=http_status, times=times)

    def answer_discovery(
        self,
        body: bytes,
        *,
        http_status: int = 200,
        headers: Mapping[str, str] | None = None,
        times: int | None = None,
    ) -> None:
        """Answer discovery with any bytes."""
        shown = {"Content-Type": "application/json"} | dict(headers or {})
        self.door.answer.set(Refusal(http_status, body, shown), times)

    def accept_discovery(self) -> None:
        """Answer discovery as usual, and at once."""
        for script in (self.door.answer, self.door.shape, self.door.drop):
            script.clear()
        self.door.hang_s.clear()
        self.door.drip_s.clear()

    def hang_discovery(self, seconds: float, times: int | None = None) -> None:
        """Take so long to answer discovery."""
        self.door.hang_s.set(seconds, times)

    def refuse_handshake(
        self,
        status: int = 403,
        headers: Mapping[str, str] | None = None,
        times: int | None = None,
    ) -> None:
        """Refuse the WebSocket, with `Handshake-*` headers or what else is given."""
        self.door.refusal.set(Refusal(status, headers=headers), times)

    def accept_handshake(self) -> None:
        """Let those with a ticket in, and at once."""
        self.door.refusal.clear()
        self.door.handshake_hang_s.clear()

    # -- inside --------------------------------------------------------------------------

    async def _discover(self, request: web.Request) -> web.StreamResponse:
        return await self.door.discover(request, self.authority)

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        await self.door.hold()
        refusal = self.door.admit(request.query, len(self.links))
        if refusal is not None:
            self.stats.links_refused += 1
            return refusal.respond()
        response = web.WebSocketResponse(autoping=False, compress=False, timeout=CLOSE_TIMEOUT_S)
        await response.prepare(request)
        if request.transport is not None:
            link = self._open(response, request.transport)
            try:
                await link.read(self._reception.receive)
            finally:
                self._close(link)
        return response

    def _open(self, response: web.WebSocketResponse, transport: asyncio.Transport) -> Link:
        self._opened += 1
        link = Link(self._opened, response, transport, self.settings, self.clock.monotonic())
        self._links[link.number] = link
        self.stats.links_opened += 1
        self._changed.set()
        self._observe(SimulatedLinkOpened(link.number, len(self._links)))
        return link

    def _close(self, link: Link) -> None:
        now_s = self.clock.monotonic()
        self._links.pop(link.number, None)
        link.note_gone()
        self.stats.links_closed += 1
        self.stats.resets += link.was_reset
        self._book.lose_link(link.number, now_s)
        self._changed.set()
        lived_s = now_s - link.opened_s
        self._observe(SimulatedLinkClosed(link.number, lived_s, len(self._links)))

    async def _tick(self) -> None:
        while True:
            await self.clock.sleep(TICK_S)
            now_s = self.clock.monotonic()
            self._book.expire(now_s)
            for delivery in self._book.pop_due(now_s):
                self._send(delivery, self._pick())
            for link in self.links:
                self._look_after(link, now_s)
            self._changed.set()

    def _look_after(self, link: Link, now_s: float) -> None:
        settings = self.settings
        if not link.pings and now_s - link.opened_s > settings.first_ping_s:
            self.stats.links_mute += 1
            link.reset()
        elif link.is_abandoned() or now_s - link.heard_s > settings.idle_s:
            link.reset()
