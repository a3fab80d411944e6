"""What one consumer is done with: settled, or passed over by its filter. Pure.

What the filter passes over counts as settled when the cursor passes it, and not
before: until then a changed filter may still name it.
"""

from collections import deque
from typing import Final

from feishu_ws.journal.spans import Spans
from feishu_ws.model import Span

MAX_HOLES: Final = 1024  # spans passed over above the cursor; each is a row of the journal's later


class Done:
    """Settled positions, and spans that were passed over above the cursor."""

    def __init__(self, cursor: int, ahead: tuple[Span, ...]) -> None:
        self._settled = Spans(cursor, ahead)
        self._passed: deque[Span] = deque()  # ascending
        self._reached: list[Span] = []  # passed over, and the cursor is there

    @property
    def cursor(self) -> int:
        """Everything up to here is settled."""
        return self._settled.cursor

    @property
    def reached(self) -> int:
        """How many spans `take_reached` would return."""
        return len(self._reached)

    def __contains__(self, position: int) -> bool:
        return position in self._settled

    def settle(self, position: int) -> None:
        """Note that a position is settled."""
        self._settled.add(position, position)
        self._advance()

    def run_end(self, position: int) -> int:
        """Return the last of the settled positions that follow one another from `position` on."""
        return self._settled.run_end(position)

    def revive(self, position: int) -> None:
        """Note that a settled position is to be settled again; the cursor waits for it."""
        self._settled.remove(position)

    def pass_over(self, first: int, last: int) -> None:
        """Note a span that is not for this consumer; it must lie above those before."""
        if self._passed and self._passed[-1][1] == first - 1:
            first = self._passed.pop()[0]
        self._passed.append((first, last))
        self._advance()

    def take_reached(self) -> list[Span]:
        """Return what was passed over and reached by the cursor since the last call."""
        reached, self._reached = self._reached, []
        return reached

    def forget_passed(self) -> None:
        """Look anew at what was passed over above the cursor."""
        self._passed.clear()

    def begin_again(self, cursor: int) -> None:
        """Look anew at what was passed over; `cursor` is where the journal stands."""
        self._passed.clear()
        self._settled.add(self._settled.cursor + 1, cursor)

    def _advance(self) -> None:
        """Settle what was passed over and lies at the cursor, or is too much to remember."""
        while self._passed and (
            self._passed[0][0] <= self._settled.cursor + 1 or len(self._passed) > MAX_HOLES
        ):
            first, last = self._passed.popleft()
            self._settled.add(first, last)
            if self._reached and self._reached[-1][1] == first - 1:
                first = self._reached.pop()[0]
            self._reached.append((first, last))
