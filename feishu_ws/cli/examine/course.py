"""The round through all steps: what depends on what, and what is not asked any more.

Order of the report and order of looking differ: the clock is compared with whoever
answered, and a proxy is gone through before TLS. A step that cannot say anything
because of another says so, and the first failure in the report is what it comes from.

Never: a link of our own while a daemon may run, or unasked.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final, TypeVar

from feishu_ws import rooms
from feishu_ws.cli.examine import (
    clock,
    consumers,
    daemon,
    discovery,
    journal,
    link,
    ports,
    sockets,
    token,
)
from feishu_ws.cli.examine.configured import ADDRESS, IDENTITY, TRUST, Configured, beside
from feishu_ws.cli.examine.configured import judge as judge_config
from feishu_ws.cli.examine.finding import Finding, Result, State, Step, skip
from feishu_ws.cli.examine.neighbours import find_neighbours
from feishu_ws.cli.examine.owners import command_of
from feishu_ws.cli.examine.passage import Passage
from feishu_ws.cli.examine.place import place_of
from feishu_ws.cli.examine.way import Began, Way, timed, what_failed
from feishu_ws.faults import FeishuWsError
from feishu_ws.upstream.resolver import Resolver
from feishu_ws.upstream.trust import Trust
from feishu_ws.wire.endpoint import is_loopback

T = TypeVar("T")

Consent = Callable[[], bool]
"""Whether a link of our own may be opened; asked only where one could be."""

LISTEN: Final = "telemetry.listen"
NEEDS: Final = {
    Step.DNS: ADDRESS,
    Step.TCP: ADDRESS,
    Step.PROXY: ADDRESS,
    Step.TLS: TRUST,
    Step.DISCOVERY: IDENTITY,
    Step.JOURNAL: frozenset({"journal.path"}),
    Step.SOCKET: frozenset({"socket.path"}),
    Step.HTTP: frozenset({LISTEN}),
}
"""The keys that a step goes by."""

ORDINARY: Final = (Step.CLOCK, Step.DNS, Step.TCP, Step.TLS, Step.PROXY, Step.DISCOVERY)


class Course:
    """One round.

    Args:
        configured: What is set.
        socket: Where a daemon would answer.
        began: Told of every step before it may take its time.
        consent: Asked before a link is opened.
    """

    def __init__(
        self,
        configured: Configured,
        socket: str,
        env: Mapping[str, str],
        *,
        began: Began,
        consent: Consent,
    ) -> None:
        self._socket = socket
        self._env = env
        self._began = began
        self._consent = consent
        self._go_by(configured)
        self._resolver = Resolver()
        self._trust = Trust(self._upstream.ca_file)
        self._called = sockets.Called(socket)
        self._looked: journal.Looked | None = None
        self._suspect = ""
        self._url = ""

    async def run(self) -> AsyncIterator[Result]:
        """Yield every result, in the order of the report."""
        local = await self._look_around()
        yield local[Step.CONFIG]
        on_the_way = await self._go()
        for step in ORDINARY:
            yield on_the_way[step]
        self._began(Step.LINK)
        yield await timed(Step.LINK, self._link(on_the_way[Step.DISCOVERY].finding))
        for step in (Step.JOURNAL, Step.SOCKET, Step.DAEMON, Step.HTTP, Step.CONSUMERS):
            yield local[step]

    def _go_by(self, configured: Configured) -> None:
        self._configured = configured
        self._settings = configured.settings
        self._upstream = rooms.upstream(self._settings)
        self._credentials = rooms.credentials(self._settings)

    # -- this machine -------------------------------------------------------------------

    async def _look_around(self) -> dict[Step, Result]:
        """Ask the daemon, look at the journal: all later steps depend on whether it runs."""
        looks: dict[Step, Callable[[], Awaitable[Finding]]] = {
            Step.CONFIG: self._config,
            Step.JOURNAL: self._journal,
            Step.SOCKET: self._listening,
            Step.DAEMON: self._daemon,
            Step.HTTP: self._http,
            Step.CONSUMERS: self._consumers,
        }
        self._began(Step.SOCKET)
        asked_s = await self._call()
        if self._called.status is not None:
            self._go_by(beside(self._configured, self._called.status))
        results = {}
        for step, look in looks.items():
            self._began(step)
            results[step] = await timed(step, look())
        listening = results[Step.SOCKET].finding
        return results | {Step.SOCKET: Result(Step.SOCKET, listening, asked_s)}

    async def _call(self) -> float:
        """Ask the daemon, wherever it listens; return the seconds that took."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        self._called = await sockets.call(self._socket)
        if not self._called.is_listened_on:
            await self._ask_around()
        return loop.time() - began

    async def _ask_around(self) -> None:
        """Find a daemon of this app on a socket that this command would not look at.

        A Feishu on this machine is a simulator, whose app ids are everybody's.
        """
        app = self._settings.app
        if is_loopback(place_of(app.domain).host):
            return
        for path in find_neighbours():
            called = await sockets.call(path)
            if called.status is None:
                self._suspect = path
            elif self._configured.is_blank or called.status.get("app_id") == app.id:
                self._called = called
                return

    async def _config(self) -> Finding:
        status = self._called.status or {}
        return judge_config(
            self._configured,
            is_daemon_there=self._called.status is not None,
            app_id=str(status.get("app_id", "")),
            domain=str(status.get("domain", "")),
        )

    async def _journal(self) -> Finding:
        obstacle = self._obstacle(Step.JOURNAL)
        path = Path(self._settings.journal.path)
        if self._called.status is not None:
            known = "" if obstacle or self._configured.is_blank else str(path)
            return self._unless_changed(
                "journal.path", journal.judge_running(self._called.status, known)
            )
        if obstacle:
            return skip(obstacle)
        try:
            async with asyncio.timeout(journal.DEADLINE_S):
                self._looked = await aside(lambda: journal.look(path))
        except TimeoutError:
            return journal.judge_stuck()
        if self._is_journal_held and self._called.is_listened_on:
            return skip(f"locked by {self._looked.owner}, see socket")
        return journal.judge(self._looked)

    async def _listening(self) -> Finding:
        if self._called.status is None and (why := self._obstacle(Step.SOCKET)):
            return skip(why)
        return sockets.judge(self._called, is_journal_held=self._is_journal_held)

    @property
    def _is_journal_held(self) -> bool:
        return self._looked is not None and self._looked.owner is not None

    async def _http(self) -> Finding:
        if why := self._obstacle(Step.HTTP):
            return skip(why)
        listen = self._settings.telemetry.listen
        if self._called.status is not None:
            is_told = LISTEN not in self._configured.unset
            found = await ports.try_to_reach(listen, is_told=is_told)
            return self._unless_changed(LISTEN, found)
        known = {command_of(self._called.pid)} if self._called.pid else set()
        if self._looked is not None and self._looked.owner is not None:
            known.add(self._looked.owner)
        return ports.try_to_bind(listen, known)

    def _unless_changed(self, key: str, finding: Finding) -> Finding:
        """Return a finding with what to do where a key was changed since the daemon started."""
        waiting = (self._called.status or {}).get("needs_restart") or ()
        if key not in waiting or finding.state is not State.WARN or finding.fault is not None:
            return finding
        return replace(finding, hint=f"{daemon.RESTART}: {key} was changed since it started")

    async def _daemon(self) -> Finding:
        if self._called.status is None:
            return skip("no daemon told of itself")
        return daemon.judge(self._called.status)

    async def _consumers(self) -> Finding:
        if self._called.status is None:
            return skip("no daemon told of them")
        return consumers.judge(self._called.status)

    def _obstacle(self, step: Step) -> str:
        return self._configured.obstacle(NEEDS[step])

    # -- the way to Feishu --------------------------------------------------------------

    async def _go(self) -> dict[Step, Result]:
        way = self._way(self._credentials.domain)
        results = await way.walk(self._began, self._obstacle)
        self._began(Step.DISCOVERY)
        obstacle = self._obstacle(Step.DISCOVERY) or what_failed(results.values())
        offset_s, source = way.offset_s, "the clock of whoever answered TLS"
        if obstacle:
            results[Step.DISCOVERY] = Result(Step.DISCOVERY, skip(obstacle))
        else:
            answer = await self._ask()
            finding = discovery.judge(answer, self._credentials)
            results[Step.DISCOVERY] = Result(Step.DISCOVERY, finding, answer.took_s)
            if answer.offset_s is not None:
                offset_s, source = answer.offset_s, "Feishu's clock"
        results[Step.CLOCK] = Result(
            Step.CLOCK, clock.judge(offset_s, source, clock.is_synchronised())
        )
        return results

    def _way(self, url: str) -> Way:
        return Way(url, self._upstream.proxy, self._resolver, self._trust, self._env)

    async def _ask(self) -> discovery.Answer:
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            async with asyncio.timeout(discovery.DEADLINE_S):
                answer = await discovery.ask(
                    self._upstream, self._credentials, self._resolver, self._trust
                )
        except TimeoutError:
            return discovery.Answer(loop.time() - began)
        if answer.endpoint is not None:
            self._url = answer.endpoint.url
        if answer.error is not None and answer.error.code == discovery.AMBIGUOUS:
            return replace(answer, opinion=await self._second_opinion())
        return answer

    async def _second_opinion(self) -> token.Opinion | None:
        passage = Passage(self._upstream.proxy, self._resolver, self._trust)
        try:
            async with asyncio.timeout(token.DEADLINE_S):
                return await token.ask(passage, self._credentials)
        except (OSError, FeishuWsError):  # what matters is told already
            return None

    # -- a link -------------------------------------------------------------------------

    async def _link(self, discovered: Finding) -> Finding:
        if self._called.status is not None:
            return link.judge_running(self._called.status)
        if self._is_journal_held or self._called.is_listened_on:
            return link.judge_not_alone("the daemon that may run")
        if self._suspect:
            return link.judge_not_alone(f"the daemon on {self._suspect}, if it is of this app")
        if not self._url:
            failed = discovered.state is State.FAIL
            return skip("discovery failed" if failed else "discovery was skipped")
        if self._consent():
            return link.judge_trial(await link.attempt(self._upstream, self._credentials))
        results = await self._way(self._url).walk(lambda _: None, lambda _: "")
        return link.judge_gateway(self._url, list(results.values()))


async def aside(work: Callable[[], T]) -> T:
    """Do what may block for ever on a thread that the end of the process does not wait for."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def finish(outcome: T | BaseException) -> None:
        if done.done():
            return
        if isinstance(outcome, BaseException):
            done.set_exception(outcome)
        else:
            done.set_result(outcome)

    def run() -> None:
        outcome: T | BaseException
        try:
            outcome = work()
        except OSError as exc:
            outcome = exc
        loop.call_soon_threadsafe(finish, outcome)

    threading.Thread(target=run, name="doctor-disk", daemon=True).start()
    return await done
