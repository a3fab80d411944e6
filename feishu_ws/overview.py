"""The daemon at one moment: asks every room and fills in telemetry's `Facts`."""

from collections.abc import Callable, Iterator
from typing import Final

from feishu_ws import __version__
from feishu_ws.clock import Clock
from feishu_ws.config import Settings
from feishu_ws.downstream.dispatcher import Dispatcher
from feishu_ws.downstream.seat import Seat
from feishu_ws.faults import Fault, FeishuWsError
from feishu_ws.intake import COMMIT_DEADLINE_S, Intake
from feishu_ws.journal.contract import Journal
from feishu_ws.model import ConsumerRecord
from feishu_ws.secret import redact_url
from feishu_ws.tally import Tally
from feishu_ws.telemetry.facts import ConsumerFact, Facts, JournalFact, LinkFact, LookalikeFact
from feishu_ws.upstream.fleet import Fleet
from feishu_ws.watchers import Watchers

OLDEST_EVERY_S: Final = 5.0  # an alert on it waits for minutes


class Overview:
    """Builds `Facts` on request."""

    def __init__(
        self,
        settings: Settings,
        *,
        fleet: Fleet,
        journal: Journal,
        dispatcher: Dispatcher,
        intake: Intake,
        tally: Tally,
        watchers: Watchers,
        clock: Clock,
        lookalike: Callable[[], LookalikeFact | None] = lambda: None,
    ) -> None:
        self._settings = settings  # only what needs a restart to change is read
        self._fleet = fleet
        self._journal = journal
        self._dispatcher = dispatcher
        self._intake = intake
        self._tally = tally
        self._watchers = watchers
        self._clock = clock
        self._lookalike = lookalike
        self._started_ms = clock.wall_ms()
        self._oldest: dict[str, tuple[int, int]] = {}

    def facts(self) -> Facts:
        """Return the daemon as it is now."""
        return Facts(
            version=__version__,
            app_id=self._settings.app.id,
            domain=self._settings.app.domain,
            proxy=_without_login(self._settings.upstream.proxy),
            needs_restart=self._watchers.needs_restart,
            started_ms=self._started_ms,
            now_ms=self._clock.wall_ms(),
            links=tuple(self._links()),
            links_wanted=self._fleet.size,
            is_storm=self._fleet.is_storm,
            journal=self._journal_fact(),
            consumers=tuple(self._consumers()),
            tally=self._tally,
            last_event_ms=self._intake.last_event_ms,
            faults=self._watchers.faults.active(self._clock.monotonic()),
            losses=self._watchers.losses.losses(),
            lookalike=self._lookalike(),
        )

    def live_since(self) -> dict[int, int | None]:
        """Return since when each link is live, in Unix milliseconds; None where it is not."""
        return {
            link.index: (link.established_ms or None) if link.is_live else None
            for link in self._links()
        }

    async def follow_oldest(self) -> None:
        """Look up for ever when the oldest pending event of each consumer was received.

        A task of its own: the disk may take its time, and nobody waits for this.
        """
        while True:
            await self._clock.sleep(OLDEST_EVERY_S)
            for name, record in list(self._journal.consumers().items()):
                if not record.pending:
                    self._oldest.pop(name, None)
                elif self._oldest.get(name, (-1, 0))[0] != record.cursor:
                    await self._look_up_oldest(name, record.cursor)

    async def _look_up_oldest(self, name: str, cursor: int) -> None:
        try:
            reading = await self._journal.read(cursor, max_events=1)
        except FeishuWsError:  # the journal counts it and shows it as its fault
            return
        if reading.events:
            self._oldest[name] = cursor, reading.events[0].received_ms

    def _links(self) -> Iterator[LinkFact]:
        for link in self._fleet.facts():
            yield LinkFact(
                index=link.index,
                state=link.state,
                since_ms=link.since_ms,
                established_ms=link.established_ms or 0,
                last_frame_ms=link.last_frame_ms or 0,
                failures=link.consecutive_failures,
                fault=link.fault,
                retry_at_ms=link.retry_at_ms,
                lives=link.lives,
                ping_interval_s=link.ping_interval_s,
            )

    def _journal_fact(self) -> JournalFact:
        facts = self._journal.facts()
        fault = facts.fault
        if fault is None and facts.stalled_s > COMMIT_DEADLINE_S:
            fault = Fault.JOURNAL_SLOW
        return JournalFact(
            id=facts.id,
            path=facts.path,
            first=facts.first,
            last=facts.last,
            size_bytes=facts.size_bytes,
            limit_bytes=facts.limit_bytes,
            free_bytes=facts.free_bytes,
            waiting_bytes=facts.waiting_bytes,
            dead_letters=facts.dead_letters,
            fault=fault,
            stalled_s=facts.stalled_s,
            open_sends=facts.open_sends,
            oldest_send_ms=facts.oldest_send_ms or 0,
            dead_sends=facts.dead_sends,
        )

    def _consumers(self) -> Iterator[ConsumerFact]:
        seats = self._dispatcher.seats
        for name, record in sorted(self._journal.consumers().items()):
            _, oldest_ms = self._oldest.get(name, (0, 0))
            yield _durable(record, seats.durable.get(name), oldest_ms)
        for seat in seats.taps:
            yield ConsumerFact(
                name=seat.name,
                declared=False,
                durable=False,
                connected=seat.outlet is not None,
                cursor=seat.progress.read_through,
                types=seat.wanted.filter.types,
            )


def _without_login(proxy: str) -> str:
    """Return `upstream.proxy` as it may be shown; "env" and "" are what they are."""
    return redact_url(proxy) if "://" in proxy else proxy


def _durable(record: ConsumerRecord, seat: Seat | None, oldest_ms: int) -> ConsumerFact:
    in_flight_ms = seat.progress.oldest_received_ms() if seat is not None else None
    return ConsumerFact(
        name=record.name,
        declared=record.declared,
        durable=True,
        connected=seat is not None and seat.outlet is not None,
        cursor=record.cursor,
        pending=record.pending,
        in_flight=seat.progress.in_flight if seat is not None else 0,
        oldest_pending_ms=(in_flight_ms or oldest_ms) if record.pending else 0,
        types=record.filter.types,
    )
