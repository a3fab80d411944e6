"""One readable line per event, for `tail` and `demo`. Content is escaped for terminals."""

import msgspec

from feishu_ws.cli.render import Paint, local_time
from feishu_ws.client import Delivery
from feishu_ws.events.received import Message
from feishu_ws.events.summary import printable, summarize


def event_line(delivery: Delivery, paint: Paint) -> str:
    """Return time, position, type, subject and a message's words."""
    event = delivery.event
    when = printable(local_time(event.time))
    what = summarize(event.type, event.subject, _message(delivery))
    notes = "".join(f"  ({note})" for note in _notes(delivery))
    position = paint(f"{delivery.position:>6}", "name")
    return f"{paint(when, 'dim')} {position}  {what}{paint(notes, 'warn')}"


def _notes(delivery: Delivery) -> list[str]:
    attempt = [f"attempt {delivery.attempt}"] if delivery.attempt > 1 else []
    return attempt + (["late"] if delivery.late else [])


def _message(delivery: Delivery) -> Message | None:
    """Return the message, None where there is none or a newer daemon's differs."""
    if delivery.message is None:
        return None
    try:
        return msgspec.convert(delivery.message, Message)
    except msgspec.ValidationError:
        return None
