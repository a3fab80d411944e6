"""How many requests Feishu takes, as windows that slide. Pure.

Source: Feishu docs im-v1/message/create: 1,000 a minute and 50 a second per app, 5 a
second per chat and per person. Time is an argument, in seconds of a monotonic clock.
"""

from collections import deque
from dataclasses import dataclass
from typing import Final

SECOND: Final = 1.0
MINUTE: Final = 60.0
ENOUGH: Final = 100  # messages for one receiver; 20 s of them at Feishu's limit


@dataclass(frozen=True, slots=True)
class Limits:
    """What an operator may set (`openapi.*`); 0 is no limit.

    Attributes:
        per_chat_per_s: Messages to one receiver in a second.
        per_app_per_s: Messages in a second.
        per_app_per_min: Messages in a minute.
        queued: Messages that may wait.
    """

    per_chat_per_s: int = 5
    per_app_per_s: int = 50
    per_app_per_min: int = 1000
    queued: int = 10_000

    @property
    def queued_per_chat(self) -> int:
        """How many of these may wait for one receiver: a tenth, where a tenth is enough to work."""
        return max(self.queued // 10, min(self.queued, ENOUGH))


class Window:
    """At most `most` in any span of `period_s`; no limit where `most` is 0."""

    __slots__ = ("_most", "_period_s", "_taken")

    def __init__(self, most: int, period_s: float) -> None:
        self._most = most
        self._period_s = period_s
        self._taken: deque[float] = deque(maxlen=most)

    def ready_at(self) -> float:
        """Return from when on another may go; in the past if it may now."""
        if not self._most or len(self._taken) < self._most:
            return float("-inf")
        return self._taken[0] + self._period_s

    def take(self, now_s: float) -> None:
        """One goes now."""
        self._taken.append(now_s)

    def is_idle(self, now_s: float) -> bool:
        """Whether the window has nothing to remember any more."""
        return not self._taken or self._taken[-1] + self._period_s <= now_s
