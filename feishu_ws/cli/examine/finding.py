"""What a step found: a state, what was seen, the fault, the one thing to do. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from feishu_ws.faults import CATALOGUE, Exit, Fault


class State(StrEnum):
    """How a step is."""

    OK = "ok"
    WARN = "warn"  # it works, and somebody should look at it
    FAIL = "fail"  # events do not come, or would not
    SKIP = "skip"  # cannot be told, because of something else that is named


class Step(StrEnum):
    """What is looked at, in the order of the report."""

    CONFIG = "config"
    CLOCK = "clock"
    DNS = "dns"
    TCP = "tcp"
    TLS = "tls"
    PROXY = "proxy"
    DISCOVERY = "discovery"
    LINK = "link"
    JOURNAL = "journal"
    SOCKET = "socket"
    DAEMON = "daemon"
    HTTP = "http"
    CONSUMERS = "consumers"


NO_FACTS: Final[Mapping[str, Any]] = {}


@dataclass(frozen=True, slots=True)
class Finding:
    """What a step found.

    Attributes:
        seen: With figures; never a secret, a URL's query, or content of an event.
        fault: The word for it, None where nothing is wrong or no word fits.
        hint: The one thing to do, "" for the catalogue's.
        facts: The figures once more, for programs; JSON types, units in the names.
    """

    state: State
    seen: str
    fault: Fault | None = None
    hint: str = ""
    facts: Mapping[str, Any] = field(default_factory=lambda: NO_FACTS)

    @property
    def advice(self) -> str:
        """The one thing to do, "" where there is nothing to do."""
        if self.state in {State.OK, State.SKIP}:
            return self.hint
        return self.hint or (CATALOGUE[self.fault].hint if self.fault else "")


def ok(seen: str, **facts: Any) -> Finding:
    """Return that all is well."""
    return Finding(State.OK, seen, facts=facts)


def warn(seen: str, fault: Fault | None = None, hint: str = "", **facts: Any) -> Finding:
    """Return that somebody should look at it."""
    return Finding(State.WARN, seen, fault, hint, facts)


def fail(fault: Fault, seen: str, hint: str = "", **facts: Any) -> Finding:
    """Return that it does not work."""
    return Finding(State.FAIL, seen, fault, hint, facts)


def skip(why: str, **facts: Any) -> Finding:
    """Return that it cannot be told, and why."""
    return Finding(State.SKIP, why, facts=facts)


@dataclass(frozen=True, slots=True)
class Result:
    """One line of the report; `took_s` is how long the step looked."""

    step: Step
    finding: Finding
    took_s: float = 0.0


def first_failure(results: Iterable[Result]) -> Result | None:
    """Return the step that what follows suffers from, None where nothing failed."""
    return next((each for each in results if each.finding.state is State.FAIL), None)


def exit_code(results: Iterable[Result]) -> Exit:
    """Return what the command ends with: the first failure's code, warnings are none."""
    failed = first_failure(results)
    if failed is None:
        return Exit.OK
    fault = failed.finding.fault
    return CATALOGUE[fault].exit_code if fault is not None else Exit.INTERNAL
