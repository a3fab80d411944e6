"""A link that dies under load loses nothing, in whatever way it dies."""

import asyncio
import contextlib
import itertools
import random
import sqlite3
import subprocess
import sys
from collections import Counter

import pytest
from processes import APP_ID, APP_SECRET, DaemonProcess
from support import eventually

from feishu_ws.client import Consumer
from feishu_ws.simulator import corpus
from feishu_ws.simulator.link import Condition
from feishu_ws.simulator.load import pace
from feishu_ws.simulator.octets import VIOLATIONS
from feishu_ws.simulator.server import Simulator
from feishu_ws.simulator.settings import CLIENT_CONFIG, SimulatorSettings

RATE = 300  # events per second
LOAD_S = 10.0
KILL_EVERY_S = 0.25
BURST = 8  # events that are on their way when a link dies
LOST_ACKS = 0.02  # share of confirmations that die on the way to Feishu
LINKS = 2

SIMULATOR = SimulatorSettings(
    app_id=APP_ID,
    app_secret=APP_SECRET,
    ack_deadline_s=1.5,
    redelivery_s=(0.5,) * 100,  # 15 s and more in truth
    idle_s=3.0,  # so long a link that is half open is still chosen
    client_config={**CLIENT_CONFIG, "ReconnectInterval": 0, "ReconnectNonce": 0},
    keep_log=True,
)
DAEMON = {
    "upstream__connections": LINKS,
    "upstream__keepalive_interval_s": 1,
    "upstream__keepalive_timeout_s": 0.5,
    "upstream__backoff_base_s": 0.05,
    "upstream__backoff_max_s": 0.2,
    "upstream__settled_s": 0,
    "upstream__storm_tokens": 1000,
    "upstream__storm_refill_s": 0.01,
}

WAYS = {
    "reset": lambda link: link.reset(),
    "no close frame": lambda link: link.hang_up(),
    "kicked": lambda link: link.close(1000, "kicked"),
    "going away": lambda link: link.close(1001),
    "internal error": lambda link: link.close(1011),
    "black hole": lambda link: link.go_silent(),
    "half open": lambda link: link.go_silent(notices_close=False),
    "no websocket": lambda link: link.violate(VIOLATIONS["no_websocket"]),
}


class Witness:
    """Looks at each event's first confirmation in the moment it comes.

    Attributes:
        early: Events whose confirmation came though the journal did not hold them.
        moved: How many were confirmed on another link than the one they were first sent on.
    """

    def __init__(self, journal):
        self._disk = sqlite3.connect(f"file:{journal}?mode=ro", uri=True)
        self._stored, self._read = set(), 0
        self._first_link = {}
        self.early = []
        self.moved = 0

    def close(self):
        self._disk.close()

    def sent(self, delivery):
        """Note on which link an event is sent first."""
        self._first_link[delivery.serial] = delivery.link

    def finished(self, delivery):
        """Judge a confirmation."""
        if not delivery.is_confirmed:
            return
        first = self._first_link.pop(delivery.serial)
        self.moved += first is not None and delivery.link != first
        if delivery.event_id not in self._stored:
            self._read_on()
        if delivery.event_id not in self._stored:
            self.early.append(delivery.event_id)

    def _read_on(self):
        """Read what was committed since; another process sees nothing else."""
        query = "SELECT position, event_id FROM event WHERE position > ? ORDER BY position"
        for position, event_id in self._disk.execute(query, (self._read,)).fetchall():
            self._read = position
            self._stored.add(event_id)


class Trial:
    """A load on a simulated Feishu whose links die."""

    def __init__(self, feishu, witness):
        self._feishu = feishu
        self._witness = witness
        self._rng = random.Random(4)
        self._serials = itertools.count()
        self.kills = Counter()

    def push(self, link=None):
        """Push one event."""
        payload = corpus.text_message(next(self._serials))
        self._witness.sent(self._feishu.push(payload, link=link, watch=self._witness.finished))

    async def load(self):
        """Push at `RATE`."""
        async for due in pace(self._feishu.clock, RATE, seconds=LOAD_S):
            for _ in range(due):
                self.push()

    async def kill(self):
        """Kill one link after the other, each with events on their way."""
        ways = itertools.cycle(self._rng.sample(sorted(WAYS), len(WAYS)))
        while True:
            await asyncio.sleep(KILL_EVERY_S)
            able = [link for link in self._feishu.links if link.condition is Condition.LIVE]
            if not able:
                continue
            victim, way = self._rng.choice(able), next(ways)
            for _ in range(BURST):
                self.push(victim)
            for _ in range(self._rng.randrange(4)):  # turns of the loop: sent, read, stored
                await asyncio.sleep(0)
            WAYS[way](victim)
            self.kills[way] += 1

    async def run(self):
        """Do both for `LOAD_S`."""
        killing = asyncio.create_task(self.kill())
        try:
            await self.load()
        finally:
            killing.cancel()
            await asyncio.gather(killing, return_exceptions=True)


async def take(path, seen):
    """Note and settle all that comes."""
    async with Consumer("bot", path, start="earliest") as consumer:
        async for delivery in consumer:
            seen[delivery.event.id] += 1
            delivery.settle_soon()


@pytest.mark.timeout(120)
async def test_links_that_die_under_load(tmp_path, record_property):
    """What was unconfirmed comes again on another link and is delivered once, however links die."""
    seen = Counter()
    async with Simulator(SIMULATOR) as feishu:
        feishu.lost_ack_share = LOST_ACKS
        with DaemonProcess(tmp_path, feishu.domain, **DAEMON) as daemon:
            await asyncio.to_thread(daemon.start)
            taking = asyncio.create_task(take(str(daemon.socket_path), seen))
            await feishu.wait_for_links(LINKS)
            with contextlib.closing(Witness(tmp_path / "journal.db")) as witness:
                trial = Trial(feishu, witness)
                await trial.run()
                await feishu.wait_until_quiet(30)
            await eventually(lambda: len(seen) == feishu.stats.pushed, 10)
            await eventually(lambda: daemon.status()["consumers"][0]["pending"] == 0, 10)
            status = await asyncio.to_thread(daemon.status)
            duplicates = await asyncio.to_thread(read_metric, daemon, "events_duplicate_total")
            taking.cancel()
            await asyncio.gather(taking, return_exceptions=True)
            code, _ = await asyncio.to_thread(daemon.stop)

    stats = feishu.stats.as_dict()
    figures = {
        "pushed": stats["pushed"],
        "sent": stats["sent"],
        "kills": dict(trial.kills),
        "orphaned": stats["orphaned"],
        "confirmed_on_another_link": witness.moved,
        "duplicates": duplicates,
    }
    print(f"\n{figures}")
    record_property("figures", figures)
    assert set(feishu.log) == set(seen)
    assert all(feishu.log.values())
    assert stats["confirmed"] == stats["pushed"] == len(seen) == status["journal"]["last"]
    assert set(seen.values()) == {1}
    assert (witness.early, stats["bad_acks"], code) == ([], [], 0)
    assert min(trial.kills[way] for way in WAYS) >= 3
    assert witness.moved >= BURST  # else nothing was proven
    assert duplicates > 0
    assert len(status["links"]) == LINKS


def read_metric(daemon, name):
    """Return a metric without labels."""
    _, page = daemon.get("/metrics")
    [line] = [each for each in page.decode().splitlines() if each.startswith(f"feishu_ws_{name} ")]
    return int(float(line.split()[1]))


async def test_a_storm_is_told(tmp_path):
    """Links that die faster than attempts come back: metric, status, command and log say so."""
    settings = {
        **DAEMON,
        "upstream__connections": 1,
        "upstream__storm_tokens": 3,
        "upstream__storm_refill_s": 1.5,
    }
    async with Simulator(SIMULATOR) as feishu:
        with DaemonProcess(tmp_path, feishu.domain, **settings) as daemon:
            await asyncio.to_thread(daemon.start)
            for _ in range(3):
                [link] = await feishu.wait_for_links(1)
                link.reset()
                await feishu.wait_until(lambda gone=link: gone not in feishu.links)
            await eventually(lambda: daemon.log_lines("storm.began") != [])
            status = await asyncio.to_thread(daemon.status)
            active = await asyncio.to_thread(read_metric, daemon, "reconnect_storm_active")
            shown = await asyncio.to_thread(run_status, daemon)
            await feishu.wait_for_links(1)
            await eventually(lambda: daemon.log_lines("storm.ended") != [])
            after = await asyncio.to_thread(daemon.status)
            calm = await asyncio.to_thread(read_metric, daemon, "reconnect_storm_active")
            storms = await asyncio.to_thread(read_metric, daemon, "reconnect_storms_total")

    assert (status["storm"], after["storm"]) == (True, False)
    assert (active, calm, storms) == (1, 0, 1)
    assert "reconnect storm" in shown


def run_status(daemon):
    """Return what `feishu-ws status` prints."""
    command = [sys.executable, "-m", "feishu_ws", "status", "--socket", str(daemon.socket_path)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
