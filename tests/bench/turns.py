"""One load on one candidate: what was pushed, confirmed and received, and what it cost."""

import asyncio
import gc
import math
import time
from dataclasses import dataclass

from bench import machine

QUIET_S = 0.1  # what is still owed after the last event: the commit of settles, for one
STUCK_S = 20.0  # nothing moved for so long
LOOK_S = 0.005
CALM_S = 0.5


class InconsistentError(AssertionError):
    """A candidate lost, repeated or spoiled something."""


@dataclass(frozen=True)
class Load:
    """A load.

    Attributes:
        window: At most so many unconfirmed; 0 for a paced load.
        rate: Events per second; 0 for as fast as the window allows.
        seconds: How long to push.
        events: How many to push at most; 0 for no limit.
    """

    name: str
    seconds: float
    window: int = 0
    rate: float = 0.0
    events: int = 0


@dataclass(frozen=True)
class Turn:
    """What came of a load.

    Attributes:
        rate: Events per second, first push to last confirmation and receipt.
        cpu_us: CPU of the candidate per event, all its threads and processes.
        system_us: The part of it spent in the kernel.
        confirm_ms, handled_ms, end_to_end_ms: p50, p99, p99.9 and max from the push to the
            confirmation, to the call of the handler, to the line at the consumer.
        harness: Cores that Feishu and consumer took, in this process.
        others: Cores that everything else on the machine took, kernel threads included.
        stolen: Cores that the host took away.
    """

    candidate: str
    round: int
    load: str
    events: int
    seconds: float
    rate: float
    cpu_us: float
    system_us: float
    confirm_ms: list[float]
    handled_ms: list[float]
    end_to_end_ms: list[float]
    harness: float
    others: float
    stolen: float
    resident_mb: float
    judged: int


OTHERS_CORES = 0.3  # more of the machine went elsewhere: the disk's own threads take 0.1
STOLEN_CORES = 0.1


def is_disturbed(turn):
    """Return whether something else on the machine was busy meanwhile."""
    return turn["others"] > OTHERS_CORES or turn["stolen"] > STOLEN_CORES


async def calm(until_s):
    """Wait until nothing else is busy, or until that (monotonic) time."""
    while time.monotonic() < until_s:
        before = machine.look([])
        await asyncio.sleep(CALM_S)
        after = machine.look([])
        busy_s = after.machine_s - before.machine_s - (after.harness_s - before.harness_s)
        if busy_s / CALM_S <= OTHERS_CORES:
            return


async def take_turn(candidate, load, number):
    """Put a load on a candidate and return what came of it.

    Raises:
        InconsistentError: Confirmed, received and pushed events differ, or a fault was seen.
    """
    feishu, lines, pids = candidate.feishu, candidate.lines, candidate.pids
    first, judged = len(feishu.pushed_ns), feishu.judged
    gc.collect()
    gc.freeze()
    before = machine.look(pids)
    if load.window:
        await push_in_window(feishu, load)
    else:
        await push_at_rate(feishu, load)
    await settle(candidate)
    await asyncio.sleep(QUIET_S)
    after = machine.look(pids)
    check(candidate)
    serials = range(first, len(feishu.pushed_ns))
    pushed, count = feishu.pushed_ns, len(serials)
    ended_ns = max(*feishu.confirmed_ns[first:], *(lines.received_ns[s] for s in serials))
    lasted_s = after.at_s - before.at_s
    system_s = after.system_s - before.system_s
    spent_s = after.user_s - before.user_s + system_s
    harness_s = after.harness_s - before.harness_s
    return Turn(
        candidate.name,
        number,
        load.name,
        count,
        (ended_ns - pushed[first]) / 1e9,
        count / (ended_ns - pushed[first]) * 1e9,
        spent_s / count * 1e6,
        system_s / count * 1e6,
        quantiles(feishu.confirmed_ns[s] - pushed[s] for s in serials),
        quantiles(lines.handled_ns[s] - pushed[s] for s in serials if s in lines.handled_ns),
        quantiles(lines.received_ns[s] - pushed[s] for s in serials),
        harness_s / lasted_s,
        max(0.0, (after.machine_s - before.machine_s - spent_s - harness_s) / lasted_s),
        (after.stolen_s - before.stolen_s) / lasted_s,
        machine.resident_mb(pids),
        feishu.judged - judged,
    )


async def push_in_window(feishu, load):
    """Push as fast as confirmations come."""
    until_ns = time.monotonic_ns() + int(load.seconds * 1e9)
    last = len(feishu.pushed_ns) + load.events if load.events else math.inf

    def push():
        if time.monotonic_ns() < until_ns and len(feishu.pushed_ns) < last:
            feishu.push()

    feishu.on_confirmed = push
    for _ in range(load.window):
        push()
    feishu.flush()
    while time.monotonic_ns() < until_ns and len(feishu.pushed_ns) < last:
        await asyncio.sleep(LOOK_S)
    feishu.on_confirmed = lambda: None


async def push_at_rate(feishu, load):
    """Push when events are due; what was missed is made up for."""
    began_s, done = time.monotonic(), 0
    count = int(load.rate * load.seconds)
    while done < count:
        elapsed_s = time.monotonic() - began_s
        due = min(count, int(elapsed_s * load.rate) + 1) - done
        for _ in range(due):
            feishu.push()
        feishu.flush()
        done += due
        await asyncio.sleep(max(0.0, done / load.rate - (time.monotonic() - began_s)))


async def settle(candidate):
    """Wait until everything pushed was confirmed and received.

    Raises:
        InconsistentError: It was not, and nothing moves any more.
    """
    feishu, lines = candidate.feishu, candidate.lines
    count, seen, moved_s = len(feishu.pushed_ns), (0, 0), time.monotonic()
    while seen < (count, count):
        now = (feishu.confirmed, len(lines.received_ns))
        if now != seen:
            seen, moved_s = now, time.monotonic()
        elif time.monotonic() - moved_s > STUCK_S:
            raise InconsistentError(
                f"{candidate.name}: of {count} events {seen[0]} were confirmed and {seen[1]} "
                f"received, nothing more for {STUCK_S} s\n{candidate.log()}"
            )
        await asyncio.sleep(LOOK_S)


def check(candidate):
    """See that nothing was lost, repeated or spoiled in the whole life of a candidate.

    Raises:
        InconsistentError: Something was.
    """
    feishu, lines = candidate.feishu, candidate.lines
    count = len(feishu.pushed_ns)
    seen = {
        "confirmed": feishu.confirmed == count,
        "received": len(lines.received_ns) == count,
        "no repeats": lines.repeats == 0,
        "sound confirmations": not feishu.faults,
        "one link": feishu.links_opened == 1,
        "a share judged": feishu.judged == (count + 99) // 100,
    }
    if not all(seen.values()):
        raise InconsistentError(
            f"{candidate.name}: of {count} events {feishu.confirmed} confirmed, "
            f"{len(lines.received_ns)} received, {lines.repeats} repeats, {feishu.judged} judged, "
            f"{feishu.links_opened} links; {feishu.faults[:3]}; expected {seen}\n{candidate.log()}"
        )


def quantiles(nanoseconds):
    """Return p50, p99, p99.9 and max in milliseconds; nothing for nothing."""
    ordered = sorted(nanoseconds)
    if not ordered:
        return []
    last = len(ordered) - 1
    return [ordered[min(last, int(share * len(ordered)))] / 1e6 for share in (0.5, 0.99, 0.999, 1)]
