"""The words the rooms share: envelope, event, filter, outcome.

Values only: nothing here does I/O, waits, or knows who uses it.
"""

import fnmatch
import hashlib
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
        from_app: Of a message: its sender is an app or a bot, perhaps this one; of a
            reaction: it is this app's own.
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
        types: Shell globs over event types, capitals and all; none names nothing.
        chats: Chat ids; empty means any. Events without a chat pass.
        ignore_own: Leave out messages whose sender is an app, this one or another (Feishu
            does not say which), and this app's reactions.
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


MAX_UUID_CHARS: Final = 50
"""Longest `uuid` of a send. Source: CONTRACT 5; protocol.md says so of Feishu's own."""

MAX_REQUEST_BYTES: Final = 512 * 1024
"""Largest request of a send that is kept. Source: assumed; Feishu takes 150 KB of text."""

MAX_ANSWER_BYTES: Final = 4096
"""Largest answer to a send that is kept: a message id, or a code and what was said of it."""

MAX_QUEUE_CHARS: Final = 256
"""Longest name of what sends wait in line for; Feishu's ids have some 35 characters."""

_DIGEST_BYTES: Final = 16


def digest_send(uuid: str, queue: str, made_ms: int, request: bytes) -> bytes:
    """Return 16 bytes that tell a send from one of another request, and from a damaged one."""
    named = f"{made_ms}\0{uuid}\0{queue}\0".encode()
    return hashlib.blake2b(named + request, digest_size=_DIGEST_BYTES).digest()


class SendKind:
    """What became of an outgoing send."""

    SENT: Final = "sent"
    REFUSED: Final = "refused"  # by Feishu
    EXPIRED: Final = "expired"  # never tried, and too late now
    OUTCOME_UNKNOWN: Final = "outcome_unknown"  # tried so long ago that Feishu might send it twice
    DAMAGED: Final = "damaged"  # the disk lost what was to be sent


class SendOutcome(msgspec.Struct, frozen=True, gc=False):
    """What became of an outgoing send, for whoever asks again.

    Attributes:
        kind: One of `SendKind`.
        answer: What the sender was told or would have been; at most `MAX_ANSWER_BYTES`.
        is_dead: It is among the dead letters, with its request.
    """

    kind: str
    answer: bytes = b""
    is_dead: bool = False


class OutgoingSend(msgspec.Struct, frozen=True, gc=False):
    """A message on its way to Feishu that the journal keeps.

    Attributes:
        uuid: What names it, also for Feishu; at most `MAX_UUID_CHARS`.
        queue: What it waits in line for, such as a chat's id; may be "".
        request: What to send, as its sender wrote it; empty once it has an outcome, unless
            it is dead.
        digest: See `digest_send`; known as long as the send is.
        made_ms: When it was accepted, Unix milliseconds.
        attempts: How often it was tried, also if nobody knows what came of that.
        first_attempt_ms: When it was tried first, None if it never was.
        outcome: What became of it, None until that is known.
        closed_ms: Since when that is known.
        number: In the order in which sends were accepted; 0 until the journal holds it.
    """

    uuid: str
    queue: str
    request: bytes
    digest: bytes
    made_ms: int
    attempts: int = 0
    first_attempt_ms: int | None = None
    outcome: SendOutcome | None = None
    closed_ms: int | None = None
    number: int = 0

    @classmethod
    def make(cls, uuid: str, queue: str, request: bytes, made_ms: int) -> "OutgoingSend":
        """Return one that was not tried yet.

        Raises:
            ValueError: It is no send that a journal keeps.
        """
        if not (0 < len(uuid) <= MAX_UUID_CHARS and uuid.isprintable()):
            raise ValueError(f"uuid of {len(uuid)} characters, expected 1 to {MAX_UUID_CHARS}")
        if len(queue) > MAX_QUEUE_CHARS or not queue.isprintable():
            raise ValueError(f"queue of {len(queue)} characters, at most {MAX_QUEUE_CHARS}")
        if not 0 < len(request) <= MAX_REQUEST_BYTES:
            raise ValueError(f"request of {len(request)} bytes, expected 1 to {MAX_REQUEST_BYTES}")
        return cls(uuid, queue, request, digest_send(uuid, queue, made_ms, request), made_ms)

    def asks_for(self, request: bytes) -> bool:
        """Whether this is the request that was made under the uuid."""
        return self.digest == digest_send(self.uuid, self.queue, self.made_ms, request)
