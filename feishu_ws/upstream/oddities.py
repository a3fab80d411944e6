"""Oddities that change nothing, each said once."""

from typing import Final

from feishu_ws.happenings import LinkWarned, Observer
from feishu_ws.wire.session import ServerTimings

REMEMBERED: Final = 64  # oddities come from outside; the oldest may be said again


class Oddities:
    """Tells the observer about an oddity the first time it is seen, on any link."""

    def __init__(self, observe: Observer) -> None:
        self._observe = observe
        self._said: dict[str, None] = {}

    def warn(self, link: int, detail: str) -> None:
        """Say `detail`, unless it was said before."""
        if detail in self._said:
            return
        self._said[detail] = None
        if len(self._said) > REMEMBERED:
            del self._said[next(iter(self._said))]
        self._observe(LinkWarned(link, detail))

    def check(self, link: int, timings: ServerTimings) -> None:
        """Warn about an order that is not obeyed."""
        if timings.reconnect_count >= 0:
            self.warn(
                link,
                f"Feishu orders ReconnectCount {timings.reconnect_count}; it is ignored, "
                "the daemon never gives up",
            )
