"""Settings of the simulator."""

import pytest

from feishu_ws.faults import Fault, FeishuWsError
from feishu_ws.simulator.settings import SimulatorSettings


def test_waits_follow_feishus_schedule():
    """The waits are 15 s, 5 min, 1 h and 6 h, and after the fifth attempt there is none."""
    settings = SimulatorSettings()
    assert [settings.retry_wait_s(n) for n in range(1, 6)] == [15, 300, 3600, 21600, None]


def test_time_scale_compresses_the_waits():
    """A scale of 1000 turns hours into seconds and leaves the deadline alone."""
    settings = SimulatorSettings(time_scale=1000)
    assert settings.retry_wait_s(4) == 21.6
    assert settings.ack_deadline_s == 3.0


@pytest.mark.parametrize(
    "wrong",
    [{"time_scale": 0}, {"checked_share": 1.5}, {"ack_deadline_s": 0}, {"max_connections": -1}],
)
def test_values_out_of_range_are_refused(wrong):
    """A value out of range is a config fault that names it."""
    with pytest.raises(FeishuWsError, match=next(iter(wrong))) as caught:
        SimulatorSettings(**wrong)
    assert caught.value.fault is Fault.CONFIG_INVALID


def test_the_secret_is_not_shown():
    """The secret is not in the printed settings."""
    assert "hush" not in repr(SimulatorSettings(app_secret="hush"))
