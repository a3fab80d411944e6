import pytest
from events.corpus import encode, event

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
    ("drive.file.edit_v1", {"file_token": "f", "operator_id_list": [USER]}, ""),
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
    ("hire.ehr_import_task.imported_v1", {"operator_id": "123", "operator_user_id": USER}, ""),
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
    ],
)
def test_events_of_schema_1(body, subject):
    """The older names of the ids lead to the same."""
    opened = open_envelope(encode({"uuid": "u", "event": body}))
    assert (opened.schema, opened.type, opened.subject) == ("1.0", body["type"], subject)
