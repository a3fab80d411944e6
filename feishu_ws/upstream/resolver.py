"""Names to addresses, on daemon threads of its own.

A black-holed resolver holds `getaddrinfo` for 10 to 28 s, and nothing can cancel it.
On asyncio's own executor that delays the end of the process by as much; here the
thread is simply left behind. Source: systemd-nat measurements.

Invariants: at most `MAX_IN_FLIGHT` threads, one per name; every question ends, also
where no thread can start; the last good addresses of a name are kept and serve when
the resolver fails or is slow.
"""

import asyncio
import ipaddress
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

MAX_IN_FLIGHT: Final = 4  # lookups that hang; more would pile up one per attempt
STALE_AFTER_S: Final = 2.0  # a resolver slower than this is answered for from memory
MAX_NAMES: Final = 32  # hosts remembered; discovery names a handful at most

AddressInfo = tuple[int, int, int, str, tuple[Any, ...]]
"""As `socket.getaddrinfo` returns it: family, type, protocol, canonical name, address."""

Lookup = Callable[[str, int], Sequence[AddressInfo]]
"""Blocks; raises OSError."""

_Key = tuple[str, int]


def look_up(host: str, port: int) -> Sequence[AddressInfo]:
    """Ask the system for the stream addresses of a name, any family. Blocks."""
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)


class Resolver:
    """Resolves for everything that goes to Feishu; also fits aiohttp's `AbstractResolver`.

    Args:
        lookup: Replaces the system's resolver.
    """

    def __init__(self, lookup: Lookup = look_up) -> None:
        self._lookup = lookup
        self._running: dict[_Key, asyncio.Future[Sequence[AddressInfo]]] = {}
        self._known: dict[_Key, Sequence[AddressInfo]] = {}
        self._is_slow = False  # found so by the last question: the next need not wait again

    async def addresses(self, host: str, port: int) -> Sequence[AddressInfo]:
        """Return the addresses of a name, at least one.

        Raises:
            OSError: It does not resolve, or too many lookups hang, and no address is known.
        """
        if (literal := _literal(host, port)) is not None:
            return [literal]
        key = (host, port)
        running = self._running.get(key) or self._start(key)
        known = self._known.get(key)
        patience_s = 0.0 if self._is_slow else STALE_AFTER_S
        await asyncio.wait({running}, timeout=patience_s if known else None)
        self._is_slow = not running.done()
        if running.done() and running.exception() is None:
            return running.result()
        return known or running.result()

    def _start(self, key: _Key) -> asyncio.Future[Sequence[AddressInfo]]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Sequence[AddressInfo]] = loop.create_future()
        if len(self._running) >= MAX_IN_FLIGHT:
            future.set_exception(OSError(f"{MAX_IN_FLIGHT} lookups hang already"))
            return future
        self._running[key] = future
        thread = threading.Thread(
            target=self._run, args=(loop, key), name=f"resolve-{key[0]}", daemon=True
        )
        try:
            thread.start()
        except (RuntimeError, MemoryError):  # the limit of processes: the next question tries again
            self._finish(key, OSError("no thread can be started to look it up"))
        return future

    def _run(self, loop: asyncio.AbstractEventLoop, key: _Key) -> None:
        """Look up, on a thread of its own."""
        found: Sequence[AddressInfo] | OSError
        try:
            found = self._lookup(*key) or OSError("the resolver gave no address")
        except OSError as exc:
            found = exc
        except Exception as exc:  # noqa: BLE001 - owner of the thread: whoever asked must hear of it
            found = OSError(str(exc) or type(exc).__name__)  # a label that IDNA cannot encode
        try:
            loop.call_soon_threadsafe(self._finish, key, found)
        except RuntimeError:
            return  # the loop has ended meanwhile, which is what these threads are for

    def _finish(self, key: _Key, found: Sequence[AddressInfo] | OSError) -> None:
        future = self._running.pop(key)
        if isinstance(found, OSError):
            future.set_exception(found)
            future.exception()  # retrieved: perhaps nobody waits any more
            return
        self._is_slow = False
        self._known.pop(key, None)
        self._known[key] = found
        while len(self._known) > MAX_NAMES:
            del self._known[next(iter(self._known))]
        future.set_result(found)

    async def resolve(
        self, host: str, port: int = 0, family: int = socket.AF_UNSPEC
    ) -> list[dict[str, Any]]:
        """Resolve in the form aiohttp's connector asks for.

        Raises:
            OSError: As `addresses`, or nothing of that family is known.
        """
        found = [
            {
                "hostname": host,
                "host": address[0],
                "port": port,
                "family": each,
                "proto": proto,
                "flags": socket.AI_NUMERICHOST,
            }
            for each, _, proto, _, address in await self.addresses(host, port)
            if family in {socket.AF_UNSPEC, each}
        ]
        if not found:
            raise OSError(f"no address of family {family} for {host}")
        return found

    async def close(self) -> None:
        """Nothing to release: threads that hang are left behind."""


@contextmanager
def naming(host: str) -> Iterator[None]:
    """Let a failure to resolve say which name it was: there are several on the way."""
    try:
        yield
    except OSError as exc:
        raise OSError(exc.errno, f"{host}: {exc.strerror or exc}") from exc


def _literal(host: str, port: int) -> AddressInfo | None:
    """Return the address that `host` itself is, if it is one."""
    try:
        version = ipaddress.ip_address(host).version
    except ValueError:
        return None
    stream = (socket.SOCK_STREAM, socket.IPPROTO_TCP, "")
    if version == 4:
        return (socket.AF_INET, *stream, (host, port))
    return (socket.AF_INET6, *stream, (host, port, 0, 0))
