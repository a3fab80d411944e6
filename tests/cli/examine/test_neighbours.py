"""Other daemons of this machine."""

import socket
from pathlib import Path

from feishu_ws.cli.examine.neighbours import find_neighbours, listening

TABLE = """\
Num       RefCount Protocol Flags    Type St Inode Path
0000000000000000: 00000002 00000000 00010000 0001 01 100 /run/feishu-ws/one/events.sock
0000000000000000: 00000003 00000000 00000000 0001 03 101 /run/feishu-ws/one/events.sock
0000000000000000: 00000002 00000000 00010000 0001 01 102 /run/with space/events.sock
0000000000000000: 00000002 00000000 00010000 0001 01 103 /run/docker.sock
0000000000000000: 00000002 00000000 00010000 0001 01 104 @/tmp/events.sock
0000000000000000: 00000002 00000000 00010000 0001 01 105
0000000000000000: 00000003 00000000 00000000 0001 03 106 /run/other/events.sock
0000000000000000: 00000002 00000000 00000001 0001 01 107 /run/bound/events.sock
"""


def test_only_a_daemons_sockets_are_asked():
    """By name, and only where somebody listens; others' sockets are left alone."""
    assert listening(TABLE) == ["/run/feishu-ws/one/events.sock", "/run/with space/events.sock"]


def test_the_kernels_own_table(tmp_path):
    """It names what listens now."""
    path = tmp_path / "events.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        before = str(path) in find_neighbours()
        listener.listen()
        during = str(path) in find_neighbours()
    assert (before, during) == (False, True)


def test_no_table():
    """Where the kernel shows none there is nobody to ask."""
    assert find_neighbours(Path("/no/such/table")) == []
