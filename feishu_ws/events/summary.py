"""One line about an event, for people who watch. Pure.

It shows content; it is for `tail`, never for logs.
"""

import unicodedata
from typing import Final

from feishu_ws.events.received import Message

MAX_CHARS: Final = 240
"""Characters of a summary before those that cannot be shown are escaped."""

_MAX_TYPE_CHARS: Final = 80
_MAX_ID_CHARS: Final = 40
_SPACE_SEPARATOR: Final = "Zs"  # Chinese text is full of wide spaces
_ZERO_WIDTH_JOINER: Final = "\u200d"  # part of many emoji, though not printable by itself

_MEANINGS: Final = {
    "im.message.receive_v1": "message",
    "im.message.message_read_v1": "message read",
    "im.message.recalled_v1": "message recalled",
    "im.message.reaction.created_v1": "reaction added",
    "im.message.reaction.deleted_v1": "reaction removed",
    "im.chat.updated_v1": "chat changed",
    "im.chat.disbanded_v1": "chat disbanded",
    "im.chat.member.bot.added_v1": "bot added to chat",
    "im.chat.member.bot.deleted_v1": "bot removed from chat",
    "im.chat.member.user.added_v1": "member added to chat",
    "im.chat.member.user.deleted_v1": "member removed from chat",
    "im.chat.member.user.withdrawn_v1": "invitation to chat withdrawn",
    "im.chat.access_event.bot_p2p_chat_entered_v1": "chat with bot opened",
    "card.action.trigger": "card used",
    "url.preview.get": "link preview asked for",
    "application.bot.menu_v6": "bot menu used",
    "application.application.created_v6": "app created",
    "application.application.visibility.added_v6": "app made visible",
    "application.application.app_version.audit_v6": "app version reviewed",
    "approval.approval.updated_v4": "approval definition changed",
    "approval.instance.status_changed_v4": "approval changed status",
    "approval.task.status_changed_v4": "approval task changed status",
    "contact.user.created_v3": "user created",
    "contact.user.updated_v3": "user changed",
    "contact.user.deleted_v3": "user left",
    "contact.department.created_v3": "department created",
    "contact.department.updated_v3": "department changed",
    "contact.department.deleted_v3": "department deleted",
    "contact.scope.updated_v3": "contact scope changed",
    "calendar.calendar.changed_v4": "calendar changed",
    "calendar.calendar.acl.created_v4": "calendar shared",
    "calendar.calendar.acl.deleted_v4": "calendar no longer shared",
    "calendar.calendar.event.changed_v4": "calendar event changed",
    "drive.file.edit_v1": "file edited",
    "drive.file.title_updated_v1": "file renamed",
    "drive.file.created_in_folder_v1": "file created",
    "drive.file.deleted_v1": "file deleted",
    "drive.file.trashed_v1": "file moved to trash",
    "drive.file.read_v1": "file read",
    "drive.file.permission_member_added_v1": "file shared",
    "drive.file.permission_member_applied_v1": "access to file asked for",
    "drive.file.permission_member_removed_v1": "file no longer shared",
    "drive.file.bitable_record_changed_v1": "table record changed",
    "drive.file.bitable_field_changed_v1": "table field changed",
    "drive.notice.comment_add_v1": "comment added",
    "vc.meeting.meeting_started_v1": "meeting started",
    "vc.meeting.meeting_ended_v1": "meeting ended",
    "vc.meeting.join_meeting_v1": "meeting joined",
    "vc.meeting.leave_meeting_v1": "meeting left",
    "task.task.updated_v1": "task changed",
    "task.task.update_tenant_v1": "task of tenant changed",
    "task.task.comment.updated_v1": "task comment changed",
    "task.task.update_user_access_v2": "task changed",
    "minutes.minute.generated_v1": "minutes ready",
}


def summarize(event_type: str, subject: str, message: Message | None) -> str:
    """Return one printable line: the type, what it means, about what, a message's words."""
    kind = event_type[:_MAX_TYPE_CHARS]
    meaning = _MEANINGS.get(kind)
    head = f"{kind} ({meaning})" if meaning else kind
    about = f"{head} {subject[:_MAX_ID_CHARS]}" if subject else head
    if message is None:
        return printable(about)
    sender = (message.sender.open_id or message.sender.type or "somebody")[:_MAX_ID_CHARS]
    return printable(f"{about} {sender}: {message.text[:MAX_CHARS]}")


def printable(text: str, limit: int = MAX_CHARS) -> str:
    """Return at most `limit` characters of text, what cannot be shown escaped."""
    cut = text if len(text) <= limit else text[: limit - 1] + "…"
    return cut if cut.isprintable() else "".join(map(_show, cut))


def _show(char: str) -> str:
    if char.isprintable() or char == _ZERO_WIDTH_JOINER:
        return char
    if unicodedata.category(char) == _SPACE_SEPARATOR:
        return " "
    return char.encode("unicode_escape").decode("ascii")
