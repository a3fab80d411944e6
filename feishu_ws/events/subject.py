"""Which chat, message or user an event is about. Pure.

The body of an event has no common form; each family names its ids in its own way.
`EventBody` is the union of the names that lead to a chat, a message or a user, and
the functions below say which goes first. What is not named here is skipped unread.

| family | subject |
|---|---|
| im.message.receive_v1 | message.chat_id |
| im.message.recalled_v1, im.chat.*, helpdesk.ticket.created, helpdesk.ticket_message.* | chat_id |
| helpdesk.ticket.updated_v1 | object.chat_id |
| card.action.trigger, url.preview.get | context.open_chat_id, else context.open_message_id |
| im.message.reaction.*, mail.* | message_id |
| im.message.message_read_v1 | message_id_list[0], else reader.reader_id.open_id |
| contact.user.* | object.open_id |
| application.bot.menu_v6, vc.meeting.*, drive.file.*, application.* | open_id of the operator |
| drive.file.edit_v1, drive.file.read_v1 | operator_id_list[0].open_id |
| application.application.visibility.added_v6 | users[0].user_id.open_id |
| drive.notice.comment_add_v1 | notice_meta.from_user_id.open_id |
| approval.instance.*, approval.task.* | open_id of start_user, assigned_user |
| calendar.calendar.acl.* | scope.user_id.open_id |
| acs.*, moments.*, elearning.*, corehr.*, hire.* | open_id of whom it is about, where it says |
| 1.0: message, add_bot, p2p_chat_create, user_add | open_chat_id, chat_id, open_id |
| 1.0: third_party_meeting_room_event_* | organizer.open_id |

Who subscribed to an event, and gets it therefore, is not what it is about.
Source: lark-oapi 1.7.5, the `*Data` models of its 198 events; of schema 1.0,
oapi-sdk-go v3 service/*/ext_model.go.
"""

from typing import Annotated, Final

import msgspec

MAX_ID_CHARS = 256
"""Ids and types from outside that are longer are as if absent."""

APP_SENDERS: Final = frozenset({"app", "bot"})
"""What Feishu calls a sender that is no person."""

Id = Annotated[str, msgspec.Meta(max_length=MAX_ID_CHARS)]


class Ids(msgspec.Struct, gc=False):
    """A user, as most events write one."""

    open_id: Id = ""


class Person(msgspec.Struct, gc=False):
    """A user, as some events wrap one: the id itself, or an object that holds it."""

    open_id: Id = ""
    id: Ids | Id | None = None
    user_id: Ids | Id | None = None
    operator_id: Ids | Id | None = None
    reader_id: Ids | None = None
    from_user_id: Ids | None = None


class Thing(Person, gc=False):
    """What changed: a user, or a ticket, which has a chat (as a department has, its own)."""

    ticket_id: Id = ""
    chat_id: Id = ""


class FirstId(msgspec.Struct, array_like=True, gc=False):
    """The first of a list of ids; a million others are skipped unread."""

    first: Id = ""


class FirstIds(msgspec.Struct, array_like=True, gc=False):
    """The first of a list of users."""

    first: Ids | None = None


class FirstPerson(msgspec.Struct, array_like=True, gc=False):
    """The first of a list of users, wrapped."""

    first: Person | None = None


class ReceivedMessage(msgspec.Struct, gc=False):
    """What of `im.message.receive_v1` is needed before its content."""

    chat_id: Id = ""
    message_id: Id = ""


class Sender(msgspec.Struct, gc=False):
    """Who sent a message; `sender_type` is `user`, `app` or `bot`."""

    sender_type: Id = ""


class Context(msgspec.Struct, gc=False):
    """Where a card or a link preview stands."""

    open_chat_id: Id = ""
    open_message_id: Id = ""


class EventBody(msgspec.Struct, gc=False):
    """`event` of either envelope; type, tenant_key and app_id are schema 1.0's."""

    message: ReceivedMessage | None = None
    sender: Sender | None = None
    type: Id | int | None = None
    tenant_key: Id = ""
    app_id: Id = ""
    chat_id: Id = ""
    open_chat_id: Id = ""
    context: Context | None = None
    message_id: Id = ""
    open_message_id: Id = ""
    message_id_list: FirstId | None = None
    open_id: Id = ""
    user_id: Ids | Id | None = None
    object: Thing | None = None
    reader: Person | None = None
    operator_id: Ids | Id | None = None
    operator: Person | Id | None = None
    operator_type: Id = ""
    operator_id_list: FirstIds | None = None
    notice_meta: Person | None = None
    start_user: Ids | None = None
    assigned_user: Ids | None = None
    users: FirstPerson | None = None
    scope: Person | Id | int | None = None
    learner: Person | None = None
    target_user_id: Ids | Id | None = None
    operator_user_id: Ids | Id | None = None
    organizer: Ids | None = None


def chat_of(body: EventBody) -> str:
    """Return the chat an event belongs to, "" where there is none."""
    if body.message is not None and body.message.chat_id:
        return body.message.chat_id
    in_context = "" if body.context is None else body.context.open_chat_id
    return body.chat_id or body.open_chat_id or in_context or _chat_of_ticket(body.object)


def _chat_of_ticket(thing: Thing | None) -> str:
    return thing.chat_id if thing is not None and thing.ticket_id else ""


def is_from_app(body: EventBody, app_id: str) -> bool:
    """Whether an app caused an event: of a message any app, of a reaction only `app_id`.

    A message says that an app or a bot sent it, not which; a reaction names its app.
    Source: lark-oapi 1.7.5 (operator_type and app_id of reactions);
    NousResearch/hermes-agent#12450 (messages of bots are sent by `bot`).
    """
    if body.sender is not None:
        return body.sender.sender_type in APP_SENDERS
    return body.operator_type == "app" and body.app_id in {"", app_id}


def subject_of(body: EventBody) -> str:
    """Return the chat, else the message, else the user an event is about; else ""."""
    return chat_of(body) or _message_of(body) or _user_of(body)


def _message_of(body: EventBody) -> str:
    if body.message is not None and body.message.message_id:
        return body.message.message_id
    in_context = "" if body.context is None else body.context.open_message_id
    listed = "" if body.message_id_list is None else body.message_id_list.first
    return body.message_id or body.open_message_id or in_context or listed


def _user_of(body: EventBody) -> str:
    if body.open_id:
        return body.open_id
    places = (
        body.user_id,
        body.object,
        body.reader,
        body.operator_id,
        body.operator,
        None if body.operator_id_list is None else body.operator_id_list.first,
        body.notice_meta,
        body.start_user,
        body.assigned_user,
        None if body.users is None else body.users.first,
        body.scope,
        body.learner,
        body.target_user_id,
        body.operator_user_id,
        body.organizer,
    )
    return next(filter(None, map(_open_id, places)), "")


def _open_id(place: Ids | Person | str | int | None) -> str:
    if place is None or isinstance(place, str | int):
        return ""
    if isinstance(place, Ids) or place.open_id:
        return place.open_id
    inner = (place.id, place.user_id, place.operator_id, place.reader_id, place.from_user_id)
    return next((ids.open_id for ids in inner if isinstance(ids, Ids) and ids.open_id), "")
