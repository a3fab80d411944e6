"""Bodies of events about approvals, people, documents, calendars and tasks.

Source of the fields: lark-oapi 1.7.5 api/*/model (`P2*Data`). Values are invented.
"""

from typing import Any, Final

from feishu_ws.simulator.chats import Body
from feishu_ws.simulator.origin import Origin


def approval_updated(serial: int, origin: Origin) -> dict[str, Any]:
    """Return that the definition of an approval changed."""
    return {
        "object": {
            "approval_id": str(7_000_000_000_000_000_000 + serial),
            "approval_code": origin.token("approval", serial % 4).upper(),
            "version_id": str(7_100_000_000_000_000_000 + serial),
            "widget_group_type": 0,
            "form_definition_id": str(7_200_000_000_000_000_000 + serial),
            "process_obj": "{}",
            "timestamp": str(origin.now_ms()),
            "extra": "",
        }
    }


def approval_instance(serial: int, origin: Origin) -> dict[str, Any]:
    """Return that an application was approved."""
    return {
        "approval_code": origin.token("approval", serial % 4).upper(),
        "instance_code": origin.token("instance", serial).upper(),
        "external_id": "",
        "status": "APPROVED",
        "operate_time": str(origin.now_ms()),
        "start_user": origin.user_id(serial),
        "subscriber_id_list": [origin.user_id(serial + 1)],
    }


def approval_task(serial: int, origin: Origin) -> dict[str, Any]:
    """Return that a step of an application waits for somebody."""
    return {
        "approval_code": origin.token("approval", serial % 4).upper(),
        "instance_code": origin.token("instance", serial).upper(),
        "task_id": str(7_300_000_000_000_000_000 + serial),
        "task_external_id": "",
        "assigned_user": origin.user_id(serial),
        "status": "PENDING",
        "operate_time": str(origin.now_ms()),
        "subscriber_id_list": [],
    }


def approval_v1(serial: int, origin: Origin) -> dict[str, Any]:
    """Return the older event about an application (schema 1.0)."""
    return {
        "approval_code": origin.token("approval", serial % 4).upper(),
        "instance_code": origin.token("instance", serial).upper(),
        "status": "PENDING",
        "operate_time": str(origin.now_ms()),
        "uuid": "",
    }


def approval_task_v1(serial: int, origin: Origin) -> dict[str, Any]:
    """Return the older event about a step of an application (schema 1.0). Source: assumed."""
    person = origin.user_id(serial)
    return approval_v1(serial, origin) | {
        "task_id": str(7_300_000_000_000_000_000 + serial),
        "open_id": person["open_id"],
        "user_id": person["user_id"],
        "custom_key": "",
        "def_key": origin.token("step", serial % 4),
        "extra": "",
    }


def leave_v1(serial: int, origin: Origin) -> dict[str, Any]:
    """Return a leave that was granted; times in s, and once more as local text.

    Source: assumed.
    """
    person, start_s = origin.user_id(serial), origin.now_ms() // 1000
    return {
        "instance_code": origin.token("instance", serial).upper(),
        "employee_id": person["user_id"],
        "user_id": person["user_id"],
        "open_id": person["open_id"],
        "start_time": start_s,
        "end_time": start_s + 3600,
        "leave_type": "年假",
        "leave_unit": 1,
        "leave_start_time": "2026-03-20 09:00:00",
        "leave_end_time": "2026-03-20 18:00:00",
        "leave_interval": 28_800,
        "leave_reason": "家里有事",
    }


def p2p_chat_create_v1(serial: int, origin: Origin) -> dict[str, Any]:
    """Return that a person opened the chat with the bot for the first time (schema 1.0)."""
    person = origin.user_id(serial)
    return {
        "chat_id": origin.p2p_chat_id(serial),
        "operator": {"open_id": person["open_id"], "user_id": person["user_id"]},
        "user": {"open_id": person["open_id"], "name": origin.person(serial)},
    }


def user(serial: int, origin: Origin) -> dict[str, Any]:
    """Return a person who was hired or who left."""
    return {
        "object": {
            **origin.user_id(serial),
            "name": origin.person(serial),
            "en_name": origin.person(serial),
            "email": "person@example.com",
            "job_title": "Engineer",
            "mobile_visible": True,
            "gender": 0,
            "avatar": {"avatar_72": "https://example.com/72.png"},
            "status": {"is_frozen": False, "is_resigned": False, "is_activated": True},
            "department_ids": ["od-" + origin.token("department", serial % 4)],
            "city": "杭州",
            "country": "CN",
            "join_time": 1_615_381_896,
            "employee_type": 1,
            "custom_attrs": [],
        }
    }


def user_updated(serial: int, origin: Origin) -> dict[str, Any]:
    """Return a person before and after a change; before holds only what changed."""
    return user(serial, origin) | {"old_object": {"job_title": "Intern"}}


def department(serial: int, origin: Origin) -> dict[str, Any]:
    """Return a department that was made, changed or dissolved."""
    return {
        "object": {
            "name": "平台组",
            "parent_department_id": "0",
            "department_id": origin.token("department", serial % 4)[:12],
            "open_department_id": "od-" + origin.token("department", serial % 4),
            "leader_user_id": origin.user_id(serial)["open_id"],
            "chat_id": origin.chat_id(serial),
            "order": 10,
            "status": {"is_deleted": False},
        }
    }


def contact_scope(serial: int, origin: Origin) -> dict[str, Any]:
    """Return that the app may see more of the contacts."""
    added = {"departments": [], "users": [origin.user_id(serial)], "user_groups": []}
    return {"added": added, "removed": {"departments": [], "users": [], "user_groups": []}}


def _document(serial: int, origin: Origin, kind: str) -> dict[str, Any]:
    return {"file_type": kind, "file_token": "doxcn" + origin.token("document", serial)[:22]}


def file_seen(serial: int, origin: Origin) -> dict[str, Any]:
    """Return that people edited or read a document."""
    return _document(serial, origin, "docx") | {
        "operator_id_list": [origin.user_id(serial)],
        "subscriber_id_list": [origin.user_id(serial + 1)],
    }


def file_changed(serial: int, origin: Origin) -> dict[str, Any]:
    """Return that somebody renamed, trashed or deleted a document."""
    return _document(serial, origin, "docx") | {
        "operator_id": origin.user_id(serial),
        "subscriber_id_list": [origin.user_id(serial + 1)],
    }


def file_created(serial: int, origin: Origin) -> dict[str, Any]:
    """Return that a document appeared in a folder."""
    return _document(serial, origin, "docx") | {
        "folder_token": "fldcn" + origin.token("folder", serial % 4)[:22],
        "operator_id": origin.user_id(serial),
        "subscriber_ids": [origin.user_id(serial + 1)],
    }


def file_members(serial: int, origin: Origin) -> dict[str, Any]:
    """Return that people were given a document, or had it taken away."""
    return file_changed(serial, origin) | {
        "user_list": [origin.user_id(serial + 2)],
        "chat_list": [origin.chat_id(serial)],
        "open_department_id_list": [],
    }


def file_wanted(serial: int, origin: Origin) -> dict[str, Any]:
    """Return that people ask to be given a document."""
    return _document(serial, origin, "docx") | {
        "operator_id": origin.user_id(serial),
        "approver_id": origin.user_id(serial + 1),
        "application_user_list": [origin.user_id(serial)],
        "application_chat_list": [],
        "application_department_list": [],
        "application_remark": "请给我阅读权限",
        "permission": "view",
        "subscriber_ids": [origin.user_id(serial + 1)],
    }


def _table(serial: int, origin: Origin, actions: list[dict[str, Any]]) -> dict[str, Any]:
    return _document(serial, origin, "bitable") | {
        "table_id": "tbl" + origin.token("table", serial % 4)[:13],
        "revision": serial,
        "operator_id": origin.user_id(serial),
        "action_list": actions,
        "subscriber_id_list": [origin.user_id(serial + 1)],
        "update_time": origin.now_ms() // 1000,
    }


def record_changed(serial: int, origin: Origin) -> dict[str, Any]:
    """Return a row of a table that was edited; values are JSON in strings."""
    before, after = (
        [{"field_id": "fldA1b2C3d4", "field_value": value}] for value in ('"进行中"', '"完成"')
    )
    action = {
        "record_id": "rec" + origin.token("record", serial)[:11],
        "action": "record_edited",
        "before_value": before,
        "after_value": after,
    }
    return _table(serial, origin, [action])


def field_changed(serial: int, origin: Origin) -> dict[str, Any]:
    """Return a column of a table that was renamed."""
    before, after = (
        {"id": "fldA1b2C3d4", "name": name, "type": 1, "description": ""}
        for name in ("状态", "进度")
    )
    action = {
        "action": "field_edited",
        "field_id": "fldA1b2C3d4",
        "before_value": before,
        "after_value": after,
    }
    return _table(serial, origin, [action])


def comment_added(serial: int, origin: Origin) -> dict[str, Any]:
    """Return a comment in a document."""
    meta = _document(serial, origin, "docx") | {
        "from_user_id": origin.user_id(serial),
        "to_user_id": origin.user_id(serial + 1),
        "notice_type": "add_comment",
    }
    return {
        "notice_meta": meta,
        "comment_id": str(7_400_000_000_000_000_000 + serial),
        "reply_id": "",
        "is_mentioned": True,
    }


def calendar_changed(serial: int, origin: Origin) -> dict[str, Any]:
    """Return that the list of somebody's calendars changed."""
    return {"user_id_list": [origin.user_id(serial)]}


def calendar_acl(serial: int, origin: Origin) -> dict[str, Any]:
    """Return that somebody may see a calendar, or no longer."""
    return {
        "acl_id": f"user_{serial}",
        "role": "reader",
        "scope": {"type": "user", "user_id": origin.user_id(serial)},
        "user_id_list": [origin.user_id(serial + 1)],
    }


def calendar_event(serial: int, origin: Origin) -> dict[str, Any]:
    """Return that an appointment changed."""
    return {
        "calendar_id": "feishu.cn_" + origin.token("calendar", serial % 4) + "@group.calendar",
        "calendar_event_id": origin.token("meeting", serial) + "_0",
        "change_type": "update",
        "user_id_list": [origin.user_id(serial)],
    }


def task_updated(serial: int, origin: Origin) -> dict[str, Any]:
    """Return that a task changed."""
    return {"task_id": origin.token("task", serial), "obj_type": 1}


def task_comment(serial: int, origin: Origin) -> dict[str, Any]:
    """Return that a task was commented on."""
    return {
        "task_id": origin.token("task", serial),
        "comment_id": str(7_500_000_000_000_000_000 + serial),
        "parent_id": "0",
        "obj_type": 1,
    }


def task_of_tenant(serial: int, origin: Origin) -> dict[str, Any]:
    """Return that a task anywhere in the tenant changed."""
    people = [origin.user_id(serial)]
    return {
        "user_id_list": {"user_id_list": people},
        "task_id": origin.token("task", serial),
        "object_type": "task",
        "event_type": "update",
    }


def task_access(serial: int, origin: Origin) -> dict[str, Any]:
    """Return that a task somebody may see changed."""
    return {"event_types": ["task_summary_update"], "task_guid": origin.token("task", serial)}


OFFICE_BODIES: Final[dict[str, Body]] = {
    "approval.approval.updated_v4": approval_updated,
    "approval.instance.status_changed_v4": approval_instance,
    "approval.task.status_changed_v4": approval_task,
    "contact.user.created_v3": user,
    "contact.user.updated_v3": user_updated,
    "contact.user.deleted_v3": user,
    "contact.department.created_v3": department,
    "contact.department.updated_v3": department,
    "contact.department.deleted_v3": department,
    "contact.scope.updated_v3": contact_scope,
    "drive.file.edit_v1": file_seen,
    "drive.file.read_v1": file_seen,
    "drive.file.title_updated_v1": file_changed,
    "drive.file.trashed_v1": file_changed,
    "drive.file.deleted_v1": file_changed,
    "drive.file.created_in_folder_v1": file_created,
    "drive.file.permission_member_added_v1": file_members,
    "drive.file.permission_member_removed_v1": file_members,
    "drive.file.permission_member_applied_v1": file_wanted,
    "drive.file.bitable_record_changed_v1": record_changed,
    "drive.file.bitable_field_changed_v1": field_changed,
    "drive.notice.comment_add_v1": comment_added,
    "calendar.calendar.changed_v4": calendar_changed,
    "calendar.calendar.acl.created_v4": calendar_acl,
    "calendar.calendar.acl.deleted_v4": calendar_acl,
    "calendar.calendar.event.changed_v4": calendar_event,
    "task.task.updated_v1": task_updated,
    "task.task.comment.updated_v1": task_comment,
    "task.task.update_tenant_v1": task_of_tenant,
    "task.task.update_user_access_v2": task_access,
}

V1_BODIES: Final[dict[str, Body]] = {
    "approval_instance": approval_v1,
    "approval_task": approval_task_v1,
    "leave_approvalV2": leave_v1,
    "p2p_chat_create": p2p_chat_create_v1,
}
"""Schema 1.0. Source: LangBot issue 1347, Feishu docs "审批事件"; not seen live."""
