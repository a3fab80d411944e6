"""Each part does one thing to a daemon very often, and checks that nothing was left behind.

A part returns its figures for people, and fails where memory, descriptors, threads or
tasks grow, or where an event is lost. Simulator and consumers run in this process, the
daemon in its own.
"""

import asyncio
import contextlib
import itertools
import random
import socket
import tempfile
import time
from contextlib import asynccontextmanager

from processes import APP_ID, APP_SECRET
from soak import strangers
from soak.meter import Meter, WatchedDaemon

from feishu_ws.simulator.corpus import text_message
from feishu_ws.simulator.hostile import hostile_frames
from feishu_ws.simulator.server import Simulator
from feishu_ws.simulator.settings import SimulatorSettings

WINDOW = 64
REPEAT_EVERY = 20  # each twentieth event is sent once more, while its first copy is known
REPEAT_OF_BEFORE = 200
DELIVERED_S = 60.0
WARM_UP = 3000  # events that fill what is bounded: caches, recent events, the allocator's pools
SAMPLES = 60
LINKS_TO_LOSE = 4
FRAMES_AT_ONCE = 200
STRANGERS_AT_ONCE = 8

HOSTILE_TYPE = b'"type":"hostile.frame"'

BAR_MB = 60.0  # DESIGN, "Speed and size"
LARGE_FRAMES_MB = 110.0  # hostile frames may have 6 MB, lines 9, and several copies are needed
GROWTH_MB = 1.5
LONG_LINES_MB = 10.0  # now and then a stranger's line has 9 MB, which the allocator may keep


class Consumer:
    """Takes every event once, in order, and settles it; counts what should not come."""

    def __init__(self, path, name="bot"):
        self._path = str(path)
        self._name = name
        self._task = None
        self._last = 0
        self.count = 0
        self.again = 0

    async def __aenter__(self):
        self._reader, self._writer = await asyncio.open_unix_connection(self._path, limit=2**24)
        hello = b'{"jsonrpc":"2.0","id":1,"method":"hello","params":{"consumer":"%b","start":"earliest"}}\n'
        self._writer.write(hello % self._name.encode())
        assert b'"result"' in await self._reader.readline()
        self._task = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_):
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._writer.close()

    async def _read(self):
        rest = b""
        while data := await self._reader.read(2**20):
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                self._take(line)
            settle = b'{"jsonrpc":"2.0","method":"settle","params":{"through":%d}}\n'
            self._writer.write(settle % self._last)

    def _take(self, line):
        at = line.index(b'"position":') + len(b'"position":')
        position = int(line[at : line.index(b",", at)])
        if HOSTILE_TYPE not in line:  # what a lenient reading of a hostile frame gives
            self.again += position <= self._last
            self.count += position > self._last
        self._last = max(self._last, position)

    async def reach(self, count):
        """Wait until so many events came."""
        until = time.monotonic() + DELIVERED_S
        while self.count < count:
            assert not self._task.done(), "the daemon closed the connection"
            assert time.monotonic() < until, f"{self.count} of {count} events came"
            await asyncio.sleep(0.01)


class Load:
    """Pushes events and repeats of them, a window at a time."""

    def __init__(self, feishu):
        self._feishu = feishu
        self._origin = feishu.new_origin()
        self._open = asyncio.Semaphore(WINDOW)
        self.pushed = 0

    async def push(self, count):
        """Push so many new events, and repeats between them; return when all are confirmed."""
        for _ in range(count):
            self.pushed += 1
            await self._send(self.pushed)
            if self.pushed % REPEAT_EVERY == 0 and self.pushed > REPEAT_OF_BEFORE:
                await self._send(self.pushed - REPEAT_OF_BEFORE)
        for _ in range(WINDOW):
            await self._open.acquire()
        for _ in range(WINDOW):
            self._open.release()

    async def _send(self, serial):
        await self._open.acquire()
        payload = text_message(serial, origin=self._origin)
        self._feishu.push(payload, watch=lambda _: self._open.release())


class Scene:
    """A simulator, a daemon, a consumer and a load; warmed up."""

    def __init__(self, feishu, daemon, consumer, load):
        self.feishu = feishu
        self.daemon = daemon
        self.consumer = consumer
        self.load = load

    async def deliver(self, count):
        """Push new events and see them delivered, once each."""
        await self.load.push(count)
        await self.consumer.reach(self.load.pushed)
        assert self.consumer.count == self.load.pushed
        assert self.feishu.stats.given_up == 0

    async def settle(self):
        """Wait until every link is live again, and see that all works as before."""
        await self.feishu.wait_for_links(LINKS_TO_LOSE, 30)
        await self.deliver(100)
        await asyncio.sleep(1)  # what is being closed is closed by now


@asynccontextmanager
async def scene(**settings):
    """Start everything, and push enough to fill what is bounded."""
    feishu_settings = SimulatorSettings(
        app_id=APP_ID,
        app_secret=APP_SECRET,
        checked_share=0.01,
        redelivery_s=(1.0,) * 100,
        client_config={"PingInterval": 120, "ReconnectNonce": 0, "ReconnectInterval": 1},
    )
    fast = {
        "upstream__connections": LINKS_TO_LOSE,
        "upstream__backoff_base_s": 0.01,
        "upstream__settled_s": 0,
        "upstream__storm_tokens": 1000,
        "upstream__storm_refill_s": 0.01,
        "log__level": "error",
    }
    with tempfile.TemporaryDirectory() as directory:
        async with Simulator(feishu_settings) as feishu:
            with WatchedDaemon(directory, feishu.domain, **{**fast, **settings}) as daemon:
                await asyncio.to_thread(daemon.start)
                await feishu.wait_for_links(LINKS_TO_LOSE, 15)
                async with Consumer(daemon.socket_path) as consumer:
                    prepared = Scene(feishu, daemon, consumer, Load(feishu))
                    await prepared.deliver(WARM_UP)
                    await asyncio.to_thread(daemon.get, "/metrics")
                    yield prepared


def shares(count):
    """Cut `count` into pieces, so that there are about `SAMPLES` moments to sample."""
    size = max(count // SAMPLES, 1)
    whole, rest = divmod(count, size)
    return [size] * whole + [rest] * bool(rest)


async def events(count, growth_mb=GROWTH_MB):
    """Events by the million: duplicates among them, old ones pruned, a consumer that is live."""
    room = 8 * 2**20 + 200 * count  # less than the events take, more than the keys do
    async with scene(
        journal__max_bytes=room, journal__retention_hours=0.005, journal__dedupe_hours=0.005
    ) as here:
        before = Meter(here.daemon, 0).sample()
        async with Meter(here.daemon, every_s=0.5) as meter:
            for share in shares(count):
                await here.deliver(share)
            await here.settle()
        journal = (await asyncio.to_thread(here.daemon.status))["journal"]
        assert journal["first"] > 1, "nothing was pruned"
        assert journal["last"] == here.load.pushed, "a duplicate was stored"
        assert here.consumer.again == 0
        meter.check(before, growth_mb=growth_mb, peak_mb=BAR_MB)
        return meter.figures(before)


async def reconnects(count, growth_mb=GROWTH_MB):
    """Links lost in every way, each time with an event on its way."""
    rng = random.Random(1)
    ways = (
        lambda link: link.reset(),
        lambda link: link.hang_up(),
        lambda link: link.close(1000, ""),
        lambda link: link.close(1011, "x"),
        lambda link: link.close(1001, "bye"),
        lambda link: link.violate(b"\xff" * 20),
    )
    async with scene() as here:
        before = Meter(here.daemon, 0).sample()
        async with Meter(here.daemon, every_s=0.5) as meter:
            lost = 0
            while lost < count:
                here.load.pushed += 1
                here.feishu.push(text_message(here.load.pushed, origin=here.load._origin))
                for link in rng.sample(here.feishu.links, k=min(2, len(here.feishu.links))):
                    rng.choice(ways)(link)
                    lost += 1
                await here.feishu.wait_for_links(LINKS_TO_LOSE - 1, 30)
            await here.consumer.reach(here.load.pushed)
            await here.settle()
        assert here.consumer.again == 0
        meter.check(before, growth_mb=growth_mb, peak_mb=BAR_MB)
        return f"{lost} links lost, {meter.figures(before)}"


async def frames(count, growth_mb=GROWTH_MB):
    """Hostile frames: no link is lost, every honest event between them is delivered."""
    unending = hostile_frames(random.Random(2))
    async with scene() as here:
        numbers = {link.number for link in here.feishu.links}
        before = Meter(here.daemon, 0).sample()
        async with Meter(here.daemon, every_s=0.5) as meter:
            for at in range(0, count, FRAMES_AT_ONCE):
                for frame in itertools.islice(unending, min(FRAMES_AT_ONCE, count - at)):
                    here.feishu.send_raw(frame, random.choice(here.feishu.links))
                here.load.pushed += 1
                delivery = here.feishu.push(
                    text_message(here.load.pushed, origin=here.load._origin)
                )
                await delivery.confirmed(30)
            await here.settle()
        assert {link.number for link in here.feishu.links} == numbers, "a link was lost"
        assert await received(here.daemon) >= count + here.load.pushed
        meter.check(before, growth_mb=growth_mb, peak_mb=LARGE_FRAMES_MB)
        return meter.figures(before)


async def received(daemon):
    """Return how many frames the daemon says it has read."""
    _, page = await asyncio.to_thread(daemon.get, "/metrics")
    lines = [line for line in page.split(b"\n") if line.startswith(b"feishu_ws_frames_received_t")]
    return sum(float(line.rpartition(b" ")[2]) for line in lines)


async def lines(count, growth_mb=LONG_LINES_MB):
    """Strangers on the native socket; the consumer beside them gets its events all the while."""

    def visit(said):
        with socket.socket(socket.AF_UNIX) as client, contextlib.suppress(OSError):
            client.settimeout(5)
            client.connect(str(here.daemon.socket_path))
            client.sendall(b"".join(said))
            if len(said) > 1:
                client.shutdown(socket.SHUT_WR)
                while client.recv(65536):
                    pass

    async with scene() as here:
        before = Meter(here.daemon, 0).sample()
        async with Meter(here.daemon, every_s=0.5) as meter:
            await strange(strangers.lines(3), visit, here, count)
            await here.settle()
        meter.check(before, growth_mb=growth_mb, peak_mb=LARGE_FRAMES_MB)
        return meter.figures(before)


async def requests(count, growth_mb=GROWTH_MB):
    """Strangers on the HTTP port; the metrics are there all the while."""

    def visit(head):
        address = ("127.0.0.1", here.daemon.port)
        with contextlib.suppress(OSError), socket.create_connection(address, 5) as client:
            client.sendall(head)
            if len(head) % 3:
                while client.recv(65536):
                    pass

    async with scene() as here:
        unending = strangers.requests(4, b"127.0.0.1:%d" % here.daemon.port)
        before = Meter(here.daemon, 0).sample()
        async with Meter(here.daemon, every_s=0.5) as meter:
            await strange(unending, visit, here, count)
            await here.settle()
        status, page = await asyncio.to_thread(here.daemon.get, "/metrics")
        assert (status, b"feishu_ws_clients_refused_total" in page) == (200, True)
        meter.check(before, growth_mb=growth_mb, peak_mb=BAR_MB)
        return meter.figures(before)


async def strange(unending, visit, here, count):
    """Let strangers visit, a few at a time, and an event be delivered between them."""
    for share in shares(count):
        visitors = [list(itertools.islice(unending, n)) for n in spread(share)]
        await asyncio.gather(
            *(asyncio.to_thread(lambda v=v: [visit(each) for each in v]) for v in visitors)
        )
        await here.deliver(1)


def spread(count):
    """Spread visits over those who visit at once."""
    return [
        count // STRANGERS_AT_ONCE + (n < count % STRANGERS_AT_ONCE)
        for n in range(STRANGERS_AT_ONCE)
    ]


PARTS = {
    "events": (events, 1_000_000),
    "reconnects": (reconnects, 10_000),
    "frames": (frames, 100_000),
    "lines": (lines, 100_000),
    "requests": (requests, 100_000),
}
"""By name: the part, and how often it does its thing in a soak."""
