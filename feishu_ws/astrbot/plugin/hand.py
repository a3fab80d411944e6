"""What AstrBot has in hand: each event from its delivery until the daemon took its settle.

Invariants:

- An event is handed to AstrBot once, however often it is delivered while it is in hand:
  after a lost connection, a daemon that restarted, an adapter that was reloaded.
- What AstrBot is done with is said over the latest connection that delivered it; if that
  is lost, over the one that delivers it again, without AstrBot seeing it twice.
- A place in hand ends with the daemon's answer, never before: nothing is remembered longer,
  so a replay that an operator asks for is handled like any delivery.
"""

import asyncio
import sys
import weakref
from collections.abc import Callable
from typing import Any, Final

from .native import Gone, Params, Refused, Session

HELD_S: Final = 600.0
"""So long AstrBot may take for an event; then it is settled all the same.

The daemon delivers what is not settled again every 60 s, and gives it up after 16 times.
"""
WAITED_FOR_S: Final = 3.0  # Feishu waits no longer for an answer. Source: Feishu docs "回调概述"
MOST: Final = 4096  # far above the daemon's window, for events whose journal was replaced

Key = tuple[str, int, str]
Say = Callable[[str], None]


class Held:
    """One event in hand.

    Attributes:
        key: Journal, position, event id.
        attempt: As the daemon counts.
        is_waited_for: Whether Feishu waits for an answer.
        is_taken: AstrBot has it in its queue, or had.
        failed: Why AstrBot's answer could not be sent, "" while nothing failed.
        said: What is to be said to the daemon, once that is known: method and params.
    """

    def __init__(self, key: Key, params: Params, session: Session) -> None:
        self.key = key
        self.attempt = int(params.get("attempt", 1))
        self.is_waited_for = bool(params.get("reply_by"))
        self.is_taken = False
        self.failed = ""
        self.said: tuple[str, Params] | None = None
        self.session = session
        self.timer: asyncio.TimerHandle | None = None

    @property
    def position(self) -> int:
        """The event's number in the journal."""
        return self.key[1]


class Hand:
    """Everything in hand; belongs to AstrBot's queue, and outlives adapters.

    Args:
        log: Gets a line about what went wrong.
    """

    def __init__(self, log: Say) -> None:
        self._log = log
        self._held: dict[Key, Held] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._held)

    def take(self, params: Params, session: Session) -> Held | None:
        """Return the event to be handed to AstrBot, None if it is in hand already."""
        key = (session.journal, int(params["position"]), str(params["event"].get("id", "")))
        held = self._held.get(key)
        if held is None:
            self._make_room()
            self._held[key] = held = Held(key, params, session)
            return held
        held.session = session
        if held.said is not None:
            self._start(held)
        return None

    def watch(self, held: Held, event: Any) -> None:
        """AstrBot took it: settle once it is done with `event`.

        An AstrBot that does not tell (before `cleanup_temporary_local_files`) is done at once,
        with a callback once its time is up.
        """
        held.is_taken = True
        loop = asyncio.get_running_loop()
        if not hasattr(type(event), "cleanup_temporary_local_files"):
            wait_s = WAITED_FOR_S if held.is_waited_for else 0.0
            held.timer = loop.call_later(wait_s, self.finish, held)
            return
        held.timer = loop.call_later(HELD_S, self.settle, held)
        watched = weakref.ref(event)

        def done() -> None:
            alive = watched()
            if alive is not None:
                type(alive).cleanup_temporary_local_files(alive)
            if isinstance(sys.exc_info()[1], asyncio.CancelledError):
                held.failed = "AstrBot was stopped"
            self.finish(held)

        event.cleanup_temporary_local_files = done
        dropped = weakref.finalize(event, _from_any_thread, loop, self.finish, held)
        dropped.atexit = False

    def finish(self, held: Held) -> None:
        """AstrBot is done with it: settled, unless its answer could not be sent."""
        if held.failed:
            self.reject(held, held.failed)
        else:
            self.settle(held)

    def settle(self, held: Held) -> None:
        """It is done with; said once, the first word counts."""
        self._conclude(held, "settle", {"positions": [held.position]})

    def reject(self, held: Held, reason: str) -> None:
        """It is to come again."""
        self._conclude(held, "reject", {"position": held.position, "reason": reason[:200]})

    def reply(self, held: Held, data: Params) -> None:
        """It is answered, and so done with."""
        self._conclude(held, "reply", {"position": held.position, "data": data})

    def drop(self, held: Held) -> None:
        """AstrBot never got it: whoever reads next begins anew."""
        if held.said is None and not held.is_taken:
            self._held.pop(held.key, None)

    def _conclude(self, held: Held, method: str, params: Params) -> None:
        if held.said is None:
            held.said = method, params
            if held.timer is not None:
                held.timer.cancel()
            self._start(held)

    def _start(self, held: Held) -> None:
        task = asyncio.ensure_future(self._say(held))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _say(self, held: Held) -> None:
        method, params = held.said or ("settle", {})
        try:
            await held.session.call(method, params)
        except Gone:
            if method == "reject":
                self._held.pop(held.key, None)  # it comes again by itself, to be handled anew
            return
        except Refused as exc:
            self._log(f"event at position {held.position}: {method} refused: {exc}")
        self._held.pop(held.key, None)

    def _make_room(self) -> None:
        if len(self._held) >= MOST:
            oldest = next((k for k, held in self._held.items() if held.said), None)
            self._held.pop(oldest or next(iter(self._held)))


def _from_any_thread(
    loop: asyncio.AbstractEventLoop, tell: Callable[[Held], None], held: Held
) -> None:
    """Tell of an event that was collected; on whichever thread that happened."""
    if held.said is None and not loop.is_closed():
        loop.call_soon_threadsafe(tell, held)
