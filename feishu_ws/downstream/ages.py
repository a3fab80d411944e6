"""What is too old to deliver, and until when a callback may be answered.

Source: CONTRACT 4, `delivery.max_age_s`, `callback_timeout_s` and `late_callback_s`.
"""

import math

from feishu_ws.clock import Clock, StepGuard
from feishu_ws.downstream.seat import Seat
from feishu_ws.downstream.settings import DeliverySettings
from feishu_ws.model import Event


class Ages:
    """Judges events by the time that went by since their receipt."""

    def __init__(self, settings: DeliverySettings, *, clock: Clock) -> None:
        self.settings = settings
        self._clock = clock
        self._guard = StepGuard(clock)
        self._is_trusted = True

    @property
    def may_expire(self) -> bool:
        """Whether the wall clock can be trusted; while not, nothing is too old (CONTRACT 8)."""
        return self._is_trusted and self._guard.agrees()

    @may_expire.setter
    def may_expire(self, may: bool) -> None:
        self._is_trusted = may
        if may:
            self._guard.accept()

    def reply_by_ms(self, event: Event) -> int:
        """Return until when a callback may be answered, in Unix milliseconds."""
        return event.received_ms + round(self.settings.callback_timeout_s * 1000)

    def is_in_time(self, event: Event) -> bool:
        """Whether a callback may still be answered."""
        return self._clock.wall_ms() < self.reply_by_ms(event)

    def is_expired(self, seat: Seat, event: Event) -> bool:
        """Whether an event is too old to deliver.

        Nothing is to who reads along, who was told to read again, or whom an operator
        gave it back.
        """
        if not seat.durable or event.position <= seat.replay_through:
            return False
        age_s = (self._clock.wall_ms() - event.received_ms) / 1000
        is_old = age_s > self._limit_s(event)
        return is_old and self.may_expire and not seat.progress.is_ageless(event.position)

    def _limit_s(self, event: Event) -> float:
        settings = self.settings
        if event.envelope.is_callback:
            return max(settings.late_callback_s, settings.callback_timeout_s)
        return settings.max_age_s or math.inf

    def timing(self, seat: Seat, event: Event, *, is_awaited: bool) -> tuple[int | None, bool]:
        """Return until when a callback may be replied to, None if it may not, and if it is late."""
        if not event.envelope.is_callback:
            return None, False
        is_in_time = self.is_in_time(event)
        if not seat.durable:
            return None, not is_in_time
        may_reply = is_in_time and is_awaited and event.position > seat.replay_through
        return (self.reply_by_ms(event), False) if may_reply else (None, True)
