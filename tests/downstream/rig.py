"""A dispatcher over a journal in memory, and outlets that note what they get."""

import asyncio
import contextlib
import hashlib
from dataclasses import dataclass, field

from feishu_ws.clock import ManualClock, SystemClock
from feishu_ws.downstream.admin import Admin
from feishu_ws.downstream.dispatcher import Dispatcher
from feishu_ws.downstream.settings import DeliverySettings
from feishu_ws.faults import Fault, FeishuWsError
from feishu_ws.journal.contract import JournalSettings
from feishu_ws.journal.memory import MemoryJournal
from feishu_ws.model import CALLBACK_TYPES, Envelope, Event, Form, Verdict
from feishu_ws.tally import Tally
from feishu_ws.wire.native import HelloParams

MESSAGE = "im.message.receive_v1"
CARD = "card.action.trigger"


def make_event(name, kind=MESSAGE, *, at_ms, size=0):
    """Return an event whose dedupe key comes from its name."""
    payload = b'{"name":"%s","pad":"%s"}' % (str(name).encode(), b"x" * size)
    envelope = Envelope(
        type=kind,
        event_id=str(name),
        schema="2.0",
        tenant="t",
        app_id="cli_a",
        is_callback=kind in CALLBACK_TYPES,
        form=Form.ONE_LINE,
    )
    key = hashlib.blake2b(str(name).encode(), digest_size=16).digest()
    return Event(envelope, payload, at_ms, (key,))


class SlowJournal(MemoryJournal):
    """A journal in memory whose disk a test may hold up or break.

    Attributes:
        disk: Reads and enrolments wait until it is set.
        reader: Reads wait until this is set as well.
        failures: How many reads fail from now on.
        reads: How many reads there were.
        settled: (name, positions, passed) of every settle.
        noted: (name, position, attempt) of every counted attempt.
    """

    def __init__(self, settings, *, clock):
        super().__init__(settings, clock=clock)
        self.disk = asyncio.Event()
        self.disk.set()
        self.reader = asyncio.Event()
        self.reader.set()
        self.failures = 0
        self.reads = 0
        self.settled = []
        self.noted = []

    async def read(self, after, max_events=256, max_bytes=1024**2):
        self.reads += 1
        await self.disk.wait()
        await self.reader.wait()
        if self.failures:
            self.failures -= 1
            raise FeishuWsError(Fault.JOURNAL_IO, "a test broke the disk")
        return await super().read(after, max_events, max_bytes)

    async def position_at(self, wall_ms):
        await self.disk.wait()
        if self.failures:
            self.failures -= 1
            raise FeishuWsError(Fault.JOURNAL_IO, "a test broke the disk")
        return await super().position_at(wall_ms)

    def _later(self, done):
        future = asyncio.get_running_loop().create_future()

        async def wait():
            await self.disk.wait()
            await done()
            if not future.done():
                future.set_result(None)

        future.task = asyncio.get_running_loop().create_task(wait())
        return future

    def enroll(self, name, wanted, cursor, *, declared):
        if self.disk.is_set():
            return super().enroll(name, wanted, cursor, declared=declared)

        async def do():
            await MemoryJournal.enroll(self, name, wanted, cursor, declared=declared)

        return self._later(do)

    def move(self, name, cursor):
        if self.disk.is_set():
            return super().move(name, cursor)

        async def do():
            await MemoryJournal.move(self, name, cursor)

        return self._later(do)

    def settle(self, name, positions, passed=()):
        positions, passed = tuple(positions), tuple(passed)
        self.settled.append((name, positions, passed))
        if self.disk.is_set():
            return super().settle(name, positions, passed)
        self.settle_soon(name, positions, passed)

        async def do():
            return

        return self._later(do)

    def settle_soon(self, name, positions, passed=()):
        positions, passed = tuple(positions), tuple(passed)
        self.settled.append((name, positions, passed))
        super().settle_soon(name, positions, passed)

    def note_attempt(self, name, position, attempt):
        self.noted.append((name, position, attempt))
        return super().note_attempt(name, position, attempt)

    def drop(self, *positions):
        """Remove events as `max_bytes` would."""
        for position in positions:
            event = self._events.pop(position)
            for state in self._ledger:
                state.drop(position, event.envelope)


@dataclass
class Delivered:
    """One delivery as an outlet got it."""

    position: int
    attempt: int
    reply_by_ms: int | None
    late: bool


@dataclass
class FakeOutlet:
    """An outlet with as much room as a test says."""

    has: bool = True
    got: list = field(default_factory=list)
    byes: list = field(default_factory=list)
    on_deliver: object = None
    bodies: list = field(default_factory=list)

    def deliver(self, event, attempt, reply_by_ms, *, late):
        self.bodies.append(event.body)
        event.body = event.body or b"encoded"
        self.got.append(Delivered(event.position, attempt, reply_by_ms, late))
        if self.on_deliver is not None:
            self.on_deliver(event.position)

    def has_room(self):
        return self.has

    def bye(self, reason):
        self.byes.append(reason)

    @property
    def positions(self):
        return [delivered.position for delivered in self.got]

    def take(self):
        """Return what came since the last call."""
        got, self.got = self.got, []
        return [delivered.position for delivered in got]


class World:
    """A dispatcher and everything it needs."""

    def __init__(self, *, clock=None, journal=None, journal_settings=None, **delivery):
        self.clock = clock or SystemClock()
        self.settings = DeliverySettings(**delivery)
        self.journal = journal or SlowJournal(
            journal_settings or JournalSettings(), clock=self.clock
        )
        self.tally = Tally()
        self.happenings = []
        self.restart()

    def restart(self):
        """Forget everything but the journal."""
        observe = self.happenings.append
        self.dispatcher = Dispatcher(
            self.journal, self.settings, clock=self.clock, tally=self.tally, observe=observe
        )
        self.admin = Admin(
            self.journal, self.dispatcher, app_id="cli_own", clock=self.clock, observe=observe
        )

    def of(self, kind):
        """Return the happenings of a kind."""
        return [h for h in self.happenings if isinstance(h, kind)]

    async def connect(self, name="bot", **hello):
        """Connect a consumer; return its seat and outlet."""
        outlet = hello.pop("outlet", None) or FakeOutlet()
        seat, self.cursor = await self.dispatcher.attach(outlet, HelloParams(name, **hello))
        self.dispatcher.start(seat, outlet, 0)
        return seat, outlet

    async def publish(self, *names, kind=MESSAGE, size=0, age_s=0):
        """Store events and wait for their commit; return their positions."""
        loop = asyncio.get_running_loop()
        at_ms = self.clock.wall_ms() - round(age_s * 1000)
        outcomes = []
        for name in names:
            outcomes.append(loop.create_future())
            self.journal.append(
                make_event(name, kind, at_ms=at_ms, size=size), outcomes[-1].set_result
            )
        done = await asyncio.gather(*outcomes)
        assert all(outcome.verdict is Verdict.STORED for outcome in done)
        return [outcome.position for outcome in done]

    async def fill(self, count, kind=MESSAGE, size=0):
        """Store many events, named by number."""
        first = self.journal.last
        return await self.publish(*range(first, first + count), kind=kind, size=size)

    def reject(self, seat, position, retry_in_s=None, *, reason="", dead=False):
        """Reject as a session does."""
        return self.dispatcher.reject(seat, position, reason, retry_in_s, dead=dead)

    def settle(self, seat, *positions, through=None):
        """Settle as a session does for a notification."""
        done = self.dispatcher.settle(seat, positions, through)
        self.dispatcher.make_durable_soon(seat, done)
        return done

    def record(self, name="bot"):
        """Return what the journal knows of a consumer."""
        return self.journal.consumers()[name]


async def turns(count=5):
    """Give everybody some turns of the loop."""
    for _ in range(count):
        await asyncio.sleep(0)


def manual_world(**delivery):
    """Return a world whose clock stands still until told otherwise."""
    return World(clock=ManualClock(), **delivery)


@contextlib.contextmanager
def held(journal):
    """Hold up the disk for a while."""
    journal.disk.clear()
    yield
    journal.disk.set()
