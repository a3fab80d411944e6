"""Other daemons of this machine: one of the same app must not lose events to a link of ours.

An operator's shell lacks what the unit sets, `$RUNTIME_DIRECTORY` above all, so that the
daemon of this very configuration may listen elsewhere than this command looks.
"""

from pathlib import Path
from typing import Final

SOCKET_NAME: Final = "events.sock"  # as socket.path has it by default, in any directory
UNIX_SOCKETS: Final = Path("/proc/net/unix")
MOST: Final = 16

_FLAGS, _PATH = 3, 7  # columns, source: proc(5)
_LISTENS: Final = 0x10000
"""__SO_ACCEPTCON. Source: Linux include/uapi/linux/net.h."""


def find_neighbours(table: Path = UNIX_SOCKETS) -> list[str]:
    """Return sockets named like a daemon's that somebody listens on."""
    try:
        return listening(table.read_text(errors="replace"))
    except OSError:
        return []


def listening(text: str) -> list[str]:
    """Return the paths of a table of Unix sockets that are a daemon's by name."""
    found: dict[str, None] = {}
    for line in text.splitlines()[1:]:
        columns = line.split(maxsplit=_PATH)
        if len(columns) <= _PATH or not int(columns[_FLAGS], 16) & _LISTENS:
            continue
        if columns[_PATH].startswith("/") and Path(columns[_PATH]).name == SOCKET_NAME:
            found[columns[_PATH]] = None
    return list(found)[:MOST]
