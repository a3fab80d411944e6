"""Consumers: who reads, who does not, and what waits for them. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from feishu_ws.cli.examine.finding import Finding, ok, warn
from feishu_ws.cli.render import age
from feishu_ws.faults import Fault

LATE_S: Final = 300.0  # a bot that lives has read what is five minutes old
SHOWN: Final = 3

Status = Mapping[str, Any]


def judge(status: Status) -> Finding:
    """Return how the daemon's consumers are."""
    consumers = [each for each in status.get("consumers", ()) if each.get("durable", True)]
    dead = (status.get("journal") or {}).get("dead_letters", 0)
    here = sum(bool(each.get("connected")) for each in consumers)
    seen = f"{here} of {len(consumers)} connected"
    facts = {"consumers": len(consumers), "connected": here, "dead_letters": dead}
    troubles = list(_troubles(consumers, status.get("now_ms", 0)))
    if troubles:
        return _judge_troubles(troubles, seen, facts)
    if dead:
        hint = "feishu-ws dead list; mend the consumer, then feishu-ws dead retry"
        return warn(f"{seen}; {dead} dead letters", Fault.CONSUMER_POISONED, hint, **facts)
    if not consumers:
        return _judge_none(facts)
    waiting = sum(each.get("pending", 0) for each in consumers)
    return ok(f"{seen}, {_waits(waiting)}", **facts)


def _judge_troubles(
    troubles: Sequence[tuple[str, int]], seen: str, facts: Mapping[str, Any]
) -> Finding:
    """Return what is wrong with some: each in words, and how many events wait for it."""
    more = f" (and {len(troubles) - SHOWN} more)" if len(troubles) > SHOWN else ""
    told = f"{seen}: {'; '.join(words for words, _ in troubles[:SHOWN])}{more}"
    if any(pending for _, pending in troubles):
        return warn(told, Fault.CONSUMER_BEHIND, **facts)
    return warn(told, hint="start it, or take it out of delivery.consumers", **facts)


def _judge_none(facts: Mapping[str, Any]) -> Finding:
    seen = "there are none: events are kept, and nobody reads them"
    return warn(seen, hint="start a consumer, or look on with feishu-ws tail", **facts)


def _troubles(consumers: Sequence[Status], now_ms: int) -> Iterator[tuple[str, int]]:
    for each in consumers:
        name, pending = each.get("name"), each.get("pending", 0)
        late_s = (now_ms - (each.get("oldest_pending_ms") or now_ms)) / 1000
        waits = _waits(pending) + (f", the oldest {age(late_s)}" if late_s >= 1 else "")
        if not each.get("connected") and (each.get("declared") or pending):
            yield f"{name} is away, {waits}", pending
        elif late_s > LATE_S:
            yield f"{name} is behind, {waits}", pending


def _waits(pending: int) -> str:
    return {0: "nothing waits", 1: "1 event waits"}.get(pending, f"{pending} events wait")
