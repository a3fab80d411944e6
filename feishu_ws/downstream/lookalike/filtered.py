"""Events that the lookalike passes over, counted."""

from collections.abc import Sequence
from typing import Final

from feishu_ws.downstream.lookalike.settings import CONSUMER, LookalikeSettings
from feishu_ws.journal.contract import Journal
from feishu_ws.model import Event, Filter
from feishu_ws.tally import Tally

FILTERED: Final = "filtered"


def count_filtered(journal: Journal, settings: LookalikeSettings, tally: Tally) -> None:
    """Count from now on what is stored and is of no type that SDKs get.

    The consumer's own filter settles it; here is only counted, and only once there is
    such a consumer.
    """
    wanted = Filter(types=settings.event_types).compile()

    def count(events: Sequence[Event]) -> None:
        if CONSUMER in journal.consumers():
            unwanted = sum(not wanted.names(event.envelope) for event in events)
            tally.events_discarded[FILTERED] += unwanted

    journal.subscribe(count)
