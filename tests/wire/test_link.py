"""The table of a link's life."""

import pytest

from feishu_ws.wire.link import (
    TRANSITIONS,
    IllegalStepError,
    LinkState,
    LinkStep,
    render_mermaid,
    step,
)

PAIRS = [(state, what) for state in LinkState for what in LinkStep]


def reach(start, allowed):
    """States that can be reached from `start` by `allowed` steps."""
    found, todo = {start}, [start]
    while todo:
        state = todo.pop()
        for (before, what), after in TRANSITIONS.items():
            if before is state and what in allowed and after not in found:
                found.add(after)
                todo.append(after)
    return found


@pytest.mark.parametrize(("state", "what"), PAIRS)
def test_table(state, what):
    """What is in the table happens; everything else raises and names what could."""
    if (state, what) in TRANSITIONS:
        assert step(state, what) is TRANSITIONS[state, what]
    else:
        with pytest.raises(IllegalStepError, match=f"{what} in state {state}"):
            step(state, what)


@pytest.mark.parametrize("state", LinkState)
def test_stop_from_every_state(state):
    """A stop works in every state and ends in stopped without anything from outside."""
    assert LinkState.STOPPED in reach(
        step(state, LinkStep.STOP), {LinkStep.STOP, LinkStep.DRAINED}
    ) | {step(state, LinkStep.STOP)}


@pytest.mark.parametrize("state", LinkState)
def test_live_from_every_state(state):
    """Live is reachable from every state."""
    assert LinkState.CONNECTED in reach(state, set(LinkStep))


def test_only_a_pong_makes_live():
    """A link is live only after a pong, and draining only after it was live."""
    assert {what for (_, what), to in TRANSITIONS.items() if to is LinkState.CONNECTED} == {
        LinkStep.PONG
    }
    into = {at for (at, _), to in TRANSITIONS.items() if to is LinkState.DRAINING}
    assert into == {LinkState.CONNECTED, LinkState.DRAINING}


def test_every_word_is_used():
    """No state and no step is left over."""
    assert {what for _, what in TRANSITIONS} == set(LinkStep)
    assert {state for state, _ in TRANSITIONS} == set(LinkState)


def test_diagram():
    """The diagram has one arrow per row that goes anywhere."""
    lines = render_mermaid().splitlines()
    assert lines[:2] == ["stateDiagram-v2", "    [*] --> stopped"]
    assert "    connecting --> connected: pong" in lines
    moving = sum(before is not after for (before, _), after in TRANSITIONS.items())
    assert len(lines) == 2 + moving
