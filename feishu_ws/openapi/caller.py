"""Calls Feishu's REST API as the app: with its token, counted, and never twice by itself.

Whether a call may be made again is for its caller to say. One thing is done here: a
token that Feishu does not take (any more) is renewed once, and the call made again with
the new one; nothing was done under the old.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from feishu_ws.clock import Clock
from feishu_ws.faults import FeishuWsError
from feishu_ws.openapi.tokens import TOKEN_PATH, Tokens, encode_request
from feishu_ws.openapi.transport import Transport
from feishu_ws.secret import Secret
from feishu_ws.tally import Tally
from feishu_ws.wire.answers import Answer, Verdict, judge
from feishu_ws.wire.outgoing import MAX_BODY_BYTES, Request
from feishu_ws.wire.routes import route_of

TIMEOUT_S: Final = 30.0  # a call in all; Feishu's own gateway gives up sooner
TOKEN_TIMEOUT_S: Final = 10.0
MAX_TOKEN_ANSWER: Final = 64 * 1024

RESULTS: Final = {
    Verdict.DONE: "ok",
    Verdict.RENEW: "auth",
    Verdict.WAIT: "rate_limited",
    Verdict.AGAIN: "server_error",
    Verdict.REFUSED: "client_error",
}
"""What calls are counted as, by what their answers mean; without any, as the next."""
TRANSPORT_FAILED: Final = "transport"


class App(Protocol):
    """Who we are to Feishu; `upstream.settings.Credentials` is one."""

    @property
    def app_id(self) -> str:
        """`cli_…`."""
        ...

    @property
    def secret(self) -> Secret:
        """The app's secret."""
        ...


@dataclass(frozen=True, slots=True)
class Called:
    """An answer, and what it means."""

    answer: Answer
    verdict: Verdict


class Caller:
    """Makes calls.

    Args:
        app: Gives the credentials of the moment.
    """

    def __init__(
        self, transport: Transport, app: Callable[[], App], *, clock: Clock, tally: Tally
    ) -> None:
        self._transport = transport
        self._app = app
        self._clock = clock
        self._tally = tally
        self.tokens = Tokens(self._fetch_token, clock=clock)

    async def call(
        self, request: Request, *, timeout_s: float = TIMEOUT_S, most: int = MAX_BODY_BYTES
    ) -> Answer:
        """Make a call; return Feishu's answer, whatever it is.

        Args:
            request: What is asked.
            timeout_s: For each try.
            most: Bytes the answer may have.

        Raises:
            UnsentError: No connection came about: Feishu has not heard of it.
            FeishuWsError: No token, or `api_failed`: Feishu may have obeyed.
        """
        token = await self.token()
        answer = await self._ask(request, token, timeout_s, most)
        if judge(answer).verdict is not Verdict.RENEW:
            return answer
        self.tokens.reject(token)
        self._tally.api_retries += 1
        return await self._ask(request, await self.token(), timeout_s, most)

    async def token(self) -> Secret:
        """Return the tenant token of the moment.

        Raises:
            FeishuWsError: There is none to be had.
        """
        token = await self.tokens.get()
        left_s = (self.tokens.until_s or 0.0) - self._clock.monotonic()
        self._tally.token_expiry_s = self._clock.wall_ms() / 1000 + left_s
        return token

    async def _ask(self, request: Request, token: Secret, timeout_s: float, most: int) -> Answer:
        headers = (("Authorization", f"Bearer {token.reveal()}"), *request.headers)
        return await self._counted(request, headers, timeout_s, most)

    async def _counted(
        self, request: Request, headers: tuple[tuple[str, str], ...], timeout_s: float, most: int
    ) -> Answer:
        route, began_s = route_of(request.target), self._clock.monotonic()
        try:
            answer = await self._transport.ask(
                request.method, request.target, headers, request.body,
                timeout_s=timeout_s, most=most,
            )  # fmt: skip
        except FeishuWsError:
            self._tally.api_requests[route, TRANSPORT_FAILED] += 1
            raise
        self._tally.api_requests[route, RESULTS[judge(answer).verdict]] += 1
        self._tally.api_request_duration[route].observe(self._clock.monotonic() - began_s)
        return answer

    async def _fetch_token(self) -> Answer:
        app = self._app()
        body = encode_request(app.app_id, app.secret)
        request = Request("POST", TOKEN_PATH, body)
        headers = (("Content-Type", "application/json; charset=utf-8"),)
        self._tally.token_refreshes += 1
        try:
            return await self._counted(request, headers, TOKEN_TIMEOUT_S, MAX_TOKEN_ANSWER)
        except FeishuWsError:
            self._tally.token_refresh_failures += 1
            raise
