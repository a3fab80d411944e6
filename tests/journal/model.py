"""A journal in the plainest terms: dicts and sets, nothing shared with the real ones.

It says what must be true of any journal after a list of operations.
"""

import copy
from dataclasses import dataclass, field

from journal.contract import make_event

from feishu_ws.faults import Fault
from feishu_ws.model import (
    Attempt,
    DeadReason,
    Filter,
    LinkLife,
    Outcome,
    OutgoingSend,
    SendOutcome,
    Verdict,
)

HOUR_MS = 3_600_000
RETENTION_HOURS = 20
DEDUPE_HOURS = 10
OUTCOME_HOURS = 24  # more than RETENTION_HOURS, so dead sends stay no longer than others


@dataclass(frozen=True)
class Append:
    """Offer an event with an id, perhaps a message id too."""

    event_id: str
    message_id: str
    kind: str

    def event(self, at_ms):
        """Return the event to append."""
        extra = (self.message_id,) if self.message_id else ()
        return make_event(self.event_id, kind=self.kind, at_ms=at_ms, extra_keys=extra)


@dataclass(frozen=True)
class Settle:
    """Settle positions; pass over others; `soon` if nobody waits for it."""

    name: str
    positions: tuple
    passed: tuple = ()
    soon: bool = False


@dataclass(frozen=True)
class Note:
    """Count an attempt."""

    name: str
    position: int
    count: int


@dataclass(frozen=True)
class Bury:
    """Dead-letter an event."""

    name: str
    position: int


@dataclass(frozen=True)
class Revive:
    """Give dead letters back."""

    name: str
    positions: tuple


@dataclass(frozen=True)
class Drop:
    """Remove dead letters."""

    letters: tuple


@dataclass(frozen=True)
class Move:
    """Let a consumer stand elsewhere."""

    name: str
    cursor: int


@dataclass(frozen=True)
class Enroll:
    """Make a consumer, change its filter, or move it."""

    name: str
    wanted: Filter
    cursor: int | None


@dataclass(frozen=True)
class Forget:
    """Forget a consumer."""

    name: str


@dataclass(frozen=True)
class Remember:
    """Store a fact."""

    value: str


@dataclass(frozen=True)
class Life:
    """Record a life of a link, perhaps again."""

    link: int
    ended_ms: int
    back_ms: int

    def life(self):
        """Return the life to record."""
        return LinkLife(self.link, self.ended_ms, Fault.CONNECTION_LOST, 5.0, back_ms=self.back_ms)


@dataclass(frozen=True)
class Send:
    """Keep an outgoing send, perhaps another one of a uuid that is known."""

    uuid: str
    queue: str
    made_ms: int

    def send(self):
        """Return the send to open."""
        request = f"{self.queue} {self.made_ms}".encode()
        return OutgoingSend.make(self.uuid, self.queue, request, self.made_ms)


@dataclass(frozen=True)
class Try:
    """Note an attempt at a send."""

    uuid: str
    at_ms: int


@dataclass(frozen=True)
class Close:
    """Record what became of a send."""

    uuid: str
    kind: str
    is_dead: bool
    at_ms: int

    def outcome(self):
        """Return the outcome to record."""
        return SendOutcome(self.kind, self.kind.encode(), self.is_dead)


@dataclass(frozen=True)
class DropSends:
    """Remove sends from the dead letters."""

    uuids: tuple


REFUSABLE = (Append, Send, Try)
"""What a commit that fails refuses; the rest goes into a later one."""


@dataclass
class Kept:
    """An outgoing send: who it is, and what is known of it."""

    number: int
    queue: str
    request: bytes
    made_ms: int
    tries: list = field(default_factory=list)
    closed: Close | None = None

    def seen(self, uuid):
        """Return what a journal says of it."""
        alone = OutgoingSend.make(uuid, self.queue, self.request, self.made_ms)
        keeps_request = self.closed is None or self.closed.is_dead
        return (
            uuid,
            self.queue,
            self.request if keeps_request else b"",
            alone.digest,
            self.made_ms,
            len(self.tries),
            self.tries[0] if self.tries else None,
            self.closed and self.closed.outcome(),
            self.closed and self.closed.at_ms,
        )


@dataclass
class Reader:
    """A consumer: its filter, every position it has settled, its attempts.

    Attributes:
        passed: Not for it and above a revived event: settled for any filter to come if
            the cursor had passed it before, and how far that was the journal says.
    """

    wanted: Filter
    settled: set
    attempts: dict = field(default_factory=dict)
    passed: set = field(default_factory=set)

    def names(self, kind):
        """Whether its filter names an event type."""
        return "*" in self.wanted.types or kind in self.wanted.types


class Model:
    """What a journal holds."""

    def __init__(self, now_ms):
        self.now_ms = now_ms
        self.rows = {}
        self.seen = {}
        self.readers = {}
        self.dead = set()
        self.fact = None
        self.last = 0
        self.lives = {}
        self.sends = {}
        self.last_number = 0

    def copy(self):
        """Return one that goes its own way."""
        return copy.deepcopy(self)

    def held(self, name):
        """Return the positions a consumer holds, ascending."""
        reader = self.readers[name]
        rows = sorted(self.rows.items())
        return [p for p, e in rows if reader.names(e.envelope.type) and p not in reader.settled]

    def apply(self, op):
        """Do an operation; return its answer."""
        return getattr(self, "_" + type(op).__name__.lower())(op)

    def _append(self, op):
        event = op.event(self.now_ms)
        is_new = self.seen.keys().isdisjoint(event.keys)
        for key in event.keys:
            self.seen.setdefault(key, self.now_ms)
        if not is_new:
            return Outcome(Verdict.DUPLICATE)
        self.last += 1
        self.rows[self.last] = event
        return Outcome(Verdict.STORED, self.last)

    def _settle(self, op):
        reader = self.readers.get(op.name)
        if reader is None:
            return
        reader.settled.update(op.positions)
        for first, last in op.passed:
            reader.settled.update(range(first, last + 1))
        for position in op.positions:
            reader.attempts.pop(position, None)

    def _note(self, op):
        reader = self.readers.get(op.name)
        if reader is not None and op.position not in reader.settled:
            reader.attempts[op.position] = Attempt(op.count)

    def _bury(self, op):
        reader = self.readers.get(op.name)
        if reader is not None and op.position not in reader.settled:
            self.dead.add((op.name, op.position))
            self._settle(Settle(op.name, (op.position,)))

    def _revive(self, op):
        reader = self.readers.get(op.name)
        if reader is None:
            return []
        revived = []
        for position in op.positions:
            dead = (op.name, position)
            if dead in self.dead and reader.names(self.rows[position].envelope.type):
                self.dead.remove(dead)
                rows = self.rows.items()
                reader.passed |= {p for p, e in rows if not reader.names(e.envelope.type)}
                reader.settled.discard(position)
                reader.attempts[position] = Attempt(0)
                revived.append(position)
        return revived

    def _drop(self, op):
        dropped = [letter for letter in op.letters if letter in self.dead]
        self.dead.difference_update(dropped)
        return dropped

    def _move(self, op):
        if op.name in self.readers:
            self._enroll(Enroll(op.name, self.readers[op.name].wanted, op.cursor))

    def _enroll(self, op):
        reader = self.readers.get(op.name)
        if reader is None:
            cursor = self.last if op.cursor is None else op.cursor
            self.readers[op.name] = Reader(op.wanted, set(range(1, cursor + 1)))
        elif op.cursor is not None:
            reader.settled = set(range(1, op.cursor + 1))
            reader.passed = set()
            reader.attempts = {p: a for p, a in reader.attempts.items() if p > op.cursor}
            reader.wanted = op.wanted
        elif op.wanted != reader.wanted:
            first = min(self.held(op.name), default=self.last + 1)
            reader.settled.update(range(1, first))
            reader.wanted = op.wanted

    def _forget(self, op):
        self.readers.pop(op.name, None)

    def _remember(self, op):
        self.fact = op.value

    def _life(self, op):
        self.lives[op.link, op.ended_ms] = op.life()

    def _send(self, op):
        if op.uuid not in self.sends:
            self.last_number += 1
            made = op.send()
            self.sends[op.uuid] = Kept(self.last_number, op.queue, made.request, op.made_ms)
        return self.sends[op.uuid].seen(op.uuid)

    def _try(self, op):
        kept = self.sends.get(op.uuid)
        is_open = kept is not None and kept.closed is None
        if is_open:
            kept.tries.append(op.at_ms)
        return is_open

    def _close(self, op):
        kept = self.sends.get(op.uuid)
        is_open = kept is not None and kept.closed is None
        if is_open:
            kept.closed = op
        return is_open

    def _dropsends(self, op):
        return [u for u in dict.fromkeys(op.uuids) if u in self.sends and self._drop_send(u)]

    def _drop_send(self, uuid):
        closed = self.sends[uuid].closed
        is_dead = closed is not None and closed.is_dead
        if is_dead:
            del self.sends[uuid]
        return is_dead

    def prune(self):
        """Remove what is old and nobody holds, and old keys."""
        held = {p for name in self.readers for p in self.held(name)}
        kept = held | {p for _, p in self.dead}
        old_ms = self.now_ms - RETENTION_HOURS * HOUR_MS
        self.rows = {p: e for p, e in self.rows.items() if e.received_ms >= old_ms or p in kept}
        forget_ms = self.now_ms - DEDUPE_HOURS * HOUR_MS
        self.seen = {key: at_ms for key, at_ms in self.seen.items() if at_ms >= forget_ms}
        known_ms = self.now_ms - OUTCOME_HOURS * HOUR_MS
        self.sends = {
            uuid: kept
            for uuid, kept in self.sends.items()
            if kept.closed is None or kept.closed.at_ms >= known_ms
        }


def bury_call(journal, op):
    """Bury through a journal."""
    return journal.bury(op.name, op.position, DeadReason.REJECTED, Attempt(1))
