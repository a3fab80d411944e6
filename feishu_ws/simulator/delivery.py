"""One event on its way: attempts, answers, and who waits for them."""

import asyncio
from collections.abc import Callable
from enum import StrEnum
from typing import Final

from feishu_ws.simulator.transmission import Split


class Stage(StrEnum):
    """Where a delivery stands."""

    NEW = "new"
    SENT = "sent"  # its latest transmission is unanswered
    RESTING = "resting"  # waits for its next attempt
    CONFIRMED = "confirmed"
    GIVEN_UP = "given_up"


TRANSITIONS: Final[dict[Stage, frozenset[Stage]]] = {
    Stage.NEW: frozenset({Stage.SENT, Stage.RESTING, Stage.GIVEN_UP}),
    Stage.SENT: frozenset({Stage.RESTING, Stage.CONFIRMED, Stage.GIVEN_UP}),
    # a late 200 still counts, and spares the repeat
    Stage.RESTING: frozenset({Stage.SENT, Stage.RESTING, Stage.CONFIRMED, Stage.GIVEN_UP}),
    Stage.CONFIRMED: frozenset(),
    Stage.GIVEN_UP: frozenset({Stage.CONFIRMED}),
}
"""What may follow what; anything else is a defect of the simulator."""

Watch = Callable[["Delivery"], None]
"""Told once when a delivery is confirmed or given up; must not block."""


class Delivery:
    """One event on its way to whoever holds a link.

    Attributes:
        serial: Counts from 1 in the order of `push`.
        payload: Kept until confirmed or given up, then empty.
        event_id: Known only with `keep_log`.
        attempts: Transmissions so far, and attempts that found no link.
        first_sent_s: On the simulator's monotonic clock; None before the first transmission.
        ack_latency_s: From the confirmed transmission to its 200; None before.
        confirmed_s: When the 200 came, on the same clock.
        code: Of the first answer; 0 before.
        data: Decoded data of the first answer.
    """

    __slots__ = (
        "_answered", "ack_latency_s", "attempts", "code", "confirmed_s", "data", "event_id",
        "first_sent_s", "kind", "link", "message_ids", "payload", "redeliver", "serial", "split",
        "stage", "watch",
    )  # fmt: skip

    def __init__(
        self,
        serial: int,
        payload: bytes,
        kind: str,
        split: Split,
        *,
        redeliver: bool,
        watch: Watch | None = None,
    ) -> None:
        self.serial = serial
        self.payload = payload
        self.kind = kind
        self.split = split
        self.redeliver = redeliver
        self.watch = watch
        self.stage = Stage.NEW
        self.link: int | None = None  # of the latest transmission
        self.message_ids: list[str] = []
        self.event_id = ""
        self.attempts = 0
        self.first_sent_s: float | None = None
        self.ack_latency_s: float | None = None
        self.confirmed_s: float | None = None
        self.code = 0
        self.data: bytes | None = None
        self._answered: asyncio.Future[None] | None = None

    @property
    def given_up(self) -> bool:
        """Whether it ran out of attempts without a 200."""
        return self.stage is Stage.GIVEN_UP

    @property
    def is_confirmed(self) -> bool:
        """Whether a 200 came."""
        return self.stage is Stage.CONFIRMED

    @property
    def is_finished(self) -> bool:
        """Whether it will not be sent again."""
        return self.stage is Stage.CONFIRMED or self.stage is Stage.GIVEN_UP

    def move(self, stage: Stage) -> None:
        """Go to another stage.

        Raises:
            ValueError: The table does not allow it; nothing changed.
        """
        if stage not in TRANSITIONS[self.stage]:
            raise ValueError(f"delivery {self.serial}: {self.stage} to {stage}")
        self.stage = stage

    def note_answer(self, code: int, data: bytes | None) -> None:
        """Keep the first answer and wake who waits for it."""
        if not self.code:
            self.code, self.data = code, data
        self.wake()

    def wake(self) -> None:
        """Wake who waits in `confirmed`."""
        if self._answered is not None and not self._answered.done():
            self._answered.set_result(None)

    async def confirmed(self, timeout_s: float = 5.0) -> tuple[int, bytes | None]:
        """Return code (200 or 500) and decoded data of the first answer.

        Raises:
            TimeoutError: No answer in `timeout_s`, or given up without one.
        """
        if not self.code and not self.is_finished:
            if self._answered is None or self._answered.done():
                self._answered = asyncio.get_running_loop().create_future()
            await asyncio.wait([self._answered], timeout=timeout_s)
        if not self.code:
            how = "given up" if self.given_up else f"none within {timeout_s} s"
            raise TimeoutError(
                f"no answer to event {self.serial} in {self.attempts} attempts: {how}"
            )
        return self.code, self.data
