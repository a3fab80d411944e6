"""The way to a host, step by step: name, TCP, proxy, TLS. Nothing is asked at its end."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Final

from feishu_ws.cli.examine import names, proxy, tcp, tls
from feishu_ws.cli.examine.finding import Finding, Result, State, Step, skip
from feishu_ws.cli.examine.names import Address
from feishu_ws.cli.examine.passage import Passage, Peer
from feishu_ws.cli.examine.place import find_route, is_encrypted, place_of
from feishu_ws.faults import FeishuWsError
from feishu_ws.upstream.resolver import Resolver
from feishu_ws.upstream.trust import Trust

CLOSER_S: Final = 3.0  # for a second look at whoever is not trusted

Began = Callable[[Step], None]
"""Is told which step is being looked at."""
Obstacle = Callable[[Step], str]
"""Says why a step cannot be looked at, "" where it can."""

STEPS: Final = (Step.DNS, Step.TCP, Step.PROXY, Step.TLS)
"""In the order of going; each needs those before it."""


class Way:
    """The way to one URL's host, as the daemon goes it.

    Attributes:
        offset_s: The clock of whoever answered TLS minus ours, None if it did not say.
        results: Of the steps so far.
    """

    def __init__(
        self, url: str, proxy_setting: str, resolver: Resolver, trust: Trust, env: Mapping[str, str]
    ) -> None:
        self._url = url
        self._resolver = resolver
        self._route = find_route(url, proxy_setting, env)
        self._passage = Passage(proxy_setting, resolver, trust)
        self._addresses: tuple[Address, ...] = ()
        self.offset_s: float | None = None
        self.results: dict[Step, Result] = {}

    async def walk(self, began: Began, obstacle: Obstacle) -> dict[Step, Result]:
        """Take every step that can be taken; return all results."""
        looks: dict[Step, Callable[[], Awaitable[Finding]]] = {
            Step.DNS: self._dns,
            Step.TCP: self._tcp,
            Step.PROXY: self._proxy,
            Step.TLS: self._tls,
        }
        for step in STEPS:
            began(step)
            why = obstacle(step) or self._obstacle(step)
            look = looks[step]
            self.results[step] = await timed(step, _skip(why) if why else look())
        return self.results

    def _obstacle(self, step: Step) -> str:
        if step is Step.PROXY and (self._route.error or self._route.proxy is None):
            return ""  # what there is to say needs no way
        if self._route.error is not None:
            return "the proxy that is set cannot be used"
        return what_failed(self.results.values())

    async def _dns(self) -> Finding:
        answer = await names.ask(self._resolver, self._route.hop)
        self._addresses = answer.addresses
        return names.judge(answer, names.nameservers())

    async def _tcp(self) -> Finding:
        return tcp.judge(await tcp.knock(self._addresses), self._route)

    async def _proxy(self) -> Finding:
        absent = proxy.judge_absent(self._route)
        if absent is not None:
            return absent
        loop = asyncio.get_running_loop()
        began, error = loop.time(), None
        try:
            async with asyncio.timeout(proxy.DEADLINE_S):
                (await self._passage.open(self._url)).close()
        except (FeishuWsError, OSError) as exc:
            error = exc
        return proxy.judge(self._route, loop.time() - began, error)

    async def _tls(self) -> Finding:
        if not is_encrypted(self._url):
            return skip("plain http, to this very machine")
        return tls.judge(await self._greet())

    async def _greet(self) -> tls.Greeting:
        loop, place = asyncio.get_running_loop(), place_of(self._url)
        began = loop.time()
        try:
            async with asyncio.timeout(tls.DEADLINE_S):
                peer = await self._passage.greet(self._url)
        except TimeoutError:
            return tls.Greeting(place, loop.time() - began)
        except ssl.SSLCertVerificationError as exc:
            shown = await self._look_closer()
            return tls.Greeting(place, loop.time() - began, error=exc, shown=shown)
        except (FeishuWsError, OSError) as exc:
            return tls.Greeting(place, loop.time() - began, error=exc)
        return tls.Greeting(place, loop.time() - began, peer)

    async def _look_closer(self) -> Peer | None:
        try:
            async with asyncio.timeout(CLOSER_S):
                peer, self.offset_s = await self._passage.look_closer(self._url)
        except TimeoutError:
            return None
        return peer


async def _skip(why: str) -> Finding:
    return skip(why)


def what_failed(results: Iterable[Result]) -> str:
    """Return which step failed, "" if none did."""
    failed = (each.step for each in results if each.finding.state is State.FAIL)
    return next((f"{step} failed" for step in failed), "")


async def timed(step: Step, look: Awaitable[Finding]) -> Result:
    """Return what a step found and how long it looked."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    finding = await look
    return Result(step, finding, loop.time() - began)
