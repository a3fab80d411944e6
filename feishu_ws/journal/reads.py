"""What is read of the file while the writer works: one bounded step after another.

Every step is a function that runs in the reader's thread; between two steps of one
question those of others have their turn.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TypeVar

from feishu_ws.journal.contract import MOST_LIVES
from feishu_ws.journal.ledger import ConsumerState
from feishu_ws.journal.lives import Lives
from feishu_ws.journal.retention import STEP_ROWS
from feishu_ws.journal.store import Store
from feishu_ws.model import ConsumerRecord, DeadLetter, LinkLife, OutgoingSend, Reading

_T = TypeVar("_T")


class Reads(ABC):
    """The reading half of `SqliteJournal`; see `contract.Journal`."""

    _read_store: Store
    _records: dict[str, ConsumerRecord]
    _last: int
    _lives: Lives

    @abstractmethod
    async def _ask(self, function: Callable[[], _T]) -> _T:
        """Run `function` in the reader's thread.

        Raises:
            FeishuWsError: As the disk answers, or the journal is closed.
        """

    async def read(self, after: int, max_events: int = 256, max_bytes: int = 1024**2) -> Reading:
        """Read events above position `after`, at least one where there is one."""
        return await self._ask(lambda: self._read(after, max_events, max_bytes))

    def _read(self, after: int, max_events: int, max_bytes: int) -> Reading:
        newest = self._last  # taken first: what comes after it is read next time
        events = self._read_store.events_after(after, max_events, max_bytes)
        through = events[-1].position if events else max(after, newest)
        return Reading(events, through)

    async def position_at(self, wall_ms: int) -> int:
        """Return the last position received before `wall_ms`."""
        return await self._ask(lambda: self._position_at(wall_ms))

    def _position_at(self, wall_ms: int) -> int:
        newest = self._last
        first = self._read_store.first_since(wall_ms)
        return first - 1 if first else newest

    async def count_held(self, name: str, through: int) -> int:
        """Count the events up to `through` that a consumer holds, as far as is durable."""
        record = self._records.get(name)
        if record is None:
            return 0
        state = ConsumerState(name, record.filter, record.cursor, record.ahead)
        held, at = 0, record.cursor
        while at < through:
            rows = await self._ask(partial(self._read_store.heads_after, at, STEP_ROWS))
            held += sum(r.position <= through and state.holds(r.position, r.envelope) for r in rows)
            if len(rows) < STEP_ROWS:
                break
            at = rows[-1].position
        return held

    async def dead_letters(
        self, after: int = 0, limit: int = 100, name: str | None = None
    ) -> Sequence[DeadLetter]:
        """Read dead letters above position `after`: `limit`, and the rest of the last position."""
        return await self._ask(lambda: self._read_store.dead_after(after, limit, name))

    async def dead_letters_at(
        self, positions: Sequence[int], name: str | None = None
    ) -> Sequence[DeadLetter]:
        """Read the dead letters of some positions."""
        return await self._ask(lambda: self._read_store.dead_at(positions, name))

    async def dead_counts(self) -> Mapping[str, int]:
        """Return how many dead letters each consumer has, forgotten ones included."""
        return await self._ask(self._read_store.dead_counts)

    async def lives(self, since_ms: int = 0, limit: int = MOST_LIVES) -> Sequence[LinkLife]:
        """Return the last `limit` lives that reach past `since_ms`, newest last."""
        return self._lives.newest(since_ms, limit)

    async def unfinished_sends(self, after: int = 0, limit: int = 100) -> Sequence[OutgoingSend]:
        """Read sends without an outcome above number `after`, in the order made."""
        return await self._ask(lambda: self._read_store.sends.open_after(after, limit))

    async def dead_sends(self, after: int = 0, limit: int = 100) -> Sequence[OutgoingSend]:
        """Read sends that are dead letters above number `after`, in the order made."""
        return await self._ask(lambda: self._read_store.sends.dead_after(after, limit))

    async def find_send(self, uuid: str) -> OutgoingSend | None:
        """Read what is durably known of a uuid, None if nothing is."""
        return await self._ask(lambda: self._read_store.sends.find(uuid))
