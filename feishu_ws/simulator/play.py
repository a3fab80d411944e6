"""Playing a scenario on a simulator: traffic on one side, mishaps on the other."""

import asyncio
import itertools
import math
from collections.abc import Callable
from typing import Final

from feishu_ws.happenings import Observer, ignore
from feishu_ws.simulator.corpus import SAMPLES
from feishu_ws.simulator.happenings import MishapBegan, MishapEnded
from feishu_ws.simulator.link import Link
from feishu_ws.simulator.load import pace
from feishu_ws.simulator.origin import Origin
from feishu_ws.simulator.scenario import Mishap, MishapKind, Scenario
from feishu_ws.simulator.server import Simulator
from feishu_ws.wire.frame import CARD, EVENT

GARBAGE: Final = b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01 not a frame"
NOT_JSON: Final = b"<html><body>Please log in to the guest network.</body></html>"
CLOSE_CODE: Final = 1000  # Source: observed, with the reason "bye"

End = Callable[[], None]
"""Ends a mishap that lasts."""


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
            group.create_task(stage.befall(mishap), name=f"simulator {mishap.kind}")
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
        self._names = list(scenario.mix)
        self._weights = list(itertools.accumulate(scenario.mix.values()))
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
        self._observe(MishapBegan(mishap.kind.value, mishap.for_s))
        if mishap.kind is MishapKind.OUTAGE:
            await self._outage(mishap)
            return
        end = self._begin(mishap)
        if end is None:
            return
        try:
            await self._feishu.clock.sleep(mishap.for_s or math.inf)
        finally:
            end()
            self._observe(MishapEnded(mishap.kind.value))

    async def _outage(self, mishap: Mishap) -> None:
        await self._feishu.stop_listening()
        try:
            for link in self._feishu.links:
                link.reset()
            await self._feishu.clock.sleep(mishap.for_s or math.inf)
        finally:
            await self._feishu.start_listening()
            self._observe(MishapEnded(mishap.kind.value))

    def _begin(self, mishap: Mishap) -> End | None:
        hurt = HURTS.get(mishap.kind)
        if hurt is None:
            return self._disturb(mishap)
        for link in self._befallen(mishap):
            hurt(link, mishap)
        return None

    def _befallen(self, mishap: Mishap) -> list[Link]:
        links = self._feishu.links
        if mishap.links == "all" or not links:
            return links
        return [self._feishu.rng.choice(links)]

    def _disturb(self, mishap: Mishap) -> End:
        feishu = self._feishu
        match mishap.kind:
            case MishapKind.REFUSE_DISCOVERY:
                feishu.refuse_discovery(mishap.code, http_status=mishap.status or 200)
                return feishu.accept_discovery
            case MishapKind.GARBLE_DISCOVERY:
                feishu.answer_discovery(NOT_JSON)
                return feishu.accept_discovery
            case MishapKind.HANG_DISCOVERY:
                feishu.hang_discovery(mishap.delay_s)
                return feishu.accept_discovery
            case MishapKind.REFUSE_HANDSHAKE:
                feishu.refuse_handshake(mishap.status or 403, _handshake_headers(mishap))
                return feishu.accept_handshake
            case _:
                return self._change_pong(mishap)

    def _change_pong(self, mishap: Mishap) -> End:
        before = self._feishu.pong_config
        self._feishu.pong_config = mishap.config

        def end() -> None:
            self._feishu.pong_config = before

        return end


def _close(link: Link, mishap: Mishap) -> None:
    link.close(mishap.code or CLOSE_CODE, mishap.reason or "bye")


def _mute(link: Link, _: Mishap) -> None:
    link.answers_pings = False


HURTS: Final[dict[MishapKind, Callable[[Link, Mishap], None]]] = {
    MishapKind.RESET: lambda link, _: link.reset(),
    MishapKind.CLOSE: _close,
    MishapKind.SILENT: lambda link, _: link.go_silent(),
    MishapKind.MUTE: _mute,
    MishapKind.GARBAGE: lambda link, _: link.send_raw(GARBAGE),
    MishapKind.TEXT: lambda link, _: link.send_raw(GARBAGE.decode("latin-1")),
}
"""What befalls single links; everything else befalls Feishu as a whole."""


def _handshake_headers(mishap: Mishap) -> dict[str, str]:
    headers = {"Handshake-Status": "514", "Handshake-Msg": mishap.reason or "refused"}
    if mishap.code:
        headers["Handshake-Autherrcode"] = str(mishap.code)
    return headers
