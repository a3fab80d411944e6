"""Names of users, groups and processes."""

import os
import pwd
import subprocess
from pathlib import Path

import pytest

from feishu_ws.cli.examine.owners import command_of, group_of, is_feishu_ws, runs_us, user_of

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


@pytest.mark.parametrize(
    ("words", "is_ours"),
    [
        (["/usr/bin/python3", "-m", "feishu_ws", "run"], True),
        (["/usr/bin/python3", "/opt/bin/feishu-ws", "run"], True),
        (["feishu-ws", "run"], True),
        (["python3", "/opt/feishu-ws/bot.py"], False),
        (["/opt/feishu-ws/bin/python3", "bot.py", "feishu_ws"], False),
        (["vi", "notes", "feishu-ws"], False),
        ([], False),
    ],
)
def test_one_of_ours_is_known_by_its_command_line(words, is_ours):
    """As a module or as the script; a bot in a directory of that name is none."""
    assert runs_us(words) is is_ours


def test_the_command_line_of_a_process():
    """Of one that is there; one that is gone, or not to be seen, is none of ours."""
    with subprocess.Popen(
        ["feishu-ws", "-c", "echo begun; read line"],
        executable="/bin/sh",
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as child:
        child.stdout.readline()
        assert is_feishu_ws(child.pid)
        child.communicate(b"\n")
    assert not is_feishu_ws(NOBODY_HAS)
