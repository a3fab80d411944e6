"""Counts of the simulator."""

import json

from feishu_ws.simulator.stats import REMEMBERED_BAD_ACKS, BadAck, Flaw, SimulatorStats, quantile
from feishu_ws.tally import ACK_EDGES_S, Histogram


def test_bad_acks_are_counted_beyond_what_is_remembered():
    """The records are bounded, the counts are not."""
    stats = SimulatorStats()
    for n in range(REMEMBERED_BAD_ACKS + 50):
        stats.note_bad_ack(BadAck(f"m-{n}", (Flaw.SERVICE, Flaw.BIZ_RT), "why"))
    assert len(stats.bad_acks) == REMEMBERED_BAD_ACKS
    assert stats.bad_acks[-1].message_id == f"m-{REMEMBERED_BAD_ACKS + 49}"
    assert stats.bad_ack_flaws[Flaw.SERVICE] == REMEMBERED_BAD_ACKS + 50


def test_as_dict_is_plain_json():
    """Everything can be printed as JSON, bad acks with their flaws."""
    stats = SimulatorStats(pushed=3)
    stats.note_bad_ack(BadAck("m", (Flaw.PAYLOAD,), "saw nothing"))
    shown = json.loads(json.dumps(stats.as_dict()))
    assert shown["pushed"] == 3
    assert shown["bad_acks"] == [{"message_id": "m", "flaws": ["payload"], "detail": "saw nothing"}]
    assert shown["ack_p50_s"] is None


def test_quantiles_are_upper_edges():
    """A quantile is the upper edge of its bucket, and unknown above the last one."""
    histogram = Histogram(ACK_EDGES_S)
    for _ in range(99):
        histogram.observe(0.002)
    histogram.observe(60)
    assert quantile(histogram, 0.5) == 0.0025
    assert quantile(histogram, 1.0) is None
