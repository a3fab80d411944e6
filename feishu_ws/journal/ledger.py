"""What each consumer has done, and so which events are held. Pure.

Every journal keeps its consumers in a ledger and differs only in how it makes the
ledger durable. A consumer's `pending` is exact for positions up to `counted`; rows
above it are counted later, in small steps, so that opening a large journal or
changing a filter never takes one long scan.
"""

from collections.abc import Iterable, Iterator

from feishu_ws.journal.spans import Spans
from feishu_ws.model import Attempt, ConsumerRecord, Envelope, Filter, Span


class ConsumerState:
    """One consumer: its filter, what it has settled, and how much is pending."""

    def __init__(
        self, name: str, wanted: Filter, cursor: int, ahead: tuple[Span, ...] = ()
    ) -> None:
        self.name = name
        self.wanted = wanted.compile()
        self.settled = Spans(cursor, ahead)
        self.attempts: dict[int, Attempt] = {}
        self.declared = False
        self.connected = False
        self.last_seen_ms = 0
        self.pending = 0
        self.counted = cursor

    def record(self) -> ConsumerRecord:
        """Return a snapshot that does not change any more."""
        return ConsumerRecord(
            name=self.name,
            filter=self.wanted.filter,
            cursor=self.settled.cursor,
            ahead=self.settled.ahead,
            pending=self.pending,
            attempts=dict(self.attempts),
            declared=self.declared,
            last_seen_ms=self.last_seen_ms,
        )

    def holds(self, position: int, envelope: Envelope) -> bool:
        """Whether the event must be kept for this consumer."""
        return position not in self.settled and self.wanted.names(envelope)

    def count(self, position: int, envelope: Envelope) -> None:
        """Take note of the next event; `position` must be the first above `counted`."""
        is_held = self.holds(position, envelope)
        self._pass_through(position - is_held)
        self.pending += is_held
        self.counted = max(self.counted, position)  # a cursor may stand beyond the last event

    def count_to(self, last: int) -> None:
        """There is no event between `counted` and `last` (any more)."""
        self._pass_through(last)
        self.counted = max(self.counted, last)

    def _pass_through(self, position: int) -> None:
        """What was counted is settled: so is what lies before `position`, it was never for it.

        Asks the cursor and not `pending`, which is a figure for people: a settle of
        what the filter does not name must not make it pass over what is held.
        """
        if self.settled.cursor >= self.counted:
            self.settled.add(self.settled.cursor + 1, position)

    def settle(self, positions: Iterable[int], passed: Iterable[Span] = ()) -> None:
        """Mark positions its filter names as settled, and spans as not for it."""
        for position in positions:
            if position not in self.settled:
                self.settled.add(position, position)
                self.pending -= position <= self.counted
            self.attempts.pop(position, None)
        for first, last in passed:
            self.settled.add(first, last)
        if self.settled.cursor >= self.counted or self.pending < 0:
            self.pending = 0  # right again, whatever was settled that was not for it

    def drop(self, position: int, envelope: Envelope) -> bool:
        """The event is removed for space; return whether this consumer lost it."""
        held = self.holds(position, envelope)
        if held:
            self.settle((position,))
        return held

    def revive(self, position: int) -> None:
        """Hold an event again that was settled; it counts as never tried.

        Its attempt of count 0 says that it came back from the dead letters.
        """
        if position in self.settled:
            self.settled.remove(position)
            self.pending += position <= self.counted
        self.attempts[position] = Attempt(0)

    def move(self, cursor: int) -> None:
        """Stand at `cursor`; what was settled ahead of it is forgotten."""
        self.settled = Spans(cursor)
        self.attempts = {p: a for p, a in self.attempts.items() if p > cursor}
        self.recount()

    def refilter(self, wanted: Filter, first_held: int | None) -> None:
        """Take a new filter, which applies from the cursor on.

        Args:
            wanted: The new filter.
            first_held: The first event the old filter holds, None if it holds none
                up to `counted`; what lies before counts as settled.
        """
        if self.wanted.filter == wanted:
            return
        end = self.counted if first_held is None else first_held - 1
        self.settled.add(self.settled.cursor + 1, end)
        self.wanted = wanted.compile()
        self.recount()

    def recount(self) -> None:
        """Begin to count again from the cursor."""
        self.pending = 0
        self.counted = self.settled.cursor


class Ledger:
    """All consumers of a journal, and the highest position that was given out."""

    def __init__(self, last: int = 0) -> None:
        self.states: dict[str, ConsumerState] = {}
        self.last = last

    def __iter__(self) -> Iterator[ConsumerState]:
        return iter(self.states.values())

    def append(self, position: int, envelope: Envelope) -> None:
        """Count a stored event for every consumer that has counted up to it."""
        for state in self.states.values():
            if state.counted >= self.last:
                state.count(position, envelope)
        self.last = position

    def settle(
        self, name: str, positions: Iterable[int], passed: Iterable[Span] = ()
    ) -> ConsumerState | None:
        """Settle for one consumer what exists or existed; None where there is no such consumer."""
        state = self.states.get(name)
        if state is not None:
            known = (position for position in positions if position <= self.last)
            state.settle(known, ((first, min(last, self.last)) for first, last in passed))
        return state

    def lowest_cursor(self) -> int:
        """Return up to where nobody holds anything."""
        return min((state.settled.cursor for state in self.states.values()), default=self.last)

    def holders(self, position: int, envelope: Envelope) -> list[ConsumerState]:
        """Return who holds the event."""
        return [state for state in self.states.values() if state.holds(position, envelope)]

    def enroll(self, name: str, wanted: Filter, cursor: int) -> ConsumerState:
        """Add a consumer that stands at `cursor`."""
        state = ConsumerState(name, wanted, cursor)
        self.states[name] = state
        return state
