"""The whole daemon in this process, against the simulator."""

import asyncio
import contextlib
import json
import os
import time
from dataclasses import replace
from datetime import datetime

import pytest
from support import eventually

from feishu_ws.client import Consumer, RpcError, ask
from feishu_ws.clock import SystemClock
from feishu_ws.config import load
from feishu_ws.daemon import Daemon
from feishu_ws.recorder import CUT_OFF
from feishu_ws.simulator import corpus
from feishu_ws.simulator.server import Simulator
from feishu_ws.simulator.settings import SimulatorSettings
from feishu_ws.simulator.transmission import Split

QUICK = {
    "FEISHU_WS_UPSTREAM__KEEPALIVE_INTERVAL_S": "0.5",
    "FEISHU_WS_UPSTREAM__KEEPALIVE_TIMEOUT_S": "0.5",
    "FEISHU_WS_UPSTREAM__BACKOFF_BASE_S": "0.1",
    "FEISHU_WS_UPSTREAM__BACKOFF_UNREACHABLE_MAX_S": "0.3",
    "FEISHU_WS_LOG__LEVEL": "warning",
}


class Running:
    """A daemon that runs, and how to reach it."""

    def __init__(self, daemon, path, env):
        self.daemon = daemon
        self.env = env
        self.path = str(path / "events.sock")

    def consumer(self, name="bot", **options):
        """Return a consumer of it."""
        return Consumer(name, self.path, **{"start": "earliest", **options})

    async def status(self):
        """Return the status object."""
        async with self.consumer("status", durable=False) as consumer:
            return await consumer.call("status")


@pytest.fixture
async def feishu():
    settings = SimulatorSettings(redelivery_s=(0.3,) * 100, keep_log=True, seed=7)
    async with Simulator(settings) as running:
        yield running


@pytest.fixture
async def run_daemon(tmp_path, feishu):
    """Run daemons in one directory, one after another."""

    @contextlib.asynccontextmanager
    async def run(clock=None, **env):
        environment = {
            "FEISHU_WS_APP__ID": feishu.settings.app_id,
            "FEISHU_WS_APP__SECRET": feishu.settings.app_secret,
            "FEISHU_WS_APP__DOMAIN": feishu.domain,
            "STATE_DIRECTORY": str(tmp_path),
            "RUNTIME_DIRECTORY": str(tmp_path),
            "FEISHU_WS_TELEMETRY__LISTEN": "",
            "FEISHU_WS_LOOKALIKE__LISTEN": "",
            **QUICK,
            **env,
        }
        daemon = Daemon(load(None, environment), clock)
        life = asyncio.create_task(daemon.run())
        await eventually(lambda: life.done() or (tmp_path / "events.sock").exists())
        try:
            yield Running(daemon, tmp_path, environment)
        finally:
            daemon.request_stop("the test is over")
            assert await asyncio.wait_for(life, 5) == 0

    return run


async def take(consumer, count):
    """Return the next deliveries, settled."""
    found = []
    async for delivery in consumer:
        found.append(delivery)
        await delivery.settle()
        if len(found) == count:
            return found
    raise AssertionError("the consumer ended")


async def test_an_event_travels(feishu, run_daemon):
    """What Feishu pushes is confirmed, and reaches the consumer byte for byte."""
    async with run_daemon() as running, running.consumer() as consumer:
        await feishu.wait_for_links(2)
        payload = corpus.text_message(1, text="你好")
        delivery = feishu.push(payload)
        (found,) = await asyncio.wait_for(take(consumer, 1), 5)
        confirmed = await delivery.confirmed()

    assert confirmed == (200, None)
    assert found.event.data == json.loads(payload)
    assert payload in found.event.raw
    assert (found.message["text"], found.position, found.attempt) == ("你好", 1, 1)
    assert feishu.stats.as_dict()["bad_acks"] == []


async def test_duplicates_are_confirmed_and_not_delivered(feishu, run_daemon):
    """The same event on both links, and again after a restart, is delivered once."""
    payload = corpus.text_message(1)
    async with run_daemon() as running, running.consumer() as consumer:
        await feishu.wait_for_links(2)
        both = [feishu.push(payload, link=link) for link in feishu.links]
        codes = [(await delivery.confirmed())[0] for delivery in both]
        await asyncio.wait_for(take(consumer, 1), 5)
    async with run_daemon() as running, running.consumer() as consumer:
        await feishu.wait_for_links(1)
        codes.append((await feishu.push(payload).confirmed())[0])
        feishu.push(corpus.text_message(2))
        (after,) = await asyncio.wait_for(take(consumer, 1), 5)

    assert codes == [200, 200, 200]
    assert after.position == 2


async def test_an_operator_is_obeyed(feishu, run_daemon):
    """What a consumer was done with comes again when it is moved, and what died when retried."""
    async with run_daemon() as running, running.consumer() as consumer:
        await feishu.wait_for_links(2)
        for number in (1, 2):
            feishu.push(corpus.text_message(number))
            assert (await anext(consumer)).position == number
        await consumer.call("reject", {"position": 1, "dead": True})
        await consumer.call("settle", {"positions": [2]})
        retried = await ask(running.path, "dead.retry", {"positions": [1]})
        (back,) = await asyncio.wait_for(take(consumer, 1), 5)
        moved = await ask(running.path, "consumers.seek", {"consumer": "bot", "from": 2})
        (again,) = await asyncio.wait_for(take(consumer, 1), 5)

    assert (retried, back.position) == ({"retried": 1, "left": 0}, 1)
    assert (moved["cursor"], again.position, again.reply_by) == (1, 2, None)


async def test_a_killed_link_comes_back_and_loses_nothing(feishu, run_daemon):
    """Links that are reset under load come back by themselves; every event arrives once."""
    async with run_daemon() as running, running.consumer() as consumer:
        await feishu.wait_for_links(2)
        reading = asyncio.create_task(take(consumer, 300))
        for number in range(300):
            feishu.push(corpus.text_message(number), parts=1 + number % 3)
            if number % 60 == 30:
                feishu.links[0].reset()
            await asyncio.sleep(0.002)
        found = await asyncio.wait_for(reading, 20)
        await feishu.wait_for_links(2)

    assert [delivery.position for delivery in found] == list(range(1, 301))
    assert len({delivery.event.id for delivery in found}) == 300


async def test_a_silent_link_is_noticed(feishu, run_daemon):
    """A peer that goes silent is replaced within interval + timeout + 1 s."""
    async with run_daemon(FEISHU_WS_UPSTREAM__CONNECTIONS="1") as running:
        (link,) = await feishu.wait_for_links(1)
        link.go_silent(notices_close=False)
        began = asyncio.get_running_loop().time()
        await eventually(lambda: any(other is not link for other in feishu.links))
        took_s = asyncio.get_running_loop().time() - began
        while not (losses := (await running.status())["losses"]):
            await asyncio.sleep(0.05)

    assert took_s < 0.5 + 0.5 + 1
    assert losses[0]["fault"] in {"link_suspect", "pong_overdue"}


async def test_an_outage_heals_by_itself(feishu, run_daemon):
    """Feishu unreachable for a while: not ready, then live again without help."""
    async with run_daemon() as running:
        await feishu.wait_for_links(2)
        await feishu.stop_listening()
        for link in list(feishu.links):
            link.reset()
        await asyncio.sleep(1)
        down = await running.status()
        await feishu.start_listening()
        await feishu.wait_for_links(2, 10)
        delivery = feishu.push(corpus.text_message(1))
        assert await delivery.confirmed() == (200, None)
        await eventually(lambda: len(feishu.links) == 2)
        up = await running.status()

    assert (down["ready"], up["ready"]) == (False, True)
    assert down["fault"] in {"connect_failed", "connection_lost"}


async def test_split_shuffled_and_repeated_parts(feishu, run_daemon):
    """A payload in shuffled, repeated parts is one event."""
    async with run_daemon() as running, running.consumer() as consumer:
        await feishu.wait_for_links(1)
        payload = corpus.text_message(1, size=20_000)
        split = Split(parts=7, shuffle=True, duplicates=2)
        delivery = feishu.push(payload, split=split)
        (found,) = await asyncio.wait_for(take(consumer, 1), 5)

    assert await delivery.confirmed() == (200, None)
    assert payload in found.event.raw


async def test_a_callback_is_answered_by_a_consumer(feishu, run_daemon):
    """The first reply is what Feishu gets; a duplicate gets the same."""
    async with run_daemon() as running, running.consumer() as consumer:
        await feishu.wait_for_links(1)
        await consumer.call("ping")
        card = corpus.sample("card.action.trigger", 1, feishu.new_origin())
        first = feishu.push(card, kind="card")
        async for delivery in consumer:
            assert delivery.reply_by is not None
            await delivery.reply({"toast": {"type": "info", "content": "好"}})
            break
        code, data = await first.confirmed()
        again = await feishu.push(card, kind="card").confirmed()

    assert (code, json.loads(data)) == (200, {"toast": {"type": "info", "content": "好"}})
    assert again == (code, data)


async def test_a_reply_that_would_cost_the_link_is_refused(feishu, run_daemon):
    """A reply of megabytes is refused; the links live on and a proper reply still counts."""
    async with run_daemon() as running, running.consumer() as consumer:
        links = await feishu.wait_for_links(2)
        await consumer.call("ping")
        pushed = feishu.push(corpus.sample("card.action.trigger", 1, feishu.new_origin()))
        async for delivery in consumer:
            with pytest.raises(RpcError, match="expected at most"):
                await delivery.reply({"x": "y" * 5_000_000})
            await delivery.reply({})
            break
        assert await pushed.confirmed() == (200, b"{}")
        assert feishu.links == links


async def test_a_callback_nobody_answers_gets_the_default(feishu, run_daemon):
    """Without a reply the default goes out in time, and the event comes late."""
    async with run_daemon(FEISHU_WS_DELIVERY__CALLBACK_TIMEOUT_S="0.3") as running:
        await feishu.wait_for_links(1)
        card = corpus.sample("card.action.trigger", 1, feishu.new_origin())
        answer = await feishu.push(card).confirmed()
        async with running.consumer() as consumer:
            (late,) = await asyncio.wait_for(take(consumer, 1), 5)

    assert answer == (200, b"{}")
    assert (late.late, late.reply_by) == (True, None)


async def test_a_callback_missed_for_too_long_is_a_dead_letter(feishu, run_daemon):
    """After `late_callback_s` it is not delivered any more, and comes back when it is retried."""
    settings = {
        "FEISHU_WS_DELIVERY__CALLBACK_TIMEOUT_S": "0.3",
        "FEISHU_WS_DELIVERY__LATE_CALLBACK_S": "0.3",
    }
    async with run_daemon(**settings) as running:
        await feishu.wait_for_links(1)
        card = corpus.sample("card.action.trigger", 1, feishu.new_origin())
        assert await feishu.push(card).confirmed() == (200, b"{}")
        await asyncio.sleep(0.1)
        async with running.consumer() as consumer:
            await consumer.call("ping")
            (letter,) = await dead_letters(running)
            await ask(running.path, "dead.retry", {"positions": [letter["position"]]})
            again = await asyncio.wait_for(anext(consumer), 5)

    assert (letter["consumer"], letter["reason"]) == ("bot", "expired")
    assert (again.position, again.late, again.reply_by) == (letter["position"], True, None)


async def dead_letters(running):
    """Return the dead letters once there are any."""
    async with asyncio.timeout(5):
        while not (found := (await ask(running.path, "dead.list"))["dead"]):
            await asyncio.sleep(0.01)
    return found


async def test_a_stop_answers_the_callback_that_is_waited_for(feishu, run_daemon):
    """Feishu gets the default before the link is closed; the event comes late after the start."""
    async with run_daemon() as running, running.consumer() as consumer:
        await feishu.wait_for_links(2)
        await consumer.call("ping")
        pushed = feishu.push(corpus.sample("card.action.trigger", 1, feishu.new_origin()))
        held = await anext(consumer)
    answer = await pushed.confirmed()
    async with run_daemon() as running, running.consumer() as consumer:
        (again,) = await asyncio.wait_for(take(consumer, 1), 5)

    assert (answer, held.late, pushed.ack_latency_s < 2) == ((200, b"{}"), False, True)
    assert (again.position, again.late, again.reply_by) == (held.position, True, None)


async def test_hostile_frames_change_nothing(feishu, run_daemon):
    """Text, garbage and empty frames are counted; the link stays and goes on."""
    async with run_daemon() as running, running.consumer() as consumer:
        links = await feishu.wait_for_links(2)
        for link in links:
            for frame in ("text", b"", b"\xff" * 50, b"\x08\x00", bytes(100_000)):
                link.send_raw(frame)
        delivery = feishu.push(b"this is no JSON \xff")
        (found,) = await asyncio.wait_for(take(consumer, 1), 5)
        assert await delivery.confirmed() == (200, None)
        assert feishu.links == links

    assert (found.event.type, found.event.data) == ("feishu.unknown", b"this is no JSON \xff")


async def test_a_wall_clock_that_jumps(feishu, run_daemon):
    """While the wall clock cannot be believed that is a fault, and it ends when it agrees again."""

    class Jumping(SystemClock):
        ahead_ms = 0

        def wall_ms(self):
            return super().wall_ms() + self.ahead_ms

    clock = Jumping()
    async with run_daemon(clock) as running:
        await feishu.wait_for_links(1)
        clock.ahead_ms = 7_200_000
        await asyncio.sleep(1.5)
        doubted = (await running.status())["faults"]
        clock.ahead_ms = 0
        await asyncio.sleep(1.5)
        believed = (await running.status())["faults"]

    assert [fault["fault"] for fault in doubted] == ["clock_stepped"]
    assert believed == []


async def test_nothing_expires_while_the_clock_is_doubted(feishu, run_daemon):
    """A clock that jumped makes no event too old, neither to deliver nor to keep; later ages count again."""

    class Jumping(SystemClock):
        ahead_ms = 0

        def wall_ms(self):
            return super().wall_ms() + self.ahead_ms

    clock = Jumping()
    env = {
        "FEISHU_WS_DELIVERY__MAX_AGE_S": "1",
        "FEISHU_WS_DELIVERY__CONSUMERS": '["bot"]',
        "FEISHU_WS_JOURNAL__RETENTION_HOURS": "1",
        "FEISHU_WS_JOURNAL__DEDUPE_HOURS": "1",
    }
    async with run_daemon(clock, **env) as running:
        await feishu.wait_for_links(1)
        journal = running.daemon._journal
        trusted = []
        await feishu.push(corpus.text_message(1)).confirmed()
        clock.ahead_ms = 7_200_000
        await asyncio.sleep(1.3)
        trusted.append(journal._writer.upkeep.trusts_clock)
        async with running.consumer() as consumer:
            (spared,) = await asyncio.wait_for(take(consumer, 1), 5)
        clock.ahead_ms = 0
        await asyncio.sleep(1.3)
        trusted.append(journal._writer.upkeep.trusts_clock)
        await feishu.push(corpus.text_message(2)).confirmed()
        await asyncio.sleep(1.1)
        async with running.consumer() as consumer:
            await consumer.call("ping")
            await eventually(lambda: journal.consumers()["bot"].cursor == 2)
            dead = await consumer.call("dead.list")
            await consumer.call("consumers.seek", {"consumer": "bot", "from": "earliest"})
            again = await asyncio.wait_for(take(consumer, 2), 5)
            retried = await consumer.call("dead.retry", {"positions": [2]})
            (back,) = await asyncio.wait_for(take(consumer, 1), 5)

    assert (spared.position, trusted) == (1, [False, True])
    assert [(row["position"], row["reason"]) for row in dead["dead"]] == [(2, "expired")]
    assert [delivery.position for delivery in again] == [1, 2]
    assert (retried, back.position) == ({"retried": 1, "left": 0}, 2)


async def test_an_absent_consumer_is_forgotten(feishu, run_daemon, monkeypatch):
    """The daemon looks who is there; who was away for too long is forgotten, and that is counted."""
    monkeypatch.setattr("feishu_ws.downstream.presence.LOOK_EVERY_S", 0.05)
    monkeypatch.setattr("feishu_ws.downstream.presence.PATIENCE_S", 0.2)
    async with run_daemon(FEISHU_WS_DELIVERY__FORGET_AFTER_HOURS="0.0001") as running:
        async with running.consumer("gone") as consumer:
            await consumer.call("ping")
        async with running.consumer("there") as consumer:
            await consumer.call("ping")
            await eventually(lambda: "gone" not in running.daemon._journal.consumers())
            await asyncio.sleep(0.5)
            names = [c["name"] for c in (await running.status())["consumers"] if c["durable"]]

    assert names == ["there"]
    assert running.daemon._watchers.counts.consumers_forgotten == 1


async def test_a_reload_that_would_crowd_the_journal_is_refused(run_daemon, tmp_path, monkeypatch):
    """Declared consumers that have no place beside those there are change nothing and are a fault."""
    async with run_daemon(FEISHU_WS_DELIVERY__WINDOW="7") as running:
        async with running.consumer("other") as consumer:
            await consumer.call("ping")
        for name, value in running.env.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("FEISHU_WS_DELIVERY__WINDOW", "8")
        monkeypatch.setenv(
            "FEISHU_WS_DELIVERY__CONSUMERS", json.dumps([f"c{n}" for n in range(32)])
        )
        running.daemon.reload()
        await eventually(lambda: not running.daemon._watchers.counts.config_ok)
        refused = await running.status()
        window = running.daemon._settings.delivery.window
        async with running.consumer("admin", durable=False) as consumer:
            await consumer.call("consumers.forget", {"consumer": "other"})
        running.daemon.reload()
        await eventually(lambda: running.daemon._watchers.counts.config_ok)
        taken = await running.status()

    assert [fault["fault"] for fault in refused["faults"]] == ["reload_invalid"]
    assert (window, running.daemon._settings.delivery.window) == (7, 8)
    assert taken["faults"] == []


async def test_a_reload_from_a_file_that_gives_no_answer(run_daemon, tmp_path):
    """A FIFO in the configuration's place holds neither the daemon nor its stop."""
    fifo = tmp_path / "config.toml"
    os.mkfifo(fifo)
    async with run_daemon() as running:
        running.daemon._loaded = replace(running.daemon._loaded, path=str(fifo))
        running.daemon.reload()
        await eventually(lambda: running.daemon._rereading._reading is not None)
        assert (await running.status())["faults"] == []
        stopping = time.monotonic()
    assert time.monotonic() - stopping < 3
    os.close(os.open(fifo, os.O_RDWR | os.O_NONBLOCK))  # ends the reading that was left behind


async def test_how_old_the_oldest_pending_event_is(feishu, run_daemon, monkeypatch):
    """The backlog of a consumer that is away has an age, also after a restart."""
    monkeypatch.setattr("feishu_ws.overview.OLDEST_EVERY_S", 0.05)
    ages = []
    async with run_daemon(FEISHU_WS_DELIVERY__CONSUMERS='["bot"]') as running:
        await feishu.wait_for_links(1)
        await feishu.push(corpus.text_message(1)).confirmed()
        await asyncio.sleep(0.3)
        ages.append((await running.status())["consumers"][0]["oldest_pending_ms"])
    async with run_daemon(FEISHU_WS_DELIVERY__CONSUMERS='["bot"]') as running:
        await asyncio.sleep(0.3)
        ages.append((await running.status())["consumers"][0]["oldest_pending_ms"])
        async with running.consumer() as consumer:
            (delivery,) = await asyncio.wait_for(take(consumer, 1), 5)
        await asyncio.sleep(0.2)
        ages.append((await running.status())["consumers"][0]["oldest_pending_ms"])

    received_ms = datetime.fromisoformat(delivery.event.received_time).timestamp() * 1000
    assert ages[:2] == [pytest.approx(received_ms), pytest.approx(received_ms)]
    assert ages[2] == 0


async def test_credentials_refused_while_running_is_held(feishu, run_daemon):
    """Refused credentials that once worked are waited out, loudly, and heal by themselves."""
    async with run_daemon() as running:
        await feishu.wait_for_links(2)
        feishu.refuse_discovery(1000040345)
        for link in list(feishu.links):
            link.reset()
        await asyncio.sleep(0.5)
        status = await running.status()

    assert (status["ready"], status["fault"]) == (False, "credentials_refused")
    assert {link["state"] for link in status["links"]} <= {"held", "backoff", "discovering"}


async def test_losses_are_remembered(feishu, run_daemon):
    """A loss is in `incidents` and in the status at once, and after a restart still."""
    async with run_daemon() as running:
        await feishu.wait_for_links(2)
        await eventually(lambda: running.daemon._overview.live_since().keys() == {0, 1})
        feishu.links[0].reset()
        async with running.consumer("asks", durable=False) as consumer:

            async def is_back():
                told = await consumer.call("incidents")
                return [i for i in told["incidents"] if i["back_ms"] is not None]

            async with asyncio.timeout(5):
                while not (before := await is_back()):
                    await asyncio.sleep(0.02)
        [loss] = (await running.status())["losses"]
    async with run_daemon() as running:
        await feishu.wait_for_links(2)
        async with running.consumer("asks", durable=False) as consumer:
            after = await consumer.call("incidents")
        again = (await running.status())["losses"]

    assert (before[0]["fault"], before[0]["away_s"] > 0) == ("connection_lost", True)
    assert after["incidents"][0] == before[0]
    assert [i["fault"] for i in after["incidents"][1:]] == ["local_stop", "local_stop"]
    assert (after["outages"], len(after["stops"])) == ([], 1)
    assert [each | {"at_ms": 0} for each in again] == [loss | {"at_ms": 0}]
    assert abs(again[0]["at_ms"] - loss["at_ms"]) < 1000
    assert loss["fault"] == "connection_lost"


async def test_a_crash_is_an_outage(feishu, run_daemon):
    """Links that were live when a process was cut off are lost, until the next one has some."""
    async with run_daemon() as running:
        await eventually(lambda: all(running.daemon._overview.live_since().values()))
        assert (await feishu.push(corpus.text_message(1)).confirmed())[0] == 200
        running.daemon._watchers.recorder = None  # it writes down nothing of its end
    async with run_daemon() as running:
        await eventually(lambda: all(running.daemon._overview.live_since().values()))
        async with running.consumer("asks", durable=False) as consumer:
            told = await consumer.call("incidents")
        losses = (await running.status())["losses"]

    assert [each["fault"] for each in told["incidents"]] == ["connection_lost"] * 2
    assert [each["fault"] for each in told["outages"]] == ["connection_lost"]
    assert 0 < told["outages"][0]["lasted_s"] < 30
    assert told["stops"] == []
    assert {loss["detail"] for loss in losses} == {CUT_OFF}


async def test_the_status_says_whom_it_asks_and_what_waits_for_a_restart(
    feishu, run_daemon, monkeypatch
):
    """The proxy without its login; a key that changed waits until it is as it was."""
    proxy = "http://user:p4ssw0rd@127.0.0.1:9"
    async with run_daemon(FEISHU_WS_UPSTREAM__PROXY=proxy, NO_PROXY="*") as running:
        for name, value in running.env.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("FEISHU_WS_UPSTREAM__CONNECTIONS", "3")
        running.daemon.reload()
        await eventually(lambda: running.daemon._watchers.needs_restart)
        changed = await running.status()
        monkeypatch.delenv("FEISHU_WS_UPSTREAM__CONNECTIONS")
        running.daemon.reload()
        await eventually(lambda: not running.daemon._watchers.needs_restart)
        back = await running.status()

    assert (changed["domain"], changed["proxy"]) == (feishu.domain, "http://127.0.0.1:9")
    assert (changed["needs_restart"], back["needs_restart"]) == (["upstream.connections"], [])
    assert "p4ssw0rd" not in json.dumps(changed)
