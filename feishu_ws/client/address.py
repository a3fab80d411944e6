"""Where the daemon's socket is when nobody says."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

ENV_SOCKET: Final = "FEISHU_WS_SOCKET"
SYSTEM_SOCKET: Final = "/run/feishu-ws/events.sock"


def find_socket(env: Mapping[str, str]) -> str:
    """Return `$FEISHU_WS_SOCKET`, else the first usual place where something lies.

    A user's own daemon comes before the system's. systemd's $RUNTIME_DIRECTORY is
    not looked at: in a consumer's unit it is the consumer's.
    """
    if env.get(ENV_SOCKET):
        return env[ENV_SOCKET]
    return next(filter(os.path.exists, _own_places(env)), SYSTEM_SOCKET)


def _own_places(env: Mapping[str, str]) -> list[str]:
    """Return where a daemon started by this user listens. Source: CONTRACT 4."""
    state = env.get("XDG_STATE_HOME") or str(Path(env.get("HOME") or "/", ".local/state"))
    run = env.get("XDG_RUNTIME_DIR") or state
    return [f"{directory}/feishu-ws/events.sock" for directory in (run, state)]
