"""Sample payloads."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feishu_ws.clock import ManualClock
from feishu_ws.simulator.corpus import SAMPLES, Origin, sample, text_message
from feishu_ws.simulator.messages import CONTENTS, MERGED

ORIGIN = Origin("cli_test", "tenant", "run-1", ManualClock(wall_ms=1_774_004_591_415))

MESSAGES = """
text post image file folder audio media sticker interactive hongbao share_calendar_event calendar
general_calendar share_chat share_user system location video_chat todo vote merge_forward
"""

EVENTS = """
im.message.message_read_v1 im.message.recalled_v1 im.message.reaction.created_v1
im.message.reaction.deleted_v1 im.chat.updated_v1 im.chat.disbanded_v1
im.chat.member.bot.added_v1 im.chat.member.bot.deleted_v1 im.chat.member.user.added_v1
im.chat.member.user.deleted_v1 im.chat.member.user.withdrawn_v1
im.chat.access_event.bot_p2p_chat_entered_v1
card.action.trigger url.preview.get
application.bot.menu_v6 application.application.created_v6
application.application.visibility.added_v6 application.application.app_version.audit_v6
application.application.app_version.publish_apply_v6
application.application.app_version.publish_revoke_v6
application.application.feedback.created_v6 application.application.feedback.updated_v6
approval.approval.updated_v4 approval.instance.status_changed_v4 approval.task.status_changed_v4
contact.user.created_v3 contact.user.updated_v3 contact.user.deleted_v3
contact.department.created_v3 contact.department.updated_v3 contact.department.deleted_v3
contact.scope.updated_v3
calendar.calendar.changed_v4 calendar.calendar.acl.created_v4 calendar.calendar.acl.deleted_v4
calendar.calendar.event.changed_v4
drive.file.edit_v1 drive.file.title_updated_v1 drive.file.created_in_folder_v1
drive.file.deleted_v1 drive.file.trashed_v1 drive.file.read_v1
drive.file.permission_member_added_v1 drive.file.permission_member_removed_v1
drive.file.permission_member_applied_v1 drive.file.bitable_record_changed_v1
drive.file.bitable_field_changed_v1 drive.notice.comment_add_v1
vc.meeting.meeting_started_v1 vc.meeting.meeting_ended_v1 vc.meeting.join_meeting_v1
vc.meeting.leave_meeting_v1 vc.meeting.share_started_v1 vc.meeting.share_ended_v1
vc.meeting.recording_started_v1 vc.meeting.recording_ended_v1 vc.meeting.recording_ready_v1
vc.meeting.all_meeting_started_v1 vc.meeting.all_meeting_ended_v1
vc.meeting.participant_meeting_ended_v1
task.task.updated_v1 task.task.update_tenant_v1 task.task.comment.updated_v1
task.task.update_user_access_v2
helpdesk.ticket.created_v1 helpdesk.ticket.updated_v1 helpdesk.ticket_message.created_v1
helpdesk.notification.approve_v1
meeting_room.meeting_room.created_v1 meeting_room.meeting_room.updated_v1
meeting_room.meeting_room.deleted_v1 meeting_room.meeting_room.status_changed_v1
minutes.minute.generated_v1
"""

OLD = ["approval_instance", "approval_task", "leave_approvalV2", "p2p_chat_create"]


def test_the_corpus_holds_what_feishu_sends():
    """Every kind of message, the event types most used, and the old ones seen on links."""
    kinds = set(MESSAGES.split())
    wanted = {f"message.{kind}" for kind in kinds} | set(EVENTS.split()) | {f"v1.{k}" for k in OLD}
    assert wanted <= set(HONEST)
    assert kinds == set(CONTENTS) - {"hologram"}


HONEST = sorted(name for name, drawn in SAMPLES.items() if drawn.is_honest)


@pytest.mark.parametrize("name", HONEST)
def test_every_sample_has_an_honest_envelope(name):
    """Each payload is JSON with the envelope of its schema, its own id, and no empty event."""
    body = json.loads(sample(name, 7, ORIGIN))
    if name.startswith("v1."):
        assert "schema" not in body
        assert body["uuid"] == ORIGIN.event_id(7)
        assert body["event"]["type"] == name.removeprefix("v1.")
        assert body["type"] == "event_callback"
        assert float(body["ts"]) == pytest.approx(1_774_004_591.415)
        return
    header = body["header"]
    assert body["schema"] == "2.0"
    assert header["event_id"] == ORIGIN.event_id(7)
    assert (header["app_id"], header["tenant_key"]) == ("cli_test", "tenant")
    expected = "im.message.receive_v1" if name.startswith("message.") else name
    assert header["event_type"] == expected
    scale = 1000 if SAMPLES[name].is_callback else 1
    assert header["create_time"] == str(1_774_004_591_415 * scale)
    assert body["event"]


@pytest.mark.parametrize("kind", sorted(CONTENTS))
def test_contents_are_strings_of_their_type(kind):
    """`content` is a JSON string, but for forwarded messages, which are no JSON."""
    message = json.loads(sample(f"message.{kind}", 3, ORIGIN))["event"]["message"]
    assert message["message_type"] == kind
    assert message["message_id"] == ORIGIN.message_id(3)
    if kind == "merge_forward":
        assert message["content"] == MERGED
    else:
        assert isinstance(json.loads(message["content"]), dict)


def test_callbacks_are_marked():
    """Exactly the two kinds that wait for an answer are callbacks."""
    callbacks = {name for name, drawn in SAMPLES.items() if drawn.is_callback}
    assert callbacks == {"card.action.trigger", "url.preview.get"}


@pytest.mark.parametrize("name", sorted(set(SAMPLES) - set(HONEST)))
def test_odd_payloads_are_odd(name):
    """No odd payload is a complete event of a known type in one line of JSON."""
    payload = sample(name, 7, ORIGIN)
    assert payload == sample(name, 7, ORIGIN)
    try:
        header = json.loads(payload)["header"]
    except (ValueError, RecursionError, KeyError, TypeError):
        return
    known = header and header["event_id"] and header["event_type"] in SAMPLES
    assert not known or b"\n" in payload


def test_mentions_and_threads_only_where_they_apply():
    """Optional fields are absent where there is nothing to say."""
    plain, mention, thread, p2p = (
        json.loads(sample(f"message.text{kind}", 5, ORIGIN))["event"]["message"]
        for kind in ("", ".mention", ".thread", ".p2p")
    )
    assert "mentions" not in plain
    assert mention["mentions"][0]["key"] in json.loads(mention["content"])["text"]
    assert thread["root_id"] == ORIGIN.message_id(4)
    assert "root_id" not in plain
    assert (plain["chat_type"], p2p["chat_type"]) == ("group", "p2p")
    assert plain["chat_id"] != p2p["chat_id"]


def test_ids_follow_from_run_and_serial():
    """The same run repeats its ids, another run has others, and serials differ."""
    assert Origin(run="a").event_id(1) == Origin(run="a").event_id(1)
    ids = {Origin(run=run).event_id(n) for run in ("a", "b") for n in range(100)}
    assert len(ids) == 200
    assert Origin().message_id(1) != Origin().message_id(2)


def test_load_messages_are_1518_bytes():
    """The default size is the one the measurements of other clients used."""
    for serial in (0, 7, 123_456_789):
        body = text_message(serial)
        assert len(body) == 1518
        assert json.loads(json.loads(body)["event"]["message"]["content"])["text"].startswith(
            f"#{serial} "
        )


@given(st.text(max_size=60), st.integers(0, 4000))
def test_text_messages_say_what_they_are_told(text, size):
    """Any text survives both encodings, and filling reaches the wanted size exactly."""
    plain = text_message(1, text)
    assert json.loads(json.loads(plain)["event"]["message"]["content"])["text"] == text
    filled = text_message(1, text, size)
    assert len(filled) == max(size, len(plain))
    said = json.loads(json.loads(filled)["event"]["message"]["content"])["text"]
    assert said.rstrip(".") == text.rstrip(".")
