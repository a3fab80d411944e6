"""Which daemon a command talks to, and what it says when that fails."""

import argparse
import os

from feishu_ws.client import Code, RpcError
from feishu_ws.client.address import ENV_SOCKET, find_socket
from feishu_ws.config import socket_path
from feishu_ws.faults import Fault, FeishuWsError

_FAULTS = {
    Code.NOT_ALLOWED: Fault.CLIENT_REFUSED,
    Code.FULL: Fault.CLIENT_REFUSED,
    Code.INVALID_PARAMS: Fault.USAGE,
    Code.UNKNOWN_POSITION: Fault.USAGE,
    Code.CONSUMER_CONFLICT: Fault.CONSUMER_CONFLICT,
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
