"""Playing a scenario on a simulator: traffic on one side, mishaps on the other."""

import asyncio
import itertools
import math

from feishu_ws.happenings import Observer, ignore
from feishu_ws.simulator.corpus import SAMPLES
from feishu_ws.simulator.enact import begin
from feishu_ws.simulator.happenings import MishapBegan, MishapEnded
from feishu_ws.simulator.load import pace
from feishu_ws.simulator.mishaps import Lasting, Mishap
from feishu_ws.simulator.origin import Origin
from feishu_ws.simulator.scenario import Scenario
from feishu_ws.simulator.server import Simulator
from feishu_ws.wire.frame import CARD, EVENT


async def play(
    feishu: Simulator,
    scenario: Scenario,
    *,
    seconds: float = math.inf,
    count: float = math.inf,
    rate: float | None = None,
    origin: Origin | None = None,
    observe: Observer = ignore,
) -> None:
    """Send what the scenario says and do to the client what it says, until a limit.

    Args:
        feishu: A started simulator, best with settings from `scenario.tune`.
        scenario: What to play.
        seconds: How long; with no limit at all it goes on until cancelled.
        count: How many events; repeats and duplicates not counted.
        rate: Events per second instead of the scenario's.
        origin: Whose events; None: the simulator's app and a run of its own.
        observe: Told when mishaps begin and end.

    Raises:
        ExceptionGroup: A mishap failed, such as an outage that cannot listen again.
    """
    stage = _Stage(feishu, scenario, origin or feishu.new_origin(), observe)
    async with asyncio.TaskGroup() as group:
        mishaps = [
            group.create_task(stage.befall(mishap), name=f"simulator {mishap.kind_name()}")
            for mishap in scenario.mishap
        ]
        await stage.send(scenario.events_per_s if rate is None else rate, seconds, count)
        for task in mishaps:
            task.cancel()


class _Stage:
    def __init__(
        self, feishu: Simulator, scenario: Scenario, origin: Origin, observe: Observer
    ) -> None:
        self._feishu = feishu
        self._scenario = scenario
        self._origin = origin
        self._observe = observe
        weights = scenario.weights
        self._names = list(weights)
        self._weights = list(itertools.accumulate(weights.values()))
        self._serial = 0

    # -- traffic -------------------------------------------------------------------------

    async def send(self, rate: float, seconds: float, count: float) -> None:
        clock = self._feishu.clock
        if rate > 0:
            async for due in pace(clock, rate, seconds=seconds, count=count):
                for _ in range(due):
                    self._push()
        elif seconds < math.inf:
            await clock.sleep(seconds)
        else:
            await asyncio.Event().wait()  # until cancelled

    def _push(self) -> None:
        rng, scenario = self._feishu.rng, self._scenario
        name = rng.choices(self._names, cum_weights=self._weights)[0]
        self._serial += 1
        drawn = SAMPLES[name]
        payload = drawn.make(self._serial, self._origin)
        if drawn.is_callback:
            kind = CARD if rng.random() < scenario.card_share else EVENT
            self._feishu.push(payload, kind=kind, redeliver=False)
            return
        split = scenario.split.split() if rng.random() < scenario.split.share else None
        self._feishu.push(payload, split=split)
        if rng.random() < scenario.duplicate_share:
            self._feishu.push(payload)

    # -- mishaps -------------------------------------------------------------------------

    async def befall(self, mishap: Mishap) -> None:
        clock = self._feishu.clock
        await clock.sleep(mishap.at_s)
        while True:
            began_s = clock.monotonic()
            await self._once(mishap)
            if not mishap.every_s:
                return
            await clock.sleep(max(0.0, mishap.every_s - (clock.monotonic() - began_s)))

    async def _once(self, mishap: Mishap) -> None:
        for_s = mishap.for_s if isinstance(mishap, Lasting) else 0.0
        self._observe(MishapBegan(mishap.kind_name(), for_s, mishap.detail, mishap.every_s))
        end = await begin(mishap, self._feishu)
        if end is None:
            return
        try:
            await self._feishu.clock.sleep(for_s or math.inf)
        finally:
            ended = end()
            if ended is not None:
                await ended
            self._observe(MishapEnded(mishap.kind_name()))
