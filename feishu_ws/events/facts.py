"""Who did it, and the one thing that matters about an event. Pure and total.

For people who watch: what is read here is content, and belongs in no log. It reads
decoded JSON, the body of an event in either envelope; whatever is not there, or is
something else than it should be, reads as nothing.

Source of the fields: lark-oapi 1.7.5 api/*/model and event/callback/model; of
schema 1.0, oapi-sdk-go v3 service/*/ext_model.go.
"""

from itertools import islice
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from feishu_ws.events.lookup import (
    MOST_CHARS,
    MOST_FIELDS,
    Read,
    at,
    changes,
    compact,
    counted,
    dig,
    each,
    few,
    joined,
    list_of,
    text_of,
)

_MOST_KINDS: Final = 3  # of changes to one table


class Fact(NamedTuple):
    """Who acted (a name, else an id) and what matters, either perhaps ""."""

    who: str
    words: str


def read_fact(event_type: str, data: Any) -> Fact:
    """Return what there is to say about an event, `data` being its decoded payload."""
    body = dig(data, "event")
    if not isinstance(body, dict):
        return Fact("", _unopened(data))
    read = next((read for begin, read in _READERS if event_type.startswith(begin)), None)
    who = next(filter(None, (text_of(dig(body, *path)) for path in _ACTORS)), "")
    if not who and body.get("operator_type") == "app":
        who = text_of(body.get("app_id")) or "app"
    return Fact(who, _fields(body, who) if read is None else read(body))


_ACTORS: Final = (
    ("operator", "operator_name"),
    ("operator", "operator_id", "open_id"),
    ("operator", "id", "open_id"),
    ("operator", "open_id"),
    ("operator_id", "open_id"),
    ("operator_id_list", 0, "open_id"),
    ("operator_name",),
    ("operator_open_id",),
    ("user_id", "open_id"),
    ("reader", "reader_id", "open_id"),
    ("notice_meta", "from_user_id", "open_id"),
    ("start_user", "open_id"),
    ("assigned_user", "open_id"),
    ("sender_id", "open_id"),
    ("guest", "name"),
    ("object", "open_id"),
    ("inviter", "user_name"),
    ("learner", "user_id", "open_id"),
    ("organizer", "open_id"),
    ("open_id",),
)
"""Where the events keep who acted, or whom they are about."""


def _unopened(data: Any) -> str:
    """Return what there is to say of a payload without a body."""
    if isinstance(data, bytes):
        return f"{counted(len(data), 'byte')}, no JSON"
    return _fields(data) if isinstance(data, dict) else text_of(data)


def _fields(body: dict[str, Any], who: str = "") -> str:
    """Return the first scalars of a body nothing is known about."""
    pairs = ((key, text_of(value)) for key, value in body.items() if key not in _ENVELOPE)
    told = (f"{key[:MOST_CHARS]}={text}" for key, text in pairs if text and text != who)
    return joined(*islice(told, MOST_FIELDS))


_ENVELOPE: Final = frozenset({"type", "app_id", "tenant_key"})  # of schema 1.0


# -- one family after the other ---------------------------------------------------------


def _reaction(body: dict[str, Any]) -> str:
    emoji = text_of(dig(body, "reaction_type", "emoji_type"))
    return f":{emoji}:" if emoji else ""


def _read_messages(body: dict[str, Any]) -> str:
    return counted(len(list_of(body.get("message_id_list"))), "message")


_RECALLERS: Final = {
    "message_owner": "by who wrote it",
    "group_owner": "by the chat's owner",
    "group_manager": "by a manager of the chat",
    "enterprise_manager": "by an administrator",
}


def _recalled(body: dict[str, Any]) -> str:
    by = text_of(body.get("recall_type"))
    return joined(_RECALLERS.get(by, by), text_of(body.get("message_id")))


def _members(body: dict[str, Any]) -> str:
    users = list_of(body.get("users"))
    names = (
        text_of(dig(user, "name")) or text_of(dig(user, "user_id", "open_id")) for user in users
    )
    chat = text_of(body.get("name"))
    return joined(few(names, len(users)), f"in {chat}" if chat else "")


def _chat_change(body: dict[str, Any]) -> str:
    return changes(body.get("before_change"), body.get("after_change"))


def _card(body: dict[str, Any]) -> str:
    action = body.get("action")
    chosen = list_of(dig(action, "options"))
    return joined(
        text_of(dig(action, "tag")),
        text_of(dig(action, "name")),
        text_of(dig(action, "option")) or few(map(text_of, chosen), len(chosen)),
        text_of(dig(action, "checked")),
        text_of(dig(action, "input_value")),
        compact(dig(action, "value")),
        compact(dig(action, "form_value")),
    )


def _preview(body: dict[str, Any]) -> str:
    return _bare(text_of(dig(body, "context", "url")))


def _bare(url: str) -> str:
    """Return a URL without what may be secret in it: user, query and fragment."""
    try:
        parts = urlsplit(url)
    except ValueError:  # brackets that hold no address
        return ""
    return f"{parts.scheme}://{parts.hostname}{parts.path}" if parts.hostname else ""


def _visible_to(body: dict[str, Any]) -> str:
    return f"to {counted(len(list_of(body.get('users'))), 'user')}"


def _person(body: dict[str, Any]) -> str:
    new = body.get("object")
    return joined(text_of(dig(new, "name")), changes(body.get("old_object"), new))


def _employee_type(body: dict[str, Any]) -> str:
    new, old = body.get("new_enum"), body.get("old_enum")
    return text_of(dig(new, "content")) or text_of(dig(old, "content"))


def _scope(body: dict[str, Any]) -> str:
    nouns = (("departments", "department"), ("users", "user"), ("user_groups", "group"))
    told = (
        f"{sign}{counted(len(list_of(dig(body, side, key))), noun)}"
        for side, sign in (("added", "+"), ("removed", "-"))
        for key, noun in nouns
        if list_of(dig(body, side, key))
    )
    return ", ".join(told)


def _calendar_event(body: dict[str, Any]) -> str:
    answers = list_of(body.get("rsvp_infos"))
    told = (text_of(dig(answer, "rsvp_status")) for answer in answers)
    return joined(
        text_of(body.get("change_type")),
        text_of(body.get("calendar_event_id")),
        few(told, len(answers)),
    )


def _file(body: dict[str, Any]) -> str:
    return joined(text_of(body.get("file_type")), text_of(body.get("file_token")))


def _shared_file(body: dict[str, Any]) -> str:
    nouns = (
        (("user_list", "application_user_list"), "user"),
        (("chat_list", "application_chat_list"), "chat"),
        (("open_department_id_list", "application_department_list"), "department"),
    )
    counts = ((sum(len(list_of(body.get(key))) for key in keys), noun) for keys, noun in nouns)
    whom = ", ".join(counted(count, noun) for count, noun in counts if count)
    remark = text_of(body.get("application_remark"))
    return joined(_file(body), f"for {whom}" if whom else "", remark)


def _table(body: dict[str, Any]) -> str:
    actions = list_of(body.get("action_list"))
    kinds = dict.fromkeys(filter(None, (text_of(dig(one, "action")) for one in actions)))
    told = f"{', '.join(islice(kinds, _MOST_KINDS))} x{len(actions)}" if kinds else ""
    return joined(told, text_of(body.get("table_id")), text_of(body.get("file_token")))


def _comment(body: dict[str, Any]) -> str:
    meta = body.get("notice_meta")
    is_reply = bool(text_of(body.get("reply_id")))
    mentioned = "mentions you" if body.get("is_mentioned") is True else ""
    return joined("reply on" if is_reply else "on", _file(_as_object(meta)), mentioned)


def _as_object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _meeting_activity(body: dict[str, Any]) -> str:
    item = dig(body, "meeting_activity_items", 0)
    return joined(text_of(dig(item, "meeting", "topic")), text_of(dig(item, "activity_event_type")))


def _task_access(body: dict[str, Any]) -> str:
    kinds = list_of(body.get("event_types"))
    return joined(text_of(body.get("task_guid")), few(map(text_of, kinds), len(kinds)))


def _ticket(body: dict[str, Any]) -> str:
    return joined("ticket", text_of(body.get("ticket_id")))


def _ticket_change(body: dict[str, Any]) -> str:
    new = body.get("object")
    return joined(_ticket(_as_object(new)), changes(body.get("old_object"), new))


def _message_1(body: dict[str, Any]) -> str:
    kind = text_of(body.get("msg_type")) or "message"
    return text_of(body.get("text_without_at_bot")) or f"[{kind}]"


def _nothing(_: dict[str, Any]) -> str:
    return ""


_approval: Final = each(("status",), ("instance_code",))
_APPLICATION: Final = "application.application."

_READERS: Final[tuple[tuple[str, Read], ...]] = (
    ("im.message.receive_", _nothing),  # the message itself says it
    ("im.message.reaction.", _reaction),
    ("im.message.message_read_", _read_messages),
    ("im.message.recalled_", _recalled),
    ("im.chat.access_event.", _nothing),
    ("im.chat.updated_", _chat_change),
    ("im.chat.disbanded_", at("name")),
    ("im.chat.member.bot.", at("name")),
    ("im.chat.member.user.", _members),
    ("card.action.trigger", _card),
    ("url.preview.get", _preview),
    ("application.bot.menu_", at("event_key")),
    (_APPLICATION + "created_", at("name")),
    (_APPLICATION + "visibility.", _visible_to),
    (_APPLICATION + "app_version.audit_", each(("operation",), ("remark",))),
    (
        _APPLICATION + "app_version.publish_apply_",
        each(("under_audit_version", "app_name"), ("under_audit_version", "version")),
    ),
    (_APPLICATION + "app_version.publish_revoke_", at("version_id")),
    (_APPLICATION + "feedback.created_", at("description")),
    (_APPLICATION + "feedback.updated_", at("feedback_ids", 0)),
    ("approval.approval.", at("object", "approval_code")),
    ("approval.", _approval),
    ("auth.user_access_token.", at("revoke_reason")),
    ("contact.user.", _person),
    ("contact.department.", _person),
    ("contact.employee_type_enum.", _employee_type),
    ("contact.scope.", _scope),
    ("calendar.calendar.acl.", at("role")),
    ("calendar.calendar.event.", _calendar_event),
    ("drive.file.permission_member_", _shared_file),
    ("drive.file.bitable_", _table),
    ("drive.file.", _file),
    ("drive.notice.comment_add_", _comment),
    ("vc.meeting.", at("meeting", "topic")),
    ("vc.bot.meeting_activity_", _meeting_activity),
    ("vc.bot.meeting_", at("meeting", "topic")),
    ("vc.room.", at("room", "name")),
    ("minutes.minute.", at("minute_token")),
    ("meeting_room.", at("room_name")),
    ("task.task.update_user_access_", _task_access),
    ("task.task.", each(("task_id",), ("comment_id",))),
    ("helpdesk.ticket.created_", _ticket),
    ("helpdesk.ticket.updated_", _ticket_change),
    ("helpdesk.ticket_message.", at("text")),
    ("helpdesk.notification.", at("approve_status")),
    ("mail.user_mailbox.event.", at("mail_address")),
    # schema 1.0
    ("message_read", _read_messages),
    ("message", _message_1),
    ("add_bot", at("chat_name")),
    ("remove_bot", at("chat_name")),
    ("p2p_chat_create", at("user", "name")),
    ("add_user_to_chat", _members),
    ("remove_user_from_chat", _members),
    ("revoke_add_user_from_chat", _members),
    ("chat_disband", _nothing),
    ("group_setting_update", _chat_change),
    ("app_status_change", at("status")),
    ("approval_", _approval),
    ("leave_approval", each(("leave_name",), ("leave_type",), ("leave_reason",))),
    ("work_approval", each(("work_type",), ("work_reason",))),
    ("shift_approval", at("shift_reason")),
    ("remedy_approval", at("remedy_reason")),
    ("trip_approval", at("trip_reason")),
    ("out_approval", each(("out_name",), ("out_reason",))),
)
"""What matters, by how an event type begins; the first that fits counts.

Of every other type the first fields are told.
"""
