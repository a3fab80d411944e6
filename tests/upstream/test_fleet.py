"""Several links together, over real sockets."""

import asyncio
import gc
import socket
import threading
import time
from pathlib import Path

import pytest
from support import eventually
from upstream.fake import answer, code, data_frame
from websockets.protocol import State

from feishu_ws.faults import Fault, FeishuWsError
from feishu_ws.happenings import (
    FleetResized,
    LinkDialed,
    LinkFailed,
    LinkLive,
    LinkLost,
    LinkReplaced,
    NetworkChanged,
    PayloadRefused,
    StormBegan,
    StormEnded,
)
from feishu_ws.secret import Secret
from feishu_ws.upstream import backoff, connection, fleet, netwatch
from feishu_ws.upstream.attempt import Phase
from feishu_ws.upstream.backoff import Ending
from feishu_ws.upstream.connection import Connection
from feishu_ws.upstream.fleet import LimitQueue, RefusalCount
from feishu_ws.upstream.resolver import Resolver
from feishu_ws.upstream.settings import Credentials
from feishu_ws.wire.session import Keepalive


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Seconds of the fleet's own rhythm, shortened."""
    monkeypatch.setattr(fleet, "STAGGER_S", 0.1)
    monkeypatch.setattr(fleet, "TICK_S", 0.05)


async def test_one_after_another(harness):
    """The first link is live before the next dials, and they do not dial together."""
    harness.start(connections=3)
    await harness.record.wait(LinkLive, 3)
    order = [
        (type(each).__name__, each.link) for each in harness.record.all if hasattr(each, "link")
    ]
    assert order == [(kind, link) for link in range(3) for kind in ("LinkDialed", "LinkLive")]
    assert harness.fleet.live == 3
    assert [each.index for each in harness.fleet.facts()] == [0, 1, 2]


async def test_second_link_waits_for_the_first(harness, feishu):
    """While the first link has never been live no other is tried."""
    feishu.script = [code(1)] * 1000
    harness.start(connections=2, backoff_base_s=0.01, backoff_max_s=0.02)
    await harness.record.wait(LinkFailed, 5)
    assert {each.link for each in harness.record.of(LinkDialed)} == {0}


async def test_events_on_every_link(harness, feishu):
    """Each link takes events; losing one leaves the other as it is."""
    harness.start(connections=2)
    sessions = [await feishu.opened(), await feishu.opened()]
    await harness.record.wait(LinkLive, 2)
    sessions[0].reset()
    await sessions[1].send(data_frame(b"other"))
    await sessions[1].confirm()
    third = await feishu.opened()
    await third.send(data_frame(b"again"))
    await third.confirm()
    assert harness.payloads == [b"other", b"again"]
    assert len(harness.record.of(LinkLost)) == 1


async def test_fresh_url_for_every_attempt(harness, feishu):
    """Each attempt asks discovery anew."""
    session = await harness.open()
    await harness.record.wait(LinkLive)
    session.reset()
    await feishu.opened()
    assert len(feishu.requests) == 2


async def test_connection_limit_shrinks_the_fleet(harness, feishu):
    """A refused surplus link is held while the first one works on."""
    session = await harness.open(connections=2)
    feishu.script = [code(1000040350)]
    failed = await harness.record.wait(LinkFailed)
    assert (failed.link, failed.fault, failed.retry_in_s) == (1, Fault.CONNECTION_LIMIT, 60)
    await session.send(data_frame(b"x"))
    await session.confirm()
    facts = harness.fleet.facts()
    assert [each.state for each in facts] == ["connected", "held"]
    assert (facts[1].fault, facts[1].code) == (Fault.CONNECTION_LIMIT, 1000040350)


async def test_the_fleet_grows_back(harness, feishu, monkeypatch):
    """What the limit allows is what the fleet wants; later it is tried again, and told."""
    monkeypatch.setattr(fleet, "LIMIT_S", 0.3)
    feishu.script = [feishu.endpoint(), code(1000040350), code(1000040350)]
    harness.start(connections=3)
    shrunk = await harness.record.wait(FleetResized)
    assert (shrunk.links, shrunk.wanted) == (2, 3)
    assert harness.fleet.size == 2
    await harness.record.wait(LinkLive, 3)
    assert (await harness.record.wait(FleetResized, 2)).links == 3


async def test_links_ping_apart(harness, monkeypatch):
    """Each link of a fleet has its own place in the interval, also after it came back."""
    places = []

    class Spy(Keepalive):
        def __init__(self, *args):
            places.append(args[-1])
            super().__init__(*args)

    monkeypatch.setattr(connection, "Keepalive", Spy)
    harness.start(connections=4)
    await harness.record.wait(LinkLive, 4)
    assert places == [0, 0.25, 0.5, 0.75]
    harness.feishu.sessions[2].reset()
    await harness.record.wait(LinkLive, 5)
    assert places[4:] == [0.5]


async def test_rotation_leaves_no_gap(harness, feishu):
    """While two links are rotated without end there are always two, on both sides."""
    counts = []

    def count(_):
        counts.append(
            (harness.fleet.live, sum(each.ws.state is State.OPEN for each in feishu.sessions))
        )

    harness.start(connections=2, rotate_after_s=0.15)
    await harness.record.wait(LinkLive, 2)
    harness.record.told = count
    await harness.record.wait(LinkReplaced, 10)
    assert {live for live, _ in counts} == {2}
    assert min(sessions for _, sessions in counts) >= 2
    assert {each.link for each in harness.record.of(LinkReplaced)} == {0, 1}
    assert harness.record.of(LinkLost) == []
    retiring = len(harness.record.of(LinkLive)) - 2 - len(harness.record.of(LinkReplaced))
    assert 0 <= retiring <= 1


async def test_one_suspect_link_makes_the_others_prove_themselves(harness, feishu):
    """A link that falls silent makes the others ping at once, and they live on."""
    harness.start(connections=2, keepalive_interval_s=60, keepalive_timeout_s=2)
    sessions = [await feishu.opened(), await feishu.opened()]
    await harness.record.wait(LinkLive, 2)
    await asyncio.sleep(0.1)
    sent = harness.tally.pings_sent
    sessions[0].freeze()
    harness.fleet._links[0].probe(0.5)  # its own ping would come in a minute
    replaced = await harness.record.wait(LinkReplaced)
    assert replaced.link == 0
    assert harness.tally.pings_sent - sent >= 3  # the silent one, the other, the fresh one
    assert harness.record.of(LinkLost) == []


def test_the_limit_is_tried_once_a_minute():
    """However many links wait at the limit, one of them has its turn each minute."""
    queue = LimitQueue()
    assert [queue.next_turn_s(link, 100.0) for link in range(3)] == [60, 120, 180]
    assert queue.next_turn_s(1, 400.0) == 60


def test_a_turn_at_the_limit_is_kept():
    """However often a link asks before its turn, it has that one turn, and nobody's moves away."""
    queue = LimitQueue()
    assert queue.next_turn_s(0, 0.0) == 60
    assert [queue.next_turn_s(0, float(now)) for now in range(1, 41)] == [
        60 - now for now in range(1, 41)
    ]
    assert queue.next_turn_s(1, 40.0) == 80
    assert queue.next_turn_s(0, 60.0) == 120


async def test_another_address(harness, feishu):
    """When the machine's own address changes every link is asked at once."""
    session = await harness.open(keepalive_interval_s=60)
    await harness.record.wait(LinkLive)
    pings = harness.tally.pings_sent
    harness.addresses = frozenset({"10.0.0.9"})
    await harness.record.wait(NetworkChanged)
    async with asyncio.timeout(5):
        while harness.tally.pings_sent == pings:
            await asyncio.sleep(0.01)
    assert harness.record.of(LinkLost) == []
    assert session is not None


async def test_a_network_that_comes_back(harness, feishu, monkeypatch):
    """When there is an address again a link that waits dials at once."""
    feishu.script = [code(1000040344)]  # held for 15 s
    harness.start()
    await harness.record.wait(LinkFailed)
    harness.addresses = frozenset()
    await asyncio.sleep(2 * (netwatch.POLL_S + netwatch.DEBOUNCE_S))
    harness.addresses = frozenset({"192.0.2.7"})
    await harness.record.wait(LinkLive, within_s=5)


async def test_split_payload_of_a_dead_link(harness, feishu):
    """Parts that came before a link died do not complete a copy on the next one."""
    session = await harness.open()
    await session.send(data_frame(b"stale", "m", 0, 2), data_frame(b"x"))
    await session.confirm()
    session.reset()
    session = await feishu.opened()
    await session.send(data_frame(b"b", "m", 1, 2), data_frame(b"a", "m", 0, 2))
    await session.confirm()
    assert harness.payloads == [b"x", b"ab"]


async def test_incomplete_parts_expire(harness, monkeypatch):
    """Parts that stay incomplete are given up, counted and told."""
    monkeypatch.setattr("feishu_ws.wire.reassembly.INCOMPLETE_AFTER_S", 0.1)
    session = await harness.open()
    await session.send(data_frame(b"abc", "m", 0, 2))
    gone = await harness.record.wait(PayloadRefused)
    assert (gone.reason, gone.size_bytes) == ("fragment_timeout", 3)
    await asyncio.sleep(0)
    assert harness.tally.frame_errors["fragment_timeout"] == 1
    assert harness.tally.fragments_pending == 0


# -- what is left behind ----------------------------------------------------------------------


ROUNDS = 100
WARM_UP = 10


def held():
    """Return what this process holds: descriptors, threads, tasks, and links in memory."""
    gc.collect()
    links = sum(isinstance(each, Connection) for each in gc.get_objects())
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    return descriptors, threading.active_count(), len(asyncio.all_tasks()), links


async def test_nothing_is_left_behind(harness, feishu):
    """After hundreds of links that were lost, refused, given up or replaced all is as before."""
    record = harness.record
    feishu.config = feishu.pong = {"ReconnectInterval": 0, "ReconnectNonce": 0}

    def has_settled():
        ends = len(record.of(LinkLost)) + len(record.of(LinkReplaced))
        return harness.fleet.live == 2 and len(record.of(LinkLive)) == ends + 2

    harness.start(connections=2, backoff_base_s=0.01, backoff_max_s=0.01, storm_tokens=1000)
    await record.wait(LinkLive, 2)
    for count in range(ROUNDS):
        session = feishu.sessions[-1]
        match count % 5:
            case 0:
                session.reset()
            case 1:
                await session.ws.close(1001)
            case 2:
                feishu.refusals = [(503, {}), (200, {"Handshake-Status": "500"})]
                session.reset()
            case 3:
                feishu.script = [answer(500), code(1), answer(body=b"?")]
                session.reset()
            case 4:
                session.freeze()
                harness.fleet.probe(0.02)
        await record.wait(LinkLive, count + 3)
        await eventually(has_settled)
        session.ws.transport.abort()  # a frozen one does not see that the other side is gone
        del feishu.sessions[:-2]
        if count == WARM_UP:
            await asyncio.sleep(0.05)
            before = held()
    await eventually(lambda: held() == before)
    assert len(record.of(LinkFailed)) >= 2 * ROUNDS / 5


# -- storms -----------------------------------------------------------------------------------


async def test_a_storm_is_told_and_ends(harness, feishu):
    """When the last attempt is used up it is a storm; it ends when there are attempts again."""
    feishu.script = [code(1)] * 3
    harness.start(storm_tokens=3, storm_refill_s=0.3, backoff_base_s=0.01, backoff_max_s=0.01)
    await harness.record.wait(StormBegan)
    assert harness.fleet.is_storm
    assert (await harness.record.wait(LinkFailed, 3)).retry_in_s > 0.1
    assert len(feishu.requests) == 3
    await harness.record.wait(LinkLive)
    await harness.record.wait(StormEnded)
    assert not harness.fleet.is_storm


# -- credentials --------------------------------------------------------------------------


@pytest.fixture
def short_holds(monkeypatch):
    monkeypatch.setattr(backoff, "HOLD_FIRST_S", 0.01)
    monkeypatch.setattr(fleet, "EXIT_AFTER_S", 0.01)


async def test_wrong_credentials_end_the_daemon(harness, feishu, short_holds):
    """Three refusals in a row of credentials that never worked end the run."""
    feishu.script = [code(1000040346), code(1000040345), code(1000040346)]
    harness.start()
    with pytest.raises(FeishuWsError) as caught:
        await asyncio.wait_for(harness.running, 5)
    assert caught.value.fault is Fault.CREDENTIALS_REFUSED
    assert len(feishu.requests) == 3
    assert harness.proven == []


@pytest.mark.parametrize(
    ("script", "proven"),
    [
        ([1000040345] * 5, True),
        ([1000040345, 1000040345, 1, 1000040345, 1000040345], False),
        ([1000040344] * 5, False),
        ([403] * 5, False),
    ],
)
async def test_other_refusals_are_waited_out(harness, feishu, short_holds, script, proven):
    """Proven credentials, interrupted refusals and other codes hold instead."""
    feishu.script = [code(each) for each in script]
    harness.start(proven=proven, backoff_max_s=0.01)
    await harness.record.wait(LinkLive)
    assert len(feishu.requests) == len(script) + 1
    assert harness.proven == ([] if proven else [True])


async def test_proven_once(harness, feishu):
    """Credentials that worked are reported once, and refusals after that are waited out."""
    session = await harness.open(connections=2)
    await harness.record.wait(LinkLive, 2)
    assert harness.proven == [True]
    feishu.script = [code(1000040345)] * 9
    session.reset()
    await harness.record.wait(LinkFailed)
    assert not harness.running.done()


async def test_replaced_credentials_are_tried_at_once(harness, feishu):
    """New credentials end a hold."""
    feishu.script = [code(1000040345)]
    harness.start()
    await harness.record.wait(LinkFailed)
    feishu.requests.clear()
    harness.fleet.replace_credentials(Credentials("cli_a", Secret("other"), feishu.domain))
    await harness.record.wait(LinkLive, within_s=5)
    assert b'"AppSecret":"other"' in feishu.requests[0][1]
    assert harness.proven == [True]


def refusal(number, phase=Phase.DISCOVERY):
    return Ending(FeishuWsError(Fault.CREDENTIALS_REFUSED, "x", code=number), phase)


def test_only_discovery_decides():
    """The same code in the handshake is no reason to exit."""
    count = RefusalCount(proven=False)
    times = (0, 15, 45)
    assert all(count.will_wait(refusal(1000040345, Phase.HANDSHAKE), at) for at in times)
    assert [count.will_wait(refusal(1000040345), at) for at in times] == [True, True, False]


def test_tries_that_come_sooner_do_not_decide():
    """A network that comes and goes makes tries come at once; the daemon goes on for 45 s."""
    count = RefusalCount(proven=False)
    times = (0, 1, 2, 17, 43, 45)
    found = [count.will_wait(refusal(1000040346), at) for at in times]
    assert found == [True, True, True, True, True, False]


def test_other_credentials_are_tried_as_often():
    """Refusals of credentials that were replaced say nothing of those in their place."""
    count = RefusalCount(proven=False)
    assert [count.will_wait(refusal(1000040345), at) for at in (0, 15)] == [True, True]
    count.restart()
    found = [count.will_wait(refusal(1000040345), at) for at in (45, 60, 90)]
    assert found == [True, True, False]


@pytest.mark.parametrize(
    ("settings", "word"),
    [({"proxy": "socks4://127.0.0.1:1080"}, "socks5"), ({"ca_file": "/nonexistent"}, "ca_file")],
)
async def test_settings_that_cannot_work(harness, feishu, settings, word):
    """A proxy or trust anchor that cannot be used ends the run before anything is dialed."""
    harness.start(**settings)
    with pytest.raises(FeishuWsError, match=word) as caught:
        await harness.running
    assert caught.value.fault is Fault.CONFIG_INVALID
    assert feishu.requests == []


# -- stopping -----------------------------------------------------------------------------


async def stops_quickly(harness, within_s=2.0):
    began = time.monotonic()
    await harness.fleet.stop(1)
    assert time.monotonic() - began < within_s
    await asyncio.wait_for(harness.running, 1)
    assert {each.state for each in harness.fleet.facts()} == {"stopped"}


async def test_stop_before_anything(harness):
    """A fleet that was just started stops."""
    harness.start(connections=2)
    await stops_quickly(harness)


async def test_stop_before_run(harness, feishu):
    """A fleet that was stopped first does not run."""
    harness.start()
    harness.running.cancel()
    await harness.fleet.stop()
    await harness.fleet.run()
    assert feishu.requests == []


async def test_stop_while_discovery_hangs(harness, feishu):
    """A discovery without an answer does not delay a stop."""
    feishu.script = [None]
    harness.start()
    while not feishu.requests:
        await asyncio.sleep(0.01)
    assert harness.fleet.facts()[0].state == "discovering"
    await stops_quickly(harness)


async def test_stop_while_the_upgrade_hangs(harness, feishu):
    """An upgrade without an answer does not delay a stop."""
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        feishu.ws_port = deaf.getsockname()[1]
        harness.start()
        await harness.record.wait(LinkDialed)
        while harness.fleet.facts()[0].state != "connecting":
            await asyncio.sleep(0.01)
        await stops_quickly(harness)


async def test_stop_while_no_pong_comes(harness, feishu):
    """A peer that does not answer the first ping does not delay a stop."""
    feishu.silent = True
    await harness.open()
    await stops_quickly(harness)


@pytest.mark.parametrize("number", [1, 1000040344, 1000040350])
async def test_stop_while_waiting(harness, feishu, number):
    """A wait or a hold does not delay a stop."""
    feishu.script = [code(number)] * 100
    harness.start(backoff_base_s=30)
    await harness.record.wait(LinkFailed, 2 if number == 1 else 1)
    await stops_quickly(harness)


async def test_stop_while_live(harness):
    """Live links are closed in good order, each told as stopped by us."""
    harness.start(connections=2)
    await harness.record.wait(LinkLive, 2)
    await stops_quickly(harness)
    assert [each.fault for each in harness.record.of(LinkLost)] == [Fault.LOCAL_STOP] * 2
    assert harness.fleet.live == 0
    await harness.fleet.stop()


async def test_second_stop_waits_for_the_first(harness, feishu):
    """A stop that is asked for twice cuts nothing short."""
    session = await harness.open()
    await harness.record.wait(LinkLive)
    harness.answer_with = None
    await session.send(data_frame(b"x"))
    while not harness.answers:
        await asyncio.sleep(0.005)
    stopping = [asyncio.create_task(harness.fleet.stop(5)) for _ in range(2)]
    await asyncio.sleep(0.02)
    harness.answers[0](200, None)
    await session.confirm()
    await asyncio.wait_for(asyncio.gather(*stopping), 2)
    assert harness.tally.events_acked == 1


async def test_stop_while_dns_hangs(harness):
    """A resolver that hangs does not delay a stop, nor the end of the process."""
    released = threading.Event()
    harness.start(
        resolver=Resolver(lambda *_: released.wait(20) and []), domain="http://open.feishu.invalid"
    )
    await harness.record.wait(LinkDialed)
    await asyncio.sleep(0.05)
    await stops_quickly(harness)
    released.set()


async def test_dns_that_hangs_fails_the_attempt(harness):
    """A resolver that hangs is a failure of DNS at the attempt's deadline."""
    released = threading.Event()
    harness.start(
        resolver=Resolver(lambda *_: released.wait(20) and []),
        domain="http://open.feishu.invalid",
        connect_timeout_s=0.2,
    )
    failed = await harness.record.wait(LinkFailed)
    released.set()
    assert (failed.fault, failed.phase) == (Fault.DNS_FAILED, "dns")


async def test_discovery_that_hangs_fails_the_attempt(harness, feishu):
    """A discovery without an answer fails at the attempt's deadline, and the next one works."""
    feishu.script = [None]
    harness.start(connect_timeout_s=0.3)
    failed = await harness.record.wait(LinkFailed)
    assert (failed.fault, failed.phase) == (Fault.CONNECT_TIMEOUT, "discovery")
    await harness.record.wait(LinkLive)


async def test_what_was_taken_and_not_answered_costs_a_token(harness, feishu):
    """Requests that Feishu took count against the budget, also if no answer ever comes."""
    feishu.script = [None] * 50
    harness.start(connect_timeout_s=0.1, storm_tokens=3, storm_refill_s=3600, backoff_max_s=0.1)
    await harness.record.wait(StormBegan)
    await asyncio.sleep(0.5)
    assert len(feishu.requests) == 3


async def test_a_changed_network_does_not_change_the_limit(harness, feishu):
    """A link that waits for its turn at Feishu's limit keeps it, however often the address changes."""
    feishu.script = [feishu.endpoint(), *[code(1000040350)] * 9]
    harness.start(connections=2)
    failed = await harness.record.wait(LinkFailed)
    asked = len(feishu.requests)
    for _ in range(20):
        harness.fleet.probe()
        await asyncio.sleep(0.01)
    assert failed.fault is Fault.CONNECTION_LIMIT
    assert len(feishu.requests) == asked


async def test_all_are_renewed_one_after_another(harness, feishu):
    """Links that Feishu has forgotten are replaced, new before old, and no event is lost by it."""
    await harness.open(connections=2)
    await harness.record.wait(LinkLive, 2)
    harness.fleet.renew_all()
    await harness.record.wait(LinkReplaced, 2, within_s=10)
    assert {each.link for each in harness.record.of(LinkReplaced)} == {0, 1}
    assert {each.fault for each in harness.record.of(LinkReplaced)} == {Fault.ROTATED}
    assert harness.fleet.live == 2
    assert harness.record.of(LinkLost) == []


async def test_rate_limit_is_honoured(harness, feishu):
    """Feishu's wish to wait is the wait."""
    feishu.script = [answer(429, x_ogw_ratelimit_reset="42")]
    harness.start()
    failed = await harness.record.wait(LinkFailed)
    assert (failed.fault, failed.retry_in_s) == (Fault.RATE_LIMITED, 42)


async def test_defect_ends_the_run(harness, monkeypatch):
    """A task of the fleet that dies takes the run with it instead of going unnoticed."""
    monkeypatch.setattr(fleet.StormBreaker, "tick", lambda *_: 1 / 0)
    harness.start()
    with pytest.raises(ZeroDivisionError):
        await asyncio.wait_for(harness.running, 5)
