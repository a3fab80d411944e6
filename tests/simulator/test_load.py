"""The load driver."""

import asyncio
import contextlib
import math

import pytest
from simulator.rawclient import RawClient, linked

from feishu_ws.clock import SystemClock
from feishu_ws.simulator.load import PumpReport, pace, pump
from feishu_ws.simulator.origin import Origin
from feishu_ws.simulator.server import Simulator
from feishu_ws.simulator.settings import SimulatorSettings


@contextlib.asynccontextmanager
async def answering(client: RawClient, payload: bytes = b'{"code":200}'):
    """Confirm everything while inside; yields the payloads seen."""
    seen = []

    async def answer() -> None:
        while True:
            frame = await client.receive(60)
            seen.append(frame.payload)
            await client.answer(frame, payload)

    task = asyncio.create_task(answer())
    try:
        yield seen
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_a_count_within_a_window():
    """So many events go out, never more than the window at once, and all are confirmed."""
    async with (
        Simulator() as feishu,
        linked(feishu) as client,
        answering(client) as seen,
    ):
        report = await pump(feishu, count=200, window=8, origin=Origin(run="w"))
    assert (report.pushed, report.confirmed, report.unfinished) == (200, 200, 0)
    assert len(report.latencies_s) == 200
    assert len(set(seen)) == 200
    assert {len(payload) for payload in seen} == {1518}
    assert 0 < report.quantile_s(0.5) <= report.quantile_s(1.0) < 5


async def test_the_window_holds_back():
    """Without confirmations no more than the window goes out, and the report says so."""
    async with Simulator() as feishu, linked(feishu) as client:
        report = await pump(feishu, seconds=0.2, window=5, settle_s=0.1)
        assert (report.pushed, report.confirmed, report.unfinished) == (5, 0, 5)
        assert math.isnan(report.quantile_s(0.5))
        for _ in range(5):
            await client.receive()
        assert await client.hears_nothing()


async def test_a_rate_is_kept():
    """A paced load pushes rate x seconds, give or take what one step holds."""
    async with (
        Simulator() as feishu,
        linked(feishu) as client,
        answering(client),
    ):
        report = await pump(feishu, 200, seconds=0.5, size=700)
    assert 10 <= report.pushed <= 101  # a busy machine may miss its last steps
    assert report.confirmed == report.pushed
    assert report.took_s >= 0.45


async def test_what_is_given_up_is_reported():
    """Refused events without further attempts are given up, not waited for."""
    async with (
        Simulator(SimulatorSettings(redelivery_s=())) as feishu,
        linked(feishu) as client,
        answering(client, b'{"code":500}'),
    ):
        report = await pump(feishu, count=10, window=3)
    assert (report.pushed, report.confirmed, report.given_up) == (10, 0, 10)


@pytest.mark.parametrize("wrong", [{"rate": 5}, {"count": 5}, {"window": 5}])
async def test_an_endless_load_is_refused(wrong):
    """A load needs an end and a brake."""
    with pytest.raises(ValueError, match="expected"):
        await pump(Simulator(), **wrong)


async def test_pace_makes_up_for_what_it_missed():
    """After a stall the events of that time are due at once, and never more than the count."""
    due = []
    async for step in pace(SystemClock(), 1000, count=60):
        due.append(step)
        if len(due) == 1:
            await asyncio.sleep(0.03)
    assert sum(due) == 60
    assert due[1] >= 20


def test_quantiles_are_of_the_whole_report():
    """A quantile is one of the latencies seen."""
    report = PumpReport(3, 3, 0, 0, 1.0, [0.3, 0.1, 0.2])
    assert (report.quantile_s(0.0), report.quantile_s(0.5), report.quantile_s(1.0)) == (
        0.1,
        0.2,
        0.3,
    )
