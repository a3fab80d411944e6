"""From a stored callback to what its sender is told: a reply, or the default in time.

Invariants:

- Every callback is answered exactly once, at its deadline at the latest.
- Its duplicates get the same answer, whenever they come, while it is remembered.
"""

import asyncio
import math
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from feishu_ws.clock import Clock
from feishu_ws.downstream.dispatcher import Dispatcher
from feishu_ws.downstream.settings import DeliverySettings
from feishu_ws.model import Event
from feishu_ws.tally import Tally

MAX_ANSWERS: Final = 4096  # callbacks whose duplicates get the same answer again
MAX_ANSWER_BYTES: Final = 8 * 1024 * 1024

Tell = Callable[[bytes], None]
"""Gets the JSON that the sender of a callback is to have."""


class Answering:
    """Sees to it that whoever sent a callback gets one answer.

    Attributes:
        settings: Read anew for every answer (SIGHUP).
    """

    def __init__(
        self, dispatcher: Dispatcher, settings: DeliverySettings, *, clock: Clock, tally: Tally
    ) -> None:
        self.settings = settings
        self._dispatcher = dispatcher
        self._clock = clock
        self._tally = tally
        self._memory = Memory()
        self._defaults: dict[int, Callable[[], None]] = {}
        self._timers: dict[int, tuple[float, asyncio.TimerHandle]] = {}  # and when it is due
        self._latest_s = math.inf

    def begin(self, event: Event, deadline_s: float, tell: Tell) -> None:
        """Wait for the first reply to a callback that is durable, and answer by `deadline_s`.

        Args:
            event: The callback, with its position.
            deadline_s: On the clock's monotonic side.
            tell: Called once.
        """
        position = event.position

        def answer(data: bytes | None) -> None:
            del self._defaults[position]
            self._timers.pop(position)[1].cancel()
            self._tally.callbacks["defaulted" if data is None else "answered"] += 1
            said = self.settings.callback_default if data is None else data
            tell(said)
            self._memory.give(event.keys, said)

        def give_default() -> None:
            self._dispatcher.stop_awaiting(position)
            answer(None)

        self._memory.expect(event.keys)
        self._defaults[position] = give_default
        self._arm(position, min(deadline_s, self._latest_s))
        self._dispatcher.await_reply(event, answer)

    def _arm(self, position: int, deadline_s: float) -> None:
        left_s = max(deadline_s - self._clock.monotonic(), 0.0)
        timer = asyncio.get_running_loop().call_later(left_s, self._defaults[position])
        self._timers[position] = deadline_s, timer

    def hasten(self, within_s: float) -> None:
        """The daemon stops: whoever still waits in `within_s` gets the default then."""
        self._latest_s = self._clock.monotonic() + within_s
        for position, (deadline_s, timer) in list(self._timers.items()):
            if deadline_s > self._latest_s:
                timer.cancel()
                self._arm(position, self._latest_s)

    def repeat(self, event: Event, tell: Tell) -> None:
        """Give a repeated callback what the first copy got or gets."""
        default = self.settings.callback_default
        self._memory.ask(event.keys, lambda data: tell(default if data is None else data))


class Memory:
    """What callbacks were answered, for their duplicates; bounded in number and bytes."""

    def __init__(self) -> None:
        self._given: OrderedDict[bytes, bytes] = OrderedDict()
        self._expected: dict[bytes, list[Tell]] = {}
        self._bytes = 0

    def expect(self, keys: tuple[bytes, ...]) -> None:
        """The first copy of a callback waits for its answer."""
        self._expected[keys[0]] = []

    def give(self, keys: tuple[bytes, ...], data: bytes) -> None:
        """The first copy was answered: so are the duplicates that wait."""
        for tell in self._expected.pop(keys[0], ()):
            tell(data)
        self._bytes += len(data) - len(self._given.pop(keys[0], b""))
        self._given[keys[0]] = data
        while len(self._given) > MAX_ANSWERS or self._bytes > MAX_ANSWER_BYTES:
            _, old = self._given.popitem(last=False)
            self._bytes -= len(old)

    def ask(self, keys: tuple[bytes, ...], tell: Callable[[bytes | None], None]) -> None:
        """Call `tell` with the first copy's answer, with None if it is not known."""
        waiting = self._expected.get(keys[0])
        if waiting is not None:
            waiting.append(tell)
        else:
            tell(self._given.get(keys[0]))
