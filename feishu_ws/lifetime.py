"""When a daemon was last known to run: after a crash nothing else tells when it ended."""

from contextlib import suppress
from typing import Final

from feishu_ws.clock import Clock
from feishu_ws.faults import FeishuWsError
from feishu_ws.journal.contract import Journal

ALIVE: Final = "alive_ms"
EVERY_S: Final = 60.0  # a commit each; an event that is stored tells the same for nothing


async def note_alive(journal: Journal, clock: Clock) -> None:
    """Note in the journal for ever that the daemon runs."""
    while True:
        journal.remember(ALIVE, str(clock.wall_ms()))
        await clock.sleep(EVERY_S)


async def last_alive_ms(journal: Journal) -> int:
    """Return when the daemon before this one ran for sure, Unix milliseconds; 0 if unknown.

    That is until `EVERY_S` before its end, or later if it stored events. Ask before
    `note_alive` begins.
    """
    moments = [0]
    with suppress(ValueError):
        moments.append(int(journal.recall(ALIVE) or 0))
    with suppress(FeishuWsError):  # the journal counts it and shows it as its fault
        reading = await journal.read(max(journal.last - 1, 0), max_events=1)
        moments += [event.received_ms for event in reading.events]
    return max(moments)
