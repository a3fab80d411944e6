"""What clients send: pings get pongs, confirmations are judged. Everything else is counted."""

import random
from collections.abc import Mapping
from typing import Final

import msgspec
from aiohttp import WSMessage, WSMsgType

from feishu_ws.clock import Clock
from feishu_ws.simulator.confirmation import Finding, check_biz_rt, compare_echo, read_answer
from feishu_ws.simulator.hostile import HOSTILE
from feishu_ws.simulator.link import Link
from feishu_ws.simulator.redelivery import Attempt, Redelivery
from feishu_ws.simulator.settings import SimulatorSettings
from feishu_ws.simulator.stats import TOLERATED, BadAck, Flaw, SimulatorStats
from feishu_ws.wire.frame import MESSAGE_ID, PING, TYPE, FrameError, encode_pong, parse_frame
from feishu_ws.wire.pbbp2_pb2 import Frame

PongConfig = Mapping[str, object] | bytes | None
"""ClientConfig of pongs: an object, bytes as they are (none: no payload), None: no pong."""

REFUSED: Final = 500
SHOWN: Final = 120  # characters of a client's own words kept in a record


def ordinary_pong(settings: SimulatorSettings) -> PongConfig:
    """Return what pongs carry unless told otherwise."""
    return b"" if settings.client_config is None else dict(settings.client_config)


class Reception:
    """Reads what comes in on any link.

    Attributes:
        pong_config: What pongs carry from now on.
        lost_share: Share of confirmations (0-1) that get lost on their way here.
    """

    def __init__(
        self,
        settings: SimulatorSettings,
        stats: SimulatorStats,
        book: Redelivery,
        rng: random.Random,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._stats = stats
        self._book = book
        self._rng = rng
        self._clock = clock
        self.pong_config: PongConfig = ordinary_pong(settings)
        self.lost_share = 0.0

    def receive(self, link: Link, message: WSMessage) -> None:
        """Handle one WebSocket message."""
        now_s = self._clock.monotonic()
        link.heard_s = now_s
        if message.type is WSMsgType.BINARY:
            self._read_frame(link, message.data, now_s)
        elif message.type is WSMsgType.PING:
            self._answer_ws_ping(link, message.data)
        else:
            self._stats.bad_frames["text"] += 1

    def _answer_ws_ping(self, link: Link, data: bytes) -> None:
        link.ws_pings += 1
        if link.answers_ws_pings:
            link.send_ws_pong(data)

    def _read_frame(self, link: Link, data: bytes, now_s: float) -> None:
        try:
            frame = parse_frame(data)
        except FrameError as exc:
            self._stats.bad_frames[exc.reason] += 1
            return
        kind = message_id = None
        for header in frame.headers:
            if header.key == MESSAGE_ID:
                message_id = header.value
                break
            if header.key == TYPE:
                kind = header.value
        if message_id is not None:
            self._judge(link, frame, message_id, now_s)
        elif kind == PING:
            self._answer_ping(link, frame)
        elif any(header.value.startswith(HOSTILE) for header in frame.headers):
            self._note_hostile(frame)
        else:
            self._stats.bad_frames["unknown"] += 1

    def _answer_ping(self, link: Link, frame: Frame) -> None:
        link.pings += 1
        self._stats.pings += 1
        if frame.service != self._settings.service_id:
            self._stats.bad_frames["ping_service"] += 1
        if link.answers_pings:
            self.send_pong(link)

    def send_pong(self, link: Link) -> None:
        """Send a pong, asked for or not, unless there are none at the moment."""
        config = self.pong_config
        if config is None:
            return
        payload = config if isinstance(config, bytes) else msgspec.json.encode(config)
        link.send_raw(encode_pong(self._settings.service_id, payload))

    # -- confirmations -------------------------------------------------------------------

    def _judge(self, link: Link, frame: Frame, message_id: str, now_s: float) -> None:
        if message_id.startswith(HOSTILE):
            self._note_hostile(frame)
            return
        if self.lost_share and self._rng.random() < self.lost_share:
            self._stats.acks_lost += 1
            return
        attempt = self._book.find(message_id)
        if attempt is None:
            self._reject(message_id, [(Flaw.UNKNOWN_MESSAGE, "not sent, or forgotten")])
            return
        code, data, findings = read_answer(frame.payload)
        if code == REFUSED and frame.SeqID in attempt.strays:
            self._stats.strays_refused += 1
            return
        findings += self._check(link, attempt, frame)
        if findings:
            self._reject(message_id, findings)
        if code and all(flaw in TOLERATED for flaw, _ in findings):
            self._book.answer(attempt, code, data, now_s)

    def _note_hostile(self, frame: Frame) -> None:
        self._stats.hostile_answers[read_answer(frame.payload)[0]] += 1

    def _check(self, link: Link, attempt: Attempt, frame: Frame) -> list[Finding]:
        if attempt.seq_id is None:
            return [(Flaw.INCOMPLETE, "parts were missing, nothing was there to confirm")]
        findings: list[Finding] = []
        if attempt.answered:
            findings.append((Flaw.REPEATED, "confirmed before"))
        if attempt.link != link.number:
            findings.append((Flaw.OTHER_LINK, f"saw link {link.number}, expected {attempt.link}"))
        share = self._settings.checked_share
        if share >= 1 or self._rng.random() < share:
            findings += check_biz_rt(frame)
            findings += compare_echo(frame, attempt.echo)
        elif frame.SeqID != attempt.seq_id:
            findings.append((Flaw.SEQ_ID, f"saw {frame.SeqID}, expected {attempt.seq_id}"))
        return findings

    def _reject(self, message_id: str, findings: list[Finding]) -> None:
        flaws = tuple(flaw for flaw, _ in findings)
        detail = "; ".join(f"{flaw}: {what}" for flaw, what in findings)
        self._stats.note_bad_ack(BadAck(message_id[:SHOWN], flaws, detail))
