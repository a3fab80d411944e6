"""How long a link waits before its next attempt. Pure, given a source of randomness.

The waits are tenacity strategies. They decide by what the ending of the last attempt
or life carries, never by the type of an exception:

- the first retry is at once, then full jitter with two caps, the larger one once
  Feishu or a proxy has answered;
- where an operator has to act, 15, 30, 60 … 900 s;
- where Feishu announced a mass reconnect, spread as it ordered;
- never less than the other side asked for.
"""

from dataclasses import dataclass, field, replace
from random import Random
from typing import Final

from tenacity import RetryCallState
from tenacity.wait import wait_base

from feishu_ws.faults import Fault, FeishuWsError, Remedy
from feishu_ws.upstream.attempt import Phase
from feishu_ws.upstream.settings import UpstreamSettings
from feishu_ws.wire.session import ServerTimings

HOLD_FIRST_S: Final = 15.0
HOLD_MAX_S: Final = 900.0
LIMIT_S: Final = 60.0
"""At the connection limit: no sooner than this with a live link, no later without one."""

_DOUBLINGS: Final = 32  # enough to reach any cap, few enough not to overflow


@dataclass(frozen=True, slots=True)
class Ending:
    """How an attempt, or a life, ended.

    Attributes:
        phase: Where the attempt ended; None if the link was live.
        is_reached: Whether Feishu or a proxy had answered.
        lived_s: Seconds it was live.
        is_mass_close: Whether Feishu announced that many links end at once.
        timings: What Feishu last ordered.
        limit_wait_s: Seconds until it is this link's turn to try the connection limit,
            None if no other link is live.
        close_code: WebSocket close code of a life, None without a close frame.
        unconfirmed: Payloads of a life that were read and not answered.
    """

    error: FeishuWsError
    phase: Phase | None = None
    is_reached: bool = True
    lived_s: float = 0.0
    is_mass_close: bool = False
    timings: ServerTimings = field(default_factory=ServerTimings)
    limit_wait_s: float | None = None
    close_code: int | None = None
    unconfirmed: int = 0

    @property
    def is_held(self) -> bool:
        """Whether an operator has to act."""
        return self.error.spec.remedy is Remedy.HOLD


@dataclass(frozen=True, slots=True)
class Streak:
    """What has gone wrong in a row, since a life that lasted.

    Attributes:
        failures: Attempts since the link was last live.
        answered: Endings after Feishu or a proxy answered.
        unanswered: Endings without.
        holds: Refusals that an operator has to mend, since the link was last live.
        spread: Endings since Feishu announced a mass reconnect, 0 if it did not.
    """

    failures: int = 0
    answered: int = 0
    unanswered: int = 0
    holds: int = 0
    spread: int = 0

    def after(self, ending: Ending, settled_s: float) -> "Streak":
        """Return the streak with one more ending; a life of `settled_s` begins it anew."""
        was_live = ending.phase is None
        base = Streak() if was_live and ending.lived_s >= settled_s else self
        if was_live:
            base = replace(base, failures=0, holds=0, spread=int(ending.is_mass_close))
        else:
            base = replace(base, failures=base.failures + 1, spread=base.spread and base.spread + 1)
        return replace(
            base,
            answered=base.answered + ending.is_reached,
            unanswered=base.unanswered + (not ending.is_reached),
            holds=base.holds + ending.is_held,
        )


def given_up(error: FeishuWsError) -> FeishuWsError:
    """Return the refusal that ends the daemon, saying why it does."""
    why = "refused three times, and this app id and secret never worked with this journal"
    return FeishuWsError(error.fault, f"{error.detail}; {why}: given up", code=error.code)


class LinkEndedError(Exception):
    """What the supervised function raises: an ending, and the streak it belongs to."""

    def __init__(self, ending: Ending, streak: Streak) -> None:
        super().__init__(ending.error.detail)
        self.ending = ending
        self.streak = streak


def read_ended(retry_state: RetryCallState) -> LinkEndedError:
    """Return how the attempt ended that tenacity asks about."""
    outcome = retry_state.outcome
    exc = outcome.exception() if outcome is not None else None
    assert isinstance(exc, LinkEndedError)
    return exc


class Jitter(wait_base):
    """Full jitter: anything up to base * 2^n, under one of two caps."""

    def __init__(self, settings: UpstreamSettings, rng: Random) -> None:
        self._settings = settings
        self._rng = rng

    def __call__(self, retry_state: RetryCallState) -> float:
        """Return the seconds to wait."""
        ended = read_ended(retry_state)
        if ended.ending.is_reached:
            nth, cap_s = ended.streak.answered, self._settings.backoff_max_s
        else:
            nth, cap_s = ended.streak.unanswered, self._settings.backoff_unreachable_max_s
        if nth <= 1:
            return 0.0
        window_s = self._settings.backoff_base_s * 2.0 ** min(nth - 2, _DOUBLINGS)
        return self._rng.uniform(0.0, min(window_s, cap_s))


class Hold(wait_base):
    """A fixed ramp; not jittered, since the third try decides whether `run` gives up."""

    def __call__(self, retry_state: RetryCallState) -> float:
        """Return the seconds to wait."""
        ended = read_ended(retry_state)
        ramp_s = HOLD_FIRST_S * 2.0 ** min(max(ended.streak.holds - 1, 0), _DOUBLINGS)
        if ended.ending.error.fault is not Fault.CONNECTION_LIMIT:
            return min(ramp_s, HOLD_MAX_S)
        wait_s = ended.ending.limit_wait_s
        return min(ramp_s, LIMIT_S) if wait_s is None else wait_s


class Spread(wait_base):
    """What Feishu orders for a mass reconnect: anything up to the nonce, then the interval.

    Never longer than the operator's own cap: an order of minutes would be an outage.
    """

    def __init__(self, settings: UpstreamSettings, rng: Random) -> None:
        self._cap_s = settings.backoff_max_s
        self._rng = rng

    def __call__(self, retry_state: RetryCallState) -> float:
        """Return the seconds to wait."""
        ended = read_ended(retry_state)
        timings = ended.ending.timings
        if ended.streak.spread == 1:
            return self._rng.uniform(0.0, min(timings.reconnect_nonce_s, self._cap_s))
        return min(float(timings.reconnect_interval_s), self._cap_s)


class LinkWait(wait_base):
    """The wait after any ending: one of the others, and never less than was asked for."""

    def __init__(self, settings: UpstreamSettings, rng: Random) -> None:
        self._jitter = Jitter(settings, rng)
        self._hold = Hold()
        self._spread = Spread(settings, rng)

    def __call__(self, retry_state: RetryCallState) -> float:
        """Return the seconds to wait."""
        ended = read_ended(retry_state)
        asked_s = ended.ending.error.retry_after_s or 0.0
        return max(self._choose(ended)(retry_state), asked_s)

    def _choose(self, ended: LinkEndedError) -> wait_base:
        if ended.ending.is_held:
            return self._hold
        if ended.streak.spread and ended.ending.is_reached:  # what reaches nobody harms nobody
            return self._spread
        return self._jitter
