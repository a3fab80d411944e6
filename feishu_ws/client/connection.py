"""One connection to the daemon: lines in, deliveries and answers out.

It never connects again by itself and starts no task. A callback that is waited for goes
ahead of what else waits. Reading pauses while more than `MAX_QUEUED_BYTES` of deliveries
wait, except while an answer is awaited: it comes behind them.
"""

import asyncio
from collections import deque
from contextlib import suppress
from itertools import count
from typing import Any, Final, cast

import msgspec

from feishu_ws.client.errors import Disconnected, NotAllowed
from feishu_ws.wire.native import (
    MAX_LINE_FROM_DAEMON,
    MAX_LINE_TO_DAEMON,
    ByeParams,
    Call,
    Code,
    EventParams,
    Lines,
    LineTooLongError,
    NotJsonError,
    Reply,
    RpcError,
    decode_params,
    encode_call,
    parse_from_daemon,
)

CONNECT_TIMEOUT_S: Final = 5.0
MAX_QUEUED_BYTES: Final = 16 * 1024 * 1024  # one longest line; the daemon's window bounds the rest
SETTLES_PER_LINE: Final = 10_000  # about 100 KiB of positions
LINGER_S: Final = 1.0  # so long the daemon reads settles after its bye; source: CONTRACT 5
CLOSED: Final = "closed"

Found = tuple[msgspec.Raw, EventParams]
"""The params of a delivery, encoded and decoded."""


class Connection(asyncio.Protocol):
    """A socket to the daemon, from connecting to its end.

    Attributes:
        end: Why it is over: a `bye` reason, "closed" or a system error; "" while it lives.
    """

    def __init__(self) -> None:
        self.end = ""
        self._loop = asyncio.get_running_loop()
        self._lines = Lines(MAX_LINE_FROM_DAEMON)
        self._ids = count(1)
        self._answers: dict[int, asyncio.Future[msgspec.Raw]] = {}
        self._callbacks: deque[Found] = deque()
        self._others: deque[Found] = deque()
        self._queued_bytes = 0
        self._news = asyncio.Event()
        self._settled: list[int] = []
        self._writable = asyncio.Event()
        self._writable.set()
        self._lost = asyncio.Event()
        self._transport: asyncio.Transport | None = None

    # -- what a consumer uses -----------------------------------------------------------

    async def next_event(self) -> Found | None:
        """Return the next delivery's params, encoded and decoded; None when it is over."""
        return await self._next(self._callbacks, self._others)

    async def next_callback(self) -> Found | None:
        """Return, like `next_event`, the next callback that is waited for."""
        return await self._next(self._callbacks)

    async def next_other(self) -> Found | None:
        """Return, like `next_event`, the next of all others."""
        return await self._next(self._others)

    async def _next(self, *queues: deque[Found]) -> Found | None:
        while not any(queues):
            if self.end:
                return None
            self._news.clear()
            await self._news.wait()
        raw, params = next(filter(None, queues)).popleft()
        self._queued_bytes -= len(raw)
        self._steer_reading()
        return raw, params

    async def call(self, method: str, params: object) -> msgspec.Raw:
        """Send a request and return its result.

        Raises:
            Disconnected: The connection ended before the answer.
            RpcError: The daemon refused.
        """
        self._flush()
        await self._writable.wait()
        if self.end:
            self._say_late(method, params)
            raise self.gone(method)
        rpc_id = next(self._ids)
        line = encode_call(method, params, rpc_id)
        if len(line) > MAX_LINE_TO_DAEMON:
            seen = f"{method} of {len(line)} bytes, expected at most {MAX_LINE_TO_DAEMON}"
            raise RpcError(Code.INVALID_PARAMS, seen)
        answer: asyncio.Future[msgspec.Raw] = self._loop.create_future()
        self._answers[rpc_id] = answer
        self._write(line)
        self._steer_reading()
        try:
            return await answer
        finally:
            self._answers.pop(rpc_id, None)

    def settle_soon(self, position: int) -> None:
        """Settle without an answer; what is said in one turn of the loop goes in one line."""
        if not self._settled:
            self._loop.call_soon(self._flush)
        self._settled.append(position)

    async def close(self) -> None:
        """Send what waits and close; returns when the socket is gone."""
        self._flush()
        self._finish(CLOSED)
        if self._transport is not None:
            self._transport.close()
            with suppress(TimeoutError):
                async with asyncio.timeout(LINGER_S):
                    await self._lost.wait()
            self._transport.abort()

    # -- what asyncio calls -------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Take what came; a daemon that does not speak the protocol ends the connection."""
        try:
            for line in self._lines.feed(data):
                self._take(line)
        except (LineTooLongError, NotJsonError, RpcError) as exc:
            self._finish(f"protocol: {exc}")
            self._abort()

    def eof_received(self) -> bool:
        """Go on writing for a moment: after its bye the daemon still takes settles."""
        self._finish(CLOSED)
        self._loop.call_later(LINGER_S, self._abort)
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """Wake everybody who waits."""
        self._finish(str(exc) if exc else CLOSED)
        self._lost.set()

    def pause_writing(self) -> None:
        """Hold back: the daemon does not read as fast as we write."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Go on, first with the settles that gathered."""
        self._writable.set()
        self._flush()

    # -- within -------------------------------------------------------------------------

    def _take(self, line: bytes) -> None:
        message = parse_from_daemon(line)
        if isinstance(message, Reply):
            self._answer(message)
        elif message.method == "event":
            params = decode_params(message.params, EventParams)
            queue = self._others if params.reply_by is None else self._callbacks
            queue.append((message.params, params))
            self._queued_bytes += len(message.params)
            self._news.set()
            self._steer_reading()
        elif message.method == "bye":
            self._bye(message)

    def _answer(self, reply: Reply) -> None:
        answer = self._answers.get(reply.id) if isinstance(reply.id, int) else None
        if answer is None or answer.done():
            return
        if reply.error is not None:
            answer.set_exception(reply.error)
        else:
            answer.set_result(reply.result or msgspec.Raw(b"null"))

    def _bye(self, message: Call) -> None:
        self._finish(decode_params(message.params, ByeParams).reason or CLOSED)

    def _finish(self, reason: str) -> None:
        """Note the end once; what was not handed out comes again on the next connection."""
        if self.end:
            return
        self.end = reason
        self._callbacks.clear()
        self._others.clear()
        self._writable.set()
        self._news.set()
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(self.gone("an answer"))

    def gone(self, wanted: str) -> Disconnected:
        """Return the error for whoever wanted something of a connection that is over."""
        return Disconnected(self.end, f"the daemon went away ({self.end}), expected {wanted}")

    def _say_late(self, method: str, params: object) -> None:
        """Say it all the same: up to a second after its bye the daemon still listens."""
        if method == "settle":
            self._write(encode_call(method, params))

    def _flush(self) -> None:
        while self._settled and self._writable.is_set():
            now, self._settled = (
                self._settled[:SETTLES_PER_LINE],
                self._settled[SETTLES_PER_LINE:],
            )
            self._write(encode_call("settle", {"positions": now}))

    def _write(self, line: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(line)

    def _abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _steer_reading(self) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        if self._queued_bytes > MAX_QUEUED_BYTES and not self._answers:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()


async def open_connection(path: str) -> Connection:
    """Connect to the daemon's socket.

    Raises:
        Disconnected: Nobody listens there.
        NotAllowed: The socket's permissions refuse this user.
    """
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            _, connection = await loop.create_unix_connection(Connection, path)
    except PermissionError as exc:
        raise NotAllowed(f"permission denied, expected a socket open to this user, {path}") from exc
    except (OSError, ValueError) as exc:  # TimeoutError is an OSError; ValueError: too long a path
        reason = (getattr(exc, "strerror", None) or str(exc) or "no answer").lower()
        raise Disconnected(reason, f"{reason}, expected a daemon that listens, {path}") from exc
    return connection


async def ask(path: str, method: str, params: object = None, timeout_s: float = 10.0) -> Any:
    """Send one request that needs no `hello`, such as `status`, and return its result.

    Raises:
        Disconnected: No daemon is there, or it did not answer in `timeout_s` seconds.
        NotAllowed: This user may not connect.
        RpcError: The daemon refused.
    """
    connection = await open_connection(path)
    try:
        async with asyncio.timeout(timeout_s):
            return msgspec.json.decode(await connection.call(method, params or {}))
    except TimeoutError as exc:
        seen = f"no answer to {method} in {timeout_s:.15g} s"
        raise Disconnected("timeout", f"{seen}, expected one, {path}") from exc
    finally:
        await connection.close()
