"""Which daemon a command talks to, and what it says when that fails."""

import argparse
import os
from pathlib import Path
from typing import Final

from feishu_ws.cli.examine.owners import command_of, listener_of
from feishu_ws.cli.parser import HintedError
from feishu_ws.client import Code, Disconnected, RpcError
from feishu_ws.client.address import ENV_SOCKET, find_socket
from feishu_ws.config import socket_path
from feishu_ws.faults import Fault, FeishuWsError

HANGS: Final = "see that daemon's log; it hangs, restart it"
DIED: Final = "see in the daemon's log why it ended, then start it again"

_SILENT: Final = frozenset({"timeout", "no answer"})  # reasons of one that listens and hangs
_REFUSED: Final = "connection refused"
_FAULTS = {
    Code.NOT_ALLOWED: Fault.CLIENT_REFUSED,
    Code.FULL: Fault.CLIENT_REFUSED,
    Code.INVALID_PARAMS: Fault.USAGE,
    Code.UNKNOWN_POSITION: Fault.USAGE,
    Code.CONSUMER_CONFLICT: Fault.CONSUMER_CONFLICT,
    Code.FEISHU_REFUSED: Fault.API_REFUSED,
    Code.METHOD_NOT_FOUND: Fault.DAEMON_UNREACHABLE,
}


def socket_of(args: argparse.Namespace) -> str:
    """Return --socket, $FEISHU_WS_SOCKET, socket.path, or the first usual place.

    Raises:
        ConfigError: The configuration that was asked for cannot be read.
    """
    if args.socket:
        return str(args.socket)
    if is_socket_named(args):
        return find_socket(os.environ)
    return socket_path(args.config, os.environ) or find_socket(os.environ)


def is_socket_named(args: argparse.Namespace) -> bool:
    """Whether somebody named the very socket, and so no other daemon or journal will do."""
    return bool(args.socket or (os.environ.get(ENV_SOCKET) and not args.config))


def fault_of(exc: RpcError) -> Fault:
    """Return the fault of an error object, the daemon's own word for it where it has one."""
    named = exc.data.get("fault") if isinstance(exc.data, dict) else None
    if isinstance(named, str) and named in set(Fault):
        return Fault(named)
    return next((fault for code, fault in _FAULTS.items() if code == exc.code), Fault.INTERNAL)


def refusal(exc: RpcError, path: str) -> FeishuWsError:
    """Return the fault of a request that the daemon refused."""
    detail = f"the daemon refused with {exc.code}: {exc.message}, expected an answer, {path}"
    return FeishuWsError(fault_of(exc), detail)


def is_silent(exc: Disconnected) -> bool:
    """Whether somebody listens there and says nothing."""
    return exc.reason in _SILENT


def explain_absence(exc: Disconnected, path: str) -> HintedError:
    """Return what to say where no daemon answers: it hangs, it died, or none was started."""
    if is_silent(exc):
        who = command_of(listener_of(path))
        return HintedError(exc.fault, f"{exc.detail}; {who} listens there", HANGS)
    if exc.reason == _REFUSED and Path(path).is_socket():
        return HintedError(exc.fault, f"{exc.detail}; a daemon that died left it", DIED)
    return HintedError(exc.fault, exc.detail, exc.spec.hint)
