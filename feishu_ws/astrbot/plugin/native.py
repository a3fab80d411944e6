"""The daemon's socket, seen from AstrBot: connect, greet, read, and connect again for ever.

Standard library only, that of Python 3.10: the oldest AstrBot this serves runs on it. One JSON object per line, JSON-RPC 2.0. Source: README "The socket".
"""

import asyncio
import contextlib
import itertools
import json
import os
import random
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

T = TypeVar("T")
Params = dict[str, Any]

MAX_LINE: Final = 16 * 1024 * 1024  # the daemon's longest, its newline not counted
CONNECT_S: Final = 5.0
ANSWER_S: Final = 30.0  # for a settle that waits for a commit on a slow disk
FIRST_WAIT_S: Final = 0.1
LONGEST_WAIT_S: Final = 0.5  # a local socket costs nothing to try, and back within a second
REFUSED_WAIT_S: Final = 5.0  # a daemon that says no says it again
TAKEN_WAIT_S: Final = 3.0  # looks so often whether the name another process took is free
SYSTEM_SOCKET: Final = "/run/feishu-ws/events.sock"
SUPERSEDED: Final = "superseded"


class Gone(Exception):  # noqa: N818  # a fact
    """The connection is over; what was not answered comes again."""


class Refused(Exception):  # noqa: N818
    """The daemon answered with an error."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{message} ({code})")
        self.code = code


def find_socket(env: Mapping[str, str]) -> str:
    """Return what `$FEISHU_WS_SOCKET` names, else the first usual place where one lies."""
    named = env.get("FEISHU_WS_SOCKET")
    if named:
        return str(Path(named).expanduser())
    state = env.get("XDG_STATE_HOME") or str(Path(env.get("HOME") or "/", ".local/state"))
    own = [f"{d}/feishu-ws/events.sock" for d in (env.get("XDG_RUNTIME_DIR"), state) if d]
    return next(filter(os.path.exists, own), SYSTEM_SOCKET)


async def within(limit_s: float, work: Awaitable[T], wanted: str) -> T:
    """Return what `work` returns, if that takes no longer than `limit_s` seconds.

    Raises:
        Gone: It took longer, and was cancelled.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait([task], timeout=limit_s)
        if not task.done():
            raise Gone(f"expected {wanted} within {limit_s:.0f} s")
        return task.result()
    finally:
        task.cancel()


class Session:
    """One connection to the daemon, greeted.

    Attributes:
        journal: Which journal the positions are of.
        app_id: Whose events they are.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.journal = ""
        self.app_id = ""
        self.farewell = ""
        self._reader = reader
        self._writer = writer
        self._ids = itertools.count(1)
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._is_over = False

    async def call(self, method: str, params: Params) -> Any:
        """Send a request and return its result.

        Raises:
            Gone: The connection ended before the answer, or none came in `ANSWER_S`.
            Refused: The daemon said no.
        """
        if self._is_over:
            raise Gone(method)
        rpc_id = next(self._ids)
        answer = self._answers[rpc_id] = asyncio.get_running_loop().create_future()
        request = {"jsonrpc": "2.0", "id": rpc_id, "method": method, "params": params}
        self._writer.write(
            json.dumps(request, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
        )
        try:
            return await within(ANSWER_S, answer, f"an answer to {method}")
        finally:
            self._answers.pop(rpc_id, None)

    async def read(self, on_event: Callable[[Params], None]) -> None:
        """Read until the connection ends; answers go to whoever waits, events to `on_event`."""
        try:
            while True:
                line = await self._reader.readline()
                if not line:
                    return
                self._take(json.loads(line), on_event)
        except (OSError, ValueError):  # reset; no JSON, or a line without end: the stream is lost
            return
        finally:
            self.close()

    def _take(self, said: Params, on_event: Callable[[Params], None]) -> None:
        method = said.get("method")
        if method == "event":
            on_event(said["params"])
        elif method == "bye":
            self.farewell = str(said["params"].get("reason", ""))
        elif method is None:
            answer = self._answers.get(said.get("id"))  # type: ignore[arg-type]
            if answer is not None and not answer.done():
                _conclude(answer, said)

    def close(self) -> None:
        """End the connection; whoever waits for an answer is told."""
        self._is_over = True
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(Gone("the daemon went away"))
        self._writer.close()


def _conclude(answer: "asyncio.Future[Any]", said: Params) -> None:
    error = said.get("error")
    if isinstance(error, dict):
        answer.set_exception(Refused(int(error.get("code", 0)), str(error.get("message", ""))))
    else:
        answer.set_result(said.get("result"))


class Native:
    """A durable consumer that reads for ever.

    Args:
        path: The daemon's socket; "" looks at the usual places, each time anew.
        consumer: Under which name the daemon keeps what was settled.
        on_event: Gets each delivery's params and the session it came over; must not block.
        on_change: Gets "" when connected, else why not; once per change.

    Attributes:
        is_connected: Whether a greeted connection is open.
    """

    def __init__(
        self,
        path: str,
        consumer: str,
        on_event: Callable[[Params, Session], None],
        on_change: Callable[[str], None],
    ) -> None:
        self.is_connected = False
        self._path = path
        self._consumer = consumer
        self._on_event = on_event
        self._on_change = on_change
        self._trouble: str | None = None
        self._session: Session | None = None
        self._is_closed = False

    async def run(self) -> None:
        """Read until `close`; nothing that happens to the daemon ends it."""
        failures = 0
        while not self._is_closed:
            wait_s = await self._read_once()
            failures = 0 if wait_s == 0 else failures + 1
            longest = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** min(failures, 8))
            await asyncio.sleep(max(wait_s, longest * random.uniform(0.5, 1)))  # noqa: S311

    def close(self) -> None:
        """Read no more."""
        self._is_closed = True
        if self._session is not None:
            self._session.close()

    async def _read_once(self) -> float:
        """Hold one connection from its opening to its end; return how long to wait at least, in s."""
        try:
            session = await self._open()
        except Refused as exc:
            self._tell(f"the daemon refused consumer {self._consumer}: {exc}")
            return REFUSED_WAIT_S
        except (OSError, Gone) as exc:
            self._tell(f"no daemon at {self._where()}: {str(exc) or type(exc).__name__}")
            return FIRST_WAIT_S
        return await self._hold(session)

    async def _hold(self, session: Session) -> float:
        self._session = session
        reading = asyncio.ensure_future(
            session.read(lambda params: self._on_event(params, session))
        )
        try:
            said = await session.call("hello", {"consumer": self._consumer})
            session.journal, session.app_id = str(said["journal"]), str(said["app_id"])
            self.is_connected = True
            self._tell("")
            await reading
        except Refused as exc:
            self._tell(f"the daemon refused consumer {self._consumer}: {exc}")
            return REFUSED_WAIT_S
        except Gone as exc:
            self._tell(f"no daemon at {self._where()}: {exc}")
            return FIRST_WAIT_S
        finally:
            self.is_connected = False
            self._session = None
            session.close()
            reading.cancel()
        if session.farewell == SUPERSEDED:
            await self._wait_until_free()
        elif not self._is_closed:
            self._tell(f"the daemon went away ({session.farewell or 'closed'})")
        return 0

    async def _wait_until_free(self) -> None:
        """Wait while another process reads under our name: taking it back would be a fight."""
        self._tell(
            f"another process reads as consumer {self._consumer}: one of the two is too many"
        )
        while not self._is_closed and await self._is_taken():  # noqa: ASYNC110  # no event tells
            await asyncio.sleep(TAKEN_WAIT_S)

    async def _is_taken(self) -> bool:
        try:
            session = await self._open()
        except (OSError, Gone):
            return False
        reading = asyncio.ensure_future(session.read(lambda _: None))
        try:
            status = await session.call("status", {})
            return any(
                each.get("name") == self._consumer and each.get("connected")
                for each in status.get("consumers", ())
            )
        except (Gone, Refused):
            return False
        finally:
            session.close()
            await asyncio.wait([reading])

    async def _open(self) -> Session:
        opening = asyncio.open_unix_connection(self._where(), limit=MAX_LINE + 1)
        return Session(*await within(CONNECT_S, opening, "a connection"))

    def _where(self) -> str:
        return str(Path(self._path).expanduser()) if self._path else find_socket(os.environ)

    def _tell(self, trouble: str) -> None:
        if trouble != self._trouble:
            self._trouble = trouble
            with contextlib.suppress(RuntimeError):  # AstrBot's logger, while it shuts down
                self._on_change(trouble)
