"""The labels of the metrics and every value they may have.

Label values are closed sets: what comes from outside (event types, close codes,
error codes, consumer names) has a value of its own only if it is listed here or in
the configuration; the rest is `other`. A label never says more than its set.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final

from feishu_ws.faults import Fault
from feishu_ws.model import UNKNOWN_TYPE, DeadReason, SendKind
from feishu_ws.wire.link import LinkState
from feishu_ws.wire.routes import ROUTES

OTHER: Final = "other"


class Values(Enum):
    """Where the values of a label come from."""

    LISTED = "the table"
    EVENT_TYPES = "telemetry.event_types"
    CONSUMERS = "delivery.consumers"
    LINKS = "upstream.connections"
    FREE = "the build"


@dataclass(frozen=True, slots=True)
class Label:
    """A label.

    Attributes:
        values: All of them, `other` included where `folds`; empty unless LISTED.
        folds: Whether a value that is not in the set counts as `other`.
        is_sparse: Whether a value has its series only once it was seen.
    """

    name: str
    values: tuple[str, ...] = ()
    source: Values = Values.LISTED
    folds: bool = False
    is_sparse: bool = False


def _closed(name: str, *values: str) -> Label:
    return Label(name, values)


def _folding(name: str, *values: str) -> Label:
    return Label(name, (*values, OTHER), folds=True)


EVENT_TYPES: Final = (
    "im.message.receive_v1",
    "im.message.message_read_v1",
    "im.message.recalled_v1",
    "im.message.reaction.created_v1",
    "im.message.reaction.deleted_v1",
    "im.chat.updated_v1",
    "im.chat.disbanded_v1",
    "im.chat.member.bot.added_v1",
    "im.chat.member.bot.deleted_v1",
    "im.chat.member.user.added_v1",
    "im.chat.member.user.deleted_v1",
    "im.chat.member.user.withdrawn_v1",
    "im.chat.access_event.bot_p2p_chat_entered_v1",
    "card.action.trigger",
    "url.preview.get",
    "application.bot.menu_v6",
    "application.application.visibility.added_v6",
    "approval.approval.updated_v4",
    "approval.instance.status_changed_v4",
    "approval.task.status_changed_v4",
    "contact.user.created_v3",
    "contact.user.updated_v3",
    "contact.user.deleted_v3",
    "contact.department.updated_v3",
    "contact.scope.updated_v3",
    "calendar.calendar.changed_v4",
    "calendar.calendar.event.changed_v4",
    "drive.file.edit_v1",
    "drive.file.title_updated_v1",
    "drive.file.bitable_record_changed_v1",
    "drive.notice.comment_add_v1",
    "vc.meeting.meeting_started_v1",
    "vc.meeting.meeting_ended_v1",
    "task.task.updated_v1",
    "task.task.update_user_access_v2",
    "minutes.minute.generated_v1",
    UNKNOWN_TYPE,
)
"""Types counted by name unless `telemetry.event_types` says otherwise: the most used.

Source: lark-oapi 1.7.5 event/dispatcher_handler.py and the common list of lark-cli.
"""

EVENT_TYPE: Final = Label("event_type", source=Values.EVENT_TYPES, folds=True)
CONSUMER: Final = Label("consumer", source=Values.CONSUMERS)
LINK: Final = Label("link", source=Values.LINKS)
STATE: Final = _closed("state", *LinkState)

ATTEMPT_PHASE: Final = _folding("phase", "discovery", "dns", "tcp", "tls", "proxy", "handshake")
TIMED_PHASE: Final = _closed("phase", "discovery", "dns", "tcp", "tls", "handshake")

LOSS_CAUSE: Final = _folding(
    "cause",
    Fault.CLOSED_BY_FEISHU,
    Fault.CONNECTION_LOST,
    Fault.PONG_OVERDUE,
    Fault.FRAME_TOO_LARGE,
    Fault.SEND_STALLED,
    Fault.LOCAL_STOP,
    Fault.ROTATED,
    Fault.LINK_SUSPECT,
    Fault.INTERNAL,
)
CLOSE_CODE: Final = _folding("code", "1000", "1001", "1006", "1008", "1009", "1011", "1012", "1013")
"""1006 = no close frame came (RFC 6455 7.1.5)."""

DISCOVERY_CODE: Final = _folding(
    "code",
    "0",
    "1",
    "403",
    "514",
    "1000040343",
    "1000040344",
    "1000040345",
    "1000040346",
    "1000040350",
    "1000040351",
    "http",
    "malformed",
    "transport",
)
"""Feishu's result codes; `transport` = no HTTP answer, `http` = a status other than 200.

Source: lark-oapi 1.7.5 ws/const.py, oapi-sdk-go v3.2.2 ws/const.go, observed.
"""

FRAME_IN: Final = _folding("frame_type", "event", "card", "pong")
FRAME_OUT: Final = _folding("frame_type", "ack", "ping")
FRAME_ERROR: Final = _folding(
    "reason",
    "protobuf",
    "text",
    "unknown_method",
    "unknown_type",
    "missing_header",
    "fragment_range",
    "fragment_timeout",
    "too_large",
    "too_many_parts",
    "fragments_full",
)
REFUSAL: Final = _folding(
    "fault",
    Fault.JOURNAL_SLOW,
    Fault.JOURNAL_FULL,
    Fault.JOURNAL_BACKLOG,
    Fault.DISK_FULL,
    Fault.JOURNAL_IO,
    Fault.JOURNAL_READ_ONLY,
    Fault.JOURNAL_CORRUPT,
    Fault.INTERNAL,
)
CALLBACK_RESULT: Final = _folding("result", "answered", "defaulted", "late")
JOURNAL_OP: Final = _folding("op", "append", "read", "upkeep")
DEAD_REASON: Final = _folding(
    "reason", DeadReason.MAX_ATTEMPTS, DeadReason.EXPIRED, DeadReason.REJECTED
)
DISCARD_REASON: Final = _folding(
    "reason", "filtered", "journal_full", "consumer_absent", "dead_letter"
)
"""`dead_letter` = a dead letter that made room, or that an operator dropped."""
CONSUMER_CAUSE: Final = _folding("cause", "closed", "superseded", "slow", "protocol", "shutdown")
CLIENT_REFUSAL: Final = _folding(
    "reason", "uid", "full", "slow", "line", "host", "admin", "secret", "frame"
)
ROUTE: Final = Label("route", (*ROUTES, OTHER), is_sparse=True)
API_RESULT: Final = _closed(
    "result", "ok", "client_error", "rate_limited", "server_error", "auth", "transport"
)
SEND_RESULT: Final = _folding(
    "result",
    SendKind.SENT,
    SendKind.REFUSED,
    SendKind.EXPIRED,
    SendKind.OUTCOME_UNKNOWN,
    SendKind.DAMAGED,
    "failed",
)
LEVEL: Final = _closed("level", "debug", "info", "warning", "error", "critical")
FOLDED: Final = _closed(
    "label", "cause", "code", "event_type", "fault", "frame_type", "op", "phase", "reason", "result"
)
BUILD: Final = (
    Label("version", source=Values.FREE),
    Label("python_version", source=Values.FREE),
)
