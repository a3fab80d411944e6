"""When the machine's own way out changed."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feishu_ws.upstream.netwatch import (
    ASLEEP_S,
    DEBOUNCE_S,
    POLL_S,
    PROBE_TIMEOUT_S,
    AddressWatch,
    SleepWatch,
    own_addresses,
)

HOME, PHONE, NONE = frozenset({"192.168.1.7"}), frozenset({"10.0.0.9", "2001:db8::9"}), frozenset()


def looks(*seen):
    watch = AddressWatch(HOME)
    return [watch.look(each) for each in seen]


def test_own_addresses_are_addresses():
    """Whatever routes this machine has, the answer is a set of addresses."""
    assert all(ipaddress.ip_address(each) for each in own_addresses())


def test_noticed_as_promised():
    """A link from an address that is gone is given up within 5 s of the change."""
    assert POLL_S + DEBOUNCE_S + PROBE_TIMEOUT_S <= 5


@pytest.mark.parametrize(
    ("seen", "told"),
    [
        ([HOME, HOME], [False, False]),
        ([PHONE, PHONE, PHONE], [False, True, False]),
        ([PHONE, HOME, HOME], [False, False, False]),
        ([NONE, NONE], [False, False]),
        ([NONE, NONE, HOME, HOME], [False, False, False, True]),
        ([NONE, PHONE, PHONE], [False, False, True]),
    ],
    ids=["same", "changed", "blinked", "gone", "back", "moved"],
)
def test_told_once_it_has_settled(seen, told):
    """A change is told once, when it is seen twice; having no address is no news."""
    assert [each is not None for each in looks(*seen)] == told


def test_says_what_it_was():
    """The words name the addresses before and after."""
    assert looks(PHONE, PHONE)[1] == (
        "own addresses were 192.168.1.7, now 10.0.0.9 and 2001:db8::9"
    )


def test_looks_sooner_while_it_changes():
    """A first sight of a change is checked after the debounce, not a whole poll later."""
    watch = AddressWatch(HOME)
    assert watch.next_look_s == POLL_S
    watch.look(PHONE)
    assert watch.next_look_s == DEBOUNCE_S
    watch.look(PHONE)
    assert watch.next_look_s == POLL_S


@given(st.lists(st.sampled_from([HOME, PHONE, NONE]), max_size=30))
def test_settles_on_what_is(seen):
    """However it flaps: two equal looks later nothing is left to tell."""
    watch = AddressWatch(HOME)
    for each in [*seen, PHONE, PHONE]:
        watch.look(each)
    assert watch.look(PHONE) is None


@pytest.mark.parametrize(
    ("monotonic_s", "wall_s", "words"),
    [
        (0.5, 0.5, None),
        (0.5 + ASLEEP_S - 0.1, 0.5, None),
        (20, 20, "stood still for 20.0 s"),
        (0.5, 3600.5, "by 3600.0 s"),
        (0.5, -3600, None),
    ],
    ids=["in-time", "busy", "frozen", "suspended", "set-back"],
)
def test_sleep(monotonic_s, wall_s, words):
    """A process that stood still and a machine that slept are told; a busy one is not."""
    watch = SleepWatch(100.0, 1_000_000)
    seen = watch.look(0.5, 100 + monotonic_s, 1_000_000 + round(wall_s * 1000))
    assert (words in seen) if words else seen is None
    assert watch.look(0.5, 100.5 + monotonic_s, 1_000_500 + round(wall_s * 1000)) is None
