"""A consumer that comes back to a backlog gets it in order and is in nobody's way."""

import asyncio
import time

from processes import APP_ID, APP_SECRET, DaemonProcess
from support import eventually

from feishu_ws.client import Consumer
from feishu_ws.simulator.load import pump
from feishu_ws.simulator.server import Simulator
from feishu_ws.simulator.settings import SimulatorSettings

BACKLOG = 10_000
PACED_S = 4
RATE = 400


def p99(values):
    """Return the 99th percentile in milliseconds."""
    return sorted(values)[int(len(values) * 0.99)] * 1000


async def read(consumer, positions, latencies=None, until=None):
    """Read and settle; note positions, and how long after its receipt each event came."""
    async for delivery in consumer:
        positions.append(delivery.position)
        if latencies is not None:
            latencies.append(time.time() - delivery.event.received.timestamp())
        delivery.settle_soon()
        if until is not None and delivery.position >= until:
            return


async def test_ten_thousand_events_while_away(tmp_path):
    """The returning consumer sees all in order; the other and confirmation are not delayed."""
    settings = SimulatorSettings(app_id=APP_ID, app_secret=APP_SECRET)
    async with Simulator(settings) as feishu:
        with DaemonProcess(tmp_path, feishu.domain) as daemon:
            await asyncio.to_thread(daemon.start)
            await feishu.wait_for_links(2, 15)
            async with (
                Consumer("away", str(daemon.socket_path), start="earliest") as away,
                Consumer("steady", str(daemon.socket_path), start="earliest") as steady,
            ):
                await away.call("ping")
                await away.aclose()
                steady_positions, before, during = [], [], []
                reading = asyncio.create_task(read(steady, steady_positions))
                await pump(feishu, count=BACKLOG, window=64)
                await eventually(lambda: len(steady_positions) == BACKLOG, 20)
                reading.cancel()

                reading = asyncio.create_task(read(steady, steady_positions, before))
                calm = await pump(feishu, RATE, seconds=PACED_S)
                await eventually(lambda: len(before) == calm.pushed, 10)
                reading.cancel()

                reading = asyncio.create_task(read(steady, steady_positions, during))
                positions = []
                async with Consumer("away", str(daemon.socket_path)) as back:
                    last = daemon.status()["journal"]["last"]
                    catching_up = asyncio.create_task(read(back, positions, until=last))
                    busy = await pump(feishu, RATE, seconds=PACED_S)
                    await asyncio.wait_for(catching_up, 30)
                    await eventually(lambda: len(during) == busy.pushed, 10)
                    reading.cancel()

    assert positions[: last + 1] == list(range(1, last + 1)), "all of them, in order"
    figures = {
        "confirm_p99_ms": (calm.quantile_s(0.99) * 1000, busy.quantile_s(0.99) * 1000),
        "steady_consumer_p99_ms": (p99(before), p99(during)),
    }
    print(f"\nwithout and with a consumer catching up on {BACKLOG}: {figures}")
    # Generous: this machine is shared. A consumer in the way would cost seconds.
    assert busy.quantile_s(0.99) < calm.quantile_s(0.99) * 3 + 0.05
    assert p99(during) < p99(before) * 3 + 50
