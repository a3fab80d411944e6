"""Whose a port is, as far as /proc lets us see."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

_LISTENING: Final = "0A"  # TCP_LISTEN, Linux include/net/tcp_states.h
_LOCAL, _STATE, _INODE = 1, 3, 9  # columns of /proc/net/tcp, proc(5)


def port_owner(port: int, proc: Path = Path("/proc")) -> str:
    """Return `process 4711 (nginx)` for whoever listens on `port`, "" if it is not to be seen.

    Other users' processes show their sockets only to root.
    """
    wanted = {f"socket:[{inode}]" for inode in _listeners(port, proc)}
    for pid in _pids(proc) if wanted else ():
        if wanted & set(_links(proc / pid / "fd")):
            return f"process {pid} ({_command(proc / pid)})"
    return ""


def _listeners(port: int, proc: Path) -> Iterator[str]:
    for table in ("tcp", "tcp6"):
        for line in _read(proc / "net" / table).splitlines()[1:]:
            columns = line.split()
            is_port = columns[_LOCAL].rpartition(":")[2] == f"{port:04X}"
            if is_port and columns[_STATE] == _LISTENING:
                yield columns[_INODE]


def _pids(proc: Path) -> Iterator[str]:
    return (entry.name for entry in proc.iterdir() if entry.name.isdecimal())


def _links(folder: Path) -> Iterator[str]:
    try:
        for entry in folder.iterdir():
            yield str(entry.readlink())
    except OSError:  # gone meanwhile, or another user's
        return


def _command(process: Path) -> str:
    return _read(process / "comm").strip() or "?"


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
