import json

import pytest
from events.corpus import CARD_ACTION, V1, encode, event, payloads, unhurried, values
from events.lark import SHAPES, filled, paths
from hypothesis import given
from hypothesis import strategies as st

from feishu_ws.events.facts import _READERS, read_fact
from feishu_ws.simulator.corpus import SAMPLES, Origin

ORIGIN = Origin()
USER = {"open_id": "ou_1", "union_id": "on_1", "user_id": "u1"}
BOUND = 4000


def fact(event_type, body):
    return tuple(read_fact(event_type, json.loads(event(event_type, body))))


@pytest.mark.parametrize(
    ("event_type", "body", "who", "words"),
    [
        (
            "im.message.reaction.created_v1",
            {"user_id": USER, "reaction_type": {"emoji_type": "SMILE"}},
            "ou_1",
            ":SMILE:",
        ),
        (
            "im.message.reaction.deleted_v1",
            {"operator_type": "app", "app_id": "cli_1", "reaction_type": {"emoji_type": "OK"}},
            "cli_1",
            ":OK:",
        ),
        ("im.message.reaction.deleted_v1", {"operator_type": "app"}, "app", ""),
        (
            "im.message.recalled_v1",
            {"message_id": "om_1", "recall_type": "group_owner"},
            "",
            "by the chat's owner om_1",
        ),
        ("im.message.recalled_v1", {"message_id": "om_1", "recall_type": "x"}, "", "x om_1"),
        (
            "im.message.message_read_v1",
            {"reader": {"reader_id": USER}, "message_id_list": ["om_1"]},
            "ou_1",
            "1 message",
        ),
        (
            "im.chat.updated_v1",
            {"operator_id": USER, "before_change": {"name": "A"}, "after_change": {"name": "B"}},
            "ou_1",
            "name: A → B",
        ),
        (
            "im.chat.member.user.added_v1",
            {"operator_id": USER, "name": "群", "users": [{"name": "Bob"}, {"user_id": USER}]},
            "ou_1",
            "Bob, ou_1 in 群",
        ),
        ("im.chat.member.bot.added_v1", {"operator_id": USER, "name": "群"}, "ou_1", "群"),
        (
            "card.action.trigger",
            {"operator": USER, "action": {"tag": "button", "name": "ok", "value": {"id": 3}}},
            "ou_1",
            "button ok id=3",
        ),
        (
            "card.action.trigger",
            {"operator": USER, "action": {"tag": "select_static", "option": "red"}},
            "ou_1",
            "select_static red",
        ),
        (
            "card.action.trigger",
            {"operator": USER, "action": {"tag": "multi_select_static", "options": ["a", "b"]}},
            "ou_1",
            "multi_select_static a, b",
        ),
        (
            "card.action.trigger",
            {"operator": USER, "action": {"tag": "checker", "checked": False}},
            "ou_1",
            "checker no",
        ),
        (
            "card.action.trigger",
            {
                "operator": USER,
                "action": {"tag": "button", "form_value": {"a": "x"}, "input_value": "y"},
            },
            "ou_1",
            "button y a=x",
        ),
        (
            "url.preview.get",
            {"operator": USER, "context": {"url": "https://u:p@example.com/a?token=1#b"}},
            "ou_1",
            "https://example.com/a",
        ),
        ("url.preview.get", {"context": {"url": "https://[x/a"}}, "", ""),
        (
            "application.bot.menu_v6",
            {"operator": {"operator_name": "Ann", "operator_id": USER}, "event_key": "help"},
            "Ann",
            "help",
        ),
        (
            "approval.instance.status_changed_v4",
            {"status": "APPROVED", "instance_code": "I1", "start_user": USER},
            "ou_1",
            "APPROVED I1",
        ),
        (
            "approval.task.status_changed_v4",
            {"status": "PENDING", "instance_code": "I1", "assigned_user": USER},
            "ou_1",
            "PENDING I1",
        ),
        (
            "contact.user.updated_v3",
            {"object": {**USER, "name": "Ann", "city": "B"}, "old_object": {"city": "A"}},
            "ou_1",
            "Ann city: A → B",
        ),
        (
            "contact.scope.updated_v3",
            {"added": {"users": [USER, USER]}, "removed": {"departments": [{}]}},
            "",
            "+2 users, -1 department",
        ),
        (
            "calendar.calendar.event.changed_v4",
            {
                "change_type": "rsvp",
                "calendar_event_id": "e",
                "rsvp_infos": [{"rsvp_status": "accept"}],
            },
            "",
            "rsvp e accept",
        ),
        (
            "drive.file.title_updated_v1",
            {"file_type": "docx", "file_token": "f1", "operator_id": USER},
            "ou_1",
            "docx f1",
        ),
        (
            "drive.file.permission_member_added_v1",
            {"file_type": "docx", "file_token": "f1", "user_list": [USER], "chat_list": ["oc"]},
            "",
            "docx f1 for 1 user, 1 chat",
        ),
        (
            "drive.file.bitable_record_changed_v1",
            {
                "file_token": "f1",
                "table_id": "t1",
                "action_list": [{"action": "record_added"}, {"action": "record_edited"}],
            },
            "",
            "record_added, record_edited x2 t1 f1",
        ),
        (
            "drive.notice.comment_add_v1",
            {
                "notice_meta": {"file_type": "docx", "file_token": "f1", "from_user_id": USER},
                "reply_id": "r",
                "is_mentioned": True,
            },
            "ou_1",
            "reply on docx f1 mentions you",
        ),
        (
            "vc.meeting.meeting_ended_v1",
            {"meeting": {"topic": "Weekly"}, "operator": {"id": USER}},
            "ou_1",
            "Weekly",
        ),
        (
            "vc.bot.meeting_activity_v1",
            {"meeting_activity_items": [{"meeting": {"topic": "W"}, "activity_event_type": "x"}]},
            "",
            "W x",
        ),
        ("task.task.comment.updated_v1", {"task_id": "t", "comment_id": "c"}, "", "t c"),
        ("task.task.update_user_access_v2", {"task_guid": "g", "event_types": ["a"]}, "", "g a"),
        (
            "helpdesk.ticket.updated_v1",
            {"object": {"ticket_id": "6", "status": 2}, "old_object": {"status": 1}},
            "",
            "ticket 6 status: 1 → 2",
        ),
        (
            "helpdesk.ticket_message.created_v1",
            {"text": "broken", "sender_id": USER},
            "ou_1",
            "broken",
        ),
        ("im.message.receive_v1", {"message": {"content": "secret"}}, "", ""),
        (
            "corehr.job_change.updated_v1",
            {
                "target_user_id": USER,
                "status": 3,
                "job_change_id": "j",
                "nested": {},
                "x": "y",
                "z": 1,
            },
            "",
            "status=3 job_change_id=j x=y",
        ),
        (
            "a.future.event_v1",
            {"open_id": "ou_1", "what": "that", "ok": True},
            "ou_1",
            "what=that ok=yes",
        ),
        ("a.future.event_v1", None, "", "schema=2.0"),
        ("a.future.event_v1", [1], "", "schema=2.0"),
    ],
)
def test_the_one_thing_that_matters(event_type, body, who, words):
    """Who did it, and what: an emoji, a button, a name, a status, a title."""
    assert fact(event_type, body) == (who, words)


@pytest.mark.parametrize(
    ("body", "who", "words"),
    [
        ({"type": "message", "open_id": "ou_1", "text_without_at_bot": "hi"}, "ou_1", "hi"),
        ({"type": "message", "open_id": "ou_1", "msg_type": "image"}, "ou_1", "[image]"),
        ({"type": "message_read", "message_id_list": ["a", "b"]}, "", "2 messages"),
        ({"type": "add_bot", "chat_name": "群", "operator_name": "Ann"}, "Ann", "群"),
        ({"type": "p2p_chat_create", "operator": {"open_id": "ou_1"}, "user": {"name": "B"}}, "ou_1", "B"),
        ({"type": "add_user_to_chat", "users": [{"name": "B"}]}, "", "B"),
        ({"type": "leave_approvalV2", "open_id": "ou_1", "leave_reason": "r"}, "ou_1", "r"),
        ({"type": "approval_task", "open_id": "ou_1", "status": "DONE"}, "ou_1", "DONE"),
        ({"type": "user_add", "app_id": "cli", "tenant_key": "t", "employee_id": "e"}, "", "employee_id=e"),
    ],
)  # fmt: skip
def test_events_of_schema_1(body, who, words):
    """The older names of the same things."""
    data = json.loads(encode({"uuid": "u", "event": body}))

    assert tuple(read_fact(body["type"], data)) == (who, words)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\xff", "1 byte, no JSON"),
        (b"xy", "2 bytes, no JSON"),
        ({"hello": 1, "a": {}}, "hello=1"),
        ("text", "text"),
        (7, "7"),
        ([], ""),
        (None, ""),
    ],
)
def test_what_has_no_body(data, words):
    """A payload that is no event still shows something."""
    assert tuple(read_fact("feishu.unknown", data)) == ("", words)


WORDLESS = {
    "im.message.receive_v1",  # the message says it
    "im.chat.access_event.bot_p2p_chat_entered_v1",  # nothing but who and where
    "url.preview.get",  # where its field is stands no URL
    "calendar.calendar.changed_v4",  # of these only lists and objects are known
    "contact.custom_attr_event.updated_v3",
    "hire.application.deleted_v1",
    "performance.review_data.changed_v2",
    "performance.stage_task.open_result_v2",
    "vc.room_level.created_v1",
    "vc.room_level.updated_v1",
}


@pytest.mark.parametrize("event_type", SHAPES)
def test_every_event_of_lark_oapi_has_words(event_type):
    """Its fields are named as lark-oapi names them, or nothing would be found in them."""
    who, words = read_fact(event_type, json.loads(filled(event_type)))
    known = {*paths(SHAPES[event_type])}

    assert words or event_type in WORDLESS
    assert not who or who in known


def test_no_reader_is_for_nothing():
    """How a type begins is spelt as lark-oapi, or schema 1.0, spells it, and none hides another."""
    versions_1 = {begin for begin, _ in _READERS if "." not in begin}
    begins = [begin for begin, _ in _READERS]

    for number, begin in enumerate(begins):
        assert begin in versions_1 or any(kind.startswith(begin) for kind in SHAPES)
        assert not any(begin.startswith(earlier) for earlier in begins[:number])


@pytest.mark.parametrize("name", [name for name, sample in SAMPLES.items() if sample.is_honest])
def test_every_simulated_event_says_something(name):
    """Messages excepted, which say it themselves."""
    data = json.loads(SAMPLES[name].make(1, ORIGIN))
    event_type = data["header"]["event_type"] if "header" in data else data["event"]["type"]
    who, words = read_fact(event_type, data)

    assert who or words or event_type in {"im.message.receive_v1", "calendar.calendar.changed_v4"}


@unhurried
@given(st.sampled_from([*SHAPES, *(begin for begin, _ in _READERS)]), values)
def test_any_body_of_any_type_has_a_bounded_fact(event_type, body):
    """Nothing raises, whatever stands where something else should."""
    who, words = read_fact(event_type, {"event": body})

    assert isinstance(who, str)
    assert isinstance(words, str)
    assert max(len(who), len(words)) <= BOUND


@unhurried
@given(st.sampled_from(["card.action.trigger", "message", "x"]), payloads())
def test_damaged_events_have_facts(event_type, payload):
    """Also where only a part of it is odd."""
    assert read_fact(event_type, json.loads(payload)) is not None


def test_the_card_and_the_message_of_the_corpus():
    """What tests use elsewhere."""
    assert tuple(read_fact("card.action.trigger", json.loads(CARD_ACTION))) == (
        "ou_1",
        "button k=v",
    )
    assert tuple(read_fact("message", json.loads(V1))) == ("", "[message]")
