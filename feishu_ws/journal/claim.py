"""A name in the kernel that says whose a journal is, whatever becomes of its files.

An abstract Unix socket, bound as long as the journal is open, that nobody is let in to.
It is named after the directory, by device and inode, and the journal's name in it. It ends
with its process, and no `rm` reaches it. Other users could take the name too: it counts
only if root, the directory's owner or our own user has it.

It is the second lock, for where the file of the first was removed. A process in another
network namespace does not see it, and there is none but on Linux.

Source: unix(7), "Abstract sockets" and SO_PEERCRED.
"""

import contextlib
import errno
import hashlib
import os
import socket
import struct
from pathlib import Path
from typing import Final, NamedTuple

_BACKLOG: Final = 4096  # so many may have asked whose it is
_TRIES: Final = 3  # its owner may end, or begin, between two looks
_DIGEST_BYTES: Final = 16
_CREDENTIALS: Final = struct.Struct("3i")


class ClaimedError(Exception):
    """Another process has the journal.

    Args:
        pid: Its number, 0 if that is hidden from us.
    """

    def __init__(self, pid: int) -> None:
        super().__init__(f"process {pid}")
        self.pid = pid


class _Peer(NamedTuple):
    pid: int
    uid: int
    gid: int


def claim(journal: Path) -> int | None:
    """Take the name of a journal; return the descriptor that holds it until it is closed.

    None if there are no such names here, or a stranger has it.

    Raises:
        ClaimedError: It is another process's.
    """
    try:
        place = journal.parent.stat()
    except OSError:
        return None
    name = _name(place.st_dev, place.st_ino, journal.name)
    for _ in range(_TRIES):
        try:
            return _bind(name)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                return None
        owner = _ask(name)
        if owner is not None and owner.uid in {0, os.geteuid(), place.st_uid}:
            raise ClaimedError(owner.pid)
    return None


def _name(device: int, inode: int, name: str) -> bytes:
    told = f"{device}\0{inode}\0{name}".encode(errors="surrogateescape")
    digest = hashlib.blake2b(told, digest_size=_DIGEST_BYTES).hexdigest()
    return b"\0feishu-ws-journal-" + digest.encode()


def _bind(name: bytes) -> int:
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as ours:
        ours.bind(name)
        ours.listen(_BACKLOG)
        return ours.detach()


def _ask(name: bytes) -> _Peer | None:
    """Return who has a name, None if nobody has it any more or that cannot be told."""
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as ours:
        ours.settimeout(0)
        try:
            ours.connect(name)
            told = ours.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        except OSError:
            return None
    return _Peer(*_CREDENTIALS.unpack(told))
