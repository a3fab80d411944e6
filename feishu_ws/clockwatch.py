"""Whether the wall clock can be believed. Pure.

Ages are taken with the wall clock, so while it is wrong nothing may expire: a clock
that was set a week ahead would empty the journal. It is doubted once it jumped, or
is far off Feishu's own, and believed again once it agrees. Source: CONTRACT 8.
"""

from typing import Final

MAX_JUMP_S: Final = 60.0
MAX_OFFSET_S: Final = 300.0


class ClockWatch:
    """Compares the wall clock with a clock that never steps, and with Feishu's."""

    def __init__(self, wall_ms: int, now_s: float) -> None:
        self._believed_ms = wall_ms
        self._believed_at_s = now_s
        self._jumped_at_s: float | None = None
        self._feishu_ms: float | None = None
        self._feishu_at_s = now_s

    def heard(self, offset_s: float, wall_ms: int, now_s: float) -> None:
        """Take note of Feishu's `Date` minus our wall clock, which shows `wall_ms`."""
        self._feishu_ms = wall_ms + offset_s * 1000
        self._feishu_at_s = now_s

    def doubt(self, wall_ms: int, now_s: float) -> str:
        """Return why the wall clock is not to be believed now, "" if it is."""
        off_s = self._off_s(wall_ms, now_s)
        if abs(off_s) > MAX_OFFSET_S:
            return f"the wall clock is {off_s:+.0f} s off Feishu's"
        expected_ms = self._believed_ms + (now_s - self._believed_at_s) * 1000
        jump_s = (wall_ms - expected_ms) / 1000
        if abs(jump_s) <= MAX_JUMP_S:
            self._jumped_at_s = None
        elif self._jumped_at_s is None:
            self._jumped_at_s = now_s
        if self._jumped_at_s is None or self._feishu_at_s > self._jumped_at_s:
            # Either it runs as it should, or Feishu's clock has confirmed the new time.
            self._believed_ms, self._believed_at_s, self._jumped_at_s = wall_ms, now_s, None
            return ""
        return f"the wall clock jumped by {jump_s:+.0f} s"

    def _off_s(self, wall_ms: int, now_s: float) -> float:
        """Return our wall clock minus Feishu's, as far as its last `Date` and ours tell."""
        if self._feishu_ms is None:
            return 0.0
        return (wall_ms - self._feishu_ms) / 1000 - (now_s - self._feishu_at_s)
