"""The words the rooms share: envelope, event, filter, outcome.

Values only: nothing here does I/O, waits, or knows who uses it.
"""

import fnmatch
import re
from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import Final

import msgspec

from feishu_ws.faults import Fault

UNKNOWN_TYPE: Final = "feishu.unknown"
MESSAGE_RECEIVE: Final = "im.message.receive_v1"
CALLBACK_TYPES: Final = frozenset({"card.action.trigger", "url.preview.get"})
"""Event types whose sender waits for an answer. Source: Feishu docs "回调概述"."""

MAX_PAYLOAD_BYTES: Final = 4 * 1024 * 1024
"""Largest payload that is stored. Source: CONTRACT 8."""


class Form(IntEnum):
    """How a payload may travel on a line of JSON."""

    OPAQUE = 0  # not JSON: base64
    ONE_LINE = 1  # valid JSON without raw newlines: verbatim
    MULTI_LINE = 2  # valid JSON with raw newlines: has to be encoded again


class Envelope(msgspec.Struct, frozen=True, gc=False):
    """What is known of an event without looking at what it is about.

    Attributes:
        type: Feishu's event type, `feishu.unknown` where the payload has no known envelope.
        event_id: `header.event_id` (schema 2.0) or `uuid` (1.0); "" where there is none.
        schema: "2.0", "1.0", or "" without a known envelope.
        created_ms: create_time as Unix milliseconds, None where absent or absurd.
        subject: Chat, message or user id the event is about, "" where there is none.
        message_id: Only of `im.message.receive_v1`, where it is a second dedupe key.
        from_app: The sender is an app (a bot), perhaps this one.
        is_callback: Feishu waits for an answer.
    """

    type: str = UNKNOWN_TYPE
    event_id: str = ""
    schema: str = ""
    tenant: str = ""
    app_id: str = ""
    created_ms: int | None = None
    subject: str = ""
    chat_id: str = ""
    message_id: str = ""
    from_app: bool = False
    is_callback: bool = False
    form: Form = Form.OPAQUE


class Event(msgspec.Struct, gc=False):
    """One event, kept verbatim. `position` is 0 until the journal holds it.

    Attributes:
        payload: The body exactly as Feishu sent it, parts joined.
        received_ms: Unix milliseconds when the completing frame was read.
        keys: Dedupe keys, 16 bytes each; only needed to append.
        body: The encoded CloudEvent and message, while it is handed to several consumers.
    """

    envelope: Envelope
    payload: bytes
    received_ms: int
    keys: tuple[bytes, ...] = ()
    position: int = 0
    body: bytes | None = None


class Verdict(IntEnum):
    """What became of an event that was offered to the journal."""

    STORED = 0
    DUPLICATE = 1
    REFUSED = 2


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """The journal's answer to an append, given only after the commit.

    Attributes:
        position: Of the stored event; 0 for a duplicate or a refusal.
        fault: Why it was refused.
    """

    verdict: Verdict
    position: int = 0
    fault: Fault | None = None


Answer = Callable[[int, bytes | None], None]
"""How a link is told what to confirm: 200 or 500, and the JSON a callback's sender gets.

Called exactly once per payload, on the event loop, perhaps before `Accept` returns.
"""

Accept = Callable[[bytes, Answer], None]
"""Where a link hands a whole payload (all parts joined); never blocks, never raises."""


class Filter(msgspec.Struct, frozen=True):
    """Which events a consumer wants.

    Attributes:
        types: Shell globs over event types.
        chats: Chat ids; empty means any. Events without a chat pass.
        ignore_own: Leave out messages whose sender is an app.
    """

    types: tuple[str, ...] = ("*",)
    chats: tuple[str, ...] = ()
    ignore_own: bool = False

    def compile(self) -> "CompiledFilter":
        """Return the fast form."""
        return CompiledFilter(self)


class CompiledFilter:
    """A filter ready to be asked often; remembers its answer per event type."""

    _REMEMBERED: Final = 1024  # event types come from outside; bounded

    def __init__(self, wanted: Filter) -> None:
        self.filter = wanted
        self._any_type = "*" in wanted.types
        self._pattern = re.compile("|".join(fnmatch.translate(glob) for glob in wanted.types))
        self._chats = frozenset(wanted.chats)
        self._known: dict[str, bool] = {}

    def names(self, envelope: Envelope) -> bool:
        """Whether this filter names the event."""
        if not (self._any_type or self._names_type(envelope.type)):
            return False
        if self._chats and envelope.chat_id and envelope.chat_id not in self._chats:
            return False
        return not (self.filter.ignore_own and envelope.from_app)

    def _names_type(self, event_type: str) -> bool:
        known = self._known.get(event_type)
        if known is None:
            known = bool(self.filter.types) and self._pattern.match(event_type) is not None
            if len(self._known) < self._REMEMBERED:
                self._known[event_type] = known
        return known


class Attempt(msgspec.Struct, frozen=True, gc=False):
    """How often a delivery failed, and when it may be tried again.

    Attributes:
        count: Attempts counted so far (CONTRACT 4, `delivery.max_attempts`); 0 is kept
            only of an event that came back from the dead letters.
        not_before_ms: Unix milliseconds before which a rejected event is not delivered.
        reason: The consumer's last words on it, at most 256 bytes.
    """

    count: int
    not_before_ms: int = 0
    reason: str = ""


class DeadReason:
    """Why an event was dead-lettered (metric label values)."""

    MAX_ATTEMPTS: Final = "max_attempts"
    EXPIRED: Final = "expired"
    REJECTED: Final = "rejected"


class DeadLetter(msgspec.Struct, frozen=True, gc=False):
    """An event that a consumer could not be given, or did not want.

    Attributes:
        reason: One of `DeadReason`.
        note: The consumer's last words on it; they may quote a message.
        attempts: How often it was tried.
        died_ms: When it died, as `received_ms` in Unix milliseconds.
        envelope: Only what filters ask for, `event_id` and `is_callback`.
        size: Bytes of its payload.
    """

    consumer: str
    position: int
    reason: str
    note: str
    attempts: int
    died_ms: int
    received_ms: int
    envelope: Envelope
    size: int


Span = tuple[int, int]
"""Positions from first to last, both included."""


class ConsumerRecord(msgspec.Struct, frozen=True):
    """What the journal durably knows of a consumer.

    Attributes:
        cursor: Everything up to here is settled.
        ahead: Settled spans above the cursor, ascending, disjoint.
        pending: Events its filter names that it has not settled.
        attempts: By position, only where an attempt was counted.
        last_seen_ms: When it last was connected, at most an hour behind while it is; of
            one that never was, when it was first missed; 0 before that.
    """

    name: str
    filter: Filter
    cursor: int
    ahead: tuple[Span, ...] = ()
    pending: int = 0
    attempts: dict[int, Attempt] = {}
    declared: bool = False
    last_seen_ms: int = 0


class Reading(msgspec.Struct, frozen=True, gc=False):
    """A batch read from the journal.

    Attributes:
        events: In position order.
        through: Everything up to here was looked at; positions missing from `events`
            below it do not exist (any more).
    """

    events: Sequence[Event]
    through: int


class Tried(msgspec.Struct, frozen=True, gc=False):
    """Attempts in a row that failed alike.

    Attributes:
        phase: Where the first of them ended.
        code: Feishu's code or HTTP status, None without one.
        first_ms: When the first failed, Unix milliseconds; `last_ms` the last.
    """

    fault: Fault
    phase: str
    code: int | None = None
    times: int = 1
    first_ms: int = 0
    last_ms: int = 0


class LinkLife(msgspec.Struct, frozen=True):
    """One life of a link, why it ended, and what was tried until the next.

    Attributes:
        ended_ms: When it ended, Unix milliseconds; with `link` it names the life.
        fault: The one cause; that of the first attempt where there was no life before.
        lived_s: Seconds it was live, None where it never was.
        close_code: WebSocket close code received, None without a close frame.
        unconfirmed: Frames that were still to be confirmed.
        took_s: What opening it had taken, in all and by phase.
        tried: Attempts that failed afterwards, in order.
        back_ms: When the link was live again, None while it is not.
    """

    link: int
    ended_ms: int
    fault: Fault
    lived_s: float | None
    detail: str = ""
    close_code: int | None = None
    unconfirmed: int = 0
    took_s: float = 0.0
    phases_s: dict[str, float] = {}
    tried: tuple[Tried, ...] = ()
    back_ms: int | None = None
