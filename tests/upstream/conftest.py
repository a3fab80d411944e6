"""What the tests of the links share: a fake Feishu, and records of what happened."""

import asyncio
from random import Random

import pytest
import uvloop
from upstream.fake import FakeFeishu

from feishu_ws.clock import SystemClock
from feishu_ws.happenings import ignore
from feishu_ws.secret import Secret
from feishu_ws.tally import Tally
from feishu_ws.upstream.fleet import Fleet
from feishu_ws.upstream.settings import Credentials, UpstreamSettings

ON_BOTH_LOOPS = {
    "test_channel",
    "test_connection",
    "test_opening",
    "test_fleet",
    "test_socks",
    "test_tunnel",
}


def pytest_asyncio_loop_factories(config, item):
    """What touches sockets runs on the loop of the daemon and on the standard one."""
    if item.path.stem in ON_BOTH_LOOPS:
        return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
    return {"asyncio": asyncio.new_event_loop}


class Record:
    """Keeps happenings; lets a test wait for one."""

    def __init__(self):
        self.all = []
        self._changed = asyncio.Event()
        self._running = None
        self.told = ignore

    def watch(self, running):
        """End a wait when the fleet dies instead of letting it time out."""
        self._running = running
        running.add_done_callback(lambda _: self._changed.set())

    def __call__(self, happening):
        self.all.append(happening)
        self.told(happening)
        self._changed.set()

    def of(self, kind):
        return [each for each in self.all if type(each) is kind]

    async def wait(self, kind, number=1, within_s=10):
        async with asyncio.timeout(within_s):
            while len(self.of(kind)) < number:
                if self._running is not None and self._running.done():
                    self._running.result()
                self._changed.clear()
                await self._changed.wait()
        return self.of(kind)[number - 1]


class Harness:
    """A fleet on the fake Feishu, payloads kept, answers given as the test says."""

    def __init__(self, feishu):
        self.feishu = feishu
        self.record = Record()
        self.tally = Tally()
        self.payloads = []
        self.answers = []
        self.answer_with = (200, None)
        self.proven = []
        self.addresses = frozenset({"192.0.2.7"})
        self.fleet = None
        self.running = None

    def accept(self, payload, answer):
        self.payloads.append(payload)
        if self.answer_with is None:
            self.answers.append(answer)
        else:
            answer(*self.answer_with)

    def start(self, *, proven=False, resolver=None, domain=None, secret="s3cret", **settings):
        settings = {"connections": 1, "backoff_base_s": 0.05, **settings}
        self.fleet = Fleet(
            UpstreamSettings(**settings),
            Credentials("cli_a", Secret(secret), domain or self.feishu.domain),
            self.accept,
            self.record,
            self.tally,
            SystemClock(),
            Random(1),
            proven=proven,
            on_proven=lambda: self.proven.append(True),
            resolver=resolver,
            own_addresses=lambda: self.addresses,
        )
        self.running = asyncio.create_task(self.fleet.run())
        self.record.watch(self.running)

    async def open(self, **settings):
        """Start and return the first session."""
        self.start(**settings)
        return await self.feishu.opened()


@pytest.fixture
async def feishu():
    async with FakeFeishu() as fake:
        yield fake


@pytest.fixture
async def harness(feishu):
    made = Harness(feishu)
    yield made
    if made.running is not None:
        if not made.running.done():
            await made.fleet.stop(0)
        await asyncio.gather(made.running, return_exceptions=True)
