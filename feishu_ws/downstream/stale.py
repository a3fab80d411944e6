"""Deliveries that were in flight when their consumer was moved. Pure.

The same positions come again, and a settle carries no more than a position. What is
in order on a connection decides: the old deliveries were sent first, so the first word
on such a position is about the old one. It changes nothing any more, and the repeated
delivery stays unsettled until it has a word of its own; else a consumer that was busy
when it was moved would swallow what an operator wants it to have again.

Ends with the connection: what its successor says is about what that one got.
"""

from collections.abc import Iterable, Iterator


class Stale:
    """Positions of old deliveries that nothing was said of yet."""

    __slots__ = ("_positions",)

    def __init__(self, positions: Iterable[int] = ()) -> None:
        self._positions = set(positions)

    def __iter__(self) -> Iterator[int]:
        return iter(self._positions)

    def __contains__(self, position: int) -> bool:
        return position in self._positions

    def fresh(self, positions: Iterable[int]) -> Iterable[int]:
        """Return those of `positions` on which a word is about what was delivered since."""
        if not self._positions:
            return positions
        return [position for position in set(positions) if not self.absorb(position)]

    def absorb(self, position: int) -> bool:
        """Whether a word on a position is about its old delivery; only the first one is."""
        if position not in self._positions:
            return False
        self._positions.remove(position)
        return True

    def absorb_through(self, through: int) -> bool:
        """Whether "all up to `through`" means old deliveries.

        Not once it names more than any of them: a consumer that takes things in their
        order is then done with what came after them, too.
        """
        if not self._positions:
            return False
        is_beyond = through > max(self._positions)
        reached = {position for position in self._positions if position <= through}
        self._positions -= reached
        return bool(reached) and not is_beyond
