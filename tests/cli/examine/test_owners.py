"""Names of users, groups and processes."""

import os
import pwd
from pathlib import Path

from feishu_ws.cli.examine.owners import command_of, group_of, user_of

NOBODY_HAS = 0x7FFFFFF0


def test_names():
    """As the system has them, numbers where it has none."""
    assert user_of(0) == pwd.getpwuid(0).pw_name
    assert user_of(NOBODY_HAS) == f"uid {NOBODY_HAS}"
    assert group_of(NOBODY_HAS) == f"gid {NOBODY_HAS}"


def test_processes():
    """With their command where it is to be seen."""
    name = Path("/proc/self/comm").read_text().strip()
    assert command_of(os.getpid()) == f"process {os.getpid()} ({name})"
    assert command_of(NOBODY_HAS) == f"process {NOBODY_HAS}"
    assert command_of(0) == "another process"
