"""The tenant access token: fetched once for all who want it, and renewed before it ends.

Source: Feishu docs "tenant_access_token_internal": a token lives two hours at the most;
one with less than 30 minutes left is answered with a new one, and both are valid then.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from feishu_ws.clock import Clock
from feishu_ws.faults import Fault, FeishuWsError
from feishu_ws.secret import Secret
from feishu_ws.wire.answers import Answer, Verdict, judge

TOKEN_PATH: Final = "/open-apis/auth/v3/tenant_access_token/internal"  # noqa: S105  # a path
RENEW_BEFORE_S: Final = 25 * 60.0  # Feishu gives a new one in the last 30 minutes
USELESS_BEFORE_S: Final = 30.0  # a request that begins now may arrive so late
LONGEST_S: Final = 2 * 3600.0
TRY_AGAIN_S: Final = 30.0  # after a renewal that failed, while the old one is still good
FIRST_REST_S: Final = 1.0  # after a failure, in which all who ask get the same answer
LONGEST_REST_S: Final = 15.0

WRONG_CREDENTIALS: Final = frozenset({10003, 10012, 10014, 10015})
"""Codes that say the app id or secret is wrong. Source: third-party clients' tables."""

Fetch = Callable[[], Awaitable[Answer]]
"""Asks Feishu for a token with the credentials of the moment; raises FeishuWsError."""


class _Granted(msgspec.Struct):
    tenant_access_token: str = ""
    expire: float = 0.0


@dataclass(frozen=True, slots=True)
class Token:
    """A token, and until when it is good on the daemon's monotonic clock."""

    secret: Secret
    until_s: float


class Tokens:
    """Gives the token of the moment.

    Args:
        fetch: Asks for one; one call at a time, whoever waits for it.
    """

    def __init__(self, fetch: Fetch, *, clock: Clock) -> None:
        self._fetch = fetch
        self._clock = clock
        self._token: Token | None = None
        self._fetching: asyncio.Task[Token] | None = None
        self._not_before_s = float("-inf")
        self._failures = 0
        self._failed: tuple[float, FeishuWsError] | None = None

    async def get(self) -> Secret:
        """Return a token that is good for `USELESS_BEFORE_S` more at least.

        Raises:
            FeishuWsError: `credentials_refused`, or why Feishu could not be asked, just now or
                some seconds ago: however many ask, Feishu is not flooded.
        """
        while (token := self._good()) is None:
            if self._failed is not None and self._clock.monotonic() < self._failed[0]:
                raise self._failed[1]
            fetching = self._begin()
            await asyncio.wait([fetching])  # who is cancelled here takes it from nobody else
            if not fetching.cancelled():  # else the credentials changed meanwhile
                return fetching.result().secret
        now_s = self._clock.monotonic()
        if token.until_s - now_s < RENEW_BEFORE_S and now_s >= self._not_before_s:
            self._begin()
        return token.secret

    def _good(self) -> Token | None:
        """Return the token if it can still be used."""
        token = self._token
        is_good = token is not None and (
            token.until_s - self._clock.monotonic() >= USELESS_BEFORE_S
        )
        return token if is_good else None

    @property
    def until_s(self) -> float | None:
        """Until when the token is good on the monotonic clock, None without one."""
        return None if self._token is None else self._token.until_s

    def reject(self, secret: Secret) -> None:
        """Feishu did not take this token: ask for another, unless that was done already."""
        if self._token is not None and self._token.secret == secret:
            self._token = None

    def forget(self) -> None:
        """The credentials changed."""
        self._token = self._failed = None
        self._failures = 0
        if self._fetching is not None:
            self._fetching.cancel()
            self._fetching = None

    def _begin(self) -> asyncio.Task[Token]:
        if self._fetching is None:
            self._fetching = asyncio.get_running_loop().create_task(self._renew(), name="token")
            self._fetching.add_done_callback(self._note)
        return self._fetching

    async def _renew(self) -> Token:
        began_s = self._clock.monotonic()
        return read_token(await self._fetch(), began_s)

    def _note(self, task: asyncio.Task[Token]) -> None:
        if self._fetching is not task:
            return
        self._fetching = None
        if task.cancelled():
            return
        error = task.exception()
        if error is None:
            self._token, self._failed, self._failures = task.result(), None, 0
            return
        now_s = self._clock.monotonic()  # told to whoever waits; the token we have may be good
        self._not_before_s = now_s + TRY_AGAIN_S
        if isinstance(error, FeishuWsError):
            rest_s = min(FIRST_REST_S * 2.0**self._failures, LONGEST_REST_S)
            self._failures = min(self._failures + 1, 16)
            self._failed = now_s + max(rest_s, error.retry_after_s or 0.0), error


def read_token(answer: Answer, now_s: float) -> Token:
    """Read the answer to a request for a token.

    Raises:
        FeishuWsError: `credentials_refused`, `rate_limited`, `feishu_busy` or `api_failed`.
    """
    found = judge(answer)
    granted = _decode(answer.body)
    if found.verdict is Verdict.DONE and granted.tenant_access_token:
        good_s = min(max(granted.expire, 0.0), LONGEST_S)
        return Token(Secret(granted.tenant_access_token), now_s + good_s)
    said = f'code {found.code} "{found.msg}"' if found.code else f"HTTP {found.status}, no token"
    detail = f"the request for a tenant token was answered with {said}, expected a token"
    raise FeishuWsError(_fault(found.verdict, found.code), detail, code=found.code or found.status,
                        retry_after_s=found.wait_s)  # fmt: skip


def _fault(verdict: Verdict, code: int | None) -> Fault:
    if code in WRONG_CREDENTIALS:
        return Fault.CREDENTIALS_REFUSED
    if verdict is Verdict.WAIT:
        return Fault.RATE_LIMITED
    return Fault.FEISHU_BUSY if verdict is Verdict.AGAIN else Fault.API_FAILED


def _decode(body: bytes) -> _Granted:
    try:
        return msgspec.json.decode(body, type=_Granted)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _Granted()


def encode_request(app_id: str, secret: Secret) -> bytes:
    """Return the body that asks for a token."""
    body: dict[str, Any] = {"app_id": app_id, "app_secret": secret.reveal()}
    return msgspec.json.encode(body)
