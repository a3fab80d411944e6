"""The way of local clients to Feishu's REST API: their pass goes, the app's token comes.

Bodies go both ways as they come, byte for byte. Invariants:

- Requests for tokens are answered here. No token of Feishu's gets to a client, no pass
  and no secret of a client's to Feishu.
- A request is made once. Only one whose token Feishu did not take is made again, with
  another, where its body is at hand: nothing was done under the old.
- Every request ends in time, and is bounded in bytes each way and in number.
"""

import asyncio
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final

from feishu_ws.clock import Clock
from feishu_ws.faults import Fault, FeishuWsError
from feishu_ws.openapi.caller import RESULTS, TRANSPORT_FAILED
from feishu_ws.openapi.passes import Passes, is_users
from feishu_ws.openapi.tokens import Tokens
from feishu_ws.openapi.transport import Incoming, Transport
from feishu_ws.secret import Secret
from feishu_ws.tally import Tally
from feishu_ws.wire.answers import Answer, Verdict, judge
from feishu_ws.wire.forwarding import (
    BAD_REQUEST,
    TOO_LARGE,
    Inquiry,
    Reply,
    bearer,
    end_to_end,
    find_refusal,
    is_for_tokens,
    onward,
    say,
    takes_gzip,
)
from feishu_ws.wire.routes import route_of


@dataclass(frozen=True, slots=True)
class ProxyLimits:
    """What one request may cost.

    Attributes:
        upload_bytes: Of a request's body; Feishu takes files of 30 MB.
        download_bytes: Of an answer's; Feishu gives files of 100 MB.
        timeout_s: For all of a request and its answer.
        at_once: Requests under way; the pool has room for those of the daemon besides.
        wait_s: For one of these places.
    """

    upload_bytes: int = 64 * 1024 * 1024
    download_bytes: int = 128 * 1024 * 1024
    timeout_s: float = 300.0
    at_once: int = 64
    wait_s: float = 30.0


KEPT_BYTES: Final = 256 * 1024  # of a request's body, in case it has to go out again
PEEKED_BYTES: Final = 64 * 1024  # of an answer; one that refuses a token has some hundred
MAX_TOKEN_REQUEST: Final = 64 * 1024
BUSY: Final = 503
BAD_GATEWAY: Final = 502
_ZLIB_OR_GZIP: Final = zlib.MAX_WBITS | 32

GetToken = Callable[[], Awaitable[Secret]]
"""Gives the tenant token of the moment; raises FeishuWsError."""


class _TooMuchError(FeishuWsError):
    """A request has more than it may have."""


class Proxy:
    """Passes requests on.

    Args:
        passes: Knows who may ask.
        get_token: Gives the token that goes out.
        tokens: Told of one that Feishu did not take.
    """

    def __init__(
        self,
        transport: Transport,
        passes: Passes,
        get_token: GetToken,
        tokens: Tokens,
        *,
        clock: Clock,
        tally: Tally,
        limits: ProxyLimits | None = None,
    ) -> None:
        self._transport = transport
        self._passes = passes
        self._get_token = get_token
        self._tokens = tokens
        self._clock = clock
        self._tally = tally
        self._limits = limits or ProxyLimits()
        self._room = asyncio.Semaphore(self._limits.at_once)

    @asynccontextmanager
    async def serve(self, inquiry: Inquiry) -> AsyncIterator[Reply]:
        """Give the answer to a request; its body may raise FeishuWsError."""
        async with AsyncExitStack() as stack:
            try:
                reply = await self._reply(stack, inquiry)
            except _TooMuchError as error:
                reply = say(TOO_LARGE, TOO_LARGE, f"feishu-ws: {error.detail}")
            except FeishuWsError as error:
                is_clients = error.fault is Fault.CLIENT_REFUSED
                status = BAD_REQUEST if is_clients else BAD_GATEWAY
                reply = say(status, status, f"feishu-ws: {error.fault}: {error.detail}")
            yield reply

    async def _reply(self, stack: AsyncExitStack, inquiry: Inquiry) -> Reply:
        refusal = find_refusal(inquiry)
        if refusal is not None:
            return refusal
        if is_for_tokens(inquiry.path):
            body = await Body(inquiry, MAX_TOKEN_REQUEST).whole()
            return self._passes.answer(inquiry.method, inquiry.path, body)
        refusal = self._passes.find_refusal(inquiry.headers) or self._measure(inquiry)
        if refusal is not None:
            return refusal
        try:
            async with asyncio.timeout(self._limits.wait_s):
                await self._room.acquire()
        except TimeoutError:
            return say(BUSY, BUSY, f"feishu-ws: {self._limits.at_once} requests are under way")
        stack.callback(self._room.release)
        return await self._ask(stack, inquiry)

    def _measure(self, inquiry: Inquiry) -> Reply | None:
        if inquiry.length is None or inquiry.length <= self._limits.upload_bytes:
            return None
        return say(TOO_LARGE, TOO_LARGE, _too_much(self._limits.upload_bytes).detail)

    async def _ask(self, stack: AsyncExitStack, inquiry: Inquiry) -> Reply:
        """Ask Feishu, once more with another token where that is what it takes."""
        body = Body(inquiry, self._limits.upload_bytes)
        await body.begin()
        shown = bearer(inquiry.headers) or ""
        if is_users(shown):
            return (await self._try(stack, inquiry, body, Secret(shown))).reply
        token = await self._get_token()
        tried = await self._try(stack, inquiry, body, token)
        if tried.verdict is not Verdict.RENEW:
            return tried.reply
        self._tokens.reject(token)
        if not body.is_whole:
            return tried.reply  # the next request gets another
        self._tally.api_retries += 1
        return (await self._try(stack, inquiry, body, await self._get_token())).reply

    async def _try(
        self, stack: AsyncExitStack, inquiry: Inquiry, body: "Body", token: Secret
    ) -> "_Tried":
        route, began_s = route_of(inquiry.target), self._clock.monotonic()
        headers = [("Authorization", f"Bearer {token.reveal()}"), *onward(inquiry.headers)]
        if takes_gzip(inquiry.headers):
            headers.append(("Accept-Encoding", "gzip"))  # what can be looked into, and no other
        if not body.is_whole and inquiry.length is not None:
            headers.append(("Content-Length", str(inquiry.length)))
        try:
            incoming = await stack.enter_async_context(
                self._transport.open(
                    inquiry.method, inquiry.target, headers, body.again(),
                    timeout_s=self._limits.timeout_s, verbatim=True,
                )
            )  # fmt: skip
            tried = await self._look_at(incoming)
        except FeishuWsError as error:
            self._tally.api_requests[route, TRANSPORT_FAILED] += 1
            raise body.trouble or error from error
        self._tally.api_requests[route, RESULTS[tried.verdict]] += 1
        self._tally.api_request_duration[route].observe(self._clock.monotonic() - began_s)
        return tried

    async def _look_at(self, incoming: Incoming) -> "_Tried":
        """Take in as much of an answer as tells what it means."""
        headers = end_to_end(incoming.headers.items())
        pieces, start = incoming.pieces(), b""
        if "json" in incoming.headers.get("Content-Type", ""):
            async for piece in pieces:
                start += piece
                if len(start) > PEEKED_BYTES:
                    break
        plain = _inflated(start, incoming.headers.get("Content-Encoding", ""))
        verdict = judge(Answer(incoming.status, {}, plain)).verdict
        body = _bounded(start, pieces, self._limits.download_bytes)
        return _Tried(verdict, Reply(incoming.status, headers, body))


@dataclass(frozen=True, slots=True)
class _Tried:
    verdict: Verdict
    reply: Reply


class Body:
    """The body of a request: its beginning at hand, the rest as it comes.

    Attributes:
        trouble: Why the rest did not come.
    """

    def __init__(self, inquiry: Inquiry, most: int) -> None:
        self._pieces = inquiry.body
        self._most = most
        self._start = bytearray()
        self._is_bounded = bool(inquiry.length) and (inquiry.length or 0) > KEPT_BYTES
        self.is_whole = inquiry.length == 0 or inquiry.body is None
        self.trouble: FeishuWsError | None = None

    async def begin(self) -> None:
        """Read what may have to be sent again.

        Raises:
            FeishuWsError: It does not come, or is too long.
        """
        if self.is_whole or self._is_bounded or self._pieces is None:
            return
        async for piece in self._pieces:
            self._start += piece
            if len(self._start) > self._most:
                raise _too_much(self._most)
            if len(self._start) > KEPT_BYTES:
                return
        self.is_whole = True

    async def whole(self) -> bytes:
        """Return all of a short body.

        Raises:
            FeishuWsError: It does not come, or is too long.
        """
        if self.is_whole:
            return bytes(self._start)
        return b"".join([piece async for piece in self._rest()])

    def again(self) -> bytes | AsyncIterator[bytes]:
        """Return the body to be sent; as often as one likes if it is whole, else once."""
        return bytes(self._start) if self.is_whole else self._rest()

    async def _rest(self) -> AsyncIterator[bytes]:
        assert self._pieces is not None
        sent = len(self._start)
        if sent:
            yield bytes(self._start)
        try:
            async for piece in self._pieces:
                sent += len(piece)
                if sent > self._most:
                    raise _too_much(self._most)
                yield piece
        except FeishuWsError as error:
            self.trouble = error  # the transport has words of its own for it
            raise


async def _bounded(start: bytes, pieces: AsyncIterator[bytes], most: int) -> AsyncIterator[bytes]:
    """Give an answer's body.

    Raises:
        FeishuWsError: `api_failed`, it broke off or is longer than it may be.
    """
    given = len(start)
    if start:
        yield start
    async for piece in pieces:
        given += len(piece)
        if given > most:
            raise FeishuWsError(Fault.API_FAILED, f"an answer of more than {most} bytes")
        yield piece


def _inflated(start: bytes, encoding: str) -> bytes:
    """Return the beginning of an answer as it would be uncompressed, b"" if nobody knows."""
    if not encoding or encoding.lower() == "identity":
        return start
    with suppress(zlib.error):
        return zlib.decompressobj(_ZLIB_OR_GZIP).decompress(start, PEEKED_BYTES)
    return b""


def _too_much(most: int) -> _TooMuchError:
    return _TooMuchError(
        Fault.CLIENT_REFUSED, f"a body of more than {most} bytes, the most it may have"
    )
