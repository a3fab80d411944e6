"""`feishu-ws demo`: a simulated Feishu, a real daemon and a consumer, and nothing left behind.

Feishu and the daemon are processes of their own; the consumer is this one. All
files are in a temporary directory.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
import tempfile
import time
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from feishu_ws.cli.children import LOCALHOST, Child, ChildError, child_environment, free_port
from feishu_ws.cli.eventline import EventLines
from feishu_ws.cli.render import Paint
from feishu_ws.client import Consumer, Delivery, Disconnected
from feishu_ws.config.kinds import MAX_SOCKET_PATH

APP_ID: Final = "cli_d3m0d3m0d3m0d3m0"
SECRET: Final = "demo-secret"  # noqa: S105  # known to both ends of a simulation
PREFIX: Final = "feishu-ws-demo-"
READY_S: Final = 20.0  # for a slow machine; it takes a second on a quick one
LINKS: Final = 2
CUT_AFTER_EVENTS: Final = 5
SECOND_LINK_S: Final = 1.5  # the fleet opens its links a second apart
LOOK_S: Final = 0.02  # a consumer's own waits between tries are meant for restarts
SHUT_S: Final = 0.5  # for the last settles to become durable and be counted
DUPLICATES: Final = "feishu_ws_events_duplicate_total"
NAME: Final = "demo"

SCENARIO: Final = """\
name = "demo"
summary = "A lively chat; some events come twice, some in parts; links are cut"
events_per_s = {rate}
duplicate_share = 0.2

[mix]
"message.text.p2p" = 4
"message.text.mention" = 4
"message.post" = 2
"message.image" = 1
"message.share_chat" = 1
"im.message.reaction.created_v1" = 2
"im.chat.member.bot.added_v1" = 1
"drive.file.edit_v1" = 1

[split]
share = 0.2
parts = 3
shuffle = true

[simulator]
time_scale = 15 # a repeat comes after 1 s instead of 15 s
seed = 3 # the same chat every time

[[mishap]]
kind = "reset"
at_s = {cut_at_s}
every_s = 15
"""


@dataclass(slots=True)
class Score:
    """What happened so far."""

    received: int = 0
    settled: int = 0
    first_event_s: float | None = None


def run(args: argparse.Namespace) -> int:
    """Run until --events are settled, --for is over, or an interrupt.

    Raises:
        FeishuWsError: A part of it did not come up, or ended before it should have.
    """
    try:
        asyncio.run(_demo(args))
    except ChildError as exc:
        print(exc.output, file=sys.stderr)
        raise
    return 0


async def _demo(args: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory(prefix=PREFIX, dir=_short_directory()) as name:
        async with AsyncExitStack() as stack:
            await _Demo(args, Path(name), stack).run()


def _short_directory() -> str:
    """Return a place for temporary files where a socket's path is not too long."""
    usual = tempfile.gettempdir()
    longest = len(os.fsencode(usual)) + len(PREFIX) + len("/xxxxxxxx/events.sock")
    return usual if longest <= MAX_SOCKET_PATH else "/tmp"  # noqa: S108  # made private by mkdtemp


class _Demo:
    """One demo, from its children to its last line."""

    def __init__(self, args: argparse.Namespace, directory: Path, stack: AsyncExitStack) -> None:
        self._args = args
        self._directory = directory
        self._stack = stack
        self._paint = Paint(sys.stdout)
        self._lines = EventLines(sys.stdout)
        self._score = Score()
        self._over = asyncio.Event()
        self._began_s = time.monotonic()
        self._socket = str(directory / "events.sock")
        self._port = free_port()

    async def run(self) -> None:
        """Bring everything up, read along until it is over, and say how it went."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, self._over.set)
        feishu = await self._start_feishu()
        domain = await self._domain_of(feishu)
        daemon = await self._start_daemon(domain)
        work = [
            asyncio.create_task(self._consume(), name="consumer"),
            asyncio.create_task(self._retell(feishu), name="mishaps"),
            asyncio.create_task(self._wait_for_end(), name="end"),
            asyncio.create_task(feishu.watch(), name="feishu"),
            asyncio.create_task(daemon.watch(), name="daemon"),
            asyncio.create_task(self._expect_traffic(daemon), name="traffic"),
        ]
        self._introduce(domain)
        await self._until_first(work)
        await self._sum_up()

    # -- its parts ----------------------------------------------------------------------

    async def _start_feishu(self) -> Child:
        scenario = self._directory / "demo.toml"
        rate = self._args.rate
        cut_at_s = max(SECOND_LINK_S, CUT_AFTER_EVENTS / rate)
        scenario.write_text(SCENARIO.format(rate=rate, cut_at_s=cut_at_s))
        words = ["--json", "simulate", "--listen", "127.0.0.1:0", "--scenario", str(scenario)]
        words += ["--app-id", APP_ID, "--secret", SECRET, "--links", "1"]
        env = child_environment({})
        return await self._stack.enter_async_context(
            Child("the simulated Feishu", words, self._directory, env, is_read=True)
        )

    async def _start_daemon(self, domain: str) -> Child:
        (self._directory / "empty.toml").touch()
        env = child_environment(
            {
                "CONFIG": str(self._directory / "empty.toml"),  # no file of this machine counts
                "APP__ID": APP_ID,
                "APP__SECRET": SECRET,
                "APP__DOMAIN": domain,
                "UPSTREAM__CONNECTIONS": str(LINKS),
                "JOURNAL__PATH": str(self._directory / "journal.db"),
                "SOCKET__PATH": self._socket,
                "TELEMETRY__LISTEN": f"{LOCALHOST}:{self._port}",
                "LOOKALIKE__LISTEN": "",
            }
        )
        return await self._stack.enter_async_context(
            Child("the daemon", ["run"], self._directory, env)
        )

    async def _domain_of(self, feishu: Child) -> str:
        try:
            async with asyncio.timeout(READY_S):
                line = await feishu.readline()
        except TimeoutError as exc:
            raise feishu.failure(f"said nothing for {READY_S:.15g} s") from exc
        if not line:
            await feishu.watch()  # raises: it ended
        return str(json.loads(line)["domain"])

    # -- what goes on -------------------------------------------------------------------

    async def _consume(self) -> None:
        while not Path(self._socket).exists():  # noqa: ASYNC110, ASYNC240  # nobody would tell us
            await asyncio.sleep(LOOK_S)
        async with Consumer(NAME, self._socket, start="earliest") as consumer:
            async for delivery in consumer:
                score = self._score
                score.received += 1
                if score.first_event_s is None:
                    score.first_event_s = time.monotonic() - self._began_s
                self._say_event(delivery)
                try:
                    await delivery.settle()
                except Disconnected:
                    continue  # it comes again
                score.settled += 1
                if score.settled == self._args.events:
                    return

    def _say_event(self, delivery: Delivery) -> None:
        if self._args.json:
            print(delivery.raw.decode(), flush=True)
        else:
            print(self._lines.line(delivery), flush=True)

    async def _retell(self, feishu: Child) -> None:
        """Say when Feishu cuts a link, and when the daemon has a new one."""
        while line := await feishu.readline():
            news = json.loads(line)
            if news["event"] == "mishap_began":
                self._say("-- Feishu cuts one of the links; the traffic goes on", "warn")
            elif news["event"] == "link_opened" and news["link"] > LINKS:
                self._say(f"-- a new link is live: {news['links']} of {LINKS}", "good")
        await self._over.wait()  # the child's end is noticed by who watches it

    async def _expect_traffic(self, daemon: Child) -> None:
        await asyncio.sleep(READY_S)
        if not self._score.received:
            raise daemon.failure(f"delivered nothing for {READY_S:.15g} s")
        await self._over.wait()

    async def _wait_for_end(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._args.seconds):
                await self._over.wait()

    async def _until_first(self, work: list[asyncio.Task[None]]) -> None:
        """Wait for whoever ends first, and raise what it raised."""
        done, _ = await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
        for task in work:
            task.cancel()
        await asyncio.gather(*work, return_exceptions=True)
        for task in done:
            task.result()

    # -- what is said -------------------------------------------------------------------

    def _say(self, text: str, style: str = "") -> None:
        if not self._args.json:
            print(self._paint(text, style), flush=True)

    def _introduce(self, domain: str) -> None:
        http = f"http://{LOCALHOST}:{self._port}"
        self._say("feishu-ws demo: a simulated Feishu, a real daemon, a consumer", "bold")
        self._say(f"  feishu   {domain}")
        self._say(f"  status   {http}/status  or  feishu-ws --socket {self._socket} status")
        self._say(f"  metrics  {http}/metrics")
        self._say(f"  socket   {self._socket}")
        if not (self._args.events or self._args.seconds):
            self._say("  Ctrl-C ends it", "dim")

    async def _sum_up(self) -> None:
        await asyncio.sleep(SHUT_S)
        score, duplicates = self._score, await self._duplicates()
        first = "never" if score.first_event_s is None else f"{score.first_event_s:.2f} s"
        if self._args.json:
            summary = {
                "received": score.received,
                "settled": score.settled,
                "duplicates_stopped": duplicates,
                "first_event_s": score.first_event_s,
            }
            print(json.dumps({"summary": summary}), flush=True)
        stopped = "unknown" if duplicates is None else str(duplicates)
        self._say(
            f"received {score.received}, settled {score.settled}, duplicates stopped {stopped}, "
            f"first event {first} after the start",
            "bold",
        )

    async def _duplicates(self) -> int | None:
        """Return how many duplicates the daemon counted, None if it cannot be asked."""
        with suppress(OSError, ValueError, TimeoutError):
            async with asyncio.timeout(1):
                return await _read_metric(self._port, DUPLICATES)
        return None


async def _read_metric(port: int, name: str) -> int:
    """Return a counter of the daemon's metrics.

    Raises:
        ValueError: It is not there.
    """
    reader, writer = await asyncio.open_connection(LOCALHOST, port)
    try:
        writer.write(f"GET /metrics HTTP/1.0\r\nHost: {LOCALHOST}:{port}\r\n\r\n".encode())
        page = (await reader.read()).decode()
    finally:
        writer.close()
    for line in page.splitlines():
        if line.startswith(f"{name} "):
            return int(float(line.split()[1]))
    raise ValueError(f"no {name}, expected it among the metrics")
