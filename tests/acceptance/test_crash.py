"""Nothing confirmed is lost, whoever is killed: CONTRACT 2, promises 1 and 2."""

import asyncio
import os
import random

import pytest
from processes import APP_ID, APP_SECRET, ConsumerProcess, DaemonProcess
from support import eventually

from feishu_ws.simulator import corpus
from feishu_ws.simulator.server import Simulator
from feishu_ws.simulator.settings import SimulatorSettings

CYCLES = int(os.environ.get("CRASH_CYCLES", "30"))
RATE = 500
AGAIN_S = (1.0,) * 300  # a killed daemon's events come again after a second


async def push_at(feishu, rate, stop):
    """Push text messages at `rate` per second until `stop` is set."""
    loop = asyncio.get_running_loop()
    began, sent = loop.time(), 0
    while not stop.is_set():
        while sent < (loop.time() - began) * rate:
            feishu.push(corpus.text_message(sent))
            sent += 1
        await asyncio.sleep(0.005)
    return sent


def check_notes(notes):
    """Return (positions seen, ids seen, repeats); fail if a settled position came again."""
    settled, positions, ids, repeats = set(), set(), set(), 0
    for kind, position, event_id in notes:
        if kind == "S":
            settled.add(position)
            continue
        assert position not in settled, f"position {position} came again after its settle's result"
        repeats += position in positions
        positions.add(position)
        ids.add(event_id)
    return positions, ids, repeats


@pytest.mark.timeout(900)
@pytest.mark.parametrize("victim", ["daemon", "consumer", "both"])
async def test_sigkill_at_random_moments(tmp_path, victim, record_property):
    """Killed at random under 500 events/s, every confirmed event reaches the consumer once settled."""
    rng = random.Random(victim)
    settings = SimulatorSettings(
        app_id=APP_ID, app_secret=APP_SECRET, redelivery_s=AGAIN_S, keep_log=True
    )
    async with Simulator(settings) as feishu:
        with (
            DaemonProcess(tmp_path, feishu.domain, delivery__ack_timeout_s=600) as daemon,
            ConsumerProcess(tmp_path, daemon.socket_path) as consumer,
        ):
            await asyncio.to_thread(daemon.start)
            consumer.start()
            stop = asyncio.Event()
            pushing = asyncio.create_task(push_at(feishu, RATE, stop))
            for _ in range(CYCLES):
                await asyncio.sleep(rng.uniform(0.2, 2.0))
                if victim in {"daemon", "both"}:
                    daemon.kill()
                if victim in {"consumer", "both"}:
                    consumer.kill()
                    consumer.start()
                if victim in {"daemon", "both"}:
                    await asyncio.to_thread(daemon.start)
            stop.set()
            pushed = await pushing
            await feishu.wait_until_quiet(60)
            await eventually(lambda: daemon.status()["consumers"][0]["pending"] == 0, 60)

            positions, ids, repeats = check_notes(consumer.notes())
            last = daemon.status()["journal"]["last"]

    confirmed = {event_id for event_id, is_confirmed in feishu.log.items() if is_confirmed}
    figures = {
        "pushed": pushed,
        "confirmed": len(confirmed),
        "stored": last,
        "delivered": len(positions),
        "repeats_of_unanswered_settles": repeats,
        "sent_by_feishu": feishu.stats.as_dict()["sent"],
    }
    print(f"\n{victim} killed {CYCLES} times: {figures}")
    for name, value in figures.items():
        record_property(name, value)
    assert len(confirmed) == pushed
    assert confirmed <= ids
    assert positions == set(range(1, last + 1))
    assert feishu.stats.as_dict()["bad_acks"] == []
