"""Parts of split payloads put together again. Pure: time is an argument.

Feishu splits a large payload into `sum` frames that share a `message_id`; `seq`
counts from 0. One `Reassembly` serves all links, so that its byte bound holds for
the whole process; each connection has a lane of its own, so that parts of a copy
sent again never meet stale parts of one that died with its connection.

Invariants: what is kept stays under `MAX_BYTES` of parts and message ids and under
`MAX_UNFINISHED` payloads, whatever comes in whatever order; a completed payload
leaves nothing behind.

Source of the format: lark-oapi 1.7.5 ws/client.py:450-466. Source of the bounds: CONTRACT 8.
"""

from dataclasses import dataclass, field
from typing import Final

from feishu_ws.model import MAX_PAYLOAD_BYTES

MAX_PARTS: Final = 64
MAX_BYTES: Final = 32 * 1024 * 1024
MAX_UNFINISHED: Final = 1024  # bounds the bookkeeping when parts are empty
INCOMPLETE_AFTER_S: Final = 30.0

_BYTES_PER_CHARACTER: Final = 4  # the most a str takes, and the most UTF-8 takes

Lane = tuple[int, int]
"""A connection: the link's number, and which of its lives."""

_Key = tuple[Lane, str]


class RefusedPartError(Exception):
    """A part, and with it perhaps its payload, that is not taken.

    Attributes:
        reason: `too_large`, `too_many_parts`, `fragment_range` or `fragments_full`.
        size_bytes: Bytes of the payload seen so far, this part included.
    """

    def __init__(self, reason: str, size_bytes: int) -> None:
        super().__init__(reason)
        self.reason = reason
        self.size_bytes = size_bytes


@dataclass(frozen=True, slots=True)
class Expired:
    """A payload whose parts did not all come within `INCOMPLETE_AFTER_S`."""

    lane: Lane
    parts: int
    total: int
    size_bytes: int
    reason: str = "fragment_timeout"


@dataclass(slots=True)
class _Unfinished:
    """Parts of one payload. `refused`: no longer collected, later parts are ignored."""

    total: int
    since_s: float
    cost: int
    parts: dict[int, bytes] = field(default_factory=dict)
    size: int = 0
    refused: bool = False


class Reassembly:
    """Collects parts until a payload is whole, within fixed bounds."""

    def __init__(self) -> None:
        self._unfinished: dict[_Key, _Unfinished] = {}  # oldest first
        self._held = 0

    @property
    def pending(self) -> int:
        """Payloads of which parts are missing, given-up ones included until they expire."""
        return len(self._unfinished)

    @property
    def held_bytes(self) -> int:
        """Bytes of parts and message ids that are kept."""
        return self._held

    def add(
        self,
        message_id: str,
        seq: int,
        total: int,
        payload: bytes,
        now_s: float,
        lane: Lane = (0, 0),
    ) -> bytes | None:
        """Take one part; return the whole payload when it was the last one missing.

        An empty part is a part. A part that is there already changes nothing. A
        `total` that differs from the earlier parts' begins the payload anew.

        Args:
            message_id: What the parts have in common.
            seq: Which part, from 0.
            total: How many parts there are.
            payload: The part.
            now_s: Seconds on any clock that does not go back.
            lane: The connection it came on.

        Raises:
            RefusedPartError: The part is not taken. After `too_large`, or
                `fragments_full` in the middle of a payload, its later parts are ignored.
        """
        if not 0 <= seq < total:
            raise RefusedPartError("fragment_range", len(payload))
        if total > MAX_PARTS:
            raise RefusedPartError("too_many_parts", len(payload))
        if total == 1:
            return _checked(payload)
        key = (lane, message_id)
        entry = self._entry(key, total, len(payload), now_s)
        if entry.refused or seq in entry.parts:
            return None
        self._keep(entry, seq, payload)
        return self._joined(key, entry)

    def _entry(self, key: _Key, total: int, size: int, now_s: float) -> _Unfinished:
        entry = self._unfinished.get(key)
        if entry is not None and entry.total == total:
            return entry
        if entry is not None:
            self._remove(key)
        cost = _BYTES_PER_CHARACTER * len(key[1])
        if len(self._unfinished) >= MAX_UNFINISHED or self._held + cost > MAX_BYTES:
            raise RefusedPartError("fragments_full", size)
        entry = self._unfinished[key] = _Unfinished(total, now_s, cost)
        self._held += cost
        return entry

    def _keep(self, entry: _Unfinished, seq: int, payload: bytes) -> None:
        size = entry.size + len(payload)
        if size > MAX_PAYLOAD_BYTES:
            raise self._refuse(entry, "too_large", size)
        if self._held + len(payload) > MAX_BYTES:
            raise self._refuse(entry, "fragments_full", size)
        entry.parts[seq] = payload
        entry.size = size
        self._held += len(payload)

    def _refuse(self, entry: _Unfinished, reason: str, size: int) -> RefusedPartError:
        self._held -= entry.size
        entry.parts.clear()
        entry.size = 0
        entry.refused = True
        return RefusedPartError(reason, size)

    def _joined(self, key: _Key, entry: _Unfinished) -> bytes | None:
        if len(entry.parts) < entry.total:
            return None
        self._remove(key)
        return b"".join(entry.parts[seq] for seq in range(entry.total))

    def _remove(self, key: _Key) -> _Unfinished:
        entry = self._unfinished.pop(key)
        self._held -= entry.size + entry.cost
        return entry

    def expire(self, now_s: float) -> tuple[Expired, ...]:
        """Give up payloads that began `INCOMPLETE_AFTER_S` ago or earlier; return them."""
        overdue = [
            key
            for key, entry in self._unfinished.items()
            if now_s - entry.since_s >= INCOMPLETE_AFTER_S
        ]
        gone = ((key, self._remove(key)) for key in overdue)
        return tuple(
            Expired(key[0], len(entry.parts), entry.total, entry.size)
            for key, entry in gone
            if not entry.refused
        )

    def drop_lane(self, lane: Lane) -> int:
        """Forget what came on a connection that ended; return how many payloads that was.

        Nothing of them was confirmed, so Feishu sends them again.
        """
        keys = [key for key in self._unfinished if key[0] == lane]
        return sum(not self._remove(key).refused for key in keys)


def _checked(payload: bytes) -> bytes:
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise RefusedPartError("too_large", len(payload))
    return payload
