"""Metrics at the moment they are scraped: facts, tally and counts become families.

The registry is private, so that nothing another library registers gets in. A
rendering is kept for a second per format: however many scrape, one is made.
"""

import gzip
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Final

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.utils import floatToGoString

from feishu_ws.clock import Clock
from feishu_ws.happenings import Happening
from feishu_ws.tally import Histogram
from feishu_ws.telemetry.catalogue import CATALOGUE, PREFIX, Counted, Kind, Metric, Read, Tallied
from feishu_ws.telemetry.counts import Counts
from feishu_ws.telemetry.facts import Facts
from feishu_ws.telemetry.fold import Folded
from feishu_ws.telemetry.labels import EVENT_TYPES, OTHER, Label, Values
from feishu_ws.telemetry.process import process_families
from feishu_ws.telemetry.readings import Reading

KEEP_S: Final = 1.0
"""Seconds one rendering serves every scrape."""

_OPENMETRICS: Final = "application/openmetrics-text"
_GZIP_LEVEL: Final = 1  # 43 kB: 0.1 ms instead of 1.1 ms, and 5 kB either way


@dataclass(frozen=True, slots=True)
class Rendering:
    """An exposition, as it goes out."""

    content_type: str
    body: bytes
    is_gzip: bool


class Metrics:
    """Everything that is exposed.

    Args:
        facts: Gives the daemon as it is now.
        counts: Kept from happenings; shared with whoever counts log lines.
        event_types: Types with a label value of their own.
    """

    def __init__(
        self,
        facts: Callable[[], Facts],
        counts: Counts,
        clock: Clock,
        event_types: Iterable[str] = EVENT_TYPES,
    ) -> None:
        self.counts = counts
        self._clock = clock
        self._collector = _Collector(facts, counts, event_types)
        self._registry = CollectorRegistry()
        self._registry.register(self._collector)
        GCCollector(self._registry)
        PlatformCollector(self._registry)
        self._kept: dict[str, tuple[float, str, bytes, bytes]] = {}

    def observe(self, happening: Happening) -> None:
        """Take note of a happening."""
        self.counts.observe(happening)

    def allow_event_types(self, event_types: Iterable[str]) -> None:
        """Change which types have a label value of their own (SIGHUP)."""
        self._collector.allow_event_types(event_types)

    def render(self, accept: str = "", *, is_gzip: bool = False) -> Rendering:
        """Return the exposition as text or OpenMetrics, whichever `accept` names."""
        wanted = f"{_OPENMETRICS};version=1.0.0" if _OPENMETRICS in accept else ""
        now = self._clock.monotonic()
        made_at, content_type, body, packed = self._kept.get(wanted, (0.0, "", b"", b""))
        if not body or not 0 <= now - made_at < KEEP_S:
            encode, content_type = choose_encoder(wanted)
            body = encode(self._registry)
            packed = gzip.compress(body, _GZIP_LEVEL, mtime=0)
            self._kept[wanted] = (now, content_type, body, packed)
        return Rendering(content_type, packed if is_gzip else body, is_gzip)


class _Collector:
    """Turns the catalogue into families."""

    def __init__(
        self, facts: Callable[[], Facts], counts: Counts, event_types: Iterable[str]
    ) -> None:
        self._facts = facts
        self._counts = counts
        self._folded = {
            metric.name: Folded(metric.labels[0].values) for metric in CATALOGUE if _folds(metric)
        }
        self.allow_event_types(event_types)

    def allow_event_types(self, event_types: Iterable[str]) -> None:
        """Change the closed set of event types."""
        allowed = (*event_types, OTHER)
        for metric in CATALOGUE:
            if metric.labels and metric.labels[0].source is Values.EVENT_TYPES:
                self._folded[metric.name].allow(allowed)

    def describe(self) -> Iterable[Family]:
        """Return nothing: the names are the catalogue's and clash with none."""
        return ()

    def collect(self) -> Iterator[Family]:
        """Yield every family, computed now."""
        facts = self._facts()
        for metric in CATALOGUE:
            yield _family(metric, self._value(metric, facts))
        yield from process_families(facts.started_ms)

    def _value(self, metric: Metric, facts: Facts) -> Any:
        match metric.source:
            case Read(reading):
                return reading(facts)
            case Tallied(field):
                value = getattr(facts.tally, field)
            case Counted(field):
                value = getattr(self._counts, field)
        folded = self._folded.get(metric.name)
        return value if folded is None else self._fold(metric.labels[0], folded, value)

    def _fold(self, label: Label, folded: Folded, raw: Mapping[str, int]) -> Mapping[str, float]:
        grown = folded.take(raw)
        if grown:
            self._counts.label_values_folded[label.name] += grown
        return folded.totals


def _folds(metric: Metric) -> bool:
    return bool(metric.labels) and metric.labels[0].folds


def _family(metric: Metric, value: Any) -> Family:
    """Return the family of a metric whose value is a number, a histogram, or these by label."""
    name, names = PREFIX + metric.name, [label.name for label in metric.labels]
    match metric.kind:
        case Kind.COUNTER:
            counter = CounterMetricFamily(name, metric.help, labels=names)
            _add_numbers(counter, metric, value)
            return counter
        case Kind.GAUGE:
            gauge = GaugeMetricFamily(name, metric.help, labels=names)
            _add_numbers(gauge, metric, value)
            return gauge
        case Kind.INFO:
            info = InfoMetricFamily(name.removesuffix("_info"), metric.help, labels=names)
            info.add_metric(value, {})
            return info
        case Kind.HISTOGRAM:
            histogram = HistogramMetricFamily(name, metric.help, labels=names)
            _add_histograms(histogram, metric, value)
            return histogram


def _add_numbers(
    family: CounterMetricFamily | GaugeMetricFamily, metric: Metric, value: Reading
) -> None:
    if not isinstance(value, Mapping):
        family.add_metric((), value)
        return
    listed = metric.labels[0].values if len(metric.labels) == 1 else ()
    for key, number in (dict.fromkeys(listed, 0.0) | dict(value)).items():
        family.add_metric(key if isinstance(key, tuple) else (key,), number)


def _add_histograms(family: HistogramMetricFamily, metric: Metric, value: Any) -> None:
    if isinstance(value, Histogram):
        family.add_metric((), _buckets(value), value.sum)
        return
    empty = Histogram(metric.edges)
    label = metric.labels[0]
    for key in value if label.is_sparse else label.values:
        histogram = value.get(key, empty)
        family.add_metric((key,), _buckets(histogram), histogram.sum)


def _buckets(histogram: Histogram) -> list[tuple[str, float]]:
    edges = map(floatToGoString, (*histogram.edges, float("inf")))
    return list(zip(edges, accumulate(histogram.counts), strict=True))
