"""Listening sockets for telemetry: made, or refused with a reason."""

import errno
import os
import socket
from pathlib import Path
from typing import Final

from feishu_ws.faults import Fault, FeishuWsError
from feishu_ws.telemetry.listen import Listen
from feishu_ws.telemetry.port_owner import port_owner

BACKLOG: Final = 64
_SOCKET_MODE: Final = 0o660  # as the event socket: owner and group
_PROBE_TIMEOUT_S: Final = 0.2  # a listener whose backlog is full lets connect() wait


def bind(listen: Listen, key: str = "telemetry.listen") -> socket.socket:
    """Return a listening socket.

    Args:
        listen: Where.
        key: Which setting says so, for error messages.

    Raises:
        FeishuWsError: `port_in_use`, saying whose; `socket_failed`; `config_invalid`.
    """
    try:
        return _bind_unix(listen.path) if listen.path else _bind_tcp(listen)
    except OSError as exc:
        raise _cannot_listen(listen, exc, key) from exc
    except ValueError as exc:  # a host that IDNA refuses, a path with a zero byte
        raise _cannot_listen(listen, OSError(errno.EINVAL, str(exc)), key) from exc


def where(listener: socket.socket) -> Listen:
    """Return where a socket listens."""
    name = listener.getsockname()
    if listener.family == socket.AF_UNIX:
        return Listen(path=str(name))
    return Listen(str(name[0]), int(name[1]))


def _bind_tcp(listen: Listen) -> socket.socket:
    found = socket.getaddrinfo(listen.host, listen.port, type=socket.SOCK_STREAM)
    family, kind, protocol, _, address = found[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def _bind_unix(path: str) -> socket.socket:
    _clear_stale(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(path)
        Path(path).chmod(_SOCKET_MODE)
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def _clear_stale(path: str) -> None:
    """Remove a socket file nobody listens on; leave anything else where it is.

    Raises:
        OSError: Somebody listens there, or it is no socket.
    """
    if not Path(path).exists():
        return
    if not Path(path).is_socket():
        raise OSError(errno.EEXIST, "a file that is no socket lies there")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_PROBE_TIMEOUT_S)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            Path(path).unlink(missing_ok=True)
            return
        except (BlockingIOError, TimeoutError):
            pass  # its backlog is full: somebody is there
    raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))


def _cannot_listen(listen: Listen, exc: OSError, key: str) -> FeishuWsError:
    if exc.errno == errno.EADDRINUSE:
        owner = port_owner(listen.port) if not listen.path else ""
        return FeishuWsError(
            Fault.PORT_IN_USE,
            f"{key}: {listen} is taken by {owner or 'another process'}, expected it free",
        )
    fault = Fault.SOCKET_FAILED if listen.path else Fault.CONFIG_INVALID
    return FeishuWsError(fault, f"{key}: cannot listen on {listen}: {exc.strerror or exc}")
