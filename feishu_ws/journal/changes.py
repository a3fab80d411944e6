"""What consumers do, as changes of the ledger that the writing thread applies.

Each function returns a change. It must not raise, whatever the disk does, and it
notes in `Owed` what has to be written.
"""

from collections.abc import Iterable, Mapping

from feishu_ws.journal.ledger import ConsumerState, Ledger
from feishu_ws.journal.upkeep import Upkeep
from feishu_ws.journal.work import Apply, Letter, Owed
from feishu_ws.model import Attempt, Filter, LinkLife, Span


def settle(name: str, positions: Iterable[int], passed: Iterable[Span] = ()) -> Apply:
    """Settle `positions`; `passed` were not for this consumer."""
    positions, passed = tuple(positions), tuple(passed)

    def apply(owed: Owed, ledger: Ledger) -> None:
        if (positions or passed) and ledger.settle(name, positions, passed) is not None:
            owed.consumers.add(name)

    return apply


def note_attempt(name: str, position: int, attempt: Attempt) -> Apply:
    """Record a counted attempt."""

    def apply(owed: Owed, ledger: Ledger) -> None:
        state = ledger.states.get(name)
        if state is not None and position not in state.settled:
            state.attempts[position] = attempt
            owed.consumers.add(name)

    return apply


def bury(name: str, position: int, reason: str, attempt: Attempt, died_ms: int) -> Apply:
    """Move an event to the dead letters of a consumer."""

    def apply(owed: Owed, ledger: Ledger) -> None:
        state = ledger.states.get(name)
        if state is not None and position not in state.settled:
            owed.bury((name, position), reason, attempt, died_ms)
            ledger.settle(name, (position,))
            owed.consumers.add(name)

    return apply


def revive(upkeep: Upkeep, name: str, positions: Iterable[int], revived: list[int]) -> Apply:
    """Give dead letters back to their consumer; `revived` takes those it was done for."""

    def apply(owed: Owed, ledger: Ledger) -> None:
        state = ledger.states.get(name)
        if state is None:
            return
        for position in positions:
            head = upkeep.dead_head((name, position), owed)
            if head is not None and state.wanted.names(head.envelope):
                owed.raise_up((name, position))
                owed.consumers.add(name)
                state.revive(position)
                revived.append(position)

    return apply


def drop_dead(upkeep: Upkeep, letters: Iterable[Letter], dropped: list[Letter]) -> Apply:
    """Remove dead letters for good; `dropped` takes those that were there."""

    def apply(owed: Owed, _: Ledger) -> None:
        for letter in letters:
            if upkeep.dead_head(letter, owed) is not None:
                owed.raise_up(letter)
                dropped.append(letter)

    return apply


def move(upkeep: Upkeep, name: str, cursor: int) -> Apply:
    """Let a consumer stand at `cursor`."""

    def apply(owed: Owed, ledger: Ledger) -> None:
        state = ledger.states.get(name)
        if state is not None:
            state.move(cursor)
            upkeep.count_again(name)
            owed.consumers.add(name)

    return apply


def enroll(
    upkeep: Upkeep, name: str, wanted: Filter, cursor: int | None, *, declared: bool
) -> Apply:
    """Create a consumer, change its filter, or move its cursor."""

    def apply(owed: Owed, ledger: Ledger) -> None:
        _enroll(upkeep, owed, ledger, name, wanted, cursor).declared = declared

    return apply


def _enroll(
    upkeep: Upkeep, owed: Owed, ledger: Ledger, name: str, wanted: Filter, cursor: int | None
) -> ConsumerState:
    state = ledger.states.get(name)
    if state is None:
        state = ledger.enroll(name, wanted, ledger.last if cursor is None else cursor)
    elif cursor is not None:
        state.move(cursor)
        state.wanted = wanted.compile()
    elif state.wanted.filter != wanted:
        state.refilter(wanted, upkeep.first_held(state))
    upkeep.count_again(name)
    owed.consumers.add(name)
    owed.forgotten.discard(name)
    return state


def declare(upkeep: Upkeep, wanted: Mapping[str, Filter], since_ms: int) -> Apply:
    """Make declared consumers exist from `since_ms` on, and the others plain ones."""

    def apply(owed: Owed, ledger: Ledger) -> None:
        for name, chosen in wanted.items():
            if name not in ledger.states:
                _enroll(upkeep, owed, ledger, name, chosen, upkeep.cursor_since(since_ms))
            elif chosen != Filter():  # else what its last hello said stands
                _enroll(upkeep, owed, ledger, name, chosen, None)
        for state in ledger:
            state.declared = state.name in wanted
            owed.consumers.add(state.name)

    return apply


def forget(name: str) -> Apply:
    """Remove a consumer, its cursor and attempts."""

    def apply(owed: Owed, ledger: Ledger) -> None:
        ledger.states.pop(name, None)
        owed.consumers.discard(name)
        owed.forgotten.add(name)

    return apply


def see(name: str, wall_ms: int, *, connected: bool) -> Apply:
    """Note that a consumer is or was connected."""

    def apply(owed: Owed, ledger: Ledger) -> None:
        state = ledger.states.get(name)
        if state is not None:
            state.connected, state.last_seen_ms = connected, wall_ms
            owed.consumers.add(name)

    return apply


def remember(key: str, value: str | None) -> Apply:
    """Store a small fact, or forget it (None)."""

    def apply(owed: Owed, _: Ledger) -> None:
        owed.facts[key] = value

    return apply


def record_life(life: LinkLife) -> Apply:
    """Keep a life of a link."""

    def apply(owed: Owed, _: Ledger) -> None:
        owed.lives.record(life)

    return apply
