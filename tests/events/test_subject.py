from fnmatch import fnmatchcase

import pytest
from events.corpus import encode, event
from events.lark import SHAPES, filled, paths

from feishu_ws.events import envelope
from feishu_ws.events.envelope import open_envelope

USER = {"open_id": "ou_1", "union_id": "on_1", "user_id": "u1"}

CASES = [
    ("im.message.receive_v1", {"message": {"chat_id": "oc_1", "message_id": "om_1"}}, "oc_1"),
    ("im.message.receive_v1", {"message": {"message_id": "om_1"}}, "om_1"),
    ("im.message.recalled_v1", {"message_id": "om_1", "chat_id": "oc_1"}, "oc_1"),
    ("im.message.reaction.created_v1", {"message_id": "om_1", "user_id": USER}, "om_1"),
    (
        "im.message.message_read_v1",
        {"reader": {"reader_id": USER}, "message_id_list": ["om_1"]},
        "om_1",
    ),
    ("im.message.message_read_v1", {"reader": {"reader_id": USER}, "message_id_list": []}, "ou_1"),
    ("im.chat.updated_v1", {"chat_id": "oc_1", "operator_id": USER}, "oc_1"),
    (
        "im.chat.access_event.bot_p2p_chat_entered_v1",
        {"chat_id": "oc_1", "operator_id": USER},
        "oc_1",
    ),
    (
        "card.action.trigger",
        {"operator": USER, "context": {"open_chat_id": "oc_1", "open_message_id": "om_1"}},
        "oc_1",
    ),
    ("card.action.trigger", {"operator": USER, "context": {"open_message_id": "om_1"}}, "om_1"),
    ("url.preview.get", {"operator": USER, "context": {"url": "https://x"}}, "ou_1"),
    (
        "application.bot.menu_v6",
        {"operator": {"operator_name": "A", "operator_id": USER}, "event_key": "k"},
        "ou_1",
    ),
    ("application.application.created_v6", {"operator_id": USER, "app_id": "cli_1"}, "ou_1"),
    ("contact.user.updated_v3", {"object": {"open_id": "ou_1", "id": 7}, "old_object": {}}, "ou_1"),
    ("contact.department.created_v3", {"object": {"open_department_id": "od_1"}}, ""),
    ("contact.custom_attr_event.updated_v3", {"object": {"id": "C-1"}}, ""),
    ("drive.file.edit_v1", {"file_token": "f", "operator_id_list": [USER]}, "ou_1"),
    ("drive.file.edit_v1", {"file_token": "f", "operator_id_list": []}, ""),
    ("drive.file.edit_v1", {"file_token": "f", "operator_id_list": [USER, 7]}, "ou_1"),
    ("drive.file.edit_v1", {"file_token": "f", "operator_id_list": [7, USER]}, ""),
    ("drive.file.edit_v1", {"file_token": "f", "operator_id_list": USER}, ""),
    ("drive.file.trashed_v1", {"file_token": "f", "operator_id": USER}, "ou_1"),
    (
        "drive.notice.comment_add_v1",
        {"comment_id": "c", "notice_meta": {"from_user_id": USER}},
        "ou_1",
    ),
    (
        "vc.meeting.meeting_started_v1",
        {"meeting": {"id": "1"}, "operator": {"id": USER, "user_role": 1}},
        "ou_1",
    ),
    ("approval.instance.status_changed_v4", {"instance_code": "i", "start_user": USER}, "ou_1"),
    ("approval.task.status_changed_v4", {"task_id": "t", "assigned_user": USER}, "ou_1"),
    ("auth.user_access_token.revoked_v4", {"open_id": "ou_1", "user_id": "u1"}, "ou_1"),
    ("corehr.job_change.updated_v2", {"operator": "123", "type": 4}, ""),
    (
        "hire.ehr_import_task.imported_v1",
        {"operator_id": "123", "operator_user_id": USER},
        "ou_1",
    ),
    ("helpdesk.ticket.updated_v1", {"object": {"ticket_id": "6", "chat_id": "oc_1"}}, "oc_1"),
    (
        "contact.department.updated_v3",
        {"object": {"open_department_id": "od", "chat_id": "oc_1"}},
        "",
    ),
    ("task.task.updated_v1", {"task_id": "t", "obj_type": 1}, ""),
    ("a.future.event_v1", {"anything": [USER]}, ""),
    ("a.future.event_v1", None, ""),
]


@pytest.mark.parametrize(("event_type", "body", "subject"), CASES)
def test_each_family_has_its_subject(event_type, body, subject):
    """The subject is the chat, else the message, else the user an event is about."""
    opened = open_envelope(event(event_type, body))
    assert (opened.type, opened.subject) == (event_type, subject)
    assert opened.chat_id == (subject if subject.startswith("oc_") else "")


@pytest.mark.parametrize(
    ("body", "subject"),
    [
        ({"type": "message", "open_chat_id": "oc_1", "open_message_id": "om_1"}, "oc_1"),
        (
            {
                "type": "p2p_chat_create",
                "chat_id": "oc_1",
                "operator": {"open_id": "ou_1", "user_id": "u"},
            },
            "oc_1",
        ),
        ({"type": "user_add", "open_id": "ou_1", "employee_id": "e"}, "ou_1"),
        ({"type": "message_read", "open_message_ids": ["om_1"], "open_id": "ou_1"}, "ou_1"),
        ({"type": "leave_approvalV2", "instance_code": "i", "employee_id": "e"}, ""),
        ({"type": "leave_approvalV2", "instance_code": "i", "open_id": "ou_1"}, "ou_1"),
        ({"type": "trip_approval", "instance_code": "i", "open_id": "ou_1"}, "ou_1"),
        ({"type": "add_bot", "open_chat_id": "oc_1", "operator_open_id": "ou_1"}, "oc_1"),
        ({"type": "message_read", "open_chat_id": "oc_1", "message_id_list": ["om_1"]}, "oc_1"),
        (
            {
                "type": "add_user_to_chat",
                "chat_id": "oc_1",
                "operator": {"open_id": "ou_1"},
                "users": [{"open_id": "ou_2", "user_id": "u2", "name": "Bob"}],
            },
            "oc_1",
        ),
        ({"type": "chat_disband", "chat_id": "oc_1", "operator": {"open_id": "ou_1"}}, "oc_1"),
        ({"type": "user_status_change", "open_id": "ou_1", "before_status": {}}, "ou_1"),
        ({"type": "dept_update", "open_id": "ou_1", "open_department_id": "od_1"}, "ou_1"),
        ({"type": "app_status_change", "operator": {"open_id": "ou_1", "user_id": "u"}}, "ou_1"),
        (
            {
                "type": "third_party_meeting_room_event_created",
                "organizer": {"open_id": "ou_1"},
                "meeting_rooms": [{"open_id": "ou_2"}],
            },
            "ou_1",
        ),
        ({"type": "contact_scope_change"}, ""),
        ({"type": "order_paid", "order_id": "7"}, ""),
    ],
)
def test_events_of_schema_1(body, subject):
    """The older names of the ids lead to the same."""
    opened = open_envelope(encode({"uuid": "u", "event": body}))
    assert (opened.schema, opened.type, opened.subject) == ("1.0", body["type"], subject)


PLACES = [
    ("im.message.receive_v1", "message.chat_id"),
    ("im.message.recalled_v1", "chat_id"),
    ("im.message.reaction.*", "message_id"),
    ("im.message.message_read_v1", "message_id_list[0]"),
    ("im.chat.*", "chat_id"),
    ("card.action.trigger", "context.open_chat_id"),
    ("url.preview.get", "context.open_chat_id"),
    ("helpdesk.ticket.created_v1", "chat_id"),
    ("helpdesk.ticket.updated_v1", "object.chat_id"),
    ("helpdesk.ticket_message.*", "chat_id"),
    ("mail.user_mailbox.event.message_received_v1", "message_id"),
    ("contact.user.*", "object.open_id"),
    ("application.bot.menu_v6", "operator.operator_id.open_id"),
    ("application.application.visibility.added_v6", "users[0].user_id.open_id"),
    ("application.application.feedback.created_v6", "user_id.open_id"),
    ("application.application.*", "operator_id.open_id"),
    ("approval.instance.*", "start_user.open_id"),
    ("approval.task.*", "assigned_user.open_id"),
    ("auth.user_access_token.revoked_v4", "open_id"),
    ("calendar.calendar.acl.*", "scope.user_id.open_id"),
    ("drive.file.edit_v1", "operator_id_list[0].open_id"),
    ("drive.file.read_v1", "operator_id_list[0].open_id"),
    ("drive.file.*", "operator_id.open_id"),
    ("drive.notice.*", "notice_meta.from_user_id.open_id"),
    ("vc.meeting.recording_ready_v1", ""),
    ("vc.meeting.*", "operator.id.open_id"),
    ("acs.*", "user_id.open_id"),
    ("moments.*", "user_id.open_id"),
    ("elearning.*", "learner.user_id.open_id"),
    ("corehr.*", "target_user_id.open_id"),
    ("hire.ehr_import_task*", "operator_user_id.open_id"),
    ("security_and_compliance.device_apply_record.*", "operator.open_id"),
]
"""What each family is about; the first that fits counts, and only where the field exists."""


def _place(event_type):
    fitting = (place for glob, place in PLACES if fnmatchcase(event_type, glob))
    place = next(fitting, "")
    return place if place in set(paths(SHAPES[event_type])) else ""


@pytest.mark.parametrize("event_type", SHAPES)
def test_every_event_of_lark_oapi_has_the_subject_of_its_family(event_type):
    """The rule names a field that exists, and takes no other where several might do."""
    opened = open_envelope(filled(event_type))

    assert opened.subject == _place(event_type)
    assert opened.chat_id == (opened.subject if opened.subject.endswith("chat_id") else "")


@pytest.mark.parametrize(("glob", "place"), [pair for pair in PLACES if pair[1]])
def test_every_family_has_members_with_that_field(glob, place):
    """A rule that fits no event, or names a field that no event of its family has, is wrong."""
    assert [kind for kind in SHAPES if fnmatchcase(kind, glob) and place in paths(SHAPES[kind])]


@pytest.mark.parametrize("event_type", SHAPES)
def test_no_event_of_lark_oapi_is_odd(event_type):
    """A field that has a name here has its type, so that no event takes the slow way."""
    assert envelope._strict.decode(filled(event_type)).event is not None


@pytest.mark.parametrize(
    ("sender_type", "from_app"), [("user", False), ("app", True), ("bot", True), ("", False)]
)
def test_messages_of_apps(sender_type, from_app):
    """Feishu calls a sender that is no person app or bot, and does not say which one it is."""
    body = {"sender": {"sender_type": sender_type}, "message": {"chat_id": "oc_1"}}

    assert open_envelope(event("im.message.receive_v1", body)).from_app is from_app


@pytest.mark.parametrize(
    ("body", "from_app"),
    [
        ({"operator_type": "app", "app_id": "cli_own"}, True),
        ({"operator_type": "app"}, True),
        ({"operator_type": "app", "app_id": "cli_other"}, False),
        ({"operator_type": "user", "app_id": ""}, False),
        ({"operator_type": "user", "app_id": "cli_own"}, False),
        ({"operator_type": ["app"]}, False),
    ],
)
def test_reactions_of_this_app(body, from_app):
    """A reaction names the app it is from; only this one's is its own."""
    payload = event(
        "im.message.reaction.created_v1", {"message_id": "om_1", **body}, app_id="cli_own"
    )

    assert open_envelope(payload).from_app is from_app
