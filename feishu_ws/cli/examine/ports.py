"""HTTP: whether telemetry could listen, or does."""

import asyncio
import errno
import socket
from collections.abc import Collection
from contextlib import closing
from typing import Final

from feishu_ws.cli.examine.finding import Finding, fail, ok, skip, warn
from feishu_ws.faults import Fault, FeishuWsError
from feishu_ws.telemetry.listen import Listen, parse_listen
from feishu_ws.telemetry.port_owner import port_owner

DEADLINE_S: Final = 2.0
OFF: Final = "telemetry.listen is off"


def try_to_bind(listen: str, daemons: Collection[str] = ()) -> Finding:
    """Return whether a daemon could listen; a Unix socket is left for the daemon to make.

    The port is bound and not listened on, so that a daemon that starts meanwhile gets it.

    Args:
        listen: `telemetry.listen`.
        daemons: Processes that are the daemon, as `command_of` has them, or may be.
    """
    if not listen:
        return ok(OFF)
    try:
        where = parse_listen(listen)
    except FeishuWsError as exc:
        return fail(exc.fault, exc.detail)
    if where.path:
        return ok(f"{listen} is for the daemon to make", listen=listen)
    error = _bind(where)
    if error is None:
        return ok(f"{listen} is free", listen=listen)
    if error.errno == errno.EADDRINUSE:
        return _judge_taken(listen, port_owner(where.port) or "another process", daemons)
    words = (error.strerror or str(error)).lower()
    hint = "mend telemetry.listen"
    return fail(Fault.CONFIG_INVALID, f"{listen}: {words}", hint, listen=listen)


def _judge_taken(listen: str, owner: str, daemons: Collection[str]) -> Finding:
    if owner in daemons:
        return skip(f"{listen} is taken by {owner}, the daemon itself: see socket")
    return fail(Fault.PORT_IN_USE, f"{listen} is taken by {owner}", listen=listen)


def _bind(where: Listen) -> OSError | None:
    try:
        found = socket.getaddrinfo(where.host, where.port, type=socket.SOCK_STREAM)
        family, kind, protocol, _, address = found[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as exc:
        return exc
    return None


async def try_to_reach(listen: str, *, is_told: bool = True) -> Finding:
    """Return whether somebody listens where this configuration says the daemon does.

    Args:
        listen: `telemetry.listen`.
        is_told: Whether somebody set that, rather than that it is the default.
    """
    if not listen:
        return ok(OFF)
    where = parse_listen(listen)
    try:
        async with asyncio.timeout(DEADLINE_S):
            opening = (
                asyncio.open_unix_connection(where.path)
                if where.path
                else asyncio.open_connection(where.host, where.port)
            )
            _, writer = await opening
    except OSError:
        if not is_told:
            return skip(f"nobody answers on {listen}, the default; the daemon's may be elsewhere")
        seen = f"nobody answers on {listen}, where this configuration has the daemon's telemetry"
        return warn(seen, hint="name the daemon's own configuration with --config")
    with closing(writer):
        return ok(f"{listen} takes connections", listen=listen)
