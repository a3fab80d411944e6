"""Whether this machine's own way out has changed: another address, or a sleep.

A link that was opened from an address we no longer have is dead, and TCP says nothing
of it for minutes. Asking the kernel which address it would use costs some 10 µs and
sends nothing, where listening to netlink would cost an address family in the sandbox.
Source: systemd-nat measurements.
"""

import socket
from typing import Final

POLL_S: Final = 0.5
DEBOUNCE_S: Final = 0.3  # an interface that comes up has several addresses in turn
PROBE_TIMEOUT_S: Final = 3.5  # with the two above: noticed within 5 s, CONTRACT 2.6
ASLEEP_S: Final = 5.0  # a clock that jumps so far, or a loop that stood still so long

_ELSEWHERE: Final = (
    (socket.AF_INET, ("192.0.2.1", 9)),  # Source: RFC 5737, addresses nobody has
    (socket.AF_INET6, ("2001:db8::1", 9)),  # Source: RFC 3849
)

Addresses = frozenset[str]


def own_addresses() -> Addresses:
    """Return the addresses this machine would reach the Internet from; empty without a route."""
    found = set()
    for family, elsewhere in _ELSEWHERE:
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.connect(elsewhere)  # sends nothing: it only chooses a route
                found.add(probe.getsockname()[0])
        except OSError:
            continue  # no route in that family, or no such family
    return frozenset(found)


class AddressWatch:
    """Tells a change of addresses once it has settled. Pure."""

    def __init__(self, addresses: Addresses) -> None:
        self._known = addresses
        self._candidate = addresses

    def look(self, addresses: Addresses) -> str | None:
        """Take the addresses of now; return what changed, None if nothing has or it may not last.

        Losing every address is no news until there is one again: then even an old one is.
        """
        is_settled, self._candidate = addresses == self._candidate, addresses
        if not is_settled or addresses == self._known:
            return None
        before, self._known = self._known, addresses
        if not addresses:
            return None
        return f"own addresses were {_show(before)}, now {_show(addresses)}"

    @property
    def next_look_s(self) -> float:
        """Seconds until the next look: sooner while something changes."""
        return POLL_S if self._candidate == self._known else DEBOUNCE_S


class SleepWatch:
    """Tells when the process or the machine stood still. Pure."""

    def __init__(self, monotonic_s: float, wall_ms: int) -> None:
        self._monotonic_s = monotonic_s
        self._wall_ms = wall_ms

    def look(self, expected_s: float, monotonic_s: float, wall_ms: int) -> str | None:
        """Take both clocks, `expected_s` after the last look; return what was seen.

        The monotonic clock stands still while a machine is suspended, the wall clock
        has moved on afterwards.
        """
        passed_s = monotonic_s - self._monotonic_s
        wall_s = (wall_ms - self._wall_ms) / 1000
        self._monotonic_s, self._wall_ms = monotonic_s, wall_ms
        if passed_s > expected_s + ASLEEP_S:
            return f"the process stood still for {passed_s:.1f} s"
        if wall_s > passed_s + ASLEEP_S:
            return f"the machine slept or its clock was set forward, by {wall_s - passed_s:.1f} s"
        return None


def _show(addresses: Addresses) -> str:
    return " and ".join(sorted(addresses)) or "none"
