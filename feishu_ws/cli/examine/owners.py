"""Names of users, groups and processes, as far as this user may see them."""

import grp
import itertools
import pwd
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from feishu_ws.cli.parser import PROGRAM
from feishu_ws.downstream.peers import peer_of

MODULE: Final = "feishu_ws"
KNOCK_S: Final = 0.2  # a listener accepts at once, unless its backlog is full
_SCRIPT_WITHIN: Final = 2  # words of a command line: an interpreter may come before the script


def user_of(uid: int) -> str:
    """Return a user's name, or the number where it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def group_of(gid: int) -> str:
    """Return a group's name, or the number where it has none."""
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return f"gid {gid}"


def is_feishu_ws(pid: int) -> bool:
    """Whether a process is one of ours; False where that is not to be seen."""
    try:
        line = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    return runs_us(line.decode(errors="replace").split("\0"))


def runs_us(words: Sequence[str]) -> bool:
    """Whether a command line is ours, be it the script or the module."""
    is_script = any(Path(word).name == PROGRAM for word in words[:_SCRIPT_WITHIN])
    return is_script or ("-m", MODULE) in itertools.pairwise(words)


def command_of(pid: int) -> str:
    """Return `process 4711 (python3)`, or less where less is known; 0 is nobody known."""
    try:
        name = Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return f"process {pid}" if pid else "another process"
    return f"process {pid} ({name})"


def listener_of(path: str) -> int:
    """Return the process that listens on a Unix socket, 0 if none does or it is not to be seen."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(KNOCK_S)
        try:
            probe.connect(path)
            return peer_of(probe)[0]
        except OSError:
            return 0
