"""What a running daemon says is wrong with it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feishu_ws.cli.examine.daemon import RESTART, judge
from feishu_ws.cli.examine.finding import State
from feishu_ws.faults import Fault

SALVAGED = {
    "fault": "journal_corrupt",
    "concern": "daemon",
    "subject": "salvage",
    "lasted_s": 300.0,
    "title": "the journal was damaged: 5 events carried over, 2 lost",
    "hint": "the damaged file is /kept",
}
POISONED = SALVAGED | {
    "fault": "consumer_poisoned",
    "concern": "consumer",
    "subject": "bot",
    "title": "a consumer keeps dying",
}
LINK = SALVAGED | {"fault": "dns_failed", "concern": "link"}
NEWER = SALVAGED | {"fault": "of_the_future"}


def status(*faults, ready=True, **more):
    return {"ready": ready, "fault": None, "faults": faults, "needs_restart": []} | more


@pytest.mark.parametrize(
    ("told", "state", "fault", "seen"),
    [
        (status(), State.OK, None, "ready"),
        (status(LINK), State.OK, None, "ready"),
        (status(SALVAGED), State.WARN, Fault.JOURNAL_CORRUPT, "2 lost, for 5 min"),
        (status(POISONED), State.WARN, Fault.CONSUMER_POISONED, "dying (bot), for 5 min"),
        (status(NEWER), State.WARN, None, "2 lost"),
        (status(*[SALVAGED] * 5), State.WARN, Fault.JOURNAL_CORRUPT, "(and 2 more)"),
        (status(needs_restart=["socket.path"]), State.WARN, None, "socket.path changed"),
        (status(ready=False, fault="dns_failed"), State.WARN, None, "not ready: dns_failed"),
        (status(ready=False), State.WARN, None, "no link is live yet"),
        ({}, State.OK, None, "ready"),
    ],
)
def test_what_a_daemon_says_of_itself(told, state, fault, seen):
    """Its own faults and its consumers'; those of links and journal have steps of their own."""
    finding = judge(told)
    assert (finding.state, finding.fault) == (state, fault)
    assert seen in finding.seen


def test_the_advice_is_the_daemons():
    """It knows where the damaged file lies; what waits for a restart waits for a restart."""
    assert judge(status(SALVAGED, needs_restart=["socket.path"])).advice == SALVAGED["hint"]
    assert judge(status(needs_restart=["socket.path"])).advice == RESTART


def test_programs_get_every_fault():
    """Those of links too."""
    facts = judge(status(LINK, SALVAGED, needs_restart=["socket.path"])).facts
    assert facts["faults"] == ["dns_failed", "journal_corrupt"]
    assert facts["needs_restart"] == ["socket.path"]


_word = st.none() | st.text(max_size=9)


@given(
    st.lists(
        st.fixed_dictionaries(
            {}, optional={"fault": _word, "concern": _word, "subject": _word, "title": _word}
        )
    )
)
def test_daemons_of_other_versions(faults):
    """What is left out or unknown is no defect of this command."""
    assert judge({"faults": faults}).state in {State.OK, State.WARN}
