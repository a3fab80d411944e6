"""The storm breaker: a token bucket over all links for attempts that reach Feishu. Pure.

Never more than `capacity + t / refill_s` attempts in any `t` seconds, whatever flaps.
"""

from typing import Final

from feishu_ws.happenings import Observer, StormBegan, StormEnded

_WHOLE: Final = 1 - 1e-6  # a token, allowing for what floats lose on the way
_CALM_TOKENS: Final = 2  # one alone is taken again at once while links wait for it


class TokenBucket:
    """Tokens that come back with time.

    Args:
        capacity: Most tokens there are; full at first.
        refill_s: Seconds per token.
        now_s: Seconds on any clock that does not go back.
    """

    def __init__(self, capacity: int, refill_s: float, now_s: float) -> None:
        self._capacity = capacity
        self._refill_s = refill_s
        self._tokens = float(capacity)
        self._at_s = now_s

    def tokens(self, now_s: float) -> float:
        """Return how many there are."""
        gained = max(now_s - self._at_s, 0.0) / self._refill_s
        self._tokens = min(self._tokens + gained, self._capacity)
        self._at_s = now_s
        return self._tokens

    def take(self, now_s: float) -> bool:
        """Take a token if there is one."""
        if self.tokens(now_s) < _WHOLE:
            return False
        self._tokens = max(self._tokens - 1, 0.0)
        return True

    def give_back(self, now_s: float) -> None:
        """Return a token: the attempt reached nobody."""
        self._tokens = min(self.tokens(now_s) + 1, self._capacity)

    def wait_s(self, now_s: float) -> float:
        """Return the seconds until there is a token, 0 if there is one."""
        missing = 1 - self.tokens(now_s)
        return 0.0 if missing <= 1 - _WHOLE else missing * self._refill_s


class StormBreaker:
    """The bucket, and whether it is a storm: it is from empty until two tokens are there."""

    def __init__(self, bucket: TokenBucket, capacity: int, observe: Observer) -> None:
        self._bucket = bucket
        self._calm = min(capacity, _CALM_TOKENS) * _WHOLE
        self._observe = observe
        self.is_active = False

    def take(self, now_s: float) -> float:
        """Take a token, or return the seconds until it is worth asking again."""
        if not self._bucket.take(now_s):
            return self._bucket.wait_s(now_s)
        if not self.is_active and self._bucket.wait_s(now_s) > 0:
            self.is_active = True
            self._observe(StormBegan())
        return 0.0

    def tokens(self, now_s: float) -> float:
        """Return how many attempts are left."""
        return self._bucket.tokens(now_s)

    def give_back(self, now_s: float) -> None:
        """Return a token: the attempt reached nobody."""
        self._bucket.give_back(now_s)
        self.tick(now_s)

    def wait_s(self, now_s: float) -> float:
        """Return the seconds until there is a token, 0 if there is one."""
        return self._bucket.wait_s(now_s)

    def tick(self, now_s: float) -> None:
        """Look whether the storm is over."""
        if self.is_active and self._bucket.tokens(now_s) >= self._calm:
            self.is_active = False
            self._observe(StormEnded())
