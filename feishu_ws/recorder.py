"""The flight recorder: each life of a link, why it ended, and what was tried after.

An observer that turns happenings into `LinkLife` records and hands each to `keep`
whenever it says something new: when a life ended, when the next attempts fail in a new
way, and when the link is live again. It never steers.

The first life of a link in a process has a record of its own, `local_stop` without a
life: it tells that nothing is known of the time before.

A stop in good order ends every life, `local_stop`, and is noted among what was tried
where a link was away. Where neither is on record the process was cut off, and `cut_off`
writes down what it could not.
"""

from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from feishu_ws.clock import Clock
from feishu_ws.faults import Fault
from feishu_ws.happenings import Happening, LinkFailed, LinkLive, LinkLost, LinkReplaced
from feishu_ws.model import LinkLife, Tried
from feishu_ws.telemetry.redact import redact_text

MOST_TRIED: Final = 16  # ways to fail in one outage that are told apart; the last absorbs the rest
CUT_OFF: Final = "the daemon ended without a stop: killed, crashed, or without power"

_MS: Final = 1000

Keep = Callable[[LinkLife], None]


class FlightRecorder:
    """Writes down what becomes of each link."""

    def __init__(self, clock: Clock, keep: Keep) -> None:
        self._clock = clock
        self._keep = keep
        self._live: dict[int, LinkLive] = {}
        self._live_at_s: dict[int, float] = {}
        self._ended: dict[int, LinkLife] = {}

    def resume(self, lives: Iterable[LinkLife]) -> None:
        """Go on where the record ends: links that were away are so until they are live."""
        for life in lives:
            self._ended.pop(life.link, None)
            if life.back_ms is None:
                self._ended[life.link] = life

    def observe(self, happening: Happening) -> None:
        """Take note of what a link did."""
        match happening:
            case LinkLive(link=link):
                self._close(link, happening)
                self._live[link] = happening
                self._live_at_s[link] = self._clock.monotonic()
            case LinkLost():
                self._end(happening, happening.detail, back_ms=None)
            case LinkReplaced():
                self._end(happening, "", back_ms=self._clock.wall_ms())
            case LinkFailed():
                self._failed(happening)
            case _:
                pass

    def _end(self, ended: LinkLost | LinkReplaced, detail: str, back_ms: int | None) -> None:
        """Write down a life; one that was replaced ends when the link is live already."""
        link = ended.link
        opened = self._live.get(link) if back_ms is not None else self._live.pop(link, None)
        now_ms = self._clock.wall_ms()
        life = LinkLife(
            link=link,
            ended_ms=now_ms,
            fault=ended.fault,
            lived_s=ended.lived_s,
            detail=redact_text(detail),
            close_code=ended.close_code,
            unconfirmed=ended.unconfirmed,
            took_s=opened.took_s if opened else 0.0,
            phases_s=dict(opened.phases_s) if opened else {},
            back_ms=back_ms,
        )
        if back_ms is None:
            self._ended[link] = life
        self._keep(life)

    def _failed(self, failed: LinkFailed) -> None:
        """Add an attempt to the outage it belongs to; the first ever begins one of its own."""
        before = self._ended.get(failed.link) or LinkLife(
            link=failed.link,
            ended_ms=self._clock.wall_ms(),
            fault=failed.fault,
            lived_s=None,
            detail=redact_text(failed.detail),
        )
        tried = add_attempt(before.tried, failed, self._clock.wall_ms())
        life = msgspec.structs.replace(before, tried=tried)
        self._ended[failed.link] = life
        if len(tried) > len(before.tried):  # the counts are written when the link is back
            self._keep(life)

    def _close(self, link: int, opened: LinkLive) -> None:
        """The link is live again, or for the first time."""
        life = self._ended.pop(link, None)
        now_ms = self._clock.wall_ms()
        if life is not None:
            self._keep(msgspec.structs.replace(life, back_ms=now_ms))
        elif link not in self._live:
            began_ms = now_ms - max(round(opened.took_s * _MS), 1)  # no other life ends then
            self._keep(LinkLife(link, began_ms, Fault.LOCAL_STOP, None, back_ms=now_ms))

    def flush(self) -> None:
        """Write down what goes on (at the end): lives that end now, and what was tried."""
        now_ms = self._clock.wall_ms()
        for life in self._ended.values():
            self._keep(stopped(life, now_ms))
        for link in list(self._live):
            lived_s = self._clock.monotonic() - self._live_at_s[link]
            self._end(LinkLost(link, Fault.LOCAL_STOP, "", lived_s, 0.0), "", back_ms=None)


def cut_off(lives: Iterable[LinkLife], alive_ms: int, now_ms: int) -> list[LinkLife]:
    """Return the ends that a process did not get to write down: of links that were live.

    Args:
        lives: The record it left, in its order.
        alive_ms: When it ran for sure, 0 if nobody knows; then nothing is said.
        now_ms: The wall clock; nothing ended later.
    """
    last = {life.link: life for life in lives} if alive_ms else {}
    return [
        _cut_off(life, life.back_ms, min(alive_ms, now_ms))
        for life in last.values()
        if life.back_ms is not None
    ]


def _cut_off(life: LinkLife, back_ms: int, alive_ms: int) -> LinkLife:
    ended_ms = max(alive_ms, back_ms, life.ended_ms + 1)  # no other life of the link ends then
    lived_s = (ended_ms - back_ms) / _MS
    return LinkLife(life.link, ended_ms, Fault.CONNECTION_LOST, lived_s, CUT_OFF)


def stopped(life: LinkLife, now_ms: int) -> LinkLife:
    """Return the record of a link that is away, with a stop noted where none is yet."""
    last = life.tried[-1].fault if life.tried else life.fault
    if last is Fault.LOCAL_STOP or len(life.tried) >= MOST_TRIED - 1:  # the last one absorbs
        return life
    stop = Tried(Fault.LOCAL_STOP, "", None, 1, now_ms, now_ms)
    return msgspec.structs.replace(life, tried=(*life.tried, stop))


def add_attempt(tried: tuple[Tried, ...], failed: LinkFailed, now_ms: int) -> tuple[Tried, ...]:
    """Return what was tried with one more failed attempt: equal ones in a row are counted."""
    phase = str(failed.phase)
    if tried and (_is_same(tried[-1], failed) or len(tried) == MOST_TRIED):
        last = tried[-1]
        return (*tried[:-1], msgspec.structs.replace(last, times=last.times + 1, last_ms=now_ms))
    return (*tried, Tried(failed.fault, phase, failed.code, 1, now_ms, now_ms))


def _is_same(last: Tried, failed: LinkFailed) -> bool:
    return (last.fault, last.code) == (failed.fault, failed.code)
