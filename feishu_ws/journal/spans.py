"""A set of positions as a cursor and a few spans above it. Pure.

A consumer settles mostly in order, so its settled positions are one long prefix
and a handful of spans; their number is bounded by what is in flight, not by what
was settled.
"""

from bisect import bisect_left, bisect_right

from feishu_ws.model import Span


class Spans:
    """All positions up to `cursor`, and those in the spans above it."""

    __slots__ = ("_firsts", "_lasts", "cursor")

    def __init__(self, cursor: int = 0, ahead: tuple[Span, ...] = ()) -> None:
        self.cursor = cursor
        self._firsts: list[int] = []
        self._lasts: list[int] = []
        for first, last in ahead:
            self.add(first, last)

    @property
    def ahead(self) -> tuple[Span, ...]:
        """The spans above the cursor, ascending, never touching each other."""
        return tuple(zip(self._firsts, self._lasts, strict=True))

    def __contains__(self, position: int) -> bool:
        if position <= self.cursor:
            return True
        i = bisect_right(self._firsts, position) - 1
        return i >= 0 and position <= self._lasts[i]

    def add(self, first: int, last: int) -> None:
        """Add the positions `first` to `last`, both included."""
        if last <= self.cursor or last < first:
            return
        if first <= self.cursor + 1:
            self._advance(last)
            return
        # Spans that overlap or touch [first, last] melt into it.
        lo = bisect_left(self._lasts, first - 1)
        hi = bisect_right(self._firsts, last + 1)
        if lo < hi:
            first = min(first, self._firsts[lo])
            last = max(last, self._lasts[hi - 1])
        self._firsts[lo:hi] = [first]
        self._lasts[lo:hi] = [last]

    def remove(self, position: int) -> None:
        """Take a position out again; the cursor falls back below it where it must."""
        if position <= self.cursor:
            above, self.cursor = self.cursor, position - 1
            self.add(position + 1, above)
            return
        i = bisect_right(self._firsts, position) - 1
        if i < 0 or position > self._lasts[i]:
            return
        parts = ((self._firsts[i], position - 1), (position + 1, self._lasts[i]))
        left = [(first, last) for first, last in parts if first <= last]
        self._firsts[i : i + 1] = [first for first, _ in left]
        self._lasts[i : i + 1] = [last for _, last in left]

    def run_end(self, position: int) -> int:
        """Return the last of the members that follow one another from `position` on.

        That is `position - 1` where it is none itself.
        """
        if position <= self.cursor:
            return self.cursor
        i = bisect_right(self._firsts, position) - 1
        return max(self._lasts[i], position - 1) if i >= 0 else position - 1

    def _advance(self, cursor: int) -> None:
        passed = bisect_right(self._firsts, cursor + 1)
        if passed:
            cursor = max(cursor, self._lasts[passed - 1])
            del self._firsts[:passed]
            del self._lasts[:passed]
        self.cursor = cursor
