"""What may be handled next: one thing per subject at a time, in the order of arrival. Pure."""

import heapq
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Lanes(Generic[T]):
    """Things that wait for their subject, or for a place among the `most` handled at once.

    Attributes:
        waiting_bytes: Sizes of what waits, in all.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._arrived = 0
        self._waiting: dict[str, deque[tuple[int, T, int]]] = {}
        self._ready: list[tuple[int, str]] = []  # heap of subjects that wait only for a place
        self._running: set[str] = set()
        self.waiting_bytes = 0

    def add(self, subject: str, item: T, size: int) -> None:
        """Let an item wait behind all others of its subject."""
        self._arrived += 1
        if subject not in self._waiting:
            self._waiting[subject] = deque()
            if subject not in self._running:
                heapq.heappush(self._ready, (self._arrived, subject))
        self._waiting[subject].append((self._arrived, item, size))
        self.waiting_bytes += size

    def next(self) -> tuple[str, T] | None:
        """Return what is to begin now, the earliest first; None if nothing may."""
        if not self._ready or len(self._running) >= self._most:
            return None
        _, subject = heapq.heappop(self._ready)
        _, item, size = self._waiting[subject].popleft()
        self.waiting_bytes -= size
        self._running.add(subject)
        return subject, item

    def done(self, subject: str) -> None:
        """What was begun of a subject is over."""
        self._running.remove(subject)
        waiting = self._waiting.get(subject)
        if waiting:
            heapq.heappush(self._ready, (waiting[0][0], subject))
        else:
            self._waiting.pop(subject, None)
