"""What a scrape gets: formats, series, cost."""

import gzip
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families as parse_text
from telemetry import samples

from feishu_ws import happenings as h
from feishu_ws.clock import ManualClock
from feishu_ws.faults import Fault
from feishu_ws.tally import Tally
from feishu_ws.telemetry.catalogue import CATALOGUE, PREFIX, Kind
from feishu_ws.telemetry.counts import Counts
from feishu_ws.telemetry.labels import EVENT_TYPES, Values
from feishu_ws.telemetry.metrics import KEEP_S, Metrics

OPENMETRICS = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"
LARGEST = {
    "links": tuple(samples.link(i) for i in range(10)),
    "consumers": tuple(samples.consumer(f"consumer-{i}") for i in range(32)),
}


class Exposed:
    """A daemon's metrics, read back."""

    def __init__(self, event_types=EVENT_TYPES, **changes):
        self.tally = Tally()
        self.clock = ManualClock()
        self.changes = changes
        self.asked = 0
        self.metrics = Metrics(self.facts, Counts(self.clock), self.clock, event_types)

    def facts(self):
        self.asked += 1
        return samples.facts(tally=self.tally, **self.changes)

    def families(self):
        self.clock.advance(KEEP_S)
        return {f.name: f for f in parse_text(self.metrics.render().body.decode())}

    def samples(self):
        return [sample for family in self.families().values() for sample in family.samples]

    def value(self, name, **labels):
        found = [s.value for s in self.samples() if s.name == PREFIX + name and s.labels == labels]
        assert len(found) == 1, f"{name} {labels}: {len(found)} series"
        return found[0]


@pytest.fixture
def exposed():
    return Exposed()


def test_every_metric_of_the_table_is_exposed_with_its_kind_and_help(exposed):
    """The exposition is the table, and besides it only the stock process and python metrics."""
    families = exposed.families()
    for metric in CATALOGUE:
        name = (PREFIX + metric.name).removesuffix("_total")
        assert families[name].type == ("gauge" if metric.kind is Kind.INFO else metric.kind)
        assert families[name].documentation == metric.help
    ours = {name for name in families if name.startswith(PREFIX)}
    assert len(ours) == len(CATALOGUE)
    assert all(name.startswith(("process_", "python_")) for name in families.keys() - ours)


def test_every_series_exists_before_anything_happened(exposed):
    """Each value of a closed set has its series at 0, so that rates see the first count."""
    present = {(s.name, *s.labels.values()) for s in exposed.samples()}
    for metric in CATALOGUE:
        if metric.kind is Kind.COUNTER and metric.labels and not metric.labels[0].is_sparse:
            allowed = metric.labels[0].values or (*EVENT_TYPES, "other")
            assert {(PREFIX + metric.name, v) for v in allowed} <= present


def test_counters_start_at_zero_and_nothing_is_created(exposed):
    """A fresh daemon has counted nothing but downtime, and has no _created series."""
    for family in exposed.families().values():
        assert not family.name.endswith("_created")
        if family.type == "counter" and family.name.startswith(PREFIX):
            counted = {sample.value for sample in family.samples}
            assert counted <= {0} or family.name == "feishu_ws_downtime_seconds"


def test_a_route_has_its_series_once_it_was_used(exposed):
    """Routes are many and most bots use few: what was never asked for takes no room."""
    assert not exposed.families()["feishu_ws_api_requests"].samples
    exposed.tally.api_requests["im/v1/messages", "ok"] += 2
    exposed.tally.api_request_duration["im/v1/messages"].observe(0.2)
    exposed.clock.advance(KEEP_S)
    (counted,) = exposed.families()["feishu_ws_api_requests"].samples
    assert (counted.labels, counted.value) == ({"route": "im/v1/messages", "result": "ok"}, 2)
    buckets = exposed.families()["feishu_ws_api_request_duration_seconds"].samples
    assert {sample.labels["route"] for sample in buckets} == {"im/v1/messages"}


def test_openmetrics_says_the_same_as_text(exposed):
    """Both formats parse and hold the same samples."""
    text = {(s.name, *sorted(s.labels.items())): s.value for s in exposed.samples()}
    body = exposed.metrics.render(OPENMETRICS).body.decode()
    families = list(parse_openmetrics(body))
    open_ = {(s.name, *sorted(s.labels.items())): s.value for f in families for s in f.samples}
    ours = {key for key in text if key[0].startswith(PREFIX)}
    assert {key: open_[key] for key in ours} == {key: text[key] for key in ours}
    assert body.endswith("# EOF\n")


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("", "text/plain; version=0.0.4"),
        ("*/*", "text/plain; version=0.0.4"),
        ("text/html,application/xhtml+xml", "text/plain; version=0.0.4"),
        ("application/vnd.google.protobuf;encoding=delimited", "text/plain; version=0.0.4"),
        (OPENMETRICS, "application/openmetrics-text; version=1.0.0"),
        ("application/openmetrics-text; version=bogus", "application/openmetrics-text"),
    ],
)
def test_the_format_follows_accept(exposed, accept, content_type):
    """OpenMetrics goes to who asks for it, text to everybody else."""
    rendering = exposed.metrics.render(accept)
    assert rendering.content_type.startswith(content_type)
    assert "charset=utf-8" in rendering.content_type


def test_gzip_holds_the_same_bytes(exposed):
    """A compressed answer unpacks to the plain one and is a fraction of its size."""
    plain = exposed.metrics.render()
    packed = exposed.metrics.render(is_gzip=True)
    assert gzip.decompress(packed.body) == plain.body
    assert len(packed.body) < len(plain.body) / 4
    assert packed.is_gzip


def test_one_rendering_a_second_serves_all_scrapes(exposed):
    """However many scrape within a second, the daemon is asked once per format."""
    for _ in range(50):
        exposed.metrics.render()
        exposed.metrics.render(is_gzip=True)
    assert exposed.asked == 1
    exposed.metrics.render(OPENMETRICS)
    assert exposed.asked == 2
    exposed.clock.advance(KEEP_S)
    exposed.metrics.render()
    assert exposed.asked == 3


def test_the_deadline_has_its_own_exact_edge(exposed):
    """Confirmations at exactly 3 s are within le="3.0", later ones are not."""
    for seconds in (0.002, 3.0, 3.0001, 9):
        exposed.tally.event_ack_duration.observe(seconds)
    assert exposed.value("event_ack_duration_seconds_bucket", le="2.5") == 1
    assert exposed.value("event_ack_duration_seconds_bucket", le="3.0") == 2
    assert exposed.value("event_ack_duration_seconds_bucket", le="5.0") == 3
    assert exposed.value("event_ack_duration_seconds_bucket", le="+Inf") == 4
    assert exposed.value("event_ack_duration_seconds_count") == 4
    assert exposed.value("event_ack_duration_seconds_sum") == pytest.approx(15.0021)


def test_tally_and_happenings_show_up(exposed):
    """Counts of the hot path and of happenings come out under their names."""
    exposed.tally.events_acked += 3
    exposed.tally.frames_received["event"] += 2
    exposed.metrics.observe(h.LinkLost(0, Fault.PONG_OVERDUE, "", 5, 1))
    assert exposed.value("events_acked_total") == 3
    assert exposed.value("frames_received_total", frame_type="event") == 2
    assert exposed.value("disconnects_total", cause="pong_overdue") == 1
    assert exposed.value("close_codes_total", code="1006") == 1


def test_downtime_advances_between_scrapes(exposed):
    """While no link is live each scrape sees more downtime."""
    before = exposed.value("downtime_seconds_total")
    exposed.clock.advance(30)
    assert exposed.value("downtime_seconds_total") >= before + 30


def test_a_hundred_thousand_hostile_event_types_add_no_series(exposed):
    """Types from outside the set are `other`, counted as folded, and take bounded memory."""
    before = len(exposed.samples())
    for i in range(100_000):
        exposed.tally.events_received[f"evil.{i}"] += 1
    exposed.tally.events_received["x" * 1_000_000] += 1
    assert len(exposed.samples()) == before
    assert exposed.value("events_received_total", event_type="other") == 100_001
    folded = exposed.value("label_values_folded_total", label="event_type")
    assert folded > 1000
    assert sum(map(len, exposed.tally.events_received)) < 200_000


def test_known_types_keep_their_name_in_a_flood(exposed):
    """A configured type that was counted before keeps its own series."""
    exposed.tally.events_received["im.message.receive_v1"] += 1
    for i in range(5_000):
        exposed.tally.events_received[f"evil.{i}"] += 1
    exposed.tally.events_received["im.message.receive_v1"] += 1
    assert exposed.value("events_received_total", event_type="im.message.receive_v1") == 2


def test_event_types_can_change_while_running(exposed):
    """A type that a reload allows is counted by name from then on, and `other` never falls."""
    exposed.tally.events_received["hire.offer.created_v1"] += 5
    assert exposed.value("events_received_total", event_type="other") == 5
    exposed.metrics.allow_event_types(["hire.offer.created_v1"])
    exposed.tally.events_received["hire.offer.created_v1"] += 2
    assert exposed.value("events_received_total", event_type="hire.offer.created_v1") == 2
    assert exposed.value("events_received_total", event_type="other") == 5


def test_an_unknown_cause_is_other_and_counted_as_folded(exposed):
    """A value missing in the table shows as other instead of making a series."""
    exposed.metrics.observe(h.LinkFailed(0, Fault.DNS_FAILED, "new_phase", "", 1, 1))
    assert exposed.value("connect_failures_total", phase="other") == 1
    assert exposed.value("label_values_folded_total", label="phase") == 1


def test_label_values_stay_in_their_sets():
    """In a daemon with all links and consumers every label value is in its closed set."""
    exposed = Exposed(**LARGEST)
    exposed.tally.events_refused["surprise"] += 1
    named = {PREFIX + metric.name.removesuffix("_total"): metric for metric in CATALOGUE}
    for name, family in exposed.families().items():
        for label in named[name].labels if name in named else ():
            values = {sample.labels[label.name] for sample in family.samples}
            if label.source is Values.LISTED:
                assert values <= set(label.values)


@pytest.mark.parametrize("changes", [{}, LARGEST], ids=["default", "largest"])
def test_the_exposition_is_small(changes):
    """At most 650 series and 50 kB, also with ten links and 32 consumers."""
    exposed = Exposed(**changes)
    assert len(exposed.samples()) <= 650
    assert len(exposed.metrics.render().body) <= 50_000
    assert len(exposed.metrics.render(OPENMETRICS).body) <= 50_000


def test_a_scrape_is_cheap(record_property):
    """Rendering everything takes milliseconds; the bound is far above what was measured."""
    exposed = Exposed(**LARGEST)
    costs = []
    for _ in range(10):
        exposed.clock.advance(KEEP_S)
        began = time.perf_counter()
        exposed.metrics.render()
        costs.append(time.perf_counter() - began)
    record_property("scrape_ms", round(min(costs) * 1000, 2))
    assert min(costs) < 0.1


@settings(max_examples=30)
@given(st.lists(st.text(max_size=20), max_size=5), st.text(max_size=200))
def test_no_event_type_and_no_accept_breaks_the_exposition(types, accept):
    """Whatever an operator lists and a client accepts, the answer parses."""
    exposed = Exposed(event_types=types)
    for event_type in types:
        exposed.tally.events_received[event_type] += 1
    body = exposed.metrics.render(accept).body.decode()
    assert list(parse_text(body.removesuffix("# EOF\n")))


def test_build_information_is_in_labels(exposed):
    """The version is a label of a series that is always 1."""
    [info] = exposed.families()["feishu_ws_build_info"].samples
    assert info.labels["version"] == "0.1.0"
    assert info.labels["python_version"].startswith("3.")
    assert info.value == 1
