"""The last losses and failed attempts, for `/status`, those before a restart included. Bounded."""

from collections import deque
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from feishu_ws.clock import Clock
from feishu_ws.faults import CATALOGUE, Fault
from feishu_ws.happenings import Happening, LinkFailed, LinkLost, LinkReplaced
from feishu_ws.model import LinkLife, Tried
from feishu_ws.telemetry.facts import Loss
from feishu_ws.telemetry.redact import redact_text

KEPT: Final = 32
_ORDERLY: Final = frozenset({Fault.LOCAL_STOP, Fault.ROTATED})  # ends that are no losses


class RecentLosses:
    """An observer that keeps the last `KEPT` losses.

    Attempts of one link that fail the same way in a row are one entry with a count,
    so that an outage does not push out what led to it.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._kept: deque[Loss] = deque(maxlen=KEPT)

    def observe(self, happening: Happening) -> None:
        """Take note of a loss or a failed attempt."""
        match happening:
            case LinkLost(link=link, fault=fault, lived_s=lived_s, detail=detail):
                self._kept.append(self._loss(link, fault, lived_s, detail))
            case LinkReplaced(link=link, fault=Fault.LINK_SUSPECT as fault, lived_s=lived_s):
                self._kept.append(self._loss(link, fault, lived_s, "replaced before it was lost"))
            case LinkFailed(link=link, fault=fault, detail=detail):
                self._add_failure(self._loss(link, fault, None, detail))
            case _:
                pass

    def resume(self, lives: Iterable[LinkLife]) -> None:
        """Take note of what was recorded before this process began."""
        told = [loss for life in lives for loss in _losses(life)]
        self._kept.extend(sorted(told, key=lambda loss: loss.at_ms))

    def losses(self) -> tuple[Loss, ...]:
        """Return them, newest first."""
        return tuple(reversed(self._kept))

    def _loss(self, link: int, fault: Fault, lived_s: float | None, detail: str) -> Loss:
        return Loss(self._clock.wall_ms(), link, fault, lived_s, redact_text(detail))

    def _add_failure(self, loss: Loss) -> None:
        of_link = (i for i in range(len(self._kept) - 1, -1, -1) if self._kept[i].link == loss.link)
        i = next(of_link, None)
        if i is None or not _is_same_failure(self._kept[i], loss):
            self._kept.append(loss)
        else:
            self._kept[i] = replace(
                self._kept[i], times=self._kept[i].times + 1, detail=loss.detail
            )


def _losses(life: LinkLife) -> Iterable[Loss]:
    """Return a life's end and what was tried after it, as far as it was written down."""
    was_live = life.lived_s is not None
    if was_live and life.fault not in _ORDERLY:
        yield Loss(life.ended_ms, life.link, life.fault, life.lived_s, life.detail)
    for n, tried in enumerate(life.tried):
        if tried.fault in _ORDERLY:
            continue
        detail = life.detail if not was_live and n == 0 else ""  # it is of the first attempt
        seen = detail or _words(tried)
        yield Loss(tried.first_ms, life.link, tried.fault, None, seen, tried.times)


def _words(tried: Tried) -> str:
    """Return what is known of attempts whose own words were not written down."""
    code = f"code {tried.code}, " if tried.code is not None else ""
    return f"{CATALOGUE[tried.fault].title}: {code}in phase {tried.phase}"


def _is_same_failure(before: Loss, loss: Loss) -> bool:
    return before.lived_s is None and before.fault is loss.fault
