"""Who reads, who does not, and what waits for them."""

import pytest

from feishu_ws.cli.examine.consumers import judge
from feishu_ws.cli.examine.finding import State
from feishu_ws.faults import Fault

NOW_MS = 1_774_004_591_415


def consumer(name, **more):
    usual = {"name": name, "declared": False, "durable": True, "connected": True, "pending": 0}
    return usual | {"oldest_pending_ms": 0} | more


READS = consumer("bot")
BUSY = consumer("busy", pending=9, oldest_pending_ms=NOW_MS - 20_000)
SLOW = consumer("slow", pending=900, oldest_pending_ms=NOW_MS - 7_200_000)
NEVER = consumer("never", declared=True, connected=False)
AWAY = consumer("away", connected=False, pending=12, oldest_pending_ms=NOW_MS - 3_600_000)
ONE = consumer("one", connected=False, pending=1)
GONE = consumer("gone", connected=False)
TAP = consumer("tail", durable=False, connected=True)


def told(*consumers, dead=0):
    return {"now_ms": NOW_MS, "consumers": consumers, "journal": {"dead_letters": dead}}


@pytest.mark.parametrize(
    ("status", "state", "fault", "seen"),
    [
        (told(READS, BUSY), State.OK, None, "2 of 2 connected, 9 events wait"),
        (told(READS, GONE), State.OK, None, "1 of 2 connected, nothing waits"),
        (told(NEVER), State.WARN, None, "never is away, nothing waits"),
        (told(NEVER, ONE), State.WARN, Fault.CONSUMER_BEHIND, "one is away, 1 event waits"),
        (told(AWAY), State.WARN, Fault.CONSUMER_BEHIND, "away is away, 12 events wait, the oldest 1 h 0 min"),
        (told(SLOW), State.WARN, Fault.CONSUMER_BEHIND, "slow is behind, 900 events wait, the oldest 2 h 0 min"),
        (told(READS, dead=3), State.WARN, Fault.CONSUMER_POISONED, "3 dead letters"),
        (told(SLOW, dead=3), State.WARN, Fault.CONSUMER_BEHIND, "slow"),
        (told(NEVER, AWAY, SLOW, NEVER, AWAY), State.WARN, Fault.CONSUMER_BEHIND, "(and 2 more)"),
        (told(), State.WARN, None, "nobody reads"),
        (told(TAP), State.WARN, None, "nobody reads"),
        ({}, State.WARN, None, "nobody reads"),
    ],
)  # fmt: skip
def test_consumers(status, state, fault, seen):
    """A declared one that is away, one that is behind, and dead letters are told; never a failure."""
    finding = judge(status)
    assert (finding.state, finding.fault) == (state, fault)
    assert seen in finding.seen
