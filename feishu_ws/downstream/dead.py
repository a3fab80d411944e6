"""The dead letters: what operators are shown of them, their way back, and their end."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar

import msgspec

from feishu_ws.downstream.dispatcher import Dispatcher
from feishu_ws.downstream.settings import MAX_POSITION, MAX_REJECTED
from feishu_ws.events.cloudevent import MAX_LINE_BYTES, encode_body
from feishu_ws.faults import Fault, FeishuWsError
from feishu_ws.happenings import DeadDropped, DeadRetried, Observer
from feishu_ws.journal.contract import Journal
from feishu_ws.model import ConsumerRecord, DeadLetter
from feishu_ws.wire.admin import (
    MOST_DEAD_PER_PAGE,
    MOST_POSITIONS,
    DeadChoiceParams,
    DeadListParams,
    DeadShowParams,
)
from feishu_ws.wire.native import Code, RpcError, is_consumer_name

T = TypeVar("T")

Answer = dict[str, Any]
STEP: Final = 250  # dead letters changed in one commit: some 5 ms of the writer
ROW_BYTES: Final = 8192  # what `show` says besides the event, its note escaped
SHOWN: Final = 20  # positions that an error message names


class DeadLetters:
    """Shows, revives and removes them. See `Admin` for what its answers are like."""

    def __init__(
        self, journal: Journal, dispatcher: Dispatcher, *, app_id: str, observe: Observer
    ) -> None:
        self._journal = journal
        self._dispatcher = dispatcher
        self._app_id = app_id
        self._observe = observe
        self._changing = asyncio.Lock()  # what was read of them holds until it is changed

    async def page(self, params: DeadListParams, *, with_note: bool) -> Answer:
        """Return `{"dead":[…],"total":n}`; all dead letters of the last position are on the page.

        Each has position, consumer, reason, attempts, died_ms, received_ms, type,
        event_id, size (bytes of the payload), and `with_note` note: the
        consumer's own words, which may quote a message. `total` is how many there are
        (of that consumer, if one is named), on this page or not.

        Raises:
            RpcError: `INVALID_PARAMS`: a limit or position out of range.
            FeishuWsError: The journal cannot be read.
        """
        _check_consumer(params.consumer)
        if not 0 <= params.after <= MAX_POSITION:
            raise unfit("after", params.after, f"0 to {MAX_POSITION}")
        if not 1 <= params.limit <= MOST_DEAD_PER_PAGE:
            raise unfit("limit", params.limit, f"1 to {MOST_DEAD_PER_PAGE}")
        letters = await self._journal.dead_letters(params.after, params.limit, params.consumer)
        counts = await self._journal.dead_counts()
        total = sum(counts.values()) if params.consumer is None else counts.get(params.consumer, 0)
        return {"dead": [_row(a, with_note=with_note) for a in letters], "total": total}

    async def show(self, params: DeadShowParams) -> Answer:
        """Return one dead letter as `page` does with its note, and `event` as delivered.

        Also `message`, or `"message_omitted": true`, as on an `event` line.

        Raises:
            RpcError: `UNKNOWN_POSITION`: there is none; `INVALID_PARAMS`: it died for
                several consumers, which are named, and the params name none.
            FeishuWsError: The journal cannot be read.
        """
        if params.position is None:
            raise unfit("position", None, f"1 to {MAX_POSITION}")
        letters = await self._find([params.position], params.consumer)
        if len(letters) > 1:
            names = ", ".join(letter.consumer for letter in letters)
            raise RpcError(
                Code.INVALID_PARAMS,
                f"position {params.position} died for several consumers, expected one of: {names}",
            )
        reading = await self._journal.read(params.position - 1, max_events=1)
        event = next((e for e in reading.events if e.position == params.position), None)
        if event is None:  # it made room meanwhile
            raise _not_dead([params.position], params.consumer)
        body = encode_body(event, self._app_id, max_line_bytes=MAX_LINE_BYTES - ROW_BYTES)
        shown = msgspec.json.decode(b"{%b}" % body, type=dict[str, msgspec.Raw])
        return {**_row(letters[0], with_note=True), **shown}

    async def retry(self, params: DeadChoiceParams) -> Answer:
        """Give events back to the consumers they died for; return `{"retried":n,"left":n}`.

        They are delivered soon, as attempt 1, and not too old until they are settled.
        At most 1,024 are with one consumer at a time; of `all`, the oldest go first
        and `left` says how many had no place.

        Raises:
            RpcError: `UNKNOWN_POSITION`, listing those without a dead letter;
                `INVALID_PARAMS`: the consumer is not known any more, or its filter does
                not name the event any more; `FULL`: too many are named.
            FeishuWsError: The journal cannot be read.
        """
        async with self._changing:
            if params.all:
                return await self._retry_all(params)
            letters = await self._find(_positions(params), params.consumer)
            by_name = _by_consumer(letters)
            for name, own in by_name.items():
                self._check_retry(name, own)
            retried = sum([await self._retry(name, own) for name, own in by_name.items()])
            return {"retried": retried, "left": len(letters) - retried}

    def _check_retry(self, name: str, letters: Sequence[DeadLetter]) -> None:
        """Refuse what cannot be given back.

        Raises:
            RpcError: `INVALID_PARAMS` or `FULL`.
        """
        record = self._journal.consumers().get(name)
        if record is None:
            seen = f"consumer {name} is not known any more, expected it to say hello first"
            raise RpcError(Code.INVALID_PARAMS, seen)
        wanted = {letter.position for letter in _wanted(record, letters)}
        unwanted = [letter.position for letter in letters if letter.position not in wanted]
        if unwanted:
            seen = f"the filter of consumer {name} does not name {_told(unwanted)} any more"
            raise RpcError(Code.INVALID_PARAMS, seen)
        if len(letters) > _room(record):
            seen = f"{len(letters)} dead letters of consumer {name} are named"
            expected = f"at most {_room(record)}: so many more may be with it"
            raise RpcError(Code.FULL, f"{seen}, expected {expected}")

    async def _retry(self, name: str, letters: Sequence[DeadLetter]) -> int:
        revived = await durable(self._dispatcher.revive(name, letters))
        if revived:
            self._observe(DeadRetried(name, len(revived), revived[0], revived[-1]))
        return len(revived)

    async def _retry_all(self, params: DeadChoiceParams) -> Answer:
        """Give back as many as may be."""
        names = await self._choose_all(params)
        if params.consumer is not None:
            self._check_retry(params.consumer, ())
        total = sum(names.values())
        retried = sum([await self._retry_oldest(name) for name in names])
        return {"retried": retried, "left": total - retried}

    async def _retry_oldest(self, name: str) -> int:
        """Give back as many as a consumer may have, the oldest first."""
        found: list[DeadLetter] = []
        after = 0
        while (record := self._journal.consumers().get(name)) and len(found) < _room(record):
            page = await self._journal.dead_letters(after, STEP, name)
            if not page:
                break
            after = page[-1].position
            found += _wanted(record, page)[: _room(record) - len(found)]
        return await self._retry(name, found) if found else 0

    async def drop(self, params: DeadChoiceParams) -> int:
        """Remove dead letters for good; return how many.

        Raises:
            RpcError: `UNKNOWN_POSITION`, listing those without a dead letter.
            FeishuWsError: The journal cannot be read.
        """
        async with self._changing:
            if params.all:
                names = await self._choose_all(params)
                return sum([await self._drop_all(name) for name in names])
            letters = await self._find(_positions(params), params.consumer)
            by_name = _by_consumer(letters)
            return sum([await self._drop(name, own) for name, own in by_name.items()])

    async def _drop(self, name: str, letters: Sequence[DeadLetter]) -> int:
        chosen = [(name, letter.position) for letter in letters]
        dropped = await durable(self._journal.drop_dead(chosen))
        if dropped:
            self._dispatcher.count_dropped_dead(len(dropped))
            self._observe(DeadDropped(name, len(dropped), dropped[0][1], dropped[-1][1]))
        return len(dropped)

    async def _drop_all(self, name: str) -> int:
        """Remove what is dead by now, in steps that keep nobody waiting."""
        dropped = after = 0
        newest = self._journal.last
        while after < newest and (page := await self._journal.dead_letters(after, STEP, name)):
            after = page[-1].position
            dropped += await self._drop(name, page)
        return dropped

    # -- choosing -------------------------------------------------------------------------

    async def _choose_all(self, params: DeadChoiceParams) -> Mapping[str, int]:
        """Return whose dead letters `all` means, and how many each has."""
        _check_consumer(params.consumer)
        if params.positions:
            raise RpcError(Code.INVALID_PARAMS, "params name positions and all, expected one")
        counts = await self._journal.dead_counts()
        name = params.consumer
        return counts if name is None else {name: counts[name]} if name in counts else {}

    async def _find(self, positions: Sequence[int], consumer: str | None) -> Sequence[DeadLetter]:
        """Return the dead letters of positions.

        Raises:
            RpcError: `UNKNOWN_POSITION`, listing those without one; `INVALID_PARAMS`.
        """
        _check_consumer(consumer)
        for position in positions:
            if not 1 <= position <= MAX_POSITION:
                raise unfit("position", position, f"1 to {MAX_POSITION}")
        letters = await self._journal.dead_letters_at(positions, consumer)
        missing = set(positions) - {letter.position for letter in letters}
        if missing:
            raise _not_dead(sorted(missing), consumer)
        return letters


async def durable(written: asyncio.Future[T]) -> T:
    """Wait for a change of the journal.

    Raises:
        FeishuWsError: The journal ended before it was durable.
    """
    await asyncio.wait([written])
    if written.cancelled():
        raise FeishuWsError(Fault.LOCAL_STOP, "the journal was closed before it was durable")
    return written.result()


def _row(letter: DeadLetter, *, with_note: bool) -> Answer:
    row = {
        "position": letter.position,
        "consumer": letter.consumer,
        "reason": letter.reason,
        "attempts": letter.attempts,
        "died_ms": letter.died_ms,
        "received_ms": letter.received_ms,
        "type": letter.envelope.type,
        "event_id": letter.envelope.event_id,
        "size": letter.size,
    }
    return {**row, "note": letter.note} if with_note else row


def _room(record: ConsumerRecord) -> int:
    """Return how many dead letters a consumer may be given back now."""
    return max(MAX_REJECTED - len(record.attempts), 0)


def _wanted(record: ConsumerRecord, letters: Iterable[DeadLetter]) -> list[DeadLetter]:
    """Return those that a consumer's filter names."""
    wanted = record.filter.compile()
    return [letter for letter in letters if wanted.names(letter.envelope)]


def _by_consumer(letters: Iterable[DeadLetter]) -> dict[str, list[DeadLetter]]:
    found: dict[str, list[DeadLetter]] = {}
    for letter in letters:
        found.setdefault(letter.consumer, []).append(letter)
    return found


def _positions(params: DeadChoiceParams) -> list[int]:
    """Return the positions that are named, ascending.

    Raises:
        RpcError: `INVALID_PARAMS`: none, or too many.
    """
    found = sorted(set(params.positions))
    if not 1 <= len(found) <= MOST_POSITIONS:
        raise unfit("positions", f"{len(found)} of them", f"1 to {MOST_POSITIONS}, or all")
    return found


def _check_consumer(name: str | None) -> None:
    if name is not None and not is_consumer_name(name):
        raise unfit("consumer", name[:64], "1 to 64 of a-z 0-9 _ . -")


def unfit(field: str, seen: object, expected: str) -> RpcError:
    """Return the refusal of a field that has no such value."""
    return RpcError(Code.INVALID_PARAMS, f"params.{field} is {seen!r}, expected {expected}")


def _not_dead(positions: Sequence[int], consumer: str | None) -> RpcError:
    whose = "" if consumer is None else f" of consumer {consumer}"
    return RpcError(
        Code.UNKNOWN_POSITION,
        f"no dead letter{whose} at {_told(positions)}",
        {"positions": list(positions)},
    )


def _told(positions: Iterable[int]) -> str:
    """Return "position 3" or "positions 3, 5, 8 and 97 more", "" without any."""
    listed = list(positions)
    shown = ", ".join(map(str, listed[:SHOWN]))
    more = f" and {len(listed) - SHOWN} more" if len(listed) > SHOWN else ""
    return f"position{'s' if len(listed) > 1 else ''} {shown}{more}" if listed else ""
