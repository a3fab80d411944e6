"""Names of users, groups and processes, as far as this user may see them."""

import grp
import pwd
from pathlib import Path


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


def command_of(pid: int) -> str:
    """Return `process 4711 (python3)`, or less where less is known; 0 is nobody known."""
    try:
        name = Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return f"process {pid}" if pid else "another process"
    return f"process {pid} ({name})"
