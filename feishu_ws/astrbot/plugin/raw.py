"""Everything but messages, as AstrBot events: card actions, link previews, bot added, and so on.

Such an event has the type `OTHER_MESSAGE`, no words, and wakes nothing by itself; it never
reaches a model. A plugin that wants it registers for it, and finds Feishu's event in it::

    @filter.event_message_type(filter.EventMessageType.OTHER_MESSAGE)
    async def pressed(self, event):
        if event.get_extra("lark_event_type") == "card.action.trigger":
            yield event.chain_result([Json(data={"toast": {"type": "info", "content": "Noted"}})])

A `Json` with `toast`, `card` or `inline` that is sent while Feishu waits (about 2.5 s) is
the answer to the callback. (AstrBot 4.14 takes a lone `Json` for nothing: there
`await event.send(event.chain_result([...]))` instead of yielding it.) All else that is sent is a message: a reply to the card, or
one to the chat it happened in.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from astrbot.api.message_components import Json  # type: ignore[import-not-found]
from astrbot.api.platform import (  # type: ignore[import-not-found]
    AstrBotMessage,
    MessageMember,
    MessageType,
)
from astrbot.core.platform.sources.lark.lark_event import (  # type: ignore[import-not-found]
    LarkMessageEvent,
)

ANSWERS: Final = frozenset({"toast", "card", "inline"})
"""Keys of what answers a callback. Source: Feishu docs "处理卡片回调", "拉取链接预览数据"."""
_PEOPLE: Final = ("operator", "operator_id", "user_id", "reviewer_id", "user")
"""Where events say who did it; each holds an `open_id` or is an object of ids."""

Answer = Callable[[Mapping[str, Any]], None]


def answer_in(chain: Any) -> Mapping[str, Any] | None:
    """Return what answers a callback, taken out of a message chain; None if nothing does."""
    for component in list(chain.chain):
        if isinstance(component, Json) and isinstance(component.data, dict):
            data: Mapping[str, Any] = component.data
            if ANSWERS & data.keys():
                chain.chain.remove(component)
                return data
    return None


class RawEvent(LarkMessageEvent):  # type: ignore[misc]
    """One of Feishu's events that is no message.

    Attributes:
        answer: Answers the callback; None where nobody waits.
    """

    answer: Answer | None = None

    async def send(self, message: Any) -> None:
        """Answer the callback, reply to the card, or say it in the chat."""
        answered = answer_in(message)
        if answered is not None and self.answer is not None:
            self.answer(answered)
        if not message.chain:
            self._has_send_oper = True
        elif self.message_obj.message_id:
            await super().send(message)
        elif self.message_obj.group_id or self.message_obj.sender.user_id:
            chat = self.message_obj.group_id
            await LarkMessageEvent.send_message_chain(
                message,
                self.bot,
                receive_id=chat or self.message_obj.sender.user_id,
                receive_id_type="chat_id" if chat else "open_id",
            )


def message_of(body: Mapping[str, Any], self_id: str) -> Any:
    """Return what stands for the message in an event that is none."""
    event = body.get("event")
    event = event if isinstance(event, dict) else {}
    context = event.get("context")
    context = context if isinstance(context, dict) else {}
    made = AstrBotMessage()
    made.type = MessageType.OTHER_MESSAGE
    made.self_id = self_id
    made.message, made.message_str = [], ""
    made.raw_message = body
    made.message_id = _text(context.get("open_message_id") or event.get("message_id"))
    chat = _text(context.get("open_chat_id") or event.get("chat_id") or event.get("open_chat_id"))
    made.group_id = chat
    who = person_in(event)
    made.sender = MessageMember(user_id=who, nickname=who[:8])
    made.session_id = chat or who or "feishu"
    return made


def person_in(event: Mapping[str, Any]) -> str:
    """Return the open_id of who did it, "" if nobody is named."""
    for name in _PEOPLE:
        found = event.get(name)
        if isinstance(found, dict):
            ids = found.get("operator_id", found)
            open_id = ids.get("open_id") if isinstance(ids, dict) else None
            if isinstance(open_id, str) and open_id:
                return open_id
    return _text(event.get("open_id"))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
