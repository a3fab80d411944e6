"""Callbacks through real processes: how fast, whoever is in the way, and whoever dies."""

import asyncio
import base64
import json
import subprocess
import sys
import time
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from acceptance.sdk.contract import connected
from acceptance.sdk.install import node, node_sdk
from processes import APP_ID, APP_SECRET, DaemonProcess, ServingProcess
from prometheus_client.parser import text_string_to_metric_families
from support import eventually

from feishu_ws.simulator import corpus, reception
from feishu_ws.simulator.load import pump
from feishu_ws.simulator.server import Simulator
from feishu_ws.simulator.settings import SimulatorSettings

CARD = "card.action.trigger"
PREVIEW = "url.preview.get"
BACKLOG = 10_000
PRESSES = 200
PAUSE_S = 0.005
GOAL_MS = 20
ROUNDS = 5  # a shared machine may stall for one; not for five
RATE = 400
HERE = Path(__file__).parent


@pytest.fixture
async def feishu():
    """A simulated Feishu."""
    settings = SimulatorSettings(app_id=APP_ID, app_secret=APP_SECRET, keep_log=True)
    async with Simulator(settings) as running:
        yield running


@asynccontextmanager
async def started(tmp_path, feishu, **settings):
    """A daemon with two links."""
    with DaemonProcess(tmp_path, feishu.domain, **settings) as daemon:
        await asyncio.to_thread(daemon.start)
        await feishu.wait_for_links(2, 15)
        yield daemon


async def connected_to(daemon, *names):
    """Wait until consumers are connected."""

    def are_there():
        found = {c["name"]: c["connected"] for c in daemon.status()["consumers"]}
        return all(found.get(name) for name in names)

    await eventually(are_there, 15)


def press(feishu, origin, serial, name=CARD):
    """Push a callback, as an event and as a card by turns."""
    kind = "card" if serial % 2 else "event"
    return feishu.push(corpus.sample(name, serial, origin), kind=kind, redeliver=False)


def toasts(answer):
    """Return what a toast says."""
    code, data = answer
    assert code == 200
    return json.loads(data)["toast"]["content"]


async def round_trips(feishu, origin):
    """Press one after another; return the times from push to answer in ms, sorted.

    And those of events pushed between, which need no consumer: they tell how the machine does.
    """
    took, events = [], []
    for _ in range(PRESSES):
        serial = feishu.stats.pushed + 1
        delivery = press(feishu, origin, serial)
        assert toasts(await delivery.confirmed()) == f"bot {serial}"
        took.append(delivery.ack_latency_s * 1000)
        await asyncio.sleep(PAUSE_S)
        event = feishu.push(corpus.text_message(serial, origin=origin), redeliver=False)
        assert await event.confirmed() == (200, None)
        events.append(event.ack_latency_s * 1000)
    return sorted(took), sorted(events)


def quantiles(took):
    """Return p50, p99 and the longest."""
    return took[len(took) // 2], took[int(len(took) * 0.99)], took[-1]


def shown(found):
    """Return quantiles in words."""
    return "p50 {:.1f}  p99 {:.1f}  max {:.1f}".format(*found)


async def fast_in_the_end(feishu, what):
    """Press until the 99th percentile of a round is as fast as promised; print every round.

    On a machine on which even an event takes its time, a callback may take thrice that.
    """
    origin = feishu.new_origin()
    for number in range(1, ROUNDS + 1):
        took, events = map(quantiles, await round_trips(feishu, origin))
        print(f"\n  {what}, round {number}: {shown(took)} ms; an event {shown(events)}", end="")
        if took[1] < max(GOAL_MS, 3 * events[1]):
            return
    raise AssertionError(f"p99 above {GOAL_MS} ms in {ROUNDS} rounds: {what}")


def counted(daemon):
    """Return callbacks by result, as the metrics have them, without the zeros."""
    families = text_string_to_metric_families(daemon.get("/metrics")[1].decode())
    return {
        sample.labels["result"]: int(sample.value)
        for family in families
        for sample in family.samples
        if sample.name == "feishu_ws_callbacks_total" and sample.value
    }


class TestSpeed:
    """A button is answered in 20 ms, whatever else there is to do."""

    async def test_with_nothing_else_to_do(self, tmp_path, feishu):
        """The figure to compare with."""
        async with started(tmp_path, feishu) as daemon:
            with ServingProcess(tmp_path, daemon.socket_path).start():
                await connected_to(daemon, "bot")
                await fast_in_the_end(feishu, "nothing else")

    async def test_with_a_backlog_of_another_consumer(self, tmp_path, feishu):
        """10,000 events wait for one that is away, and then it catches up, 20 ms over each."""
        settings = {"delivery__consumers": '["away"]'}
        async with started(tmp_path, feishu, **settings) as daemon:
            await pump(feishu, count=BACKLOG, window=64)
            with (
                ServingProcess(tmp_path, daemon.socket_path, start="latest").start(),
                ServingProcess(tmp_path, daemon.socket_path, "away", card="none") as away,
            ):
                await connected_to(daemon, "bot")
                await fast_in_the_end(feishu, f"{BACKLOG} events of another")
                away.start(message_s=0.02, concurrency=8)
                await connected_to(daemon, "away")
                await fast_in_the_end(feishu, "another catching up")
                assert 0 < len(away.noted("E")) < BACKLOG  # it still is

    async def test_with_a_backlog_of_its_own(self, tmp_path, feishu):
        """10,000 events of which each takes it a minute: the window is full and the rest unread."""
        async with started(tmp_path, feishu) as daemon:
            await pump(feishu, count=BACKLOG, window=64)
            with ServingProcess(tmp_path, daemon.socket_path, message_s=60).start() as bot:
                await eventually(lambda: bot.noted("E"), 15)
                await eventually(lambda: daemon.status()["consumers"][0]["pending"] == BACKLOG)
                await fast_in_the_end(feishu, f"{BACKLOG} events of its own")
                assert daemon.status()["consumers"][0]["pending"] >= BACKLOG
                assert len(bot.noted("E")) == 1

    async def test_under_a_load_of_events(self, tmp_path, feishu):
        """400 events a second go to the same consumer meanwhile."""
        async with started(tmp_path, feishu) as daemon:
            with ServingProcess(tmp_path, daemon.socket_path, concurrency=8).start():
                await connected_to(daemon, "bot")
                load = asyncio.create_task(pump(feishu, RATE, seconds=120))
                await fast_in_the_end(feishu, f"{RATE} events/s")
                load.cancel()


class TestMishaps:
    """Whoever dies, everybody gets one answer, and every consumer the event."""

    async def test_a_consumer_dies_and_is_back_in_time(self, tmp_path, feishu):
        """It gets the callback again with its deadline, and answers it."""
        async with started(tmp_path, feishu) as daemon:
            with ServingProcess(tmp_path, daemon.socket_path) as bot:
                bot.start(card="hang")
                await connected_to(daemon, "bot")
                pushed = press(feishu, feishu.new_origin(), 1)
                await eventually(lambda: bot.noted("C"))
                bot.kill()
                bot.start()
                answer = await pushed.confirmed()
                await eventually(lambda: daemon.status()["consumers"][0]["pending"] == 0)

                assert toasts(answer) == "bot 1"
                assert bot.noted("C") == ["1 False", "1 False"]
                assert counted(daemon) == {"answered": 1}

    async def test_a_consumer_dies_and_is_late(self, tmp_path, feishu):
        """The default goes out in time; the event comes later, as late."""
        async with started(tmp_path, feishu) as daemon:
            with ServingProcess(tmp_path, daemon.socket_path) as bot:
                bot.start(card="hang")
                await connected_to(daemon, "bot")
                pushed = press(feishu, feishu.new_origin(), 1)
                await eventually(lambda: bot.noted("C"))
                bot.kill()
                answer = await pushed.confirmed()
                bot.start()
                await eventually(lambda: daemon.status()["consumers"][0]["pending"] == 0)

                assert (answer, 2.3 < pushed.ack_latency_s < 3) == ((200, b"{}"), True)
                assert bot.noted("C") == ["1 False", "1 True"]
                assert counted(daemon) == {"defaulted": 1}

    async def test_another_consumer_answers_for_the_dead_one(self, tmp_path, feishu):
        """Every consumer that names it gets it; the dead one gets it late."""
        async with started(tmp_path, feishu) as daemon:
            with (
                ServingProcess(tmp_path, daemon.socket_path, "bot").start(card="hang") as bot,
                ServingProcess(tmp_path, daemon.socket_path, "other", content="yes") as other,
            ):
                await connected_to(daemon, "bot")
                pushed = press(feishu, feishu.new_origin(), 1)
                await eventually(lambda: bot.noted("C"))
                bot.kill()
                other.start()
                answer = await pushed.confirmed()
                bot.start()
                await eventually(lambda: len(bot.noted("C")) == 2)

                assert toasts(answer) == "yes"
                assert (bot.noted("C")[1], other.noted("C")) == ("1 True", ["1 False"])

    async def test_the_daemon_dies_while_it_is_handled(self, tmp_path, feishu):
        """Feishu gets no answer and sends it never again; the consumer gets it as late."""
        async with started(tmp_path, feishu) as daemon:
            with ServingProcess(tmp_path, daemon.socket_path, card="hang").start() as bot:
                await connected_to(daemon, "bot")
                origin = feishu.new_origin()
                pushed = press(feishu, origin, 1)
                await eventually(lambda: bot.noted("C"))
                daemon.kill()
                bot.kill()
                await eventually(lambda: pushed.given_up)
                await asyncio.to_thread(daemon.start)
                await feishu.wait_for_links(2, 15)
                bot.start(card="toast")
                await eventually(lambda: len(bot.noted("C")) == 2, 15)
                again = await press(feishu, origin, 1).confirmed()

                assert pushed.code == 0
                assert bot.noted("C") == ["1 False", "1 True"]
                assert again == (200, b"{}")  # a duplicate after a restart
                assert counted(daemon) == {}

    async def test_the_daemon_is_restarted_while_a_handler_runs(self, tmp_path, feishu):
        """An event is handled once all the same: what the handler did counts for its repetition."""
        async with started(tmp_path, feishu) as daemon:
            with ServingProcess(tmp_path, daemon.socket_path, message_s=2).start() as bot:
                await connected_to(daemon, "bot")
                assert await feishu.push(corpus.text_message(1)).confirmed() == (200, None)
                await eventually(lambda: bot.noted("E"))
                await asyncio.to_thread(daemon.stop)
                await asyncio.to_thread(daemon.start)
                await connected_to(daemon, "bot")
                await eventually(lambda: daemon.status()["consumers"][0]["pending"] == 0, 10)

                assert bot.noted("E") == ["1 False"]

    async def test_a_disk_that_hangs(self, tmp_path, feishu):
        """500 at the deadline; once it goes on, the callback is delivered as late."""
        library, flag = tmp_path / "bad_disk.so", tmp_path / "hang"
        compile_it = ["cc", "-shared", "-fPIC", "-o", str(library), str(HERE / "bad_disk.c")]
        subprocess.run([*compile_it, "-ldl"], check=True)
        with (
            DaemonProcess(tmp_path, feishu.domain) as daemon,
            ServingProcess(tmp_path, daemon.socket_path) as bot,
        ):
            daemon.env |= {"LD_PRELOAD": str(library), "BAD_DISK_HANG": str(flag)}
            await asyncio.to_thread(daemon.start)
            await feishu.wait_for_links(2, 15)
            bot.start()
            await connected_to(daemon, "bot")
            await asyncio.sleep(0.2)  # its hello is written
            flag.touch()
            pushed = press(feishu, feishu.new_origin(), 1)
            answer, took_s = await pushed.confirmed(), time.monotonic() - pushed.first_sent_s
            flag.unlink()
            await eventually(lambda: bot.noted("C"))

            assert (answer, 2.3 < took_s < 3) == ((500, None), True)
            assert (bot.noted("C"), counted(daemon)) == (["1 True"], {})


class TestRace:
    """Several consumers that all want to answer."""

    async def test_two_race_to_reply(self, tmp_path, feishu):
        """One answer each, from whoever was first; the others are told, settled and counted."""
        async with started(tmp_path, feishu) as daemon:
            names = ("one", "two")
            with (
                ServingProcess(tmp_path, daemon.socket_path, "one").start() as one,
                ServingProcess(tmp_path, daemon.socket_path, "two").start() as two,
                ServingProcess(tmp_path, daemon.socket_path, "watching", card="none").start(),
            ):
                await connected_to(daemon, *names, "watching")
                origin = feishu.new_origin()
                pushed = [press(feishu, origin, serial) for serial in range(1, 101)]
                said = [toasts(await delivery.confirmed()) for delivery in pushed]
                await eventually(
                    lambda: all(c["pending"] == 0 for c in daemon.status()["consumers"])
                )
                again = [toasts(await press(feishu, origin, n).confirmed()) for n in range(1, 101)]
                late = [line for bot in (one, two) for line in bot.noted("L")]

                by = {name: sum(text.startswith(name) for text in said) for name in names}
                print(f"\n  answers by {by}")
                assert [text.split()[1] for text in said] == [str(n) for n in range(1, 101)]
                assert said == again  # duplicates are answered alike
                assert sum(by.values()) == len(late) == 100
                assert all(line.startswith("WARNING callback.late position=") for line in late)
                assert counted(daemon) == {"answered": 100, "late": 100}
                assert list(feishu.stats.bad_acks) == []

    async def test_who_only_watches_takes_no_answer_away(self, tmp_path, feishu):
        """And if nobody answers, nobody is waited for."""
        async with started(tmp_path, feishu) as daemon:
            with (
                ServingProcess(tmp_path, daemon.socket_path, "watching", card="none").start(),
                ServingProcess(tmp_path, daemon.socket_path, "bot") as bot,
            ):
                await connected_to(daemon, "watching")
                origin = feishu.new_origin()
                nobody = press(feishu, origin, 1)
                default = await nobody.confirmed()
                bot.start()
                await connected_to(daemon, "bot")
                somebody = await press(feishu, origin, 2).confirmed()

                assert (default, nobody.ack_latency_s < 1) == ((200, b"{}"), True)
                assert toasts(somebody) == "bot 2"
                assert counted(daemon) == {"answered": 1, "defaulted": 1}


class TestOnTheWire:
    """The confirmation is what the official SDKs send."""

    async def test_the_answer_is_encoded_as_theirs(self, tmp_path, feishu, monkeypatch):
        """The Node SDK's bytes, and the Python SDK's but for blanks, for the same answers."""
        seen = []

        def spy(payload, read=reception.read_answer):
            seen.append(payload)
            return read(payload)

        monkeypatch.setattr(reception, "read_answer", spy)

        async def answers(to):
            """Return what confirms a card and a link preview there."""
            origin, found = to.new_origin(), []
            for serial, name in ((2, CARD), (4, PREVIEW)):  # as events: SDKs ignore cards
                seen.clear()
                await press(to, origin, serial, name).confirmed(15)
                found += seen
            return found

        async with started(tmp_path, feishu) as daemon:
            with ServingProcess(tmp_path, daemon.socket_path, content="同意").start():
                await connected_to(daemon, "bot")
                ours = await answers(feishu)
        async with connected((node(), str(HERE / "sdk" / "client.mjs")), {"SDK_DIRECTORY": str(node_sdk())}) as peer:  # fmt: skip
            node_says = await answers(peer.feishu)
        async with connected((sys.executable, str(HERE / "sdk" / "client.py"))) as peer:
            python_says = await answers(peer.feishu)

        print(f"\n  {ours[0].decode()}\n  {python_says[0].decode()}")
        assert ours == node_says
        assert [decoded(answer) for answer in python_says] == [decoded(answer) for answer in ours]


def decoded(answer):
    """Return a confirmation's code and data, without what blanks it has."""
    body = json.loads(answer)
    return body["code"], json.loads(base64.b64decode(body["data"], validate=True))
