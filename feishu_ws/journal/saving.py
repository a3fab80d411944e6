"""Writes what is owed, of consumers only what differs from what is on disk."""

from feishu_ws.journal.ledger import ConsumerState, Ledger
from feishu_ws.journal.store import Store
from feishu_ws.journal.work import Owed
from feishu_ws.model import Span


class _Saved:
    """What of a consumer is on disk."""

    __slots__ = ("ahead", "attempts")

    def __init__(self, state: ConsumerState) -> None:
        self.ahead: set[Span] = set(state.settled.ahead)
        self.attempts = dict(state.attempts)


class Saver:
    """Knows what of each consumer is on disk; used in the writing thread only."""

    def __init__(self, store: Store, ledger: Ledger) -> None:
        self._store = store
        self._ledger = ledger
        self._saved = {state.name: _Saved(state) for state in ledger}
        self._saving: dict[str, _Saved] = {}

    def write(self, owed: Owed) -> None:
        """Write what is owed.

        Raises:
            sqlite3.Error: As the disk answers; the transaction has to be rolled back.
        """
        for name in owed.forgotten:
            self._store.remove_consumer(name)
        for name in owed.consumers:
            self._write_consumer(self._ledger.states[name])
        self._store.remove_letters(owed.raised)
        for (name, position), (reason, attempt, died_ms) in owed.dead.items():
            self._store.add_dead(name, position, reason, attempt, died_ms)
        for key, value in owed.facts.items():
            self._store.save_fact(key, value)
        self._store.lives.save(owed.lives.values())

    def _write_consumer(self, state: ConsumerState) -> None:
        saved = self._saved.get(state.name)
        self._saving[state.name] = _Saved(state)
        ahead = set(state.settled.ahead)
        self._store.save_consumer(state)
        if saved is None or saved.ahead != ahead:
            before = saved.ahead if saved else set()
            self._store.save_ahead(state.name, before - ahead, ahead - before)
        known = saved.attempts if saved else {}
        if known != state.attempts:
            new = {p: a for p, a in state.attempts.items() if known.get(p) != a}
            self._store.save_attempts(state.name, known.keys() - state.attempts.keys(), new)

    def succeed(self, owed: Owed) -> None:
        """The transaction is committed."""
        self._saved.update(self._saving)
        self._saving.clear()
        for name in owed.forgotten:
            self._saved.pop(name, None)

    def fail(self) -> None:
        """The transaction was not committed."""
        self._saving.clear()
