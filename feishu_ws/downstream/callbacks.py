"""Callbacks whose sender waits: who may answer them, and when nobody will.

The first reply of a consumer that holds the callback is the answer. A consumer that
settles it without a word leaves the answer to the others that hold it; once the last of
them did, nobody is left to wait for, and the default can go out before its time.
"""

from collections.abc import Callable, Iterable

from feishu_ws.downstream.seat import Seat
from feishu_ws.model import Event
from feishu_ws.tally import Tally

OnAnswer = Callable[[bytes | None], None]
"""Called once with the first reply, or with None when nobody is left who could reply."""


class Callbacks:
    """What is awaited at the moment, by position."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._awaited: dict[int, tuple[Event, OnAnswer]] = {}

    def __contains__(self, position: int) -> bool:
        return position in self._awaited

    def events(self) -> list[Event]:
        """Return what is awaited; kept here, since the newest events may push it out of memory."""
        return [event for event, _ in self._awaited.values()]

    def expect(self, event: Event, on_answer: OnAnswer) -> None:
        """Call `on_answer` with the first reply to a callback."""
        self._awaited[event.position] = event, on_answer

    def give_up(self, position: int) -> None:
        """Its time is over: what comes now is late."""
        self._awaited.pop(position, None)

    def reply(self, seat: Seat, position: int, data: bytes) -> bool:
        """Give the answer; False if it is late, unknown or not the first.

        Late is counted where the consumer holds the callback, not for any number it may say.
        """
        if position in self._awaited and seat.progress.is_out(position):
            self._awaited.pop(position)[1](data)
            return True
        if seat.progress.holds_callback(position):
            self._tally.callbacks["late"] += 1
        return False

    def decline(self, positions: Iterable[int], seats: Iterable[Seat]) -> None:
        """Some consumer is done with `positions`: answer those that no seat holds any more."""
        if not self._awaited:
            return
        for position in self._awaited.keys() & set(positions):
            if not any(seat.progress.is_out(position) for seat in seats):
                self._awaited.pop(position)[1](None)
