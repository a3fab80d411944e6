"""Who simulated events come from, and ids that follow from a serial number."""

import hashlib
from dataclasses import dataclass, field
from typing import Final

from feishu_ws.clock import Clock, SystemClock

BOT_OPEN_ID: Final = "ou_84aad35d084aa403a838cf73ee18467f"
PEOPLE: Final = ("Alice", "Bob", "陈晨", "Dana", "Erik", "冯婷", "Grace", "Hiro")


@dataclass(frozen=True, slots=True)
class Origin:
    """The tenant and app that events are from.

    The same `run` and serial number always give the same ids, so that a test can name
    an event before it arrives; give every run its own to get fresh ones.
    """

    app_id: str = "cli_a1b2c3d4e5f60718"
    tenant_key: str = "114effbf324f175f"
    run: str = ""
    clock: Clock = field(default_factory=SystemClock)

    def now_ms(self) -> int:
        """Return Unix milliseconds, for create_time and the like."""
        return self.clock.wall_ms()

    def token(self, noun: str, number: int | str) -> str:
        """Return 32 hexadecimal digits that follow from run, noun and number."""
        seed = f"{self.run}/{noun}/{number}".encode()
        return hashlib.blake2b(seed, digest_size=16).hexdigest()

    def event_id(self, serial: int) -> str:
        """Return the event id of the event with that serial number."""
        return self.token("event", serial)

    def message_id(self, serial: int) -> str:
        """Return the `om_…` id of the message with that serial number."""
        return "om_x100b" + self.token("message", serial)[:24]

    def person(self, serial: int) -> str:
        """Return the name of who acts in that event."""
        return PEOPLE[serial % len(PEOPLE)]

    def user_id(self, serial: int) -> dict[str, str]:
        """Return the three ids of who acts in that event; the same eight people for ever."""
        name = self.person(serial)
        return {
            "open_id": "ou_" + _fixed("open", name),
            "union_id": "on_" + _fixed("union", name),
            "user_id": _fixed("user", name)[:8],
        }

    def chat_id(self, serial: int) -> str:
        """Return one of sixteen group chats."""
        return "oc_" + _fixed("chat", str(serial % 16))

    def p2p_chat_id(self, serial: int) -> str:
        """Return the private chat of that event's person with the bot."""
        return "oc_" + _fixed("p2p", self.person(serial))


def _fixed(noun: str, name: str) -> str:
    return hashlib.blake2b(f"{noun}/{name}".encode(), digest_size=16).hexdigest()
