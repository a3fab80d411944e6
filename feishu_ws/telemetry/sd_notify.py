"""What systemd is told, and the sockets it passes.

Without systemd every call does nothing: a missing or deaf socket never becomes the
daemon's problem. Sources: sd_notify(3), sd_listen_fds(3), sd_watchdog_enabled(3).
"""

import fcntl
import os
import socket
from collections.abc import Mapping, MutableMapping
from contextlib import suppress
from typing import Final

_FIRST_FD: Final = 3  # SD_LISTEN_FDS_START
_MICROSECONDS: Final = 1_000_000
_LONGEST_STATUS: Final = 200  # one line of `systemctl status`


def notify(state: str, env: Mapping[str, str] = os.environ) -> bool:
    """Send `state` (lines of `KEY=value`) to $NOTIFY_SOCKET; return whether it went out."""
    path = env.get("NOTIFY_SOCKET", "")
    if not path.startswith(("/", "@")):
        return False
    address = f"\0{path[1:]}" if path.startswith("@") else path  # @ = abstract namespace
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.settimeout(0)  # a full queue must not stop the loop
        sender.sendto(state.encode("utf-8", "replace"), address)
        return True
    return False


class ServiceManager:
    """The states of a life, in the order systemd hears of them."""

    def __init__(self, env: Mapping[str, str] = os.environ) -> None:
        self._env = env
        self._status = ""

    @property
    def watchdog_interval_s(self) -> float | None:
        """How often `alive` has to be called: half of WatchdogSec=; None if nobody watches."""
        pid, usec = self._env.get("WATCHDOG_PID", ""), self._env.get("WATCHDOG_USEC", "")
        if not usec.isdecimal() or int(usec) == 0 or (pid and pid != str(os.getpid())):
            return None
        return int(usec) / _MICROSECONDS / 2

    def ready(self, status: str) -> bool:
        """Everything local works (also after a reload)."""
        return self._send("READY=1", status)

    def status(self, status: str) -> bool:
        """Change the line that `systemctl status` shows; an unchanged one is not sent."""
        return status != self._status and self._send("", status)

    def reloading(self, now_s: float) -> bool:
        """A reload began; `now_s` is CLOCK_MONOTONIC. `ready` ends it."""
        return self._send(f"RELOADING=1\nMONOTONIC_USEC={round(now_s * _MICROSECONDS)}", "")

    def stopping(self, status: str) -> bool:
        """A stop began."""
        return self._send("STOPPING=1", status)

    def alive(self) -> bool:
        """Progress was made; without this the watchdog kills the process."""
        return self._send("WATCHDOG=1", "")

    def _send(self, state: str, status: str) -> bool:
        if status:
            self._status = status
        shown = " ".join(status.split())[:_LONGEST_STATUS]  # a line break would begin a new key
        lines = [line for line in (state, f"STATUS={shown}" if status else "") if line]
        return notify("\n".join(lines), self._env)


def listen_fds(
    env: MutableMapping[str, str] = os.environ, first_fd: int = _FIRST_FD
) -> dict[str, socket.socket]:
    """Take over the listening sockets that systemd passes, by FileDescriptorName=.

    The variables are removed, so that no child takes them for its own. A name that
    comes twice gets `.2`, `.3` … appended. What is no socket is left alone.
    """
    pid = env.pop("LISTEN_PID", "")
    count = env.pop("LISTEN_FDS", "")
    names = env.pop("LISTEN_FDNAMES", "").split(":")
    if pid != str(os.getpid()) or not count.isdecimal():
        return {}
    passed: dict[str, socket.socket] = {}
    for i in range(int(count)):
        taken = _adopt(first_fd + i)
        if taken is not None:
            passed[_free_name(names[i] if i < len(names) else "", passed)] = taken
    return passed


def _adopt(fd: int) -> socket.socket | None:
    with suppress(OSError):
        fcntl.fcntl(fd, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
        taken = socket.socket(fileno=fd)
        taken.settimeout(0)
        return taken
    return None


def _free_name(name: str, taken: Mapping[str, object]) -> str:
    name = name or "unknown"  # as sd_listen_fds_with_names() says
    nth = 1
    while (free := name if nth == 1 else f"{name}.{nth}") in taken:
        nth += 1
    return free
