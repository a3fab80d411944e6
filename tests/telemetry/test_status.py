"""The object of /status."""

import dataclasses

import msgspec
from telemetry import samples

from feishu_ws.faults import CATALOGUE, Fault
from feishu_ws.telemetry.facts import (
    ActiveFault,
    Concern,
    ConsumerFact,
    JournalFact,
    LinkFact,
    LookalikeFact,
    Loss,
)
from feishu_ws.telemetry.status import status_object
from feishu_ws.wire.link import LinkState

LOSS = Loss(samples.NOW_MS - 9_000, 1, Fault.PONG_OVERDUE, 812.40049, "no pong", times=2)
FAULT = ActiveFault(Fault.CONNECTION_LIMIT, Concern.LINK, "1", 99.99)


def test_its_shape():
    """The fields that commands, the page and scripts rely on are all there."""
    status = status_object(samples.facts())
    assert set(status) >= {
        "version", "app_id", "started_ms", "now_ms", "ready", "fault", "links", "links_wanted",
        "journal", "last_event_ms", "consumers", "losses",
    }  # fmt: skip
    assert status["ready"] is True
    assert status["fault"] is None
    assert len(status["links"]) == 2


def test_it_is_json():
    """Faults and states are their words, times are numbers."""
    facts = samples.facts(losses=(LOSS,), faults=(FAULT,), links=(samples.link(0),))
    status = msgspec.json.decode(msgspec.json.encode(status_object(facts)))
    assert status["fault"] == "connection_limit"
    assert status["links"][0]["state"] == "connected"
    assert status["losses"] == [
        {
            "at_ms": samples.NOW_MS - 9_000,
            "link": 1,
            "fault": "pong_overdue",
            "lived_s": 812.4,
            "detail": "no pong",
            "times": 2,
        }
    ]
    assert status["faults"][0]["lasted_s"] == 100.0
    assert status["faults"][0]["hint"]


def test_it_leaves_out_no_fact():
    """Every field of a link, consumer and journal is in it."""
    status = status_object(samples.facts())
    for kind, shown in (
        (LinkFact, status["links"][0]),
        (ConsumerFact, status["consumers"][0]),
        (JournalFact, status["journal"]),
    ):
        left_out = {field.name for field in dataclasses.fields(kind)} - set(shown)
        assert left_out <= {"index"}


def test_faults_that_are_not_visible_yet_are_not_shown():
    """A brief loss makes no noise."""
    young = ActiveFault(Fault.CONNECTION_LOST, Concern.LINK, "0", 0.5)
    assert status_object(samples.facts(faults=(young,)))["faults"] == []


def test_a_storm_is_told():
    """Whether links wait for the storm breaker is a fact of its own, beside their faults."""
    assert status_object(samples.facts())["storm"] is False
    assert status_object(samples.facts(is_storm=True))["storm"] is True


def test_a_fault_may_know_better_than_the_catalogue():
    """What a fault says of itself is told, also where it is the one to look at."""
    salvaged = ActiveFault(
        Fault.JOURNAL_CORRUPT, Concern.DAEMON, "salvage", 9, "5 carried over", "see /kept"
    )
    status = status_object(samples.facts(faults=(salvaged,)))
    assert (status["faults"][0]["title"], status["faults"][0]["hint"]) == (
        "5 carried over",
        "see /kept",
    )
    assert (status["fault"], status["hint"]) == ("journal_corrupt", "see /kept")


def test_a_full_disk_says_what_it_has_cost():
    """How many events were refused, and that they are not lost; nothing where none was."""
    full = ActiveFault(Fault.DISK_FULL, Concern.JOURNAL, "", 9)
    facts = samples.facts(faults=(full,))
    plain = CATALOGUE[Fault.DISK_FULL].title
    assert status_object(facts)["faults"][0]["title"] == plain
    facts.tally.events_refused[Fault.DISK_FULL] += 17
    status = msgspec.json.decode(msgspec.json.encode(status_object(facts)))
    assert status["refused"] == {"disk_full": 17}
    assert status["faults"][0]["title"] == (
        f"{plain}; 17 events were refused for it since the start, Feishu sends them again"
    )


def test_whom_it_asks_and_what_waits_for_a_restart():
    """Doctor goes the daemon's way; a reload that needs a restart is not forgotten."""
    facts = samples.facts(
        domain="https://open.larksuite.com",
        proxy="http://p:3128",
        needs_restart=("socket.path",),
    )
    status = status_object(facts)
    assert (status["domain"], status["proxy"]) == (facts.domain, facts.proxy)
    assert status["needs_restart"] == ["socket.path"]


def test_never_is_zero():
    """A link that was never live has times of 0, not null."""
    link = LinkFact(0, LinkState.DISCOVERING, since_ms=1)
    shown = status_object(samples.facts(links=(link,)))["links"][0]
    assert (shown["established_ms"], shown["last_frame_ms"]) == (0, 0)
    assert shown["retry_at_ms"] is None


def test_the_lookalike():
    """Where the lookalike listens and who is there; null where it is off."""
    fact = LookalikeFact("127.0.0.1:9531", 2, "lookalike")
    assert status_object(samples.facts(lookalike=fact))["lookalike"] == {
        "address": "127.0.0.1:9531", "clients": 2, "consumer": "lookalike",
    }  # fmt: skip
    assert status_object(samples.facts())["lookalike"] is None
