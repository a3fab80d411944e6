"""Which answers are a daemon's status, and that doctor can read all of those."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from telemetry.samples import consumer, facts, journal, link

from feishu_ws.cli.examine import consumers, daemon, sockets
from feishu_ws.cli.examine.journal import judge_running as judge_journal
from feishu_ws.cli.examine.link import judge_running as judge_links
from feishu_ws.cli.examine.told import is_status
from feishu_ws.faults import Fault
from feishu_ws.telemetry.facts import ActiveFault, Concern, Loss
from feishu_ws.telemetry.status import status_object
from feishu_ws.wire.link import LinkState

FULL = facts(
    links=(link(0), link(1, LinkState.BACKOFF, fault=Fault.DNS_FAILED, failures=3, retry_at_ms=9)),
    journal=journal(fault=Fault.DISK_FULL, dead_letters=2),
    consumers=(consumer(), consumer("b", connected=False, pending=3, oldest_pending_ms=7)),
    losses=(Loss(7, 0, Fault.PONG_OVERDUE, 1.5, "x"), Loss(8, 1, Fault.DNS_FAILED, None, "y", 3)),
    faults=(ActiveFault(Fault.DISK_FULL, Concern.JOURNAL, "", 60.0),),
    needs_restart=("upstream.proxy",),
)

odd = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=4,
)


def look(status):
    """Read a status as doctor does."""
    judge_links(status)
    judge_journal(status, "/elsewhere.db")
    consumers.judge(status)
    daemon.judge(status)
    sockets.judge_running(sockets.Called("/run/e.sock", status))


@pytest.mark.parametrize("made", [facts(), FULL, facts(links=(), consumers=())])
def test_what_a_daemon_tells(made):
    """All of it is what doctor expects."""
    status = status_object(made)
    assert is_status(status)
    look(status)


def test_daemons_of_other_versions():
    """More or less than is known here is no reason not to believe it."""
    assert is_status({})
    assert is_status({"version": "9", "links": [{"link": 0, "mood": [1]}], "weather": {"wind": 3}})


@pytest.mark.parametrize(
    "answer",
    [
        None,
        [1, 2],
        "ok",
        {"links": "x"},
        {"links": [3]},
        {"links": [{"since_ms": "a"}]},
        {"links": [{"retry_at_ms": 2**70}]},
        {"journal": 3},
        {"journal": {"size_bytes": None}},
        {"consumers": {"a": 1}},
        {"losses": 7},
        {"losses": [{"lived_s": "long"}]},
        {"faults": "q"},
        {"faults": [None]},
        {"refused": {"disk_full": "many"}},
        {"now_ms": "a"},
        {"now_ms": True},
        {"now_ms": float("inf")},
        {"version": ["9"]},
    ],
)
def test_what_no_daemon_tells(answer):
    """Whoever that is, it is not asked any further."""
    assert not is_status(answer)


@given(st.data())
def test_whatever_is_believed_can_be_read(data):
    """A status in which anything may be anything is refused, or read without a defect."""
    status = status_object(FULL)
    places = [status, status["journal"], *status["links"], *status["consumers"]]
    places += [*status["losses"], *status["faults"], status["refused"]]
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.sampled_from(places))
        place[data.draw(st.sampled_from([*place, "x"]))] = data.draw(odd)
    if is_status(status):
        look(status)
