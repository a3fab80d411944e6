"""What waits to be sent: a queue for each receiver, under the limits of all. Pure.

Invariants:

- What is for one receiver goes in the order it came, one at a time.
- A receiver that has to wait delays no other; those that may go take turns.
- No window of `Limits` ever holds more than it may.
- No more than `Limits.queued` are let in by `check_room`, and of them no more than a share
  for one receiver, so that one that takes nothing leaves room for others.
"""

import heapq
from collections import deque
from typing import Final, Generic, TypeVar

from feishu_ws.openapi.limits import MINUTE, SECOND, Limits, Window

T = TypeVar("T")

_NEVER: Final = float("inf")


class FullError(Exception):
    """As many wait as may."""


class _Line(Generic[T]):
    """Who waits for one receiver, and when the next may go."""

    __slots__ = ("held_until_s", "is_busy", "is_listed", "name", "waiting", "window")

    def __init__(self, name: str, limits: Limits) -> None:
        self.name = name
        self.waiting: deque[T] = deque()
        self.window = Window(limits.per_chat_per_s, SECOND)
        self.held_until_s = float("-inf")
        self.is_busy = False
        self.is_listed = False

    def ready_at(self) -> float:
        return max(self.window.ready_at(), self.held_until_s)


class Queues(Generic[T]):
    """Says what goes next, and when."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._windows = (
            Window(limits.per_app_per_s, SECOND),
            Window(limits.per_app_per_min, MINUTE),
        )
        self._lines: dict[str, _Line[T]] = {}
        self._later: list[tuple[float, int, _Line[T]]] = []  # heap of those that have to wait
        self._ready: deque[_Line[T]] = deque()
        self._turn = 0
        self._held_until_s = float("-inf")
        self._waiting = 0

    def __len__(self) -> int:
        return self._waiting

    def check_room(self, line: str) -> None:
        """See that one more may wait for a receiver.

        Raises:
            FullError: As many wait as may, for it or in all.
        """
        if self._waiting >= self._limits.queued:
            raise FullError(f"{self._waiting} messages wait, the most there may be")
        found = self._lines.get(line)
        if found is not None and len(found.waiting) >= self._limits.queued_per_chat:
            raise FullError(
                f"{len(found.waiting)} messages wait for this receiver, the most that may"
            )

    def add(self, line: str, item: T) -> None:
        """Let an item wait behind all others for the same receiver, whether or not there is room."""
        self._waiting += 1
        found = self._line(line)
        found.waiting.append(item)
        self._list(found)

    def take(self, now_s: float) -> tuple[str, T] | None:
        """Return what goes now and to whom, None if nothing may; `finish` has to follow."""
        while self._later and self._later[0][0] <= now_s:
            self._ready.append(heapq.heappop(self._later)[2])
        if not self._ready or self._open_at() > now_s:
            return None
        line = self._ready.popleft()
        line.is_listed, line.is_busy = False, True
        for window in (*self._windows, line.window):
            window.take(now_s)
        self._waiting -= 1
        return line.name, line.waiting.popleft()

    def finish(self, line: str, now_s: float) -> None:
        """What went to a receiver is done: the next may go."""
        found = self._lines[line]
        found.is_busy = False
        if found.waiting:
            self._list(found)
        elif found.window.is_idle(now_s):
            del self._lines[line]

    def put_back(self, line: str, item: T, until_s: float) -> None:
        """Let what went wait again, before all others for its receiver, until `until_s`."""
        self._waiting += 1
        found = self._lines[line]
        found.waiting.appendleft(item)
        found.held_until_s = max(found.held_until_s, until_s)
        found.is_busy = False
        self._list(found)

    def hold(self, until_s: float) -> None:
        """Let nothing go before: Feishu asked the whole app to wait."""
        self._held_until_s = max(self._held_until_s, until_s)

    def ready_at(self) -> float:
        """Return when `take` may give something: infinity while nothing waits."""
        if self._ready:
            return self._open_at()
        return max(self._open_at(), self._later[0][0]) if self._later else _NEVER

    def tidy(self, now_s: float) -> None:
        """Forget receivers that nothing is remembered of."""
        for name in [name for name, line in self._lines.items() if self._is_idle(line, now_s)]:
            del self._lines[name]

    @property
    def lines(self) -> int:
        """How many receivers something is remembered of."""
        return len(self._lines)

    def _is_idle(self, line: _Line[T], now_s: float) -> bool:
        return not (line.is_busy or line.waiting) and line.window.is_idle(now_s)

    def _open_at(self) -> float:
        """Return from when on the limits of the whole app allow another."""
        return max(self._held_until_s, *(window.ready_at() for window in self._windows))

    def _line(self, name: str) -> _Line[T]:
        found = self._lines.get(name)
        if found is None:
            found = self._lines[name] = _Line(name, self._limits)
        return found

    def _list(self, line: _Line[T]) -> None:
        """Put a receiver among those whose turn comes."""
        if line.is_busy or line.is_listed:
            return
        self._turn += 1
        line.is_listed = True
        heapq.heappush(self._later, (line.ready_at(), self._turn, line))
