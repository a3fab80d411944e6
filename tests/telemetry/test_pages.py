"""What each path answers."""

import gzip

import msgspec
import pytest
from telemetry import samples

from feishu_ws.clock import ManualClock
from feishu_ws.faults import Fault
from feishu_ws.telemetry.counts import Counts
from feishu_ws.telemetry.http import Asked
from feishu_ws.telemetry.metrics import Metrics
from feishu_ws.telemetry.pages import pages


class Site:
    def __init__(self):
        self.changes, self.is_alive = {}, True
        clock = ManualClock()
        metrics = Metrics(self.facts, Counts(clock), clock)
        self.pages = pages(self.facts, metrics, lambda: self.is_alive)

    def facts(self):
        return samples.facts(**self.changes)

    def get(self, path, **asked):
        return self.pages[path](Asked(**asked))


@pytest.fixture
def site():
    return Site()


def test_readyz_follows_links_and_journal(site):
    """200 with no fault, 503 with the word for what is wrong."""
    answer = site.get("/readyz")
    assert (answer.status, msgspec.json.decode(answer.body)) == (
        200,
        {"ready": True, "fault": None},
    )
    site.changes = {"journal": samples.journal(fault=Fault.DISK_FULL)}
    answer = site.get("/readyz")
    assert answer.status == 503
    assert msgspec.json.decode(answer.body) == {"ready": False, "fault": "disk_full"}


def test_livez_follows_progress_not_readiness(site):
    """A daemon without a link is alive; one that makes no progress is not."""
    site.changes = {"links": ()}
    assert site.get("/livez").status == 200
    site.is_alive = False
    assert site.get("/livez").status == 503


def test_metrics_are_packed_for_who_takes_it(site):
    """The header says so, and the content is the same."""
    plain, packed = site.get("/metrics"), site.get("/metrics", takes_gzip=True)
    assert plain.headers == {}
    assert packed.headers == {"Content-Encoding": "gzip"}
    assert gzip.decompress(packed.body) == plain.body


def test_metrics_follow_accept(site):
    """OpenMetrics has its content type."""
    answer = site.get("/metrics", accept="application/openmetrics-text")
    assert answer.content_type.startswith("application/openmetrics-text")


def test_status_is_json_and_the_index_a_page_with_a_policy(site):
    """Programs and people get the same facts."""
    status = site.get("/status")
    assert status.content_type == "application/json"
    assert msgspec.json.decode(status.body)["app_id"] == "cli_a1b2c3"
    index = site.get("/")
    assert index.content_type == "text/html; charset=utf-8"
    assert "default-src 'none'" in index.headers["Content-Security-Policy"]
    assert b"cli_a1b2c3" in index.body
