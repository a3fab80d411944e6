"""What a row of each table looks like: how one is told from rubbish. Pure.

A record that was found on a page nobody leads to does not say which table it is from.
Number and types of its columns tell, since no two tables have the same; what the
columns hold has to be possible besides. Nothing is taken for a row of ours because it
might be one: a made-up event is worse than a missing one.

`tests/journal/test_rows.py` compares the shapes with what the schema says.
"""

import uuid
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Any, Final, NamedTuple

import msgspec

from feishu_ws.events.envelope import open_envelope
from feishu_ws.events.keys import KEY_BYTES, dedupe_keys
from feishu_ws.journal.pages import Value
from feishu_ws.model import (
    MAX_ANSWER_BYTES,
    MAX_PAYLOAD_BYTES,
    MAX_QUEUE_CHARS,
    MAX_REQUEST_BYTES,
    MAX_UUID_CHARS,
    Envelope,
    Filter,
    Form,
    SendKind,
    digest_send,
)
from feishu_ws.wire.native import is_consumer_name

JOURNAL_ID: Final = "journal_id"
"""The fact that names a journal."""

REPORT: Final = "salvage_report"
"""The fact that says what a salvage did, until somebody was told."""

MOST_POSITION: Final = 2**52  # JSON's numbers are exact up to 2**53, and there is more to come
_MOST_CURSOR: Final = 2**62  # a consumer may have asked to start anywhere
_MOST_MS: Final = 4_102_444_800_000  # the year 2100
_MOST_FLAGS: Final = 0b1111
_FORM_BITS: Final = 0b11
_LONGEST_ID: Final = 256
_LONGEST_WORD: Final = 128
_LONGEST_NOTE: Final = 4096
_LONGEST_TEXT: Final = 65_536


class Table(StrEnum):
    """The tables a journal has, and the index of its keys, as SQLite names them."""

    EVENT = "event"
    SEEN = "seen"
    CONSUMER = "consumer"
    AHEAD = "ahead"
    ATTEMPT = "attempt"
    DEAD = "dead"
    FACT = "fact"
    LIFE = "life"
    SEND = "send"
    SEQUENCE = "sqlite_sequence"
    SCHEMA = "sqlite_schema"
    KEY = "sqlite_autoindex_seen_1"


class Row(NamedTuple):
    """A row as it is inserted, its rowid in its place."""

    table: Table
    values: tuple[Any, ...]


_Check = Callable[[Any], bool]
_LETTERS: Final = {type(None): "n", int: "i", float: "f", str: "t", bytes: "b"}


def recognise(values: Sequence[Value], rowid: int | None = None) -> Row | None:
    """Return the row that a record is, None if it is none of ours.

    Args:
        values: Its columns.
        rowid: Where it is from a table with rowids; None from an index or a table without.
    """
    signature = "".join([_LETTERS[type(value)] for value in values])
    known = _SHAPES.get((rowid is not None, signature))
    if known is None:
        return None
    table, checks = known
    row: tuple[Any, ...] = (rowid, *values[1:]) if table in _BY_ROWID else tuple(values)
    for check, value in zip(checks, row, strict=True):
        if not check(value):
            return None
    return Row(table, row) if table is not Table.AHEAD or row[1] <= row[2] else None


def is_of_shape(row: Sequence[Any], *, has_rowid: bool) -> bool:
    """Whether a row that SQLite gave has the columns of one of our tables, whatever is in them."""
    values = (None, *row[1:]) if has_rowid else row
    signature = "".join([_LETTERS[type(value)] for value in values])
    return (has_rowid, signature) in _SHAPES and (not has_rowid or type(row[0]) is int)


def is_readable(event: Sequence[Any]) -> bool:
    """Whether the payload of an event's row is still what it was when it was stored.

    What was JSON and is none now has been damaged. Handed on as JSON it would break the
    line it travels on.
    """
    *_, flags, payload = event
    return flags & _FORM_BITS == Form.OPAQUE or open_envelope(payload).form is not Form.OPAQUE


def is_sendable(send: Sequence[Any]) -> bool:
    """Whether the row of a send has an outcome, or else still what is to be sent."""
    _, uuid, queue, request, digest, made_ms, _, _, closed_ms, *_ = send
    return closed_ms is not None or digest_send(uuid, queue, made_ms, request) == digest


def bury_damaged(send: Row) -> Row:
    """Return the row of a send that cannot be made any more as a dead letter that says so."""
    *columns, _, _, _, _ = send.values
    made_ms = columns[5]
    return Row(Table.SEND, (*columns, made_ms, 1, SendKind.DAMAGED, b""))


def mend(event: Row) -> Row:
    """Return the row of an event whose payload may be damaged as one that can be handed on.

    A consumer gets what is left of it as it gets everything that is not JSON.
    """
    if is_readable(event.values):
        return event
    *columns, flags, payload = event.values
    return Row(Table.EVENT, (*columns, flags & ~_FORM_BITS | Form.OPAQUE, payload))


def keys_of(tenant: str, event_id: str, payload: bytes) -> set[bytes]:
    """Return the dedupe keys of an event, by its payload and, in case that is damaged, its columns."""
    keys = set(dedupe_keys(open_envelope(payload), payload))
    if event_id:
        keys.update(dedupe_keys(Envelope(tenant=tenant, event_id=event_id), payload))
    return keys


# -- what a column may hold ---------------------------------------------------------------


def _position(value: int) -> bool:
    return 0 < value <= MOST_POSITION


def _cursor(value: int) -> bool:
    return 0 <= value <= _MOST_CURSOR


def _ms(value: int) -> bool:
    return 0 <= value <= _MOST_MS


def _moment(value: int | None) -> bool:
    return value is None or abs(value) <= _MOST_MS


def _id(value: str) -> bool:
    return len(value) <= _LONGEST_ID and value.isprintable()


def _word(value: str) -> bool:
    return len(value) <= _LONGEST_WORD and value.isprintable()


def _note(value: str) -> bool:
    return len(value) <= _LONGEST_NOTE


def _flags(value: int) -> bool:
    return 0 <= value <= _MOST_FLAGS and value & _FORM_BITS in set(Form)


def _payload(value: bytes) -> bool:
    return len(value) <= MAX_PAYLOAD_BYTES


def _key(value: bytes) -> bool:
    return len(value) == KEY_BYTES


def _filter(value: bytes) -> bool:
    try:
        msgspec.json.decode(value, type=Filter)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def _json(value: bytes) -> bool:
    """Whether it is an object; what is in it may be a newer program's."""
    try:
        return len(value) <= _LONGEST_TEXT and isinstance(msgspec.json.decode(value), dict)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False


def _uuid(value: str) -> bool:
    return 0 < len(value) <= MAX_UUID_CHARS and value.isprintable()


def _queue(value: str) -> bool:
    return len(value) <= MAX_QUEUE_CHARS and value.isprintable()


def _request(value: bytes) -> bool:
    return len(value) <= MAX_REQUEST_BYTES


def _answer(value: bytes) -> bool:
    return len(value) <= MAX_ANSWER_BYTES


def _bool(value: int) -> bool:
    return value in {0, 1}


def _count(value: int) -> bool:
    return 0 <= value <= _MOST_CURSOR


def _name(value: str) -> bool:
    return is_consumer_name(value)


def _text(value: str) -> bool:
    return len(value) <= _LONGEST_TEXT


def _any(_: object) -> bool:
    return True


_EVENT: Final = (
    _position, _ms, _id, _id, _id, _id, _id, _moment, _id, _id, _flags, _payload,
)  # fmt: skip
_SEND: Final = (
    _position, _uuid, _queue, _request, _key, _ms, _count, _moment, _moment, _bool, _word, _answer,
)  # fmt: skip
_SHAPES: Final[dict[tuple[bool, str], tuple[Table, tuple[_Check, ...]]]] = {
    (True, "nitttttittib"): (Table.EVENT, _EVENT),
    (True, "nitttttnttib"): (Table.EVENT, _EVENT),
    (True, "nbi"): (Table.SEEN, (_position, _key, _ms)),
    (True, "ntittii"): (Table.DEAD, (_position, _name, _position, _word, _note, _count, _ms)),
    (True, "ti"): (Table.SEQUENCE, (_word, _cursor)),
    (True, "tttit"): (Table.SCHEMA, (_word, _word, _word, _count, _any)),
    (True, "tttin"): (Table.SCHEMA, (_word, _word, _word, _count, _any)),
    (True, "niib"): (Table.LIFE, (_position, _count, _ms, _json)),
    (True, "nttbbiinnitb"): (Table.SEND, _SEND),
    (True, "nttbbiiinitb"): (Table.SEND, _SEND),
    (True, "nttbbiiniitb"): (Table.SEND, _SEND),
    (True, "nttbbiiiiitb"): (Table.SEND, _SEND),
    (False, "tbiii"): (Table.CONSUMER, (_name, _filter, _cursor, _bool, _ms)),
    (False, "tii"): (Table.AHEAD, (_name, _position, _position)),
    (False, "tiiit"): (Table.ATTEMPT, (_name, _position, _count, _ms, _note)),
    (False, "tt"): (Table.FACT, (_word, _text)),
    (False, "bi"): (Table.KEY, (_key, _position)),
}
"""By whether there is a rowid, and the columns' types: null, int, text, blob."""

_BY_ROWID: Final = frozenset({Table.EVENT, Table.SEEN, Table.DEAD, Table.LIFE, Table.SEND})
"""Whose first column is the rowid, and null in the record."""


def is_journal_id(fact: Row) -> bool:
    """Whether a row of facts names a journal."""
    key, value = fact.values
    try:
        return key == JOURNAL_ID and bool(uuid.UUID(value))
    except ValueError:
        return False
