"""The life of a link as a table. Pure.

One row per thing that may happen in a state; what is not in the table cannot
happen there. Stop works from every state, and live is reachable from every state.
"""

from enum import StrEnum
from typing import Final


class LinkState(StrEnum):
    """Where a link is in its life; the values are those of a metric label."""

    STOPPED = "stopped"
    DISCOVERING = "discovering"
    CONNECTING = "connecting"
    CONNECTED = "connected"  # live: open, and a pong has come
    BACKOFF = "backoff"
    HELD = "held"
    DRAINING = "draining"


class LinkStep(StrEnum):
    """What can happen to a link."""

    DIAL = "dial"  # an attempt begins
    DISCOVERED = "discovered"  # Feishu named a URL
    PONG = "pong"  # the WebSocket is open and something answered
    FAILED = "failed"  # the attempt failed, or the live link was lost
    REFUSED = "refused"  # Feishu refuses for a reason an operator has to mend
    STOP = "stop"  # we were asked to end it
    DRAINED = "drained"  # what was read is confirmed, or its time is up


class IllegalStepError(Exception):
    """Something happened that cannot happen in that state; a defect of ours."""


_S, _E = LinkState, LinkStep

TRANSITIONS: Final[dict[tuple[LinkState, LinkStep], LinkState]] = {
    (_S.STOPPED, _E.DIAL): _S.DISCOVERING,
    (_S.STOPPED, _E.STOP): _S.STOPPED,
    (_S.DISCOVERING, _E.DISCOVERED): _S.CONNECTING,
    (_S.DISCOVERING, _E.FAILED): _S.BACKOFF,
    (_S.DISCOVERING, _E.REFUSED): _S.HELD,
    (_S.DISCOVERING, _E.STOP): _S.STOPPED,
    (_S.CONNECTING, _E.PONG): _S.CONNECTED,
    (_S.CONNECTING, _E.FAILED): _S.BACKOFF,
    (_S.CONNECTING, _E.REFUSED): _S.HELD,
    (_S.CONNECTING, _E.STOP): _S.STOPPED,
    (_S.CONNECTED, _E.FAILED): _S.BACKOFF,
    (_S.CONNECTED, _E.STOP): _S.DRAINING,
    (_S.BACKOFF, _E.DIAL): _S.DISCOVERING,
    (_S.BACKOFF, _E.STOP): _S.STOPPED,
    (_S.HELD, _E.DIAL): _S.DISCOVERING,
    (_S.HELD, _E.STOP): _S.STOPPED,
    (_S.DRAINING, _E.STOP): _S.DRAINING,
    (_S.DRAINING, _E.FAILED): _S.STOPPED,
    (_S.DRAINING, _E.DRAINED): _S.STOPPED,
}


def step(state: LinkState, what: LinkStep) -> LinkState:
    """Return the state after `what` happened in `state`.

    Raises:
        IllegalStepError: It cannot happen there.
    """
    try:
        return TRANSITIONS[state, what]
    except KeyError:
        expected = ", ".join(each for at, each in TRANSITIONS if at is state)
        raise IllegalStepError(f"{what} in state {state}, expected one of: {expected}") from None


def render_mermaid() -> str:
    """Return the table as a mermaid state diagram, for the README."""
    lines = ["stateDiagram-v2", f"    [*] --> {LinkState.STOPPED}"]
    lines += [
        f"    {before} --> {after}: {what}"
        for (before, what), after in TRANSITIONS.items()
        if before is not after
    ]
    return "\n".join(lines) + "\n"
