"""The stock `process_` metrics, from what a hardened unit may still see.

prometheus_client's own collector needs /proc/stat and exposes nothing without it;
systemd's ProcSubset=pid hides it. The names are those of its ProcessCollector.
"""

import os
import resource
from collections.abc import Iterator
from pathlib import Path

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric as Family


def process_families(started_ms: int, proc: Path = Path("/proc/self")) -> Iterator[Family]:
    """Yield CPU, memory and descriptors of this process.

    Args:
        started_ms: When it started, as the daemon knows it.
        proc: What cannot be read there is left out.
    """
    usage = resource.getrusage(resource.RUSAGE_SELF)
    yield CounterMetricFamily(
        "process_cpu_seconds_total",
        "Total user and system CPU time spent in seconds.",
        usage.ru_utime + usage.ru_stime,
    )
    yield _gauge(
        "start_time_seconds", "Start time of the process in Unix seconds.", started_ms / 1000
    )
    yield _gauge(
        "max_fds",
        "Maximum number of open file descriptors.",
        resource.getrlimit(resource.RLIMIT_NOFILE)[0],
    )
    try:
        pages = (proc / "statm").read_text().split()
        descriptors = len(os.listdir(proc / "fd"))  # noqa: PTH208 - names are enough
    except OSError:
        return
    size = resource.getpagesize()
    yield _gauge("virtual_memory_bytes", "Virtual memory size in bytes.", int(pages[0]) * size)
    yield _gauge("resident_memory_bytes", "Resident memory size in bytes.", int(pages[1]) * size)
    yield _gauge("open_fds", "Number of open file descriptors.", descriptors)


def _gauge(name: str, text: str, value: float) -> Family:
    return GaugeMetricFamily(f"process_{name}", text, value)
