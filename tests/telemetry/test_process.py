"""Process metrics, also where most of /proc is hidden."""

import os

from feishu_ws.telemetry.process import process_families


def values(*args, **kwargs):
    return {f.name: f.samples[0].value for f in process_families(*args, **kwargs)}


def test_stock_names_and_plausible_values():
    """The values are this process's."""
    found = values(1_774_004_591_415)
    assert found["process_start_time_seconds"] == 1_774_004_591.415
    assert 0 < found["process_cpu_seconds"] < 86_400
    assert 5e6 < found["process_resident_memory_bytes"] <= found["process_virtual_memory_bytes"]
    assert 3 <= found["process_open_fds"] <= found["process_max_fds"]


def test_without_proc_the_rest_is_still_there(tmp_path):
    """A hidden /proc costs memory and descriptors, never the exposition."""
    found = values(1000, proc=tmp_path)
    assert set(found) == {"process_cpu_seconds", "process_start_time_seconds", "process_max_fds"}


def test_open_descriptors_follow_what_is_open():
    """One more open file is one more descriptor."""
    before = values(0)["process_open_fds"]
    fd = os.open("/dev/null", os.O_RDONLY)
    assert values(0)["process_open_fds"] == before + 1
    os.close(fd)
