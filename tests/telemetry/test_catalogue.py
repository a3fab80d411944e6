"""The metric table keeps the rules of Prometheus, and everything in it is fed."""

import re
from dataclasses import fields

import pytest

from feishu_ws import tally
from feishu_ws.clock import ManualClock
from feishu_ws.tally import Histogram, Tally
from feishu_ws.telemetry.catalogue import CATALOGUE, Counted, Kind, Metric, Read, Tallied
from feishu_ws.telemetry.counts import Counts
from feishu_ws.telemetry.labels import EVENT_TYPES, FOLDED, LOSS_CAUSE, OTHER, Values

RESERVED_LABELS = {
    "le", "quantile", "job", "instance", "type", "app",
    "stage", "service", "env", "region", "zone", "owner",
}  # fmt: skip
BAD_UNITS = re.compile(r"_(ms|us|ns|sec|secs|minutes|hours|kb|mb|kilobytes|percent)(_|$)")

each_metric = pytest.mark.parametrize("metric", CATALOGUE, ids=lambda metric: metric.name)


def test_names_are_unique():
    """No name stands twice in the table, also not with and without a suffix."""
    bases = [re.sub(r"_(total|info)$", "", metric.name) for metric in CATALOGUE]
    assert len(set(bases)) == len(bases)


@each_metric
def test_name_follows_the_conventions(metric: Metric):
    """Names are snake case in base units; counters, and only they, end in _total."""
    assert re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", metric.name)
    assert not metric.name.startswith(("feishu_ws_", "process_", "scrape_", "python_"))
    assert not BAD_UNITS.search(metric.name)
    assert metric.name.endswith("_total") == (metric.kind is Kind.COUNTER)
    assert metric.name.endswith("_info") == (metric.kind is Kind.INFO)
    assert not re.search(r"_(bucket|sum|count|created)$", metric.name)


@each_metric
def test_help_is_one_sentence(metric: Metric):
    """Help begins with a capital, ends in its only period, and is short."""
    assert re.fullmatch(r"[A-Z][^\n]{8,110}\.", metric.help)
    assert ". " not in metric.help


@each_metric
def test_moments_and_durations_are_told_apart(metric: Metric):
    """A moment is a gauge called _timestamp_seconds whose help says Unix or receipt time."""
    is_moment = bool(re.search(r"(Unix|Receipt) time ", metric.help))
    assert metric.name.endswith("_timestamp_seconds") == is_moment


@each_metric
def test_labels_are_few_closed_and_not_reserved(metric: Metric):
    """Labels are at most two, none clashes with a target's, sets are small and without repeats."""
    assert len(metric.labels) <= 2
    for label in metric.labels:
        assert label.name not in RESERVED_LABELS
        assert len(set(label.values)) == len(label.values) <= 16
        assert bool(label.values) == (label.source is Values.LISTED)
        folds = label.folds or label.is_sparse
        assert (OTHER in label.values) == (folds and label.source is Values.LISTED)
        assert label.folds <= (label.name in FOLDED.values)
        assert not {"total", "all", "sum"} & set(label.values)


def test_every_label_that_may_fold_folds_somewhere():
    """label_values_folded_total has no label value that nothing can feed."""
    folding = {label.name for metric in CATALOGUE for label in metric.labels if label.folds}
    assert folding == set(FOLDED.values)


def test_the_fold_counter_comes_after_all_that_folds():
    """What was folded during a scrape is in the same scrape."""
    names = [metric.name for metric in CATALOGUE]
    last = max(i for i, m in enumerate(CATALOGUE) if any(label.folds for label in m.labels))
    assert names.index("label_values_folded_total") > last


@each_metric
def test_edges_ascend_and_are_few(metric: Metric):
    """Histograms, and only they, have at most 15 ascending bucket edges."""
    assert bool(metric.edges) == (metric.kind is Kind.HISTOGRAM)
    assert list(metric.edges) == sorted(set(metric.edges))
    assert len(metric.edges) <= 15


def test_the_deadline_is_a_bucket_edge():
    """The share of confirmations within 3 s needs no interpolation."""
    edges = {metric.name: metric.edges for metric in CATALOGUE}
    assert 3 in edges["event_ack_duration_seconds"]


@each_metric
def test_the_source_exists_and_fits(metric: Metric):
    """A metric's source is there and gives what its kind needs."""
    match metric.source:
        case Tallied(field):
            value = getattr(Tally(), field)
        case Counted(field):
            value = getattr(Counts(ManualClock()), field)
        case Read(reading):
            assert callable(reading)
            return
    if metric.kind is Kind.HISTOGRAM:
        histogram = value if isinstance(value, Histogram) else value["dns"]
        assert histogram.edges == metric.edges
    elif metric.labels:
        assert dict(value) == {}
    else:
        assert isinstance(value, int | float)


def test_every_tally_field_is_exposed_once():
    """Nothing is counted on the hot path for nobody."""
    exposed = [m.source.field for m in CATALOGUE if isinstance(m.source, Tallied)]
    assert sorted(exposed) == sorted(field.name for field in fields(Tally))


def test_every_count_is_exposed_once():
    """Nothing is kept of happenings for nobody."""
    exposed = [m.source.field for m in CATALOGUE if isinstance(m.source, Counted)]
    counts = Counts(ManualClock())
    kept = {name for name in vars(counts) if not name.startswith("_")} | {"downtime_s"}
    assert sorted(exposed) == sorted(kept)


def test_every_edge_table_is_used():
    """No table of bucket edges is left over."""
    tables = {name: edges for name, edges in vars(tally).items() if name.endswith("_EDGES_S")}
    used = {metric.edges for metric in CATALOGUE if metric.edges}
    assert set(tables.values()) == used


def test_the_names_other_issues_rely_on():
    """The names of the published contract are all there."""
    promised = """links links_wanted link_state link_established_timestamp_seconds
        last_frame_received_timestamp_seconds last_event_received_timestamp_seconds
        connect_attempts_total connects_total connect_failures_total
        connect_phase_duration_seconds disconnects_total close_codes_total
        connection_duration_seconds downtime_seconds_total reconnect_duration_seconds
        outage_duration_seconds reconnect_storm_active reconnect_storms_total
        endpoint_requests_total endpoint_request_duration_seconds clock_offset_seconds
        ping_interval_seconds pings_sent_total pongs_received_total pong_timeouts_total ping_rtt_seconds
        frames_received_total frames_sent_total received_bytes_total sent_bytes_total
        frame_errors_total fragments_pending events_received_total events_duplicate_total
        events_stored_total events_refused_total events_acked_total event_ack_failures_total
        events_ack_deadline_exceeded_total event_ack_duration_seconds event_transit_seconds
        event_transit_negative_total callbacks_total journal_pending_events
        consumer_pending_events journal_oldest_pending_timestamp_seconds journal_size_bytes
        journal_limit_bytes journal_filesystem_avail_bytes journal_fsync_duration_seconds
        journal_errors_total events_delivered_total events_redelivered_total
        events_dead_lettered_total events_discarded_total event_delivery_duration_seconds
        consumer_ack_duration_seconds consumers_connected consumer_disconnects_total
        consumer_inflight_events event_loop_lag_seconds log_messages_total
        label_values_folded_total config_last_reload_successful
        config_last_reload_success_timestamp_seconds build_info"""
    assert set(promised.split()) <= {metric.name for metric in CATALOGUE}


def test_link_losses_have_at_most_sixteen_causes():
    """The causes of disconnects are fault words, 16 at most with `other`."""
    assert len(LOSS_CAUSE.values) <= 16


def test_built_in_event_types_are_distinct_and_not_other():
    """The built-in list has no repeats and leaves `other` to the rest."""
    assert len(set(EVENT_TYPES)) == len(EVENT_TYPES)
    assert OTHER not in EVENT_TYPES


def test_readings_are_documented():
    """Each reading says in one line what it is."""
    for metric in CATALOGUE:
        if isinstance(metric.source, Read):
            assert metric.source.reading.__doc__
