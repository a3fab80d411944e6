"""Bodies of events about apps: made, published, shown to more people, complained about.

Source of the fields: lark-oapi 1.7.5 api/application/v6/model. Values are invented.
"""

from typing import Any, Final

from feishu_ws.simulator.chats import Body
from feishu_ws.simulator.origin import Origin


def application_created(serial: int, origin: Origin) -> dict[str, Any]:
    """Return that an app was made in the tenant."""
    return {
        "operator_id": origin.user_id(serial),
        "app_id": "cli_" + origin.token("app", serial)[:16],
        "name": "Expense bot",
        "description": "",
        "avatar": "https://example.com/avatar.png",
        "app_scene_type": 0,
        "primary_language": "zh_cn",
        "create_source": "developer_console",
    }


def application_visibility(serial: int, origin: Origin) -> dict[str, Any]:
    """Return that more people may use the app."""
    return {"users": [{"user_id": origin.user_id(serial)}], "source": 1}


def application_version_audit(serial: int, origin: Origin) -> dict[str, Any]:
    """Return that a version of an app was approved."""
    return {
        "operator_id": origin.user_id(serial),
        "version_id": "oav_" + origin.token("version", serial),
        "creator_id": origin.user_id(serial + 1),
        "app_id": origin.app_id,
        "operation": "audited",
        "remark": "",
        "audit_source": "administrator",
    }


def application_publish(serial: int, origin: Origin) -> dict[str, Any]:
    """Return that a new version of an app waits for approval."""
    now_s = origin.now_ms() // 1000
    version = {
        "app_id": origin.app_id,
        "version": f"1.{serial % 10}.0",
        "version_id": "oav_" + origin.token("version", serial),
        "app_name": "Expense bot",
        "avatar_url": "https://example.com/avatar.png",
        "description": "",
        "status": 2,
        "create_time": str(now_s),
    }
    return {
        "operator_id": origin.user_id(serial),
        "online_version": version | {"version": "1.0.0", "status": 1, "publish_time": str(now_s)},
        "under_audit_version": version,
        "app_status": 1,
    }


def application_publish_revoked(serial: int, origin: Origin) -> dict[str, Any]:
    """Return that somebody took a version back before it was approved."""
    return {
        "operator_id": origin.user_id(serial),
        "creator_id": origin.user_id(serial),
        "app_id": origin.app_id,
        "version_id": "oav_" + origin.token("version", serial),
    }


def feedback(serial: int, origin: Origin) -> dict[str, Any]:
    """Return a complaint about an app; times are local text."""
    return {
        "user_id": origin.user_id(serial),
        "app_id": origin.app_id,
        "feedback_time": "2026-03-20 09:00:00",
        "tenant_name": "Example",
        "feedback_type": 1,
        "fault_type": [1, 2],
        "fault_time": "2026-03-20 08:55:00",
        "source": 1,
        "contact": "person@example.com",
        "description": "机器人不说话",
        "images": [],
        "feedback_id": origin.token("feedback", serial),
        "feedback_path": "",
    }


def feedback_updated(serial: int, origin: Origin) -> dict[str, Any]:
    """Return that somebody looked after a complaint."""
    return {
        "feedback_ids": [origin.token("feedback", serial)],
        "status": 1,
        "app_id": origin.app_id,
        "update_time": "2026-03-20 10:00:00",
        "operator_id": origin.user_id(serial),
    }


APP_BODIES: Final[dict[str, Body]] = {
    "application.application.created_v6": application_created,
    "application.application.visibility.added_v6": application_visibility,
    "application.application.app_version.audit_v6": application_version_audit,
    "application.application.app_version.publish_apply_v6": application_publish,
    "application.application.app_version.publish_revoke_v6": application_publish_revoked,
    "application.application.feedback.created_v6": feedback,
    "application.application.feedback.updated_v6": feedback_updated,
}
