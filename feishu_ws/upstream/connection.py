"""One link while it is open: frames in, confirmations out, pings, and one end.

The receive path has no task, queue or future per frame (`channel.py`). A connection
ends with exactly one cause: the first that is known.
"""

import asyncio
from collections.abc import Callable, Sequence
from math import inf
from random import Random
from typing import Final, NoReturn

from websockets.exceptions import PayloadTooBig

from feishu_ws.clock import Clock
from feishu_ws.faults import Fault, FeishuWsError
from feishu_ws.happenings import Observer, ServerTimingsChanged
from feishu_ws.model import Accept
from feishu_ws.nudge import Nudge
from feishu_ws.tally import Tally
from feishu_ws.upstream.attempt import Attempt, Phase
from feishu_ws.upstream.channel import CLOSE_TIMEOUT_S, MAX_FRAME, Channel
from feishu_ws.upstream.confirm import Confirmations
from feishu_ws.upstream.intake import Intake
from feishu_ws.upstream.oddities import Oddities
from feishu_ws.upstream.settings import UpstreamSettings
from feishu_ws.wire.endpoint import Endpoint
from feishu_ws.wire.frame import encode_ping
from feishu_ws.wire.reassembly import Lane, Reassembly
from feishu_ws.wire.session import Action, Keepalive, ServerTimings, merge_pong_config

UNSENT_MAX: Final = 8 * 1024 * 1024  # bytes of confirmations a peer may leave lying
STALLED_AFTER_S: Final = 10.0  # above the channel's high-water mark; Feishu's deadline is 3 s
MASS_CLOSE_CODES: Final = frozenset({1001, 1012})
"""Going away, service restart: all clients of that gateway lose their link at once."""
MASS_CLOSE_WORD: Final = "bye"  # Source: observed, with close code 1000


class Connection:
    """One WebSocket to Feishu, from the upgrade to its end.

    Attributes:
        timings: What Feishu orders, from discovery and pongs.
        first_pong: Done when anything has answered a ping: the link is live.
        close_code: WebSocket close code received, None without a close frame.
        is_mass_close: Whether Feishu announced that many links end at once.
        is_suspect: Whether the answer to a ping is late.
    """

    def __init__(
        self,
        lane: Lane,
        endpoint: Endpoint,
        attempt: Attempt,
        *,
        settings: UpstreamSettings,
        reassembly: Reassembly,
        accept: Accept,
        observe: Observer,
        oddities: Oddities,
        tally: Tally,
        clock: Clock,
        rng: Random,
    ) -> None:
        self._lane = lane
        self._endpoint = endpoint
        self._attempt = attempt
        self._reassembly = reassembly
        self._observe = observe
        self._oddities = oddities
        self._tally = tally
        self._clock = clock
        self._channel: Channel | None = None
        self._confirmations = Confirmations(self._write, tally, clock)
        self._intake = Intake(
            lane, reassembly, accept, self._confirmations, tally, observe, self._app_pong
        )
        self._now_s = clock.monotonic()
        self._keepalive = Keepalive(
            settings.keepalive_interval_s,
            settings.keepalive_timeout_s,
            endpoint.timings.ping_interval_s,
            rng,
            self._now_s,
            lane[0] / settings.connections,
        )
        self._nudge = Nudge()
        self._gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._cause: FeishuWsError | None = None
        self._is_deaf = False
        self._stalled_s: float | None = None
        self._pings = 0
        self._ping_sent_s: float | None = None
        self._app_ping_sent_s: float | None = None
        self.first_pong: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.timings = endpoint.timings
        self.close_code: int | None = None
        self.is_mass_close = False
        self.is_suspect = False
        self._on_suspect: Callable[[], None] | None = None

    @property
    def unconfirmed(self) -> int:
        """Payloads that were read and not answered yet."""
        return self._confirmations.unconfirmed

    @property
    def last_inbound_s(self) -> float:
        """When anything last came in, on the monotonic clock."""
        return self._keepalive.last_inbound_s

    @property
    def has_ended(self) -> bool:
        """Whether it is no more, though nobody may have been told."""
        return self._gone.done()

    @property
    def is_acknowledged(self) -> bool:
        """Whether the peer's TCP has taken the ping that is not answered yet."""
        since_s = self._keepalive.awaiting_since_s
        return since_s is not None and self._is_acknowledged_since(since_s)

    # -- life -------------------------------------------------------------------------

    async def wait_live(self) -> None:
        """Ping, and wait for the first answer. The caller bounds the time.

        Either ping's answer will do: both have made the way there and back, and not
        every gateway between us and Feishu knows Feishu's own.

        Raises:
            FeishuWsError: The link ended instead.
        """
        self._beat()
        await asyncio.wait({self.first_pong, self._gone}, return_when=asyncio.FIRST_COMPLETED)
        if not self.first_pong.done():
            raise self._cause or FeishuWsError(Fault.INTERNAL, "a link ended without a cause")

    async def run(self) -> NoReturn:
        """Keep the link until it ends.

        Raises:
            FeishuWsError: Always, with the one cause: `closed_by_feishu`,
                `connection_lost`, `pong_overdue`, `frame_too_large`, `send_stalled`, or
                `local_stop` after `drain`.
        """
        try:
            while self._cause is None:
                wake_s = self._beat()
                if self._cause is None:
                    await self._nudge.sleep(self._clock, wake_s - self._clock.monotonic())
            await asyncio.wait({self._gone})
        finally:
            self.abort()
        raise self._cause

    async def drain(self, deadline_s: float) -> None:
        """Stop reading, wait until what was read is answered or the time is up, close.

        What comes meanwhile is not confirmed, so that Feishu sends it again.
        """
        self._is_deaf = True
        await self.retire(deadline_s)

    async def retire(self, deadline_s: float) -> None:
        """Read on until nothing that was read is unanswered or the time is up, close."""
        written, deadline = self._confirmations.all_written(), Nudge()
        written.add_done_callback(lambda _: deadline.give())
        self._gone.add_done_callback(lambda _: deadline.give())
        await deadline.sleep(self._clock, deadline_s)
        await self.close(FeishuWsError(Fault.LOCAL_STOP, "stopped by us"))

    async def close(self, cause: FeishuWsError) -> None:
        """End the link in good order, within `CLOSE_TIMEOUT_S`."""
        if self._cause is None:
            self._cause = cause
        if self._channel is not None:
            try:
                async with asyncio.timeout(CLOSE_TIMEOUT_S):  # a stalled peer blocks the close
                    await self._channel.close()
            except TimeoutError:
                self._channel.abort()
            await asyncio.wait({self._gone})

    def abort(self, cause: FeishuWsError | None = None) -> None:
        """End the link at once."""
        if self._cause is None:
            self._cause = cause
        self._reassembly.drop_lane(self._lane)
        if self._channel is not None:
            self._channel.abort()

    def watch(self, on_suspect: Callable[[], None]) -> None:
        """Call `on_suspect` whenever the answer to a ping is late."""
        self._on_suspect = on_suspect

    def probe(self, timeout_s: float | None = None) -> None:
        """Ping now: there is reason to doubt the link."""
        self._keepalive.probe(self._clock.monotonic(), timeout_s)
        self._nudge.give()

    # -- pings ------------------------------------------------------------------------

    def _beat(self) -> float:
        """Do what is due and return when to look again."""
        now = self._clock.monotonic()
        due = self._keepalive.due(now, self._is_acknowledged_since)
        for action in due.actions:
            self._act(action, now)
        if self._stalled_s is None:
            return due.wake_s
        if now >= self._stalled_s + STALLED_AFTER_S:
            self._stall(f"{self._unsent} bytes unsent for {STALLED_AFTER_S:g} s")
        return min(due.wake_s, self._stalled_s + STALLED_AFTER_S)

    def _is_acknowledged_since(self, since_s: float) -> bool:
        silent_s = self._channel.acknowledged_ago_s if self._channel is not None else inf
        return silent_s < self._clock.monotonic() - since_s

    def _act(self, action: Action, now: float) -> None:
        match action:
            case Action.PING:
                self._ping(now)
            case Action.APP_PING:
                self._app_ping(now)
            case Action.SUSPECT:
                self.is_suspect = True
                if self._on_suspect is not None:
                    self._on_suspect()
            case Action.GIVE_UP:
                silent_s = now - self._keepalive.last_inbound_s
                detail = f"nothing came in for {silent_s:.1f} s though we pinged"
                self.abort(FeishuWsError(Fault.PONG_OVERDUE, detail))

    def _ping(self, now: float) -> None:
        self._pings += 1
        if self._channel is not None and self._channel.write_ping(b"%d" % self._pings):
            self._tally.pings_sent += 1
            self._ping_sent_s = now

    def _app_ping(self, now: float) -> None:
        if self._write([encode_ping(self._endpoint.service_id)]):
            self._tally.pings_sent += 1
            self._tally.frames_sent["ping"] += 1
            self._app_ping_sent_s = now

    def _app_pong(self, payload: bytes) -> None:
        if self._app_ping_sent_s is not None:
            self._tally.ping_rtt.observe(self._now_s - self._app_ping_sent_s)
            self._app_ping_sent_s = None
        self._became_live()
        timings, ignored = merge_pong_config(self.timings, payload)
        if ignored:
            detail = "a pong's configuration was not what was expected, and ignored in part"
            self._oddities.warn(self._lane[0], detail)
        if timings != self.timings:
            self._adopt(timings)

    def _adopt(self, timings: ServerTimings) -> None:
        self.timings = timings
        self._keepalive.set_app_interval(timings.ping_interval_s, self._now_s)
        self._nudge.give()
        self._oddities.check(self._lane[0], timings)
        self._observe(
            ServerTimingsChanged(self._lane[0], timings.ping_interval_s, timings.reconnect_count)
        )

    def _became_live(self) -> None:
        if not self.first_pong.done():
            self.first_pong.set_result(None)

    # -- writing ----------------------------------------------------------------------

    def _write(self, frames: Sequence[bytes]) -> bool:
        if self._channel is None or not self._channel.write_messages(frames):
            return False
        if self._unsent > UNSENT_MAX:
            self._stall(f"{self._unsent} bytes unsent, at most {UNSENT_MAX} may be")
        return True

    @property
    def _unsent(self) -> int:
        return self._channel.unsent_bytes if self._channel is not None else 0

    def _stall(self, detail: str) -> None:
        self.abort(FeishuWsError(Fault.SEND_STALLED, detail))

    # -- what the channel tells -------------------------------------------------------

    def on_tcp(self) -> None:
        """TCP is up, or the proxy's tunnel."""
        self._attempt.enter(Phase.TLS if self._endpoint.url.startswith("wss:") else Phase.HANDSHAKE)

    def on_connected(self, channel: Channel) -> None:
        """The upgrade comes next."""
        self._channel = channel
        self._attempt.enter(Phase.HANDSHAKE)

    def on_bytes(self) -> None:
        """Any byte is life; its time is that of the frames it belongs to."""
        self._now_s = self._clock.monotonic()
        self._keepalive.heard(self._now_s)
        self.is_suspect = False
        if self._stalled_s is not None and self._unsent > UNSENT_MAX:  # pongs, which nobody reads
            self._stall(f"{self._unsent} bytes unsent, at most {UNSENT_MAX} may be")

    def on_message(self, data: bytes) -> None:
        """Take a frame, unless the link is being drained."""
        if not self._is_deaf:
            self._intake.take(data, self._now_s)

    def on_text(self) -> None:
        """Leave a text message alone."""
        self._intake.leave("text", self._now_s)

    def on_pong(self, payload: bytes) -> None:
        """Take the answer to a WebSocket ping."""
        self._tally.pongs_received += 1
        if payload == b"%d" % self._pings and self._ping_sent_s is not None:
            self._tally.ping_rtt.observe(self._now_s - self._ping_sent_s)
            self._ping_sent_s = None
        self._became_live()

    def on_stalled(self, *, stalled: bool) -> None:
        """Note when the peer stopped taking bytes."""
        self._stalled_s = self._clock.monotonic() if stalled else None
        self._nudge.give()

    def on_gone(self, exc: Exception | None) -> None:
        """Name the cause, unless it is ours, and end."""
        core = self._channel.protocol if self._channel is not None else None
        if core is not None and core.close_rcvd is not None:
            self.close_code = core.close_rcvd.code
            self.is_mass_close = is_mass_close(core.close_rcvd.code, core.close_rcvd.reason)
        if self._cause is None:
            self._cause = explain(self.close_code, core.parser_exc if core else None, exc)
        self._reassembly.drop_lane(self._lane)
        if not self._gone.done():
            self._gone.set_result(None)
        self._nudge.give()


def is_mass_close(code: int, reason: str) -> bool:
    """Whether a close frame says that more than this link is meant."""
    return code in MASS_CLOSE_CODES or MASS_CLOSE_WORD in reason.lower()


def explain(code: int | None, parser_exc: Exception | None, exc: Exception | None) -> FeishuWsError:
    """Return the one cause for which a link ended that we did not end.

    Args:
        code: Of the close frame, if one came.
        parser_exc: Why the library could not read on, if it could not.
        exc: What the transport said.
    """
    if isinstance(parser_exc, PayloadTooBig):
        return FeishuWsError(Fault.FRAME_TOO_LARGE, f"a frame over {MAX_FRAME} bytes came in")
    if code is not None:
        return FeishuWsError(Fault.CLOSED_BY_FEISHU, f"Feishu sent close code {code}", code=code)
    if isinstance(exc, OSError):
        words = exc.strerror or type(exc).__name__
    elif exc is not None:  # the loop caught it below our receive path, and has reported it
        return FeishuWsError(Fault.INTERNAL, f"taking a frame failed with {type(exc).__name__}")
    elif parser_exc is None or isinstance(parser_exc, EOFError):
        words = "the connection ended without a close frame"
    else:
        words = f"what came in is no WebSocket: {parser_exc}"
    return FeishuWsError(Fault.CONNECTION_LOST, words)
