"""Bodies of events about meetings, their rooms and minutes, and about the help desk.

Source of the fields: lark-oapi 1.7.5 api/*/model (`P2*Data`). Values are invented;
64-bit numbers are strings, as everywhere in Feishu's JSON.
"""

from typing import Any, Final

from feishu_ws.simulator.chats import Body
from feishu_ws.simulator.origin import Origin

LEFT_BY_ONESELF: Final = 1  # leave_reason. Source: Feishu docs "离开会议"


def meeting(serial: int, origin: Origin) -> dict[str, Any]:
    """Return a meeting that goes on; times in s."""
    host = {"id": origin.user_id(serial), "user_role": 1, "user_type": 1}
    return {
        "meeting": {
            "id": str(6_911_188_411_934_433_028 + serial),
            "topic": "Weekly",
            "meeting_no": f"{235812466 + serial % 1000}",
            "meeting_source": 1,
            "start_time": str(origin.now_ms() // 1000),
            "host_user": host,
            "owner": host,
            "calendar_event_id": "",
        },
        "operator": host,
    }


def meeting_left(serial: int, origin: Origin) -> dict[str, Any]:
    """Return that somebody left a meeting."""
    found = meeting(serial, origin)
    return found | {"leave_reason": LEFT_BY_ONESELF, "leave_user": found["operator"]}


def meeting_ended(serial: int, origin: Origin) -> dict[str, Any]:
    """Return a meeting that is over."""
    found = meeting(serial, origin)
    return found | {"meeting": found["meeting"] | {"end_time": str(origin.now_ms() // 1000)}}


def meeting_ended_for_people(serial: int, origin: Origin) -> dict[str, Any]:
    """Return a meeting that is over, told to those who were in it."""
    return meeting_ended(serial, origin) | {"subscriber_ids": [origin.user_id(serial)]}


def recording_ready(serial: int, origin: Origin) -> dict[str, Any]:
    """Return where a recording can be seen; `duration` in ms."""
    return {
        "meeting": meeting(serial, origin)["meeting"],
        "url": "https://example.com/minutes/obcn" + origin.token("minute", serial)[:20],
        "duration": "1800000",
    }


def minute(serial: int, origin: Origin) -> dict[str, Any]:
    """Return that the minutes of a meeting are ready."""
    return {
        "minute_token": "obcn" + origin.token("minute", serial)[:20],
        "minute_source": {"source_type": "meeting", "source_entity_id": str(serial)},
        "subscriber_ids": [origin.user_id(serial)],
    }


def room(serial: int, origin: Origin) -> dict[str, Any]:
    """Return a meeting room that changed."""
    return {"room_name": "VIP Room", "room_id": "omm_" + origin.token("room", serial % 8)}


def ticket(serial: int, origin: Origin) -> dict[str, Any]:
    """Return a ticket of the help desk."""
    guest = {"id": origin.user_id(serial), "name": origin.person(serial)}
    return {
        "ticket_id": str(6_626_871_355_780_366_000 + serial),
        "helpdesk_id": str(6_939_771_743_531_696_000 + serial % 4),
        "guest": guest,
        "stage": 1,
        "status": 1,
        "created_at": origin.now_ms(),
        "channel": 0,
        "chat_id": origin.chat_id(serial),
    }


def ticket_updated(serial: int, origin: Origin) -> dict[str, Any]:
    """Return a ticket before and after a change; before holds only what changed."""
    now_ms = origin.now_ms()
    return {
        "object": ticket(serial, origin) | {"status": 2, "updated_at": now_ms},
        "old_object": {"stage": 1, "status": 1, "updated_at": now_ms - 60_000},
    }


def ticket_message(serial: int, origin: Origin) -> dict[str, Any]:
    """Return what somebody wrote in a ticket."""
    of = ticket(serial, origin)
    return {
        "ticket_message_id": str(6_950_000_000_000_000_000 + serial),
        "message_id": origin.message_id(serial),
        "msg_type": "text",
        "position": "5",
        "sender_id": origin.user_id(serial),
        "sender_type": 1,
        "text": "打印机坏了",
        "ticket": {key: of[key] for key in ("ticket_id", "helpdesk_id", "status", "channel")},
        "event_id": origin.event_id(serial),
        "chat_id": origin.chat_id(serial),
        "content": {"content": "打印机坏了", "msg_type": "text"},
    }


def notification_approval(serial: int, _: Origin) -> dict[str, Any]:
    """Return that a notice of the help desk was approved."""
    return {
        "notification_id": str(6_981_801_914_270_744_000 + serial),
        "helpdesk_id": str(6_939_771_743_531_696_000 + serial % 4),
        "approve_status": "APPROVED",
    }


MEETING_BODIES: Final[dict[str, Body]] = {
    "vc.meeting.meeting_started_v1": meeting,
    "vc.meeting.meeting_ended_v1": meeting_ended,
    "vc.meeting.join_meeting_v1": meeting,
    "vc.meeting.leave_meeting_v1": meeting_left,
    "vc.meeting.share_started_v1": meeting,
    "vc.meeting.share_ended_v1": meeting,
    "vc.meeting.recording_started_v1": meeting,
    "vc.meeting.recording_ended_v1": meeting,
    "vc.meeting.recording_ready_v1": recording_ready,
    "vc.meeting.all_meeting_started_v1": meeting,
    "vc.meeting.all_meeting_ended_v1": meeting_ended,
    "vc.meeting.participant_meeting_ended_v1": meeting_ended_for_people,
    "minutes.minute.generated_v1": minute,
    "meeting_room.meeting_room.created_v1": room,
    "meeting_room.meeting_room.updated_v1": room,
    "meeting_room.meeting_room.deleted_v1": room,
    "meeting_room.meeting_room.status_changed_v1": room,
    "helpdesk.ticket.created_v1": ticket,
    "helpdesk.ticket.updated_v1": ticket_updated,
    "helpdesk.ticket_message.created_v1": ticket_message,
    "helpdesk.notification.approve_v1": notification_approval,
}
