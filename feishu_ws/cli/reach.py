"""Which daemon a command talks to, and what it says when that fails."""

import argparse
import os

from feishu_ws.client import Code, RpcError
from feishu_ws.client.address import ENV_SOCKET, find_socket
from feishu_ws.config import socket_path
from feishu_ws.faults import Fault, FeishuWsError

_FAULTS = {
    Code.NOT_ALLOWED: Fault.CLIENT_REFUSED,
    Code.INVALID_PARAMS: Fault.USAGE,
    Code.CONSUMER_CONFLICT: Fault.CONSUMER_CONFLICT,
}


def socket_of(args: argparse.Namespace) -> str:
    """Return --socket, $FEISHU_WS_SOCKET, socket.path, or the first usual place.

    Raises:
        ConfigError: The configuration that was asked for cannot be read.
    """
    if args.socket:
        return str(args.socket)
    if os.environ.get(ENV_SOCKET) and not args.config:
        return find_socket(os.environ)
    return socket_path(args.config, os.environ) or find_socket(os.environ)


def refusal(exc: RpcError, path: str) -> FeishuWsError:
    """Return the fault of a request that the daemon refused."""
    fault = next((fault for code, fault in _FAULTS.items() if code == exc.code), Fault.INTERNAL)
    detail = f"the daemon refused with {exc.code}: {exc.message}, expected an answer, {path}"
    return FeishuWsError(fault, detail)
