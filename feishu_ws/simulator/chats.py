"""Bodies of events about chats and bots, callbacks included; `event` of schema 2.0.

Source of the fields: lark-oapi 1.7.5 api/im/v1/model, api/application/v6/model and
event/callback/model; of the card callback also oapi-sdk-python issue 98.
"""

from collections.abc import Callable
from typing import Any, Final

from feishu_ws.simulator.origin import Origin

Body = Callable[[int, Origin], dict[str, Any]]
"""Returns the `event` of an event with that serial number."""


def reaction(serial: int, origin: Origin) -> dict[str, Any]:
    """Return an emoji put on an earlier message, or taken off."""
    return {
        "message_id": origin.message_id(max(serial - 1, 0)),
        "reaction_type": {"emoji_type": "THUMBSUP"},
        "operator_type": "user",
        "user_id": origin.user_id(serial),
        "action_time": str(origin.now_ms()),
    }


def message_read(serial: int, origin: Origin) -> dict[str, Any]:
    """Return that a person read two of the bot's messages."""
    return {
        "reader": {
            "reader_id": origin.user_id(serial),
            "read_time": str(origin.now_ms()),
            "tenant_key": origin.tenant_key,
        },
        "message_id_list": [origin.message_id(serial + 1), origin.message_id(serial + 2)],
    }


def message_recalled(serial: int, origin: Origin) -> dict[str, Any]:
    """Return that a message was taken back."""
    return {
        "message_id": origin.message_id(max(serial - 1, 0)),
        "chat_id": origin.chat_id(serial),
        "recall_time": str(origin.now_ms()),
        "recall_type": "message_owner",
    }


def bot_membership(serial: int, origin: Origin) -> dict[str, Any]:
    """Return that the bot was added to a group, or removed, or the group is gone."""
    return {
        "chat_id": origin.chat_id(serial),
        "operator_id": origin.user_id(serial),
        "external": False,
        "operator_tenant_key": origin.tenant_key,
        "name": "值班群",
        "i18n_names": {"zh_cn": "值班群", "en_us": "On call", "ja_jp": ""},
    }


def user_membership(serial: int, origin: Origin) -> dict[str, Any]:
    """Return that people joined a group, left it, or were uninvited."""
    joined = {
        "name": origin.person(serial + 1),
        "tenant_key": origin.tenant_key,
        "user_id": origin.user_id(serial + 1),
    }
    return bot_membership(serial, origin) | {"users": [joined]}


def chat_updated(serial: int, origin: Origin) -> dict[str, Any]:
    """Return that a group was renamed; only what changed is given."""
    return {
        "chat_id": origin.chat_id(serial),
        "operator_id": origin.user_id(serial),
        "external": False,
        "operator_tenant_key": origin.tenant_key,
        "after_change": {"name": f"值班群 {serial}", "edit_permission": "all_members"},
        "before_change": {"name": "值班群", "edit_permission": "only_owner"},
    }


def p2p_chat_entered(serial: int, origin: Origin) -> dict[str, Any]:
    """Return that a person opened the private chat with the bot."""
    return {
        "chat_id": origin.p2p_chat_id(serial),
        "operator_id": origin.user_id(serial),
        "last_message_id": origin.message_id(max(serial - 1, 0)),
        "last_message_create_time": str(origin.now_ms() - 60_000),
    }


def bot_menu(serial: int, origin: Origin) -> dict[str, Any]:
    """Return a tap on the bot's menu; a timestamp in s, as a number."""
    operator = {"operator_name": origin.person(serial), "operator_id": origin.user_id(serial)}
    return {
        "operator": operator,
        "event_key": "menu_help",
        "timestamp": origin.now_ms() // 1000,
    }


def card_action(serial: int, origin: Origin) -> dict[str, Any]:
    """Return a button pressed on a card; the presser waits for the answer."""
    return {
        "operator": {"tenant_key": origin.tenant_key, **origin.user_id(serial)},
        "token": "c-" + origin.token("card", serial),
        "action": {
            "tag": "button",
            "value": {"action": "approve", "serial": serial},
            "name": "approve",
            "form_value": {"comment": "同意"},
            "timezone": "Asia/Shanghai",
        },
        "host": "im_message",
        "context": {
            "open_message_id": origin.message_id(max(serial - 1, 0)),
            "open_chat_id": origin.chat_id(serial),
        },
    }


def url_preview(serial: int, origin: Origin) -> dict[str, Any]:
    """Return a link whose preview is wanted; the client waits for the answer."""
    return {
        "operator": {"tenant_key": origin.tenant_key, **origin.user_id(serial)},
        "host": "im_message",
        "context": {
            "url": f"https://example.com/tickets/{serial}",
            "preview_token": origin.token("preview", serial),
            "open_message_id": origin.message_id(serial),
            "open_chat_id": origin.chat_id(serial),
        },
    }


CHAT_BODIES: Final[dict[str, Body]] = {
    "im.message.message_read_v1": message_read,
    "im.message.recalled_v1": message_recalled,
    "im.message.reaction.created_v1": reaction,
    "im.message.reaction.deleted_v1": reaction,
    "im.chat.updated_v1": chat_updated,
    "im.chat.disbanded_v1": bot_membership,
    "im.chat.member.bot.added_v1": bot_membership,
    "im.chat.member.bot.deleted_v1": bot_membership,
    "im.chat.member.user.added_v1": user_membership,
    "im.chat.member.user.deleted_v1": user_membership,
    "im.chat.member.user.withdrawn_v1": user_membership,
    "im.chat.access_event.bot_p2p_chat_entered_v1": p2p_chat_entered,
    "application.bot.menu_v6": bot_menu,
}

CALLBACK_BODIES: Final[dict[str, Body]] = {
    "card.action.trigger": card_action,
    "url.preview.get": url_preview,
}
