"""Events in memory: the newest ones, and a batch that was read. Pure.

Live delivery never reads the disk, and catching up reads it a batch at a time.
"""

from bisect import bisect_right
from collections import deque
from typing import Final

from feishu_ws.model import Event, Reading

MAX_BYTES: Final = 1024 * 1024  # some 230 messages: a consumer further behind reads the disk
_OVERHEAD: Final = 1536  # an event's objects besides its payload and its encoded body


class Recent:
    """A run of consecutive events that ends with the newest one."""

    def __init__(self, last: int, max_bytes: int = MAX_BYTES) -> None:
        self._events: deque[Event] = deque()
        self._max_bytes = max_bytes
        self._bytes = 0
        self.last = last

    def add(self, event: Event) -> None:
        """Add the event that follows the newest."""
        if event.position != self.last + 1:  # somebody else wrote: what we have has a hole
            self._events.clear()
            self._bytes = 0
        self.last = event.position
        self._events.append(event)
        self._bytes += _weight(event)
        while self._bytes > self._max_bytes and len(self._events) > 1:
            self._bytes -= _weight(self._events.popleft())

    def get(self, position: int) -> Event | None:
        """Return the event at `position`, None if it is not (or no longer) here."""
        if not self._events:
            return None
        index = position - self._events[0].position
        return self._events[index] if 0 <= index < len(self._events) else None


def _weight(event: Event) -> int:
    """Return what an event takes in memory once its body is encoded, which repeats the payload."""
    return 2 * len(event.payload) + _OVERHEAD


class Batch:
    """What one reading found above position `after`."""

    def __init__(self, after: int, reading: Reading) -> None:
        self._after = after
        self._events = reading.events
        self._positions = [event.position for event in reading.events]
        self.last = self._positions[-1] if self._positions else after

    def first_above(self, position: int) -> Event | None:
        """Return the event that follows `position`, None if this batch cannot tell."""
        if position < self._after:
            return None
        index = bisect_right(self._positions, position)
        return self._events[index] if index < len(self._events) else None
