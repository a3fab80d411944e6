"""Where the daemon's socket is when nobody says."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

ENV_SOCKET: Final = "FEISHU_WS_SOCKET"
ENV_KEY: Final = "FEISHU_WS_SOCKET__PATH"
"""The daemon's own variable for `socket.path`: whoever exported it for `run` means it here too."""
SYSTEM_SOCKET: Final = "/run/feishu-ws/events.sock"


def find_socket(env: Mapping[str, str]) -> str:
    """Return what the environment names, else the first usual place where something lies.

    `$FEISHU_WS_SOCKET` comes first, then `$FEISHU_WS_SOCKET__PATH`, the daemon's own.
    A user's own daemon comes before the system's. systemd's $RUNTIME_DIRECTORY is
    not looked at: in a consumer's unit it is the consumer's.
    """
    named = env.get(ENV_SOCKET) or env.get(ENV_KEY)
    if named:
        return str(Path(named).expanduser())
    return next(filter(os.path.exists, _own_places(env)), SYSTEM_SOCKET)


def _own_places(env: Mapping[str, str]) -> list[str]:
    """Return where a daemon started by this user listens. Source: CONTRACT 4."""
    state = env.get("XDG_STATE_HOME") or str(Path(env.get("HOME") or "/", ".local/state"))
    run = env.get("XDG_RUNTIME_DIR") or state
    return [f"{directory}/feishu-ws/events.sock" for directory in (run, state)]
