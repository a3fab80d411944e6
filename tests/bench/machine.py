"""What the kernel says about processes and the machine. Seconds, megabytes (1e6), cores."""

import contextlib
import os
import time
from dataclasses import dataclass
from pathlib import Path

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
MB = 1e6
USER, NICE, SYSTEM, _IDLE, _IOWAIT, IRQ, SOFTIRQ, STEAL = range(8)  # columns of /proc/stat


def family(pid):
    """Return a process and all its descendants."""
    found = [pid]
    for member in found:
        for children in Path(f"/proc/{member}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                found += map(int, children.read_text().split())
    return found


def cpu_s(pids):
    """Return user and system seconds of processes, their threads and reaped children."""
    return sum(user_and_system_s(pids))


def user_and_system_s(pids):
    """Return the two apart."""
    user = system = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        user += int(fields[11]) + int(fields[13])
        system += int(fields[12]) + int(fields[14])
    return user / TICKS_PER_S, system / TICKS_PER_S


def resident_mb(pids):
    """Return resident memory of processes, shared pages counted in each."""
    return sum(int(Path(f"/proc/{p}/statm").read_text().split()[1]) for p in pids) * PAGE / MB


def peak_mb(pids):
    """Return the most that was ever resident, summed over processes."""
    kib = 0
    for pid in pids:
        line = next(x for x in Path(f"/proc/{pid}/status").read_text().splitlines() if "HWM" in x)
        kib += int(line.split()[1])
    return kib * 1024 / MB


@dataclass(frozen=True)
class Moment:
    """CPU seconds up to now: of a candidate, of this process, of the whole machine."""

    at_s: float
    user_s: float
    system_s: float
    harness_s: float
    machine_s: float
    stolen_s: float


def look(pids):
    """Return where CPU stands now."""
    ticks = [int(x) for x in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
    busy = sum(ticks[column] for column in (USER, NICE, SYSTEM, IRQ, SOFTIRQ))
    return Moment(
        time.monotonic(),
        *user_and_system_s(pids),
        time.process_time(),
        busy / TICKS_PER_S,
        ticks[STEAL] / TICKS_PER_S,
    )


def filesystem(path):
    """Return the type of the file system that a path lies on, `?` if it is not found."""
    mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
    above = [(len(at), kind) for at, kind in mounts if Path(path).resolve().is_relative_to(at)]
    return max(above, default=(0, "?"))[1]


def disk_ms(directory, count=60, size=1600):
    """Return p50 and p99 in ms of fdatasync after appending `size` bytes."""
    path, took = Path(directory) / "fdatasync", []
    with path.open("wb", buffering=0) as file:
        for _ in range(count):
            began = time.perf_counter()
            file.write(bytes(size))
            os.fdatasync(file.fileno())
            took.append((time.perf_counter() - began) * 1000)
    path.unlink()
    took.sort()
    return took[len(took) // 2], took[int(len(took) * 0.99)]
