"""Who is at the other end of the socket, and which of them may administer.

`SO_PEERCRED` shows a peer's effective uid when it connected, translated into our user
namespace. Where that namespace maps uids, everybody it does not know is shown as one
uid (usually 65534, nobody): such a peer may be anybody, also where we are nobody.
Source: unix(7), user_namespaces(7), proc_sys_kernel(5).
"""

import os
import socket
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = 0
_UCRED: Final = struct.Struct("iII")  # pid, uid, gid
_UNMAPPED: Final = ["0", "0", "4294967295"]
_PROC: Final = Path("/proc/self")
_OVERFLOW: Final = Path("/proc/sys/kernel/overflowuid")
_USUAL_OVERFLOW: Final = 65534


def peer_of(connection: socket.socket) -> tuple[int, int]:
    """Return pid and uid of a Unix socket's peer, of whoever listens on its other end.

    Raises:
        OSError: It is not connected.
    """
    found = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    pid, uid, _ = _UCRED.unpack(found)
    return pid, uid


def are_uids_mapped() -> bool:
    """Whether this user namespace maps uids, so that peers may look alike; True in doubt."""
    try:
        return (_PROC / "uid_map").read_text().split() != _UNMAPPED
    except OSError:
        return not _PROC.exists()  # a kernel without user namespaces has no such file


@dataclass(frozen=True, slots=True)
class Authority:
    """Who may change something or see content. Source: CONTRACT 5.

    Attributes:
        own: The daemon's own uid.
        hidden: What peers of unknown uid are shown as, None where every uid is known.
    """

    own: int
    hidden: int | None = None

    def has(self, uid: int | None) -> bool:
        """Whether a peer of this uid is root or the daemon's own user, beyond doubt."""
        return uid is not None and uid != self.hidden and uid in {ROOT, self.own}

    def explain(self, uid: int | None) -> str:
        """Return who asked and who may, for whoever was refused."""
        hidden = " (a user namespace hides who that is)" if uid == self.hidden else ""
        own = "" if self.own in {ROOT, self.hidden} else f" or {self.own}, the daemon's own"
        return f"uid {uid}{hidden} asked, expected uid {ROOT}{own}"


def find_authority() -> Authority:
    """Return who may administer this process."""
    return Authority(os.geteuid(), _overflow_uid() if are_uids_mapped() else None)


def _overflow_uid() -> int:
    try:
        return int(_OVERFLOW.read_text())
    except OSError:  # /proc/sys is hidden, as by systemd's ProcSubset=pid
        return _USUAL_OVERFLOW
