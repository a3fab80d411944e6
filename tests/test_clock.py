"""The wall clock, watched at the moment it is used."""

import pytest

from feishu_ws.clock import ManualClock, StepGuard


@pytest.mark.parametrize(("step_s", "agrees"), [(89, True), (91, False), (-89, True), (-91, False)])
def test_a_step_is_noticed_at_once(step_s, agrees):
    """More than a minute and a half to either side is a step, however much time went by."""
    clock = ManualClock()
    guard = StepGuard(clock)
    clock.advance(100_000)
    clock.step_wall(step_s)

    assert guard.agrees() is agrees


def test_it_is_over_once_the_clock_is_back_or_accepted():
    """What stepped back agrees again; a new time does once somebody says that it is right."""
    clock = ManualClock()
    guard = StepGuard(clock)
    found = []
    for step_s in (3600, -3600, 3600):
        clock.step_wall(step_s)
        clock.advance(10)
        found.append(guard.agrees())
    guard.accept()
    found.append(guard.agrees())

    assert found == [False, True, False, True]


def test_a_slewed_clock_does_not_step():
    """Small corrections never add up, as long as somebody asks now and then."""
    clock = ManualClock()
    guard = StepGuard(clock)
    for _ in range(100):
        clock.advance(3600)
        clock.step_wall(2)
        assert guard.agrees()
