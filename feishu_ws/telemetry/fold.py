"""Counts by a label value, folded into a closed set. Pure.

Raw values may come from outside; a series that exists never goes away. What grew
since the last look is added to the value it belongs to now, so counts never fall,
also when a reload changes the set.
"""

from collections.abc import Iterable, Mapping

from feishu_ws.telemetry.labels import OTHER


class Folded:
    """A counter's totals by label value.

    Attributes:
        totals: Every allowed value, from 0 on.
    """

    def __init__(self, allowed: Iterable[str]) -> None:
        self.totals: dict[str, float] = {}
        self._seen: dict[str, int] = {}
        self.allow(allowed)

    def allow(self, allowed: Iterable[str]) -> None:
        """Replace the set of values; series that exist stay."""
        self._allowed = frozenset(allowed)
        for value in sorted(self._allowed):
            self.totals.setdefault(value, 0)

    def take(self, raw: Mapping[str, int]) -> int:
        """Add what grew in `raw` since the last call; return how much of it was folded."""
        folded = 0
        for value, count in raw.items():
            grown = count - self._seen.get(value, 0)
            if not grown:
                continue
            self._seen[value] = count
            if value in self._allowed:
                self.totals[value] += grown
            else:
                self.totals[OTHER] = self.totals.get(OTHER, 0) + grown
                folded += grown
        return folded
