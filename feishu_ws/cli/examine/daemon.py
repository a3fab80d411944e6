"""Daemon: what a running one says is wrong with it, beside links and journal. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from feishu_ws.cli.examine.finding import Finding, ok, warn
from feishu_ws.cli.render import age
from feishu_ws.faults import Fault

TOLD_ELSEWHERE: Final = frozenset({"link", "journal"})  # concerns with a step of their own
RESTART: Final = "restart the daemon"
SHOWN: Final = 3

Status = Mapping[str, Any]


def judge(status: Status) -> Finding:
    """Return which of the daemon's own faults last, and what waits for a restart."""
    told: Sequence[Status] = status.get("faults") or ()
    active = [each for each in told if each.get("concern") not in TOLD_ELSEWHERE]
    waiting = list(status.get("needs_restart") or ())
    facts: dict[str, Any] = {
        "ready": bool(status.get("ready")),
        "faults": [each.get("fault") for each in told],
        "needs_restart": waiting,
    }
    troubles = [*map(_words, active), *_changed(waiting)]
    if troubles:
        more = f" (and {len(troubles) - SHOWN} more)" if len(troubles) > SHOWN else ""
        hint = str(active[0].get("hint", "")) if active else RESTART
        fault = _fault(active[0].get("fault")) if active else None
        return warn("; ".join(troubles[:SHOWN]) + more, fault, hint, **facts)
    if not status.get("ready", True):
        return warn(f"not ready: {status.get('fault') or 'no link is live yet'}", **facts)
    return ok("ready", **facts)


def _words(active: Status) -> str:
    who = f" ({active.get('subject')})" if active.get("concern") == "consumer" else ""
    return f"{active.get('title')}{who}, for {age(active.get('lasted_s') or 0)}"


def _changed(waiting: Sequence[str]) -> Iterator[str]:
    if waiting:
        yield f"{', '.join(waiting)} changed since the start and not in force"


def _fault(word: object) -> Fault | None:
    """Return the fault of that name, None for none and for one of a newer daemon."""
    return next((fault for fault in Fault if fault == word), None)
