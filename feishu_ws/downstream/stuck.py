"""Connection after connection that ends on the same oldest delivery. Pure."""

from typing import Final

STUCK_CONNECTIONS: Final = 3  # in a row; then one event at a time, to find the one that kills it


class Stuck:
    """Counts connections in a row that ended without settling the same delivery.

    Attributes:
        at: The position of that delivery.
    """

    __slots__ = ("_times", "at")

    def __init__(self) -> None:
        self.at: int | None = None
        self._times = 0

    def note(self, oldest: int) -> bool:
        """A connection ended on `oldest`; return whether that happened too often."""
        self._times = self._times + 1 if oldest == self.at else 1
        self.at = oldest
        return self._times >= STUCK_CONNECTIONS
