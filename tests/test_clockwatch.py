"""The wall clock is doubted after a jump or far off Feishu's, and believed when it agrees."""

import pytest

from feishu_ws.clockwatch import ClockWatch

WALL_MS = 1_774_000_000_000


def test_a_clock_that_runs_is_believed():
    """Hours of running, and the slow slewing of NTP, are no jump."""
    watch = ClockWatch(WALL_MS, 0)
    for hour in range(1, 100):
        wall_ms = WALL_MS + hour * 3_600_000 + hour * 20_000

        assert watch.doubt(wall_ms, hour * 3600) == ""


@pytest.mark.parametrize("jump_s", [-7200, -61, 61, 7200])
def test_a_jump_is_doubted_until_it_is_undone(jump_s):
    """A jump is doubted as long as it lasts."""
    watch = ClockWatch(WALL_MS, 0)

    assert f"{jump_s:+} s" in watch.doubt(WALL_MS + 1000 + jump_s * 1000, 1)
    assert f"{jump_s:+} s" in watch.doubt(WALL_MS + 9000 + jump_s * 1000, 9)
    assert watch.doubt(WALL_MS + 10_000, 10) == ""


def test_a_jump_that_feishu_confirms_is_believed():
    """A Date from after the jump that agrees makes the new time the right one."""
    watch = ClockWatch(WALL_MS, 0)
    watch.doubt(WALL_MS + 3_601_000, 1)
    watch.heard(0.4, WALL_MS + 3_602_000, 2)

    assert watch.doubt(WALL_MS + 3_602_000, 2) == ""
    assert watch.doubt(WALL_MS + 3_603_000, 3) == ""


def test_a_jump_away_from_feishu_is_doubted_until_it_is_undone():
    """Feishu's time runs on since its last Date: a jump away from it is seen, and its end."""
    watch = ClockWatch(WALL_MS, 0)
    watch.heard(0, WALL_MS, 0)

    assert watch.doubt(WALL_MS + 7_201_000, 1) == "the wall clock is +7200 s off Feishu's"
    assert watch.doubt(WALL_MS + 2000, 2) == ""


def test_a_small_jump_needs_a_new_date():
    """A jump within five minutes of Feishu's time is believed only after a new Date."""
    watch = ClockWatch(WALL_MS, 0)
    watch.heard(0, WALL_MS, 0)

    assert watch.doubt(WALL_MS + 101_000, 1) == "the wall clock jumped by +100 s"
    watch.heard(-100, WALL_MS + 102_000, 2)
    assert watch.doubt(WALL_MS + 102_000, 2) == ""


def test_a_clock_far_off_feishus_is_doubted():
    """Five minutes off is doubted, and believed again with the next Date that agrees."""
    watch = ClockWatch(WALL_MS, 0)
    watch.heard(-301, WALL_MS + 1000, 1)
    doubted = watch.doubt(WALL_MS + 1000, 1)
    watch.heard(2, WALL_MS + 2000, 2)

    assert doubted == "the wall clock is +301 s off Feishu's"
    assert watch.doubt(WALL_MS + 2000, 2) == ""
