"""What is done to the daemon's network, and what is expected of it."""

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from acceptance.natlab.trial import RATE, Lab, until_async

from feishu_ws.wire.session import PACE

SHORT_S = 8  # an outage shorter than which no link may be given up
LONG_S = 45
IDLE_SHORT_S = 8  # below the interval of pings
IDLE_LONG_S = 18  # above it
QUIET_S = 50
INTERVAL_S = 15  # of pings, the default
BEFORE_PING_S = 0.5  # a ping that leaves so soon after an outage began is most at risk
LOSSY_S = 60
RESETS = 4
ROUND_S = 16  # the log tells of 6 turns of a link in 30 s and sums up what comes more often
FLAP_S = 3
FROZEN_S = 20
COLD_S = 20


@dataclass(frozen=True)
class Scenario:
    """One row of the table.

    Attributes:
        act: Does the harm, and waits for what is to be seen of it.
        ends: How many links each fault ends: 0, 1, or None for all.
        rounds: How many faults there are.
        peers: What other clients were measured to do.
        rate: Events per second.
        settings: Of the daemon, where not the defaults.
        is_cold: Whether `act` starts the daemon.
        links: With how many links it is tried.
        lasts_s: How long the harm takes, so that the longest begin first.
        is_outage: Whether nothing can be reached at all until it ends.
    """

    name: str
    title: str
    act: Callable[[Lab], Awaitable[None]]
    ends: int | None = None
    rounds: int = 1
    peers: str = ""
    rate: int = RATE
    settings: Mapping[str, object] = field(default_factory=dict)
    is_cold: bool = False
    links: tuple[int, ...] = (1, 2)
    lasts_s: float = 30
    is_outage: bool = False

    def expected_ends(self, connections):
        """Return how many ends of links there are to be in all."""
        return self.rounds * (connections if self.ends is None else self.ends)


# -- the router forgets ---------------------------------------------------------------------


async def flush(lab):
    async with lab.fault():
        await lab.network.forget()
    await lab.noticed()


async def flush_rst(lab):
    await lab.network.answer_unknown()
    await flush(lab)


async def idle_short(lab):
    """Events every 12 s through a router that forgets after 8: what comes is lost on the way."""
    await lab.feishu.tell("pace", 0)
    await lab.network.forget_after(IDLE_SHORT_S)
    await lab.feishu.tell("push")  # its packets are what the new limit counts from
    await until_async(lab.network.has_forgotten, 3 * IDLE_SHORT_S, "the router to forget")
    async with lab.fault():
        await lab.feishu.tell("pace", 1 / 12)
    await lab.noticed()
    await lab.network.forget_after(3600)
    await lab.feishu.tell("pace", RATE)  # the new mapping needs packets to learn of that


async def idle_long(lab):
    """Nothing to do for long, through a router that forgets after 18 s: pings keep it."""
    await lab.feishu.tell("pace", 0)
    await lab.network.forget_after(IDLE_LONG_S)
    await asyncio.sleep(QUIET_S)
    async with lab.fault():
        await lab.feishu.tell("pace", RATE)


async def public_address(lab):
    async with lab.fault():
        await lab.network.change_public_address()
    await lab.noticed()


# -- packets vanish -------------------------------------------------------------------------


async def black_hole(lab):
    """The connections there are lead nowhere any more; new ones do."""
    ports = await lab.network.ports()
    async with lab.fault():
        await lab.network.black_hole(ports=ports)
    await lab.noticed()


async def black_hole_one(lab):
    ports = await lab.network.ports()
    async with lab.fault():
        await lab.network.black_hole(ports=ports[:1])
    await lab.noticed(links=1)


async def inbound(lab):
    ports = await lab.network.ports()
    async with lab.fault():
        await lab.network.black_hole("in", ports)
    await lab.noticed()


def outage(seconds):
    """Nothing goes through for a while, names included."""

    async def act(lab):
        async with lab.fault():
            await lab.network.black_hole()
        await asyncio.sleep(seconds)
        await lab.network.heal()
        lab.healed()

    return act


async def outage_over_a_ping(lab):
    """It begins right before a ping of the first link, which can be answered only after it."""
    pace_s = INTERVAL_S * PACE
    slot_s = pace_s - time.monotonic() % pace_s  # all processes of a machine have this clock
    await asyncio.sleep((slot_s - BEFORE_PING_S) % pace_s)
    await outage(SHORT_S)(lab)


async def unreachable(lab):
    async with lab.fault():
        await lab.network.unreachable()
    await asyncio.sleep(LONG_S)
    await lab.network.heal()
    lab.healed()


async def refused(lab):
    async with lab.fault():
        await lab.network.reset()
    await asyncio.sleep(LONG_S)
    await lab.network.stop_resetting()
    lab.healed()


async def lossy(lab):
    await lab.network.slow_down(150, 50)
    async with lab.fault():
        await lab.network.lose(0.2)
    await asyncio.sleep(LOSSY_S)
    await lab.network.heal()
    await lab.network.speed_up()


# -- resets ---------------------------------------------------------------------------------


async def reset(lab):
    await _reset(lab, None)


async def reset_one(lab):
    await _reset(lab, 1)


async def _reset(lab, links):
    for _ in range(RESETS):
        await _reset_once(lab, links)
        await asyncio.sleep(ROUND_S)


async def _reset_once(lab, links=None):
    ports = await lab.network.ports()
    async with lab.fault():
        await lab.network.reset(ports[:links])
    await lab.noticed(links)
    await lab.network.stop_resetting()


# -- the client's own side ------------------------------------------------------------------


async def client_address(lab):
    async with lab.fault():
        await lab.network.change_client_address()
    await lab.noticed()


async def flap(lab):
    async with lab.fault():
        await lab.network.unplug()
    await asyncio.sleep(FLAP_S)
    await lab.network.plug_in()


async def frozen(lab):
    await _freeze(lab)


async def frozen_forgotten(lab):
    """While the daemon stands still the router forgets it; counted from when it goes on."""
    await _freeze(lab, lab.network.forget)
    await lab.noticed()


async def _freeze(lab, *meanwhile):
    lab.begin()
    lab.daemon.process.send_signal(signal.SIGSTOP)
    await asyncio.sleep(FROZEN_S / 2)
    for harm in meanwhile:
        await harm()
    await asyncio.sleep(FROZEN_S / 2)
    async with lab.fault():
        lab.daemon.process.send_signal(signal.SIGCONT)


# -- names ----------------------------------------------------------------------------------


async def dns_black_hole(lab):
    """Questions vanish, and then the connections are reset."""
    await lab.network.drop_dns()
    await _reset_once(lab)


async def dns_gone(lab):
    """The resolver's port is closed, and then the connections are reset."""
    await lab.feishu.tell("stop_resolving")
    await _reset_once(lab)


async def dns_cold(lab):
    """The daemon starts without a resolver that answers, and gets one 20 s later."""
    await lab.network.drop_dns()
    async with lab.fault():
        await lab.start_daemon()
    await lab.feishu.tell("pace", RATE)
    await asyncio.sleep(COLD_S)
    await lab.network.heal()
    lab.healed()


DEAD_PEERS = "lark-oapi up to 50 (live after 50 / 73 / 73), Node SDK never in 180"
RESET_PEERS = "live after: lark-oapi 0.4 / 13 / 27, Node SDK 1.7 / 15 / 30"
LONG_PEERS = "lark-oapi 80 / 92 / 103, Node SDK 82 / 83 / 89 after its end"
WEBSOCKETS = "websockets 46, without pings never"
SETTLED = {"upstream__settled_s": 5}
"""A link that lived from one reset to the next counts as one that has lasted."""

_ALL = (
    Scenario("flush", "NAT forgets, silently", flush, peers=DEAD_PEERS),
    Scenario("flush_rst", "NAT forgets, answers RST", flush_rst, peers="websockets 16"),
    Scenario("idle_short", "NAT forgets after 8 s idle", idle_short, peers=WEBSOCKETS, links=(1,)),
    Scenario("idle_long", "NAT forgets after 18 s idle", idle_long, ends=0, lasts_s=QUIET_S),
    Scenario(
        "reset",
        f"RST, {RESETS} times",
        reset,
        rounds=RESETS,
        settings=SETTLED,
        lasts_s=RESETS * ROUND_S,
        peers=RESET_PEERS,
    ),
    Scenario(
        "reset_one",
        f"RST on one of two, {RESETS} times",
        reset_one,
        ends=1,
        rounds=RESETS,
        settings=SETTLED,
        lasts_s=RESETS * ROUND_S,
        links=(2,),
    ),
    Scenario("black_hole", "black hole for good", black_hole, peers=DEAD_PEERS),
    Scenario("black_hole_one", "black hole on one of two", black_hole_one, ends=1, links=(2,)),
    Scenario(
        "black_hole_30",
        "black hole for 30 s",
        outage(30),
        is_outage=True,
        peers="websockets 42.7, 12.7 after its end",
    ),
    Scenario(
        "black_hole_45", "black hole for 45 s", outage(LONG_S), lasts_s=LONG_S, is_outage=True
    ),
    Scenario("outage_8", "black hole for 8 s", outage(SHORT_S), ends=0, peers="survive"),
    Scenario(
        "outage_8_ping",
        "black hole for 8 s from before a ping",
        outage_over_a_ping,
        ends=0,
    ),
    Scenario("inbound", "inbound packets lost", inbound, peers=WEBSOCKETS),
    Scenario(
        "lossy",
        "20 % loss, 150 ± 50 ms each way, 60 s",
        lossy,
        ends=0,
        rate=5,
        lasts_s=LOSSY_S,
        peers="survive",
    ),
    Scenario("public_address", "public address changes", public_address, peers=WEBSOCKETS),
    Scenario("client_address", "own address changes", client_address, peers=WEBSOCKETS),
    Scenario("flap", "link down for 3 s", flap, ends=0, peers="survive"),
    Scenario(
        "refused",
        "refused (RST) for 45 s",
        refused,
        lasts_s=LONG_S,
        is_outage=True,
        peers=LONG_PEERS,
    ),
    Scenario(
        "unreachable", "ICMP unreachable for 45 s", unreachable, lasts_s=LONG_S, is_outage=True
    ),
    Scenario("dns_black_hole", "DNS black hole, then RST", dns_black_hole),
    Scenario("dns_gone", "resolver gone, then RST", dns_gone),
    Scenario(
        "dns_cold",
        "start in a DNS black hole of 20 s",
        dns_cold,
        ends=0,
        is_cold=True,
        is_outage=True,
    ),
    Scenario("frozen", "process frozen 20 s", frozen, ends=0),
    Scenario(
        "frozen_forgotten",
        "frozen 20 s, NAT forgets",
        frozen_forgotten,
        peers="websockets 30 after it goes on",
    ),
)
SCENARIOS = {each.name: each for each in _ALL}
